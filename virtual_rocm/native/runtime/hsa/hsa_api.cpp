// SPDX-License-Identifier: MIT
//
// libhsa-runtime64: the part of HSA that programs call beside HIP, to find devices and to pin or export
// memory. Memory belongs to the HIP library, so what is done to it here goes through HIP's functions.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

extern "C" {
int hipGetDeviceCount(int*);
int hipDeviceGetAttribute(int*, int, int);
int hipDeviceGetName(char*, int, int);
int hipMemGetInfo(std::size_t*, std::size_t*);
int hipMemGetAddressRange(void**, std::size_t*, void*);
int hipHostRegister(void*, std::size_t, unsigned);
int hipHostUnregister(void*);
int hipGetLastError();
int virtual_rocm_export_descriptor(void*, std::size_t, std::uint64_t*);
}

namespace {

using Status = std::uint32_t;
constexpr Status kSuccess = 0;
constexpr Status kBreak = 1;
constexpr Status kInvalidArgument = 0x1001;
constexpr Status kInvalidAllocation = 0x1003;
constexpr Status kInvalidAgent = 0x1004;
constexpr Status kOutOfResources = 0x1008;
constexpr Status kNotInitialized = 0x100B;
constexpr Status kInvalidMemoryPool = 40;

// Handles: the CPU is 1, device n is 0x100 + n; a memory pool has its agent's handle.
constexpr std::uint64_t kCpu = 1;
constexpr std::uint64_t kFirstDevice = 0x100;

struct Agent {
  std::uint64_t handle;
};
struct MemoryPool {
  std::uint64_t handle;
};

std::mutex mutex;
int initialized = 0;

bool ready() {
  std::lock_guard lock(mutex);
  return initialized > 0;
}

// The device's architecture, as the engine has it.
const char* processor_name() {
  const char* const named = std::getenv("VIRTUAL_ROCM_ARCHITECTURE");
  return named != nullptr && *named != '\0' ? named : "gfx942";
}

int devices() {
  int count = 0;
  if (hipGetDeviceCount(&count) != 0) hipGetLastError();  // no device is an answer here, not an error to keep
  return count;
}

bool known(std::uint64_t handle) {
  return handle == kCpu ||
         (handle >= kFirstDevice && handle < kFirstDevice + static_cast<std::uint64_t>(devices()));
}

int attribute(int number, int device) {
  int value = 0;
  hipDeviceGetAttribute(&value, number, device);
  return value;
}

template <typename Value>
Status put(void* target, Value value) {
  std::memcpy(target, &value, sizeof value);
  return kSuccess;
}

// The result has 64 bytes, as HSA says for all its names.
Status put_name(void* target, const char* name) {
  std::memset(target, 0, 64);
  std::snprintf(static_cast<char*>(target), 64, "%s", name);
  return kSuccess;
}

Status put_product_name(void* target, int device) {
  char name[64] = "Host processor";
  if (device >= 0) hipDeviceGetName(name, sizeof name, device);
  return put_name(target, name);
}

}  // namespace

#define VIRTUAL_ROCM_HSA extern "C" __attribute__((visibility("default")))

VIRTUAL_ROCM_HSA Status hsa_init() {
  std::lock_guard lock(mutex);
  ++initialized;
  return kSuccess;
}

VIRTUAL_ROCM_HSA Status hsa_shut_down() {
  std::lock_guard lock(mutex);
  if (initialized == 0) return kNotInitialized;
  --initialized;
  return kSuccess;
}

VIRTUAL_ROCM_HSA Status hsa_status_string(Status status, const char** text) {
  if (!text) return kInvalidArgument;
  switch (status) {
    case kSuccess:
      *text = "HSA_STATUS_SUCCESS: The function has been executed successfully.";
      return kSuccess;
    case kBreak:
      *text = "HSA_STATUS_INFO_BREAK: A traversal was ended by its callback.";
      return kSuccess;
    case 0x1000:
      *text = "HSA_STATUS_ERROR: A generic error has occurred.";
      return kSuccess;
    case kInvalidArgument:
      *text = "HSA_STATUS_ERROR_INVALID_ARGUMENT: An argument is not valid.";
      return kSuccess;
    case kInvalidAllocation:
      *text = "HSA_STATUS_ERROR_INVALID_ALLOCATION: The memory was not allocated as it must be.";
      return kSuccess;
    case kInvalidAgent:
      *text = "HSA_STATUS_ERROR_INVALID_AGENT: There is no such agent.";
      return kSuccess;
    case kOutOfResources:
      *text = "HSA_STATUS_ERROR_OUT_OF_RESOURCES: Resources are used up.";
      return kSuccess;
    case kNotInitialized:
      *text = "HSA_STATUS_ERROR_NOT_INITIALIZED: hsa_init was not called.";
      return kSuccess;
    case kInvalidMemoryPool:
      *text = "HSA_STATUS_ERROR_INVALID_MEMORY_POOL: There is no such pool.";
      return kSuccess;
    default:
      return kInvalidArgument;
  }
}

