// SPDX-License-Identifier: MIT
//
// Allocation, pinned and registered host memory, IPC handles, pointer queries. Copies are in copy_api.cpp.
#include <unistd.h>

#include <cstring>
#include <map>
#include <mutex>

#include "runtime/allocation_map.hpp"
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

// hipHostRegister and the flags of pinned memory: what the allocation map has no place for.
struct HostRange {
  std::uint64_t bytes;
  unsigned flags;
  bool in_map;  // false: the range is part of memory that kernels may touch anyway
};
std::mutex host_mutex;
std::map<std::uint64_t, HostRange>& registered_ranges() {
  static auto* const ranges = new std::map<std::uint64_t, HostRange>;
  return *ranges;
}
std::map<std::uint64_t, unsigned>& pinned_flags() {
  static auto* const flags = new std::map<std::uint64_t, unsigned>;
  return *flags;
}

void allocate(void** pointer, std::size_t bytes, AllocationKind kind, const char* label) {
  require(pointer, "the result pointer is null");
  streams().refuse_in_capture(label);
  *pointer = nullptr;
  if (bytes == 0) return;  // success and null, as HIP does
  *pointer = pointer_to(device_memory().allocate(bytes, kind, label));
}

void release(void* pointer) {
  if (!pointer) return;
  streams().refuse_in_capture("freeing memory");
  // Memory that a kernel still uses must not go away: HIP waits for the device here too.
  for (int device = 0; device < device_count(); ++device) streams().synchronize_device(device);
  if (!device_memory().free(address_of(pointer)))
    throw fail(ErrorCode::invalid_value, "0x", std::hex, address_of(pointer),
               " was not allocated, or freed already");
}

}  // namespace

VIRTUAL_ROCM_HIP hipError_t hipMalloc(void** pointer, std::size_t bytes) {
  return call("hipMalloc", [&] { allocate(pointer, bytes, AllocationKind::device, "hipMalloc"); });
}

