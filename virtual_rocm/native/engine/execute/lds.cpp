// SPDX-License-Identifier: MIT
//
// DS loads and stores, and the lane permutations that use the LDS crossbar without touching LDS.
#include <array>

#include "engine/execute/execute.hpp"
#include "engine/execute/lds_addresses.hpp"

namespace virtual_rocm::engine {
namespace {

using isa::Opcode;

// By custom: source[0] address, source[1] and source[2] the data, `immediate` the offset (or two, in bytes,
// low and high half).
template <Load kind>
const Operation* execute_load(const Operation* operation, Wave* wave) {
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  LdsAddresses addresses;
  if (!resolve_lds(operation, wave, static_cast<std::uint32_t>(operation->immediate), size_of(kind), lanes,
                   AccessKind::read, addresses))
    return nullptr;
  std::uint32_t* rows = wave->at<std::uint32_t>(operation->destination);
  if (addresses.contiguous) {
    // The origin can lie below LDS when low lanes are off; those are not read.
    load_contiguous<kind>(rows, wave->lds + static_cast<std::int32_t>(addresses.origin), lanes, wave);
    return operation + 1;
  }
  // The destination may hold the addresses.
  alignas(64) std::uint32_t places[kLanes];
  for (unsigned lane = 0; lane < kLanes; ++lane) places[lane] = addresses.of(lane);
  for_each_lane_or_all(lanes, [&](unsigned lane) { load_lane<kind>(rows, lane, wave->lds + places[lane]); });
  return operation + 1;
}

template <Store kind>
const Operation* execute_store(const Operation* operation, Wave* wave) {
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  LdsAddresses addresses;
  if (!resolve_lds(operation, wave, static_cast<std::uint32_t>(operation->immediate), size_of(kind), lanes,
                   AccessKind::write, addresses))
    return nullptr;
  const std::uint32_t* rows = wave->at<std::uint32_t>(operation->source[1]);
  if (addresses.contiguous)
    store_contiguous<kind>(rows, wave->lds + static_cast<std::int32_t>(addresses.origin), lanes, wave);
  else
    for_each_lane_or_all(
        lanes, [&](unsigned lane) { store_lane<kind>(rows, lane, wave->lds + addresses.of(lane)); });
  wave->progressed |= kLocalProgress;
  return operation + 1;
}

std::uint32_t offset_of(const Operation* operation, unsigned part) {
  return static_cast<std::uint32_t>(operation->immediate >> (32 * part));
}

template <Load kind>
const Operation* execute_load_two(const Operation* operation, Wave* wave) {
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  constexpr std::uint32_t size = size_of(kind);
  LdsAddresses first;
  LdsAddresses second;
  if (!resolve_lds(operation, wave, offset_of(operation, 0), size, lanes, AccessKind::read, first) ||
      !resolve_lds(operation, wave, offset_of(operation, 1), size, lanes, AccessKind::read, second))
    return nullptr;
  std::uint32_t* rows = wave->at<std::uint32_t>(operation->destination);
  std::uint32_t* second_rows = rows + size / 4 * kLanes;
  if (first.contiguous) {
    load_contiguous<kind>(rows, wave->lds + static_cast<std::int32_t>(first.origin), lanes, wave);
    load_contiguous<kind>(second_rows, wave->lds + static_cast<std::int32_t>(second.origin), lanes, wave);
    return operation + 1;
  }
  alignas(64) std::uint32_t places[kLanes];
  std::memcpy(places, first.address, sizeof places);
  for_each_lane(lanes, [&](unsigned lane) {
    load_lane<kind>(rows, lane, wave->lds + places[lane] + first.offset);
    load_lane<kind>(second_rows, lane, wave->lds + places[lane] + second.offset);
  });
  return operation + 1;
}

template <Store kind>
const Operation* execute_store_two(const Operation* operation, Wave* wave) {
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  constexpr std::uint32_t size = size_of(kind);
  LdsAddresses first;
  LdsAddresses second;
  if (!resolve_lds(operation, wave, offset_of(operation, 0), size, lanes, AccessKind::write, first) ||
      !resolve_lds(operation, wave, offset_of(operation, 1), size, lanes, AccessKind::write, second))
    return nullptr;
  const std::uint32_t* rows = wave->at<std::uint32_t>(operation->source[1]);
  const std::uint32_t* second_rows = wave->at<std::uint32_t>(operation->source[2]);
  for_each_lane(lanes, [&](unsigned lane) {
    store_lane<kind>(rows, lane, wave->lds + first.of(lane));
    store_lane<kind>(second_rows, lane, wave->lds + second.of(lane));
  });
  wave->progressed |= kLocalProgress;
  return operation + 1;
}

// ds_read_addtid and ds_write_addtid: the address is M0 + offset + 4 * lane.
bool check_by_lane(const Operation* operation, Wave* wave, std::uint64_t lanes, AccessKind access,
                   std::uint32_t& origin) {
  origin = static_cast<std::uint32_t>(operation->immediate) + (wave->scalar[operand::kM0] & 0xffff);
  const auto last = 63 - static_cast<unsigned>(std::countl_zero(lanes));
  if (origin + (last + 1) * 4 <= wave->lds_size) return true;
  raise_access(operation, wave, FaultKind::lds_out_of_bounds, access, last, lanes, origin + last * 4, 4);
  return false;
}

const Operation* execute_load_by_lane(const Operation* operation, Wave* wave) {
  const std::uint64_t lanes = wave->exec();
  std::uint32_t origin = 0;
  if (lanes == 0) return operation + 1;
  if (!check_by_lane(operation, wave, lanes, AccessKind::read, origin)) return nullptr;
  const auto first = static_cast<unsigned>(std::countr_zero(lanes));
  wave->polled_address = std::uint64_t{kSharedApertureHigh} << 32 | (origin + first * 4);
  load_contiguous<Load::b32>(wave->at<std::uint32_t>(operation->destination), wave->lds + origin, lanes,
                             wave);
  return operation + 1;
}

const Operation* execute_store_by_lane(const Operation* operation, Wave* wave) {
  const std::uint64_t lanes = wave->exec();
  std::uint32_t origin = 0;
  if (lanes == 0) return operation + 1;
  if (!check_by_lane(operation, wave, lanes, AccessKind::write, origin)) return nullptr;
  // The data is the first operand here: there is no address.
  store_contiguous<Store::b32>(wave->at<std::uint32_t>(operation->source[1]), wave->lds + origin, lanes,
                               wave);
  wave->progressed |= kLocalProgress;
  return operation + 1;
}

// --- permutations
// ----------------------------------------------------------------------------------------------------

const Operation* execute_permute_backward(const Operation* operation, Wave* wave) {
  const std::uint64_t lanes = wave->exec();
  const std::uint32_t* address = wave->at<std::uint32_t>(operation->source[0]);
  const std::uint32_t* data = wave->at<std::uint32_t>(operation->source[1]);
  const auto offset = static_cast<std::uint32_t>(operation->immediate);
  alignas(64) std::uint32_t result[kLanes];
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const unsigned from = (address[lane] + offset) / 4 % kLanes;
    result[lane] = lanes >> from & 1 ? data[from] : 0;  // a lane that is off supplies 0
  }
  std::uint32_t* destination = wave->at<std::uint32_t>(operation->destination);
  for_each_lane(lanes, [&](unsigned lane) { destination[lane] = result[lane]; });
  return operation + 1;
}

const Operation* execute_permute_forward(const Operation* operation, Wave* wave) {
  const std::uint64_t lanes = wave->exec();
  const std::uint32_t* address = wave->at<std::uint32_t>(operation->source[0]);
  const std::uint32_t* data = wave->at<std::uint32_t>(operation->source[1]);
  const auto offset = static_cast<std::uint32_t>(operation->immediate);
  alignas(64) std::uint32_t result[kLanes] = {};
  for_each_lane(lanes, [&](unsigned lane) { result[(address[lane] + offset) / 4 % kLanes] = data[lane]; });
  std::uint32_t* destination = wave->at<std::uint32_t>(operation->destination);
  for_each_lane(lanes, [&](unsigned lane) { destination[lane] = result[lane]; });
  return operation + 1;
}

constexpr std::uint32_t kSwizzleFft = 0xe000;
constexpr std::uint32_t kSwizzleRotate = 0xc000;
constexpr std::uint32_t kSwizzleQuad = 0x8000;

unsigned swizzle_source(std::uint32_t pattern, unsigned lane) {
  if (pattern >= kSwizzleRotate) {
    const unsigned rotation = pattern >> 5 & 0x1f;
    const unsigned kept = pattern & 0x1f;  // these bits of the lane number do not rotate
    const unsigned moved = pattern & 0x400 ? lane - rotation : lane + rotation;
    return (lane & 0x20) | (lane & kept) | (moved & ~kept & 0x1f);
  }
  if (pattern & kSwizzleQuad) return (lane & ~3u) | (pattern >> (2 * (lane & 3)) & 3);
  const unsigned within =
      (((lane & 0x1f) & (pattern & 0x1f)) | (pattern >> 5 & 0x1f)) ^ (pattern >> 10 & 0x1f);
  return (lane & 0x20) | within;
}

const Operation* execute_swizzle(const Operation* operation, Wave* wave) {
  const std::uint64_t lanes = wave->exec();
  const std::uint32_t* data = wave->at<std::uint32_t>(operation->source[0]);
  alignas(64) std::uint32_t result[kLanes];
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const unsigned from = swizzle_source(static_cast<std::uint32_t>(operation->immediate), lane);
    result[lane] = lanes >> from & 1 ? data[from] : 0;
  }
  std::uint32_t* destination = wave->at<std::uint32_t>(operation->destination);
  for_each_lane(lanes, [&](unsigned lane) { destination[lane] = result[lane]; });
  return operation + 1;
}

