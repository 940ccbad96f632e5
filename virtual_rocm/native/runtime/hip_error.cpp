// SPDX-License-Identifier: MIT
#include "runtime/hip_error.hpp"

#include <algorithm>
#include <array>

namespace virtual_rocm {

namespace {

struct ErrorEntry {
  int code;
  const char* name;
  const char* text;
};

constexpr std::array kErrors = {
    ErrorEntry{0, "hipSuccess", "no error"},
    ErrorEntry{1, "hipErrorInvalidValue", "invalid argument"},
    ErrorEntry{2, "hipErrorOutOfMemory", "out of memory"},
    ErrorEntry{3, "hipErrorNotInitialized", "initialization error"},
    ErrorEntry{4, "hipErrorDeinitialized", "driver shutting down"},
    ErrorEntry{9, "hipErrorInvalidConfiguration", "invalid configuration argument"},
    ErrorEntry{13, "hipErrorInvalidSymbol", "invalid device symbol"},
    ErrorEntry{17, "hipErrorInvalidDevicePointer", "invalid device pointer"},
    ErrorEntry{21, "hipErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    ErrorEntry{52, "hipErrorMissingConfiguration", "__global__ function call is not configured"},
    ErrorEntry{98, "hipErrorInvalidDeviceFunction", "invalid device function"},
    ErrorEntry{100, "hipErrorNoDevice", "no ROCm-capable device is detected"},
    ErrorEntry{101, "hipErrorInvalidDevice", "invalid device ordinal"},
    ErrorEntry{200, "hipErrorInvalidImage", "device kernel image is invalid"},
    ErrorEntry{201, "hipErrorInvalidContext", "invalid device context"},
    ErrorEntry{205, "hipErrorMapFailed", "mapping of buffer object failed"},
    ErrorEntry{206, "hipErrorUnmapFailed", "unmapping of buffer object failed"},
    ErrorEntry{209, "hipErrorNoBinaryForGpu", "no kernel image is available for execution on the device"},
    ErrorEntry{211, "hipErrorNotMapped", "resource not mapped"},
    ErrorEntry{218, "hipErrorInvalidKernelFile", "invalid kernel file"},
    ErrorEntry{300, "hipErrorInvalidSource", "device kernel image is invalid"},
    ErrorEntry{301, "hipErrorFileNotFound", "file not found"},
    ErrorEntry{302, "hipErrorSharedObjectSymbolNotFound", "shared object symbol not found"},
    ErrorEntry{303, "hipErrorSharedObjectInitFailed", "shared object initialization failed"},
    ErrorEntry{304, "hipErrorOperatingSystem", "OS call failed or operation not supported on this OS"},
    ErrorEntry{400, "hipErrorInvalidHandle", "invalid resource handle"},
    ErrorEntry{401, "hipErrorIllegalState", "the operation cannot be performed in the present state"},
    ErrorEntry{500, "hipErrorNotFound", "named symbol not found"},
    ErrorEntry{600, "hipErrorNotReady", "device not ready"},
    ErrorEntry{700, "hipErrorIllegalAddress", "an illegal memory access was encountered"},
    ErrorEntry{701, "hipErrorLaunchOutOfResources", "too many resources requested for launch"},
    ErrorEntry{702, "hipErrorLaunchTimeOut", "the launch timed out and was terminated"},
    ErrorEntry{704, "hipErrorPeerAccessAlreadyEnabled", "peer access is already enabled"},
    ErrorEntry{705, "hipErrorPeerAccessNotEnabled", "peer access has not been enabled"},
    ErrorEntry{709, "hipErrorContextIsDestroyed", "context is destroyed"},
    ErrorEntry{710, "hipErrorAssert", "device-side assert triggered"},
    ErrorEntry{712, "hipErrorHostMemoryAlreadyRegistered",
               "part or all of the requested memory range is already mapped"},
    ErrorEntry{713, "hipErrorHostMemoryNotRegistered",
               "pointer does not correspond to a registered memory region"},
    ErrorEntry{719, "hipErrorLaunchFailure", "unspecified launch failure"},
    ErrorEntry{720, "hipErrorCooperativeLaunchTooLarge", "too many blocks in cooperative launch"},
    ErrorEntry{801, "hipErrorNotSupported", "operation not supported"},
    ErrorEntry{900, "hipErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"},
    ErrorEntry{901, "hipErrorStreamCaptureInvalidated",
               "operation failed due to a previous error during capture"},
    ErrorEntry{902, "hipErrorStreamCaptureMerge",
               "operation would result in a merge of separate capture sequences"},
    ErrorEntry{903, "hipErrorStreamCaptureUnmatched", "capture was not ended in the same stream as it began"},
    ErrorEntry{904, "hipErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    ErrorEntry{905, "hipErrorStreamCaptureIsolation",
               "dependency created on uncaptured work in another stream"},
    ErrorEntry{906, "hipErrorStreamCaptureImplicit",
               "operation would make the legacy stream depend on a capturing blocking stream"},
    ErrorEntry{907, "hipErrorCapturedEvent",
               "operation not permitted on an event last recorded in a capturing stream"},
    ErrorEntry{908, "hipErrorStreamCaptureWrongThread",
               "attempt to terminate a thread-local capture sequence from another thread"},
    ErrorEntry{999, "hipErrorUnknown", "unknown error"},
};

const ErrorEntry& entry(int code) {
  const auto found =
      std::find_if(kErrors.begin(), kErrors.end(), [&](const auto& e) { return e.code == code; });
  return found == kErrors.end() ? kErrors.back() : *found;
}

}  // namespace

const char* error_name(int code) { return entry(code).name; }
const char* error_text(int code) { return entry(code).text; }

}  // namespace virtual_rocm
