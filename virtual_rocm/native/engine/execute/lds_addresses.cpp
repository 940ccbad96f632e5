// SPDX-License-Identifier: MIT
#include "engine/execute/lds_addresses.hpp"

namespace virtual_rocm::engine {

bool check_lds_slowly(const Operation* operation, Wave* wave, const LdsAddresses& addresses,
                      std::uint64_t lanes, std::uint32_t size, AccessKind access) {
  alignas(64) std::uint64_t full[kLanes];
  std::uint64_t denied = 0;
  for_each_lane(lanes, [&](unsigned lane) {
    full[lane] = addresses.of(lane);
    if (full[lane] + size > wave->lds_size) denied |= std::uint64_t{1} << lane;
  });
  if (denied != 0) {
    const auto lane = static_cast<unsigned>(std::countr_zero(denied));
    raise_access(operation, wave, FaultKind::lds_out_of_bounds, access, lane, denied, full[lane], size);
    return false;
  }
  Access description{};
  description.kind = access;
  description.space = Space::lds;
  description.size = size;
  description.lanes = lanes;
  description.addresses = full;
  description.first = full[addresses.first];
  description.wave = wave;
  return tell_observers(operation, wave, description);
}

void place_lds_operands(Operation& operation) {
  const isa::Instruction& instruction = operation.instruction;
  for (unsigned index = 0; index < 3; ++index)
    if (instruction.source[index] != isa::operand::kNone)
      operation.source[index] = vector_offset(isa::operand::vector_row(instruction.source[index]));
  if (instruction.destination != isa::operand::kNone)
    operation.destination = vector_offset(isa::operand::vector_row(instruction.destination));
  operation.immediate = instruction.immediate;
}

}  // namespace virtual_rocm::engine
