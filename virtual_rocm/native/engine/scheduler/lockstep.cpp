// SPDX-License-Identifier: MIT
#include "engine/scheduler/lockstep.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "engine/engine.hpp"
#include "engine/scheduler/random.hpp"

namespace virtual_rocm::engine {

namespace {

constexpr unsigned kMostRanks = 256;
constexpr off_t kFileSize = 4096;
constexpr std::uint32_t kNobody = ~0u;
// Byte of the file whose lock guards the state; the ranks' own bytes lie below it.
constexpr off_t kStateByte = kMostRanks;
// Turns in a row without progress, for each member, after which nobody is expected to move by itself.
constexpr std::uint32_t kIdleTurns = 3;
// So many turns, for each member, after which they slow down. Far more: a kernel that sleeps between two
// stores has one such turn for each s_sleep.
constexpr std::uint32_t kIdleTurnsBeforePause = 500;
constexpr std::chrono::milliseconds kLookAround{20};
// Between turns from then on: the host may still write to the memory that kernels look at.
constexpr std::chrono::milliseconds kIdlePause{10};
// Between looks at whether the others have come.
constexpr std::chrono::milliseconds kRest{5};

std::atomic<bool> taken_part{false};

}  // namespace

enum class RankState : std::uint32_t {
  host,     // in host code: not started, or between kernels
  waiting,  // has launches and wants to join
  member,   // takes turns
  ended,    // the process is no more
};

// In the shared file, which starts as zeros: all ranks in host code, and nobody has the turn. Who makes it
// writes `ranks`: the launcher, which also writes `ended` for a rank whose process is no more
// (virtual_rocm/lockstep.py), or the first rank.
struct LockstepState {
  std::atomic<std::uint32_t> change;  // counts, for those that wait
  std::uint32_t ranks;
  std::uint32_t turn_and_one;  // 1 + the rank whose turn it is
  std::uint32_t idle_turns;    // in a row, of any member
  std::uint64_t session;       // counts the times that ranks joined
  std::uint64_t deadlock;      // session in which nobody could move
  std::uint64_t random;
  std::uint32_t order_count;
  std::uint32_t order_next;
  std::uint32_t order[kMostRanks];
  RankState rank[kMostRanks];
  std::uint32_t present[kMostRanks];  // holds the lock on its byte
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(offsetof(LockstepState, ranks) == 4 && offsetof(LockstepState, rank) == 1072);
static_assert(sizeof(LockstepState) <= kFileSize);

namespace {

// A variable's value; none if it is not a number below the limit.
std::optional<unsigned> number_below(unsigned limit, const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return std::nullopt;
  char* end = nullptr;
  const unsigned long number = std::strtoul(text, &end, 10);
  return *end == '\0' && number < limit ? std::optional(static_cast<unsigned>(number)) : std::nullopt;
}

struct flock byte_lock(off_t byte, short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

}  // namespace

// Holds the state. The lock is the open file's: the system takes it back when the process ends.
class Lockstep::Guard {
 public:
  explicit Guard(const Lockstep& owner) : file_(owner.file_) {
    struct flock lock = byte_lock(kStateByte, F_WRLCK);
    while (::fcntl(file_, F_OFD_SETLKW, &lock) != 0 && errno == EINTR) {
    }
  }
  ~Guard() {
    struct flock lock = byte_lock(kStateByte, F_UNLCK);
    ::fcntl(file_, F_OFD_SETLK, &lock);
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  int file_;
};

std::unique_ptr<Lockstep> Lockstep::from_environment(const Knobs& knobs) {
  const char* path = std::getenv("VIRTUAL_ROCM_LOCKSTEP");
  if (path == nullptr || *path == '\0') return nullptr;
  const std::optional<unsigned> number = number_below(kMostRanks, "RANK");
  if (!number)
    throw LoadError("VIRTUAL_ROCM_LOCKSTEP is set, so RANK has to be a number below " +
                    std::to_string(kMostRanks) +
                    ": start the ranks with `python -m virtual_rocm run --lockstep`, or with torchrun");
  if (taken_part.exchange(true))
    throw LoadError("lockstep: rank " + std::to_string(*number) +
                    " uses two devices; a rank can use one when ranks take turns");
  return std::make_unique<Lockstep>(path, *number, knobs);
}

Lockstep::Lockstep(const std::string& path, unsigned rank, const Knobs& knobs)
    : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR)),
      rank_(rank),
      patience_(knobs.lockstep_patience),
      seed_(knobs.seed) {
  const std::string name = "VIRTUAL_ROCM_LOCKSTEP=" + path;
  if (file_ < 0) throw LoadError(name + " cannot be used: " + std::strerror(errno));
  const Guard guard(*this);
  struct stat status{};
  if (::fstat(file_, &status) != 0 || (status.st_size != 0 && status.st_size < kFileSize))
    throw LoadError(name + " cannot be used: it is something else; name a file that does not exist");
  // Room on the disk, too: a write to the mapping could not say that there is none.
  if (const int error = status.st_size == 0 ? ::posix_fallocate(file_, 0, kFileSize) : 0; error != 0)
    throw LoadError(name + " cannot be used: " + std::strerror(error));
  void* memory = ::mmap(nullptr, sizeof(LockstepState), PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (memory == MAP_FAILED) throw LoadError(name + ": " + std::strerror(errno));
  state_ = static_cast<LockstepState*>(memory);
  if (state_->ranks == 0) {
    const std::optional<unsigned> ranks = number_below(kMostRanks + 1, "WORLD_SIZE");
    if (!ranks || *ranks == 0)
      throw LoadError(name + " is new, so WORLD_SIZE has to say how many ranks there are, at most " +
                      std::to_string(kMostRanks));
    state_->ranks = *ranks;
  }
  struct flock own = byte_lock(static_cast<off_t>(rank_), F_WRLCK);
  if (rank_ >= state_->ranks || ::fcntl(file_, F_OFD_SETLK, &own) != 0)
    throw LoadError("lockstep: rank " + std::to_string(rank_) + " of " + std::to_string(state_->ranks) +
                    " is not expected, or there are two of it");
  if (state_->present[rank_] != 0)
    throw LoadError(name + ": another run has used this file; name one that does not exist");
  state_->present[rank_] = 1;
}

Lockstep::~Lockstep() {
  {
    const Guard guard(*this);
    state_->rank[rank_] = RankState::ended;
    if (state_->turn_and_one == rank_ + 1) hand_on();
    announce();
  }
  ::munmap(state_, sizeof(LockstepState));
  ::close(file_);
}

bool Lockstep::admit() {
  const Guard guard(*this);
  if (!waits_) {
    waits_ = true;
    waiting_since_ = std::chrono::steady_clock::now();
    asked_in_ = state_->session;
    // A member whose other launches still run stays one: the new ones start with the next session.
    if (state_->rank[rank_] != RankState::member) state_->rank[rank_] = RankState::waiting;
    announce();
  }
  find_dead();
  const bool joined = state_->rank[rank_] == RankState::member && state_->session != asked_in_;
  if (!joined && !try_admit()) return false;
  waits_ = false;
  return true;
}

bool Lockstep::idle_for(std::uint32_t turns) const {
  std::uint32_t members = 0;
  for (unsigned rank = 0; rank < state_->ranks; ++rank) members += state_->rank[rank] == RankState::member;
  return members == 0 || state_->idle_turns >= turns * members;
}

bool Lockstep::may_admit() const { return idle_for(kIdleTurns); }

bool Lockstep::try_admit() {
  if (!may_admit()) return false;
  std::string absent;
  for (unsigned rank = 0; rank < state_->ranks; ++rank)
    if (state_->rank[rank] == RankState::host) absent += (absent.empty() ? "" : ", ") + std::to_string(rank);
  if (!absent.empty()) {
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - waiting_since_;
    if (waited.count() < patience_) return false;
    std::fprintf(
        stderr,
        "virtual_rocm: lockstep: rank %u does not wait any longer for rank %s, in host code for %g s: "
        "this run may not repeat\n",
        rank_, absent.c_str(), patience_);
  }
  for (unsigned rank = 0; rank < state_->ranks; ++rank)
    if (state_->rank[rank] == RankState::waiting) state_->rank[rank] = RankState::member;
  ++state_->session;
  state_->idle_turns = 0;
  state_->random = Random(seed_ ^ state_->session << 32).next();
  state_->order_count = state_->order_next = 0;
  hand_on();
  announce();
  return true;
}

// Who is next: all members in an order that the seed gives, then all again in another.
void Lockstep::hand_on() {
  for (int attempt = 0; attempt < 2; ++attempt) {
    while (state_->order_next < state_->order_count) {
      const std::uint32_t next = state_->order[state_->order_next++];
      if (state_->rank[next] != RankState::member) continue;
      state_->turn_and_one = next + 1;
      return;
    }
    state_->order_count = state_->order_next = 0;
    for (unsigned rank = 0; rank < state_->ranks; ++rank)
      if (state_->rank[rank] == RankState::member) state_->order[state_->order_count++] = rank;
    Random random(state_->random);
    if (seed_ != 0)
      for (std::uint32_t left = state_->order_count; left > 1; --left)
        std::swap(state_->order[left - 1], state_->order[random.below(left)]);
    state_->random = random.next();
  }
  state_->turn_and_one = 0;
}

bool Lockstep::take_turn(const std::atomic<bool>& attention) {
  const auto until = std::chrono::steady_clock::now() + kLookAround;
  bool slow = false;
  while (true) {
    const std::uint32_t seen = state_->change.load(std::memory_order_acquire);
    {
      const Guard guard(*this);
      slow = idle_for(kIdleTurnsBeforePause);
      if (state_->turn_and_one == rank_ + 1) break;
    }
    if (attention.load(std::memory_order_acquire)) return false;
    if (std::chrono::steady_clock::now() >= until) {
      const Guard guard(*this);
      find_dead();
      return state_->turn_and_one == rank_ + 1;
    }
    wait_for_change(seen, kLookAround);
  }
  if (slow) wait_for_change(state_->change.load(std::memory_order_acquire), kIdlePause);
  return true;
}

void Lockstep::rest() { wait_for_change(state_->change.load(std::memory_order_acquire), kRest); }

void Lockstep::end_turn(bool progressed) {
  const Guard guard(*this);
  state_->idle_turns = progressed ? 0 : state_->idle_turns + 1;
  hand_on();
  announce();
}

void Lockstep::leave() {
  const Guard guard(*this);
  state_->rank[rank_] = waits_ ? RankState::waiting : RankState::host;
  // What it did last may let others go on.
  state_->idle_turns = 0;
  if (state_->turn_and_one == rank_ + 1) hand_on();
  announce();
}

bool Lockstep::nobody_moves() const {
  const Guard guard(*this);
  return may_admit();
}

bool Lockstep::nobody_can_move() const {
  const Guard guard(*this);
  for (unsigned rank = 0; rank < state_->ranks; ++rank)
    if (state_->rank[rank] == RankState::host || state_->rank[rank] == RankState::waiting) return false;
  return may_admit();
}

void Lockstep::declare_deadlock() {
  const Guard guard(*this);
  state_->deadlock = state_->session;
}

bool Lockstep::deadlock_declared() const {
  const Guard guard(*this);
  return state_->session != 0 && state_->deadlock == state_->session;
}

std::string Lockstep::describe() const {
  const Guard guard(*this);
  std::string text;
  for (unsigned rank = 0; rank < state_->ranks; ++rank) {
    constexpr const char* kWords[] = {"is in host code", "has a kernel that is to start", "is in a kernel",
                                      "has ended"};
    text += (rank == 0 ? "rank " : ", rank ") + std::to_string(rank) + " " +
            kWords[static_cast<unsigned>(state_->rank[rank])];
  }
  return text;
}

// A rank whose byte is not locked any more does not live. One that never used the device never had the lock:
// the launcher marks it.
void Lockstep::find_dead() {
  bool found = false;
  for (unsigned rank = 0; rank < state_->ranks; ++rank) {
    if (rank == rank_ || state_->present[rank] == 0 || state_->rank[rank] == RankState::ended) continue;
    struct flock lock = byte_lock(static_cast<off_t>(rank), F_WRLCK);
    if (::fcntl(file_, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK) continue;
    state_->rank[rank] = RankState::ended;
    state_->idle_turns = 0;
    found = true;
  }
  if (state_->turn_and_one != 0 && state_->rank[state_->turn_and_one - 1] != RankState::member) {
    hand_on();
    found = true;
  }
  if (found) announce();
}

void Lockstep::announce() {
  state_->change.fetch_add(1, std::memory_order_acq_rel);
  ::syscall(SYS_futex, &state_->change, FUTEX_WAKE, kMostRanks, nullptr, nullptr, 0);
}

void Lockstep::wait_for_change(std::uint32_t seen, std::chrono::milliseconds time) {
  timespec limit{};
  limit.tv_nsec = static_cast<long>(time.count()) * 1000000;
  ::syscall(SYS_futex, &state_->change, FUTEX_WAIT, seen, &limit, nullptr, 0);
}

}  // namespace virtual_rocm::engine
