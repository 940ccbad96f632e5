// SPDX-License-Identifier: MIT
//
// Vector instructions that read or write a mask with one bit for each lane: selects, carries, wide
// multiply-adds, mbcnt.
#include "isa/handlers.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;

std::uint64_t mask_source(const Operation* operation, Wave* wave) {
  return scalar_value<u64>(operation, wave, 2);
}

template <unsigned kScalars>
const Operation* select(const Operation* operation, Wave* wave) {
  const Source<u32, (kScalars & 1) != 0, false> zero(operation, wave, 0);
  const Source<u32, (kScalars & 2) != 0, false> one(operation, wave, 1);
  alignas(64) u32 chosen[kLanes];
  expand_mask(mask_source(operation, wave), chosen);
  u32* const destination = wave->at<u32>(operation->destination);
  if (wave->exec() == kAllLanes) [[likely]] {
    VIRTUAL_ROCM_LANE_LOOP
    for (unsigned lane = 0; lane < kLanes; ++lane) destination[lane] = chosen[lane] ? one[lane] : zero[lane];
  } else {
    const u32* const masks = wave->masks();
    VIRTUAL_ROCM_LANE_LOOP
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      const u32 value = chosen[lane] ? one[lane] : zero[lane];
      destination[lane] = masks[lane] ? value : destination[lane];
    }
  }
  return operation + 1;
}

const Operation* select_modified(const Operation* operation, Wave* wave) {
  ModifiedOperands operands;
  load_modified(*operation, *wave, 0, operands);
  load_modified(*operation, *wave, 1, operands);
  alignas(64) u32 chosen[kLanes];
  expand_mask(mask_source(operation, wave), chosen);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    operands.result[lane] = operands.source[chosen[lane] ? 1 : 0][lane];
  }
  store_modified(*operation, *wave, operands);
  return operation + 1;
}

// Carries as all ones or zero.
struct Add {
  static u32 value(u32 a, u32 b, u32 carry) { return a + b - carry; }
  static u32 carry(u32 a, u32 b, u32 carry) {
    const u32 sum = a + b;
    return (sum < a ? ~0u : 0) | (sum == ~0u ? carry : 0);
  }
};
struct Subtract {
  static u32 value(u32 a, u32 b, u32 borrow) { return a - b + borrow; }
  static u32 carry(u32 a, u32 b, u32 borrow) { return (a < b ? ~0u : 0) | (a == b ? borrow : 0); }
};
struct SubtractReversed {
  static u32 value(u32 a, u32 b, u32 borrow) { return Subtract::value(b, a, borrow); }
  static u32 carry(u32 a, u32 b, u32 borrow) { return Subtract::carry(b, a, borrow); }
};

template <typename Sum, bool kCarryIn, unsigned kScalars>
const Operation* with_carry(const Operation* operation, Wave* wave) {
  const Source<u32, (kScalars & 1) != 0, false> left(operation, wave, 0);
  const Source<u32, (kScalars & 2) != 0, false> right(operation, wave, 1);
  alignas(64) u32 carries[kLanes] = {};
  alignas(64) u32 out[kLanes];
  if constexpr (kCarryIn) expand_mask(mask_source(operation, wave), carries);
  u32* const destination = wave->at<u32>(operation->destination);
  const u32* const masks = wave->masks();
  VIRTUAL_ROCM_LANE_LOOP
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const u32 a = left[lane];
    const u32 b = right[lane];
    out[lane] = Sum::carry(a, b, carries[lane]) & masks[lane];
    const u32 value = Sum::value(a, b, carries[lane]);
    destination[lane] = masks[lane] ? value : destination[lane];
  }
  wave->set_scalar_pair(operation->instruction.second_destination, collect_mask(out));
  return operation + 1;
}

template <typename Sum, bool kCarryIn>
const Operation* with_carry_modified(const Operation* operation, Wave* wave) {
  ModifiedOperands operands;
  load_modified(*operation, *wave, 0, operands);
  load_modified(*operation, *wave, 1, operands);
  alignas(64) u32 carries[kLanes] = {};
  alignas(64) u32 out[kLanes];
  if constexpr (kCarryIn) expand_mask(mask_source(operation, wave), carries);
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const u32 a = operands.source[0][lane];
    const u32 b = operands.source[1][lane];
    out[lane] = Sum::carry(a, b, carries[lane]);
    operands.result[lane] = Sum::value(a, b, carries[lane]);
  }
  store_modified(*operation, *wave, operands);
  // Lanes that DPP keeps from writing keep their bit too.
  const u64 writes = wave->exec() & operands.writable;
  const u64 kept =
      wave->exec() & ~operands.writable & wave->scalar_pair(operation->instruction.second_destination);
  wave->set_scalar_pair(operation->instruction.second_destination, (collect_mask(out) & writes) | kept);
  return operation + 1;
}

