// SPDX-License-Identifier: MIT
//
// Graphs: captured from streams, made ready, launched. Graphs that a program builds node by node are not
// here.
#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/hip/abi.hpp"
#include "runtime/hip/stream_handle.hpp"
#include "runtime/stream.hpp"

using namespace virtual_rocm;
using hip::call;
using hip::require;

namespace {

/// What a handle stands for. Launches share the work, so a graph may be destroyed while it runs.
using Shared = std::shared_ptr<const Graph>;

/// The handles that the program holds: graphs, or graphs that are ready to be launched.
template <typename Handle>
class Handles {
 public:
  Handle add(Shared graph) {
    std::lock_guard lock(mutex_);
    return reinterpret_cast<Handle>(held_.emplace_back(std::make_unique<Shared>(std::move(graph))).get());
  }
  Shared get(Handle handle) {
    std::lock_guard lock(mutex_);
    return **find_locked(handle);
  }
  void remove(Handle handle) {
    std::lock_guard lock(mutex_);
    held_.erase(find_locked(handle));
  }

 private:
  using Held = std::vector<std::unique_ptr<Shared>>;
  Held::iterator find_locked(Handle handle) {
    const auto found = std::find_if(held_.begin(), held_.end(), [&](const auto& owned) {
      return reinterpret_cast<Handle>(owned.get()) == handle;
    });
    require(found != held_.end(), "not a graph, or one that was destroyed");
    return found;
  }
  std::mutex mutex_;
  Held held_;
};

Handles<hipGraph_t>& graphs() {
  static auto* const handles = new Handles<hipGraph_t>;
  return *handles;
}
Handles<hipGraphExec_t>& ready_graphs() {
  static auto* const handles = new Handles<hipGraphExec_t>;
  return *handles;
}

CaptureMode mode_of(int mode) {
  require(mode >= static_cast<int>(CaptureMode::global) && mode <= static_cast<int>(CaptureMode::relaxed),
          "no capture mode");
  return static_cast<CaptureMode>(mode);
}

constexpr int kNotCaptured = 0, kCaptured = 1, kInvalidated = 2;

int status_of(const Capture* capture) {
  if (!capture) return kNotCaptured;
  return capture->broken().empty() ? kCaptured : kInvalidated;
}

void instantiate(hipGraphExec_t* ready, hipGraph_t graph) {
  require(ready, "the result pointer is null");
  *ready = ready_graphs().add(graphs().get(graph));
}

}  // namespace

VIRTUAL_ROCM_HIP hipError_t hipStreamBeginCapture(hipStream_t stream, int mode) {
  return call("hipStreamBeginCapture",
              [&] { streams().begin_capture(hip::stream_of(stream), mode_of(mode)); });
}

VIRTUAL_ROCM_HIP hipError_t hipStreamEndCapture(hipStream_t stream, hipGraph_t* graph) {
  return call("hipStreamEndCapture", [&] {
    require(graph, "the result pointer is null");
    *graph = nullptr;
    *graph = graphs().add(std::make_shared<const Graph>(streams().end_capture(hip::stream_of(stream))));
  });
}

VIRTUAL_ROCM_HIP hipError_t hipStreamIsCapturing(hipStream_t stream, int* status) {
  return call("hipStreamIsCapturing", [&] {
    require(status, "the result pointer is null");
    *status = status_of(streams().capture(hip::stream_of(stream)).get());
  });
}

VIRTUAL_ROCM_HIP hipError_t hipStreamGetCaptureInfo(hipStream_t stream, int* status,
                                                    unsigned long long* number) {
  return call("hipStreamGetCaptureInfo", [&] {
    require(status, "the result pointer is null");
    const auto capture = streams().capture(hip::stream_of(stream));
    *status = status_of(capture.get());
    if (number) *number = capture ? capture->number() : 0;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipThreadExchangeStreamCaptureMode(int* mode) {
  return call("hipThreadExchangeStreamCaptureMode", [&] {
    require(mode, "the mode is null");
    *mode = static_cast<int>(std::exchange(thread_capture_mode(), mode_of(*mode)));
  });
}

VIRTUAL_ROCM_HIP hipError_t hipGraphGetNodes(hipGraph_t graph, void** nodes, std::size_t* count) {
  return call("hipGraphGetNodes", [&] {
    require(count, "the result pointer is null");
    require(!nodes, "nodes are counted, not named", ErrorCode::not_supported);
    *count = graphs().get(graph)->pieces.size();
  });
}

VIRTUAL_ROCM_HIP hipError_t hipGraphInstantiate(hipGraphExec_t* ready, hipGraph_t graph, void**, char*,
                                                std::size_t) {
  return call("hipGraphInstantiate", [&] { instantiate(ready, graph); });
}

VIRTUAL_ROCM_HIP hipError_t hipGraphInstantiateWithFlags(hipGraphExec_t* ready, hipGraph_t graph,
                                                         unsigned long long) {
  return call("hipGraphInstantiateWithFlags", [&] { instantiate(ready, graph); });
}

VIRTUAL_ROCM_HIP hipError_t hipGraphLaunch(hipGraphExec_t ready, hipStream_t stream) {
  return call<hip::Answer::of_the_call_alone>("hipGraphLaunch", [&] {
    hip::submit(stream, [graph = ready_graphs().get(ready)] {
      for (const auto& piece : graph->pieces) piece();
    });
  });
}

VIRTUAL_ROCM_HIP hipError_t hipGraphDestroy(hipGraph_t graph) {
  return call("hipGraphDestroy", [&] { graphs().remove(graph); });
}

VIRTUAL_ROCM_HIP hipError_t hipGraphExecDestroy(hipGraphExec_t ready) {
  return call("hipGraphExecDestroy", [&] { ready_graphs().remove(ready); });
}
