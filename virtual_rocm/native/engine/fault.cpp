// SPDX-License-Identifier: MIT
#include "engine/fault.hpp"

#include <cstdio>

#include "engine/block.hpp"
#include "engine/scheduler/launch_state.hpp"
#include "engine/scheduler/report.hpp"

namespace virtual_rocm::engine {
namespace {

std::string hexadecimal(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string position(Dimensions value) {
  char text[40];
  std::snprintf(text, sizeof text, "(%u,%u,%u)", value.x, value.y, value.z);
  return text;
}

std::string describe(const Allocation& allocation) {
  std::string text = allocation.label + " (" + to_string(allocation.kind) + ", " +
                     std::to_string(allocation.size) + " bytes at " + hexadecimal(allocation.base);
  if (allocation.owner_rank >= 0) text += ", owned by rank " + std::to_string(allocation.owner_rank);
  return text + ")";
}

std::string describe(const Placement& placement, std::uint64_t address, std::uint32_t size) {
  using Relation = Placement::Relation;
  if (placement.allocation == nullptr) return "no allocation is near";
  const Allocation& allocation = *placement.allocation;
  switch (placement.relation) {
    case Relation::inside: {
      // The first byte is inside: how far the access reaches out.
      const std::uint64_t end = address + size;
      if (end <= allocation.end()) return "inside " + describe(allocation);
      return "reaches " + std::to_string(end - allocation.end()) + " bytes past the end of " +
             describe(allocation);
    }
    case Relation::after_end:
      return placement.distance == 0
                 ? "the first byte past the end of " + describe(allocation)
                 : std::to_string(placement.distance) + " bytes past the end of " + describe(allocation);
    case Relation::before_begin:
      return std::to_string(placement.distance) + " bytes before the start of " + describe(allocation);
    case Relation::freed:
      return "offset " + std::to_string(placement.distance) + " of " + describe(allocation) +
             ", which has been freed";
    case Relation::nowhere:
      break;
  }
  return "no allocation is near";
}

void append_site(std::string& text, const Site& site) {
  text +=
      "  kernel " + site.kernel + ", block " + position(site.block) + ", wave " + std::to_string(site.wave);
  if (site.lane) text += ", lane " + std::to_string(*site.lane);
  if (site.thread) text += ", thread " + position(*site.thread);
  text += "\n";
  for (const SourceLocation& place : site.source) {
    text += "  at " + (place.file.empty() ? std::string("unknown file")
                                          : place.file + ":" + std::to_string(place.line));
    if (!place.function.empty()) text += " in " + place.function;
    text += "\n";
  }
  text += "  pc " + hexadecimal(site.pc);
  if (!site.instruction.empty()) text += ": " + site.instruction;
  text += "\n";
}

}  // namespace

const char* to_string(FaultKind kind) {
  switch (kind) {
    case FaultKind::out_of_bounds:
      return "out-of-bounds access";
    case FaultKind::memory_violation:
      return "memory violation";
    case FaultKind::lds_out_of_bounds:
      return "out-of-bounds LDS access";
    case FaultKind::scratch_out_of_bounds:
      return "out-of-bounds private memory access";
    case FaultKind::read_only:
      return "write to read-only memory";
    case FaultKind::misaligned:
      return "misaligned atomic";
    case FaultKind::assertion:
      return "device assertion";
    case FaultKind::trap:
      return "device trap";
    case FaultKind::bad_instruction:
      return "bad instruction";
    case FaultKind::bad_branch:
      return "bad branch";
    case FaultKind::deadlock:
      return "deadlock";
    case FaultKind::deadline:
      return "deadline";
    case FaultKind::check:
      return "failed check";
    case FaultKind::cancelled:
      return "cancelled";
    case FaultKind::launch:
      return "impossible launch";
  }
  return "fault";
}

const char* to_string(AccessKind kind) {
  switch (kind) {
    case AccessKind::read:
      return "read";
    case AccessKind::write:
      return "write";
    case AccessKind::atomic:
      return "atomic";
  }
  return "access";
}

std::string Fault::text() const {
  std::string text = to_string(kind);
  if (!check_name.empty()) text += std::string(" (") + check_name + ")";
  if (!message.empty()) text += ": " + message;
  if (size != 0) {
    const auto others = static_cast<unsigned>(__builtin_popcountll(lanes));
    text += ": " + std::string(to_string(access)) + " of " + std::to_string(size) + " bytes at " +
            hexadecimal(address);
    if (others > 1) text += " (and " + std::to_string(others - 1) + " more lanes)";
    if (kind == FaultKind::out_of_bounds || kind == FaultKind::read_only ||
        kind == FaultKind::memory_violation || kind == FaultKind::check)
      text += "\n  " + describe(placement, address, size);
  } else if (kind == FaultKind::bad_branch && address != 0) {
    text += ": " + hexadecimal(address);
  }
  text += "\n";
  if (!site.kernel.empty() && waits.empty()) append_site(text, site);
  if (!state.empty()) text += "  kernel " + site.kernel + ": " + state + "\n";
  for (const Wait& wait : waits) {
    text += "  " + std::to_string(wait.waves) + (wait.waves == 1 ? " wave waits" : " waves wait");
    if (wait.at_barrier)
      text += " at a barrier";
    else if (wait.address != 0)
      text += " on " + hexadecimal(wait.address) + " = " + std::to_string(wait.value) +
              (wait.where.empty() ? "" : ", " + wait.where);
    text += ", for instance:\n";
    std::string site_text;
    append_site(site_text, wait.site);
    for (std::size_t begin = 0; begin < site_text.size();) {
      const std::size_t end = site_text.find('\n', begin);
      text += std::string("  ") + site_text.substr(begin, end - begin) + "\n";
      begin = end + 1;
    }
  }
  return text;
}

const Operation* raise(const Operation* operation, Wave* wave, Fault fault) {
  LaunchState& launch = *wave->block->launch;
  wave->state = WaveState::faulted;
  wave->resume = operation;
  if (!launch.fault) {
    const std::optional<std::uint32_t> lane = fault.site.lane;
    fault.site = site_of(*wave, operation, lane, true);
    launch.fault = std::move(fault);
  }
  return nullptr;
}

const Operation* raise_access(const Operation* operation, Wave* wave, FaultKind kind, AccessKind access,
                              unsigned lane, std::uint64_t lanes, std::uint64_t address, std::uint32_t size,
                              std::string message) {
  Fault fault;
  fault.kind = kind;
  fault.access = access;
  fault.site.lane = lane;
  fault.lanes = lanes;
  fault.address = address;
  fault.size = size;
  fault.message = std::move(message);
  if (kind == FaultKind::lds_out_of_bounds && fault.message.empty())
    fault.message = "the block has " + std::to_string(wave->lds_size) + " bytes of LDS";
  if (kind == FaultKind::scratch_out_of_bounds && fault.message.empty())
    fault.message = "a lane has " + std::to_string(wave->scratch_size) + " bytes of private memory";
  if (kind == FaultKind::out_of_bounds || kind == FaultKind::read_only || kind == FaultKind::memory_violation)
    fault.placement = process_allocations().locate(address, size);
  return raise(operation, wave, std::move(fault));
}

}  // namespace virtual_rocm::engine
