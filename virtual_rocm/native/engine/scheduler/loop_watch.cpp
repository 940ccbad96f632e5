// SPDX-License-Identifier: MIT
#include "engine/scheduler/loop_watch.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/scheduler/launch_state.hpp"

namespace virtual_rocm::engine {
namespace {

using isa::Opcode;

constexpr std::uint32_t kAccumulatorsBegin = 256;

// Instructions whose result, or effect, is no function of registers and memory.
bool is_outside_the_proof(Opcode opcode) {
  return opcode == Opcode::s_memtime || opcode == Opcode::s_memrealtime || opcode == Opcode::s_trap;
}

// Whether `test` holds for every piece of scratch that the wave has.
template <typename Test>
bool every_piece(const Wave& wave, Test test) {
  const std::size_t bytes = std::size_t{kRowBytes} << wave.scratch_shift;
  for (std::uint32_t left = wave.scratch_held; left != 0; left &= left - 1)
    if (!test(static_cast<const std::uint8_t*>(wave.scratch[std::countr_zero(left)]), bytes)) return false;
  return true;
}

}  // namespace

void LoopWatch::begin(Wave& wave, const Operation* operation) {
  const Kernel& kernel = *wave.block->launch->launch.kernel;
  wave_ = &wave;
  place_ = operation;
  verdict_ = Verdict::none;
  read_lds_ = false;
  depends_on_others_ = false;
  just_begun_ = true;
  turns_left_ = kWatchedTurns << wave.watches;
  lds_changes_ = wave.block->lds_changes;
  vectors_ = std::min(kernel.vgpr_count, kAccumulatorsBegin);
  // What was allocated beyond the VGPRs, should the metadata not say how many AGPRs are used.
  const std::uint32_t beyond = kernel.vgpr_count - std::min(kernel.vgpr_count, kernel.accumulator_offset);
  accumulators_ = std::min(std::max(kernel.agpr_count, beyond), kVectorRegisters - kAccumulatorsBegin);
  registers_.resize((vectors_ + accumulators_) * kLanes);
  std::memcpy(registers_.data(), wave.vector, vectors_ * sizeof wave.vector[0]);
  std::memcpy(registers_.data() + vectors_ * kLanes, wave.vector[kAccumulatorsBegin],
              accumulators_ * sizeof wave.vector[0]);
  std::memcpy(scalars_, wave.scalar, sizeof scalars_);
  scc_ = wave.scalar[operand::kScc];
  mode_ = wave.mode;
  gpr_index_mode_ = wave.gpr_index_mode;
  scratch_.clear();
  scratch_held_ = wave.scratch_held;
  every_piece(wave, [&](const std::uint8_t* piece, std::size_t bytes) {
    scratch_.insert(scratch_.end(), piece, piece + bytes);
    return true;
  });
}

bool LoopWatch::is_as_before(const Wave& wave) const {
  // A counter is a scalar or one of the registers: most comparisons end early.
  return std::memcmp(scalars_, wave.scalar, sizeof scalars_) == 0 && scc_ == wave.scalar[operand::kScc] &&
         mode_ == wave.mode && gpr_index_mode_ == wave.gpr_index_mode &&
         std::memcmp(registers_.data(), wave.vector, vectors_ * sizeof wave.vector[0]) == 0 &&
         std::memcmp(registers_.data() + vectors_ * kLanes, wave.vector[kAccumulatorsBegin],
                     accumulators_ * sizeof wave.vector[0]) == 0 &&
         scratch_held_ == wave.scratch_held &&
         every_piece(wave, [&, place = std::size_t{0}](const std::uint8_t* piece, std::size_t bytes) mutable {
           const bool same = std::memcmp(scratch_.data() + place, piece, bytes) == 0;
           place += bytes;
           return same;
         });
}

const Operation* LoopWatch::dispatch(const Operation* operation, Wave* wave, std::uint32_t budget,
                                     std::uint32_t* left) {
  if (wave_ == nullptr) begin(*wave, operation);
  const Program& program = program_of(*wave);
  std::uint64_t polled = 0;
  do {
    if (operation == place_ && !just_begun_ && is_as_before(*wave)) {
      verdict_ = read_lds_ ? Verdict::waits_for_lds : Verdict::endless;
      wave->resume = operation;
      operation = nullptr;
      break;
    }
    just_begun_ = false;
    const Operation* const executed = operation;
    program.mark(executed, wave->exec() != 0);
    depends_on_others_ |= is_outside_the_proof(operation->instruction.opcode);
    wave->polled_address = 0;
    operation = operation->handler(operation, wave);
    program.mark(executed, wave->exec() != 0);
    if (wave->polled_address != 0) {
      polled = wave->polled_address;
      (polled >> 32 == kSharedApertureHigh ? read_lds_ : depends_on_others_) = true;
    }
  } while (--budget != 0 && operation != nullptr);
  wave->polled_address = polled;
  *left = budget;
  return operation;
}

LoopWatch::Verdict LoopWatch::verdict_after_turn(Wave& wave) {
  const bool is_valid = !depends_on_others_ && is_quiet(wave) && wave.state == WaveState::ready &&
                        (!read_lds_ || lds_changes_ == wave.block->lds_changes);
  if (is_valid && verdict_ == Verdict::none && --turns_left_ != 0) return Verdict::none;
  wave_ = nullptr;
  wave.quiet_turns = 0;
  if (wave.watches < kMostWatches) ++wave.watches;
  return is_valid ? verdict_ : Verdict::none;
}

bool is_deadlocked(const Block& block) {
  return std::ranges::all_of(block.waves, [&](const Wave* wave) {
    switch (wave->state) {
      case WaveState::finished:
      case WaveState::at_barrier:
        return true;
      case WaveState::ready:
        return wave->waits_for_lds && wave->waits_since == block.lds_changes;
      case WaveState::faulted:
        return false;
    }
    return false;
  });
}

}  // namespace virtual_rocm::engine
