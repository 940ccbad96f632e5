// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>

#include "engine/engine.hpp"
#include "engine/scheduler/launch_state.hpp"
#include "engine/scheduler/lockstep.hpp"
#include "engine/scheduler/loop_watch.hpp"
#include "engine/scheduler/report.hpp"
#include "engine/scheduler/signal_guard.hpp"

namespace virtual_rocm::engine {
namespace {

// Turns that a wave gets one after the other while it makes progress.
constexpr unsigned kTurnsInARow = 16;
// Rounds in which no wave of a launch made global progress, before more of its blocks become resident.
constexpr std::uint32_t kIdleRoundsBeforeGrowth = 2;
// The same when waves do make progress but no block ends: they could be waiting in a loop that writes.
constexpr std::uint32_t kRoundsBeforeGrowth = 512;
// Idle rounds in which the thread only offers its processor, before it sleeps between rounds.
constexpr std::uint32_t kYieldsBeforeSleep = 64;
constexpr auto kSleep = std::chrono::microseconds(50);
// A wave that has waited for so many turns is looked at in one round of eight, unless the word it reads
// changes.
constexpr std::uint16_t kPatientSpins = 3;
constexpr std::uint64_t kPatience = 8;
// When all ranks take turns and none can move, nothing but their hosts could help: they get so long.
constexpr double kStuckSeconds = 3;
// While waves move, the clock is read once in so many instructions (well below a millisecond): a round of
// short turns between barriers takes no longer than reading it.
constexpr std::uint64_t kInstructionsBetweenClocks = 16384;
// A process that was stopped for long has not been waiting for that time.
constexpr double kLongestIdleStep = 0.1;

// The loop that everything is for. Apart, so that its state stays in registers.
[[gnu::noinline]] const Operation* dispatch(const Operation* operation, Wave* wave, std::uint32_t budget,
                                            std::uint32_t* left) {
  do {
    operation = operation->handler(operation, wave);
  } while (--budget != 0 && operation != nullptr);
  *left = budget;
  return operation;
}

// The same, noting what is executed. Branches around a few instructions are not worth taking to the compiler:
// it lets a wave run through them with no lane active. That is not counted, the instruction that switches
// lanes on or off is.
[[gnu::noinline]] const Operation* dispatch_marking(const Operation* operation, Wave* wave,
                                                    std::uint32_t budget, std::uint32_t* left,
                                                    const Program& program) {
  do {
    // Before it is executed, too: a fault may not come back here.
    const Operation* const executed = operation;
    program.mark(executed, wave->exec() != 0);
    operation = operation->handler(operation, wave);
    program.mark(executed, wave->exec() != 0);
  } while (--budget != 0 && operation != nullptr);
  *left = budget;
  return operation;
}

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

}  // namespace

class Executor::Implementation {
 public:
  explicit Implementation(Knobs knobs)
      : lockstep_(Lockstep::from_environment(knobs)),
        knobs_(lockstep_ ? for_rank(knobs, lockstep_->rank()) : knobs),
        worker_(process_allocations()) {
    worker_.check_bounds = knobs.check_bounds;
    worker_.real_clock = knobs.real_clock;
    worker_.memory = &memory_;
    worker_.print = [](const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); };
  }

