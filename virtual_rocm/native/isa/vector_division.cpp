// SPDX-License-Identifier: MIT
//
// The three instructions that make a correctly rounded division out of an approximate reciprocal: v_div_scale
// brings the operands into a range where the refinement cannot overflow or lose bits, v_div_fmas is its last
// step and undoes the scale, v_div_fixup supplies what the refinement cannot: zeros, infinities, NaNs.
#include "isa/floats.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

template <typename Format>
int exponent(typename Format::Word bits) {
  return static_cast<int>((bits & (Format::kSign - 1)) >> Format::kFraction);
}
template <typename Format>
bool is_denormal(typename Format::Word bits) {
  return exponent<Format>(bits) == 0 && (bits & (Format::kSign - 1)) != 0;
}

struct SingleScale {
  static constexpr int kDistance = 96, kTiny = 23, kPower = 64;
};
struct DoubleScale {
  static constexpr int kDistance = 768, kTiny = 53, kPower = 128;
};

template <typename Word>
struct Scaled {
  Word value;
  bool flag;
};

// `a` is the one of denominator and numerator that is wanted; flag says that v_div_fmas must undo a scale.
template <typename Format, typename Scale>
Scaled<typename Format::Word> scale(typename Format::Word a, typename Format::Word denominator,
                                    typename Format::Word numerator) {
  using Value = typename Format::Value;
  const Value d = Format::value(denominator);
  const Value n = Format::value(numerator);
  const auto times = [a](int power) { return Format::bits(std::ldexp(Format::value(a), power)); };
  const bool wants_denominator = Format::value(a) == d;
  const bool wants_numerator = Format::value(a) == n;
  if (n == 0 || d == 0)
    return {static_cast<typename Format::Word>(Format::kInfinity | Format::kQuiet), false};
  if (exponent<Format>(numerator) - exponent<Format>(denominator) >= Scale::kDistance) {
    return {wants_denominator ? times(Scale::kPower) : a, true};
  }
  if (is_denormal<Format>(denominator)) return {times(Scale::kPower), false};
  const bool reciprocal_is_denormal = is_denormal<Format>(Format::bits(Value{1} / d));
  // A quotient that underflows altogether counts too: unscaled operands would be brought up, and the
  // denominator overflow.
  const bool quotient_is_denormal = exponent<Format>(Format::bits(n / d)) == 0;
  // The denominator comes down alone, so the quotient goes up, and v_div_fmas takes it down again.
  if (reciprocal_is_denormal && quotient_is_denormal)
    return {wants_denominator ? times(-Scale::kPower) : a, true};
  if (reciprocal_is_denormal) return {times(-Scale::kPower), false};
  if (quotient_is_denormal) return {wants_numerator ? times(Scale::kPower) : a, true};
  if (exponent<Format>(numerator) <= Scale::kTiny) return {times(Scale::kPower), false};
  return {a, false};
}

// a·b + c times a power of two, rounded once. Wide has room for the exact product; the sum is rounded to odd
// in it, so that the last rounding sees whether anything was lost.
template <typename Value, typename Wide>
Value fma_scaled(Value a, Value b, Value c, Wide factor) {
  const Wide product = static_cast<Wide>(a) * static_cast<Wide>(b);
  const Wide addend = static_cast<Wide>(c);
  Wide sum = product + addend;
  const Wide virtual_addend = sum - product;
  const Wide error = (product - (sum - virtual_addend)) + (addend - virtual_addend);
  if (error != 0 && error == error) {
    unsigned char bytes[sizeof(Wide)];
    std::memcpy(bytes, &sum, sizeof sum);
    if (!(bytes[0] & 1)) {
      // The neighbour on the side of the error is odd: towards zero if the error has the other sign.
      const bool towards_zero = (error < 0) != (sum < 0);
      if (towards_zero) {
        for (std::size_t at = 0; bytes[at]-- == 0; ++at) {
        }
      } else {
        bytes[0] |= 1;
      }
      std::memcpy(&sum, bytes, sizeof sum);
    }
  }
  return static_cast<Value>(sum * factor);
}

__extension__ using Quad = __float128;

