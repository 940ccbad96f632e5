// SPDX-License-Identifier: MIT
#include "runtime/stream.hpp"

#include <algorithm>

#include "runtime/hip_error.hpp"

namespace virtual_rocm {

void Completion::finish() {
  {
    std::lock_guard lock(mutex_);
    done_ = true;
    time_ = Clock::now();
  }
  changed_.notify_all();
}

void Completion::wait() const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_; });
}

bool Completion::done() const {
  std::lock_guard lock(mutex_);
  return done_;
}

Completion::Clock::time_point Completion::time() const {
  std::lock_guard lock(mutex_);
  return time_;
}

struct Stream::Queue {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Piece> pieces;
  CompletionPointer last;
  bool started = false;
  bool closed = false;
};

Stream::Stream(int device, bool blocking)
    : device_(device), blocking_(blocking), queue_(std::make_shared<Queue>()) {}

Stream::~Stream() {
  {
    std::lock_guard lock(queue_->mutex);
    queue_->closed = true;
  }
  queue_->changed.notify_all();
}

CompletionPointer Stream::enqueue(std::function<void()> work, std::vector<CompletionPointer> dependencies) {
  auto completion = std::make_shared<Completion>();
  {
    std::lock_guard lock(queue_->mutex);
    queue_->pieces.push_back({std::move(work), std::move(dependencies), completion});
    queue_->last = completion;
    if (!queue_->started) {
      queue_->started = true;
      std::thread([queue = queue_] { run(queue); }).detach();
    }
  }
  queue_->changed.notify_all();
  return completion;
}

CompletionPointer Stream::last() const {
  std::lock_guard lock(queue_->mutex);
  return queue_->last;
}

void Stream::run(const std::shared_ptr<Queue>& queue) {
  while (true) {
    Piece piece;
    {
      std::unique_lock lock(queue->mutex);
      queue->changed.wait(lock, [&] { return queue->closed || !queue->pieces.empty(); });
      if (queue->pieces.empty()) return;
      piece = std::move(queue->pieces.front());
      queue->pieces.pop_front();
    }
    for (const auto& dependency : piece.dependencies) dependency->wait();
    piece.work();
    piece.completion->finish();
  }
}

Stream* StreamRegistry::create(int device, bool blocking) {
  std::lock_guard lock(mutex_);
  return streams_.emplace_back(std::make_unique<Stream>(device, blocking)).get();
}

void StreamRegistry::destroy(Stream* stream) {
  std::lock_guard lock(mutex_);
  check_locked(stream);
  if (const auto capture = capture_locked(stream)) {
    capture->invalidate("a stream of it was destroyed");
    // Nobody can end it without its origin.
    std::erase_if(captures_, [&](const auto& entry) {
      return entry.first == stream || (entry.second == capture && capture->origin() == stream);
    });
  }
  std::erase_if(streams_, [&](const auto& owned) { return owned.get() == stream; });
}

void StreamRegistry::check_locked(const Stream* stream) const {
  if (std::none_of(streams_.begin(), streams_.end(),
                   [&](const auto& owned) { return owned.get() == stream; }))
    throw fail(ErrorCode::invalid_handle, "not a stream, or one that was destroyed");
}

Stream& StreamRegistry::null_stream_locked(int device) {
  const auto index = static_cast<std::size_t>(device);
  if (null_streams_.size() <= index) null_streams_.resize(index + 1);
  if (!null_streams_[index]) null_streams_[index] = std::make_unique<Stream>(device, true);
  return *null_streams_[index];
}

std::vector<CompletionPointer> StreamRegistry::pending_locked(int device, Stream* stream) {
  std::vector<CompletionPointer> pending;
  const auto add = [&](const Stream& other) {
    if (auto last = other.last(); last && !last->done()) pending.push_back(std::move(last));
  };
  if (stream) {
    if (stream->blocking()) add(null_stream_locked(stream->device()));
    return pending;
  }
  for (const auto& other : streams_)
    if (other->blocking() && other->device() == device) add(*other);
  return pending;
}

