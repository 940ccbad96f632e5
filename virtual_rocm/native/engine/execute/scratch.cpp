// SPDX-License-Identifier: MIT
//
// SCRATCH loads and stores. A wave's scratch is interleaved by dwords: the dword at one byte address of all
// 64 lanes is a row of 256 contiguous bytes, so a spill or a reload, where all lanes use one address, moves a
// register as a block.
#include "engine/execute/execute.hpp"
#include "engine/execute/flat_memory.hpp"
#include "engine/execute/lane_data.hpp"

namespace virtual_rocm::engine {
namespace {

using isa::Opcode;

// By custom: source[0] the vector address, source[1] the scalar address, source[2] the data, `immediate` the
// offset.
struct ScratchAddresses {
  bool uniform;
  std::uint32_t common;           ///< valid if uniform
  const std::uint32_t* variable;  ///< of each lane, valid if not uniform
  std::uint32_t base;             ///< added to `variable`

  std::uint32_t of(unsigned lane) const { return uniform ? common : variable[lane] + base; }
};

enum class ScratchMode { none, vector, scalar, both };

template <ScratchMode mode>
bool resolve(const Operation* operation, Wave* wave, std::uint32_t size, std::uint64_t lanes,
             AccessKind access, ScratchAddresses& result) {
  constexpr bool has_vector = mode == ScratchMode::vector || mode == ScratchMode::both;
  constexpr bool has_scalar = mode == ScratchMode::scalar || mode == ScratchMode::both;
  result.base = static_cast<std::uint32_t>(operation->immediate);
  if constexpr (has_scalar) result.base += *wave->at<std::uint32_t>(operation->source[1]);
  if constexpr (!has_vector) {
    result.uniform = true;
    result.common = result.base;
    result.variable = nullptr;
  } else {
    result.variable = wave->at<std::uint32_t>(operation->source[0]);
    const std::uint32_t first = result.variable[std::countr_zero(lanes)];
    const std::uint32_t* masks = wave->masks();
    std::uint32_t differs = 0;
    for (unsigned lane = 0; lane < kLanes; ++lane) differs |= (result.variable[lane] ^ first) & masks[lane];
    result.uniform = differs == 0;
    result.common = first + result.base;
  }
  std::uint64_t denied = 0;
  const auto fits = [&](std::uint32_t byte) {
    return byte <= wave->scratch_size && size <= wave->scratch_size - byte;
  };
  if (result.uniform) {
    if (fits(result.common)) [[likely]]
      return true;
    denied = lanes;
  } else {
    for_each_lane(lanes, [&](unsigned lane) {
      if (!fits(result.of(lane))) denied |= std::uint64_t{1} << lane;
    });
    if (denied == 0) return true;
  }
  const auto lane = static_cast<unsigned>(std::countr_zero(denied));
  raise_access(operation, wave, FaultKind::scratch_out_of_bounds, access, lane, denied, result.of(lane),
               size);
  return false;
}

// Whole registers between scratch and the register file: both the wave's own.
template <unsigned count>
void move_rows(std::uint8_t* to, const std::uint8_t* from, std::uint64_t lanes, Wave* wave) {
  if (lanes == kAllLanes) {
    for (unsigned row = 0; row < count; ++row) copy_row(to + row * kRowBytes, from + row * kRowBytes);
  } else {
    const std::uint32_t* masks = wave->masks();
    for (unsigned row = 0; row < count; ++row)
      move_words_masked(to + row * kRowBytes, from + row * kRowBytes, lanes, masks);
  }
}

template <unsigned count>
void load_rows(std::uint8_t* registers, std::uint32_t row, std::uint64_t lanes, Wave* wave) {
  if (in_one_scratch_piece(wave, row, count)) [[likely]]
    return move_rows<count>(registers, scratch_row(wave, row), lanes, wave);
  for (unsigned index = 0; index < count; ++index)
    move_rows<1>(registers + index * kRowBytes, scratch_row(wave, row + index), lanes, wave);
}

template <unsigned count>
void store_rows(std::uint32_t row, const std::uint8_t* registers, std::uint64_t lanes, Wave* wave) {
  if (in_one_scratch_piece(wave, row, count)) [[likely]]
    return move_rows<count>(scratch_row(wave, row), registers, lanes, wave);
  for (unsigned index = 0; index < count; ++index)
    move_rows<1>(scratch_row(wave, row + index), registers + index * kRowBytes, lanes, wave);
}

template <Load kind, ScratchMode mode>
const Operation* execute_load(const Operation* operation, Wave* wave) {
  constexpr std::uint32_t size = size_of(kind);
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  ScratchAddresses addresses;
  if (!resolve<mode>(operation, wave, size, lanes, AccessKind::read, addresses)) return nullptr;
  std::uint32_t* rows = wave->at<std::uint32_t>(operation->destination);
  if (size % 4 == 0 && addresses.uniform && addresses.common % 4 == 0) {
    load_rows<size / 4>(reinterpret_cast<std::uint8_t*>(rows), addresses.common / 4, lanes, wave);
    return operation + 1;
  }
  alignas(64) std::uint32_t places[kLanes];
  for_each_lane(lanes, [&](unsigned lane) { places[lane] = addresses.of(lane); });
  for_each_lane(lanes, [&](unsigned lane) {
    std::uint8_t bytes[16];
    for (std::uint32_t index = 0; index < size; ++index)
      bytes[index] = scratch_byte(wave, places[lane] + index, lane);
    load_lane<kind>(rows, lane, bytes);
  });
  return operation + 1;
}

template <Store kind, ScratchMode mode>
const Operation* execute_store(const Operation* operation, Wave* wave) {
  constexpr std::uint32_t size = size_of(kind);
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  ScratchAddresses addresses;
  if (!resolve<mode>(operation, wave, size, lanes, AccessKind::write, addresses)) return nullptr;
  const std::uint32_t* rows = wave->at<std::uint32_t>(operation->source[2]);
  if (size % 4 == 0 && addresses.uniform && addresses.common % 4 == 0) {
    store_rows<size / 4>(addresses.common / 4, reinterpret_cast<const std::uint8_t*>(rows), lanes, wave);
    return operation + 1;
  }
  for_each_lane(lanes, [&](unsigned lane) {
    std::uint8_t bytes[16];
    store_lane<kind>(rows, lane, bytes);
    const std::uint32_t place = addresses.of(lane);
    for (std::uint32_t index = 0; index < size; ++index)
      scratch_byte(wave, place + index, lane) = bytes[index];
  });
  return operation + 1;
}

template <Load kind>
Handler load_handler(ScratchMode mode) {
  switch (mode) {
    case ScratchMode::none:
      return execute_load<kind, ScratchMode::none>;
    case ScratchMode::vector:
      return execute_load<kind, ScratchMode::vector>;
    case ScratchMode::scalar:
      return execute_load<kind, ScratchMode::scalar>;
    case ScratchMode::both:
      return execute_load<kind, ScratchMode::both>;
  }
  return nullptr;
}

template <Store kind>
Handler store_handler(ScratchMode mode) {
  switch (mode) {
    case ScratchMode::none:
      return execute_store<kind, ScratchMode::none>;
    case ScratchMode::vector:
      return execute_store<kind, ScratchMode::vector>;
    case ScratchMode::scalar:
      return execute_store<kind, ScratchMode::scalar>;
    case ScratchMode::both:
      return execute_store<kind, ScratchMode::both>;
  }
  return nullptr;
}

Handler choose(Opcode opcode, ScratchMode mode) {
  switch (opcode) {
    case Opcode::scratch_load_ubyte:
      return load_handler<Load::u8>(mode);
    case Opcode::scratch_load_sbyte:
      return load_handler<Load::i8>(mode);
    case Opcode::scratch_load_ushort:
      return load_handler<Load::u16>(mode);
    case Opcode::scratch_load_sshort:
      return load_handler<Load::i16>(mode);
    case Opcode::scratch_load_ubyte_d16:
      return load_handler<Load::u8_low>(mode);
    case Opcode::scratch_load_ubyte_d16_hi:
      return load_handler<Load::u8_high>(mode);
    case Opcode::scratch_load_sbyte_d16:
      return load_handler<Load::i8_low>(mode);
    case Opcode::scratch_load_sbyte_d16_hi:
      return load_handler<Load::i8_high>(mode);
    case Opcode::scratch_load_short_d16:
      return load_handler<Load::b16_low>(mode);
    case Opcode::scratch_load_short_d16_hi:
      return load_handler<Load::b16_high>(mode);
    case Opcode::scratch_load_dword:
      return load_handler<Load::b32>(mode);
    case Opcode::scratch_load_dwordx2:
      return load_handler<Load::b64>(mode);
    case Opcode::scratch_load_dwordx3:
      return load_handler<Load::b96>(mode);
    case Opcode::scratch_load_dwordx4:
      return load_handler<Load::b128>(mode);
    case Opcode::scratch_store_byte:
      return store_handler<Store::b8>(mode);
    case Opcode::scratch_store_byte_d16_hi:
      return store_handler<Store::b8_high>(mode);
    case Opcode::scratch_store_short:
      return store_handler<Store::b16>(mode);
    case Opcode::scratch_store_short_d16_hi:
      return store_handler<Store::b16_high>(mode);
    case Opcode::scratch_store_dword:
      return store_handler<Store::b32>(mode);
    case Opcode::scratch_store_dwordx2:
      return store_handler<Store::b64>(mode);
    case Opcode::scratch_store_dwordx3:
      return store_handler<Store::b96>(mode);
    case Opcode::scratch_store_dwordx4:
      return store_handler<Store::b128>(mode);
    default:
      return nullptr;
  }
}

}  // namespace

bool lower_scratch(Operation& operation) {
  const isa::Instruction& instruction = operation.instruction;
  if (instruction.encoding != isa::Encoding::scratch) return false;
  const bool vector = instruction.source[0] != isa::operand::kNone;
  const bool scalar = instruction.source[2] != isa::operand::kNone;
  operation.handler = choose(instruction.opcode, vector ? (scalar ? ScratchMode::both : ScratchMode::vector)
                                                        : (scalar ? ScratchMode::scalar : ScratchMode::none));
  if (operation.handler == nullptr) return false;
  if (vector) operation.source[0] = vector_offset(isa::operand::vector_row(instruction.source[0]));
  if (scalar) operation.source[1] = scalar_offset(instruction.source[2]);
  if (instruction.source[1] != isa::operand::kNone)
    operation.source[2] = vector_offset(isa::operand::vector_row(instruction.source[1]));
  if (instruction.destination != isa::operand::kNone)
    operation.destination = vector_offset(isa::operand::vector_row(instruction.destination));
  operation.immediate =
      static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(instruction.immediate)});
  return true;
}

}  // namespace virtual_rocm::engine
