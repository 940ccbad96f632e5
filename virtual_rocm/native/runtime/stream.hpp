// SPDX-License-Identifier: MIT
//
// Streams and events: work in order within a stream, streams side by side.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "runtime/capture.hpp"

namespace virtual_rocm {

/// The end of one piece of work, which others can wait for.
class Completion {
 public:
  using Clock = std::chrono::steady_clock;
  void finish();
  void wait() const;
  bool done() const;
  Clock::time_point time() const;  ///< of finish(); only once it is done

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool done_ = false;
  Clock::time_point time_;
};
using CompletionPointer = std::shared_ptr<Completion>;

/// One queue of work, with a thread that starts at the first piece.
class Stream {
 public:
  explicit Stream(int device, bool blocking);
  /// Finishes what is queued, without waiting: the thread lives on until then.
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  int device() const { return device_; }
  /// Whether it keeps order with the null stream.
  bool blocking() const { return blocking_; }
  /// Runs `work` after everything queued before it and after `dependencies`.
  CompletionPointer enqueue(std::function<void()> work, std::vector<CompletionPointer> dependencies = {});
  /// Of the last piece queued; null if nothing was ever queued.
  CompletionPointer last() const;

 private:
  struct Piece {
    std::function<void()> work;
    std::vector<CompletionPointer> dependencies;
    CompletionPointer completion;
  };
  struct Queue;  // shared with the thread, which may outlive the stream
  static void run(const std::shared_ptr<Queue>& queue);
  int device_;
  bool blocking_;
  std::shared_ptr<Queue> queue_;
};

/// What hipEvent_t points to.
struct Event {
  unsigned flags = 0;
  CompletionPointer recorded;         ///< null before the first record; guarded by the registry's lock
  std::shared_ptr<Capture> captured;  ///< instead, if the last record was on a stream that is captured
  CaptureClock clock;                 ///< what of the capture it comes after
};

/// All streams of the process. Applies the rules of the null stream: work there waits for all earlier work of
/// blocking streams of the device, and their work waits for all earlier work there.
class StreamRegistry {
 public:
  Stream* create(int device, bool blocking);
  /// Throws HipError(invalid_handle) if it is not a stream.
  void destroy(Stream* stream);
  /// Queues `work` on a stream of create(), or on the null stream of `device` if it is null. On a stream that
  /// is captured it is kept, and null is returned.
  CompletionPointer submit(int device, Stream* stream, std::function<void()> work,
                           std::vector<CompletionPointer> dependencies = {});
  /// Waits for everything queued so far on the stream (null: the null stream and the blocking ones).
  void synchronize(int device, Stream* stream);
  /// Waits for everything queued so far on the device.
  void synchronize_device(int device);
  /// Whether everything queued so far on the stream is done.
  bool idle(int device, Stream* stream);

  Event* create_event(unsigned flags);
  void destroy_event(Event* event);
  void record(int device, Event* event, Stream* stream);
  /// What comes later on `stream` waits for what the event stands for now.
  void wait(int device, Stream* stream, Event* event);
  /// What the event stands for now; null if it was never recorded. Throws HipError: invalid_handle,
  /// captured_event.
  CompletionPointer recorded(Event* event);

  void begin_capture(Stream* stream, CaptureMode mode);
  Graph end_capture(Stream* stream);
  /// Null if the stream is not captured.
  std::shared_ptr<const Capture> capture(Stream* stream);
  /// For calls that could disturb a capture: throws HipError(stream_capture_unsupported), and breaks the
  /// capture, if there is one that this thread has to mind.
  void refuse_in_capture(const char* function);

 private:
  Stream& null_stream_locked(int device);
  void check_locked(const Stream* stream) const;
  std::vector<CompletionPointer> pending_locked(int device, Stream* stream);
  std::shared_ptr<Capture> capture_locked(const Stream* stream) const;
  void check_event_locked(const Event* event) const;
  /// Waiting for a stream that is captured would wait for ever.
  void refuse_waiting_locked(int device, const Stream* stream);

  std::mutex mutex_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Stream>> null_streams_;  // by device
  std::vector<std::unique_ptr<Event>> events_;
  std::map<const Stream*, std::shared_ptr<Capture>> captures_;  // origins, and the streams that joined them
  std::uint64_t captures_begun_ = 0;
};

StreamRegistry& streams();

}  // namespace virtual_rocm
