// SPDX-License-Identifier: MIT
//
// Vector instructions that read or write a mask with one bit for each lane: selects, carries, wide multiply-adds, mbcnt.
#include "isa/handlers.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;

std::uint64_t mask_source(const Operation* operation, Wave* wave) { return scalar_value<u64>(operation, wave, 2); }

template <unsigned kScalars>
const Operation* select(const Operation* operation, Wave* wave) {
  const Source<u32, (kScalars & 1) != 0, false> zero(operation, wave, 0);
  const Source<u32, (kScalars & 2) != 0, false> one(operation, wave, 1);
  alignas(64) u32 chosen[kLanes];
  expand_mask(mask_source(operation, wave), chosen);
  u32* const destination = wave->at<u32>(operation->destination);
  if (wave->exec() == kAllLanes) [[likely]] {
#pragma GCC ivdep
    for (unsigned lane = 0; lane < kLanes; ++lane) destination[lane] = chosen[lane] ? one[lane] : zero[lane];
  } else {
    const u32* const masks = wave->masks();
#pragma GCC ivdep
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
#pragma GCC ivdep
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
  const u64 kept = wave->exec() & ~operands.writable & wave->scalar_pair(operation->instruction.second_destination);
  wave->set_scalar_pair(operation->instruction.second_destination, (collect_mask(out) & writes) | kept);
  return operation + 1;
}

// 32 × 32 + 64 bits; the second destination has the carry out of bit 63 (for signed operands, the sign of the exact sum).
template <bool kSigned, unsigned kScalars>
const Operation* multiply_add(const Operation* operation, Wave* wave) {
  const Source<u32, (kScalars & 1) != 0, false> left(operation, wave, 0);
  const Source<u32, (kScalars & 2) != 0, false> right(operation, wave, 1);
  const Source<Pair, (kScalars & 4) != 0, false> addend(operation, wave, 2);
  alignas(64) u32 out[kLanes];
  u32* const destination = wave->at<u32>(operation->destination);
  const u32* const masks = wave->masks();
#pragma GCC ivdep
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const u32 a = left[lane];
    const u32 b = right[lane];
    const Pair c = addend[lane];
    u32 high_product = static_cast<u32>(static_cast<u64>(a) * b >> 32);
    // A negative factor counts 2^32 too much in the unsigned product.
    if constexpr (kSigned) high_product -= (static_cast<i32>(a) >> 31 & b) + (static_cast<i32>(b) >> 31 & a);
    const u32 low = a * b + c.low;
    const u32 carry = low < c.low ? 1 : 0;
    const u32 high = high_product + c.high + carry;
    // The carry out of the 64-bit sum; for signed operands, the sign of the exact sum.
    const u32 unsigned_carry = high < c.high || (carry != 0 && high == c.high) ? ~0u : 0;
    const u32 overflow = (~(high_product ^ c.high) & (high_product ^ high)) >> 31;
    const u32 signed_carry = (high >> 31) != overflow ? ~0u : 0;
    out[lane] = (kSigned ? signed_carry : unsigned_carry) & masks[lane];
    store_masked(destination, lane, Pair{low, high}, masks[lane]);
  }
  wave->set_scalar_pair(operation->instruction.second_destination, collect_mask(out));
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
#pragma GCC ivdep
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const u32 value = count_bits(bits[lane] & kBelow.words[lane]) + base[lane];
    destination[lane] = masks[lane] ? value : destination[lane];
  }
  return operation + 1;
}

template <template <unsigned> typename Make, std::size_t... kScalars>
void fill(Handlers& row, std::index_sequence<kScalars...>) {
  ((row.plain[kScalars] = Make<kScalars>::handler), ...);
}

template <unsigned kScalars>
struct Select {
  static constexpr Handler handler = &select<kScalars & 3>;
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
    static constexpr Handler handler = &with_carry<Sum, kCarryIn, kScalars & 3>;
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
