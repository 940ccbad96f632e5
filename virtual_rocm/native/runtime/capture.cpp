// SPDX-License-Identifier: MIT
#include "runtime/capture.hpp"

#include <algorithm>

namespace virtual_rocm {

Capture::Capture(const Stream* origin, CaptureMode mode, std::uint64_t number)
    : origin_(origin), mode_(mode), thread_(std::this_thread::get_id()), number_(number) {
  clocks_[origin];
}

void Capture::invalidate(const std::string& reason) {
  if (broken_.empty()) broken_ = reason;
}

void Capture::add(const Stream* stream, std::function<void()> work) {
  if (!broken_.empty()) throw fail(ErrorCode::stream_capture_invalidated, broken_);
  graph_.pieces.push_back(std::move(work));
  ++clocks_[stream][stream];
}

const CaptureClock& Capture::clock(const Stream* stream) { return clocks_[stream]; }

void Capture::join(const Stream* stream, const CaptureClock& clock) {
  auto& own = clocks_[stream];
  for (const auto& [other, count] : clock) own[other] = std::max(own[other], count);
}

Graph Capture::finish() {
  if (!broken_.empty()) throw fail(ErrorCode::stream_capture_invalidated, broken_);
  auto& seen = clocks_[origin_];
  for (const auto& [stream, clock] : clocks_) {
    const auto last = clock.find(stream);
    if (last != clock.end() && seen[stream] < last->second)
      throw fail(ErrorCode::stream_capture_unjoined, "the stream of the capture does not wait for ",
                 last->second - seen[stream], " pieces of work of a stream that joined it");
  }
  return std::move(graph_);
}

CaptureMode& thread_capture_mode() {
  thread_local CaptureMode mode = CaptureMode::global;
  return mode;
}

}  // namespace virtual_rocm