// --- lowering
// --------------------------------------------------------------------------------------------------------

Handler choose(Opcode opcode) {
  switch (opcode) {
    case Opcode::ds_read_u8:
      return execute_load<Load::u8>;
    case Opcode::ds_read_i8:
      return execute_load<Load::i8>;
    case Opcode::ds_read_u16:
      return execute_load<Load::u16>;
    case Opcode::ds_read_i16:
      return execute_load<Load::i16>;
    case Opcode::ds_read_u8_d16:
      return execute_load<Load::u8_low>;
    case Opcode::ds_read_u8_d16_hi:
      return execute_load<Load::u8_high>;
    case Opcode::ds_read_i8_d16:
      return execute_load<Load::i8_low>;
    case Opcode::ds_read_i8_d16_hi:
      return execute_load<Load::i8_high>;
    case Opcode::ds_read_u16_d16:
      return execute_load<Load::b16_low>;
    case Opcode::ds_read_u16_d16_hi:
      return execute_load<Load::b16_high>;
    case Opcode::ds_read_b32:
      return execute_load<Load::b32>;
    case Opcode::ds_read_b64:
      return execute_load<Load::b64>;
    case Opcode::ds_read_b96:
      return execute_load<Load::b96>;
    case Opcode::ds_read_b128:
      return execute_load<Load::b128>;
    case Opcode::ds_write_b8:
      return execute_store<Store::b8>;
    case Opcode::ds_write_b8_d16_hi:
      return execute_store<Store::b8_high>;
    case Opcode::ds_write_b16:
      return execute_store<Store::b16>;
    case Opcode::ds_write_b16_d16_hi:
      return execute_store<Store::b16_high>;
    case Opcode::ds_write_b32:
      return execute_store<Store::b32>;
    case Opcode::ds_write_b64:
      return execute_store<Store::b64>;
    case Opcode::ds_write_b96:
      return execute_store<Store::b96>;
    case Opcode::ds_write_b128:
      return execute_store<Store::b128>;
    case Opcode::ds_read2_b32:
    case Opcode::ds_read2st64_b32:
      return execute_load_two<Load::b32>;
    case Opcode::ds_read2_b64:
    case Opcode::ds_read2st64_b64:
      return execute_load_two<Load::b64>;
    case Opcode::ds_write2_b32:
    case Opcode::ds_write2st64_b32:
      return execute_store_two<Store::b32>;
    case Opcode::ds_write2_b64:
    case Opcode::ds_write2st64_b64:
      return execute_store_two<Store::b64>;
    case Opcode::ds_read_addtid_b32:
      return execute_load_by_lane;
    case Opcode::ds_write_addtid_b32:
      return execute_store_by_lane;
    case Opcode::ds_bpermute_b32:
      return execute_permute_backward;
    case Opcode::ds_permute_b32:
      return execute_permute_forward;
    case Opcode::ds_swizzle_b32:
      return execute_swizzle;
    default:
      return nullptr;
  }
}

