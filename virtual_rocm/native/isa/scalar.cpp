// SPDX-License-Identifier: MIT
//
// The scalar ALU. A function takes its sources (32- or 64-bit words) and SCC, which it may change.
#include <bit>
#include <tuple>

#include "isa/handlers.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

i32 s(u32 value) { return static_cast<i32>(value); }
u32 u(i32 value) { return static_cast<u32>(value); }

template <typename Word>
void store_scalar(Wave* wave, u32 offset, Word value) {
  std::memcpy(wave->at<char>(offset), &value, sizeof value);
}

template <auto kFunction>
struct Scalar;

template <typename Result, typename... Arguments, Result (*kFunction)(u32&, Arguments...)>
struct Scalar<kFunction> {
  template <std::size_t... kIndex>
  static void run(const Operation* operation, Wave* wave, std::index_sequence<kIndex...>) {
    u32& scc = wave->scalar[engine::operand::kScc];
    if constexpr (std::is_void_v<Result>) {
      kFunction(scc, scalar_value<Arguments>(operation, wave, kIndex)...);
    } else {
      const Result value = kFunction(scc, scalar_value<Arguments>(operation, wave, kIndex)...);
      store_scalar(wave, operation->destination, value);
    }
  }
  static const Operation* execute(const Operation* operation, Wave* wave) {
    run(operation, wave, std::make_index_sequence<sizeof...(Arguments)>());
    return operation + 1;
  }
};

// Bit operations: SCC tells whether the result is not zero.
template <typename Word, Word (*kOperation)(Word, Word)>
Word logic(u32& scc, Word a, Word b) {
  const Word out = kOperation(a, b);
  scc = out != 0;
  return out;
}
template <typename Word>
Word op_and(Word a, Word b) {
  return a & b;
}
template <typename Word>
Word op_or(Word a, Word b) {
  return a | b;
}
template <typename Word>
Word op_xor(Word a, Word b) {
  return a ^ b;
}
template <typename Word>
Word op_andn2(Word a, Word b) {
  return a & ~b;
}
template <typename Word>
Word op_orn2(Word a, Word b) {
  return a | ~b;
}
template <typename Word>
Word op_nand(Word a, Word b) {
  return ~(a & b);
}
template <typename Word>
Word op_nor(Word a, Word b) {
  return ~(a | b);
}
template <typename Word>
Word op_xnor(Word a, Word b) {
  return ~(a ^ b);
}
u64 op_andn1(u64 a, u64 b) { return ~a & b; }
u64 op_orn1(u64 a, u64 b) { return ~a | b; }

template <typename Word>
Word non_zero(u32& scc, Word out) {
  scc = out != 0;
  return out;
}

u32 add_u(u32& scc, u32 a, u32 b) {
  scc = a + b < a;
  return a + b;
}
u32 sub_u(u32& scc, u32 a, u32 b) {
  scc = a < b;
  return a - b;
}
u32 add_i(u32& scc, u32 a, u32 b) {
  scc = (~(a ^ b) & (a ^ (a + b))) >> 31;
  return a + b;
}
u32 sub_i(u32& scc, u32 a, u32 b) {
  scc = ((a ^ b) & (a ^ (a - b))) >> 31;
  return a - b;
}
u32 addc(u32& scc, u32 a, u32 b) {
  const u64 sum = static_cast<u64>(a) + b + scc;
  scc = sum >> 32 != 0;
  return static_cast<u32>(sum);
}
u32 subb(u32& scc, u32 a, u32 b) {
  const u64 difference = static_cast<u64>(a) - b - scc;
  scc = difference >> 32 != 0;
  return static_cast<u32>(difference);
}
u32 min_i(u32& scc, u32 a, u32 b) {
  scc = s(a) < s(b);
  return scc ? a : b;
}
u32 max_i(u32& scc, u32 a, u32 b) {
  scc = s(a) > s(b);
  return scc ? a : b;
}
u32 min_u(u32& scc, u32 a, u32 b) {
  scc = a < b;
  return scc ? a : b;
}
u32 max_u(u32& scc, u32 a, u32 b) {
  scc = a > b;
  return scc ? a : b;
}
template <typename Word>
Word cselect(u32& scc, Word a, Word b) {
  return scc ? a : b;
}