VIRTUAL_ROCM_HSA Status hsa_iterate_agents(Status (*callback)(Agent, void*), void* data) {
  if (!ready()) return kNotInitialized;
  if (!callback) return kInvalidArgument;
  if (const Status status = callback({kCpu}, data); status != kSuccess) return status;
  for (int device = 0; device < devices(); ++device)
    if (const Status status = callback({kFirstDevice + static_cast<std::uint64_t>(device)}, data);
        status != kSuccess)
      return status;
  return kSuccess;
}

VIRTUAL_ROCM_HSA Status hsa_agent_get_info(Agent agent, std::uint32_t what, void* value) {
  if (!ready()) return kNotInitialized;
  if (!known(agent.handle)) return kInvalidAgent;
  if (!value) return kInvalidArgument;
  const bool cpu = agent.handle == kCpu;
  const int device = cpu ? -1 : static_cast<int>(agent.handle - kFirstDevice);
  enum : std::uint32_t {
    kName = 0,
    kVendor = 1,
    kFeature = 2,
    kMachineModel = 3,
    kProfile = 4,
    kRounding = 5,
    kWaveSize = 6,
    kWorkgroupMaxDimension = 7,
    kWorkgroupMaxSize = 8,
    kGridMaxSize = 10,
    kQueuesMax = 12,
    kQueueMinSize = 13,
    kQueueMaxSize = 14,
    kNode = 16,
    kDevice = 17,
    kVersionMajor = 21,
    kVersionMinor = 22,
    kChipId = 0xA000,
    kCacheLine = 0xA001,
    kComputeUnits = 0xA002,
    kClock = 0xA003,
    kDriverNode = 0xA004,
    kBdfId = 0xA006,
    kMemoryWidth = 0xA007,
    kMemoryClock = 0xA008,
    kProductName = 0xA009,
    kMaxWaves = 0xA00A,
    kSimds = 0xA00B,
    kShaderEngines = 0xA00C,
    kDomain = 0xA00F,
    kUuid = 0xA011,
  };
  switch (what) {
    case kName:
      return cpu ? put_product_name(value, -1) : put_name(value, processor_name());
    case kVendor:
      return put_name(value, cpu ? "CPU" : "AMD");
    case kFeature:
      return put<std::uint32_t>(value, cpu ? 0 : 1);  // kernel dispatch
    case kMachineModel:
      return put<std::uint32_t>(value, 1);  // large
    case kProfile:
      return put<std::uint32_t>(value, cpu ? 1 : 0);
    case kRounding:
      return put<std::uint32_t>(value, 2);  // nearest
    case kWaveSize:
      return put<std::uint32_t>(value, cpu ? 0 : 64);
    case kWorkgroupMaxDimension: {
      const std::uint16_t sizes[3] = {1024, 1024, 1024};
      std::memcpy(value, sizes, sizeof sizes);
      return kSuccess;
    }
    case kWorkgroupMaxSize:
      return put<std::uint32_t>(value, cpu ? 0 : 1024);
    case kGridMaxSize:
      return put<std::uint32_t>(value, cpu ? 0 : UINT32_MAX);
    case kQueuesMax:
      return put<std::uint32_t>(value, cpu ? 0 : 128);
    case kQueueMinSize:
      return put<std::uint32_t>(value, cpu ? 0 : 64);
    case kQueueMaxSize:
      return put<std::uint32_t>(value, cpu ? 0 : 131072);
    case kNode:
    case kDriverNode:
      return put<std::uint32_t>(value, static_cast<std::uint32_t>(device + 1));
    case kDevice:
      return put<std::uint32_t>(value, cpu ? 0 : 1);
    case kVersionMajor:
      return put<std::uint16_t>(value, 1);
    case kVersionMinor:
      return put<std::uint16_t>(value, 18);
    case kChipId:
      return put<std::uint32_t>(value, cpu ? 0 : 0x74a1);
    case kCacheLine:
      return put<std::uint32_t>(value, cpu ? 64 : 128);
    case kComputeUnits:
      return put<std::uint32_t>(value, cpu ? 1 : static_cast<std::uint32_t>(attribute(63, device)));
    case kClock:
      return put<std::uint32_t>(value, 2100);
    case kBdfId:
      return put<std::uint32_t>(value, cpu ? 0 : static_cast<std::uint32_t>(attribute(67, device)) << 8);
    case kMemoryWidth:
      return put<std::uint32_t>(value, 8192);
    case kMemoryClock:
      return put<std::uint32_t>(value, 1300);
    case kProductName:
      return put_product_name(value, device);
    case kMaxWaves:
      return put<std::uint32_t>(value, cpu ? 0 : 32);
    case kSimds:
      return put<std::uint32_t>(value, cpu ? 0 : 4);
    case kShaderEngines:
      return put<std::uint32_t>(value, cpu ? 0 : 32);
    case kDomain:
      return put<std::uint32_t>(value, 0);
    case kUuid:
      std::snprintf(static_cast<char*>(value), 21, cpu ? "CPU-XX" : "GPU-%016x",
                    static_cast<unsigned>(device));
      return kSuccess;
    default:
      return kInvalidArgument;
  }
}