CompletionPointer StreamRegistry::submit(int device, Stream* stream, std::function<void()> work,
                                         std::vector<CompletionPointer> dependencies) {
  std::lock_guard lock(mutex_);
  if (stream) check_locked(stream);
  if (const auto capture = capture_locked(stream)) {
    capture->add(stream, std::move(work));
    return nullptr;
  }
  if (!stream) refuse_waiting_locked(device, nullptr);
  auto pending = pending_locked(device, stream);
  dependencies.insert(dependencies.end(), pending.begin(), pending.end());
  Stream& target = stream ? *stream : null_stream_locked(device);
  return target.enqueue(std::move(work), std::move(dependencies));
}

void StreamRegistry::synchronize(int device, Stream* stream) {
  std::vector<CompletionPointer> pending;
  {
    std::lock_guard lock(mutex_);
    if (stream) check_locked(stream);
    refuse_waiting_locked(device, stream);
    if (!stream) pending = pending_locked(device, nullptr);
    if (auto last = stream ? stream->last() : null_stream_locked(device).last())
      pending.push_back(std::move(last));
  }
  for (const auto& completion : pending) completion->wait();
}

void StreamRegistry::synchronize_device(int device) {
  std::vector<CompletionPointer> pending;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [stream, capture] : captures_) {
      if (stream->device() != device) continue;
      capture->invalidate("the program waits for the device");
      throw fail(ErrorCode::stream_capture_unsupported, "a stream of the device is captured");
    }
    for (const auto& stream : streams_)
      if (auto last = stream->last(); last && stream->device() == device) pending.push_back(std::move(last));
    if (auto last = null_stream_locked(device).last()) pending.push_back(std::move(last));
  }
  for (const auto& completion : pending) completion->wait();
}

bool StreamRegistry::idle(int device, Stream* stream) {
  std::lock_guard lock(mutex_);
  if (stream) check_locked(stream);
  refuse_waiting_locked(device, stream);
  if (!stream && !pending_locked(device, nullptr).empty()) return false;
  const auto last = stream ? stream->last() : null_stream_locked(device).last();
  return !last || last->done();
}

Event* StreamRegistry::create_event(unsigned flags) {
  std::lock_guard lock(mutex_);
  auto& event = events_.emplace_back(std::make_unique<Event>());
  event->flags = flags;
  return event.get();
}

void StreamRegistry::destroy_event(Event* event) {
  std::lock_guard lock(mutex_);
  if (std::erase_if(events_, [&](const auto& owned) { return owned.get() == event; }) == 0)
    throw fail(ErrorCode::invalid_handle, "not an event, or one that was destroyed");
}

void StreamRegistry::record(int device, Event* event, Stream* stream) {
  {
    std::lock_guard lock(mutex_);
    check_event_locked(event);
    if (stream) check_locked(stream);
    if (const auto capture = capture_locked(stream)) {
      event->captured = capture;
      event->clock = capture->clock(stream);
      return;
    }
  }
  auto completion = submit(device, stream, [] {});
  std::lock_guard lock(mutex_);
  event->captured = nullptr;
  event->recorded = std::move(completion);
}

void StreamRegistry::wait(int device, Stream* stream, Event* event) {
  CompletionPointer recorded;
  {
    std::lock_guard lock(mutex_);
    check_event_locked(event);
    if (stream) check_locked(stream);
    const auto capture = capture_locked(stream);
    if (const auto& captured = event->captured) {
      if (capture_locked(captured->origin()) != captured)
        return;  // that capture has ended, and with it what the event stood for
      if (!stream) {
        captured->invalidate("the null stream was to wait for it");
        throw fail(ErrorCode::stream_capture_implicit, "the null stream cannot be captured");
      }
      if (capture && capture != captured) {
        capture->invalidate("a stream of it was to wait for another capture");
        captured->invalidate("another capture was to wait for it");
        throw fail(ErrorCode::stream_capture_merge, "the stream and the event are of two captures");
      }
      captures_[stream] = captured;
      captured->join(stream, event->clock);
      return;
    }
    recorded = event->recorded;
    if (capture && recorded) {
      capture->invalidate("it was to wait for an event that was recorded outside of it");
      throw fail(ErrorCode::stream_capture_isolation, "the event was recorded outside of the capture");
    }
  }
  if (recorded) submit(device, stream, [] {}, {std::move(recorded)});
}

