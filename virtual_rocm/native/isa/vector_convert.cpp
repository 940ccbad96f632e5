// SPDX-License-Identifier: MIT
//
// Conversions between integers and the larger floating-point formats.
#include "isa/floats.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;

// Towards zero, saturating, NaN to zero. The clamped value is converted in every lane, so that there is no
// branch.
u32 to_i32(float x) {
  const float inside = x >= -0x1p31f ? x : -0x1p31f;
  const i32 converted = static_cast<i32>(inside < 0x1p31f ? inside : 0.0f);
  const i32 limited = inside < 0x1p31f ? converted : INT32_MAX;
  return static_cast<u32>(x == x ? limited : 0);
}
u32 to_u32(float x) {
  const float inside = x > 0 ? x : 0.0f;  // NaN too
  const float upper = inside - 0x1p31f;
  const i32 low = static_cast<i32>(inside < 0x1p31f ? inside : 0.0f);
  const i32 high = static_cast<i32>(upper > 0 && upper < 0x1p31f ? upper : 0.0f);
  const u32 converted = inside < 0x1p31f ? static_cast<u32>(low) : static_cast<u32>(high) | 0x80000000u;
  return inside < 0x1p32f ? converted : 0xffffffffu;
}
u32 to_i32(double x) {
  if (x != x) return 0;
  return static_cast<u32>(x >= 0x1p31 ? INT32_MAX : x <= -0x1p31 ? INT32_MIN : static_cast<i32>(x));
}
u32 to_u32(double x) {
  if (!(x > 0)) return 0;
  return x >= 0x1p32 ? 0xffffffffu : static_cast<u32>(x);
}

u32 i32_from_f32(u32 a) { return to_i32(as_float(a)); }
u32 u32_from_f32(u32 a) { return to_u32(as_float(a)); }
u32 i32_from_f64(u64 a) { return to_i32(as_double(a)); }
u32 u32_from_f64(u64 a) { return to_u32(as_double(a)); }
u32 f32_from_i32(u32 a) { return as_bits(static_cast<float>(static_cast<i32>(a))); }
u32 f32_from_u32(u32 a) { return as_bits(static_cast<float>(a)); }
u64 f64_from_i32(u32 a) { return as_bits(static_cast<double>(static_cast<i32>(a))); }
u64 f64_from_u32(u32 a) { return as_bits(static_cast<double>(a)); }
u32 f32_from_f64(u64 a) { return as_bits(static_cast<float>(as_double(a))); }
u64 f64_from_f32(u32 a) { return as_bits(static_cast<double>(as_float(a))); }
u32 f16_from_f32(u32 a) { return float_to_half(as_float(a)); }
u32 f32_from_f16(u32 a) { return as_bits(half_to_float(a)); }

template <unsigned kByte>
u32 f32_from_byte(u32 a) {
  return as_bits(static_cast<float>(static_cast<i32>(a >> (8 * kByte) & 0xff)));
}

u32 rounded_up_at_half(u32 a) { return to_i32(std::floor(as_float(a) + 0.5f)); }
u32 rounded_down(u32 a) { return to_i32(std::floor(as_float(a))); }

// Four bits, −8 to 7, as sixteenths.
u32 f32_from_nibble(u32 a) { return as_bits(static_cast<float>(static_cast<i32>(a << 28) >> 28) * 0.0625f); }

u32 f16_from_u16(u32 a) { return float_to_half(static_cast<float>(a & 0xffff)); }
u32 f16_from_i16(u32 a) { return float_to_half(static_cast<float>(static_cast<std::int16_t>(a))); }
u32 u16_from_f16(u32 a) {
  const u32 value = to_u32(half_to_float(a));
  return value > 0xffff ? 0xffff : value;
}
u32 i16_from_f16(u32 a) {
  const i32 value = static_cast<i32>(to_i32(half_to_float(a)));
  return static_cast<u32>(value > 0x7fff ? 0x7fff : value < -0x8000 ? -0x8000 : value) & 0xffff;
}

