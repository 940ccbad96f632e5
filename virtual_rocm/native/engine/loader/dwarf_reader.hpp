// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>

namespace virtual_rocm::engine {

/// Debug information that does not follow its own format.
struct MalformedDwarf : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Reads the primitive types of DWARF from bytes, one after the other.
class DwarfReader {
 public:
  explicit DwarfReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t fixed(unsigned size) {
    std::uint64_t value = 0;
    for (unsigned index = 0; index < size; ++index) value |= std::uint64_t{byte()} << (8 * index);
    return value;
  }
  std::uint8_t byte() {
    if (position_ >= bytes_.size()) throw MalformedDwarf("end of data");
    return static_cast<std::uint8_t>(bytes_[position_++]);
  }
  std::uint64_t unsigned_leb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const std::uint8_t next = byte();
      if (shift < 64) value |= std::uint64_t{next & 0x7fu} << shift;
      if ((next & 0x80) == 0) return value;
    }
  }
  std::int64_t signed_leb() {
    std::uint64_t value = 0;
    unsigned shift = 0;
    std::uint8_t next = 0;
    do {
      next = byte();
      if (shift < 64) value |= std::uint64_t{next & 0x7fu} << shift;
      shift += 7;
    } while ((next & 0x80) != 0);
    if ((next & 0x40) != 0 && shift < 64) value |= ~std::uint64_t{0} << shift;
    return static_cast<std::int64_t>(value);
  }
  std::string string() {
    std::string text;
    while (const std::uint8_t next = byte()) text += static_cast<char>(next);
    return text;
  }
  /// The length that begins a unit: 4 bytes, or 12 in the 64-bit format; `offset_size` becomes 4 or 8.
  std::uint64_t initial_length(unsigned& offset_size) {
    offset_size = 4;
    std::uint64_t length = fixed(4);
    if (length == 0xffffffff) {
      offset_size = 8;
      length = fixed(8);
    }
    return length;
  }
  void skip(std::uint64_t count) {
    if (count > bytes_.size() - position_) throw MalformedDwarf("end of data");
    position_ += count;
  }
  void seek(std::uint64_t position) {
    if (position > bytes_.size()) throw MalformedDwarf("end of data");
    position_ = position;
  }
  DwarfReader part(std::uint64_t size) {
    const std::size_t begin = position_;
    skip(size);
    return DwarfReader(bytes_.subspan(begin, size));
  }
  std::size_t position() const { return position_; }
  bool done() const { return position_ >= bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

/// The string at an offset of a string section; empty if there is none.
inline std::string dwarf_string(std::span<const std::byte> table, std::uint64_t offset) {
  if (offset >= table.size()) return {};
  const auto* begin = reinterpret_cast<const char*>(table.data()) + offset;
  return std::string(begin, strnlen(begin, table.size() - offset));
}

}  // namespace virtual_rocm::engine
