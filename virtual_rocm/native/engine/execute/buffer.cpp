// SPDX-License-Identifier: MIT
//
// MUBUF: the cache fences, and untyped buffer loads and stores of raw and structured buffers without
// swizzling.
#include <atomic>

#include "engine/execute/execute.hpp"
#include "engine/execute/lane_addresses.hpp"

namespace virtual_rocm::engine {
namespace {

using isa::Opcode;

// The fields of a buffer resource (four SGPRs) that plain accesses use.
struct Resource {
  std::uint64_t base;
  std::uint32_t stride;
  std::uint32_t records;

  explicit Resource(const std::uint32_t* words)
      : base((words[0] | std::uint64_t{words[1]} << 32) & 0xffffffffffff),
        stride(words[1] >> 16 & 0x3fff),
        records(words[2]) {}
};

// By custom: source[0] vector address (index, then offset), source[1] resource, source[2] scalar offset; data
// in `destination`. Lanes beyond the resource's size are left out of the result, as the hardware does.
std::uint64_t resolve(const Operation* operation, Wave* wave, std::uint32_t size, std::uint64_t lanes,
                      LaneAddresses& addresses) {
  const isa::Instruction& instruction = operation->instruction;
  const Resource resource(wave->at<std::uint32_t>(operation->source[1]));
  const bool indexed = instruction.has(isa::kIndexEnable);
  const std::uint32_t scalar = *wave->at<std::uint32_t>(operation->source[2]);
  const std::uint32_t* index_row = wave->at<std::uint32_t>(operation->source[0]);
  const std::uint32_t* offset_row = indexed ? index_row + kLanes : index_row;
  std::uint64_t inside = 0;
  for_each_lane(lanes, [&](unsigned lane) {
    const std::uint64_t index = indexed ? index_row[lane] : 0;
    std::uint64_t offset = instruction.immediate;
    if (instruction.has(isa::kOffsetEnable)) offset += offset_row[lane];
    const bool fits = resource.stride == 0 || !indexed
                          ? offset + scalar + size <= resource.records
                          : index < resource.records && offset + size <= resource.stride;
    if (!fits) return;
    inside |= std::uint64_t{1} << lane;
    addresses.address[lane] = resource.base + index * resource.stride + offset + scalar;
  });
  addresses.lanes = inside;
  addresses.contiguous = false;
  addresses.origin = 0;
  if (inside != 0) addresses.first = static_cast<unsigned>(std::countr_zero(inside));
  return inside;
}

template <Load kind>
const Operation* execute_load(const Operation* operation, Wave* wave) {
  constexpr std::uint32_t size = size_of(kind);
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  LaneAddresses addresses;
  const std::uint64_t inside = resolve(operation, wave, size, lanes, addresses);
  if (inside != 0 && !check_access(operation, wave, addresses, size, AccessKind::read)) return nullptr;
  if (inside != 0) wave->polled_address = addresses.address[addresses.first];
  std::uint32_t* rows = wave->at<std::uint32_t>(operation->destination);
  static constexpr std::uint8_t kZeros[16] = {};
  for_each_lane(lanes, [&](unsigned lane) {
    const bool fits = inside >> lane & 1;
    load_lane<kind>(rows, lane,
                    fits ? reinterpret_cast<const std::uint8_t*>(addresses.address[lane]) : kZeros);
  });
  return operation + 1;
}

template <Store kind>
const Operation* execute_store(const Operation* operation, Wave* wave) {
  constexpr std::uint32_t size = size_of(kind);
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  LaneAddresses addresses;
  const std::uint64_t inside = resolve(operation, wave, size, lanes, addresses);
  if (inside == 0) return operation + 1;
  if (!check_access(operation, wave, addresses, size, AccessKind::write)) return nullptr;
  const std::uint32_t* rows = wave->at<std::uint32_t>(operation->destination);
  for_each_lane(inside, [&](unsigned lane) {
    store_lane<kind>(rows, lane, reinterpret_cast<std::uint8_t*>(addresses.address[lane]));
  });
  wave->progressed |= kGlobalProgress;
  return operation + 1;
}

const Operation* execute_fence(const Operation* operation, Wave*) {
  // Stores become visible in order here, but a later load could overtake them: other ranks would see that.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return operation + 1;
}

Handler choose(Opcode opcode) {
  switch (opcode) {
    case Opcode::buffer_wbl2:
    case Opcode::buffer_inv:
    case Opcode::buffer_wbinvl1:
    case Opcode::buffer_wbinvl1_vol:
      return execute_fence;
    case Opcode::buffer_load_ubyte:
      return execute_load<Load::u8>;
    case Opcode::buffer_load_sbyte:
      return execute_load<Load::i8>;
    case Opcode::buffer_load_ushort:
      return execute_load<Load::u16>;
    case Opcode::buffer_load_sshort:
      return execute_load<Load::i16>;
    case Opcode::buffer_load_ubyte_d16:
      return execute_load<Load::u8_low>;
    case Opcode::buffer_load_ubyte_d16_hi:
      return execute_load<Load::u8_high>;
    case Opcode::buffer_load_sbyte_d16:
      return execute_load<Load::i8_low>;
    case Opcode::buffer_load_sbyte_d16_hi:
      return execute_load<Load::i8_high>;
    case Opcode::buffer_load_short_d16:
      return execute_load<Load::b16_low>;
    case Opcode::buffer_load_short_d16_hi:
      return execute_load<Load::b16_high>;
    case Opcode::buffer_load_dword:
      return execute_load<Load::b32>;
    case Opcode::buffer_load_dwordx2:
      return execute_load<Load::b64>;
    case Opcode::buffer_load_dwordx3:
      return execute_load<Load::b96>;
    case Opcode::buffer_load_dwordx4:
      return execute_load<Load::b128>;
    case Opcode::buffer_store_byte:
      return execute_store<Store::b8>;
    case Opcode::buffer_store_byte_d16_hi:
      return execute_store<Store::b8_high>;
    case Opcode::buffer_store_short:
      return execute_store<Store::b16>;
    case Opcode::buffer_store_short_d16_hi:
      return execute_store<Store::b16_high>;
    case Opcode::buffer_store_dword:
      return execute_store<Store::b32>;
    case Opcode::buffer_store_dwordx2:
      return execute_store<Store::b64>;
    case Opcode::buffer_store_dwordx3:
      return execute_store<Store::b96>;
    case Opcode::buffer_store_dwordx4:
      return execute_store<Store::b128>;
    default:
      return nullptr;
  }
}

}  // namespace

bool lower_buffer(Operation& operation) {
  const isa::Instruction& instruction = operation.instruction;
  if (instruction.encoding != isa::Encoding::mubuf || instruction.has(isa::kLds)) return false;
  operation.handler = choose(instruction.opcode);
  if (operation.handler == nullptr) return false;
  if (operation.handler == execute_fence) return true;
  if (instruction.source[0] != isa::operand::kNone)
    operation.source[0] = vector_offset(isa::operand::vector_row(instruction.source[0]));
  operation.source[1] = scalar_offset(instruction.source[1]);
  operation.source[2] = scalar_offset(instruction.source[2]);
  operation.destination = vector_offset(isa::operand::vector_row(instruction.destination));
  return true;
}

}  // namespace virtual_rocm::engine
