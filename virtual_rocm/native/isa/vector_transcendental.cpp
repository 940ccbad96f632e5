// SPDX-License-Identifier: MIT
//
// Reciprocals, roots, exponentials, logarithms and circular functions. The hardware approximates these within
// one unit in the last place, by tables that are not published; here they are rounded correctly or nearly so.
// In single precision the hardware takes denormal sources as zero and flushes denormal results, whatever the
// mode: compilers scale around it.
#include "isa/floats.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

float flush(float value) { return std::abs(value) < 0x1p-126f ? std::copysign(0.0f, value) : value; }

template <float (*kFunction)(float)>
u32 flushed(u32 a) {
  return as_bits(flush(kFunction(flush(as_float(a)))));
}
template <float (*kFunction)(float)>
u32 half(u32 a) {
  return float_to_half(kFunction(half_to_float(a)));
}
template <float (*kFunction)(float)>
u32 plain(u32 a) {
  return as_bits(kFunction(as_float(a)));
}

float reciprocal(float x) { return 1.0f / x; }
float reciprocal_root(float x) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x))); }
float root(float x) { return std::sqrt(x); }
float power_of_two(float x) { return std::exp2(x); }
float logarithm(float x) { return std::log2(x); }

// The argument is in turns; the hardware's range ends at 256 turns.
double turns(float x) {
  const double whole = static_cast<double>(x);
  return (whole - std::floor(whole)) * 6.283185307179586476925287;
}
float sine(float x) {
  if (x - x != 0) return x - x;
  if (std::abs(x) > 256) return 0;
  return x == 0 ? x : static_cast<float>(std::sin(turns(x)));
}
float cosine(float x) {
  if (x - x != 0) return x - x;
  return std::abs(x) > 256 ? 1.0f : static_cast<float>(std::cos(turns(x)));
}

u64 rcp_f64(u64 a) { return as_bits(1.0 / as_double(a)); }
u64 rsq_f64(u64 a) { return as_bits(1.0 / std::sqrt(as_double(a))); }
u64 sqrt_f64(u64 a) { return as_bits(std::sqrt(as_double(a))); }

}  // namespace

void add_transcendental(HandlerTable& table) {
  using enum Opcode;
  constexpr Rounding kSingle = Rounding::single;
  constexpr Rounding kWide = Rounding::wide;
  table.add<flushed<reciprocal>, kSingle>(v_rcp_f32);
  table.add<flushed<reciprocal>, kSingle>(v_rcp_iflag_f32);
  table.add<flushed<reciprocal_root>, kSingle>(v_rsq_f32);
  table.add<flushed<root>, kSingle>(v_sqrt_f32);
  table.add<flushed<power_of_two>, kSingle>(v_exp_f32);
  table.add<flushed<logarithm>, kSingle>(v_log_f32);
  table.add<flushed<power_of_two>, kSingle>(v_exp_legacy_f32);
  table.add<flushed<logarithm>, kSingle>(v_log_legacy_f32);
  table.add<plain<sine>, kSingle>(v_sin_f32);
  table.add<plain<cosine>, kSingle>(v_cos_f32);
  table.add<half<reciprocal>, kWide>(v_rcp_f16);
  table.add<half<reciprocal_root>, kWide>(v_rsq_f16);
  table.add<half<root>, kWide>(v_sqrt_f16);
  table.add<half<power_of_two>, kWide>(v_exp_f16);
  table.add<half<logarithm>, kWide>(v_log_f16);
  table.add<half<sine>, kWide>(v_sin_f16);
  table.add<half<cosine>, kWide>(v_cos_f16);
  table.add<rcp_f64, kWide>(v_rcp_f64);
  table.add<rsq_f64, kWide>(v_rsq_f64);
  table.add<sqrt_f64, kWide>(v_sqrt_f64);
}

}  // namespace virtual_rocm::isa