u32 lshl(u32& scc, u32 a, u32 b) { return non_zero(scc, a << (b & 31)); }
u32 lshr(u32& scc, u32 a, u32 b) { return non_zero(scc, a >> (b & 31)); }
u32 ashr(u32& scc, u32 a, u32 b) { return non_zero(scc, u(s(a) >> (b & 31))); }
u64 lshl64(u32& scc, u64 a, u32 b) { return non_zero(scc, a << (b & 63)); }
u64 lshr64(u32& scc, u64 a, u32 b) { return non_zero(scc, a >> (b & 63)); }
u64 ashr64(u32& scc, u64 a, u32 b) {
  return non_zero(scc, static_cast<u64>(static_cast<i64>(a) >> (b & 63)));
}
u32 bfm(u32&, u32 a, u32 b) { return ((1u << (a & 31)) - 1) << (b & 31); }
u64 bfm64(u32&, u32 a, u32 b) { return ((u64{1} << (a & 63)) - 1) << (b & 63); }
u32 mul(u32&, u32 a, u32 b) { return a * b; }
u32 mul_hi_u(u32&, u32 a, u32 b) { return static_cast<u32>(static_cast<u64>(a) * b >> 32); }
u32 mul_hi_i(u32&, u32 a, u32 b) { return static_cast<u32>(static_cast<i64>(s(a)) * s(b) >> 32); }

// The field of `bits` bits from `offset` on, both as the second source packs them (offset low, width from bit
// 16).
template <typename Word>
Word field(Word a, u32 b, bool is_signed) {
  constexpr u32 kBits = 8 * sizeof(Word);
  const u32 offset = b & (kBits - 1);
  const u32 width = b >> 16 & 0x7f;
  if (width == 0) return 0;
  const Word shifted = a >> offset;
  if (width + offset >= kBits) {
    return is_signed ? static_cast<Word>(static_cast<std::make_signed_t<Word>>(a) >> offset) : shifted;
  }
  const Word kept = shifted & ((Word{1} << width) - 1);
  if (!is_signed || !(kept >> (width - 1) & 1)) return kept;
  return kept | ~Word{0} << width;
}
u32 bfe_u(u32& scc, u32 a, u32 b) { return non_zero(scc, field(a, b, false)); }
u32 bfe_i(u32& scc, u32 a, u32 b) { return non_zero(scc, field(a, b, true)); }
u64 bfe_u64(u32& scc, u64 a, u32 b) { return non_zero(scc, field(a, b, false)); }
u64 bfe_i64(u32& scc, u64 a, u32 b) { return non_zero(scc, field(a, b, true)); }
u32 absdiff(u32& scc, u32 a, u32 b) {
  const u32 difference = a - b;
  return non_zero(scc, s(difference) < 0 ? 0 - difference : difference);
}
template <unsigned kShift>
u32 lshl_add(u32& scc, u32 a, u32 b) {
  const u64 sum = (static_cast<u64>(a) << kShift) + b;
  scc = sum >> 32 != 0;
  return static_cast<u32>(sum);
}
u32 pack_ll(u32&, u32 a, u32 b) { return (a & 0xffff) | b << 16; }
u32 pack_lh(u32&, u32 a, u32 b) { return (a & 0xffff) | (b & 0xffff0000); }
u32 pack_hh(u32&, u32 a, u32 b) { return a >> 16 | (b & 0xffff0000); }

