// SPDX-License-Identifier: MIT
//
// Capture of streams: work that is kept instead of run, to be run as often as the program likes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "runtime/hip_error.hpp"

namespace virtual_rocm {

class Stream;

/// Captured work in the order in which it was submitted, which keeps every order that its streams and events
/// ask for.
struct Graph {
  std::vector<std::function<void()>> pieces;
};

/// hipStreamCaptureMode: whose calls that could disturb a capture are refused while it lasts.
enum class CaptureMode : int { global = 0, own_thread = 1, relaxed = 2 };

/// How many pieces of each stream of a capture something comes after.
using CaptureClock = std::map<const Stream*, std::size_t>;

/// One capture, from hipStreamBeginCapture on: its origin, and the streams that joined it through events.
class Capture {
 public:
  Capture(const Stream* origin, CaptureMode mode, std::uint64_t number);

  const Stream* origin() const { return origin_; }
  CaptureMode mode() const { return mode_; }
  std::thread::id thread() const { return thread_; }
  std::uint64_t number() const { return number_; }
  /// Empty while nothing went wrong.
  const std::string& broken() const { return broken_; }
  /// The first reason stays.
  void invalidate(const std::string& reason);

  /// Throws HipError(stream_capture_invalidated) after invalidate().
  void add(const Stream* stream, std::function<void()> work);
  /// What an event recorded on `stream` now stands for.
  const CaptureClock& clock(const Stream* stream);
  /// `stream` comes after what `clock` stands for; it belongs to the capture from now on.
  void join(const Stream* stream, const CaptureClock& clock);
  /// The work. Throws HipError: invalidated, or unjoined if work of another stream is not waited for.
  Graph finish();

 private:
  const Stream* origin_;
  CaptureMode mode_;
  std::thread::id thread_;
  std::uint64_t number_;
  std::string broken_;
  Graph graph_;
  std::map<const Stream*, CaptureClock> clocks_;
};

/// What hipThreadExchangeStreamCaptureMode sets: how careful the calling thread's calls are with captures.
CaptureMode& thread_capture_mode();

}  // namespace virtual_rocm
