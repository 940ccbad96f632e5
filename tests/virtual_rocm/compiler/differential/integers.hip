// SPDX-License-Identifier: MIT
//
// Integer arithmetic of 8 to 128 bits: carry chains, division, shifts at and past the width, bit counting.
#include "differential.hpp"

using namespace differential;

template <typename T>
using Unsigned = std::make_unsigned_t<T>;

#define BINARY(name, ...) \
  template <typename T>   \
  FUNCTION(name, Pair<T>, __VA_ARGS__)

// Signed arithmetic wraps, so it is done without sign where C++ would leave overflow undefined.
BINARY(Add, static_cast<T>(static_cast<Unsigned<T>>(a.x) + static_cast<Unsigned<T>>(a.y)))
BINARY(Subtract, static_cast<T>(static_cast<Unsigned<T>>(a.x) - static_cast<Unsigned<T>>(a.y)))
BINARY(Multiply, static_cast<T>(static_cast<std::uint64_t>(a.x) * static_cast<std::uint64_t>(a.y)))
BINARY(And, static_cast<T>(a.x & a.y))
BINARY(Or, static_cast<T>(a.x | a.y))
BINARY(Xor, static_cast<T>(a.x ^ ~a.y))
BINARY(AndNot, static_cast<T>(a.x & ~a.y))
BINARY(ShiftLeft, static_cast<T>(static_cast<Unsigned<T>>(a.x) << (a.y & (8 * sizeof(T) - 1))))
BINARY(ShiftRight, static_cast<T>(a.x >> (a.y & (8 * sizeof(T) - 1))))
BINARY(ShiftPast,
       static_cast<T>((a.y & 127) >= 8 * sizeof(T) ? 0 : static_cast<Unsigned<T>>(a.x) << (a.y & 127)))
BINARY(Less, a.x < a.y)
BINARY(LessOrEqual, a.x <= a.y)
BINARY(Equal, a.x == a.y)
BINARY(Smaller, a.x < a.y ? a.x : a.y)
BINARY(Larger, a.x > a.y ? a.x : a.y)
BINARY(SaturatingAdd, __builtin_elementwise_add_sat(a.x, a.y))
BINARY(SaturatingSubtract, __builtin_elementwise_sub_sat(a.x, a.y))
BINARY(Rotate, static_cast<T>((static_cast<Unsigned<T>>(a.x) << (a.y & (8 * sizeof(T) - 1))) |
                              (static_cast<Unsigned<T>>(a.x) >> (-a.y & (8 * sizeof(T) - 1)))))
BINARY(Divide,
       a.y == 0 || (std::is_signed_v<T> && a.y == static_cast<T>(-1)) ? T(0) : static_cast<T>(a.x / a.y))
BINARY(Remainder,
       a.y == 0 || (std::is_signed_v<T> && a.y == static_cast<T>(-1)) ? T(0) : static_cast<T>(a.x % a.y))
BINARY(OverflowOfAdd, [&] {
  T r;
  return __builtin_add_overflow(a.x, a.y, &r) ? T(1) : r;
}())
BINARY(OverflowOfMultiply, [&] {
  T r;
  return __builtin_mul_overflow(a.x, a.y, &r) ? T(1) : r;
}())

template <typename T>
FUNCTION(CountBits, T, __builtin_popcountll(static_cast<Unsigned<T>>(a)))
template <typename T>
FUNCTION(LeadingZeros, T, a == 0 ? 64 : __builtin_clzll(static_cast<Unsigned<T>>(a)))
template <typename T>
FUNCTION(TrailingZeros, T, a == 0 ? 64 : __builtin_ctzll(static_cast<Unsigned<T>>(a)))
template <typename T>
FUNCTION(Negate, T, static_cast<T>(0 - static_cast<Unsigned<T>>(a)))
template <typename T>
FUNCTION(Absolute, T, static_cast<T>(a < 0 ? 0 - static_cast<Unsigned<T>>(a) : static_cast<Unsigned<T>>(a)))
template <typename T>
FUNCTION(ByConstants, T, static_cast<T>(a / 7 + a % 10 + a / 1000003 * 3))
template <typename T>
FUNCTION(ReverseBits, T,
         [&] {
           std::uint64_t bits = static_cast<Unsigned<T>>(a), reversed = 0;
           for (int i = 0; i < 64; ++i) reversed |= ((bits >> i) & 1) << (63 - i);
           return reversed;
         }())
template <typename T>
FUNCTION(SwapBytes, T, __builtin_bswap64(static_cast<Unsigned<T>>(a)))

