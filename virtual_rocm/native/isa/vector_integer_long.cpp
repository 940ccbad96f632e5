// SPDX-License-Identifier: MIT
//
// Integer instructions with three sources, and those with 64-bit operands.
#include "isa/handlers.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

i32 s(u32 value) { return static_cast<i32>(value); }
u32 u(i32 value) { return static_cast<u32>(value); }
u32 min_i(u32 a, u32 b) { return s(a) < s(b) ? a : b; }
u32 max_i(u32 a, u32 b) { return s(a) > s(b) ? a : b; }
u32 min_u(u32 a, u32 b) { return a < b ? a : b; }
u32 max_u(u32 a, u32 b) { return a > b ? a : b; }

u32 mad_i24(u32 a, u32 b, u32 c) { return u(s(a << 8) >> 8) * u(s(b << 8) >> 8) + c; }
u32 mad_u24(u32 a, u32 b, u32 c) { return (a & 0xffffff) * (b & 0xffffff) + c; }

u32 bfe_u(u32 a, u32 b, u32 c) { return a >> (b & 31) & ((1u << (c & 31)) - 1); }
u32 bfe_i(u32 a, u32 b, u32 c) {
  const u32 offset = b & 31;
  const u32 width = c & 31;
  if (width == 0) return 0;
  // A field that reaches past bit 31 is the rest of the word, which has its sign already.
  return offset + width < 32 ? u(s(a << (32 - offset - width)) >> (32 - width)) : u(s(a) >> offset);
}
u32 bfi(u32 a, u32 b, u32 c) { return (a & b) | (~a & c); }
u32 lerp_u8(u32 a, u32 b, u32 c) {
  u32 out = 0;
  for (unsigned shift = 0; shift < 32; shift += 8) {
    out |= ((a >> shift & 0xff) + (b >> shift & 0xff) + (c >> shift & 1)) >> 1 << shift;
  }
  return out;
}
u32 alignbit(u32 a, u32 b, u32 c) { return static_cast<u32>((static_cast<u64>(a) << 32 | b) >> (c & 31)); }
u32 alignbyte(u32 a, u32 b, u32 c) {
  return static_cast<u32>((static_cast<u64>(a) << 32 | b) >> (8 * (c & 3)));
}
u32 min3_i(u32 a, u32 b, u32 c) { return min_i(min_i(a, b), c); }
u32 max3_i(u32 a, u32 b, u32 c) { return max_i(max_i(a, b), c); }
u32 med3_i(u32 a, u32 b, u32 c) { return max_i(min_i(a, b), min_i(max_i(a, b), c)); }
u32 min3_u(u32 a, u32 b, u32 c) { return min_u(min_u(a, b), c); }
u32 max3_u(u32 a, u32 b, u32 c) { return max_u(max_u(a, b), c); }
u32 med3_u(u32 a, u32 b, u32 c) { return max_u(min_u(a, b), min_u(max_u(a, b), c)); }

u32 distance(u32 a, u32 b) { return a > b ? a - b : b - a; }
u32 sad_u32(u32 a, u32 b, u32 c) { return distance(a, b) + c; }
u32 sad_u16(u32 a, u32 b, u32 c) { return distance(a & 0xffff, b & 0xffff) + distance(a >> 16, b >> 16) + c; }
u32 sad_bytes(u32 a, u32 b) {
  u32 sum = 0;
  for (unsigned shift = 0; shift < 32; shift += 8) sum += distance(a >> shift & 0xff, b >> shift & 0xff);
  return sum;
}
u32 sad_u8(u32 a, u32 b, u32 c) { return sad_bytes(a, b) + c; }
u32 sad_hi_u8(u32 a, u32 b, u32 c) { return (sad_bytes(a, b) << 16) + c; }
u32 msad_u8(u32 a, u32 b, u32 c) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    if ((b >> shift & 0xff) != 0) c += distance(a >> shift & 0xff, b >> shift & 0xff);
  }
  return c;
}

