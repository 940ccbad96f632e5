// SPDX-License-Identifier: MIT
#include "engine/scheduler/report.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <tuple>

#include "engine/execute/execute.hpp"

namespace virtual_rocm::engine {

Site site_of(const Wave& wave, const Operation* operation, std::optional<unsigned> lane, bool with_source) {
  const LaunchState& launch = *wave.block->launch;
  Site site;
  site.kernel = launch.launch.kernel->name;
  site.launch = launch.number;
  site.block = wave.block->index;
  site.wave = wave.index;
  if (lane) {
    site.lane = *lane;
    const Dimensions size = launch.launch.block;
    const std::uint32_t thread = std::uint32_t{wave.index} * kLanes + *lane;
    site.thread = Dimensions{thread % size.x, thread / size.x % size.y, thread / size.x / size.y};
  }
  const std::uint64_t address = launch.program->address_of(operation);
  site.pc = address - launch.program->load_base();
  if (operation->instruction.opcode != isa::Opcode::count)
    site.instruction = isa::print(operation->instruction);
  if (with_source) site.source = launch.code->locate(address);
  return site;
}

std::string describe_address(std::uint64_t address) {
  if (address == 0) return {};
  if (address >> 32 == kSharedApertureHigh)
    return "LDS, offset " + std::to_string(static_cast<std::uint32_t>(address));
  const Placement placement = process_allocations().locate(address, 1);
  if (placement.allocation == nullptr) return "no allocation";
  const Allocation& allocation = *placement.allocation;
  std::string text = "offset " + std::to_string(address - allocation.base) + " of " + allocation.label +
                     " (" + to_string(allocation.kind) + ", " + std::to_string(allocation.size) + " bytes";
  if (allocation.owner_rank >= 0) text += ", rank " + std::to_string(allocation.owner_rank);
  return text + ")";
}

namespace {

// Where the innermost loop around an operation begins, as the code lies; the operation itself if it is in
// none. A wave that spins is stopped anywhere in its loop, and where differs from run to run.
const Operation* loop_around(const Operation* place) {
  constexpr std::ptrdiff_t kLongest = 256;
  for (const Operation* end = place; end - place < kLongest; ++end) {
    if (end->instruction.opcode == isa::Opcode::count) break;
    if (!is_relative_branch(*end)) continue;
    const Operation* target = end + static_cast<std::int64_t>(end->immediate);
    if (target <= place) return target;
  }
  return place;
}

}  // namespace

std::vector<Wait> waits_of(const LaunchState& launch) {
  std::map<std::tuple<const Operation*, std::uint64_t, bool>, Wait> groups;
  for (const auto& block : launch.resident) {
    for (const Wave* wave : block->waves) {
      if (wave->state != WaveState::ready && wave->state != WaveState::at_barrier) continue;
      const bool at_barrier = wave->state == WaveState::at_barrier;
      const std::uint64_t address = at_barrier ? 0 : wave->polled_address;
      // What a spinning wave waits for tells more than where in its loop it is.
      const Operation* place = at_barrier     ? wave->resume - 1
                               : address != 0 ? loop_around(wave->resume)
                                              : wave->resume;
      const auto key = std::make_tuple(address != 0 ? nullptr : place, address, at_barrier);
      auto [entry, added] = groups.try_emplace(key);
      if (!added) {
        ++entry->second.waves;
        continue;
      }
      Wait& wait = entry->second;
      wait.site = site_of(*wave, place, std::nullopt, true);
      wait.at_barrier = at_barrier;
      wait.address = address;
      wait.where = describe_address(address);
      const bool in_lds = address >> 32 == kSharedApertureHigh;
      if (in_lds && static_cast<std::uint32_t>(address) + 4 <= wave->lds_size) {
        std::uint32_t value = 0;
        std::memcpy(&value, wave->lds + static_cast<std::uint32_t>(address), sizeof value);
        wait.value = value;
      } else if (address != 0 && !in_lds && wave->worker->reads.allows(address, 4)) {
        std::uint32_t value = 0;
        std::memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
        wait.value = value;
      }
    }
  }
  std::vector<Wait> waits;
  for (auto& [key, wait] : groups) waits.push_back(std::move(wait));
  std::ranges::sort(waits, [](const Wait& left, const Wait& right) {
    if (left.waves != right.waves) return left.waves > right.waves;
    return left.site.pc != right.site.pc ? left.site.pc < right.site.pc : left.address < right.address;
  });
  return waits;
}

std::string progress_of(const LaunchState& launch) {
  return std::to_string(launch.finished_blocks) + " of " + std::to_string(launch.total_blocks) +
         " blocks finished, " + std::to_string(launch.resident.size()) + " resident, " +
         std::to_string(launch.total_blocks - launch.next_block) + " not started";
}

}  // namespace virtual_rocm::engine
