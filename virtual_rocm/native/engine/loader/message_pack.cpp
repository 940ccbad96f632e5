// SPDX-License-Identifier: MIT
#include "engine/loader/message_pack.hpp"

#include <bit>

#include "engine/code_object.hpp"

namespace virtual_rocm::engine {

class MessagePackReader {
 public:
  explicit MessagePackReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  MessagePackValue read(unsigned depth = 0) {
    // A note nests five deep; the bound keeps a malformed one from exhausting the stack.
    if (depth > 32) throw LoadError("the metadata note nests too deep");
    MessagePackValue result;
    const std::uint8_t tag = byte();
    if (tag < 0x80) {
      result.value_ = std::uint64_t{tag};
    } else if (tag < 0x90) {
      result.value_ = map(tag & 0xf, depth);
    } else if (tag < 0xa0) {
      result.value_ = array(tag & 0xf, depth);
    } else if (tag < 0xc0) {
      result.value_ = string(tag & 0x1f);
    } else if (tag >= 0xe0) {
      result.value_ = std::int64_t{static_cast<std::int8_t>(tag)};
    } else {
      read_tagged(tag, depth, result);
    }
    return result;
  }

 private:
  void read_tagged(std::uint8_t tag, unsigned depth, MessagePackValue& result) {
    switch (tag) {
      case 0xc0:
        break;
      case 0xc2:
        result.value_ = false;
        break;
      case 0xc3:
        result.value_ = true;
        break;
      case 0xc4:
        result.value_ = string(integer(1));
        break;
      case 0xc5:
        result.value_ = string(integer(2));
        break;
      case 0xc6:
        result.value_ = string(integer(4));
        break;
      case 0xca:
        result.value_ = double{std::bit_cast<float>(static_cast<std::uint32_t>(integer(4)))};
        break;
      case 0xcb:
        result.value_ = std::bit_cast<double>(integer(8));
        break;
      case 0xcc:
        result.value_ = integer(1);
        break;
      case 0xcd:
        result.value_ = integer(2);
        break;
      case 0xce:
        result.value_ = integer(4);
        break;
      case 0xcf:
        result.value_ = integer(8);
        break;
      case 0xd0:
        result.value_ = std::int64_t{static_cast<std::int8_t>(integer(1))};
        break;
      case 0xd1:
        result.value_ = std::int64_t{static_cast<std::int16_t>(integer(2))};
        break;
      case 0xd2:
        result.value_ = std::int64_t{static_cast<std::int32_t>(integer(4))};
        break;
      case 0xd3:
        result.value_ = static_cast<std::int64_t>(integer(8));
        break;
      case 0xd9:
        result.value_ = string(integer(1));
        break;
      case 0xda:
        result.value_ = string(integer(2));
        break;
      case 0xdb:
        result.value_ = string(integer(4));
        break;
      case 0xdc:
        result.value_ = array(integer(2), depth);
        break;
      case 0xdd:
        result.value_ = array(integer(4), depth);
        break;
      case 0xde:
        result.value_ = map(integer(2), depth);
        break;
      case 0xdf:
        result.value_ = map(integer(4), depth);
        break;
      default:
        throw LoadError("the metadata note holds a MessagePack type that is not expected there");
    }
  }

  std::uint8_t byte() {
    if (position_ >= bytes_.size()) throw LoadError("the metadata note ends in the middle of a value");
    return static_cast<std::uint8_t>(bytes_[position_++]);
  }

  std::uint64_t integer(unsigned size) {
    std::uint64_t value = 0;
    for (unsigned index = 0; index < size; ++index) value = value << 8 | byte();
    return value;
  }

  std::string string(std::uint64_t length) {
    if (length > bytes_.size() - position_)
      throw LoadError("the metadata note ends in the middle of a string");
    std::string text(reinterpret_cast<const char*>(bytes_.data() + position_), length);
    position_ += length;
    return text;
  }

  MessagePackValue::Array array(std::uint64_t count, unsigned depth) {
    MessagePackValue::Array values;
    for (std::uint64_t index = 0; index < count; ++index) values.push_back(read(depth + 1));
    return values;
  }

  MessagePackValue::Map map(std::uint64_t count, unsigned depth) {
    MessagePackValue::Map entries;
    for (std::uint64_t index = 0; index < count; ++index) {
      const MessagePackValue key = read(depth + 1);
      const auto text = key.text();
      if (!text) throw LoadError("the metadata note has a map with a key that is not a string");
      std::string name(*text);
      entries.emplace_back(std::move(name), read(depth + 1));
    }
    return entries;
  }

  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

MessagePackValue MessagePackValue::parse(std::span<const std::byte> bytes) {
  return MessagePackReader(bytes).read();
}

const MessagePackValue* MessagePackValue::find(std::string_view key) const {
  const Map* map = std::get_if<Map>(&value_);
  if (map == nullptr) return nullptr;
  for (const auto& [name, value] : *map)
    if (name == key) return &value;
  return nullptr;
}

const MessagePackValue::Array& MessagePackValue::elements() const {
  static const Array empty;
  const Array* array = std::get_if<Array>(&value_);
  return array != nullptr ? *array : empty;
}

std::optional<std::uint64_t> MessagePackValue::unsigned_value() const {
  if (const auto* value = std::get_if<std::uint64_t>(&value_)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&value_); value != nullptr && *value >= 0)
    return static_cast<std::uint64_t>(*value);
  return std::nullopt;
}

std::optional<std::string_view> MessagePackValue::text() const {
  if (const auto* value = std::get_if<std::string>(&value_)) return *value;
  return std::nullopt;
}

bool MessagePackValue::is_true() const {
  const bool* value = std::get_if<bool>(&value_);
  return value != nullptr && *value;
}

}  // namespace virtual_rocm::engine