// Selectors 0–3 take bytes of b, 4–7 of a, 8–11 spread the sign of a half, 12 is 0, above is all ones.
u32 perm(u32 a, u32 b, u32 selectors) {
  const u64 both = static_cast<u64>(a) << 32 | b;
  u32 out = 0;
  for (unsigned shift = 0; shift < 32; shift += 8) {
    const u32 selector = selectors >> shift & 0xff;
    u32 byte = 0;
    if (selector < 8)
      byte = static_cast<u32>(both >> (8 * selector)) & 0xff;
    else if (selector < 12)
      byte = both >> (16 * (selector - 8) + 15) & 1 ? 0xff : 0;
    else if (selector > 12)
      byte = 0xff;
    out |= byte << shift;
  }
  return out;
}

// With the same selectors in every lane it is two byte shuffles of the host, unless signs are spread.
template <unsigned kScalars>
const Operation* perm_by_scalar(const Operation* operation, Wave* wave) {
  const u32 selectors = scalar_value<u32>(operation, wave, 2);
  u32 from_low = 0;
  u32 from_high = 0;
  u32 ones = 0;
  for (unsigned at = 0; at < 32; at += 8) {
    const u32 selector = selectors >> at & 0xff;
    if (selector >= 8 && selector < 12) return Lanes<perm>::modified<Rounding::none>(operation, wave);
    from_low |= (selector < 4 ? selector : 0x80) << at;
    from_high |= (selector >= 4 && selector < 8 ? selector - 4 : 0x80) << at;
    if (selector > 12) ones |= 0xffu << at;
  }
  const Source<u32, (kScalars & 1) != 0, false> high(operation, wave, 0);
  const Source<u32, (kScalars & 2) != 0, false> low(operation, wave, 1);
  alignas(64) u32 highs[kLanes];
  alignas(64) u32 lows[kLanes];
  for (unsigned lane = 0; lane < kLanes; ++lane) highs[lane] = high[lane];
  for (unsigned lane = 0; lane < kLanes; ++lane) lows[lane] = low[lane];
  // The host shuffles bytes within groups of 16: the word's own place is added to each selector that is used.
  const __m256i places =
      _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404, 0x08080808, 0x0c0c0c0c);
  const __m256i low_bytes = _mm256_add_epi8(_mm256_set1_epi32(static_cast<i32>(from_low)), places);
  const __m256i high_bytes = _mm256_add_epi8(_mm256_set1_epi32(static_cast<i32>(from_high)), places);
  const __m256i set = _mm256_set1_epi32(static_cast<i32>(ones));
  u32* const destination = wave->at<u32>(operation->destination);
  const u32* const masks = wave->masks();
  for (unsigned lane = 0; lane < kLanes; lane += 8) {
    const auto load = [lane](const u32* words) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + lane));
    };
    const __m256i out = _mm256_or_si256(_mm256_or_si256(_mm256_shuffle_epi8(load(lows), low_bytes),
                                                        _mm256_shuffle_epi8(load(highs), high_bytes)),
                                        set);
    const __m256i kept = _mm256_blendv_epi8(load(destination), out, load(masks));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(destination + lane), kept);
  }
  return operation + 1;
}

u32 xad(u32 a, u32 b, u32 c) { return (a ^ b) + c; }
u32 lshl_add(u32 a, u32 b, u32 c) { return (a << (b & 31)) + c; }
u32 add_lshl(u32 a, u32 b, u32 c) { return (a + b) << (c & 31); }
u32 add3(u32 a, u32 b, u32 c) { return a + b + c; }
u32 lshl_or(u32 a, u32 b, u32 c) { return a << (b & 31) | c; }
u32 and_or(u32 a, u32 b, u32 c) { return (a & b) | c; }
u32 or3(u32 a, u32 b, u32 c) { return a | b | c; }