// The unit of the two offsets, in bytes, or 0 for instructions with one.
std::uint32_t offset_unit(Opcode opcode) {
  switch (opcode) {
    case Opcode::ds_read2_b32:
    case Opcode::ds_write2_b32:
      return 4;
    case Opcode::ds_read2_b64:
    case Opcode::ds_write2_b64:
      return 8;
    case Opcode::ds_read2st64_b32:
    case Opcode::ds_write2st64_b32:
      return 4 * 64;
    case Opcode::ds_read2st64_b64:
    case Opcode::ds_write2st64_b64:
      return 8 * 64;
    default:
      return 0;
  }
}

}  // namespace

bool lower_lds(Operation& operation) {
  const isa::Instruction& instruction = operation.instruction;
  if (instruction.encoding != isa::Encoding::ds || instruction.has(isa::kGlobalDataShare)) return false;
  if (instruction.opcode == Opcode::ds_swizzle_b32 && instruction.immediate >= kSwizzleFft) return false;
  operation.handler = choose(instruction.opcode);
  if (operation.handler == nullptr) return false;
  place_lds_operands(operation);
  if (const std::uint32_t unit = offset_unit(instruction.opcode); unit != 0)
    operation.immediate = std::uint64_t{instruction.immediate & 0xff} * unit |
                          std::uint64_t{instruction.immediate >> 8} * unit << 32;
  return true;
}

}  // namespace virtual_rocm::engine
