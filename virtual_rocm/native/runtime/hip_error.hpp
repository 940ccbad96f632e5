// SPDX-License-Identifier: MIT
//
// HIP's error codes, and the exception that carries one with its reason inside the runtime.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace virtual_rocm {

/// Values of hipError_t that this runtime returns or names. The numbers are HIP's ABI.
enum class ErrorCode : int {
  success = 0,
  invalid_value = 1,
  out_of_memory = 2,
  not_initialized = 3,
  deinitialized = 4,
  invalid_configuration = 9,
  invalid_symbol = 13,
  invalid_device_pointer = 17,
  invalid_memcpy_direction = 21,
  missing_configuration = 52,
  invalid_device_function = 98,
  no_device = 100,
  invalid_device = 101,
  invalid_image = 200,
  invalid_context = 201,
  map_failed = 205,
  unmap_failed = 206,
  no_binary_for_gpu = 209,
  not_mapped = 211,
  invalid_kernel_file = 218,
  invalid_source = 300,
  file_not_found = 301,
  shared_object_symbol_not_found = 302,
  shared_object_init_failed = 303,
  operating_system = 304,
  invalid_handle = 400,
  illegal_state = 401,
  not_found = 500,
  not_ready = 600,
  illegal_address = 700,
  launch_out_of_resources = 701,
  launch_timeout = 702,
  peer_access_already_enabled = 704,
  peer_access_not_enabled = 705,
  context_is_destroyed = 709,
  assertion = 710,
  host_memory_already_registered = 712,
  host_memory_not_registered = 713,
  launch_failure = 719,
  cooperative_launch_too_large = 720,
  not_supported = 801,
  stream_capture_unsupported = 900,
  stream_capture_invalidated = 901,
  stream_capture_merge = 902,
  stream_capture_unmatched = 903,
  stream_capture_unjoined = 904,
  stream_capture_isolation = 905,
  stream_capture_implicit = 906,
  captured_event = 907,
  stream_capture_wrong_thread = 908,
  unknown = 999,
};

/// "hipErrorInvalidValue"; "hipErrorUnknown" for a number that is not an error code.
const char* error_name(int code);
/// A short English sentence for the code.
const char* error_text(int code);

/// Joins the parts into one message: concat("device ", 3, " of ", 2).
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

/// Thrown inside the runtime; the C interface turns it into its code and logs the reason.
class HipError : public std::runtime_error {
 public:
  HipError(ErrorCode code, const std::string& reason) : std::runtime_error(reason), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

/// throw fail(ErrorCode::invalid_value, "size is ", size);
template <typename... Parts>
HipError fail(ErrorCode code, const Parts&... parts) {
  return HipError(code, concat(parts...));
}

}  // namespace virtual_rocm
