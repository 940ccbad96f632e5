// SPDX-License-Identifier: MIT
//
// Double-precision arithmetic.
#include "isa/floats.hpp"

namespace virtual_rocm::isa {
namespace {

using u64 = std::uint64_t;

u64 fma_f64(u64 a, u64 b, u64 c) { return as_bits(__builtin_fma(as_double(a), as_double(b), as_double(c))); }

}  // namespace

void add_double(HandlerTable& table) {
  using enum Opcode;
  constexpr Rounding kWide = Rounding::wide;
  table.add_signed<add<Double>, kWide>(v_add_f64);
  table.add_signed<mul<Double>, kWide>(v_mul_f64);
  table.add<minimum<Double>, kWide>(v_min_f64);
  table.add<maximum<Double>, kWide>(v_max_f64);
  table.add_signed<fma_f64, kWide>(v_fma_f64);
  table.add<fma_f64, kWide>(v_fmac_f64);
  table.add<trunc<Double>, kWide>(v_trunc_f64);
  table.add<ceil<Double>, kWide>(v_ceil_f64);
  table.add<floor<Double>, kWide>(v_floor_f64);
  table.add<round_even<Double>, kWide>(v_rndne_f64);
  table.add<fract<Double>, kWide>(v_fract_f64);
  table.add<frexp_mantissa<Double>, kWide>(v_frexp_mant_f64);
  table.add<frexp_exponent<Double>, kWide>(v_frexp_exp_i32_f64);
  table.add<ldexp<Double>, kWide>(v_ldexp_f64);
}

}  // namespace virtual_rocm::isa
