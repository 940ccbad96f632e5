// SPDX-License-Identifier: MIT
#include "engine/scheduler/signal_guard.hpp"

#include <pthread.h>
#include <ucontext.h>

#include <csignal>
#include <mutex>

namespace virtual_rocm::engine {
namespace {

struct ThreadState {
  sigjmp_buf target;
  bool armed = false;
  std::uint64_t address = 0;
  AccessKind access = AccessKind::read;
};

thread_local ThreadState state;
struct sigaction previous_segv;
struct sigaction previous_bus;

void handle(int signal, siginfo_t* information, void* context) {
  if (state.armed) {
    state.armed = false;
    state.address = reinterpret_cast<std::uint64_t>(information->si_addr);
    // Bit 1 of the page-fault error code says that it was a write.
    const auto* registers = static_cast<const ucontext_t*>(context);
    state.access = registers->uc_mcontext.gregs[REG_ERR] & 2 ? AccessKind::write : AccessKind::read;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    siglongjmp(state.target, 1);
  }
  // Not ours: as if we had never been here. Returning runs the instruction again.
  const struct sigaction& previous = signal == SIGSEGV ? previous_segv : previous_bus;
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr)
    previous.sa_sigaction(signal, information, context);
  else
    sigaction(signal, &previous, nullptr);
}

}  // namespace

void SignalGuard::install() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action{};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &previous_segv);
    sigaction(SIGBUS, &action, &previous_bus);
  });
}

sigjmp_buf* SignalGuard::target() { return &state.target; }
void SignalGuard::arm(bool on) { state.armed = on; }
std::uint64_t SignalGuard::address() { return state.address; }
AccessKind SignalGuard::access() { return state.access; }

}  // namespace virtual_rocm::engine