VIRTUAL_ROCM_HSA Status hsa_amd_agent_iterate_memory_pools(Agent agent, Status (*callback)(MemoryPool, void*),
                                                           void* data) {
  if (!ready()) return kNotInitialized;
  if (!known(agent.handle)) return kInvalidAgent;
  if (!callback) return kInvalidArgument;
  return callback({agent.handle}, data);
}

VIRTUAL_ROCM_HSA Status hsa_amd_memory_pool_get_info(MemoryPool pool, std::uint32_t what, void* value) {
  if (!ready()) return kNotInitialized;
  if (!known(pool.handle)) return kInvalidMemoryPool;
  if (!value) return kInvalidArgument;
  const bool cpu = pool.handle == kCpu;
  std::size_t total = 0;
  hipMemGetInfo(nullptr, &total);
  constexpr std::uint32_t kKernelArguments = 1, kFineGrained = 2, kCoarseGrained = 4;
  switch (what) {
    case 0:
      return put<std::uint32_t>(value, 0);  // segment: global
    case 1:
      return put<std::uint32_t>(value, cpu ? kKernelArguments | kFineGrained : kCoarseGrained);
    case 2:
      return put<std::size_t>(value, total);
    case 5:
      return put<bool>(value, true);  // runtime allocation allowed
    case 6:
      return put<std::size_t>(value, 4096);  // its granule
    case 7:
      return put<std::size_t>(value, 4096);  // its alignment
    case 15:
      return put<bool>(value, cpu);  // accessible by all
    case 16:
      return put<std::size_t>(value, total);  // largest allocation
    case 17:
      return put<std::uint32_t>(value, cpu ? 0 : 1);
    case 18:
      return put<std::size_t>(value, 2u << 20);  // recommended granule
    default:
      return kInvalidArgument;
  }
}

VIRTUAL_ROCM_HSA Status hsa_amd_memory_lock_to_pool(void* host_pointer, std::size_t size, Agent*, int,
                                                    MemoryPool pool, std::uint32_t flags,
                                                    void** agent_pointer) {
  if (!ready()) return kNotInitialized;
  if (!host_pointer || size == 0 || !agent_pointer || flags != 0) return kInvalidArgument;
  if (!known(pool.handle)) return kInvalidMemoryPool;
  if (hipHostRegister(host_pointer, size, 0) != 0) {
    hipGetLastError();
    return kOutOfResources;
  }
  *agent_pointer = host_pointer;
  return kSuccess;
}

VIRTUAL_ROCM_HSA Status hsa_amd_memory_unlock(void* host_pointer) {
  if (!ready()) return kNotInitialized;
  if (hipHostUnregister(host_pointer) != 0) {
    hipGetLastError();
    return kInvalidArgument;
  }
  return kSuccess;
}

VIRTUAL_ROCM_HSA Status hsa_amd_portable_export_dmabuf(const void* pointer, std::size_t size, int* descriptor,
                                                       std::uint64_t* offset) {
  if (!ready()) return kNotInitialized;
  if (!pointer || size == 0 || !descriptor || !offset) return kInvalidArgument;
  *descriptor = virtual_rocm_export_descriptor(const_cast<void*>(pointer), size, offset);
  return *descriptor < 0 ? kInvalidAllocation : kSuccess;
}
