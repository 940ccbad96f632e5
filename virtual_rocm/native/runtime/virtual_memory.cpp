// SPDX-License-Identifier: MIT
#include "runtime/virtual_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/allocation_map.hpp"
#include "runtime/device_memory.hpp"
#include "runtime/hip_error.hpp"
#include "runtime/process.hpp"

namespace virtual_rocm {

namespace {

void* pointer(std::uint64_t address) { return reinterpret_cast<void*>(address); }

void make_inaccessible(std::uint64_t base, std::uint64_t bytes) {
  ::mmap(pointer(base), bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

// The file's name travels with its descriptor, so whoever imports it learns the owner.
constexpr const char* kNameFormat = "virtual_rocm rank %d process %d handle %lu";

}  // namespace

std::shared_ptr<PhysicalMemory> PhysicalMemory::create(std::uint64_t bytes) {
  std::shared_ptr<PhysicalMemory> memory(new PhysicalMemory);
  device_memory().charge(static_cast<std::int64_t>(bytes));
  memory->bytes_ = bytes;  // from here on the destructor gives the charge back
  memory->owner_rank_ = process_rank();
  memory->owner_process_ = ::getpid();
  memory->serial_ = device_memory().next_serial();
  char name[128];
  std::snprintf(name, sizeof name, kNameFormat, memory->owner_rank_, memory->owner_process_,
                static_cast<unsigned long>(memory->serial_));
  memory->descriptor_ = static_cast<int>(::syscall(SYS_memfd_create, name, MFD_CLOEXEC));
  if (memory->descriptor_ < 0 || ::ftruncate(memory->descriptor_, static_cast<off_t>(bytes)) != 0)
    throw fail(ErrorCode::out_of_memory, "no file for ", bytes, " bytes: ", std::strerror(errno));
  return memory;
}

std::shared_ptr<PhysicalMemory> PhysicalMemory::import(int descriptor) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0)
    throw fail(ErrorCode::invalid_value, "descriptor ", descriptor, ": ", std::strerror(errno));
  char target[256] = {};
  const std::string link = concat("/proc/self/fd/", descriptor);
  const ssize_t length = ::readlink(link.c_str(), target, sizeof target - 1);
  std::shared_ptr<PhysicalMemory> memory(new PhysicalMemory);
  memory->imported_ = true;
  unsigned long serial = 0;
  const std::string format = concat("/memfd:", kNameFormat);
  if (length <= 0 ||
      std::sscanf(target, format.c_str(), &memory->owner_rank_, &memory->owner_process_, &serial) != 3)
    throw fail(ErrorCode::invalid_value, "descriptor ", descriptor,
               " is not an exported memory handle (it is ", target, ")");
  memory->serial_ = serial;
  memory->descriptor_ = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (memory->descriptor_ < 0) throw fail(ErrorCode::operating_system, "dup: ", std::strerror(errno));
  memory->bytes_ = static_cast<std::uint64_t>(status.st_size);
  return memory;
}

PhysicalMemory::~PhysicalMemory() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!imported_ && bytes_ > 0) device_memory().charge(-static_cast<std::int64_t>(bytes_));
}

std::uint64_t VirtualMemory::reserve(std::uint64_t bytes, std::uint64_t alignment) {
  if (bytes == 0 || bytes % kPage != 0)
    throw fail(ErrorCode::invalid_value, "a reservation of ", bytes, " bytes is not a multiple of ", kPage);
  const std::uint64_t base = device_memory().reserve(bytes, alignment);
  std::lock_guard lock(mutex_);
  reservations_[base] = bytes;
  return base;
}

void VirtualMemory::release(std::uint64_t base, std::uint64_t bytes) {
  {
    std::lock_guard lock(mutex_);
    const auto found = reservations_.find(base);
    if (found == reservations_.end() || found->second != bytes)
      throw fail(ErrorCode::invalid_value, "no reservation of ", bytes, " bytes begins at this address");
    const auto mapped = mappings_.lower_bound(base);
    if (mapped != mappings_.end() && mapped->first < base + bytes)
      throw fail(ErrorCode::invalid_value, "the range still has mapped memory");
    reservations_.erase(found);
  }
  device_memory().release_reservation(base, bytes);
}

