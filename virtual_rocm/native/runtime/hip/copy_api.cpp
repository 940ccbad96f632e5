// SPDX-License-Identifier: MIT
//
// Copies and fills, on streams.
#include <cstring>
#include <memory>
#include <vector>

#include "runtime/allocation_map.hpp"
#include "runtime/hip/abi.hpp"
#include "runtime/hip/stream_handle.hpp"
#include "runtime/stream.hpp"

using namespace virtual_rocm;
using hip::address_of;
using hip::call;
using hip::require;

namespace {

// A range that begins in known memory must end in it; where the program says "device", it must be known.
void check_range(const char* which, const void* pointer, std::size_t bytes, bool device) {
  const auto allocation = process_allocations().find(address_of(pointer));
  if (!allocation) {
    if (device)
      throw fail(ErrorCode::invalid_value, which, " 0x", std::hex, address_of(pointer),
                 " is not device memory");
    return;
  }
  if (!allocation->contains(address_of(pointer), bytes))
    throw fail(ErrorCode::invalid_value, which, ": ", bytes, " bytes at offset ",
               address_of(pointer) - allocation->base, " of ", allocation->label, ", which has ",
               allocation->size);
}

void check_copy(void* target, const void* source, std::size_t bytes, int kind) {
  require(target && source, "a pointer is null");
  if (kind < 0 || (kind > hipMemcpyDefault && kind != hipMemcpyDeviceToDeviceNoCU))
    throw fail(ErrorCode::invalid_memcpy_direction, "kind ", kind);
  const bool between_devices = kind == hipMemcpyDeviceToDevice || kind == hipMemcpyDeviceToDeviceNoCU;
  check_range("target", target, bytes, between_devices || kind == hipMemcpyHostToDevice);
  check_range("source", source, bytes, between_devices || kind == hipMemcpyDeviceToHost);
}

void copy_now(void* target, const void* source, std::size_t bytes, int kind) {
  streams().refuse_in_capture("a copy that waits");
  check_copy(target, source, bytes, kind);
  streams().synchronize(current_device(), nullptr);
  std::memmove(target, source, bytes);
}

void copy_later(void* target, const void* source, std::size_t bytes, int kind, hipStream_t stream) {
  if (bytes == 0) return;
  check_copy(target, source, bytes, kind);
  // Pageable memory is read before the call returns, so the program may reuse it at once; pinned memory is
  // not. A captured copy reads either when it runs.
  if (!process_allocations().find(address_of(source)) && !streams().capture(hip::stream_of(stream))) {
    const auto* begin = static_cast<const std::byte*>(source);
    auto staged = std::make_shared<std::vector<std::byte>>(begin, begin + bytes);
    hip::submit(stream, [target, staged] { std::memmove(target, staged->data(), staged->size()); });
    return;
  }
  hip::submit(stream, [=] { std::memmove(target, source, bytes); });
}

void fill_later(void* target, int value, std::size_t bytes, hipStream_t stream) {
  if (bytes == 0) return;
  require(target, "the target is null");
  check_range("target", target, bytes, true);
  hip::submit(stream, [=] { std::memset(target, value, bytes); });
}

}  // namespace

VIRTUAL_ROCM_HIP hipError_t hipMemcpy(void* target, const void* source, std::size_t bytes, int kind) {
  return call("hipMemcpy", [&] {
    if (bytes > 0) copy_now(target, source, bytes, kind);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemcpyAsync(void* target, const void* source, std::size_t bytes, int kind,
                                           hipStream_t stream) {
  return call("hipMemcpyAsync", [&] { copy_later(target, source, bytes, kind, stream); });
}

VIRTUAL_ROCM_HIP hipError_t hipMemcpyWithStream(void* target, const void* source, std::size_t bytes, int kind,
                                                hipStream_t stream) {
  return call("hipMemcpyWithStream", [&] {
    copy_later(target, source, bytes, kind, stream);
    hip::synchronize(stream);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemcpyHtoD(void* target, void* source, std::size_t bytes) {
  return call("hipMemcpyHtoD", [&] { copy_now(target, source, bytes, hipMemcpyHostToDevice); });
}

VIRTUAL_ROCM_HIP hipError_t hipMemcpyDtoH(void* target, void* source, std::size_t bytes) {
  return call("hipMemcpyDtoH", [&] { copy_now(target, source, bytes, hipMemcpyDeviceToHost); });
}

VIRTUAL_ROCM_HIP hipError_t hipMemcpyDtoD(void* target, void* source, std::size_t bytes) {
  return call("hipMemcpyDtoD", [&] { copy_now(target, source, bytes, hipMemcpyDeviceToDevice); });
}

VIRTUAL_ROCM_HIP hipError_t hipMemcpyPeer(void* target, int target_device, const void* source,
                                          int source_device, std::size_t bytes) {
  return call("hipMemcpyPeer", [&] {
    check_device(target_device);
    check_device(source_device);
    copy_now(target, source, bytes, hipMemcpyDeviceToDevice);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemcpyPeerAsync(void* target, int target_device, const void* source,
                                               int source_device, std::size_t bytes, hipStream_t stream) {
  return call("hipMemcpyPeerAsync", [&] {
    check_device(target_device);
    check_device(source_device);
    copy_later(target, source, bytes, hipMemcpyDeviceToDevice, stream);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemset(void* target, int value, std::size_t bytes) {
  return call("hipMemset", [&] {
    fill_later(target, value, bytes, nullptr);
    hip::synchronize(nullptr);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemsetAsync(void* target, int value, std::size_t bytes, hipStream_t stream) {
  return call("hipMemsetAsync", [&] { fill_later(target, value, bytes, stream); });
}
