// SPDX-License-Identifier: MIT
#include "runtime/hip/abi.hpp"

namespace virtual_rocm::hip {

hipError_t& last_error() {
  thread_local hipError_t error = 0;
  return error;
}

hipError_t failed(const char* function, ErrorCode code, const char* reason) {
  const auto number = static_cast<hipError_t>(code);
  // "Not ready" is an answer, not an error to keep.
  if (code != ErrorCode::not_ready) {
    log_line(concat(function, " = ", error_name(number), " (", number, "): ", reason));
    last_error() = number;
  }
  return number;
}

}  // namespace virtual_rocm::hip

using namespace virtual_rocm;

VIRTUAL_ROCM_HIP hipError_t hipGetLastError() {
  const hipError_t error = hip::last_error();
  hip::last_error() = 0;
  return error != 0 ? error : static_cast<hipError_t>(sticky_error());
}

VIRTUAL_ROCM_HIP hipError_t hipPeekAtLastError() {
  return hip::last_error() != 0 ? hip::last_error() : static_cast<hipError_t>(sticky_error());
}

VIRTUAL_ROCM_HIP const char* hipGetErrorString(hipError_t error) { return error_text(error); }
VIRTUAL_ROCM_HIP const char* hipGetErrorName(hipError_t error) { return error_name(error); }
