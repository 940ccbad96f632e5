// SPDX-License-Identifier: MIT
#include "runtime/device_memory.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "runtime/hip_error.hpp"
#include "runtime/process.hpp"

namespace virtual_rocm {

namespace {

constexpr std::uint64_t kTebibyte = 1ull << 40;
constexpr std::uint64_t kGuard = 64 * 1024;  // inaccessible bytes on both sides, at least
constexpr std::uint64_t kLarge = 2ull << 20;
constexpr std::uint64_t kSmallestSlot = 256;
constexpr std::uint64_t kLargestSlot = 32 * 1024;
constexpr std::uint64_t kSlotGap = 64;  // at least so many bytes between two small tensors belong to neither
constexpr std::uint64_t kSlab = 1ull << 20;
constexpr std::size_t kSlotsKeptFree = 16;
constexpr std::uint32_t kMagic = 0x56524d48;

// Regions of the address space (x86-64, 47 bits). Clear of the program (85 TiB and up), of libraries and
// stacks (near 128 TiB), and of AddressSanitizer's shadow (below 17 TiB).
constexpr std::uint64_t kOwnRegions = 32 * kTebibyte;
constexpr std::uint64_t kRankRegions = 40;
constexpr std::uint64_t kPeerRegion = 72 * kTebibyte;
constexpr std::uint64_t kPeerRegionSize = 8 * kTebibyte;

void* pointer(std::uint64_t address) { return reinterpret_cast<void*>(address); }

std::uint64_t physical_memory() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Field 22 of /proc/<process>/stat: when the process began.
std::uint64_t process_start(int process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto close = text.rfind(')');  // the command's name may hold spaces and brackets
  if (close == std::string::npos) return 0;
  std::istringstream fields(text.substr(close + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number)
    if (!(fields >> field)) return 0;
  return std::strtoull(field.c_str(), nullptr, 10);
}

int new_file(std::uint64_t size) {
  const int descriptor = static_cast<int>(::syscall(SYS_memfd_create, "virtual_rocm", MFD_CLOEXEC));
  if (descriptor < 0) throw fail(ErrorCode::operating_system, "memfd_create: ", std::strerror(errno));
  if (::ftruncate(descriptor, static_cast<off_t>(size)) != 0) {
    ::close(descriptor);
    throw fail(ErrorCode::operating_system, "ftruncate of the memory file: ", std::strerror(errno));
  }
  return descriptor;
}

// Takes [begin, begin + size) out of the kernel's hands, with no memory behind it.
std::uint64_t claim(std::uint64_t begin, std::uint64_t size) {
  constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  void* place = ::mmap(pointer(begin), size, PROT_NONE, flags, -1, 0);
  if (place == pointer(begin)) return begin;
  const int error = errno;
  if (place != MAP_FAILED) ::munmap(place, size);  // a kernel that takes the address as a mere hint
  throw fail(ErrorCode::out_of_memory, "the address range for device memory at 0x", std::hex, begin,
             " is taken or not allowed (ulimit -v?): ", std::strerror(error));
}

void make_inaccessible(std::uint64_t base, std::uint64_t bytes) {
  ::mmap(pointer(base), bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

}  // namespace

bool AddressRegion::fits(std::uint64_t base, std::uint64_t bytes) const {
  if (base < begin_ + kGuard || base + bytes + kGuard > begin_ + size_) return false;
  const auto next = taken_.lower_bound(base);
  if (next != taken_.end() && next->first < base + bytes + kGuard) return false;
  return next == taken_.begin() || std::prev(next)->second + kGuard <= base;
}

std::uint64_t AddressRegion::take(std::uint64_t bytes, std::uint64_t alignment) {
  const auto settle = [&](std::uint64_t base) {
    taken_[base] = base + bytes;
    next_ = base + bytes;
    return base;
  };
  for (int round = 0; round < 2; ++round) {  // on from the last one; then once more from the start
    std::uint64_t base = round_up(next_ + kGuard, alignment);
    while (base + bytes + kGuard <= begin_ + size_) {
      if (fits(base, bytes)) return settle(base);
      const auto blocking = taken_.lower_bound(base + 1);
      const auto before = blocking == taken_.begin() ? blocking : std::prev(blocking);
      const std::uint64_t end = before->second > base && before->first <= base ? before->second
                                : blocking != taken_.end()                     ? blocking->second
                                                                               : before->second;
      base = round_up(std::max(end, base) + kGuard, alignment);
    }
    next_ = begin_;
  }
  return 0;
}

DeviceMemory::DeviceMemory() : total_(environment_number("VIRTUAL_ROCM_MEMORY", physical_memory())) {}

void DeviceMemory::ensure_region_locked() {
  if (!own_) {
    const auto slot = process_rank() < 0 ? 0 : static_cast<std::uint64_t>(process_rank()) % kRankRegions;
    own_ = std::make_unique<AddressRegion>(claim(kOwnRegions + slot * kTebibyte, kTebibyte), kTebibyte);
    peers_region_ = std::make_unique<AddressRegion>(claim(kPeerRegion, kPeerRegionSize), kPeerRegionSize);
    ::pthread_atfork(nullptr, nullptr, [] { device_memory().after_fork_in_child(); });
  }
  if (descriptor_ < 0) descriptor_ = new_file(own_->size());
}

std::uint64_t DeviceMemory::allocate(std::uint64_t bytes, AllocationKind kind, const std::string& label,
                                     std::uint64_t alignment) {
  std::lock_guard lock(mutex_);
  ensure_region_locked();
  const bool small =
      kind == AllocationKind::framework && bytes + kSlotGap <= kLargestSlot && alignment <= kSmallestSlot;
  const std::uint64_t base = small ? take_slot_locked(bytes) : map_range_locked(bytes, alignment);
  const std::uint64_t serial = ++serial_;
  process_allocations().add({.base = base,
                             .size = bytes,
                             .kind = kind,
                             .writable = true,
                             .owner_rank = process_rank(),
                             .owner_process = ::getpid(),
                             .serial = serial,
                             .label = label + " #" + std::to_string(serial)});
  return base;
}

std::uint64_t DeviceMemory::map_range_locked(std::uint64_t bytes, std::uint64_t alignment) {
  const std::uint64_t rounded = round_up(bytes, kPage);
  if (rounded < bytes || rounded > total_ - std::min(used_, total_))
    throw fail(ErrorCode::out_of_memory, bytes, " bytes asked for, ", total_ - std::min(used_, total_),
               " of ", total_, " left (VIRTUAL_ROCM_MEMORY sets the total)");
  alignment = std::max(alignment, bytes >= kLarge ? kLarge : kPage);
  const std::uint64_t base = own_->take(rounded, alignment);
  if (base == 0) throw fail(ErrorCode::out_of_memory, "no address range of ", bytes, " bytes is free");
  void* mapped =
      ::mmap(pointer(base), rounded, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
             descriptor_, static_cast<off_t>(base - own_->begin()));
  if (mapped == MAP_FAILED) {
    own_->give_back(base);
    throw fail(ErrorCode::out_of_memory, "mmap of ", bytes, " bytes: ", std::strerror(errno));
  }
  ranges_[base] = Range{rounded, descriptor_};
  used_ += rounded;
  return base;
}

std::uint64_t DeviceMemory::take_slot_locked(std::uint64_t bytes) {
  std::size_t index = 0;
  while ((kSmallestSlot << index) < bytes + kSlotGap) ++index;
  auto& free = free_slots_[index];
  // A few stay free at all times, so that what was freed last is not what is given out next.
  if (free.size() < kSlotsKeptFree) {
    const std::uint64_t slab = map_range_locked(kSlab, kPage);
    for (std::uint64_t offset = 0; offset < kSlab; offset += kSmallestSlot << index)
      free.push_back(slab + offset);
  }
  const std::uint64_t base = free.front();
  free.pop_front();
  slots_[base] = index;
  return base;
}

bool DeviceMemory::free_slot_locked(std::uint64_t base) {
  const auto found = slots_.find(base);
  if (found == slots_.end()) return false;
  process_allocations().remove(base);
  free_slots_[found->second].push_back(base);
  slots_.erase(found);
  return true;
}

bool DeviceMemory::free(std::uint64_t base) {
  std::lock_guard lock(mutex_);
  if (free_slot_locked(base)) return true;
  const auto found = ranges_.find(base);
  if (found == ranges_.end() || !process_allocations().remove(base)) return false;
  const Range range = found->second;
  ranges_.erase(found);
  make_inaccessible(base, range.bytes);
  if (range.descriptor == descriptor_)  // else: a range from before a fork, whose file is the parent's
    ::fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                static_cast<off_t>(base - own_->begin()), static_cast<off_t>(range.bytes));
  own_->give_back(base);
  used_ -= range.bytes;
  return true;
}

MemoryHandle DeviceMemory::export_handle(std::uint64_t address) {
  const auto allocation = process_allocations().find(address);
  std::lock_guard lock(mutex_);
  auto range = ranges_.upper_bound(address);
  if (!allocation || allocation->kind == AllocationKind::code_object || range == ranges_.begin() ||
      address >= (--range)->first + range->second.bytes)
    throw fail(ErrorCode::invalid_device_pointer, "address 0x", std::hex, address,
               " is not memory that this process allocated");
  return {.magic = kMagic,
          .process = ::getpid(),
          .descriptor = range->second.descriptor,
          .rank = process_rank(),
          .file_offset = allocation->base - own_->begin(),
          .size = allocation->size,
          .serial = allocation->serial,
          .pointer_offset = address - allocation->base,
          .process_start = process_start(::getpid())};
}

std::uint64_t DeviceMemory::open_handle(const MemoryHandle& handle) {
  if (handle.magic != kMagic) throw fail(ErrorCode::invalid_value, "not a memory handle of this runtime");
  if (handle.process == ::getpid())
    throw fail(ErrorCode::invalid_context,
               "a memory handle cannot be opened in the process that exported it");
  if (process_start(handle.process) != handle.process_start)
    throw fail(ErrorCode::invalid_handle, "the process ", handle.process,
               " that exported the handle has ended");
  std::lock_guard lock(mutex_);
  ensure_region_locked();
  const auto owner = static_cast<std::uint64_t>(handle.process);
  for (auto& [base, peer] : peers_) {
    if (peer.owner_process == owner && peer.owner_offset == handle.file_offset) {
      ++peer.references;
      return base + handle.pointer_offset;
    }
  }
  const std::string path = concat("/proc/", handle.process, "/fd/", handle.descriptor);
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0)
    throw fail(ErrorCode::invalid_handle, "cannot open ", path, ": ", std::strerror(errno),
               " (ranks must run as one user in one process namespace)");
  const std::uint64_t in_page = handle.file_offset % kPage;  // a small tensor need not begin a page
  const std::uint64_t rounded = round_up(in_page + handle.size, kPage);
  const std::uint64_t range = peers_region_->take(rounded, kLarge);
  const std::uint64_t base = range + in_page;
  void* mapped = range == 0 ? MAP_FAILED
                            : ::mmap(pointer(range), rounded, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                                     file, static_cast<off_t>(handle.file_offset - in_page));
  const int error = errno;
  ::close(file);  // the mapping keeps the file
  if (mapped == MAP_FAILED)
    throw fail(ErrorCode::map_failed, "mapping a peer's memory: ", std::strerror(error));
  peers_[base] = Peer{range, rounded, 1, owner, handle.file_offset};
  process_allocations().add({.base = base,
                             .size = handle.size,
                             .kind = AllocationKind::peer,
                             .writable = true,
                             .owner_rank = handle.rank,
                             .owner_process = handle.process,
                             .serial = handle.serial,
                             .label = concat("peer's allocation #", handle.serial)});
  return base + handle.pointer_offset;
}

bool DeviceMemory::close_handle(std::uint64_t address) {
  std::lock_guard lock(mutex_);
  auto found = peers_.upper_bound(address);
  if (found == peers_.begin()) return false;
  --found;
  Peer& peer = found->second;
  if (address >= peer.base + peer.bytes) return false;
  if (--peer.references > 0) return true;
  process_allocations().remove(found->first);
  make_inaccessible(peer.base, peer.bytes);
  peers_region_->give_back(peer.base);
  peers_.erase(found);
  return true;
}

int DeviceMemory::duplicate_descriptor(std::uint64_t address, std::uint64_t* file_offset) {
  std::lock_guard lock(mutex_);
  auto found = ranges_.upper_bound(address);
  if (found == ranges_.begin() || address >= std::prev(found)->first + std::prev(found)->second.bytes)
    throw fail(ErrorCode::invalid_value, "not memory that this process allocated");
  *file_offset = address - own_->begin();
  return ::fcntl(std::prev(found)->second.descriptor, F_DUPFD_CLOEXEC, 0);
}

std::uint64_t DeviceMemory::reserve(std::uint64_t bytes, std::uint64_t alignment) {
  std::lock_guard lock(mutex_);
  ensure_region_locked();
  const std::uint64_t base = own_->take(bytes, std::max(alignment, kLarge));
  if (base == 0) throw fail(ErrorCode::out_of_memory, "no address range of ", bytes, " bytes is free");
  return base;
}

void DeviceMemory::release_reservation(std::uint64_t base, std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  make_inaccessible(base, bytes);
  own_->give_back(base);
}

std::uint64_t DeviceMemory::used_bytes() const {
  std::lock_guard lock(mutex_);
  return used_;
}

void DeviceMemory::charge(std::int64_t bytes) {
  std::lock_guard lock(mutex_);
  if (bytes > 0 && static_cast<std::uint64_t>(bytes) > total_ - std::min(used_, total_))
    throw fail(ErrorCode::out_of_memory, bytes, " bytes asked for, ", total_ - std::min(used_, total_),
               " left");
  used_ += static_cast<std::uint64_t>(bytes);
}

std::uint64_t DeviceMemory::next_serial() {
  std::lock_guard lock(mutex_);
  return ++serial_;
}

void DeviceMemory::after_fork_in_child() {
  // The child has one thread, so no lock; it may have been held by a thread that does not exist here.
  new (&mutex_) std::mutex;
  for (const auto& [base, range] : ranges_)
    ::mmap(pointer(base), range.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
           range.descriptor, static_cast<off_t>(base - own_->begin()));
  descriptor_ = -1;  // a file of the child's own at its next allocation
}

DeviceMemory& device_memory() {
  static DeviceMemory* const memory = new DeviceMemory;  // never destroyed: used while the process ends
  return *memory;
}

}  // namespace virtual_rocm
