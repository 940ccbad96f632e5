// SPDX-License-Identifier: MIT
//
// Vector comparisons: a bit for each enabled lane, zero for the others. v_cmpx writes EXEC too.
#include "isa/floats.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

// The sixteen relations of floating-point comparisons, by opcode: bits of "less", "equal", "greater", and the
// last eight are the negations of the first.
template <typename Value, unsigned kRelation>
bool holds_float(Value x, Value y) {
  if constexpr (kRelation == 0) return false;
  if constexpr (kRelation == 1) return x < y;
  if constexpr (kRelation == 2) return x == y;
  if constexpr (kRelation == 3) return x <= y;
  if constexpr (kRelation == 4) return x > y;
  if constexpr (kRelation == 5) return x < y || x > y;
  if constexpr (kRelation == 6) return x >= y;
  if constexpr (kRelation == 7) return x == x && y == y;
  return !holds_float < Value, (15 - kRelation) & 7 > (x, y);
}

template <typename Value, unsigned kRelation>
bool holds_integer(Value x, Value y) {
  if constexpr (kRelation == 0) return false;
  if constexpr (kRelation == 1) return x < y;
  if constexpr (kRelation == 2) return x == y;
  if constexpr (kRelation == 3) return x <= y;
  if constexpr (kRelation == 4) return x > y;
  if constexpr (kRelation == 5) return x != y;
  if constexpr (kRelation == 6) return x >= y;
  return true;
}

template <typename Format, unsigned kRelation>
struct FloatTest {
  using Word = typename Format::Word;
  using Second = Word;
  static constexpr Rounding kRounding = Format::kRounding;
  static bool test(Word a, Word b) {
    return holds_float<typename Format::Value, kRelation>(Format::value(a), Format::value(b));
  }
};

template <typename Register, typename Value, unsigned kRelation>
struct IntegerTest {
  using Word = Register;
  using Second = Register;
  static constexpr Rounding kRounding = Rounding::none;
  static bool test(Word a, Word b) {
    return holds_integer<Value, kRelation>(static_cast<Value>(a), static_cast<Value>(b));
  }
};

// 64-bit integers by their words, which makes vector code.
template <bool kSigned, unsigned kRelation>
struct WideTest {
  using Word = Pair;
  using Second = Pair;
  static constexpr Rounding kRounding = Rounding::none;
  static bool test(Pair a, Pair b) {
    constexpr u32 kFlip = kSigned ? 0x80000000u : 0;
    const u32 a_high = a.high ^ kFlip;
    const u32 b_high = b.high ^ kFlip;
    const bool equal = ((a.high ^ b.high) | (a.low ^ b.low)) == 0;
    const bool less = (a_high < b_high) | ((a_high == b_high) & (a.low < b.low));
    if constexpr (kRelation == 0) return false;
    if constexpr (kRelation == 1) return less;
    if constexpr (kRelation == 2) return equal;
    if constexpr (kRelation == 3) return less | equal;
    if constexpr (kRelation == 4) return !(less | equal);
    if constexpr (kRelation == 5) return !equal;
    if constexpr (kRelation == 6) return !less;
    return true;
  }
};

// Source 1 is a set of classes: signaling NaN, quiet NaN, −inf, −normal, −denormal, −0, +0, +denormal,
// +normal, +inf.
template <typename Format>
struct ClassTest {
  using Word = typename Format::Word;
  using Second = u32;
  static constexpr Rounding kRounding = Rounding::none;
  static bool test(Word a, u32 classes) {
    constexpr Word kMagnitude = static_cast<Word>(Format::kSign - 1);
    const Word magnitude = a & kMagnitude;
    const bool negative = a & Format::kSign;
    unsigned bit;
    if (magnitude > Format::kInfinity)
      bit = magnitude & Format::kQuiet ? 1 : 0;
    else if (magnitude == Format::kInfinity)
      bit = negative ? 2 : 9;
    else if (magnitude >> Format::kFraction != 0)
      bit = negative ? 3 : 8;
    else if (magnitude != 0)
      bit = negative ? 4 : 7;
    else
      bit = negative ? 5 : 6;
    return classes >> bit & 1;
  }
};

template <bool kWritesExec>
void store_mask(const Operation* operation, Wave* wave, u64 mask) {
  std::memcpy(wave->at<char>(operation->destination), &mask, sizeof mask);
  if constexpr (kWritesExec) wave->set_exec(mask);
}

template <typename Test>
__attribute__((noinline)) u64 compare_operands(const ModifiedOperands& operands) {
  u64 mask = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const bool holds =
        Test::test(operands.get<typename Test::Word>(0, lane), operands.get<typename Test::Second>(1, lane));
    if (holds) mask |= u64{1} << lane;
  }
  return mask;
}

