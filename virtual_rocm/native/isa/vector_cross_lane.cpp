// SPDX-License-Identifier: MIT
//
// Instructions that move values between lanes and scalar registers, and v_swap.
#include <bit>
#include <utility>

#include "isa/handlers.hpp"

namespace virtual_rocm::isa {
namespace {

using u32 = std::uint32_t;

// Reads the lane named, enabled or not.
const Operation* read_lane(const Operation* operation, Wave* wave) {
  const u32 lane = scalar_value<u32>(operation, wave, 1) & (kLanes - 1);
  *wave->at<u32>(operation->destination) = wave->at<u32>(operation->source[0])[lane];
  return operation + 1;
}

// Writes the lane named, enabled or not.
const Operation* write_lane(const Operation* operation, Wave* wave) {
  const u32 lane = scalar_value<u32>(operation, wave, 1) & (kLanes - 1);
  wave->at<u32>(operation->destination)[lane] = scalar_value<u32>(operation, wave, 0);
  return operation + 1;
}

// The first enabled lane; lane 0 if there is none.
const Operation* read_first_lane(const Operation* operation, Wave* wave) {
  const std::uint64_t exec = wave->exec();
  const unsigned lane = exec == 0 ? 0 : static_cast<unsigned>(std::countr_zero(exec));
  *wave->at<u32>(operation->destination) = wave->at<u32>(operation->source[0])[lane];
  return operation + 1;
}

// A scalar source is the same in every lane.
const Operation* read_first_lane_of_scalar(const Operation* operation, Wave* wave) {
  *wave->at<u32>(operation->destination) = scalar_value<u32>(operation, wave, 0);
  return operation + 1;
}

const Operation* swap(const Operation* operation, Wave* wave) {
  u32* const left = wave->at<u32>(operation->destination);
  u32* const right = wave->at<u32>(operation->source[0]);
  const u32* const masks = wave->masks();
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (masks[lane]) std::swap(left[lane], right[lane]);
  }
  return operation + 1;
}

}  // namespace

void add_cross_lane(HandlerTable& table) {
  using enum Opcode;
  // The lane is a scalar operand always; what is read is a vector register.
  table[v_readlane_b32].sources = 2;
  table[v_readlane_b32].plain[2] = &read_lane;
  table[v_writelane_b32].sources = 2;
  table[v_writelane_b32].plain[3] = &write_lane;
  table[v_readfirstlane_b32].sources = 1;
  table[v_readfirstlane_b32].plain[0] = &read_first_lane;
  table[v_readfirstlane_b32].plain[1] = &read_first_lane_of_scalar;
  table[v_swap_b32].sources = 1;
  table[v_swap_b32].plain[0] = &swap;
}

}  // namespace virtual_rocm::isa
