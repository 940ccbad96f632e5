// SPDX-License-Identifier: MIT
//
// Turns the host's memory protection into a fault of the kernel: with the bounds check off, an access to an
// inaccessible page ends the launch instead of the process.
#pragma once

#include <csetjmp>
#include <cstdint>
#include <utility>

#include "engine/fault.hpp"

namespace virtual_rocm::engine {

class SignalGuard {
 public:
  /// Installs the handlers, once for the process. Signals outside of run() go to the handlers that were there
  /// before.
  static void install();

  /// Runs `action` and returns true, or false if it touched memory that it must not; address() and access()
  /// tell what. `action` must own nothing: it is left by a jump.
  template <typename Action>
  static bool run(Action&& action) {
    if (sigsetjmp(*target(), 0) != 0) {
      arm(false);
      return false;
    }
    arm(true);
    action();
    arm(false);
    return true;
  }

  static std::uint64_t address();
  static AccessKind access();

 private:
  static sigjmp_buf* target();
  static void arm(bool on);
};

}  // namespace virtual_rocm::engine
