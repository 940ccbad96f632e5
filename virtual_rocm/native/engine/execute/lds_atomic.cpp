// SPDX-License-Identifier: MIT
//
// DS atomics. One thread executes all waves of a block, so plain reads and writes are atomic enough.
#include "engine/execute/atomic_operation.hpp"
#include "engine/execute/execute.hpp"
#include "engine/execute/lds_addresses.hpp"

namespace virtual_rocm::engine {
namespace {

using isa::Opcode;

template <AtomicKind kind, typename Cell, bool returns>
const Operation* execute_atomic(const Operation* operation, Wave* wave) {
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  LdsAddresses addresses;
  if (!resolve_lds(operation, wave, static_cast<std::uint32_t>(operation->immediate), sizeof(Cell), lanes,
                   AccessKind::atomic, addresses))
    return nullptr;
  const std::uint32_t* data_rows = wave->at<std::uint32_t>(operation->source[1]);
  const std::uint32_t* second_rows = wave->at<std::uint32_t>(operation->source[2]);
  std::uint32_t* result_rows = wave->at<std::uint32_t>(operation->destination);
  bool changed = false;
  for_each_lane(lanes, [&](unsigned lane) {
    // ds_cmpst: the first operand is compared with, the second is stored: the other way round than in flat
    // atomics.
    const Cell data = read_cell<Cell>(data_rows, lane);
    const Cell second = read_cell<Cell>(second_rows, lane);
    const Cell old = apply_alone<kind, Cell>(wave->lds + addresses.of(lane), data, second);
    changed |= combine<kind>(old, data, second) != old;
    if constexpr (returns) write_cell<Cell>(result_rows, lane, old);
  });
  if (changed) wave->progressed |= kLocalProgress;
  return operation + 1;
}

// ds_append and ds_consume: all lanes together move one counter, by the number of lanes.
template <bool append>
const Operation* execute_counter(const Operation* operation, Wave* wave) {
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  const std::uint32_t address =
      static_cast<std::uint32_t>(operation->immediate) + (wave->scalar[operand::kM0] & 0xffff);
  if (address + 4 > wave->lds_size) {
    raise_access(operation, wave, FaultKind::lds_out_of_bounds, AccessKind::atomic,
                 static_cast<unsigned>(std::countr_zero(lanes)), lanes, address, 4);
    return nullptr;
  }
  const auto count = static_cast<std::uint32_t>(std::popcount(lanes));
  const auto old = apply_alone<append ? AtomicKind::add : AtomicKind::subtract, std::uint32_t>(
      wave->lds + address, count, 0);
  std::uint32_t* destination = wave->at<std::uint32_t>(operation->destination);
  for_each_lane(lanes, [&](unsigned lane) { destination[lane] = old; });
  wave->progressed |= kLocalProgress;
  return operation + 1;
}

template <AtomicKind kind, typename Cell>
Handler handler(bool returns) {
  return returns ? execute_atomic<kind, Cell, true> : execute_atomic<kind, Cell, false>;
}

// Names differ in where "rtn" stands: ds_add_u32, ds_add_rtn_u32.
#define ATOMIC(name, suffix, kind, cell)           \
  case Opcode::ds_##name##_##suffix:               \
    return handler<AtomicKind::kind, cell>(false); \
  case Opcode::ds_##name##_rtn_##suffix:           \
    return handler<AtomicKind::kind, cell>(true)

Handler choose(Opcode opcode) {
  using Word = std::uint32_t;
  using Pair = std::uint64_t;
  switch (opcode) {
    ATOMIC(add, u32, add, Word);
    ATOMIC(sub, u32, subtract, Word);
    ATOMIC(rsub, u32, reverse_subtract, Word);
    ATOMIC(inc, u32, increment, Word);
    ATOMIC(dec, u32, decrement, Word);
    ATOMIC(min, i32, signed_minimum, Word);
    ATOMIC(max, i32, signed_maximum, Word);
    ATOMIC(min, u32, unsigned_minimum, Word);
    ATOMIC(max, u32, unsigned_maximum, Word);
    ATOMIC(and, b32, bitwise_and, Word);
    ATOMIC(or, b32, bitwise_or, Word);
    ATOMIC(xor, b32, bitwise_xor, Word);
    ATOMIC(mskor, b32, masked_or, Word);
    ATOMIC(cmpst, b32, compare_swap, Word);
    ATOMIC(cmpst, f32, float_compare_swap, Word);
    ATOMIC(min, f32, float_minimum, Word);
    ATOMIC(max, f32, float_maximum, Word);
    ATOMIC(add, f32, float_add, Word);
    ATOMIC(pk_add, f16, packed_half_add, Word);
    ATOMIC(pk_add, bf16, packed_bfloat_add, Word);
    ATOMIC(add, u64, add, Pair);
    ATOMIC(sub, u64, subtract, Pair);
    ATOMIC(rsub, u64, reverse_subtract, Pair);
    ATOMIC(inc, u64, increment, Pair);
    ATOMIC(dec, u64, decrement, Pair);
    ATOMIC(min, i64, signed_minimum, Pair);
    ATOMIC(max, i64, signed_maximum, Pair);
    ATOMIC(min, u64, unsigned_minimum, Pair);
    ATOMIC(max, u64, unsigned_maximum, Pair);
    ATOMIC(and, b64, bitwise_and, Pair);
    ATOMIC(or, b64, bitwise_or, Pair);
    ATOMIC(xor, b64, bitwise_xor, Pair);
    ATOMIC(mskor, b64, masked_or, Pair);
    ATOMIC(cmpst, b64, compare_swap, Pair);
    ATOMIC(cmpst, f64, float_compare_swap, Pair);
    ATOMIC(min, f64, float_minimum, Pair);
    ATOMIC(max, f64, float_maximum, Pair);
    ATOMIC(add, f64, float_add, Pair);
    case Opcode::ds_wrxchg_rtn_b32:
      return handler<AtomicKind::swap, Word>(true);
    case Opcode::ds_wrxchg_rtn_b64:
      return handler<AtomicKind::swap, Pair>(true);
    case Opcode::ds_wrap_rtn_b32:
      return handler<AtomicKind::wrap, Word>(true);
    case Opcode::ds_append:
      return execute_counter<true>;
    case Opcode::ds_consume:
      return execute_counter<false>;
    default:
      return nullptr;
  }
}

#undef ATOMIC

}  // namespace

bool lower_lds_atomic(Operation& operation) {
  const isa::Instruction& instruction = operation.instruction;
  if (instruction.encoding != isa::Encoding::ds || instruction.has(isa::kGlobalDataShare)) return false;
  operation.handler = choose(instruction.opcode);
  if (operation.handler == nullptr) return false;
  place_lds_operands(operation);
  return true;
}

}  // namespace virtual_rocm::engine