template <typename Word, bool kScalar>
__m256i eight(const Source<Word, kScalar, false>& source, const u32* rows, unsigned lane) {
  if constexpr (kScalar)
    return _mm256_set1_epi32(static_cast<i32>(source[0]));
  else
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(rows + lane));
}

// 32 × 32 + 64 bits; the second destination has the carry out of bit 63 (for signed operands, the sign of the
// exact sum). Written for the host's vectors by hand, as compilers do not find this out and address
// arithmetic is full of it.
template <bool kSigned, unsigned kScalars>
const Operation* multiply_add(const Operation* operation, Wave* wave) {
  const Source<u32, (kScalars & 1) != 0, false> left(operation, wave, 0);
  const Source<u32, (kScalars & 2) != 0, false> right(operation, wave, 1);
  const u32* const left_rows = wave->at<u32>(kScalars & 1 ? 0 : operation->source[0]);
  const u32* const right_rows = wave->at<u32>(kScalars & 2 ? 0 : operation->source[1]);
  const u32* const addend_rows = wave->at<u32>(kScalars & 4 ? 0 : operation->source[2]);
  Pair constant{};
  if constexpr ((kScalars & 4) != 0) constant = scalar_value<Pair>(operation, wave, 2);
  u32* const destination = wave->at<u32>(operation->destination);
  const u32* const masks = wave->masks();
  u64 carries = 0;
  for (unsigned lane = 0; lane < kLanes; lane += 8) {
    const __m256i a = eight(left, left_rows, lane);
    const __m256i b = eight(right, right_rows, lane);
    __m256i c_low = _mm256_set1_epi32(static_cast<i32>(constant.low));
    __m256i c_high = _mm256_set1_epi32(static_cast<i32>(constant.high));
    if constexpr ((kScalars & 4) == 0) {
      c_low = _mm256_load_si256(reinterpret_cast<const __m256i*>(addend_rows + lane));
      c_high = _mm256_load_si256(reinterpret_cast<const __m256i*>(addend_rows + kLanes + lane));
    }
    const __m256i even = _mm256_mul_epu32(a, b);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
    const __m256i low_product = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
    __m256i high_product = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    if constexpr (kSigned) {
      // A negative factor counts 2^32 times the other too much in the unsigned product.
      high_product = _mm256_sub_epi32(high_product, _mm256_and_si256(_mm256_srai_epi32(a, 31), b));
      high_product = _mm256_sub_epi32(high_product, _mm256_and_si256(_mm256_srai_epi32(b, 31), a));
    }
    const auto less = [](__m256i x, __m256i y) {  // x < y unsigned
      return _mm256_andnot_si256(_mm256_cmpeq_epi32(_mm256_max_epu32(x, y), x), _mm256_set1_epi32(-1));
    };
    const __m256i low = _mm256_add_epi32(low_product, c_low);
    const __m256i carry = less(low, c_low);
    const __m256i partial = _mm256_add_epi32(high_product, c_high);
    const __m256i high = _mm256_sub_epi32(partial, carry);
    __m256i out;
    if constexpr (kSigned) {
      const __m256i changed =
          _mm256_andnot_si256(_mm256_xor_si256(high_product, c_high), _mm256_xor_si256(high_product, high));
      out = _mm256_xor_si256(high, changed);
    } else {
      const __m256i wrapped = _mm256_and_si256(carry, _mm256_cmpeq_epi32(high, _mm256_setzero_si256()));
      out = _mm256_or_si256(less(partial, c_high), wrapped);
    }
    carries |= static_cast<u64>(static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(out)))) << lane;
    const __m256i mask = _mm256_load_si256(reinterpret_cast<const __m256i*>(masks + lane));
    auto* const to_low = reinterpret_cast<__m256i*>(destination + lane);
    auto* const to_high = reinterpret_cast<__m256i*>(destination + kLanes + lane);
    _mm256_store_si256(to_low, _mm256_blendv_epi8(_mm256_load_si256(to_low), low, mask));
    _mm256_store_si256(to_high, _mm256_blendv_epi8(_mm256_load_si256(to_high), high, mask));
  }
  wave->set_scalar_pair(operation->instruction.second_destination, carries & wave->exec());
  return operation + 1;
}

