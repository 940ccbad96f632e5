// SPDX-License-Identifier: MIT
//
// SMEM: scalar loads and stores, clocks, cache maintenance.
#include <chrono>
#include <string_view>

#include "engine/block.hpp"
#include "engine/execute/execute.hpp"

namespace virtual_rocm::engine {
namespace {

using isa::Opcode;

// `source[0]` is the base, `source[1]` an offset register or 0 (which is a vector register, never a scalar
// one).
std::uint64_t address_of(const Operation* operation, Wave* wave) {
  std::uint64_t address = *wave->at<std::uint64_t>(operation->source[0]) + operation->immediate;
  if (operation->source[1] != 0) address += *wave->at<std::uint32_t>(operation->source[1]);
  return address & ~std::uint64_t{3};
}

bool check(const Operation* operation, Wave* wave, std::uint64_t address, std::uint32_t size,
           AccessKind access) {
  Worker& worker = *wave->worker;
  if (!worker.check_bounds || worker.scalar_reads.allows(address, size, access == AccessKind::write))
    return true;
  const bool readable = worker.scalar_reads.allows(address, size);
  raise_access(operation, wave, readable ? FaultKind::read_only : FaultKind::out_of_bounds, access, 0, 0,
               address, size);
  return false;
}

template <unsigned words>
const Operation* execute_load(const Operation* operation, Wave* wave) {
  const std::uint64_t address = address_of(operation, wave);
  if (!check(operation, wave, address, words * 4, AccessKind::read)) return nullptr;
  wave->polled_address = address;
  // Through a copy: the destination may hold the base.
  std::uint32_t values[words];
  std::memcpy(values, reinterpret_cast<const void*>(address), sizeof values);
  std::memcpy(wave->at<std::uint32_t>(operation->destination), values, sizeof values);
  return operation + 1;
}

template <unsigned words>
const Operation* execute_store(const Operation* operation, Wave* wave) {
  const std::uint64_t address = address_of(operation, wave);
  if (!check(operation, wave, address, words * 4, AccessKind::write)) return nullptr;
  std::memcpy(reinterpret_cast<void*>(address), wave->at<std::uint32_t>(operation->destination), words * 4);
  wave->progressed |= kGlobalProgress;
  return operation + 1;
}

// s_buffer_load: the base is a buffer resource; what lies beyond its size reads as 0.
template <unsigned words>
const Operation* execute_buffer_load(const Operation* operation, Wave* wave) {
  const std::uint32_t* resource = wave->at<std::uint32_t>(operation->source[0]);
  const std::uint64_t base = (resource[0] | std::uint64_t{resource[1]} << 32) & 0xffffffffffff;
  const std::uint32_t stride = resource[1] >> 16 & 0x3fff;
  const std::uint64_t size = stride == 0 ? resource[2] : std::uint64_t{resource[2]} * stride;
  std::uint64_t offset = operation->immediate;
  if (operation->source[1] != 0) offset += *wave->at<std::uint32_t>(operation->source[1]);
  offset &= ~std::uint64_t{3};
  std::uint32_t values[words] = {};
  for (unsigned index = 0; index < words; ++index) {
    if (offset + index * 4 + 4 > size) break;
    const std::uint64_t address = base + offset + index * 4;
    if (!check(operation, wave, address, 4, AccessKind::read)) return nullptr;
    std::memcpy(&values[index], reinterpret_cast<const void*>(address), 4);
  }
  wave->polled_address = base + offset;
  std::memcpy(wave->at<std::uint32_t>(operation->destination), values, sizeof values);
  return operation + 1;
}

std::uint64_t nanoseconds() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

void set_pair(const Operation* operation, Wave* wave, std::uint64_t value) {
  std::memcpy(wave->at<std::uint32_t>(operation->destination), &value, sizeof value);
}

const Operation* execute_memory_time(const Operation* operation, Wave* wave) {
  // A virtual clock: instructions that all waves of this thread have executed, and a little for this one.
  set_pair(operation, wave, wave->worker->real_clock ? nanoseconds() : ++wave->worker->clock);
  return operation + 1;
}

const Operation* execute_real_time(const Operation* operation, Wave* wave) {
  set_pair(operation, wave, nanoseconds() / 10);  // counts at 100 MHz
  return operation + 1;
}

const Operation* execute_nothing(const Operation* operation, Wave*) { return operation + 1; }

Handler choose(Opcode opcode) {
  switch (opcode) {
    case Opcode::s_load_dword:
      return execute_load<1>;
    case Opcode::s_load_dwordx2:
      return execute_load<2>;
    case Opcode::s_load_dwordx4:
      return execute_load<4>;
    case Opcode::s_load_dwordx8:
      return execute_load<8>;
    case Opcode::s_load_dwordx16:
      return execute_load<16>;
    case Opcode::s_store_dword:
      return execute_store<1>;
    case Opcode::s_store_dwordx2:
      return execute_store<2>;
    case Opcode::s_store_dwordx4:
      return execute_store<4>;
    case Opcode::s_buffer_load_dword:
      return execute_buffer_load<1>;
    case Opcode::s_buffer_load_dwordx2:
      return execute_buffer_load<2>;
    case Opcode::s_buffer_load_dwordx4:
      return execute_buffer_load<4>;
    case Opcode::s_buffer_load_dwordx8:
      return execute_buffer_load<8>;
    case Opcode::s_buffer_load_dwordx16:
      return execute_buffer_load<16>;
    case Opcode::s_memtime:
      return execute_memory_time;
    case Opcode::s_memrealtime:
      return execute_real_time;
    case Opcode::s_dcache_inv:
    case Opcode::s_dcache_inv_vol:
    case Opcode::s_dcache_wb:
    case Opcode::s_dcache_wb_vol:
      return execute_nothing;
    default:
      return nullptr;
  }
}

}  // namespace

bool lower_scalar_memory(Operation& operation) {
  const isa::Instruction& instruction = operation.instruction;
  if (instruction.encoding != isa::Encoding::smem) return false;
  operation.handler = choose(instruction.opcode);
  if (operation.handler == nullptr) return false;
  if (instruction.destination != isa::operand::kNone)
    operation.destination = scalar_offset(instruction.destination);
  if (instruction.source[0] != isa::operand::kNone)
    operation.source[0] = scalar_offset(instruction.source[0]);
  if (instruction.source[1] != isa::operand::kNone)
    operation.source[1] = scalar_offset(instruction.source[1]);
  operation.immediate =
      static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(instruction.immediate)});
  return true;
}

}  // namespace virtual_rocm::engine