u32 clamp_i(i64 value) {
  return u(value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : static_cast<i32>(value));
}
u32 clamp_u(u64 value) { return value > UINT32_MAX ? UINT32_MAX : static_cast<u32>(value); }
u32 mad_i24_sat(u32 a, u32 b, u32 c) {
  return clamp_i(static_cast<i64>(s(a << 8) >> 8) * (s(b << 8) >> 8) + s(c));
}
u32 mad_u24_sat(u32 a, u32 b, u32 c) { return clamp_u(static_cast<u64>(a & 0xffffff) * (b & 0xffffff) + c); }

// Shifts of pairs without branches: by the amount modulo 32, then by a whole word. (x >> 1 >> (31 − n) is x
// >> (32 − n), and 0 for n = 0.)
Pair lshlrev64(u32 a, Pair b) {
  const u32 amount = a & 31;
  const u32 low = b.low << amount;
  const u32 high = b.high << amount | b.low >> 1 >> (31 - amount);
  return a & 32 ? Pair{0, low} : Pair{low, high};
}
Pair lshrrev64(u32 a, Pair b) {
  const u32 amount = a & 31;
  const u32 high = b.high >> amount;
  const u32 low = b.low >> amount | b.high << 1 << (31 - amount);
  return a & 32 ? Pair{high, 0} : Pair{low, high};
}
Pair ashrrev64(u32 a, Pair b) {
  const u32 amount = a & 31;
  const u32 high = u(s(b.high) >> amount);
  const u32 low = b.low >> amount | b.high << 1 << (31 - amount);
  return a & 32 ? Pair{high, u(s(b.high) >> 31)} : Pair{low, high};
}
Pair lshl_add64(Pair a, u32 b, Pair c) {
  const Pair shifted = lshlrev64(b & 7, a);
  const u32 low = shifted.low + c.low;
  return {low, shifted.high + c.high + (low < c.low ? 1u : 0u)};
}

}  // namespace

void add_integer_long(HandlerTable& table) {
  using enum Opcode;
  table.add<mad_i24>(v_mad_i32_i24);
  table.add<mad_u24>(v_mad_u32_u24);
  table.saturate<mad_i24_sat>(v_mad_i32_i24);
  table.saturate<mad_u24_sat>(v_mad_u32_u24);
  table.add<bfe_u>(v_bfe_u32);
  table.add<bfe_i>(v_bfe_i32);
  table.add<bfi>(v_bfi_b32);
  table.add_modified<lerp_u8>(v_lerp_u8);
  table.add<alignbit>(v_alignbit_b32);
  table.add<alignbyte>(v_alignbyte_b32);
  table.add<min3_i>(v_min3_i32);
  table.add<max3_i>(v_max3_i32);
  table.add<med3_i>(v_med3_i32);
  table.add<min3_u>(v_min3_u32);
  table.add<max3_u>(v_max3_u32);
  table.add<med3_u>(v_med3_u32);
  table.add_modified<sad_u32>(v_sad_u32);
  table.add_modified<sad_u16>(v_sad_u16);
  table.add_modified<sad_u8>(v_sad_u8);
  table.add_modified<sad_hi_u8>(v_sad_hi_u8);
  table.add_modified<msad_u8>(v_msad_u8);
  table.add<perm>(v_perm_b32);
  table[v_perm_b32].plain[4] = &perm_by_scalar<4>;
  table[v_perm_b32].plain[5] = &perm_by_scalar<5>;
  table[v_perm_b32].plain[6] = &perm_by_scalar<6>;
  table.add<xad>(v_xad_u32);
  table.add<lshl_add>(v_lshl_add_u32);
  table.add<add_lshl>(v_add_lshl_u32);
  table.add<add3>(v_add3_u32);
  table.add<lshl_or>(v_lshl_or_b32);
  table.add<and_or>(v_and_or_b32);
  table.add<or3>(v_or3_b32);
  table.add<lshlrev64>(v_lshlrev_b64);
  table.add<lshrrev64>(v_lshrrev_b64);
  table.add<ashrrev64>(v_ashrrev_i64);
  table.add<lshl_add64>(v_lshl_add_u64);
}

}  // namespace virtual_rocm::isa
