// SPDX-License-Identifier: MIT
//
// The narrow interface on which checks are plugins.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/fault.hpp"

namespace virtual_rocm::engine {

struct Wave;

enum class Space : std::uint8_t { global, lds, scratch };

/// One memory instruction of one wave, before it is carried out.
struct Access {
  AccessKind kind;
  Space space;
  std::uint32_t size;              ///< bytes of one lane
  std::uint64_t lanes;             ///< which lanes take part
  const std::uint64_t* addresses;  ///< 64 entries, valid for `lanes`; null if `contiguous`
  bool contiguous;                 ///< lane l accesses first + (l − lowest lane) * size
  std::uint64_t first;             ///< address of the lowest lane
  const Wave* wave;                ///< for identity (block, index): not to be changed
  std::uint64_t address_of(unsigned lane) const;
};

/// What a check finds wrong; the engine adds the site and ends the launch.
struct Finding {
  FaultKind kind = FaultKind::check;
  std::string message;
  unsigned lane = 0;
  std::uint64_t address = 0;
};

struct LaunchInformation {
  std::uint64_t launch;
  const struct Kernel* kernel;
  Dimensions grid;
  Dimensions block;
};

/// Called on the engine's threads. An observer that does not override a function costs nothing for it:
/// `interests` says which calls are wanted.
class Observer {
 public:
  enum Interest : unsigned { accesses = 1, barriers = 2, launches = 4, allocations = 8 };

  virtual ~Observer() = default;
  virtual const char* name() const = 0;
  virtual unsigned interests() const = 0;

  virtual std::optional<Finding> on_access(const Access&) { return std::nullopt; }
  virtual std::optional<Finding> on_barrier(const Wave&) { return std::nullopt; }
  virtual void on_launch(const LaunchInformation&) {}
  virtual void on_launch_end(const LaunchInformation&, const Fault*) {}
  virtual void on_allocate(const Allocation&) {}
  virtual void on_free(const Allocation&) {}
};

}  // namespace virtual_rocm::engine
