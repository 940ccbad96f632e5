// SPDX-License-Identifier: MIT
#include "runtime/device.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/device_memory.hpp"
#include "runtime/process.hpp"

namespace virtual_rocm {

namespace {

constexpr int kMostDevices = 64;
thread_local int this_threads_device = 0;
std::atomic<int> fault_error{0};

ErrorCode error_of(engine::FaultKind kind) {
  using Kind = engine::FaultKind;
  switch (kind) {
    case Kind::out_of_bounds:
    case Kind::memory_violation:
    case Kind::read_only:
      return ErrorCode::illegal_address;
    case Kind::assertion:
      return ErrorCode::assertion;
    case Kind::deadlock:
    case Kind::deadline:
      return ErrorCode::launch_timeout;
    default:
      return ErrorCode::launch_failure;
  }
}

bool aborts_on_hardware(engine::FaultKind kind) {
  return kind == engine::FaultKind::assertion || kind == engine::FaultKind::trap;
}

// Never destroyed: their threads may still run while the process ends.
std::vector<std::unique_ptr<engine::Executor>>& executors() {
  static auto* const all = new std::vector<std::unique_ptr<engine::Executor>>(kMostDevices);
  return *all;
}

std::mutex& executors_mutex() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}

int termination_pipe[2];

// For a process that is ended from outside while a kernel waits for ever: says who waits where before it
// goes. Only where the launcher asks for it, and only if the program has no handler of its own.
void describe_on_termination() {
  if (!environment("VIRTUAL_ROCM_DESCRIBE_ON_SIGTERM")) return;
  struct sigaction present{};
  if (::sigaction(SIGTERM, nullptr, &present) != 0 || present.sa_handler != SIG_DFL) return;
  if (::pipe2(termination_pipe, O_CLOEXEC) != 0) return;
  std::thread([] {
    char byte = 0;
    while (::read(termination_pipe[0], &byte, 1) != 1)
      if (errno != EINTR) return;
    if (std::unique_lock lock(executors_mutex(), std::try_to_lock); lock.owns_lock()) {
      for (const auto& each : executors()) {
        if (!each) continue;
        if (const std::string text = each->describe(); !text.starts_with("nothing"))
          report(concat("rank ", process_rank(), " is ended while kernels run:\n", text));
      }
    }
    ::signal(SIGTERM, SIG_DFL);
    ::kill(::getpid(), SIGTERM);
  }).detach();
  struct sigaction action{};
  action.sa_handler = [](int) {
    const char byte = 1;
    // Nothing else is safe in a handler; if the pipe fails there is nobody to tell.
    if (::write(termination_pipe[1], &byte, 1) != 1) ::_exit(128 + SIGTERM);
  };
  ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

const DeviceFacts& device_facts() {
  static const DeviceFacts facts = [] {
    DeviceFacts value;
    const bool is_gfx950 = engine::device_architecture() == isa::Architecture::gfx950;
    value.name = environment("VIRTUAL_ROCM_DEVICE_NAME")
                     .value_or(is_gfx950 ? "AMD Instinct MI350X (virtual)" : "AMD Instinct MI300X (virtual)");
    value.architecture = concat(isa::to_string(engine::device_architecture()), ":sramecc+:xnack-");
    value.multiprocessors =
        static_cast<int>(environment_number("VIRTUAL_ROCM_COMPUTE_UNITS", is_gfx950 ? 256 : 304));
    if (is_gfx950) {
      value.compute_minor = 5;
      value.lds_per_block = 160 * 1024;
    }
    value.memory_bytes = device_memory().total_bytes();
    return value;
  }();
  return facts;
}

int device_count() {
  static const int count = [] {
    const auto all = static_cast<int>(environment_number("VIRTUAL_ROCM_DEVICES", 8));
    for (const char* name : {"HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"})
      if (const auto listed = environment(name))
        return static_cast<int>(
            std::min<std::ptrdiff_t>(1 + std::count(listed->begin(), listed->end(), ','), all));
    return std::clamp(all, 0, kMostDevices);
  }();
  return count;
}

void check_device(int device) {
  if (device < 0 || device >= device_count())
    throw fail(ErrorCode::invalid_device, "device ", device, " of ", device_count(),
               " (VIRTUAL_ROCM_DEVICES)");
}

int current_device() { return this_threads_device; }

void set_current_device(int device) {
  check_device(device);
  this_threads_device = device;
}

std::string pci_bus_id(int device) {
  char text[32];
  std::snprintf(text, sizeof text, "0000:%02x:00.0", 0x10 + device);
  return text;
}

engine::Executor& executor(int device) {
  static std::once_flag prepared;
  std::call_once(prepared, describe_on_termination);
  std::lock_guard lock(executors_mutex());
  auto& slot = executors().at(static_cast<std::size_t>(device));
  if (!slot) {
    engine::Knobs knobs = engine::Knobs::from_environment();
    if (knobs.late_blocks.rank != process_rank()) knobs.late_blocks = {};
    slot = std::make_unique<engine::Executor>(knobs);
  }
  return *slot;
}

void handle_fault(const engine::Fault& fault) {
  if (fault.kind == engine::FaultKind::cancelled)
    return;  // the fault that cancelled it is reported on its own
  std::string text = fault.text();
  if (process_rank() >= 0) text = concat("rank ", process_rank(), ": ", text);
  report(text);
  int none = 0;
  fault_error.compare_exchange_strong(none, static_cast<int>(error_of(fault.kind)));
  const std::string policy = environment("VIRTUAL_ROCM_ON_FAULT").value_or("hardware");
  if (policy == "abort" || (policy != "error" && aborts_on_hardware(fault.kind))) std::abort();
}

ErrorCode sticky_error() { return static_cast<ErrorCode>(fault_error.load()); }

}  // namespace virtual_rocm