VIRTUAL_ROCM_HIP hipError_t hipExtMallocWithFlags(void** pointer, std::size_t bytes, unsigned flags) {
  return call("hipExtMallocWithFlags", [&] {
    // Default, fine grained, signal memory, uncached, contiguous, and combinations that HIP names.
    require(flags <= 0x7, "unknown flags");
    allocate(pointer, bytes, AllocationKind::device, "hipExtMallocWithFlags");
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMallocAsync(void** pointer, std::size_t bytes, hipStream_t) {
  return call("hipMallocAsync", [&] { allocate(pointer, bytes, AllocationKind::device, "hipMallocAsync"); });
}

VIRTUAL_ROCM_HIP hipError_t hipFree(void* pointer) {
  return call("hipFree", [&] { release(pointer); });
}

VIRTUAL_ROCM_HIP hipError_t hipFreeAsync(void* pointer, hipStream_t) {
  return call("hipFreeAsync", [&] { release(pointer); });
}

VIRTUAL_ROCM_HIP hipError_t hipHostMalloc(void** pointer, std::size_t bytes, unsigned flags) {
  return call("hipHostMalloc", [&] {
    allocate(pointer, bytes, AllocationKind::host, "hipHostMalloc");
    std::lock_guard lock(host_mutex);
    pinned_flags()[address_of(*pointer)] = flags;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipHostAlloc(void** pointer, std::size_t bytes, unsigned flags) {
  return hipHostMalloc(pointer, bytes, flags);
}

VIRTUAL_ROCM_HIP hipError_t hipHostFree(void* pointer) {
  return call("hipHostFree", [&] { release(pointer); });
}

VIRTUAL_ROCM_HIP hipError_t hipHostRegister(void* pointer, std::size_t bytes, unsigned flags) {
  return call("hipHostRegister", [&] {
    require(pointer && bytes > 0, "nothing to register");
    std::lock_guard lock(host_mutex);
    if (registered_ranges().count(address_of(pointer)))
      throw fail(ErrorCode::host_memory_already_registered, "0x", std::hex, address_of(pointer));
    const std::uint64_t serial = device_memory().next_serial();
    const bool added = process_allocations().add({.base = address_of(pointer),
                                                  .size = bytes,
                                                  .kind = AllocationKind::registered,
                                                  .writable = true,
                                                  .owner_rank = process_rank(),
                                                  .owner_process = ::getpid(),
                                                  .serial = serial,
                                                  .label = concat("hipHostRegister #", serial)});
    if (!added) {
      const auto holder = process_allocations().find(address_of(pointer));
      if (!holder || !holder->contains(address_of(pointer), bytes))
        throw fail(ErrorCode::host_memory_already_registered,
                   "part of the range is registered or device memory");
    }
    registered_ranges()[address_of(pointer)] = {bytes, flags, added};
  });
}

VIRTUAL_ROCM_HIP hipError_t hipHostUnregister(void* pointer) {
  return call("hipHostUnregister", [&] {
    std::lock_guard lock(host_mutex);
    const auto found = registered_ranges().find(address_of(pointer));
    if (found == registered_ranges().end())
      throw fail(ErrorCode::host_memory_not_registered, "0x", std::hex, address_of(pointer));
    if (found->second.in_map) process_allocations().remove(found->first);
    registered_ranges().erase(found);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipHostGetDevicePointer(void** device_pointer, void* host_pointer, unsigned) {
  return call("hipHostGetDevicePointer", [&] {
    require(device_pointer, "the result pointer is null");
    require(process_allocations().find(address_of(host_pointer)) != nullptr,
            "the memory is not pinned or registered");
    *device_pointer = host_pointer;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemGetInfo(std::size_t* free, std::size_t* total) {
  return call("hipMemGetInfo", [&] {
    const std::uint64_t used = device_memory().used_bytes();
    if (total) *total = device_memory().total_bytes();
    if (free) *free = device_memory().total_bytes() - std::min(used, device_memory().total_bytes());
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemGetAddressRange(hipDeviceptr_t* base, std::size_t* size,
                                                  hipDeviceptr_t pointer) {
  return call("hipMemGetAddressRange", [&] {
    const auto allocation = process_allocations().find(address_of(pointer));
    if (!allocation)
      throw fail(ErrorCode::not_found, "0x", std::hex, address_of(pointer), " is in no allocation");
    if (base) *base = pointer_to(allocation->base);
    if (size) *size = allocation->size;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipPointerGetAttributes(hipPointerAttribute_t* attributes, const void* pointer) {
  return call("hipPointerGetAttributes", [&] {
    require(attributes && pointer, "a pointer is null");
    *attributes = {};
    const auto allocation = process_allocations().find(address_of(pointer));
    if (!allocation) {
      attributes->type = hipMemoryTypeUnregistered;
      attributes->device = -2;  // hipInvalidDeviceId
      return;
    }
    const bool host =
        allocation->kind == AllocationKind::host || allocation->kind == AllocationKind::registered;
    attributes->type = host ? hipMemoryTypeHost : hipMemoryTypeDevice;
    attributes->device = current_device();
    attributes->devicePointer = const_cast<void*>(pointer);
    attributes->hostPointer = host ? const_cast<void*>(pointer) : nullptr;
    std::lock_guard lock(host_mutex);
    if (const auto found = pinned_flags().find(allocation->base); host && found != pinned_flags().end())
      attributes->allocationFlags = found->second;
    if (const auto found = registered_ranges().find(allocation->base); found != registered_ranges().end())
      attributes->allocationFlags = found->second.flags;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipIpcGetMemHandle(hipIpcMemHandle_t* handle, void* pointer) {
  return call("hipIpcGetMemHandle", [&] {
    require(handle && pointer, "a pointer is null");
    *handle = {};
    const MemoryHandle value = device_memory().export_handle(address_of(pointer));
    std::memcpy(handle, &value, sizeof value);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipIpcOpenMemHandle(void** pointer, hipIpcMemHandle_t handle, unsigned) {
  return call("hipIpcOpenMemHandle", [&] {
    require(pointer, "the result pointer is null");
    MemoryHandle value;
    std::memcpy(&value, &handle, sizeof value);
    *pointer = pointer_to(device_memory().open_handle(value));
  });
}

VIRTUAL_ROCM_HIP hipError_t hipIpcCloseMemHandle(void* pointer) {
  return call("hipIpcCloseMemHandle", [&] {
    streams().synchronize_device(current_device());
    require(device_memory().close_handle(address_of(pointer)), "not memory that was opened by a handle");
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemGetHandleForAddressRange(void* handle, hipDeviceptr_t pointer,
                                                           std::size_t size, int type,
                                                           unsigned long long flags) {
  return call("hipMemGetHandleForAddressRange", [&] {
    constexpr int kDmaBufDescriptor = 1;
    require(handle && pointer && size > 0, "nothing to export");
    require(type == kDmaBufDescriptor && flags == 0, "only a descriptor without flags can be had");
    const auto allocation = process_allocations().find(address_of(pointer));
    require(allocation && allocation->contains(address_of(pointer), size),
            "the range is not in one allocation");
    std::uint64_t offset = 0;
    *static_cast<int*>(handle) = device_memory().duplicate_descriptor(address_of(pointer), &offset);
  });
}

// For libhsa-runtime64: a descriptor for the range, and the range's offset in it; -1 if it is not in one
// allocation.
VIRTUAL_ROCM_HIP int virtual_rocm_export_descriptor(void* pointer, std::size_t size, std::uint64_t* offset) {
  try {
    const auto allocation = process_allocations().find(address_of(pointer));
    require(allocation && allocation->contains(address_of(pointer), size),
            "the range is not in one allocation");
    return device_memory().duplicate_descriptor(address_of(pointer), offset);
  } catch (const std::exception& error) {
    log_line(concat("export of a descriptor: ", error.what()));
    return -1;
  }
}

// For the torch bridge (preload library): memory of a tensor, and its end. Not a part of HIP.
VIRTUAL_ROCM_HIP void* virtual_rocm_tensor_allocate(std::size_t bytes, std::size_t alignment) {
  try {
    return pointer_to(device_memory().allocate(bytes, AllocationKind::framework, "tensor", alignment));
  } catch (const std::exception& error) {
    log_line(concat("tensor of ", bytes, " bytes: ", error.what()));
    return nullptr;
  }
}

VIRTUAL_ROCM_HIP int virtual_rocm_tensor_free(void* pointer) {
  return device_memory().free(address_of(pointer)) ? 1 : 0;
}
