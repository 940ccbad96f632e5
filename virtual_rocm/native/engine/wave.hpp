// SPDX-License-Identifier: MIT
//
// The state of one wave, and the convention by which an instruction is executed on it.
//
// A wave is 64 lanes that execute one instruction at a time. Everything that an operand can name lies inside
// the Wave struct at a fixed place, so that lowering an instruction turns each operand into a byte offset
// from the start of the Wave: vector registers (VGPRs, then AGPRs), scalar registers at their ISA operand
// numbers, and the inline constants at theirs. A handler finds an operand with one addition and needs no
// switch on its kind.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace virtual_rocm::engine {

inline constexpr unsigned kLanes = 64;
inline constexpr unsigned kVectorRegisters = 512;  ///< 256 VGPRs, then 256 AGPRs
inline constexpr unsigned kFirstAccumulator = 256;
inline constexpr unsigned kRowBytes = kLanes * 4;      ///< one dword of every lane
inline constexpr unsigned kScratchPieces = 32;         ///< at most, in which a wave gets its scratch
inline constexpr unsigned kSmallestScratchPiece = 16;  ///< rows: one page

/// ISA operand numbers of the scalar registers and sources that have a name (gfx9).
namespace operand {
inline constexpr unsigned kFlatScratch = 102;
inline constexpr unsigned kXnackMask = 104;
inline constexpr unsigned kVcc = 106;
inline constexpr unsigned kTrapTemporary0 = 108;
inline constexpr unsigned kM0 = 124;
inline constexpr unsigned kExec = 126;
inline constexpr unsigned kInlineConstant0 = 128;
inline constexpr unsigned kSharedBase = 235;
inline constexpr unsigned kSharedLimit = 236;
inline constexpr unsigned kPrivateBase = 237;
inline constexpr unsigned kPrivateLimit = 238;
inline constexpr unsigned kVccIsZero = 251;
inline constexpr unsigned kExecIsZero = 252;
inline constexpr unsigned kScc = 253;
inline constexpr unsigned kLiteral = 255;
}  // namespace operand

/// Flat addresses whose high half is one of these are LDS or private memory; host addresses never reach so
/// high.
inline constexpr std::uint32_t kSharedApertureHigh = 0x00010000;
inline constexpr std::uint32_t kPrivateApertureHigh = 0x00020000;

struct Wave;
struct Operation;  // operation.hpp
struct Block;      // block.hpp
struct Worker;     // block.hpp

/// Executes one operation and returns the next one: `operation + 1` for everything but control flow. Null
/// ends the wave's turn; only the engine's own handlers do that, after they have set Wave::resume and
/// Wave::state.
using Handler = const Operation* (*)(const Operation* operation, Wave* wave);

enum class WaveState : std::uint8_t {
  ready,       ///< can be given a turn
  at_barrier,  ///< waits until all waves of its block have arrived
  finished,    ///< executed s_endpgm
  faulted,     ///< ended its launch; the fault is in the launch
};

/// Progress within the block (LDS, a barrier), and progress that other blocks and ranks can see (global
/// memory). A block whose waves only make local progress may be waiting for another block in a loop of
/// barriers.
inline constexpr std::uint8_t kLocalProgress = 1;
inline constexpr std::uint8_t kGlobalProgress = 2;

/// The registers of one wave. About 136 KiB, of which only the registers that a kernel uses are ever touched.
/// Lives in zeroed, 64-byte aligned memory of the engine.
struct alignas(64) Wave {
  /// Vector registers, [register][lane].
  std::uint32_t vector[kVectorRegisters][kLanes];

  /// Scalar registers and 32-bit scalar sources by operand number. 0–127 are registers (VCC, M0, EXEC in
  /// their places). From 128 on the entries are constants that never change, as 32-bit operands see them
  /// (integers, and the floats of 240–248), except 253, which is SCC (0 or 1). 251 and 252 are not kept up to
  /// date: compute them.
  alignas(64) std::uint32_t scalar[256];

  /// What a 64-bit operand sees for the inline constants: operand number − 128. Integers are sign-extended,
  /// floating constants are doubles. Aperture bases (235, 237) have their 64-bit value.
  alignas(64) std::uint64_t wide_constant[128];

  /// What a 16-bit operand sees for the inline constants: operand number − 128, in the low half; the high
  /// half is 0 for floating constants and the sign for integers.
  std::uint32_t half_constant[128];

  /// EXEC as one word for each lane, all ones or zero. Valid only for the EXEC value in `expanded_exec`: use
  /// masks().
  alignas(64) std::uint32_t lane_mask[kLanes];
  std::uint64_t expanded_exec;

  /// MODE as s_getreg reads it: round modes in 3:0, denormal modes in 7:4, dx10_clamp 8, ieee 9,
  /// gpr_idx_en 27.
  std::uint32_t mode;

  std::uint32_t gpr_index_mode;  ///< isa's: what s_set_gpr_idx_on enabled

