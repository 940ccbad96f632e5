// SPDX-License-Identifier: MIT
#include "engine/execute/printf_format.hpp"

#include <bit>
#include <cstdio>
#include <string_view>

namespace virtual_rocm::engine {
namespace {

template <typename... Arguments>
std::string print(const std::string& specification, Arguments... arguments) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
  const int length = std::snprintf(nullptr, 0, specification.c_str(), arguments...);
  if (length <= 0) return {};
  std::string text(static_cast<std::size_t>(length) + 1, '\0');
  std::snprintf(text.data(), text.size(), specification.c_str(), arguments...);
#pragma GCC diagnostic pop
  text.pop_back();
  return text;
}

// Takes the arguments one after the other; a missing one reads as 0.
class Arguments {
 public:
  explicit Arguments(const PrintfMessage& message) : message_(message) {}
  PrintfMessage::Part next() {
    return position_ < message_.parts.size() ? message_.parts[position_++] : PrintfMessage::Part{};
  }

 private:
  const PrintfMessage& message_;
  std::size_t position_ = 1;
};

// One specification, from after its '%' to its conversion letter; lengths (h, l, ll, z, j, t) are dropped,
// because every integer argument arrives with 64 bits.
std::string convert(std::string_view flags, std::string_view length, char conversion, Arguments& arguments) {
  std::string specification = "%";
  for (const char letter : flags) {
    if (letter == '*')
      specification += std::to_string(static_cast<std::int32_t>(arguments.next().bits));
    else
      specification += letter;
  }
  switch (conversion) {
    case 'd':
    case 'i': {
      auto value = static_cast<std::int64_t>(arguments.next().bits);
      if (length == "hh") value = static_cast<std::int8_t>(value);
      if (length == "h") value = static_cast<std::int16_t>(value);
      if (length.empty()) value = static_cast<std::int32_t>(value);
      return print(specification + "lld", static_cast<long long>(value));
    }
    case 'u':
    case 'x':
    case 'X':
    case 'o': {
      std::uint64_t value = arguments.next().bits;
      if (length == "hh") value = static_cast<std::uint8_t>(value);
      if (length == "h") value = static_cast<std::uint16_t>(value);
      if (length.empty()) value = static_cast<std::uint32_t>(value);
      return print(specification + "ll" + conversion, static_cast<unsigned long long>(value));
    }
    case 'c':
      return print(specification + 'c', static_cast<int>(arguments.next().bits));
    case 'p':
      return print(specification + 'p', reinterpret_cast<const void*>(arguments.next().bits));
    case 's': {
      const PrintfMessage::Part part = arguments.next();
      return print(specification + 's', part.is_string ? part.text.c_str() : "(null)");
    }
    default:
      return print(specification + conversion, std::bit_cast<double>(arguments.next().bits));
  }
}

}  // namespace

std::string format_printf(const PrintfMessage& message) {
  if (message.parts.empty()) return {};
  const std::string_view format = message.parts[0].text;
  Arguments arguments(message);
  std::string text;
  for (std::size_t position = 0; position < format.size();) {
    if (format[position] != '%') {
      text += format[position++];
      continue;
    }
    ++position;
    const std::size_t length_begin =
        std::min(format.find_first_not_of("-+ #0123456789.*", position), format.size());
    const std::size_t conversion = std::min(format.find_first_not_of("hlLqjzt", length_begin), format.size());
    if (conversion == format.size()) break;
    if (format[conversion] == '%')
      text += '%';
    else if (std::string_view("diuxXocpsaAeEfFgG").find(format[conversion]) == std::string_view::npos)
      text += format.substr(position - 1, conversion - position + 2);
    else
      text += convert(format.substr(position, length_begin - position),
                      format.substr(length_begin, conversion - length_begin), format[conversion], arguments);
    position = conversion + 1;
  }
  return text;
}

}  // namespace virtual_rocm::engine
