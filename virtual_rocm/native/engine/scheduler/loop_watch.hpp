// SPDX-License-Identifier: MIT
//
// Proves that a wave is in a loop without end: it comes back to an instruction with every register and all
// private memory as they were, and has read nothing in between that another could have changed. Internal to
// the engine.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/block.hpp"

namespace virtual_rocm::engine {

/// Whether a turn looked like one of such a loop: nothing of it could be seen by others of its block, and it
/// read no global memory. A long computation looks the same.
inline bool is_quiet(const Wave& wave) {
  return (wave.progressed & kLocalProgress) == 0 &&
         (wave.polled_address == 0 || wave.polled_address >> 32 == kSharedApertureHigh);
}

/// Watches one wave at a time, through a number of its turns. Watching is slow, so it is done for one turn in
/// some hundred, of waves that were quiet for all of them.
class LoopWatch {
 public:
  enum class Verdict : std::uint8_t {
    none,           ///< nothing is proved (yet)
    endless,        ///< it will go round for ever, whatever others do
    waits_for_lds,  ///< it will, unless somebody changes LDS
  };

  /// Whether this turn of a wave should be watched.
  bool wants(const Wave& wave) {
    if (wave_ != nullptr) return wave_ == &wave;
    return wave.quiet_turns >= kQuietTurns << wave.watches;
  }

  /// Gives the wave its turn, as the executor's own loop does. Sets the program's marks, if it has any.
  const Operation* dispatch(const Operation* operation, Wave* wave, std::uint32_t budget,
                            std::uint32_t* left);

  /// What the turn has proved; ends the watch if it has, or if it has lasted long enough.
  Verdict verdict_after_turn(Wave& wave);

  /// The block of the wave that is watched has gone, or the wave has done something else.
  void stop() { wave_ = nullptr; }

 private:
  static constexpr std::uint32_t kQuietTurns = 256;
  static constexpr std::uint32_t kWatchedTurns = 4;
  static constexpr std::uint8_t kMostWatches = 16;

  void begin(Wave& wave, const Operation* operation);
  bool is_as_before(const Wave& wave) const;

  const Wave* wave_ = nullptr;
  const Operation* place_ = nullptr;  // where it has to come back to
  std::uint32_t turns_left_ = 0;
  std::uint64_t lds_changes_ = 0;
  std::uint32_t vectors_ = 0;  // registers that are compared
  std::uint32_t accumulators_ = 0;
  std::vector<std::uint32_t> registers_;
  std::vector<std::uint8_t> scratch_;  // the pieces that it had, one after the other
  std::uint32_t scratch_held_ = 0;
  std::uint32_t scalars_[operand::kInlineConstant0] = {};
  std::uint32_t scc_ = 0;
  std::uint32_t mode_ = 0;
  std::uint32_t gpr_index_mode_ = 0;
  bool just_begun_ = false;
  bool read_lds_ = false;
  bool depends_on_others_ = false;
  Verdict verdict_ = Verdict::none;
};

/// Whether no wave of a block can ever move again: each that has not finished is at a barrier, or was proved
/// to wait for LDS, which nobody has changed since.
bool is_deadlocked(const Block& block);

}  // namespace virtual_rocm::engine
