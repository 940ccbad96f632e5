// SPDX-License-Identifier: MIT
#include "runtime/hip/abi.hpp"
#include "runtime/hip/stream_handle.hpp"

namespace virtual_rocm::hip {

Stream* stream_of(hipStream_t handle) {
  constexpr std::uintptr_t kLegacy = 1, kPerThread = 2;
  const auto number = reinterpret_cast<std::uintptr_t>(handle);
  if (number == 0 || number == kLegacy) return nullptr;
  if (number == kPerThread) {
    thread_local Stream* const own = streams().create(current_device(), true);
    return own;
  }
  return reinterpret_cast<Stream*>(handle);
}

}  // namespace virtual_rocm::hip

using namespace virtual_rocm;
using hip::call;
using hip::require;

namespace {

constexpr unsigned kNonBlocking = 1;
constexpr unsigned kDisableTiming = 2;

Event* event_of(hipEvent_t handle) { return reinterpret_cast<Event*>(handle); }

void create_stream(hipStream_t* stream, unsigned flags) {
  require(stream, "the result pointer is null");
  require(flags <= kNonBlocking, "unknown flags");
  *stream = reinterpret_cast<hipStream_t>(streams().create(current_device(), flags != kNonBlocking));
}

void create_event(hipEvent_t* event, unsigned flags) {
  require(event, "the result pointer is null");
  *event = reinterpret_cast<hipEvent_t>(streams().create_event(flags));
}

}  // namespace

VIRTUAL_ROCM_HIP hipError_t hipStreamCreate(hipStream_t* stream) {
  return call("hipStreamCreate", [&] { create_stream(stream, 0); });
}

VIRTUAL_ROCM_HIP hipError_t hipStreamCreateWithFlags(hipStream_t* stream, unsigned flags) {
  return call("hipStreamCreateWithFlags", [&] { create_stream(stream, flags); });
}

VIRTUAL_ROCM_HIP hipError_t hipStreamCreateWithPriority(hipStream_t* stream, unsigned flags, int) {
  return call("hipStreamCreateWithPriority", [&] { create_stream(stream, flags); });
}

VIRTUAL_ROCM_HIP hipError_t hipStreamDestroy(hipStream_t stream) {
  return call("hipStreamDestroy", [&] {
    require(stream, "the null stream cannot be destroyed", ErrorCode::invalid_handle);
    streams().destroy(hip::stream_of(stream));
  });
}

VIRTUAL_ROCM_HIP hipError_t hipStreamSynchronize(hipStream_t stream) {
  return call("hipStreamSynchronize", [&] { hip::synchronize(stream); });
}

VIRTUAL_ROCM_HIP hipError_t hipStreamQuery(hipStream_t stream) {
  return call("hipStreamQuery", [&] {
    require(streams().idle(current_device(), hip::stream_of(stream)), "work is queued", ErrorCode::not_ready);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipStreamWaitEvent(hipStream_t stream, hipEvent_t event, unsigned flags) {
  return call("hipStreamWaitEvent", [&] {
    require(flags == 0, "flags must be 0");
    streams().wait(current_device(), hip::stream_of(stream), event_of(event));
  });
}

VIRTUAL_ROCM_HIP hipError_t hipEventCreate(hipEvent_t* event) {
  return call("hipEventCreate", [&] { create_event(event, 0); });
}

VIRTUAL_ROCM_HIP hipError_t hipEventCreateWithFlags(hipEvent_t* event, unsigned flags) {
  return call("hipEventCreateWithFlags", [&] { create_event(event, flags); });
}

VIRTUAL_ROCM_HIP hipError_t hipEventDestroy(hipEvent_t event) {
  return call("hipEventDestroy", [&] { streams().destroy_event(event_of(event)); });
}

VIRTUAL_ROCM_HIP hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream) {
  return call("hipEventRecord",
              [&] { streams().record(current_device(), event_of(event), hip::stream_of(stream)); });
}

VIRTUAL_ROCM_HIP hipError_t hipEventQuery(hipEvent_t event) {
  return call("hipEventQuery", [&] {
    const auto recorded = streams().recorded(event_of(event));
    require(!recorded || recorded->done(), "the work before it is not done", ErrorCode::not_ready);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipEventSynchronize(hipEvent_t event) {
  return call("hipEventSynchronize", [&] {
    if (const auto recorded = streams().recorded(event_of(event))) recorded->wait();
  });
}

VIRTUAL_ROCM_HIP hipError_t hipEventElapsedTime(float* milliseconds, hipEvent_t start, hipEvent_t stop) {
  return call("hipEventElapsedTime", [&] {
    require(milliseconds, "the result pointer is null");
    const auto from = streams().recorded(event_of(start));
    const auto to = streams().recorded(event_of(stop));
    require(from && to, "an event was never recorded", ErrorCode::invalid_handle);
    require(!((event_of(start)->flags | event_of(stop)->flags) & kDisableTiming),
            "an event was made without timing", ErrorCode::invalid_handle);
    require(from->done() && to->done(), "the work before an event is not done", ErrorCode::not_ready);
    *milliseconds = std::chrono::duration<float, std::milli>(to->time() - from->time()).count();
  });
}

VIRTUAL_ROCM_HIP hipError_t hipLaunchHostFunc(hipStream_t stream, void (*function)(void*), void* data) {
  return call("hipLaunchHostFunc", [&] {
    require(function, "the function is null");
    hip::submit(stream, [=] { function(data); });
  });
}