  ~Implementation() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      attention_.store(true, std::memory_order_release);
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  std::uint64_t submit(Launch launch) {
    std::uint64_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      number = ++last_number_;
    }
    auto state = std::make_unique<LaunchState>(std::move(launch), number, knobs_);
    {
      const std::lock_guard lock(mutex_);
      incoming_.push_back(std::move(state));
      ++outstanding_;
      attention_.store(true, std::memory_order_release);
      if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    }
    wake_.notify_all();
    return number;
  }

  void cancel(const std::string& reason) {
    std::unique_lock lock(mutex_);
    if (outstanding_ == 0) return;
    cancel_reason_ = reason;
    attention_.store(true, std::memory_order_release);
    wake_.notify_all();
    if (std::this_thread::get_id() == thread_.get_id()) return;  // from a callback: done when that returns
    none_left_.wait(lock, [&] { return outstanding_ == 0; });
  }

  void add_observer(std::shared_ptr<Observer> observer) {
    const std::lock_guard lock(mutex_);
    observers_.push_back(std::move(observer));
    observers_changed_ = true;
    attention_.store(true, std::memory_order_release);
  }

  void set_printer(std::function<void(const std::string&)> printer) {
    const std::lock_guard lock(mutex_);
    printer_ = std::move(printer);
    printer_changed_ = true;
    attention_.store(true, std::memory_order_release);
  }

  std::string describe() {
    std::unique_lock lock(mutex_);
    if (outstanding_ == 0) return "nothing is running\n";
    const std::uint64_t wanted = ++descriptions_wanted_;
    attention_.store(true, std::memory_order_release);
    wake_.notify_all();
    description_ready_.wait_for(lock, std::chrono::seconds(2), [&] { return descriptions_made_ >= wanted; });
    return description_;
  }

  const Knobs& knobs() const { return knobs_; }

 private:
  void run() {
    SignalGuard::install();
    pthread_setname_np(pthread_self(), "virtual-gpu");
    while (attend()) {
      if (active_.empty()) {
        if (unadmitted_) lockstep_->rest();
        continue;
      }
      if (lockstep_ && !lockstep_->take_turn(attention_)) {
        // Among many ranks the turn comes seldom: the time in which nobody moves goes on meanwhile.
        check_times(Clock::now(), !lockstep_->nobody_moves());
        finish_ended(Clock::now());
        leave_if_done();
        continue;
      }
      bool progressed = false;
      for (std::size_t index = 0; index < active_.size(); ++index) {
        if (!active_[index]->ended()) progressed |= round(*active_[index]);
      }
      if (lockstep_) lockstep_->end_turn(progressed);
      const bool moving = progressed || (lockstep_ && !lockstep_->nobody_moves());
      if (moving) idle_seconds_ = 0;
      if (!progressed || some_ended() || worker_.clock - timed_at_ >= kInstructionsBetweenClocks) {
        timed_at_ = worker_.clock;
        const Clock::time_point now = Clock::now();
        check_times(now, moving);
        finish_ended(now);
      }
      leave_if_done();
      ++round_number_;
      if (progressed)
        idle_rounds_ = 0;
      else if (++idle_rounds_ > 1 && !lockstep_)
        rest();
    }
  }

  // Ranks that take turns have different orders of their waves, too.
  static Knobs for_rank(Knobs knobs, unsigned rank) {
    knobs.late_blocks = {};
    if (knobs.seed != 0) knobs.seed = Random(knobs.seed ^ std::uint64_t{rank + 1} << 48).next() | 1;
    return knobs;
  }

  void leave_if_done() {
    if (lockstep_ && member_ && active_.empty()) {
      lockstep_->leave();
      member_ = false;
    }
  }

  bool some_ended() const {
    return std::any_of(active_.begin(), active_.end(), [](const auto& launch) { return launch->ended(); });
  }

  // Takes what other threads have asked for. False: the thread has to end.
  bool attend() {
    if (!attention_.load(std::memory_order_acquire) && !active_.empty() && !unadmitted_) [[likely]]
      return true;
    std::unique_lock lock(mutex_);
    wake_.wait(lock,
               [&] { return attention_.load(std::memory_order_acquire) || !active_.empty() || unadmitted_; });
    attention_.store(false, std::memory_order_relaxed);
    const bool ends = stop_ || !cancel_reason_.empty();
    unadmitted_ = lockstep_ && !incoming_.empty() && !ends && !lockstep_->admit();
    if (lockstep_ && !incoming_.empty() && !unadmitted_) member_ = true;
    std::vector<LaunchState*> started;
    while (!incoming_.empty() && !unadmitted_) {
      started.push_back(incoming_.front().get());
      active_.push_back(std::move(incoming_.front()));
      incoming_.pop_front();
    }
    if (observers_changed_) sort_observers();
    if (printer_changed_) worker_.print = printer_;
    observers_changed_ = printer_changed_ = false;
    if (stop_ && cancel_reason_.empty()) cancel_reason_ = "the device was closed";
    const std::string reason = std::exchange(cancel_reason_, {});
    if (descriptions_made_ < descriptions_wanted_) {
      description_.clear();
      for (const auto& launch : active_) description_ += describe(*launch);
      descriptions_made_ = descriptions_wanted_;
      description_ready_.notify_all();
    }
    const bool stop = stop_;
    lock.unlock();

    const Clock::time_point now = Clock::now();
    for (LaunchState* launch : started) {
      launch->began = launch->progressed_at = now;
      launch->processor_began = processor_seconds();
      for (Observer* observer : launch_observers_) observer->on_launch(launch->information());
    }
    if (!started.empty()) last_time_ = now;
    if (!reason.empty()) {
      for (const auto& launch : active_) end_with(*launch, FaultKind::cancelled, reason);
      finish_ended(now);
      leave_if_done();
    }
    return !stop;
  }

  void sort_observers() {
    worker_.access_observers.clear();
    worker_.barrier_observers.clear();
    launch_observers_.clear();
    for (const auto& observer : observers_) {
      if (observer->interests() & Observer::accesses) worker_.access_observers.push_back(observer.get());
      if (observer->interests() & Observer::barriers) worker_.barrier_observers.push_back(observer.get());
      if (observer->interests() & Observer::launches) launch_observers_.push_back(observer.get());
    }
  }

  // Gives every wave of a launch that can move a turn. Whether something happened that others can see.
  bool round(LaunchState& launch) {
    while (launch.resident.size() < launch.resident_target && launch.has_next_block())
      launch.start_block(memory_);
    order_.clear();
    for (const auto& block : launch.resident)
      for (Wave* wave : block->waves)
        if (wave->state == WaveState::ready) order_.push_back(wave);
    if (knobs_.seed != 0)
      for (std::size_t left = order_.size(); left > 1; --left)
        std::swap(order_[left - 1], order_[launch.random.below(left)]);

    bool progressed = false;
    bool block_ended = false;
    for (Wave* wave : order_) {
      if (is_patient(*wave)) continue;
      // A wave that gets on keeps its registers and its scratch in the caches if it goes on at once. With a
      // seed, the point is to try other orders.
      const unsigned turns = knobs_.seed == 0 ? kTurnsInARow : 1;
      for (unsigned count = 0; count < turns && wave->state == WaveState::ready; ++count) {
        const std::uint8_t change = turn(launch, wave);
        if (launch.fault) return true;
        progressed |= (change & kGlobalProgress) != 0;
        if ((change & kGlobalProgress) == 0 || !used_up_) break;
      }
      block_ended |= wave->state == WaveState::finished && wave->block->running == 0;
    }
    if (block_ended) launch.retire_blocks(memory_);
    return grow(launch, progressed, block_ended);
  }

  bool grow(LaunchState& launch, bool progressed, bool block_ended) {
    launch.idle_rounds = progressed ? 0 : launch.idle_rounds + 1;
    launch.rounds_without_end = block_ended ? 0 : launch.rounds_without_end + 1;
    const bool can_grow =
        launch.resident_target < launch.resident_most && launch.next_block < launch.total_blocks;
    if (can_grow &&
        (launch.idle_rounds >= kIdleRoundsBeforeGrowth || launch.rounds_without_end >= kRoundsBeforeGrowth)) {
      launch.resident_target = std::min(2 * launch.resident_target, launch.resident_most);
      launch.idle_rounds = 0;
      launch.rounds_without_end = 0;
      return true;
    }
    return progressed || (can_grow && launch.idle_rounds < kIdleRoundsBeforeGrowth);
  }

  // A wave that has been waiting for a while, and whose word has not changed, need not run in every round in
  // which others move. The word is only a guess (the last that it read), so when nobody moves, everybody is
  // asked.
  bool is_patient(Wave& wave) {
    if (idle_rounds_ != 0 || wave.spins < kPatientSpins || (round_number_ + wave.index) % kPatience == 0)
      return false;
    std::uint32_t value = 0;
    return peek(wave, value) && value == wave.polled_value;
  }

  bool peek(Wave& wave, std::uint32_t& value) {
    const std::uint64_t address = wave.polled_address & ~std::uint64_t{3};
    if (address == 0) return false;
    if (address >> 32 == kSharedApertureHigh) {
      const auto offset = static_cast<std::uint32_t>(address);
      if (offset + 4 > wave.lds_size) return false;
      std::memcpy(&value, wave.lds + offset, sizeof value);
      return true;
    }
    if (!worker_.check_bounds || !worker_.scalar_reads.allows(address, 4)) return false;
    value = __atomic_load_n(reinterpret_cast<const std::uint32_t*>(address), __ATOMIC_RELAXED);
    return true;
  }

  std::uint8_t turn(LaunchState& launch, Wave* wave) {
    std::uint32_t quantum = wave->spins != 0 ? knobs_.spin_quantum : knobs_.quantum;
    if (knobs_.seed != 0)
      quantum = quantum / 2 + 1 + static_cast<std::uint32_t>(launch.random.below(quantum / 2 + 1));
    wave->progressed = 0;
    wave->polled_address = 0;
    wave->worker = &worker_;
    std::uint32_t left = 0;
    const Operation* operation = nullptr;
    const bool marking = launch.program->marks() != nullptr;
    const bool watching = watch_.wants(*wave);
    if (!SignalGuard::run([&] {
          operation = watching  ? watch_.dispatch(wave->resume, wave, quantum, &left)
                      : marking ? dispatch_marking(wave->resume, wave, quantum, &left, *launch.program)
                                : dispatch(wave->resume, wave, quantum, &left);
        })) {
      left = 0;
      raise_access(wave->current, wave, FaultKind::memory_violation, SignalGuard::access(), 0, 0,
                   SignalGuard::address(), 1);
      operation = nullptr;
    }
    if (operation != nullptr) wave->resume = operation;
    const std::uint32_t executed = quantum - left;
    wave->instructions += executed;
    worker_.clock += executed;
    ++launch.outcome.turns;

    used_up_ = left == 0 && operation != nullptr;

    if ((wave->progressed & kLocalProgress) != 0) ++wave->block->lds_changes;
    if (is_quiet(*wave))
      ++wave->quiet_turns;
    else
      wave->quiet_turns = wave->watches = 0;
    if (watching) judge(launch, *wave, watch_.verdict_after_turn(*wave));

    // Pure computation, for a whole turn, is progress too: it will come to an end, or be found to have none.
    if (left == 0 && wave->polled_address == 0) wave->progressed |= kGlobalProgress;
    if (wave->progressed != 0) {
      wave->spins = 0;
    } else {
      if (wave->spins < kPatientSpins) ++wave->spins;
      if (!peek(*wave, wave->polled_value)) wave->spins = std::min<std::uint16_t>(wave->spins, 1);
    }
    return wave->progressed;
  }

  void judge(LaunchState& launch, Wave& wave, LoopWatch::Verdict verdict) {
    if (launch.ended()) return;
    const std::string where =
        "wave " + std::to_string(wave.index) + " of block (" + std::to_string(wave.block->index.x) + "," +
        std::to_string(wave.block->index.y) + "," + std::to_string(wave.block->index.z) + ")";
    switch (verdict) {
      case LoopWatch::Verdict::none:
        wave.waits_for_lds = false;
        return;
      case LoopWatch::Verdict::endless:
        return end_with(launch, FaultKind::deadlock,
                        where +
                            " is in a loop without end: it comes back with the same registers, and reads "
                            "nothing that could change");
      case LoopWatch::Verdict::waits_for_lds:
        wave.waits_for_lds = true;
        wave.waits_since = wave.block->lds_changes;
        if (is_deadlocked(*wave.block))
          end_with(
              launch, FaultKind::deadlock,
              where +
                  " waits for a change of LDS, and so does every other wave of its block that is not at a "
                  "barrier: nobody is left to make it");
    }
  }

  void check_times(Clock::time_point now, bool progressed) {
    const double step = std::min(seconds_between(last_time_, now), kLongestIdleStep);
    last_time_ = now;
    idle_seconds_ = progressed ? 0 : idle_seconds_ + step;
    for (const auto& launch : active_) {
      if (launch->ended()) continue;
      if (knobs_.deadline_seconds > 0 && seconds_between(launch->began, now) > knobs_.deadline_seconds)
        end_with(*launch, FaultKind::deadline,
                 "the launch was not done after " + std::to_string(knobs_.deadline_seconds) + " s");
      else if (lockstep_ && lockstep_->deadlock_declared())
        end_with(*launch, FaultKind::deadlock, "no rank can move: " + lockstep_->describe());
      else if (knobs_.stall_seconds > 0 && idle_seconds_ > stall_limit())
        end_with(*launch, FaultKind::deadlock, stall_message());
    }
  }

  double stall_limit() const {
    const bool stuck = lockstep_ && idle_seconds_ > 0 && lockstep_->nobody_can_move();
    return stuck ? std::min(kStuckSeconds, knobs_.stall_seconds) : knobs_.stall_seconds;
  }

  std::string stall_message() {
    if (!lockstep_) return "nothing has moved for " + std::to_string(knobs_.stall_seconds) + " s";
    const std::string message =
        "no rank has moved for " + std::to_string(stall_limit()) + " s: " + lockstep_->describe();
    lockstep_->declare_deadlock();
    return message;
  }

  void end_with(LaunchState& launch, FaultKind kind, const std::string& message) {
    if (launch.ended()) return;
    Fault fault;
    fault.kind = kind;
    fault.message = message;
    fault.site.kernel = launch.launch.kernel->name;
    fault.site.launch = launch.number;
    if (kind != FaultKind::cancelled) fault.waits = waits_of(launch);
    fault.state = progress_of(launch);
    launch.fault = std::move(fault);
  }

  void finish_ended(Clock::time_point now) {
    for (std::size_t index = 0; index < active_.size();) {
      if (!active_[index]->ended()) {
        ++index;
        continue;
      }
      const std::unique_ptr<LaunchState> launch = std::move(active_[index]);
      active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(index));
      watch_.stop();  // it may be of a wave that is given back now
      launch->abandon_blocks(memory_);
      launch->outcome.seconds = seconds_between(launch->began, now);
      launch->outcome.processor_seconds = processor_seconds() - launch->processor_began;
      launch->outcome.fault = std::move(launch->fault);
      for (Observer* observer : launch_observers_)
        observer->on_launch_end(launch->information(),
                                launch->outcome.fault ? &*launch->outcome.fault : nullptr);
      std::fflush(stdout);
      idle_seconds_ = 0;
      if (launch->launch.completed) launch->launch.completed(launch->outcome);
      const std::lock_guard lock(mutex_);
      if (--outstanding_ == 0) none_left_.notify_all();
    }
  }

  // Nothing could move: perhaps it waits for the host or for another rank, which may need this processor.
  void rest() {
    if (idle_rounds_ < kYieldsBeforeSleep)
      sched_yield();
    else
      std::this_thread::sleep_for(kSleep);
  }

  static std::string describe(const LaunchState& launch) {
    Fault fault;
    fault.kind = FaultKind::cancelled;
    fault.message = "state of launch " + std::to_string(launch.number);
    fault.site.kernel = launch.launch.kernel->name;
    fault.state = progress_of(launch);
    fault.waits = waits_of(launch);
    std::string text = fault.text();
    return text.substr(text.find(": ") + 2);
  }

  const std::unique_ptr<Lockstep> lockstep_;  // null: ranks run freely
  const Knobs knobs_;

  // The executor's thread alone.
  Worker worker_;
  BlockMemory memory_;
  LoopWatch watch_;
  std::vector<std::unique_ptr<LaunchState>> active_;
  std::vector<Wave*> order_;
  std::vector<Observer*> launch_observers_;
  bool unadmitted_ = false;  // there are launches that wait for the other ranks
  bool member_ = false;      // this rank takes turns with others
  bool used_up_ = false;     // whether the last turn ended because its quantum did
  std::uint64_t round_number_ = 0;
  std::uint32_t idle_rounds_ = 0;
  double idle_seconds_ = 0;
  Clock::time_point last_time_ = Clock::now();
  std::uint64_t timed_at_ = 0;  // the worker's clock when last_time_ was taken

  // Shared, guarded by mutex_.
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable none_left_;
  std::condition_variable description_ready_;
  std::deque<std::unique_ptr<LaunchState>> incoming_;
  std::vector<std::shared_ptr<Observer>> observers_;
  std::function<void(const std::string&)> printer_;
  std::string cancel_reason_;
  std::string description_;
  std::uint64_t last_number_ = 0;
  std::size_t outstanding_ = 0;
  std::uint64_t descriptions_wanted_ = 0;
  std::uint64_t descriptions_made_ = 0;
  bool observers_changed_ = false;
  bool printer_changed_ = false;
  bool stop_ = false;
  std::atomic<bool> attention_{false};
  std::thread thread_;
};

Executor::Executor(Knobs knobs) : implementation_(std::make_unique<Implementation>(knobs)) {}
Executor::~Executor() = default;
std::uint64_t Executor::submit(Launch launch) { return implementation_->submit(std::move(launch)); }
void Executor::cancel(const std::string& reason) { implementation_->cancel(reason); }
void Executor::add_observer(std::shared_ptr<Observer> observer) {
  implementation_->add_observer(std::move(observer));
}
void Executor::set_printer(std::function<void(const std::string&)> printer) {
  implementation_->set_printer(std::move(printer));
}
std::string Executor::describe() const { return implementation_->describe(); }
const Knobs& Executor::knobs() const { return implementation_->knobs(); }

}  // namespace virtual_rocm::engine