template <typename Word>
Word mov(u32&, Word a) {
  return a;
}
template <typename Word>
Word bit_not(u32& scc, Word a) {
  return non_zero(scc, static_cast<Word>(~a));
}
// Each group of four bits becomes all ones if any of them is set.
template <typename Word>
Word wqm(u32& scc, Word a) {
  Word out = 0;
  for (unsigned at = 0; at < 8 * sizeof(Word); at += 4) out |= a >> at & 15 ? Word{15} << at : 0;
  return non_zero(scc, out);
}
template <typename Word>
Word quadmask(u32& scc, Word a) {
  Word out = 0;
  for (unsigned at = 0; at < 8 * sizeof(Word); at += 4) out |= a >> at & 15 ? Word{1} << (at / 4) : 0;
  return non_zero(scc, out);
}
template <typename Word>
Word reverse(u32&, Word a) {
  Word out = 0;
  for (unsigned at = 0; at < 8 * sizeof(Word); ++at) out |= (a >> at & 1) << (8 * sizeof(Word) - 1 - at);
  return out;
}
template <typename Word>
u32 bcnt0(u32& scc, Word a) {
  return non_zero(scc, u(std::popcount(static_cast<Word>(~a))));
}
template <typename Word>
u32 bcnt1(u32& scc, Word a) {
  return non_zero(scc, u(std::popcount(a)));
}
template <typename Word>
u32 first_low(u32&, Word a) {
  return a == 0 ? ~0u : u(std::countr_zero(a));
}
template <typename Word>
u32 first_low_zero(u32& scc, Word a) {
  return first_low(scc, static_cast<Word>(~a));
}
template <typename Word>
u32 first_high(u32&, Word a) {
  return a == 0 ? ~0u : u(std::countl_zero(a));
}
template <typename Word>
u32 first_high_signed(u32& scc, Word a) {
  return first_high(scc, static_cast<std::make_signed_t<Word>>(a) < 0 ? static_cast<Word>(~a) : a);
}
u32 sext8(u32&, u32 a) { return u(static_cast<std::int8_t>(a)); }
u32 sext16(u32&, u32 a) { return u(static_cast<std::int16_t>(a)); }
u32 abs_i(u32& scc, u32 a) { return non_zero(scc, s(a) < 0 ? 0 - a : a); }
u64 bitreplicate(u32&, u32 a) {
  u64 out = 0;
  for (unsigned at = 0; at < 32; ++at) out |= (a >> at & 1 ? u64{3} : 0) << (2 * at);
  return out;
}

template <typename Word, typename Compare>
void compare(u32& scc, Word a, Word b) {
  scc = Compare()(a, b);
}
template <typename Compare>
void compare_signed(u32& scc, u32 a, u32 b) {
  scc = Compare()(s(a), s(b));
}
template <bool kWanted>
void bitcmp(u32& scc, u32 a, u32 b) {
  scc = (a >> (b & 31) & 1) == kWanted;
}
template <bool kWanted>
void bitcmp64(u32& scc, u64 a, u32 b) {
  scc = (a >> (b & 63) & 1) == kWanted;
}

// --- Those that need the wave
// ------------------------------------------------------------------------------------

template <u64 (*kOperation)(u64, u64), bool kSaves>
const Operation* change_exec(const Operation* operation, Wave* wave) {
  const u64 old = wave->exec();
  const u64 mask = kOperation(scalar_value<u64>(operation, wave, 0), old);
  // The result is the old mask in …_saveexec, the new one in …_wrexec.
  store_scalar(wave, operation->destination, kSaves ? old : mask);
  wave->set_exec(mask);
  wave->set_scc(mask != 0);
  return operation + 1;
}

template <typename Word>
const Operation* cmov(const Operation* operation, Wave* wave) {
  if (wave->scc()) store_scalar(wave, operation->destination, scalar_value<Word>(operation, wave, 0));
  return operation + 1;
}

template <typename Word, bool kSet>
const Operation* bitset(const Operation* operation, Wave* wave) {
  Word value;
  std::memcpy(&value, wave->at<char>(operation->destination), sizeof value);
  const Word bit = Word{1} << (scalar_value<u32>(operation, wave, 0) & (8 * sizeof(Word) - 1));
  store_scalar(wave, operation->destination, kSet ? value | bit : value & ~bit);
  return operation + 1;
}

// s_movrels reads, s_movreld writes the register M0 places further on.
template <typename Word, bool kSource>
const Operation* move_relative(const Operation* operation, Wave* wave) {
  const u32 distance = wave->scalar[engine::operand::kM0] * static_cast<u32>(sizeof(u32));
  Operation shifted = *operation;
  if (kSource)
    shifted.source[0] += distance;
  else
    shifted.destination += distance;
  const u32 last = engine::scalar_offset(operand::kFlatScratch) - static_cast<u32>(sizeof(Word));
  const u32 used = kSource ? shifted.source[0] : shifted.destination;
  if (used > last || used < engine::scalar_offset(0)) return operation + 1;  // outside the SGPRs: no effect
  store_scalar(wave, shifted.destination, scalar_value<Word>(&shifted, wave, 0));
  return operation + 1;
}

