// SPDX-License-Identifier: MIT
//
// FLAT and GLOBAL atomics.
#include <string_view>

#include "engine/execute/atomic_operation.hpp"
#include "engine/execute/execute.hpp"
#include "engine/execute/lane_addresses.hpp"

namespace virtual_rocm::engine {
namespace {

using isa::Opcode;

template <AtomicKind kind>
constexpr bool takes_two_operands() {
  return kind == AtomicKind::compare_swap;
}

// Whether the lanes of a flat atomic stay in memory that can be changed atomically: global, or LDS.
bool check_places(const Operation* operation, Wave* wave, LaneAddresses& addresses, std::uint32_t size) {
  std::uint64_t elsewhere = 0;
  bool allowed = true;
  for_each_lane(addresses.lanes, [&](unsigned lane) {
    const std::uint64_t address = addresses.of(lane, size);
    if (is_shared(address) || is_private(address)) {
      elsewhere |= std::uint64_t{1} << lane;
      const auto low = static_cast<std::uint32_t>(address);
      const bool fits = is_shared(address) && low <= wave->lds_size && size <= wave->lds_size - low;
      if (allowed && !fits) {
        raise_access(
            operation, wave,
            is_shared(address) ? FaultKind::lds_out_of_bounds : FaultKind::scratch_out_of_bounds,
            AccessKind::atomic, lane, std::uint64_t{1} << lane, low, size,
            is_shared(address) ? "" : "an atomic on private memory, which the hardware does not have");
        allowed = false;
      }
    } else if (allowed && address % size != 0) {
      raise_access(operation, wave, FaultKind::misaligned, AccessKind::atomic, lane, std::uint64_t{1} << lane,
                   address, size);
      allowed = false;
    }
  });
  if (!allowed) return false;
  if (elsewhere == 0) return check_access(operation, wave, addresses, size, AccessKind::atomic);
  LaneAddresses global;
  global.lanes = addresses.lanes & ~elsewhere;
  if (global.lanes == 0) return true;
  global.first = static_cast<unsigned>(std::countr_zero(global.lanes));
  global.contiguous = false;
  global.origin = 0;
  for_each_lane(global.lanes, [&](unsigned lane) { global.address[lane] = addresses.of(lane, size); });
  return check_access(operation, wave, global, size, AccessKind::atomic);
}

template <AtomicKind kind, typename Cell, AddressMode mode, bool returns>
const Operation* execute_atomic(const Operation* operation, Wave* wave) {
  constexpr std::uint32_t size = sizeof(Cell);
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  LaneAddresses addresses;
  resolve<mode>(operation, wave, size, lanes, addresses);
  if (!check_places(operation, wave, addresses, size)) return nullptr;
  wave->polled_address = addresses.of(addresses.first, size);
  bool in_lds = false;
  const std::uint32_t* data_rows = wave->at<std::uint32_t>(operation->source[2]);
  std::uint32_t* result_rows = wave->at<std::uint32_t>(operation->destination);
  bool changed = false;
  for_each_lane(lanes, [&](unsigned lane) {
    // cmpswap: the first register (pair) is the new value, the second is what the old one is compared with.
    Cell data = read_cell<Cell>(data_rows, lane);
    Cell second = 0;
    if constexpr (takes_two_operands<kind>()) {
      second = data;
      data = read_cell<Cell>(data_rows + size / 4 * kLanes, lane);
    }
    const std::uint64_t address = addresses.of(lane, size);
    Cell old;
    if (is_shared(address)) [[unlikely]] {
      old = apply_alone<kind>(wave->lds + static_cast<std::uint32_t>(address), data, second);
      in_lds = true;
    } else {
      wave->polled_address = address;
      old = apply_atomically<kind>(reinterpret_cast<Cell*>(address), data, second);
    }
    changed |= combine<kind>(old, data, second) != old;
    if constexpr (returns) write_cell<Cell>(result_rows, lane, old);
  });
  if (changed) wave->progressed |= in_lds ? kGlobalProgress | kLocalProgress : kGlobalProgress;
  return operation + 1;
}

template <AtomicKind kind, typename Cell>
Handler handler(bool scalar_base, bool returns) {
  if (scalar_base)
    return returns ? execute_atomic<kind, Cell, AddressMode::scalar_base, true>
                   : execute_atomic<kind, Cell, AddressMode::scalar_base, false>;
  return returns ? execute_atomic<kind, Cell, AddressMode::vector64, true>
                 : execute_atomic<kind, Cell, AddressMode::vector64, false>;
}

#define ATOMIC(name, kind, cell)     \
  case Opcode::flat_atomic_##name:   \
  case Opcode::global_atomic_##name: \
    return handler<AtomicKind::kind, cell>(scalar_base, returns)
#define ATOMIC_BOTH(name, kind)      \
  ATOMIC(name, kind, std::uint32_t); \
  ATOMIC(name##_x2, kind, std::uint64_t)

Handler choose(Opcode opcode, bool scalar_base, bool returns) {
  switch (opcode) {
    ATOMIC_BOTH(swap, swap);
    ATOMIC_BOTH(cmpswap, compare_swap);
    ATOMIC_BOTH(add, add);
    ATOMIC_BOTH(sub, subtract);
    ATOMIC_BOTH(smin, signed_minimum);
    ATOMIC_BOTH(umin, unsigned_minimum);
    ATOMIC_BOTH(smax, signed_maximum);
    ATOMIC_BOTH(umax, unsigned_maximum);
    ATOMIC_BOTH(and, bitwise_and);
    ATOMIC_BOTH(or, bitwise_or);
    ATOMIC_BOTH(xor, bitwise_xor);
    ATOMIC_BOTH(inc, increment);
    ATOMIC_BOTH(dec, decrement);
    ATOMIC(add_f32, float_add, std::uint32_t);
    ATOMIC(pk_add_f16, packed_half_add, std::uint32_t);
    ATOMIC(pk_add_bf16, packed_bfloat_add, std::uint32_t);
    ATOMIC(add_f64, float_add, std::uint64_t);
    ATOMIC(min_f64, float_minimum, std::uint64_t);
    ATOMIC(max_f64, float_maximum, std::uint64_t);
    default:
      return nullptr;
  }
}

#undef ATOMIC_BOTH
#undef ATOMIC

}  // namespace

bool lower_flat_atomic(Operation& operation) {
  const isa::Instruction& instruction = operation.instruction;
  if (instruction.encoding != isa::Encoding::flat && instruction.encoding != isa::Encoding::global)
    return false;
  const bool scalar_base = instruction.source[2] != isa::operand::kNone;
  const bool returns = instruction.has(isa::kSc0);
  operation.handler = choose(instruction.opcode, scalar_base, returns);
  if (operation.handler == nullptr) return false;
  operation.source[0] = vector_offset(isa::operand::vector_row(instruction.source[0]));
  if (scalar_base) operation.source[1] = scalar_offset(instruction.source[2]);
  operation.source[2] = vector_offset(isa::operand::vector_row(instruction.source[1]));
  if (returns) operation.destination = vector_offset(isa::operand::vector_row(instruction.destination));
  operation.immediate =
      static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(instruction.immediate)});
  return true;
}

}  // namespace virtual_rocm::engine
