// SPDX-License-Identifier: MIT
//
// Every address that a kernel may touch, and what it belongs to.
//
// The host runtime writes the map (hipMalloc, hipFree, IPC, VMM, registered host memory); the engine's checks
// read it on every memory access. So that reading costs a few instructions and takes no lock, the map is
// published as immutable snapshots: each engine thread owns an AllocationCursor, which remembers the range of
// its last hit and re-reads the map only when its generation number has changed.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace virtual_rocm {

/// Where the memory came from; also the word used for it in reports.
enum class AllocationKind : std::uint8_t {
  device,       ///< hipMalloc and its family
  host,         ///< hipHostMalloc: pinned host memory
  registered,   ///< hipHostRegister: the program's own memory, pinned
  framework,    ///< a tensor of the framework (the torch bridge puts "cuda" tensors on host memory)
  peer,         ///< another process's allocation, opened through IPC or an imported VMM handle
  mapped,       ///< a VMM handle mapped into a reserved address range
  code_object,  ///< loaded segments of a code object: device globals, constants, code
  engine,       ///< memory of the engine that kernels read: kernel arguments, dispatch packets
};

/// What a report calls that kind of memory ("device memory", "peer memory" …).
const char* to_string(AllocationKind kind);

/// One allocation. Immutable once it is in the map; shared between snapshots.
struct Allocation {
  std::uint64_t base = 0;
  std::uint64_t size = 0;  ///< exactly the bytes asked for, not rounded up
  AllocationKind kind = AllocationKind::device;
  bool writable = true;
  std::int32_t owner_rank = -1;    ///< rank of the owning process; -1 if the program has no ranks
  std::int32_t owner_process = 0;  ///< process id of the owner
  std::uint64_t serial = 0;  ///< counts allocations of the owner, from 1: the same in every run of a program
  std::string label;         ///< for people: "hipMalloc #12", "global g_counter of dispatch.hsaco"

  std::uint64_t end() const { return base + size; }
  bool contains(std::uint64_t address, std::uint64_t bytes) const {
    return address >= base && bytes <= size && address - base <= size - bytes;
  }
};

/// How an address that is not inside live memory relates to the nearest allocation.
struct Placement {
  enum class Relation : std::uint8_t { inside, after_end, before_begin, freed, nowhere };
  Relation relation = Relation::nowhere;
  std::shared_ptr<const Allocation> allocation;  ///< null only for `nowhere`
  /// Bytes from the nearest edge: for `after_end` 0 means the first byte past the end; for `inside` and
  /// `freed` the offset from the base.
  std::uint64_t distance = 0;
};

/// The live allocations of this process. Thread-safe; `process_allocations()` is the one instance.
class AllocationMap {
 public:
  /// An immutable sorted state of the map.
  using Snapshot = std::vector<std::shared_ptr<const Allocation>>;

  AllocationMap();
  AllocationMap(const AllocationMap&) = delete;
  AllocationMap& operator=(const AllocationMap&) = delete;

  /// Adds a live range. False, and nothing is added, if it is empty or overlaps a live one.
  bool add(Allocation allocation);

  /// Ends the life of the allocation that begins at `base`. Returns it, or null if there is none. It stays
  /// known as freed (for "use after free" reports) until newer memory takes its place or the history is full.
  std::shared_ptr<const Allocation> remove(std::uint64_t base);

  /// The live allocation that holds `address`, or null.
  std::shared_ptr<const Allocation> find(std::uint64_t address) const;

  /// For reports: what the bytes [address, address + bytes) hit or missed, looking at most `reach` bytes far.
  Placement locate(std::uint64_t address, std::uint64_t bytes, std::uint64_t reach = 1u << 20) const;

  /// Changes with every add and remove.
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  std::shared_ptr<const Snapshot> snapshot() const;

 private:
  void publish_locked();

  mutable std::mutex mutex_;
  std::atomic<std::uint64_t> generation_{1};
  Snapshot live_;                                          // sorted by base, guarded by mutex_
  std::deque<std::shared_ptr<const Allocation>> history_;  // freed, newest at the back, guarded by mutex_
  mutable std::shared_ptr<const Snapshot> published_;  // null when live_ has changed since; guarded by mutex_
};

/// A reader's view of the map: one for each engine thread, never shared between threads.
///
///     AllocationCursor cursor(process_allocations());
///     if (!cursor.allows(address, bytes)) report(process_allocations().locate(address, bytes));
///
/// A contiguous access of a wave is one call with the bytes of all its lanes; if that fails (it may span two
/// adjacent allocations), ask again lane by lane.
class AllocationCursor {
 public:
  explicit AllocationCursor(const AllocationMap& map) : map_(&map) {}

  /// Whether all of [address, address + bytes) lies in one live allocation (a writable one, if `write`).
  bool allows(std::uint64_t address, std::uint64_t bytes, bool write = false) {
    if (map_->generation() == generation_) [[likely]] {
      const std::uint64_t offset = address - begin_;
      if (offset < size_ && bytes <= size_ - offset && (!write || writable_)) [[likely]]
        return true;
    }
    return allows_slowly(address, bytes, write);
  }

  /// The allocation of the last `allows` that was true; valid until the next call.
  const Allocation* last_hit() const { return last_hit_; }

 private:
  bool allows_slowly(std::uint64_t address, std::uint64_t bytes, bool write);
  bool take_recent(std::uint64_t address, std::uint64_t bytes, bool write);

  const AllocationMap* map_;
  std::uint64_t generation_ = 0;
  std::uint64_t begin_ = 0;
  std::uint64_t size_ = 0;
  bool writable_ = false;
  const Allocation* last_hit_ = nullptr;
  // Allocations that were hit before: a loop goes round a few of them (indices, rows, flags of each peer).
  std::array<const Allocation*, 4> recent_{};
  std::size_t next_recent_ = 0;
  std::shared_ptr<const AllocationMap::Snapshot> snapshot_;
};

/// The map of this process.
AllocationMap& process_allocations();

}  // namespace virtual_rocm
