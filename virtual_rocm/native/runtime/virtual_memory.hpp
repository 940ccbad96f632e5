// SPDX-License-Identifier: MIT
//
// HIP's virtual memory management: physical handles, mapped into reserved address ranges.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace virtual_rocm {

/// Memory without an address: a file of its own, so that it can be exported as a descriptor.
class PhysicalMemory {
 public:
  /// New zeroed memory.
  static std::shared_ptr<PhysicalMemory> create(std::uint64_t bytes);
  /// What another process exported; keeps a descriptor of its own.
  static std::shared_ptr<PhysicalMemory> import(int descriptor);
  ~PhysicalMemory();
  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;

  std::uint64_t bytes() const { return bytes_; }
  int descriptor() const { return descriptor_; }
  bool imported() const { return imported_; }
  std::int32_t owner_rank() const { return owner_rank_; }
  std::int32_t owner_process() const { return owner_process_; }
  std::uint64_t serial() const { return serial_; }

 private:
  PhysicalMemory() = default;
  int descriptor_ = -1;
  std::uint64_t bytes_ = 0;
  bool imported_ = false;
  std::int32_t owner_rank_ = -1;
  std::int32_t owner_process_ = 0;
  std::uint64_t serial_ = 0;
};

/// Reservations of address space and what is mapped into them.
class VirtualMemory {
 public:
  std::uint64_t reserve(std::uint64_t bytes, std::uint64_t alignment);
  void release(std::uint64_t base, std::uint64_t bytes);
  void map(std::uint64_t address, std::uint64_t bytes, std::uint64_t offset,
           std::shared_ptr<PhysicalMemory> memory);
  void unmap(std::uint64_t address, std::uint64_t bytes);
  /// Access for kernels and host. `writable` without `readable` is not a thing that HIP has.
  void set_access(std::uint64_t address, std::uint64_t bytes, bool readable, bool writable);
  /// The memory mapped at `address`; null if there is none.
  std::shared_ptr<PhysicalMemory> mapped_at(std::uint64_t address) const;
  /// The mapping that holds `address`: its base and size. False if there is none.
  bool mapping_range(std::uint64_t address, std::uint64_t* base, std::uint64_t* bytes) const;

 private:
  struct Mapping {
    std::uint64_t bytes;
    std::uint64_t offset;
    std::shared_ptr<PhysicalMemory> memory;
    bool accessible = false;
  };
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::uint64_t> reservations_;  // base → bytes
  std::map<std::uint64_t, Mapping> mappings_;            // by base
};

VirtualMemory& virtual_memory();

}  // namespace virtual_rocm
