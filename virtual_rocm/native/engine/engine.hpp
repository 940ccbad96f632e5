// SPDX-License-Identifier: MIT
//
// The engine's public interface: what the host runtime uses.
//
//     auto code = CodeObject::load(bytes, "kernels.hsaco");
//     Executor executor(Knobs::from_environment());
//     Launch launch;
//     launch.code_object = code;
//     launch.kernel = code->find_kernel("_Z3addPf");      // null: hipErrorNotFound
//     launch.grid = {80}; launch.block = {256};
//     launch.arguments = pack_arguments(*launch.kernel, parameters);
//     launch.completed = [](const Outcome& outcome) { … };
//     executor.submit(std::move(launch));
//
// An executor is one virtual device. All launches that were submitted and have not ended are resident
// together, so kernels of different streams can wait for one another; ordering within a stream is the
// runtime's: it submits a kernel when the one before has completed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/code_object.hpp"
#include "engine/fault.hpp"
#include "engine/observer.hpp"

namespace virtual_rocm::engine {

/// Blocks that start late, as if another kernel had the compute units until then.
struct LateBlocks {
  int rank = 0;             ///< whom it is for; the engine has no rank, and whoever makes one of it decides
  std::string kernel;       ///< kernels whose names begin so
  std::uint64_t first = 0;  ///< the first block that is late; so are those behind it
  double seconds = 0;       ///< after the launch began; 0: none is late
};

/// Everything that can be set. Each has an environment variable, VIRTUAL_ROCM_ and the name in capitals.
struct Knobs {
  std::uint64_t seed = 0;            ///< order of turns among waves; 0 is round robin
  std::uint32_t quantum = 4096;      ///< instructions of one turn
  std::uint32_t spin_quantum = 256;  ///< instructions of a turn after one that made no progress
  std::uint32_t resident_blocks =
      2;  ///< blocks of a launch that start together; doubles when none of them can move
  std::uint32_t resident_limit = 0;  ///< never more blocks than this at once (a small GPU); 0: no limit
  double deadline_seconds = 0;       ///< of one launch, 0: none
  double stall_seconds = 60;         ///< no progress for so long is a deadlock
  bool check_bounds = true;          ///< every global access against the allocation map
  bool real_clock = false;           ///< s_memtime counts nanoseconds instead of instructions
  double lockstep_patience =
      10;                  ///< seconds that a rank may be in host code before the others go on without it
  LateBlocks late_blocks;  ///< not where ranks take turns: time has no meaning there

  /// Throws LoadError that names the variable and what it accepts.
  static Knobs from_environment();
};

/// How a launch ended. `fault` is empty if every wave reached its end.
struct Outcome {
  std::uint64_t launch = 0;
  std::optional<Fault> fault;
  std::uint64_t instructions = 0;  ///< wave-instructions
  std::uint64_t turns = 0;
  std::uint32_t most_resident_blocks = 0;
  double seconds = 0;            ///< of its life on the device
  double processor_seconds = 0;  ///< of the engine's thread in that time, other launches included
};

struct Launch {
  std::shared_ptr<const CodeObject> code_object;  ///< kept alive while the launch lives
  const Kernel* kernel = nullptr;
  Dimensions grid;                   ///< in blocks
  Dimensions block;                  ///< in threads
  std::uint32_t dynamic_lds = 0;     ///< bytes
  std::vector<std::byte> arguments;  ///< explicit arguments at their offsets; the engine adds the hidden ones
  /// Called once, on a thread of the executor, when the launch has ended. May submit; must not wait.
  std::function<void(const Outcome&)> completed;
};

/// Explicit arguments from hipLaunchKernel's array of pointers, at their offsets.
std::vector<std::byte> pack_arguments(const Kernel& kernel, void* const* parameters);

/// One virtual device. Its thread starts with the first launch. Why one: docs/virtual_rocm/speed.md.
class Executor {
 public:
  explicit Executor(Knobs knobs);
  ~Executor();  ///< cancels what still runs, without waiting for its end
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Starts a launch and returns its number. Throws LoadError if it is impossible (refused instructions, too
  /// much LDS, too many threads): nothing is called back then.
  std::uint64_t submit(Launch launch);

  /// Ends every launch with FaultKind::cancelled; returns when none is left.
  void cancel(const std::string& reason);

  /// Adds a check. Before the first launch, or between launches.
  void add_observer(std::shared_ptr<Observer> observer);

  /// Where the text of device printf goes (default: standard output, flushed when a launch ends).
  void set_printer(std::function<void(const std::string&)> printer);

  /// Where every wave of every launch is just now, in words: for a host that waits too long.
  std::string describe() const;

  const Knobs& knobs() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace virtual_rocm::engine
