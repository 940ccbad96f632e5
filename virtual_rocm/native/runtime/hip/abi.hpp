// SPDX-License-Identifier: MIT
//
// The types of HIP's C interface that the runtime's functions take, under HIP's names, and how each function
// is wrapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>

#include "abi/kernel_container.hpp"
#include "engine/code_object.hpp"
#include "runtime/device.hpp"
#include "runtime/hip_error.hpp"
#include "runtime/lateness.hpp"
#include "runtime/process.hpp"

using hipError_t = int;
using hipDevice_t = int;
using hipStream_t = struct ihipStream_t*;
using hipEvent_t = struct ihipEvent_t*;
using hipGraph_t = struct ihipGraph*;
using hipGraphExec_t = struct hipGraphExec*;
using hipModule_t = struct ihipModule_t*;
using hipFunction_t = struct ihipModuleSymbol_t*;
using hipMemGenericAllocationHandle_t = struct ihipMemGenericAllocationHandle*;
using hipDeviceptr_t = void*;

struct dim3 {
  std::uint32_t x, y, z;
};

enum hipMemcpyKind : int {
  hipMemcpyHostToHost = 0,
  hipMemcpyHostToDevice = 1,
  hipMemcpyDeviceToHost = 2,
  hipMemcpyDeviceToDevice = 3,
  hipMemcpyDefault = 4,
  hipMemcpyDeviceToDeviceNoCU = 1024,
};

enum hipMemoryType : int {
  hipMemoryTypeUnregistered = 0,
  hipMemoryTypeHost = 1,
  hipMemoryTypeDevice = 2,
};

struct hipPointerAttribute_t {
  hipMemoryType type;
  int device;
  void* devicePointer;
  void* hostPointer;
  int isManaged;
  unsigned allocationFlags;
};
static_assert(sizeof(hipPointerAttribute_t) == 32);

struct hipIpcMemHandle_t {
  char reserved[64];
};

struct hipMemLocation {
  int type;
  int id;
};
struct hipMemAllocationProp {
  int type;
  int requestedHandleType;
  hipMemLocation location;
  void* win32HandleMetaData;
  unsigned char compressionType;
  unsigned char gpuDirectRDMACapable;
  unsigned short usage;
};
static_assert(sizeof(hipMemAllocationProp) == 32);
struct hipMemAccessDesc {
  hipMemLocation location;
  int flags;
};
static_assert(sizeof(hipMemAccessDesc) == 12);

struct hipFuncAttributes {
  int binaryVersion;
  int cacheModeCA;
  std::size_t constSizeBytes;
  std::size_t localSizeBytes;
  int maxDynamicSharedSizeBytes;
  int maxThreadsPerBlock;
  int numRegs;
  int preferredShmemCarveout;
  int ptxVersion;
  std::size_t sharedSizeBytes;
};
static_assert(sizeof(hipFuncAttributes) == 56);

/// The exported functions. symbols.map gives each its version.
#define VIRTUAL_ROCM_HIP extern "C" __attribute__((visibility("default")))

namespace virtual_rocm::hip {

/// The error that hipGetLastError will return to this thread.
hipError_t& last_error();

/// Logs why a call fails, and keeps the code for hipGetLastError.
hipError_t failed(const char* function, ErrorCode code, const char* reason);

/// Whether a call may have waited for kernels, so that their faults are its own answer. What only queues work
/// tells of faults that were there before it; its own kernel's fault is told by the next call that waits.
enum class Answer { with_faults_since, of_the_call_alone };

/// The body of every API function: `body` throws what goes wrong. After a fault on the device no call does
/// anything.
template <Answer answer = Answer::with_faults_since, typename Body>
hipError_t call(const char* function, Body&& body) noexcept {
  if (const ErrorCode sticky = sticky_error(); sticky != ErrorCode::success)
    return last_error() = static_cast<hipError_t>(sticky);
  try {
    if (lateness_asked()) be_late(function);
    body();
    if constexpr (answer == Answer::with_faults_since)
      if (const ErrorCode sticky = sticky_error(); sticky != ErrorCode::success)
        return last_error() = static_cast<hipError_t>(sticky);
    return static_cast<hipError_t>(ErrorCode::success);
  } catch (const HipError& error) {
    return failed(function, error.code(), error.what());
  } catch (const engine::LoadError& error) {
    report(concat(function, ": ", error.what()));  // says what a person must do, which no error code can
    return failed(function, ErrorCode::invalid_image, error.what());
  } catch (const abi::ContainerError& error) {
    report(concat(function, ": ", error.what()));
    return failed(function, ErrorCode::invalid_image, error.what());
  } catch (const std::bad_alloc&) {
    return failed(function, ErrorCode::out_of_memory, "the host has no memory left");
  } catch (const std::exception& error) {
    return failed(function, ErrorCode::unknown, error.what());
  }
}

inline void require(bool condition, const char* reason, ErrorCode code = ErrorCode::invalid_value) {
  if (!condition) throw HipError(code, reason);
}

inline std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }
inline void* pointer_to(std::uint64_t address) { return reinterpret_cast<void*>(address); }

}  // namespace virtual_rocm::hip