// SOPK: the destination is also the first source, the second is the immediate.
template <u32 (*kFunction)(u32&, u32, u32)>
const Operation* with_immediate(const Operation* operation, Wave* wave) {
  u32* const destination = wave->at<u32>(operation->destination);
  *destination =
      kFunction(wave->scalar[engine::operand::kScc], *destination, static_cast<u32>(operation->immediate));
  return operation + 1;
}
template <void (*kFunction)(u32&, u32, u32), bool kUnsigned>
const Operation* compare_immediate(const Operation* operation, Wave* wave) {
  u32 immediate = static_cast<u32>(operation->immediate);
  if (kUnsigned) immediate &= 0xffff;
  kFunction(wave->scalar[engine::operand::kScc], *wave->at<u32>(operation->destination), immediate);
  return operation + 1;
}
const Operation* movk(const Operation* operation, Wave* wave) {
  *wave->at<u32>(operation->destination) = static_cast<u32>(operation->immediate);
  return operation + 1;
}
const Operation* cmovk(const Operation* operation, Wave* wave) {
  return wave->scc() ? movk(operation, wave) : operation + 1;
}

// The index is M0[7:0]; what is indexed is kept in M0[15:12] and in the wave.
const Operation* gpr_index_on(const Operation* operation, Wave* wave) {
  u32& m0 = wave->scalar[engine::operand::kM0];
  const u32 index = scalar_value<u32>(operation, wave, 0) & 0xff;
  const u32 mode = operation->instruction.immediate & 15;
  m0 = (m0 & 0xffff0f00) | index | mode << 12;
  wave->gpr_index_mode = mode;
  wave->mode |= 1u << 27;
  return operation + 1;
}
const Operation* gpr_index_off(const Operation* operation, Wave* wave) {
  wave->gpr_index_mode = 0;
  wave->mode &= ~(1u << 27);
  return operation + 1;
}
const Operation* gpr_index_index(const Operation* operation, Wave* wave) {
  u32& m0 = wave->scalar[engine::operand::kM0];
  m0 = (m0 & ~0xffu) | (scalar_value<u32>(operation, wave, 0) & 0xff);
  return operation + 1;
}
const Operation* gpr_index_mode(const Operation* operation, Wave* wave) {
  u32& m0 = wave->scalar[engine::operand::kM0];
  const u32 mode = operation->instruction.immediate & 15;
  m0 = (m0 & ~0xf000u) | mode << 12;
  wave->gpr_index_mode = mode;
  return operation + 1;
}

class Registrar {
 public:
  explicit Registrar(HandlerTable& table) : table_(table) {}
  template <auto kFunction>
  void add(Opcode opcode) {
    table_[opcode].plain[0] = &Scalar<kFunction>::execute;
  }
  void add(Opcode opcode, Handler handler) { table_[opcode].plain[0] = handler; }
  template <u32 (*kNarrow)(u32, u32), u64 (*kWide)(u64, u64)>
  void logic_pair(Opcode narrow, Opcode wide) {
    add<&logic<u32, kNarrow>>(narrow);
    add<&logic<u64, kWide>>(wide);
  }

 private:
  HandlerTable& table_;
};

