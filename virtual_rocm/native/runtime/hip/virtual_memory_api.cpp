// SPDX-License-Identifier: MIT
//
// hipMemCreate, hipMemMap and the rest of virtual memory management.
#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <mutex>

#include "runtime/device_memory.hpp"
#include "runtime/hip/abi.hpp"
#include "runtime/stream.hpp"
#include "runtime/virtual_memory.hpp"

using namespace virtual_rocm;
using hip::address_of;
using hip::call;
using hip::pointer_to;
using hip::require;

namespace {

constexpr int kDeviceLocation = 1;
constexpr int kDescriptorHandle = 1;
constexpr std::uint64_t kRecommendedGranularity = 2ull << 20;

// Handles count: hipMemRetainAllocationHandle gives out the same one again.
struct Handle {
  std::shared_ptr<PhysicalMemory> memory;
  int references;
};
std::mutex handles_mutex;
std::map<PhysicalMemory*, Handle>& handles() {
  static auto* const all = new std::map<PhysicalMemory*, Handle>;
  return *all;
}

hipMemGenericAllocationHandle_t retain(const std::shared_ptr<PhysicalMemory>& memory) {
  std::lock_guard lock(handles_mutex);
  auto& handle = handles().try_emplace(memory.get(), Handle{memory, 0}).first->second;
  ++handle.references;
  return reinterpret_cast<hipMemGenericAllocationHandle_t>(memory.get());
}

std::shared_ptr<PhysicalMemory> memory_of(hipMemGenericAllocationHandle_t handle) {
  std::lock_guard lock(handles_mutex);
  const auto found = handles().find(reinterpret_cast<PhysicalMemory*>(handle));
  require(found != handles().end(), "not a memory handle, or one that was released");
  return found->second.memory;
}

void check_properties(const hipMemAllocationProp* properties) {
  require(properties, "the properties are null");
  require(properties->location.type == kDeviceLocation, "only memory on a device can be had");
  check_device(properties->location.id);
}

}  // namespace

VIRTUAL_ROCM_HIP hipError_t hipMemGetAllocationGranularity(std::size_t* granularity,
                                                           const hipMemAllocationProp* properties,
                                                           int option) {
  return call("hipMemGetAllocationGranularity", [&] {
    require(granularity, "the result pointer is null");
    check_properties(properties);
    require(option == 0 || option == 1, "unknown option");
    *granularity = option == 0 ? kPage : kRecommendedGranularity;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemCreate(hipMemGenericAllocationHandle_t* handle, std::size_t bytes,
                                         const hipMemAllocationProp* properties, unsigned long long flags) {
  return call("hipMemCreate", [&] {
    require(handle, "the result pointer is null");
    check_properties(properties);
    require(flags == 0, "flags must be 0");
    require(bytes > 0 && bytes % kPage == 0, "the size is not a multiple of the granularity");
    if (properties->requestedHandleType != 0 && properties->requestedHandleType != kDescriptorHandle)
      throw fail(ErrorCode::not_supported, "handle type ", properties->requestedHandleType,
                 ": only file descriptors can be exported");
    *handle = retain(PhysicalMemory::create(bytes));
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemRelease(hipMemGenericAllocationHandle_t handle) {
  return call("hipMemRelease", [&] {
    memory_of(handle);  // is it one?
    std::lock_guard lock(handles_mutex);
    const auto found = handles().find(reinterpret_cast<PhysicalMemory*>(handle));
    if (--found->second.references == 0) handles().erase(found);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemRetainAllocationHandle(hipMemGenericAllocationHandle_t* handle,
                                                         void* pointer) {
  return call("hipMemRetainAllocationHandle", [&] {
    require(handle, "the result pointer is null");
    const auto memory = virtual_memory().mapped_at(address_of(pointer));
    require(memory != nullptr, "nothing is mapped at the address");
    *handle = retain(memory);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemAddressReserve(void** pointer, std::size_t bytes, std::size_t alignment,
                                                 void*, unsigned long long flags) {
  return call("hipMemAddressReserve", [&] {
    require(pointer, "the result pointer is null");
    require(flags == 0, "flags must be 0");
    *pointer = pointer_to(virtual_memory().reserve(bytes, alignment));
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemAddressFree(void* pointer, std::size_t bytes) {
  return call("hipMemAddressFree", [&] { virtual_memory().release(address_of(pointer), bytes); });
}

VIRTUAL_ROCM_HIP hipError_t hipMemMap(void* pointer, std::size_t bytes, std::size_t offset,
                                      hipMemGenericAllocationHandle_t handle, unsigned long long flags) {
  return call("hipMemMap", [&] {
    require(flags == 0, "flags must be 0");
    virtual_memory().map(address_of(pointer), bytes, offset, memory_of(handle));
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemUnmap(void* pointer, std::size_t bytes) {
  return call("hipMemUnmap", [&] {
    streams().synchronize_device(current_device());
    virtual_memory().unmap(address_of(pointer), bytes);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemSetAccess(void* pointer, std::size_t bytes,
                                            const hipMemAccessDesc* descriptions, std::size_t count) {
  return call("hipMemSetAccess", [&] {
    require(descriptions && count > 0, "no access is described");
    // A process drives one address space; what one device may do, kernels of all of its devices may.
    int flags = 0;
    for (std::size_t index = 0; index < count; ++index) {
      require(descriptions[index].location.type == kDeviceLocation, "only access by a device can be set");
      check_device(descriptions[index].location.id);
      flags |= descriptions[index].flags;
    }
    virtual_memory().set_access(address_of(pointer), bytes, (flags & 1) != 0, (flags & 2) != 0);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemExportToShareableHandle(void* shareable,
                                                          hipMemGenericAllocationHandle_t handle, int type,
                                                          unsigned long long flags) {
  return call("hipMemExportToShareableHandle", [&] {
    require(shareable, "the result pointer is null");
    require(type == kDescriptorHandle && flags == 0, "only a descriptor without flags can be had");
    const auto memory = memory_of(handle);
    const int copy = ::fcntl(memory->descriptor(), F_DUPFD_CLOEXEC, 0);
    if (copy < 0) throw fail(ErrorCode::operating_system, "no descriptor is left");
    *static_cast<int*>(shareable) = copy;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemImportFromShareableHandle(hipMemGenericAllocationHandle_t* handle,
                                                            void* shareable, int type) {
  return call("hipMemImportFromShareableHandle", [&] {
    require(handle, "the result pointer is null");
    require(type == kDescriptorHandle, "only a descriptor can be imported");
    // HIP's argument is the descriptor itself in the place of a pointer; a pointer to it is accepted too.
    const auto number = reinterpret_cast<std::uintptr_t>(shareable);
    const int descriptor = number < 1u << 20 ? static_cast<int>(number) : *static_cast<int*>(shareable);
    *handle = retain(PhysicalMemory::import(descriptor));
  });
}
