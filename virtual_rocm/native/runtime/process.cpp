// SPDX-License-Identifier: MIT
#include "runtime/process.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

namespace virtual_rocm {

namespace {

int open_log() {
  const auto target = environment("VIRTUAL_ROCM_LOG");
  if (!target) return -1;
  if (*target == "stderr") return STDERR_FILENO;
  return ::open(target->c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

int log_descriptor() {
  static const int descriptor = open_log();
  return descriptor;
}

void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

int process_rank() {
  static const int rank = [] {
    const auto text = environment("RANK");
    return text ? std::atoi(text->c_str()) : -1;
  }();
  return rank;
}

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (!value || !*value) return std::nullopt;
  return std::string(value);
}

std::uint64_t environment_number(const char* name, std::uint64_t otherwise) {
  const auto text = environment(name);
  if (!text) return otherwise;
  char* end = nullptr;
  std::uint64_t value = std::strtoull(text->c_str(), &end, 0);
  constexpr std::string_view suffixes = "KMGT";
  if (const auto index = suffixes.find(*end); *end && index != std::string_view::npos) {
    value <<= 10 * (index + 1);
    ++end;
  }
  if (end == text->c_str() || *end) {
    log_line(std::string(name) + "=" + *text + " is not a number: ignored");
    return otherwise;
  }
  return value;
}

bool log_enabled() { return log_descriptor() >= 0; }

void log_line(std::string_view text) {
  if (!log_enabled()) return;
  const auto now = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  std::string line = "[virtual_rocm " + std::to_string(now) + " process " + std::to_string(::getpid());
  if (process_rank() >= 0) line += " rank " + std::to_string(process_rank());
  line += "] ";
  line += text;
  line += '\n';
  write_all(log_descriptor(), line);  // one write: lines of several ranks stay whole
}

void report(std::string_view text) {
  std::string whole(text);
  if (whole.empty() || whole.back() != '\n') whole += '\n';
  write_all(STDERR_FILENO, whole);
  if (log_enabled() && log_descriptor() != STDERR_FILENO) log_line(whole);
}

}  // namespace virtual_rocm