void add_two_sources(Registrar& to) {
  using enum Opcode;
  to.add<add_u>(s_add_u32);
  to.add<sub_u>(s_sub_u32);
  to.add<add_i>(s_add_i32);
  to.add<sub_i>(s_sub_i32);
  to.add<addc>(s_addc_u32);
  to.add<subb>(s_subb_u32);
  to.add<min_i>(s_min_i32);
  to.add<min_u>(s_min_u32);
  to.add<max_i>(s_max_i32);
  to.add<max_u>(s_max_u32);
  to.add<cselect<u32>>(s_cselect_b32);
  to.add<cselect<u64>>(s_cselect_b64);
  to.logic_pair<op_and<u32>, op_and<u64>>(s_and_b32, s_and_b64);
  to.logic_pair<op_or<u32>, op_or<u64>>(s_or_b32, s_or_b64);
  to.logic_pair<op_xor<u32>, op_xor<u64>>(s_xor_b32, s_xor_b64);
  to.logic_pair<op_andn2<u32>, op_andn2<u64>>(s_andn2_b32, s_andn2_b64);
  to.logic_pair<op_orn2<u32>, op_orn2<u64>>(s_orn2_b32, s_orn2_b64);
  to.logic_pair<op_nand<u32>, op_nand<u64>>(s_nand_b32, s_nand_b64);
  to.logic_pair<op_nor<u32>, op_nor<u64>>(s_nor_b32, s_nor_b64);
  to.logic_pair<op_xnor<u32>, op_xnor<u64>>(s_xnor_b32, s_xnor_b64);
  to.add<lshl>(s_lshl_b32);
  to.add<lshr>(s_lshr_b32);
  to.add<ashr>(s_ashr_i32);
  to.add<lshl64>(s_lshl_b64);
  to.add<lshr64>(s_lshr_b64);
  to.add<ashr64>(s_ashr_i64);
  to.add<bfm>(s_bfm_b32);
  to.add<bfm64>(s_bfm_b64);
  to.add<mul>(s_mul_i32);
  to.add<mul_hi_u>(s_mul_hi_u32);
  to.add<mul_hi_i>(s_mul_hi_i32);
  to.add<bfe_u>(s_bfe_u32);
  to.add<bfe_i>(s_bfe_i32);
  to.add<bfe_u64>(s_bfe_u64);
  to.add<bfe_i64>(s_bfe_i64);
  to.add<absdiff>(s_absdiff_i32);
  to.add<lshl_add<1>>(s_lshl1_add_u32);
  to.add<lshl_add<2>>(s_lshl2_add_u32);
  to.add<lshl_add<3>>(s_lshl3_add_u32);
  to.add<lshl_add<4>>(s_lshl4_add_u32);
  to.add<pack_ll>(s_pack_ll_b32_b16);
  to.add<pack_lh>(s_pack_lh_b32_b16);
  to.add<pack_hh>(s_pack_hh_b32_b16);
}

void add_one_source(Registrar& to) {
  using enum Opcode;
  to.add<mov<u32>>(s_mov_b32);
  to.add<mov<u64>>(s_mov_b64);
  to.add<bit_not<u32>>(s_not_b32);
  to.add<bit_not<u64>>(s_not_b64);
  to.add<wqm<u32>>(s_wqm_b32);
  to.add<wqm<u64>>(s_wqm_b64);
  to.add<quadmask<u32>>(s_quadmask_b32);
  to.add<quadmask<u64>>(s_quadmask_b64);
  to.add<reverse<u32>>(s_brev_b32);
  to.add<reverse<u64>>(s_brev_b64);
  to.add<bcnt0<u32>>(s_bcnt0_i32_b32);
  to.add<bcnt0<u64>>(s_bcnt0_i32_b64);
  to.add<bcnt1<u32>>(s_bcnt1_i32_b32);
  to.add<bcnt1<u64>>(s_bcnt1_i32_b64);
  to.add<first_low_zero<u32>>(s_ff0_i32_b32);
  to.add<first_low_zero<u64>>(s_ff0_i32_b64);
  to.add<first_low<u32>>(s_ff1_i32_b32);
  to.add<first_low<u64>>(s_ff1_i32_b64);
  to.add<first_high<u32>>(s_flbit_i32_b32);
  to.add<first_high<u64>>(s_flbit_i32_b64);
  to.add<first_high_signed<u32>>(s_flbit_i32);
  to.add<first_high_signed<u64>>(s_flbit_i32_i64);
  to.add<sext8>(s_sext_i32_i8);
  to.add<sext16>(s_sext_i32_i16);
  to.add<abs_i>(s_abs_i32);
  to.add<bitreplicate>(s_bitreplicate_b64_b32);
  to.add(s_cmov_b32, cmov<u32>);
  to.add(s_cmov_b64, cmov<u64>);
  to.add(s_bitset0_b32, bitset<u32, false>);
  to.add(s_bitset0_b64, bitset<u64, false>);
  to.add(s_bitset1_b32, bitset<u32, true>);
  to.add(s_bitset1_b64, bitset<u64, true>);
  to.add(s_movrels_b32, move_relative<u32, true>);
  to.add(s_movrels_b64, move_relative<u64, true>);
  to.add(s_movreld_b32, move_relative<u32, false>);
  to.add(s_movreld_b64, move_relative<u64, false>);
  to.add(s_and_saveexec_b64, change_exec<op_and<u64>, true>);
  to.add(s_or_saveexec_b64, change_exec<op_or<u64>, true>);
  to.add(s_xor_saveexec_b64, change_exec<op_xor<u64>, true>);
  to.add(s_andn2_saveexec_b64, change_exec<op_andn2<u64>, true>);
  to.add(s_orn2_saveexec_b64, change_exec<op_orn2<u64>, true>);
  to.add(s_nand_saveexec_b64, change_exec<op_nand<u64>, true>);
  to.add(s_nor_saveexec_b64, change_exec<op_nor<u64>, true>);
  to.add(s_xnor_saveexec_b64, change_exec<op_xnor<u64>, true>);
  to.add(s_andn1_saveexec_b64, change_exec<op_andn1, true>);
  to.add(s_orn1_saveexec_b64, change_exec<op_orn1, true>);
  to.add(s_andn1_wrexec_b64, change_exec<op_andn1, false>);
  to.add(s_andn2_wrexec_b64, change_exec<op_andn2<u64>, false>);
}

