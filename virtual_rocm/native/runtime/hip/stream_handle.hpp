// SPDX-License-Identifier: MIT
//
// hipStream_t to Stream: real handles, and the three that are numbers.
#pragma once

#include <utility>
#include <vector>

#include "runtime/hip/abi.hpp"
#include "runtime/stream.hpp"

namespace virtual_rocm::hip {

/// Null for the null stream (0, or hipStreamLegacy); a stream of the calling thread for hipStreamPerThread.
Stream* stream_of(hipStream_t handle);

template <typename Work>
CompletionPointer submit(hipStream_t handle, Work&& work, std::vector<CompletionPointer> dependencies = {}) {
  return streams().submit(current_device(), stream_of(handle), std::forward<Work>(work),
                          std::move(dependencies));
}

inline void synchronize(hipStream_t handle) { streams().synchronize(current_device(), stream_of(handle)); }

}  // namespace virtual_rocm::hip