template <typename Test, bool kWritesExec>
const Operation* compare_modified(const Operation* operation, Wave* wave) {
  ModifiedOperands operands;
  load_modified(*operation, *wave, 0, operands);
  load_modified(*operation, *wave, 1, operands);
  const HostMode host(wave->mode, Test::kRounding);
  const u64 mask = compare_operands<Test>(operands);
  store_mask<kWritesExec>(operation, wave, mask & wave->exec());
  return operation + 1;
}

template <typename Test, bool kWritesExec, unsigned kScalars>
const Operation* compare(const Operation* operation, Wave* wave) {
  if (!is_default_mode<Test::kRounding>(wave->mode)) [[unlikely]] {
    return compare_modified<Test, kWritesExec>(operation, wave);
  }
  const Source<typename Test::Word, (kScalars & 1) != 0, false> left(operation, wave, 0);
  const Source<typename Test::Second, (kScalars & 2) != 0, false> right(operation, wave, 1);
  alignas(64) u32 out[kLanes];
  VIRTUAL_ROCM_LANE_LOOP
  for (unsigned lane = 0; lane < kLanes; ++lane) out[lane] = Test::test(left[lane], right[lane]) ? ~0u : 0;
  store_mask<kWritesExec>(operation, wave, collect_mask(out) & wave->exec());
  return operation + 1;
}

template <typename Test, bool kWritesExec, std::size_t... kScalars>
void fill(Handlers& row, std::index_sequence<kScalars...>) {
  row.sources = 2;
  ((row.plain[kScalars] = &compare<Test, kWritesExec, kScalars>), ...);
  row.modified = &compare_modified<Test, kWritesExec>;
}

template <typename Test>
void add_test(HandlerTable& table, Opcode writes_mask, Opcode writes_exec) {
  fill<Test, false>(table[writes_mask], std::make_index_sequence<4>());
  // Rare, so that only the general form is made.
  table[writes_exec].sources = 2;
  table[writes_exec].modified = &compare_modified<Test, true>;
}

// The relations of one type are consecutive opcodes.
Opcode after(Opcode first, std::size_t count) {
  return static_cast<Opcode>(static_cast<std::size_t>(first) + count);
}

template <typename Format, std::size_t... kRelation>
void add_float(HandlerTable& table, Opcode first, Opcode first_exec, std::index_sequence<kRelation...>) {
  (add_test<FloatTest<Format, kRelation>>(table, after(first, kRelation), after(first_exec, kRelation)), ...);
}

template <typename Register, typename Value, std::size_t... kRelation>
void add_integers(HandlerTable& table, Opcode first, Opcode first_exec, std::index_sequence<kRelation...>) {
  (add_test<IntegerTest<Register, Value, kRelation>>(table, after(first, kRelation),
                                                     after(first_exec, kRelation)),
   ...);
}

template <bool kSigned, std::size_t... kRelation>
void add_wide(HandlerTable& table, Opcode first, Opcode first_exec, std::index_sequence<kRelation...>) {
  (add_test<WideTest<kSigned, kRelation>>(table, after(first, kRelation), after(first_exec, kRelation)), ...);
}

}  // namespace

void add_comparisons(HandlerTable& table) {
  using enum Opcode;
  constexpr auto kSixteen = std::make_index_sequence<16>();
  constexpr auto kEight = std::make_index_sequence<8>();
  add_float<Half>(table, v_cmp_f_f16, v_cmpx_f_f16, kSixteen);
  add_float<Single>(table, v_cmp_f_f32, v_cmpx_f_f32, kSixteen);
  add_float<Double>(table, v_cmp_f_f64, v_cmpx_f_f64, kSixteen);
  add_integers<u32, std::int16_t>(table, v_cmp_f_i16, v_cmpx_f_i16, kEight);
  add_integers<u32, std::uint16_t>(table, v_cmp_f_u16, v_cmpx_f_u16, kEight);
  add_integers<u32, std::int32_t>(table, v_cmp_f_i32, v_cmpx_f_i32, kEight);
  add_integers<u32, std::uint32_t>(table, v_cmp_f_u32, v_cmpx_f_u32, kEight);
  add_wide<true>(table, v_cmp_f_i64, v_cmpx_f_i64, kEight);
  add_wide<false>(table, v_cmp_f_u64, v_cmpx_f_u64, kEight);
  add_test<ClassTest<Half>>(table, v_cmp_class_f16, v_cmpx_class_f16);
  add_test<ClassTest<Single>>(table, v_cmp_class_f32, v_cmpx_class_f32);
  add_test<ClassTest<Double>>(table, v_cmp_class_f64, v_cmpx_class_f64);
}

}  // namespace virtual_rocm::isa
