// SPDX-License-Identifier: MIT
//
// Device memory: ranges of one anonymous file (memfd) per process, each mapped between inaccessible pages.
//
// One file serves all allocations, so a process holds one descriptor however many tensors it has, and nothing
// is left behind when it dies: the file has no name and goes with its last mapping. A peer opens the owner's
// descriptor through /proc and maps the same range, so a peer's pointer is an ordinary address.
//
// Addresses are chosen here and not by the kernel: they are the same in every run, every rank has its own
// region (so a pointer of one rank used by another hits nothing instead of something), and freed ranges are
// reused as late as possible (so a use after free hits nothing either).
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/allocation_map.hpp"

namespace virtual_rocm {

/// What hipIpcMemHandle_t holds. Plain bytes that travel between processes.
struct MemoryHandle {
  std::uint32_t magic;
  std::int32_t process;
  std::int32_t descriptor;  ///< the number of the owner's memfd in its descriptor table
  std::int32_t rank;
  std::uint64_t file_offset;  ///< of the allocation's first byte
  std::uint64_t size;
  std::uint64_t serial;
  std::uint64_t pointer_offset;  ///< of the exported pointer from the allocation's base
  std::uint64_t process_start;   ///< tells the owner from a later process of the same number
};
static_assert(sizeof(MemoryHandle) <= 64);

/// A part of the address space in which ranges are handed out, next-fit.
class AddressRegion {
 public:
  AddressRegion(std::uint64_t begin, std::uint64_t size) : begin_(begin), size_(size), next_(begin) {}
  std::uint64_t begin() const { return begin_; }
  std::uint64_t size() const { return size_; }
  /// An address for `bytes` with free space around it; 0 if the region is full.
  std::uint64_t take(std::uint64_t bytes, std::uint64_t alignment);
  void give_back(std::uint64_t base) { taken_.erase(base); }

 private:
  bool fits(std::uint64_t base, std::uint64_t bytes) const;
  std::uint64_t begin_, size_, next_;
  std::map<std::uint64_t, std::uint64_t> taken_;  // base → end
};

class DeviceMemory {
 public:
  DeviceMemory();

  /// New zeroed memory of exactly `bytes` bytes, in the allocation map. Throws HipError(out_of_memory).
  std::uint64_t allocate(std::uint64_t bytes, AllocationKind kind, const std::string& label,
                         std::uint64_t alignment = 0);
  /// Frees what `allocate` gave. False if `base` is not such an address.
  bool free(std::uint64_t base);

  /// A handle for the allocation that holds `pointer`; throws if it is not memory of this process.
  MemoryHandle export_handle(std::uint64_t pointer);
  /// Maps a peer's allocation; the same handle opened twice gives the same address and counts.
  std::uint64_t open_handle(const MemoryHandle& handle);
  /// Closes what `open_handle` gave. False if `pointer` is not such an address.
  bool close_handle(std::uint64_t pointer);

  /// A descriptor of the caller's own for the range (its file, and the offset in it).
  int duplicate_descriptor(std::uint64_t pointer, std::uint64_t* file_offset);

  /// Free addresses with no memory behind them, for VMM reservations.
  std::uint64_t reserve(std::uint64_t bytes, std::uint64_t alignment);
  void release_reservation(std::uint64_t base, std::uint64_t bytes);

  std::uint64_t total_bytes() const { return total_; }
  std::uint64_t used_bytes() const;
  /// Counts memory that lives elsewhere (VMM handles); throws HipError(out_of_memory) when it does not fit.
  void charge(std::int64_t bytes);

  /// Serial number for an allocation's label.
  std::uint64_t next_serial();

  /// In a forked child: memory becomes the child's own copy, and new allocations go to a file of its own.
  void after_fork_in_child();

 private:
  struct Range {
    std::uint64_t bytes;  // rounded up to pages
    int descriptor;
  };
  struct Peer {
    std::uint64_t base;  // of the mapping, which begins with the page of the allocation's first byte
    std::uint64_t bytes;
    std::uint64_t references;
    std::uint64_t owner_process, owner_offset;
  };

  void ensure_region_locked();
  std::uint64_t map_range_locked(std::uint64_t bytes, std::uint64_t alignment);
  std::uint64_t take_slot_locked(std::uint64_t bytes);
  bool free_slot_locked(std::uint64_t base);

  mutable std::mutex mutex_;
  int descriptor_ = -1;
  std::uint64_t total_;
  std::uint64_t used_ = 0;
  std::uint64_t serial_ = 0;
  std::unique_ptr<AddressRegion> own_, peers_region_;
  std::map<std::uint64_t, Range> ranges_;
  std::map<std::uint64_t, Peer> peers_;  // by the allocation's address

  // Small tensors come and go with every operation of a framework, so they share mappings: slots of 256 bytes
  // to 32 KiB, by powers of two, reused in the order in which they were freed.
  static constexpr std::size_t kSlotClasses = 8;
  std::array<std::deque<std::uint64_t>, kSlotClasses> free_slots_;
  std::unordered_map<std::uint64_t, std::size_t> slots_;  // live: base → class
};

/// The memory of this process.
DeviceMemory& device_memory();

/// Pages of the host; every mapping is a multiple of it.
inline constexpr std::uint64_t kPage = 4096;
inline constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace virtual_rocm