void VirtualMemory::map(std::uint64_t address, std::uint64_t bytes, std::uint64_t offset,
                        std::shared_ptr<PhysicalMemory> memory) {
  if (bytes == 0 || address % kPage || bytes % kPage || offset % kPage)
    throw fail(ErrorCode::invalid_value, "address, size and offset must be multiples of ", kPage);
  if (offset + bytes > memory->bytes())
    throw fail(ErrorCode::invalid_value, offset + bytes, " bytes of a handle that has ", memory->bytes());
  std::lock_guard lock(mutex_);
  auto reservation = reservations_.upper_bound(address);
  if (reservation == reservations_.begin() || address + bytes > (--reservation)->first + reservation->second)
    throw fail(ErrorCode::invalid_value, "the range is not reserved");
  const auto next = mappings_.upper_bound(address);
  if ((next != mappings_.end() && next->first < address + bytes) ||
      (next != mappings_.begin() && std::prev(next)->first + std::prev(next)->second.bytes > address))
    throw fail(ErrorCode::map_failed, "something is mapped there already");
  // Without access until set_access, as on the device.
  if (::mmap(pointer(address), bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, memory->descriptor(),
             static_cast<off_t>(offset)) == MAP_FAILED)
    throw fail(ErrorCode::map_failed, "mmap: ", std::strerror(errno));
  mappings_[address] = Mapping{bytes, offset, std::move(memory)};
}

void VirtualMemory::unmap(std::uint64_t address, std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  const std::uint64_t end = address + bytes;
  // The range must be whole mappings; look at all of them before taking the first away.
  std::uint64_t reached = address;
  for (auto mapping = mappings_.find(address); mapping != mappings_.end() && reached < end; ++mapping) {
    if (mapping->first != reached) break;
    reached += mapping->second.bytes;
  }
  if (reached != end || bytes == 0)
    throw fail(ErrorCode::invalid_value, "the range is not made of whole mappings");
  while (address < end) {
    const auto mapping = mappings_.find(address);
    process_allocations().remove(address);
    make_inaccessible(address, mapping->second.bytes);
    address += mapping->second.bytes;
    mappings_.erase(mapping);
  }
}

void VirtualMemory::set_access(std::uint64_t address, std::uint64_t bytes, bool readable, bool writable) {
  std::lock_guard lock(mutex_);
  const std::uint64_t end = address + bytes;
  while (address < end) {
    const auto found = mappings_.find(address);
    if (found == mappings_.end() || address + found->second.bytes > end)
      throw fail(ErrorCode::invalid_value, "the range is not made of whole mappings");
    Mapping& mapping = found->second;
    const int protection = (readable || writable ? PROT_READ : 0) | (writable ? PROT_WRITE : 0);
    if (::mprotect(pointer(address), mapping.bytes, protection) != 0)
      throw fail(ErrorCode::operating_system, "mprotect: ", std::strerror(errno));
    if (mapping.accessible) process_allocations().remove(address);
    mapping.accessible = protection != 0;
    if (mapping.accessible) {
      const PhysicalMemory& memory = *mapping.memory;
      process_allocations().add({.base = address,
                                 .size = mapping.bytes,
                                 .kind = memory.imported() ? AllocationKind::peer : AllocationKind::mapped,
                                 .writable = writable,
                                 .owner_rank = memory.owner_rank(),
                                 .owner_process = memory.owner_process(),
                                 .serial = memory.serial(),
                                 .label = concat("hipMemCreate #", memory.serial())});
    }
    address += mapping.bytes;
  }
}

std::shared_ptr<PhysicalMemory> VirtualMemory::mapped_at(std::uint64_t address) const {
  std::lock_guard lock(mutex_);
  auto found = mappings_.upper_bound(address);
  if (found == mappings_.begin()) return nullptr;
  --found;
  return address < found->first + found->second.bytes ? found->second.memory : nullptr;
}

bool VirtualMemory::mapping_range(std::uint64_t address, std::uint64_t* base, std::uint64_t* bytes) const {
  std::lock_guard lock(mutex_);
  auto found = mappings_.upper_bound(address);
  if (found == mappings_.begin() || address >= std::prev(found)->first + std::prev(found)->second.bytes)
    return false;
  *base = std::prev(found)->first;
  *bytes = std::prev(found)->second.bytes;
  return true;
}

VirtualMemory& virtual_memory() {
  static VirtualMemory* const memory = new VirtualMemory;
  return *memory;
}

}  // namespace virtual_rocm