template <typename T>
void all_of() {
  const std::vector<T> one = integers<T>();
  const std::vector<Pair<T>> two = pairs(one);
#define RUN(name, values) compare<name<T>>(#name, values)
  RUN(Add, two), RUN(Subtract, two), RUN(Multiply, two), RUN(And, two), RUN(Or, two), RUN(Xor, two),
      RUN(AndNot, two);
  RUN(ShiftLeft, two), RUN(ShiftRight, two), RUN(ShiftPast, two), RUN(Less, two), RUN(LessOrEqual, two),
      RUN(Equal, two);
  RUN(Smaller, two), RUN(Larger, two), RUN(SaturatingAdd, two), RUN(SaturatingSubtract, two),
      RUN(Rotate, two);
  RUN(Divide, two), RUN(Remainder, two), RUN(OverflowOfAdd, two), RUN(OverflowOfMultiply, two);
  RUN(CountBits, one), RUN(LeadingZeros, one), RUN(TrailingZeros, one), RUN(Negate, one), RUN(Absolute, one);
  RUN(ByConstants, one), RUN(ReverseBits, one), RUN(SwapBytes, one);
}

// Wider than any register.
FUNCTION(HighProduct, Pair<std::uint64_t>,
         static_cast<std::uint64_t>((static_cast<unsigned __int128>(a.x) * a.y) >> 64))
FUNCTION(SignedHighProduct, Pair<std::int64_t>,
         static_cast<std::int64_t>((static_cast<__int128>(a.x) * a.y) >> 64))
FUNCTION(WideSum, Triple<std::uint64_t>, [&] {
  const auto sum = ((static_cast<unsigned __int128>(a.x) << 64) | a.y) +
                   ((static_cast<unsigned __int128>(a.z) << 64) | a.x);
  return Pair<std::uint64_t>{static_cast<std::uint64_t>(sum), static_cast<std::uint64_t>(sum >> 64)};
}())
FUNCTION(WideShift, Triple<std::uint64_t>, [&] {
  const auto value = ((static_cast<unsigned __int128>(a.x) << 64) | a.y) >> (a.z & 127);
  return Pair<std::uint64_t>{static_cast<std::uint64_t>(value), static_cast<std::uint64_t>(value >> 64)};
}())
FUNCTION(MultiplyAdd24, Triple<std::int32_t>, (a.x << 8 >> 8) * (a.y << 8 >> 8) + a.z)
FUNCTION(AddThree, Triple<std::uint32_t>, a.x + a.y + a.z)
FUNCTION(ShiftAdd, Triple<std::uint32_t>, (a.x << (a.y & 31)) + a.z)
FUNCTION(AndOr, Triple<std::uint32_t>, (a.x & a.y) | a.z)
FUNCTION(Select, Triple<std::uint32_t>, (a.x & a.y) | (~a.x & a.z))
FUNCTION(Field, Triple<std::uint32_t>, (a.x >> (a.y & 15)) & ((1u << (a.z & 15)) - 1))
FUNCTION(Middle, Triple<std::int32_t>, [&] {
  const int low = a.x < a.y ? a.x : a.y, high = a.x < a.y ? a.y : a.x;
  return a.z < low ? low : a.z > high ? high : a.z;
}())
FUNCTION(Align, Triple<std::uint32_t>,
         static_cast<std::uint32_t>(((static_cast<std::uint64_t>(a.x) << 32) | a.y) >> (a.z & 31)))

int main() {
  all_of<std::int8_t>();
  all_of<std::uint8_t>();
  all_of<std::int16_t>();
  all_of<std::uint16_t>();
  all_of<std::int32_t>();
  all_of<std::uint32_t>();
  all_of<std::int64_t>();
  all_of<std::uint64_t>();
  compare<HighProduct>("HighProduct", pairs(integers<std::uint64_t>()));
  compare<SignedHighProduct>("SignedHighProduct", pairs(integers<std::int64_t>()));
  compare<WideSum>("WideSum", triples(integers<std::uint64_t>()));
  compare<WideShift>("WideShift", triples(integers<std::uint64_t>()));
  compare<MultiplyAdd24>("MultiplyAdd24",
                         triples(std::vector<std::int32_t>{0, 1, -1, 77, -12345, 0x7fffff, -0x800000}));
  const auto three = triples(integers<std::uint32_t>());
  compare<AddThree>("AddThree", three);
  compare<ShiftAdd>("ShiftAdd", three);
  compare<AndOr>("AndOr", three);
  compare<Select>("Select", three);
  compare<Field>("Field", three);
  compare<Align>("Align", three);
  compare<Middle>("Middle", triples(integers<std::int32_t>()));
  return finish();
}
