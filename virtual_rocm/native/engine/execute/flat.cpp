// SPDX-License-Identifier: MIT
//
// FLAT and GLOBAL loads and stores.
#include <algorithm>

#include "engine/block.hpp"
#include "engine/execute/execute.hpp"
#include "engine/execute/flat_memory.hpp"
#include "engine/execute/lane_addresses.hpp"
#include "engine/execute/lane_data.hpp"

namespace virtual_rocm::engine {
namespace {

using isa::Opcode;

// --- flat accesses of which some lanes go to LDS or private memory
// --------------------------------------------------

// Where one lane's access lies: in global memory or LDS as a pointer, in scratch in pieces.
struct LanePlace {
  std::uint8_t* pointer = nullptr;
  bool in_scratch = false;
  std::uint32_t scratch_byte = 0;
};

// Lanes of a flat access that stay within LDS and scratch, or fault. Global lanes are checked together.
bool check_flat(const Operation* operation, Wave* wave, LaneAddresses& addresses, std::uint32_t size,
                AccessKind access) {
  LaneAddresses global;
  global.lanes = 0;
  global.contiguous = false;
  global.origin = 0;
  bool allowed = true;
  for_each_lane(addresses.lanes, [&](unsigned lane) {
    const std::uint64_t address = addresses.of(lane, size);
    const auto low = static_cast<std::uint32_t>(address);
    if (is_shared(address) || is_private(address)) {
      const std::uint32_t limit = is_shared(address) ? wave->lds_size : wave->scratch_size;
      if (allowed && (low > limit || size > limit - low)) {
        raise_access(operation, wave,
                     is_shared(address) ? FaultKind::lds_out_of_bounds : FaultKind::scratch_out_of_bounds,
                     access, lane, std::uint64_t{1} << lane, low, size);
        allowed = false;
      }
    } else {
      global.lanes |= std::uint64_t{1} << lane;
      global.address[lane] = address;
    }
  });
  if (!allowed) return false;
  if (global.lanes == 0) return true;
  global.first = static_cast<unsigned>(std::countr_zero(global.lanes));
  return check_access(operation, wave, global, size, access);
}

// What a flat access of several kinds of memory means for the scheduler: a word that others may change
// (global memory before LDS), or 0 if it is all the wave's own.
std::uint64_t shared_with_others(const LaneAddresses& addresses, std::uint32_t size) {
  std::uint64_t in_lds = 0;
  std::uint64_t global = 0;
  for_each_lane(addresses.lanes, [&](unsigned lane) {
    const std::uint64_t address = addresses.of(lane, size);
    if (is_shared(address))
      in_lds = address;
    else if (!is_private(address))
      global = address;
  });
  return global != 0 ? global : in_lds;
}

LanePlace place_of(Wave* wave, std::uint64_t address) {
  const auto low = static_cast<std::uint32_t>(address);
  if (is_private(address)) return {nullptr, true, low};
  return {is_shared(address) ? wave->lds + low : reinterpret_cast<std::uint8_t*>(address), false, 0};
}

template <Load kind>
const Operation* load_mixed(const Operation* operation, Wave* wave, LaneAddresses& addresses) {
  constexpr std::uint32_t size = size_of(kind);
  if (!check_flat(operation, wave, addresses, size, AccessKind::read)) return nullptr;
  if (const std::uint64_t polled = shared_with_others(addresses, size); polled != 0)
    wave->polled_address = polled;
  std::uint32_t* rows = wave->at<std::uint32_t>(operation->destination);
  for_each_lane(addresses.lanes, [&](unsigned lane) {
    const LanePlace place = place_of(wave, addresses.of(lane, size));
    if (!place.in_scratch) return load_lane<kind>(rows, lane, place.pointer);
    std::uint8_t bytes[16];
    for (std::uint32_t index = 0; index < size; ++index)
      bytes[index] = scratch_byte(wave, place.scratch_byte + index, lane);
    load_lane<kind>(rows, lane, bytes);
  });
  return operation + 1;
}

template <Store kind>
const Operation* store_mixed(const Operation* operation, Wave* wave, LaneAddresses& addresses) {
  constexpr std::uint32_t size = size_of(kind);
  if (!check_flat(operation, wave, addresses, size, AccessKind::write)) return nullptr;
  const std::uint32_t* rows = wave->at<std::uint32_t>(operation->source[2]);
  for_each_lane(addresses.lanes, [&](unsigned lane) {
    const LanePlace place = place_of(wave, addresses.of(lane, size));
    if (!place.in_scratch) return store_lane<kind>(rows, lane, place.pointer);
    std::uint8_t bytes[16];
    store_lane<kind>(rows, lane, bytes);
    for (std::uint32_t index = 0; index < size; ++index)
      scratch_byte(wave, place.scratch_byte + index, lane) = bytes[index];
  });
  bool in_lds = false;
  bool is_global = false;
  for_each_lane(addresses.lanes, [&](unsigned lane) {
    const std::uint64_t address = addresses.of(lane, size);
    in_lds |= is_shared(address);
    is_global |= !is_shared(address) && !is_private(address);
  });
  if (in_lds) wave->progressed |= kLocalProgress;
  if (is_global) wave->progressed |= kGlobalProgress;
  return operation + 1;
}

bool leaves_global(const LaneAddresses& addresses, std::uint32_t size) {
  const auto special = [](std::uint64_t address) { return is_shared(address) || is_private(address); };
  if (addresses.contiguous) return special(addresses.of(addresses.first, size));
  bool found = false;
  for_each_lane(addresses.lanes, [&](unsigned lane) { found |= special(addresses.address[lane]); });
  return found;
}

// --- the handlers
// ----------------------------------------------------------------------------------------------------

// The handlers are for contiguous lanes; what else there is goes to functions of their own, so that the room
// which they need for 64 addresses costs the handlers nothing.

template <Load kind, AddressMode mode, bool flat>
[[gnu::noinline]] const Operation* load_each(const Operation* operation, Wave* wave) {
  constexpr std::uint32_t size = size_of(kind);
  const std::uint64_t lanes = wave->exec();
  LaneAddresses addresses;
  resolve<mode>(operation, wave, size, lanes, addresses);
  if constexpr (flat)
    if (leaves_global(addresses, size)) [[unlikely]]
      return load_mixed<kind>(operation, wave, addresses);
  if (!check_access(operation, wave, addresses, size, AccessKind::read)) return nullptr;
  wave->polled_address = addresses.of(addresses.first, size);
  std::uint32_t* rows = wave->at<std::uint32_t>(operation->destination);
  for_each_lane(lanes, [&](unsigned lane) {
    load_lane<kind>(rows, lane, reinterpret_cast<const std::uint8_t*>(addresses.of(lane, size)));
  });
  return operation + 1;
}

template <Store kind, AddressMode mode, bool flat>
[[gnu::noinline]] const Operation* store_each(const Operation* operation, Wave* wave) {
  constexpr std::uint32_t size = size_of(kind);
  const std::uint64_t lanes = wave->exec();
  LaneAddresses addresses;
  resolve<mode>(operation, wave, size, lanes, addresses);
  if constexpr (flat)
    if (leaves_global(addresses, size)) [[unlikely]]
      return store_mixed<kind>(operation, wave, addresses);
  if (!check_access(operation, wave, addresses, size, AccessKind::write)) return nullptr;
  wave->progressed |= kGlobalProgress;
  const std::uint32_t* rows = wave->at<std::uint32_t>(operation->source[2]);
  for_each_lane(lanes, [&](unsigned lane) {
    store_lane<kind>(rows, lane, reinterpret_cast<std::uint8_t*>(addresses.of(lane, size)));
  });
  return operation + 1;
}

constexpr bool is_global(std::uint64_t address) { return !is_shared(address) && !is_private(address); }

template <Load kind, AddressMode mode, bool flat>
const Operation* execute_load(const Operation* operation, Wave* wave) {
  constexpr std::uint32_t size = size_of(kind);
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  ContiguousLanes contiguous;
  if (!find_contiguous<mode>(operation, wave, size, lanes, contiguous) ||
      (flat && !is_global(contiguous.first_address(size))) ||
      !allows_at_once(operation, wave, contiguous, size, AccessKind::read))
    return load_each<kind, mode, flat>(operation, wave);
  wave->polled_address = contiguous.first_address(size);
  load_contiguous<kind>(wave->at<std::uint32_t>(operation->destination),
                        reinterpret_cast<const std::uint8_t*>(contiguous.origin), lanes, wave);
  if (lanes == kAllLanes)
    wave->worker->prefetcher.note<false>(operation, contiguous.origin, std::uint64_t{size} * kLanes);
  return operation + 1;
}

template <Store kind, AddressMode mode, bool flat>
const Operation* execute_store(const Operation* operation, Wave* wave) {
  constexpr std::uint32_t size = size_of(kind);
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  ContiguousLanes contiguous;
  if (!find_contiguous<mode>(operation, wave, size, lanes, contiguous) ||
      (flat && !is_global(contiguous.first_address(size))) ||
      !allows_at_once(operation, wave, contiguous, size, AccessKind::write))
    return store_each<kind, mode, flat>(operation, wave);
  wave->progressed |= kGlobalProgress;
  store_contiguous<kind>(wave->at<std::uint32_t>(operation->source[2]),
                         reinterpret_cast<std::uint8_t*>(contiguous.origin), lanes, wave);
  if (lanes == kAllLanes)
    wave->worker->prefetcher.note<true>(operation, contiguous.origin, std::uint64_t{size} * kLanes);
  return operation + 1;
}

template <Load kind>
Handler load_handler(bool flat, bool scalar_base) {
  if (flat) return execute_load<kind, AddressMode::vector64, true>;
  return scalar_base ? execute_load<kind, AddressMode::scalar_base, false>
                     : execute_load<kind, AddressMode::vector64, false>;
}

template <Store kind>
Handler store_handler(bool flat, bool scalar_base) {
  if (flat) return execute_store<kind, AddressMode::vector64, true>;
  return scalar_base ? execute_store<kind, AddressMode::scalar_base, false>
                     : execute_store<kind, AddressMode::vector64, false>;
}

// One row for each width: FLAT and GLOBAL instructions come in pairs.
#define FLAT_OR_GLOBAL(name) \
  case Opcode::flat_##name:  \
  case Opcode::global_##name

Handler choose(Opcode opcode, bool flat, bool scalar_base) {
  switch (opcode) {
    FLAT_OR_GLOBAL(load_ubyte) : return load_handler<Load::u8>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_sbyte) : return load_handler<Load::i8>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_ushort) : return load_handler<Load::u16>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_sshort) : return load_handler<Load::i16>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_ubyte_d16) : return load_handler<Load::u8_low>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_ubyte_d16_hi) : return load_handler<Load::u8_high>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_sbyte_d16) : return load_handler<Load::i8_low>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_sbyte_d16_hi) : return load_handler<Load::i8_high>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_short_d16) : return load_handler<Load::b16_low>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_short_d16_hi) : return load_handler<Load::b16_high>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_dword) : return load_handler<Load::b32>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_dwordx2) : return load_handler<Load::b64>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_dwordx3) : return load_handler<Load::b96>(flat, scalar_base);
    FLAT_OR_GLOBAL(load_dwordx4) : return load_handler<Load::b128>(flat, scalar_base);
    FLAT_OR_GLOBAL(store_byte) : return store_handler<Store::b8>(flat, scalar_base);
    FLAT_OR_GLOBAL(store_byte_d16_hi) : return store_handler<Store::b8_high>(flat, scalar_base);
    FLAT_OR_GLOBAL(store_short) : return store_handler<Store::b16>(flat, scalar_base);
    FLAT_OR_GLOBAL(store_short_d16_hi) : return store_handler<Store::b16_high>(flat, scalar_base);
    FLAT_OR_GLOBAL(store_dword) : return store_handler<Store::b32>(flat, scalar_base);
    FLAT_OR_GLOBAL(store_dwordx2) : return store_handler<Store::b64>(flat, scalar_base);
    FLAT_OR_GLOBAL(store_dwordx3) : return store_handler<Store::b96>(flat, scalar_base);
    FLAT_OR_GLOBAL(store_dwordx4) : return store_handler<Store::b128>(flat, scalar_base);
    default:
      return nullptr;
  }
}

#undef FLAT_OR_GLOBAL

}  // namespace

bool lower_flat(Operation& operation) {
  const isa::Instruction& instruction = operation.instruction;
  if (instruction.encoding != isa::Encoding::flat && instruction.encoding != isa::Encoding::global)
    return false;
  const bool flat = instruction.encoding == isa::Encoding::flat;
  const bool scalar_base = instruction.source[2] != isa::operand::kNone;
  operation.handler = choose(instruction.opcode, flat, scalar_base);
  if (operation.handler == nullptr) return false;
  operation.source[0] = vector_offset(isa::operand::vector_row(instruction.source[0]));
  if (scalar_base) operation.source[1] = scalar_offset(instruction.source[2]);
  if (instruction.source[1] != isa::operand::kNone)
    operation.source[2] = vector_offset(isa::operand::vector_row(instruction.source[1]));
  if (instruction.destination != isa::operand::kNone)
    operation.destination = vector_offset(isa::operand::vector_row(instruction.destination));
  operation.immediate =
      static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(instruction.immediate)});
  return true;
}

}  // namespace virtual_rocm::engine
