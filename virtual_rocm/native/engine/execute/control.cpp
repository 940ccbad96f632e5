// SPDX-License-Identifier: MIT
//
// Control flow, barriers, waits, hardware registers, the end of a wave.
#include <bit>

#include "engine/block.hpp"
#include "engine/execute/execute.hpp"
#include "engine/execute/traps.hpp"

namespace virtual_rocm::engine {
namespace {

using isa::Opcode;

const Operation* jump(const Operation* operation) {
  return operation + static_cast<std::int64_t>(operation->immediate);
}

const Operation* jump_to_address(const Operation* operation, Wave* wave, std::uint64_t address) {
  const Operation* target = program_of(*wave).at(address);
  if (target == nullptr) [[unlikely]] {
    Fault fault;
    fault.kind = FaultKind::bad_branch;
    fault.message = "a jump to an address that is not an instruction of this code object";
    fault.address = address;
    return raise(operation, wave, std::move(fault));
  }
  return target;
}

const Operation* give_way(const Operation* operation, Wave* wave) {
  wave->resume = operation + 1;
  return nullptr;
}

const Operation* execute_branch(const Operation* operation, Wave*) { return jump(operation); }

enum class Condition { scc0, scc1, vcc_zero, vcc_not_zero, exec_zero, exec_not_zero };

template <Condition condition>
const Operation* execute_conditional_branch(const Operation* operation, Wave* wave) {
  bool taken = false;
  switch (condition) {
    case Condition::scc0:
      taken = !wave->scc();
      break;
    case Condition::scc1:
      taken = wave->scc();
      break;
    case Condition::vcc_zero:
      taken = wave->vcc() == 0;
      break;
    case Condition::vcc_not_zero:
      taken = wave->vcc() != 0;
      break;
    case Condition::exec_zero:
      taken = wave->exec() == 0;
      break;
    case Condition::exec_not_zero:
      taken = wave->exec() != 0;
      break;
  }
  return taken ? jump(operation) : operation + 1;
}

// s_getpc: `immediate` is the address of the next instruction, as for the calls below.
const Operation* execute_get_pc(const Operation* operation, Wave* wave) {
  std::memcpy(wave->at<std::uint32_t>(operation->destination), &operation->immediate,
              sizeof operation->immediate);
  return operation + 1;
}

const Operation* execute_set_pc(const Operation* operation, Wave* wave) {
  return jump_to_address(operation, wave, *wave->at<std::uint64_t>(operation->source[0]));
}

const Operation* execute_swap_pc(const Operation* operation, Wave* wave) {
  const std::uint64_t target = *wave->at<std::uint64_t>(operation->source[0]);
  *wave->at<std::uint64_t>(operation->destination) = operation->immediate;
  return jump_to_address(operation, wave, target);
}

const Operation* execute_call(const Operation* operation, Wave* wave) {
  *wave->at<std::uint64_t>(operation->destination) = operation->immediate;
  const auto distance =
      static_cast<std::int64_t>(static_cast<std::int32_t>(operation->instruction.immediate)) * 4;
  return jump_to_address(operation, wave, operation->immediate + static_cast<std::uint64_t>(distance));
}

const Operation* execute_nothing(const Operation* operation, Wave*) { return operation + 1; }

const Operation* execute_sleep(const Operation* operation, Wave* wave) { return give_way(operation, wave); }

const Operation* execute_barrier(const Operation* operation, Wave* wave) {
  if (arrive_at_barrier(wave)) return operation + 1;
  return give_way(operation, wave);
}

const Operation* execute_end(const Operation*, Wave* wave) {
  finish(wave);
  return nullptr;
}

const Operation* execute_halt(const Operation* operation, Wave* wave) {
  if (operation->immediate == 0) return operation + 1;
  Fault fault;
  fault.kind = FaultKind::trap;
  fault.message = "the wave halted itself (s_sethalt)";
  return raise(operation, wave, std::move(fault));
}

// --- hardware registers
// ---------------------------------------------------------------------------------------------

enum HardwareRegister : unsigned {
  kMode = 1,
  kStatus = 2,
  kTrapStatus = 3,
  kHardwareId = 4,
  kGprAllocation = 5,
  kLdsAllocation = 6,
  kMemoryBases = 15,
  kXccId = 20,
};

struct HardwareField {
  unsigned number;
  unsigned first;
  unsigned bits;
  explicit HardwareField(std::uint32_t immediate)
      : number(immediate & 0x3f), first(immediate >> 6 & 0x1f), bits((immediate >> 11 & 0x1f) + 1) {}
  std::uint32_t mask() const { return bits == 32 ? ~0u : (1u << bits) - 1; }
};

std::uint32_t read_hardware_register(const Wave& wave, unsigned number) {
  switch (number) {
    case kMode:
      return wave.mode;
    case kStatus:
      return (wave.scc() ? 1u : 0u) | (wave.exec() == 0 ? 1u << 9 : 0) | (wave.vcc() == 0 ? 1u << 10 : 0);
    case kHardwareId:
      // Wave slot, SIMD and compute unit as if blocks went round the compute units: only ever a hint.
      return (wave.index / 4 & 0xf) | (wave.index & 3u) << 4 |
             static_cast<std::uint32_t>(wave.block->number & 0xf) << 8;
    case kLdsAllocation:
      return (wave.lds_size + 511) / 512 << 12;
    case kMemoryBases:
      return kPrivateApertureHigh >> 16 | kSharedApertureHigh;
    default:
      return 0;
  }
}

bool is_readable(unsigned number) {
  return number == kMode || number == kStatus || number == kTrapStatus || number == kHardwareId ||
         number == kLdsAllocation || number == kMemoryBases || number == kXccId;
}

const Operation* execute_get_register(const Operation* operation, Wave* wave) {
  const HardwareField field(operation->instruction.immediate);
  *wave->at<std::uint32_t>(operation->destination) =
      read_hardware_register(*wave, field.number) >> field.first & field.mask();
  return operation + 1;
}

// `source[0]` is the offset of the register with the new value, or 0 when the value is in `immediate`.
// Lowering accepts only MODE.
const Operation* execute_set_register(const Operation* operation, Wave* wave) {
  const HardwareField field(operation->instruction.immediate);
  const std::uint32_t value = operation->source[0] != 0 ? *wave->at<std::uint32_t>(operation->source[0])
                                                        : static_cast<std::uint32_t>(operation->immediate);
  wave->mode = (wave->mode & ~(field.mask() << field.first)) | (value & field.mask()) << field.first;
  return operation + 1;
}

bool lower_hardware_register(Operation& operation) {
  const HardwareField field(operation.instruction.immediate);
  switch (operation.instruction.opcode) {
    case Opcode::s_getreg_b32:
      if (!is_readable(field.number)) return false;
      operation.handler = execute_get_register;
      operation.destination = scalar_offset(operation.instruction.destination);
      return true;
    case Opcode::s_setreg_b32:
      if (field.number != kMode) return false;
      operation.handler = execute_set_register;
      // The register that is read stands in the destination field.
      operation.source[0] = scalar_offset(operation.instruction.destination);
      return true;
    case Opcode::s_setreg_imm32_b32:
      if (field.number != kMode) return false;
      operation.handler = execute_set_register;
      operation.source[0] = 0;
      operation.immediate = operation.instruction.extra;
      return true;
    default:
      return false;
  }
}

Handler conditional_branch(Opcode opcode) {
  switch (opcode) {
    case Opcode::s_cbranch_scc0:
      return execute_conditional_branch<Condition::scc0>;
    case Opcode::s_cbranch_scc1:
      return execute_conditional_branch<Condition::scc1>;
    case Opcode::s_cbranch_vccz:
      return execute_conditional_branch<Condition::vcc_zero>;
    case Opcode::s_cbranch_vccnz:
      return execute_conditional_branch<Condition::vcc_not_zero>;
    case Opcode::s_cbranch_execz:
      return execute_conditional_branch<Condition::exec_zero>;
    case Opcode::s_cbranch_execnz:
      return execute_conditional_branch<Condition::exec_not_zero>;
    case Opcode::s_branch:
      return execute_branch;
    default:
      return nullptr;
  }
}

}  // namespace

const Operation* execute_end_of_code(const Operation* operation, Wave* wave) {
  Fault fault;
  fault.kind = FaultKind::bad_branch;
  fault.message = "execution ran past the end of the code";
  return raise(operation, wave, std::move(fault));
}

const Operation* execute_refused(const Operation* operation, Wave* wave) {
  Fault fault;
  fault.kind = FaultKind::bad_instruction;
  fault.message = "this is not an instruction that the virtual device executes";
  return raise(operation, wave, std::move(fault));
}

bool is_relative_branch(const Operation& operation) {
  return conditional_branch(operation.instruction.opcode) != nullptr;
}

bool lower_control(Operation& operation, const LoweringPlace& place) {
  const isa::Instruction& instruction = operation.instruction;
  if (const Handler handler = conditional_branch(instruction.opcode); handler != nullptr) {
    operation.handler = handler;
    const auto words = static_cast<std::int64_t>(static_cast<std::int32_t>(instruction.immediate));
    operation.immediate = place.next_address - place.address + static_cast<std::uint64_t>(words * 4);
    return true;
  }
  switch (instruction.opcode) {
    case Opcode::s_getpc_b64:
      operation.handler = execute_get_pc;
      break;
    case Opcode::s_setpc_b64:
      operation.handler = execute_set_pc;
      break;
    case Opcode::s_swappc_b64:
      operation.handler = execute_swap_pc;
      break;
    case Opcode::s_call_b64:
      operation.handler = execute_call;
      break;
    case Opcode::s_nop:
    case Opcode::s_waitcnt:
    case Opcode::s_setprio:
    case Opcode::s_sendmsg:
    case Opcode::s_icache_inv:
    case Opcode::s_incperflevel:
    case Opcode::s_decperflevel:
    case Opcode::s_ttracedata:
    case Opcode::s_cbranch_cdbgsys:
    case Opcode::s_cbranch_cdbguser:
    case Opcode::s_cbranch_cdbgsys_or_user:
    case Opcode::s_cbranch_cdbgsys_and_user:
      // Memory is always up to date here, and nobody debugs: nothing to wait for, no branch taken.
      operation.handler = execute_nothing;
      return true;
    case Opcode::s_wakeup:
    case Opcode::s_sleep:
      operation.handler = execute_sleep;
      return true;
    case Opcode::s_barrier:
      operation.handler = execute_barrier;
      return true;
    case Opcode::s_endpgm:
      operation.handler = execute_end;
      return true;
    case Opcode::s_sethalt:
      operation.handler = execute_halt;
      operation.immediate = instruction.immediate & 1;
      return true;
    case Opcode::s_trap:
      return lower_trap(operation);
    default:
      return lower_hardware_register(operation);
  }
  operation.immediate = place.next_address;
  if (instruction.destination != isa::operand::kNone)
    operation.destination = scalar_offset(instruction.destination);
  if (instruction.source[0] != isa::operand::kNone)
    operation.source[0] = scalar_offset(instruction.source[0]);
  return true;
}

}  // namespace virtual_rocm::engine
