// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

#include "runtime/device_memory.hpp"
#include "runtime/hip/abi.hpp"
#include "runtime/stream.hpp"

using namespace virtual_rocm;
using hip::call;
using hip::require;

namespace {

// 7.2.0, as hipRuntimeGetVersion and hipDriverGetVersion count.
constexpr int kVersion = 70200000;

}  // namespace

VIRTUAL_ROCM_HIP hipError_t hipInit(unsigned flags) {
  return call("hipInit", [&] { require(flags == 0, "flags must be 0"); });
}

VIRTUAL_ROCM_HIP hipError_t hipRuntimeGetVersion(int* version) {
  return call("hipRuntimeGetVersion", [&] {
    require(version, "version is null");
    *version = kVersion;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipDriverGetVersion(int* version) {
  return call("hipDriverGetVersion", [&] {
    require(version, "version is null");
    *version = kVersion;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipGetDeviceCount(int* count) {
  return call("hipGetDeviceCount", [&] {
    require(count, "count is null");
    *count = device_count();
    if (*count == 0) throw fail(ErrorCode::no_device, "VIRTUAL_ROCM_DEVICES is 0");
  });
}

VIRTUAL_ROCM_HIP hipError_t hipGetDevice(int* device) {
  return call("hipGetDevice", [&] {
    require(device, "device is null");
    *device = current_device();
  });
}

VIRTUAL_ROCM_HIP hipError_t hipSetDevice(int device) {
  return call("hipSetDevice", [&] { set_current_device(device); });
}

VIRTUAL_ROCM_HIP hipError_t hipDeviceSynchronize() {
  return call("hipDeviceSynchronize", [&] { streams().synchronize_device(current_device()); });
}

VIRTUAL_ROCM_HIP hipError_t hipDeviceGet(hipDevice_t* handle, int device) {
  return call("hipDeviceGet", [&] {
    require(handle, "device is null");
    check_device(device);
    *handle = device;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipDeviceGetName(char* name, int size, hipDevice_t device) {
  return call("hipDeviceGetName", [&] {
    require(name && size > 0, "no room for the name");
    check_device(device);
    std::snprintf(name, static_cast<std::size_t>(size), "%s", device_facts().name.c_str());
  });
}

VIRTUAL_ROCM_HIP hipError_t hipDeviceTotalMem(std::size_t* bytes, hipDevice_t device) {
  return call("hipDeviceTotalMem", [&] {
    require(bytes, "bytes is null");
    check_device(device);
    *bytes = device_facts().memory_bytes;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipDeviceGetAttribute(int* value, int attribute, int device) {
  return call("hipDeviceGetAttribute", [&] {
    require(value, "value is null");
    *value = device_attribute(attribute, device);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipGetDevicePropertiesR0600(void* properties, int device) {
  return call("hipGetDeviceProperties", [&] {
    require(properties, "properties is null");
    const auto bytes = device_properties(device);
    std::memcpy(properties, bytes.data(), bytes.size());
  });
}

VIRTUAL_ROCM_HIP hipError_t hipDeviceGetPCIBusId(char* text, int size, int device) {
  return call("hipDeviceGetPCIBusId", [&] {
    require(text && size > 0, "no room for the bus id");
    check_device(device);
    std::snprintf(text, static_cast<std::size_t>(size), "%s", pci_bus_id(device).c_str());
  });
}

VIRTUAL_ROCM_HIP hipError_t hipDeviceCanAccessPeer(int* can_access, int device, int peer) {
  return call("hipDeviceCanAccessPeer", [&] {
    require(can_access, "canAccessPeer is null");
    check_device(device);
    check_device(peer);
    *can_access = device != peer;
  });
}

namespace {

std::mutex peer_mutex;
std::set<std::pair<int, int>>& enabled_peers() {
  static auto* const peers = new std::set<std::pair<int, int>>;
  return *peers;
}

}  // namespace

VIRTUAL_ROCM_HIP hipError_t hipDeviceEnablePeerAccess(int peer, unsigned flags) {
  return call("hipDeviceEnablePeerAccess", [&] {
    require(flags == 0, "flags must be 0");
    check_device(peer);
    require(peer != current_device(), "a device is not its own peer", ErrorCode::invalid_device);
    std::lock_guard lock(peer_mutex);
    if (!enabled_peers().insert({current_device(), peer}).second)
      throw fail(ErrorCode::peer_access_already_enabled, "from device ", current_device(), " to ", peer);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipDeviceDisablePeerAccess(int peer) {
  return call("hipDeviceDisablePeerAccess", [&] {
    check_device(peer);
    std::lock_guard lock(peer_mutex);
    if (enabled_peers().erase({current_device(), peer}) == 0)
      throw fail(ErrorCode::peer_access_not_enabled, "from device ", current_device(), " to ", peer);
  });
}
