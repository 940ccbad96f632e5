// SPDX-License-Identifier: MIT
//
// What an atomic instruction does to one memory cell, and doing it to memory that other processes share.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "engine/execute/half_float.hpp"

namespace virtual_rocm::engine {

enum class AtomicKind : std::uint8_t {
  swap,
  compare_swap,
  add,
  subtract,
  reverse_subtract,
  signed_minimum,
  unsigned_minimum,
  signed_maximum,
  unsigned_maximum,
  bitwise_and,
  bitwise_or,
  bitwise_xor,
  increment,
  decrement,
  masked_or,
  wrap,
  float_add,
  float_minimum,
  float_maximum,
  float_compare_swap,
  packed_half_add,
  packed_bfloat_add,
};

/// The new value of a cell. `data` is the first data operand; `second` the value to store of compare_swap
/// (whose `data` is then what is compared with) and masked_or (whose `data` is then the mask).
template <AtomicKind kind, typename Cell>
inline Cell combine(Cell old, Cell data, Cell second) {
  using Signed = std::make_signed_t<Cell>;
  using Float = std::conditional_t<sizeof(Cell) == 8, double, float>;
  const auto number = [](Cell bits) { return std::bit_cast<Float>(bits); };
  const auto bits = [](Float value) { return std::bit_cast<Cell>(value); };
  if constexpr (kind == AtomicKind::swap) return data;
  if constexpr (kind == AtomicKind::compare_swap) return old == data ? second : old;
  if constexpr (kind == AtomicKind::add) return old + data;
  if constexpr (kind == AtomicKind::subtract) return old - data;
  if constexpr (kind == AtomicKind::reverse_subtract) return data - old;
  if constexpr (kind == AtomicKind::signed_minimum)
    return static_cast<Signed>(data) < static_cast<Signed>(old) ? data : old;
  if constexpr (kind == AtomicKind::signed_maximum)
    return static_cast<Signed>(data) > static_cast<Signed>(old) ? data : old;
  if constexpr (kind == AtomicKind::unsigned_minimum) return std::min(old, data);
  if constexpr (kind == AtomicKind::unsigned_maximum) return std::max(old, data);
  if constexpr (kind == AtomicKind::bitwise_and) return old & data;
  if constexpr (kind == AtomicKind::bitwise_or) return old | data;
  if constexpr (kind == AtomicKind::bitwise_xor) return old ^ data;
  if constexpr (kind == AtomicKind::increment) return old >= data ? 0 : old + 1;
  if constexpr (kind == AtomicKind::decrement) return old == 0 || old > data ? data : old - 1;
  if constexpr (kind == AtomicKind::masked_or) return (old & ~data) | second;
  if constexpr (kind == AtomicKind::wrap) return old >= data ? old - data : old + second;
  if constexpr (kind == AtomicKind::float_add) return bits(number(old) + number(data));
  // IEEE minNum and maxNum: of a number and a NaN, the number.
  if constexpr (kind == AtomicKind::float_minimum) return bits(std::fmin(number(old), number(data)));
  if constexpr (kind == AtomicKind::float_maximum) return bits(std::fmax(number(old), number(data)));
  if constexpr (kind == AtomicKind::float_compare_swap) return number(old) == number(data) ? second : old;
  if constexpr (kind == AtomicKind::packed_half_add && sizeof(Cell) == 4)
    return add_halves<half_to_float, float_to_half>(old, data);
  if constexpr (kind == AtomicKind::packed_bfloat_add && sizeof(Cell) == 4)
    return add_halves<bfloat_to_float, float_to_bfloat>(old, data);
  return old;
}

/// Carries the operation out on memory that other threads and processes change as well. Returns the old
/// value.
template <AtomicKind kind, typename Cell>
inline Cell apply_atomically(Cell* cell, Cell data, Cell second) {
  if constexpr (kind == AtomicKind::add) return __atomic_fetch_add(cell, data, __ATOMIC_SEQ_CST);
  if constexpr (kind == AtomicKind::subtract) return __atomic_fetch_sub(cell, data, __ATOMIC_SEQ_CST);
  if constexpr (kind == AtomicKind::swap) return __atomic_exchange_n(cell, data, __ATOMIC_SEQ_CST);
  Cell old = __atomic_load_n(cell, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(cell, &old, combine<kind>(old, data, second), true, __ATOMIC_SEQ_CST,
                                      __ATOMIC_RELAXED)) {
  }
  return old;
}

/// The same for LDS, which one thread at a time uses.
template <AtomicKind kind, typename Cell>
inline Cell apply_alone(std::uint8_t* place, Cell data, Cell second) {
  Cell old;
  std::memcpy(&old, place, sizeof old);
  const Cell value = combine<kind>(old, data, second);
  std::memcpy(place, &value, sizeof value);
  return old;
}

template <typename Cell>
inline Cell read_cell(const std::uint32_t* rows, unsigned lane) {
  if constexpr (sizeof(Cell) == 4)
    return rows[lane];
  else
    return rows[lane] | std::uint64_t{rows[64 + lane]} << 32;
}

template <typename Cell>
inline void write_cell(std::uint32_t* rows, unsigned lane, Cell value) {
  rows[lane] = static_cast<std::uint32_t>(value);
  if constexpr (sizeof(Cell) == 8) rows[64 + lane] = static_cast<std::uint32_t>(value >> 32);
}

}  // namespace virtual_rocm::engine
