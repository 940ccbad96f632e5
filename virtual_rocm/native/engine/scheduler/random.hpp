// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace virtual_rocm::engine {

/// A small generator (SplitMix64), so that a seed gives the same schedule with every compiler and library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t value = state_ += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
  }

  /// A number below `bound`, which is not 0. The bias for small bounds does not matter here.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }

 private:
  std::uint64_t state_;
};

}  // namespace virtual_rocm::engine