  // --- from here on the engine's: not for instruction semantics
  // ----------------------------------------------------

  WaveState state;
  std::uint8_t progressed;   ///< what this turn changed that others can see: kLocalProgress, kGlobalProgress
  std::uint16_t spins;       ///< turns in a row without progress, up to a maximum
  std::uint16_t index;       ///< number of the wave in its block
  const Operation* resume;   ///< where the next turn begins
  const Operation* current;  ///< set by operations that may fault, for reports
  Block* block;
  std::uint8_t* lds;  ///< the block's LDS
  std::uint32_t lds_size;
  std::uint32_t scratch_size;    ///< bytes for each lane
  std::uint32_t scratch_held;    ///< one bit for each piece that it has
  std::uint32_t scratch_shift;   ///< a piece has 2 ^ this rows
  Worker* worker;                ///< of this turn: the thread's view of the allocation map, the checks
  std::uint64_t polled_address;  ///< last flat address read in this turn, 0: none
  std::uint32_t polled_value;    ///< what was there when a turn without progress ended
  std::uint64_t instructions;    ///< executed in all turns that have ended
  std::uint32_t quiet_turns;     ///< in a row that could be a loop without end (loop_watch.hpp)
  std::uint8_t watches;          ///< how often that was looked into
  bool waits_for_lds;            ///< it was proved to do nothing else, unless LDS has changed …
  std::uint64_t waits_since;     ///< … since its block's number of changes was this

  /// Its scratch: a row is the dword at one byte address of all lanes; rows are handed out in pieces when
  /// they are first used. Null where none was.
  std::uint8_t* scratch[kScratchPieces];

  // --- accessors
  // ----------------------------------------------------------------------------------------------------

  std::uint64_t scalar_pair(unsigned first) const {
    std::uint64_t value;
    std::memcpy(&value, &scalar[first], sizeof value);
    return value;
  }
  void set_scalar_pair(unsigned first, std::uint64_t value) {
    std::memcpy(&scalar[first], &value, sizeof value);
  }

  std::uint64_t exec() const { return scalar_pair(operand::kExec); }
  std::uint64_t vcc() const { return scalar_pair(operand::kVcc); }
  bool scc() const { return scalar[operand::kScc] != 0; }
  void set_exec(std::uint64_t value) { set_scalar_pair(operand::kExec, value); }
  void set_vcc(std::uint64_t value) { set_scalar_pair(operand::kVcc, value); }
  void set_scc(bool value) { scalar[operand::kScc] = value ? 1 : 0; }

  /// EXEC as words, expanded again only when EXEC has changed since the last call. SCC, VCC and EXEC may be
  /// written freely: nothing has to be told.
  const std::uint32_t* masks() {
    const std::uint64_t now = exec();
    if (now != expanded_exec) [[unlikely]]
      expand(now);
    return lane_mask;
  }

  /// The 64-bit value that a scalar operand number stands for (register pair or inline constant).
  std::uint64_t wide_source(unsigned number) const {
    return number >= operand::kInlineConstant0 ? wide_constant[number - operand::kInlineConstant0]
                                               : scalar_pair(number);
  }

  template <typename Value>
  Value* at(std::uint32_t offset) {
    return reinterpret_cast<Value*>(reinterpret_cast<std::uint8_t*>(this) + offset);
  }

 private:
  void expand(std::uint64_t mask) {
    const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    for (unsigned lane = 0; lane < kLanes; lane += 8) {
      const __m256i eight = _mm256_set1_epi32(static_cast<int>(mask >> lane & 0xff));
      _mm256_store_si256(reinterpret_cast<__m256i*>(lane_mask + lane),
                         _mm256_cmpeq_epi32(_mm256_and_si256(eight, bits), bits));
    }
    expanded_exec = mask;
  }
};

/// Byte offsets from the start of a Wave, for Operation::destination and Operation::source.
constexpr std::uint32_t vector_offset(unsigned register_number) {
  return static_cast<std::uint32_t>(offsetof(Wave, vector) +
                                    register_number * kLanes * sizeof(std::uint32_t));
}
constexpr std::uint32_t scalar_offset(unsigned operand_number) {
  return static_cast<std::uint32_t>(offsetof(Wave, scalar) + operand_number * sizeof(std::uint32_t));
}
constexpr std::uint32_t wide_constant_offset(unsigned operand_number) {
  return static_cast<std::uint32_t>(offsetof(Wave, wide_constant) +
                                    (operand_number - 128) * sizeof(std::uint64_t));
}
constexpr std::uint32_t half_constant_offset(unsigned operand_number) {
  return static_cast<std::uint32_t>(offsetof(Wave, half_constant) +
                                    (operand_number - 128) * sizeof(std::uint32_t));
}

/// Fills the constant tables of a new wave.
void initialise_constants(Wave& wave);

}  // namespace virtual_rocm::engine