template <typename Format>
typename Format::Word fused(typename Format::Word a, typename Format::Word b, typename Format::Word c,
                            bool scaled) {
  if constexpr (std::is_same_v<Format, Single>) {
    if (!scaled) return as_bits(__builtin_fmaf(as_float(a), as_float(b), as_float(c)));
    const double factor = exponent<Single>(c) > Single::kBias ? 0x1p64 : 0x1p-64;
    return as_bits(fma_scaled<float, double>(as_float(a), as_float(b), as_float(c), factor));
  } else {
    if (!scaled) return as_bits(__builtin_fma(as_double(a), as_double(b), as_double(c)));
    const Quad factor = exponent<Double>(c) > Double::kBias ? 0x1p128 : 0x1p-128;
    return as_bits(fma_scaled<double, Quad>(as_double(a), as_double(b), as_double(c), factor));
  }
}

template <typename Format>
typename Format::Word fixup(typename Format::Word quotient, typename Format::Word denominator,
                            typename Format::Word numerator) {
  using Word = typename Format::Word;
  constexpr Word kMagnitude = static_cast<Word>(Format::kSign - 1);
  constexpr Word kInvalid = static_cast<Word>(Format::kSign | Format::kInfinity | Format::kQuiet);
  const Word sign = (denominator ^ numerator) & Format::kSign;
  const Word d = denominator & kMagnitude;
  const Word n = numerator & kMagnitude;
  const Word q = quotient & kMagnitude;
  if (n > Format::kInfinity) return (numerator & (kMagnitude | Format::kSign)) | Format::kQuiet;
  if (d > Format::kInfinity) return (denominator & (kMagnitude | Format::kSign)) | Format::kQuiet;
  if (d == 0 && n == 0) return kInvalid;
  if (d == Format::kInfinity && n == Format::kInfinity) return kInvalid;
  if (d == 0 || n == Format::kInfinity) return sign | Format::kInfinity;
  if (d == Format::kInfinity || n == 0) return sign;
  if (exponent<Format>(numerator) - exponent<Format>(denominator) < -(Format::kBias + Format::kFraction))
    return sign;
  // Finite operands whose refinement overflowed on the way.
  if (q > Format::kInfinity) return sign | Format::kInfinity;
  return sign | q;
}

template <typename Format>
typename Format::Word rows_at(const ModifiedOperands& operands, unsigned index, unsigned lane) {
  return operands.get<typename Format::Word>(index, lane);
}

template <typename Format, typename Scale>
const Operation* div_scale(const Operation* operation, Wave* wave) {
  ModifiedOperands operands;
  for (unsigned index = 0; index < 3; ++index) load_modified(*operation, *wave, index, operands);
  std::uint64_t flags = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const auto [value, flag] =
        scale<Format, Scale>(rows_at<Format>(operands, 0, lane), rows_at<Format>(operands, 1, lane),
                             rows_at<Format>(operands, 2, lane));
    store(operands.result, lane, value);
    if (flag) flags |= std::uint64_t{1} << lane;
  }
  store_modified(*operation, *wave, operands);
  wave->set_scalar_pair(operation->instruction.second_destination, flags & wave->exec());
  return operation + 1;
}

template <typename Format>
const Operation* div_fmas(const Operation* operation, Wave* wave) {
  ModifiedOperands operands;
  for (unsigned index = 0; index < 3; ++index) load_modified(*operation, *wave, index, operands);
  const std::uint64_t flags = wave->vcc();
  const HostMode host(wave->mode, Format::kRounding);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    store(operands.result, lane,
          fused<Format>(rows_at<Format>(operands, 0, lane), rows_at<Format>(operands, 1, lane),
                        rows_at<Format>(operands, 2, lane), flags >> lane & 1));
  }
  store_modified(*operation, *wave, operands);
  return operation + 1;
}

void add_three(HandlerTable& table, Opcode opcode, Handler handler) {
  Handlers& row = table[opcode];
  row.sources = 3;
  row.modified = handler;
}

}  // namespace

void add_division(HandlerTable& table) {
  using enum Opcode;
  add_three(table, v_div_scale_f32, div_scale<Single, SingleScale>);
  add_three(table, v_div_scale_f64, div_scale<Double, DoubleScale>);
  add_three(table, v_div_fmas_f32, div_fmas<Single>);
  add_three(table, v_div_fmas_f64, div_fmas<Double>);
  table.add<fixup<Single>, Rounding::single>(v_div_fixup_f32);
  table.add<fixup<Double>, Rounding::wide>(v_div_fixup_f64);
  table.add_modified<fixup<Half>, Rounding::wide>(v_div_fixup_f16);
  table.add_modified<fixup<Half>, Rounding::wide>(v_div_fixup_legacy_f16);
}

}  // namespace virtual_rocm::isa