// [−1, 1] or [0, 1] as the full range of a 16-bit integer, to nearest even.
u32 normalised_i16(float x) {
  if (x != x) return 0;
  const float inside = x > 1 ? 1.0f : x < -1 ? -1.0f : x;
  return static_cast<u32>(std::lrint(static_cast<double>(inside) * 32767)) & 0xffff;
}
u32 normalised_u16(float x) {
  const float inside = x > 0 ? (x > 1 ? 1.0f : x) : 0.0f;
  return static_cast<u32>(std::lrint(static_cast<double>(inside) * 65535));
}
u32 pack_normalised_i16(u32 a, u32 b) {
  return normalised_i16(as_float(a)) | normalised_i16(as_float(b)) << 16;
}
u32 pack_normalised_u16(u32 a, u32 b) {
  return normalised_u16(as_float(a)) | normalised_u16(as_float(b)) << 16;
}
u32 pack_normalised_i16_half(u32 a, u32 b) {
  return normalised_i16(half_to_float(a)) | normalised_i16(half_to_float(b)) << 16;
}
u32 pack_normalised_u16_half(u32 a, u32 b) {
  return normalised_u16(half_to_float(a)) | normalised_u16(half_to_float(b)) << 16;
}
u32 normalised_i16_half(u32 a) { return normalised_i16(half_to_float(a)); }
u32 normalised_u16_half(u32 a) { return normalised_u16(half_to_float(a)); }

u32 pack_towards_zero(u32 a, u32 b) {
  const u32 low = _cvtss_sh(as_float(a), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
  const u32 high = _cvtss_sh(as_float(b), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
  return low | high << 16;
}

}  // namespace

void add_conversions(HandlerTable& table) {
  using enum Opcode;
  constexpr Rounding kSingle = Rounding::single;
  constexpr Rounding kWide = Rounding::wide;
  table.add<i32_from_f32, kSingle>(v_cvt_i32_f32);
  table.add<u32_from_f32, kSingle>(v_cvt_u32_f32);
  table.add<i32_from_f64, kWide>(v_cvt_i32_f64);
  table.add<u32_from_f64, kWide>(v_cvt_u32_f64);
  table.add<f32_from_i32, kSingle>(v_cvt_f32_i32);
  table.add<f32_from_u32, kSingle>(v_cvt_f32_u32);
  table.add<f64_from_i32, kWide>(v_cvt_f64_i32);
  table.add<f64_from_u32, kWide>(v_cvt_f64_u32);
  table.add<f32_from_f64, kSingle>(v_cvt_f32_f64);
  table.add<f64_from_f32, kSingle>(v_cvt_f64_f32);
  table.add<f16_from_f32, kWide>(v_cvt_f16_f32);
  table.add<f32_from_f16, kSingle>(v_cvt_f32_f16);
  table.add<f32_from_byte<0>>(v_cvt_f32_ubyte0);
  table.add<f32_from_byte<1>>(v_cvt_f32_ubyte1);
  table.add<f32_from_byte<2>>(v_cvt_f32_ubyte2);
  table.add<f32_from_byte<3>>(v_cvt_f32_ubyte3);
  table.add<rounded_up_at_half, kSingle>(v_cvt_rpi_i32_f32);
  table.add<rounded_down, kSingle>(v_cvt_flr_i32_f32);
  table.add<f32_from_nibble>(v_cvt_off_f32_i4);
  table.add<f16_from_u16, kWide>(v_cvt_f16_u16);
  table.add<f16_from_i16, kWide>(v_cvt_f16_i16);
  table.add<u16_from_f16, kWide>(v_cvt_u16_f16);
  table.add<i16_from_f16, kWide>(v_cvt_i16_f16);
  table.add_modified<pack_normalised_i16>(v_cvt_pknorm_i16_f32);
  table.add_modified<pack_normalised_u16>(v_cvt_pknorm_u16_f32);
  table.add_modified<pack_normalised_i16_half>(v_cvt_pknorm_i16_f16);
  table.add_modified<pack_normalised_u16_half>(v_cvt_pknorm_u16_f16);
  table.add_modified<normalised_i16_half>(v_cvt_norm_i16_f16);
  table.add_modified<normalised_u16_half>(v_cvt_norm_u16_f16);
  table.add<pack_towards_zero>(v_cvt_pkrtz_f16_f32);
}

}  // namespace virtual_rocm::isa
