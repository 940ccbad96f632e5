// SPDX-License-Identifier: MIT
//
// What ends a launch before its time, as a value that says everything a person needs to find the cause.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/allocation_map.hpp"

namespace virtual_rocm::engine {

struct Dimensions {
  std::uint32_t x = 1;
  std::uint32_t y = 1;
  std::uint32_t z = 1;
  std::uint64_t count() const { return std::uint64_t{x} * y * z; }
  bool operator==(const Dimensions&) const = default;
};

enum class FaultKind : std::uint8_t {
  out_of_bounds,      ///< a global access outside live allocations (found by the bounds check)
  memory_violation,   ///< the host's memory protection stopped an access (bounds check off)
  lds_out_of_bounds,  ///< beyond the block's LDS
  scratch_out_of_bounds,
  read_only,        ///< a write to an allocation that is not writable
  misaligned,       ///< an atomic on an address that is not a multiple of its size
  assertion,        ///< __assert_fail: `message` is the assertion's own text
  trap,             ///< __builtin_trap, abort
  bad_instruction,  ///< control reached something that is not an instruction, or is refused
  bad_branch,       ///< a jump out of the code object
  deadlock,         ///< nothing could move for Knobs::stall_seconds: see `waits`
  deadline,         ///< Knobs::deadline_seconds is over: see `waits`
  check,            ///< an observer's own verdict: see `check_name`
  cancelled,        ///< ended because another launch of the executor faulted, or on request
  launch,           ///< the launch itself is impossible (too much LDS, block too large …)
};

const char* to_string(FaultKind kind);

/// A place in the program's source.
struct SourceLocation {
  std::string file;
  std::uint32_t line = 0;
  std::string function;
};

/// Where in a launch something happened.
struct Site {
  std::string kernel;
  std::uint64_t launch = 0;  ///< number of the launch in its executor, from 1
  Dimensions block{0, 0, 0};
  std::uint32_t wave = 0;              ///< in its block
  std::optional<std::uint32_t> lane;   ///< the first lane concerned
  std::optional<Dimensions> thread;    ///< threadIdx of that lane
  std::uint64_t pc = 0;                ///< byte offset in the code object, as llvm-objdump counts
  std::string instruction;             ///< as text
  std::vector<SourceLocation> source;  ///< innermost first: inlined frames, when debug information is there
};

/// One wave (or a number of waves that do the same) that waits.
struct Wait {
  Site site;
  std::uint64_t waves = 1;  ///< how many waves wait at this instruction on this address
  bool at_barrier = false;
  std::uint64_t address = 0;  ///< last address it read, 0 if none
  std::uint64_t value = 0;    ///< what it read there
  std::string where;          ///< the address in words: "offset 64 of hipMalloc #3 (rank 1)"
};

enum class AccessKind : std::uint8_t { read, write, atomic };
const char* to_string(AccessKind kind);

struct Fault {
  FaultKind kind = FaultKind::trap;
  std::string message;     ///< one sentence; an assertion's own text
  std::string check_name;  ///< of the observer that reported it
  Site site;
  std::uint64_t address = 0;
  std::uint32_t size = 0;  ///< bytes of one lane's access
  AccessKind access = AccessKind::read;
  std::uint64_t lanes = 0;  ///< lanes concerned
  Placement placement;      ///< the allocation missed, and by how much
  std::vector<Wait> waits;  ///< deadlock and deadline: who waits where
  std::string state;        ///< deadlock and deadline: blocks finished, resident, not started

  /// The whole report, several lines.
  std::string text() const;
};

}  // namespace virtual_rocm::engine