// For each lane the mask of those below it, of the low or the high 32.
struct LanesBelow {
  alignas(64) u32 words[kLanes] = {};
  constexpr explicit LanesBelow(bool high) {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      const u64 below = (u64{1} << lane) - 1;
      words[lane] = static_cast<u32>(high ? below >> 32 : below);
    }
  }
};

// Counts the bits of source 0 that belong to lanes below this one, of the low or the high 32 lanes.
template <bool kHigh, unsigned kScalars>
const Operation* count_below(const Operation* operation, Wave* wave) {
  const Source<u32, (kScalars & 1) != 0, false> bits(operation, wave, 0);
  const Source<u32, (kScalars & 2) != 0, false> base(operation, wave, 1);
  static constexpr LanesBelow kBelow(kHigh);
  u32* const destination = wave->at<u32>(operation->destination);
  const u32* const masks = wave->masks();
  alignas(64) u32 counts[kLanes];
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    counts[lane] = count_bits(bits[lane] & kBelow.words[lane]) + base[lane];
  }
  for (unsigned lane = 0; lane < kLanes; ++lane)
    destination[lane] = masks[lane] ? counts[lane] : destination[lane];
  return operation + 1;
}

template <template <unsigned> typename Make, std::size_t... kScalars>
void fill(Handlers& row, std::index_sequence<kScalars...>) {
  ((row.plain[kScalars] = Make<kScalars>::handler), ...);
}

template <unsigned kScalars>
struct Select {
  static constexpr Handler handler = &select < kScalars & 3 > ;
};
template <bool kHigh>
struct Count {
  template <unsigned kScalars>
  struct Make {
    static constexpr Handler handler = &count_below<kHigh, kScalars>;
  };
};
template <bool kSigned>
struct Multiply {
  template <unsigned kScalars>
  struct Make {
    static constexpr Handler handler = &multiply_add<kSigned, kScalars>;
  };
};
template <typename Sum, bool kCarryIn>
struct Carry {
  template <unsigned kScalars>
  struct Make {
    static constexpr Handler handler = &with_carry < Sum, kCarryIn, kScalars & 3 > ;
  };
};

template <typename Sum, bool kCarryIn>
void add_carry(HandlerTable& table, Opcode opcode) {
  Handlers& row = table[opcode];
  row.sources = kCarryIn ? 3 : 2;
  row.modified = &with_carry_modified<Sum, kCarryIn>;
  fill<Carry<Sum, kCarryIn>::template Make>(row, std::make_index_sequence<(kCarryIn ? 8 : 4)>());
}

}  // namespace

void add_masks(HandlerTable& table) {
  using enum Opcode;
  table[v_cndmask_b32].sources = 3;
  table[v_cndmask_b32].modified = &select_modified;
  fill<Select>(table[v_cndmask_b32], std::make_index_sequence<8>());
  add_carry<Add, false>(table, v_add_co_u32);
  add_carry<Subtract, false>(table, v_sub_co_u32);
  add_carry<SubtractReversed, false>(table, v_subrev_co_u32);
  add_carry<Add, true>(table, v_addc_co_u32);
  add_carry<Subtract, true>(table, v_subb_co_u32);
  add_carry<SubtractReversed, true>(table, v_subbrev_co_u32);
  table[v_mad_u64_u32].sources = 3;
  fill<Multiply<false>::Make>(table[v_mad_u64_u32], std::make_index_sequence<8>());
  table[v_mad_i64_i32].sources = 3;
  fill<Multiply<true>::Make>(table[v_mad_i64_i32], std::make_index_sequence<8>());
  table[v_mbcnt_lo_u32_b32].sources = 2;
  fill<Count<false>::Make>(table[v_mbcnt_lo_u32_b32], std::make_index_sequence<4>());
  table[v_mbcnt_hi_u32_b32].sources = 2;
  fill<Count<true>::Make>(table[v_mbcnt_hi_u32_b32], std::make_index_sequence<4>());
}

}  // namespace virtual_rocm::isa
