// SPDX-License-Identifier: MIT
//
// The part of MessagePack that AMDGPU metadata notes use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace virtual_rocm::engine {

/// A parsed value. Maps keep the order of the document.
class MessagePackValue {
 public:
  using Array = std::vector<MessagePackValue>;
  using Map = std::vector<std::pair<std::string, MessagePackValue>>;

  /// Throws LoadError if the bytes are not one well-formed value.
  static MessagePackValue parse(std::span<const std::byte> bytes);

  /// The entry of a map, or null if this is no map or has no such key.
  const MessagePackValue* find(std::string_view key) const;
  /// The elements of an array; empty if this is not one.
  const Array& elements() const;
  std::optional<std::uint64_t> unsigned_value() const;
  std::optional<std::string_view> text() const;
  bool is_true() const;

 private:
  friend class MessagePackReader;
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array, Map> value_;
};

}  // namespace virtual_rocm::engine
