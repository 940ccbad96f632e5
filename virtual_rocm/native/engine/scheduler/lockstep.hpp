// SPDX-License-Identifier: MIT
//
// Ranks take turns: what their kernels do to each other is the same in every run with the same seed.
//
// The executors of all ranks share a few words of memory, whose file VIRTUAL_ROCM_LOCKSTEP names: the
// launcher makes it, or the first rank does. One executor at a time has the turn and runs one round of its
// waves; then a generator that all share says who is next. Ranks whose kernels take turns are *members*. When
// a rank may join must not depend on how fast its host code is, so ranks join together, when all members have
// left (their kernels ended) or none of them can move; and then every rank that still lives is waited for.
// One that stays in host code longer than Knobs::lockstep_patience is left out, and this is said, because the
// run may not repeat.
//
// Each rank holds a lock of the system on a byte of the file. It goes when the process does, in whatever way,
// and so the others learn of it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace virtual_rocm::engine {

struct Knobs;
struct LockstepState;

/// One rank's part in it. Used by the executor's thread alone.
class Lockstep {
 public:
  /// Null where nobody asks for it. Throws LoadError if VIRTUAL_ROCM_LOCKSTEP, RANK or WORLD_SIZE make no
  /// sense, or if this process takes part already (with another device).
  static std::unique_ptr<Lockstep> from_environment(const Knobs& knobs);

  Lockstep(const std::string& path, unsigned rank, const Knobs& knobs);
  ~Lockstep();
  Lockstep(const Lockstep&) = delete;
  Lockstep& operator=(const Lockstep&) = delete;

  unsigned rank() const { return rank_; }

  /// This rank has launches that are not admitted yet. Whether they are now.
  bool admit();

  /// Waits for the turn; false after a short while without it, so that the thread can look around.
  bool take_turn(const std::atomic<bool>& attention);

  /// Waits a little for something to change.
  void rest();

  /// Hands the turn on. `progressed`: whether this rank's round moved anything.
  void end_turn(bool progressed);

  /// This rank has no launch left to run; it hands the turn on if it has it.
  void leave();

  /// Every member has had turns in which nothing moved, and none has moved since.
  bool nobody_moves() const;

  /// The same, and no rank is left that could come and change that.
  bool nobody_can_move() const;

  /// To be called when a deadlock is found, so that every member reports its own part of it.
  void declare_deadlock();
  bool deadlock_declared() const;

  /// Who is where, in words.
  std::string describe() const;

 private:
  class Guard;
  void hand_on();
  /// Each member, on average, has had so many turns in which nothing moved, and none has moved since.
  bool idle_for(std::uint32_t turns) const;
  bool may_admit() const;
  bool try_admit();
  void find_dead();
  void wait_for_change(std::uint32_t seen, std::chrono::milliseconds time);
  void announce();

  int file_ = -1;
  LockstepState* state_ = nullptr;
  unsigned rank_;
  double patience_;
  std::uint64_t seed_;
  std::uint64_t asked_in_ = 0;  // session in which it began to wait
  std::chrono::steady_clock::time_point waiting_since_{};
  bool waits_ = false;
};

}  // namespace virtual_rocm::engine
