// SPDX-License-Identifier: MIT
#include "runtime/allocation_map.hpp"

#include <algorithm>

namespace virtual_rocm {

namespace {

// How many freed allocations are remembered for "use after free" reports.
constexpr std::size_t kHistory = 4096;

// First allocation whose base is above `address`.
AllocationMap::Snapshot::const_iterator after(const AllocationMap::Snapshot& sorted, std::uint64_t address) {
  return std::upper_bound(sorted.begin(), sorted.end(), address,
                          [](std::uint64_t value, const auto& item) { return value < item->base; });
}

}  // namespace

const char* to_string(AllocationKind kind) {
  switch (kind) {
    case AllocationKind::device:
      return "device memory";
    case AllocationKind::host:
      return "pinned host memory";
    case AllocationKind::registered:
      return "registered host memory";
    case AllocationKind::framework:
      return "tensor memory";
    case AllocationKind::peer:
      return "peer memory";
    case AllocationKind::mapped:
      return "mapped memory";
    case AllocationKind::code_object:
      return "code object";
    case AllocationKind::engine:
      return "engine memory";
  }
  return "memory";
}

AllocationMap::AllocationMap() = default;

bool AllocationMap::add(Allocation allocation) {
  if (allocation.size == 0 || allocation.end() < allocation.base) return false;
  std::lock_guard lock(mutex_);
  const auto next = after(live_, allocation.base);
  if (next != live_.end() && (*next)->base < allocation.end()) return false;
  if (next != live_.begin() && (*std::prev(next))->end() > allocation.base) return false;
  std::erase_if(history_, [&](const auto& freed) {
    return freed->base < allocation.end() && allocation.base < freed->end();
  });
  live_.insert(next, std::make_shared<const Allocation>(std::move(allocation)));
  publish_locked();
  return true;
}

std::shared_ptr<const Allocation> AllocationMap::remove(std::uint64_t base) {
  std::lock_guard lock(mutex_);
  const auto next = after(live_, base);
  if (next == live_.begin() || (*std::prev(next))->base != base) return nullptr;
  auto allocation = *std::prev(next);
  live_.erase(std::prev(next));
  history_.push_back(allocation);
  if (history_.size() > kHistory) history_.pop_front();
  publish_locked();
  return allocation;
}

std::shared_ptr<const Allocation> AllocationMap::find(std::uint64_t address) const {
  std::lock_guard lock(mutex_);
  const auto next = after(live_, address);
  if (next == live_.begin() || !(*std::prev(next))->contains(address, 1)) return nullptr;
  return *std::prev(next);
}

Placement AllocationMap::locate(std::uint64_t address, std::uint64_t bytes, std::uint64_t reach) const {
  using Relation = Placement::Relation;
  std::lock_guard lock(mutex_);
  const auto next = after(live_, address);
  const auto before = next == live_.begin() ? nullptr : *std::prev(next);
  if (before && before->contains(address, std::max<std::uint64_t>(bytes, 1)))
    return {Relation::inside, before, address - before->base};
  // The newest freed range that held the address says more than a live neighbour, which may be megabytes
  // away.
  for (auto freed = history_.rbegin(); freed != history_.rend(); ++freed)
    if ((*freed)->contains(address, 1)) return {Relation::freed, *freed, address - (*freed)->base};
  const std::uint64_t past_end = !before                    ? UINT64_MAX
                                 : address >= before->end() ? address - before->end()
                                                            : 0;  // begins inside and runs over the end
  const std::uint64_t ahead = next == live_.end() ? UINT64_MAX : (*next)->base - address;
  if (past_end <= ahead && past_end <= reach) return {Relation::after_end, before, past_end};
  if (ahead <= reach) return {Relation::before_begin, *next, ahead};
  return {};
}

std::shared_ptr<const AllocationMap::Snapshot> AllocationMap::snapshot() const {
  std::lock_guard lock(mutex_);
  if (!published_) published_ = std::make_shared<const Snapshot>(live_);
  return published_;
}

void AllocationMap::publish_locked() {
  // The copy is made by the next reader, so that a burst of allocations costs one copy, not one each.
  published_.reset();
  generation_.fetch_add(1, std::memory_order_release);
}

bool AllocationCursor::allows_slowly(std::uint64_t address, std::uint64_t bytes, bool write) {
  const std::uint64_t generation = map_->generation();
  if (generation != generation_ || !snapshot_) {
    snapshot_ = map_->snapshot();
    generation_ = generation;
    size_ = 0;
    last_hit_ = nullptr;
    recent_.fill(nullptr);
  }
  if (take_recent(address, bytes, write)) return true;
  const auto next = after(*snapshot_, address);
  if (next == snapshot_->begin()) return false;
  const Allocation& candidate = **std::prev(next);
  if (!candidate.contains(address, bytes) || (write && !candidate.writable)) return false;
  recent_[next_recent_++ % recent_.size()] = &candidate;
  return take_recent(address, bytes, write);
}

bool AllocationCursor::take_recent(std::uint64_t address, std::uint64_t bytes, bool write) {
  for (const Allocation* allocation : recent_) {
    if (allocation == nullptr || !allocation->contains(address, bytes)) continue;
    if (write && !allocation->writable) return false;
    begin_ = allocation->base;
    size_ = allocation->size;
    writable_ = allocation->writable;
    last_hit_ = allocation;
    return true;
  }
  return false;
}

AllocationMap& process_allocations() {
  // Never destroyed: kernels and library destructors may still ask while the process ends.
  static AllocationMap* const map = new AllocationMap;
  return *map;
}

}  // namespace virtual_rocm