CompletionPointer StreamRegistry::recorded(Event* event) {
  std::lock_guard lock(mutex_);
  check_event_locked(event);
  if (event->captured && capture_locked(event->captured->origin()) == event->captured) {
    event->captured->invalidate("an event of it was asked for");
    throw fail(ErrorCode::captured_event, "the event was recorded on a stream that is captured");
  }
  return event->recorded;
}

void StreamRegistry::check_event_locked(const Event* event) const {
  if (std::none_of(events_.begin(), events_.end(), [&](const auto& owned) { return owned.get() == event; }))
    throw fail(ErrorCode::invalid_handle, "not an event, or one that was destroyed");
}

std::shared_ptr<Capture> StreamRegistry::capture_locked(const Stream* stream) const {
  const auto found = captures_.find(stream);
  return found == captures_.end() ? nullptr : found->second;
}

void StreamRegistry::refuse_waiting_locked(int device, const Stream* stream) {
  if (const auto capture = capture_locked(stream)) {
    capture->invalidate("the program waits for a stream of it");
    throw fail(ErrorCode::stream_capture_unsupported, "the stream is captured: nothing of it runs");
  }
  if (stream) return;
  for (const auto& [other, capture] : captures_) {
    if (!other->blocking() || other->device() != device) continue;
    capture->invalidate("the null stream was used, which waits for blocking streams");
    throw fail(ErrorCode::stream_capture_implicit, "a blocking stream of the device is captured");
  }
}

void StreamRegistry::begin_capture(Stream* stream, CaptureMode mode) {
  std::lock_guard lock(mutex_);
  if (!stream) throw fail(ErrorCode::stream_capture_unsupported, "the null stream cannot be captured");
  check_locked(stream);
  if (capture_locked(stream)) throw fail(ErrorCode::illegal_state, "the stream is captured already");
  captures_[stream] = std::make_shared<Capture>(stream, mode, ++captures_begun_);
}

Graph StreamRegistry::end_capture(Stream* stream) {
  std::lock_guard lock(mutex_);
  if (stream) check_locked(stream);
  const auto capture = capture_locked(stream);
  if (!capture) throw fail(ErrorCode::illegal_state, "the stream is not captured");
  if (capture->origin() != stream) {
    capture->invalidate("it was ended on a stream that only joined it");
    throw fail(ErrorCode::stream_capture_unmatched, "the capture began on another stream");
  }
  if (capture->mode() != CaptureMode::relaxed && capture->thread() != std::this_thread::get_id())
    throw fail(ErrorCode::stream_capture_wrong_thread, "the capture began in another thread");
  std::erase_if(captures_, [&](const auto& entry) { return entry.second == capture; });
  return capture->finish();
}

std::shared_ptr<const Capture> StreamRegistry::capture(Stream* stream) {
  std::lock_guard lock(mutex_);
  if (stream) check_locked(stream);
  return capture_locked(stream);
}

void StreamRegistry::refuse_in_capture(const char* function) {
  const CaptureMode careful = thread_capture_mode();
  if (careful == CaptureMode::relaxed) return;
  std::lock_guard lock(mutex_);
  for (const auto& [stream, capture] : captures_) {
    const bool own =
        capture->thread() == std::this_thread::get_id() && capture->mode() != CaptureMode::relaxed;
    const bool others = careful == CaptureMode::global && capture->mode() == CaptureMode::global;
    if (!own && !others) continue;
    capture->invalidate(concat(function, " was called"));
    throw fail(ErrorCode::stream_capture_unsupported, function, " is not allowed while a stream is captured");
  }
}

StreamRegistry& streams() {
  static StreamRegistry* const registry = new StreamRegistry;
  return *registry;
}

}  // namespace virtual_rocm