// Each comparison exists with two sources and with an immediate.
template <typename Compare>
void add_comparison(Registrar& to, Opcode as_signed, Opcode as_unsigned, Opcode signed_immediate,
                    Opcode unsigned_immediate) {
  to.add<&compare_signed<Compare>>(as_signed);
  to.add<&compare<u32, Compare>>(as_unsigned);
  to.add(signed_immediate, compare_immediate<&compare_signed<Compare>, false>);
  to.add(unsigned_immediate, compare_immediate<&compare<u32, Compare>, true>);
}

}  // namespace

void add_scalar(HandlerTable& table) {
  using enum Opcode;
  Registrar to(table);
  add_two_sources(to);
  add_one_source(to);
  add_comparison<std::equal_to<>>(to, s_cmp_eq_i32, s_cmp_eq_u32, s_cmpk_eq_i32, s_cmpk_eq_u32);
  add_comparison<std::not_equal_to<>>(to, s_cmp_lg_i32, s_cmp_lg_u32, s_cmpk_lg_i32, s_cmpk_lg_u32);
  add_comparison<std::greater<>>(to, s_cmp_gt_i32, s_cmp_gt_u32, s_cmpk_gt_i32, s_cmpk_gt_u32);
  add_comparison<std::greater_equal<>>(to, s_cmp_ge_i32, s_cmp_ge_u32, s_cmpk_ge_i32, s_cmpk_ge_u32);
  add_comparison<std::less<>>(to, s_cmp_lt_i32, s_cmp_lt_u32, s_cmpk_lt_i32, s_cmpk_lt_u32);
  add_comparison<std::less_equal<>>(to, s_cmp_le_i32, s_cmp_le_u32, s_cmpk_le_i32, s_cmpk_le_u32);
  to.add<&compare<u64, std::equal_to<>>>(s_cmp_eq_u64);
  to.add<&compare<u64, std::not_equal_to<>>>(s_cmp_lg_u64);
  to.add<bitcmp<false>>(s_bitcmp0_b32);
  to.add<bitcmp<true>>(s_bitcmp1_b32);
  to.add<bitcmp64<false>>(s_bitcmp0_b64);
  to.add<bitcmp64<true>>(s_bitcmp1_b64);
  to.add(s_movk_i32, movk);
  to.add(s_cmovk_i32, cmovk);
  to.add(s_addk_i32, with_immediate<add_i>);
  to.add(s_mulk_i32, with_immediate<mul>);
  to.add(s_set_gpr_idx_on, gpr_index_on);
  to.add(s_set_gpr_idx_off, gpr_index_off);
  to.add(s_set_gpr_idx_idx, gpr_index_index);
  to.add(s_set_gpr_idx_mode, gpr_index_mode);
}

}  // namespace virtual_rocm::isa
