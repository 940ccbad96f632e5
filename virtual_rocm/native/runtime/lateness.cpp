// SPDX-License-Identifier: MIT
#include "runtime/lateness.hpp"

#include <charconv>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include "engine/code_object.hpp"
#include "runtime/process.hpp"

namespace virtual_rocm {
namespace {

struct Lateness {
  int rank = 0;
  std::string function;
  double seconds = 0;
};

Lateness parse(const std::string& text) {
  const auto reject = [&] {
    throw engine::LoadError("VIRTUAL_ROCM_LATE=" + text +
                            " is not RANK/FUNCTION/SECONDS, for example 1/hipMemset/0.2");
  };
  const auto first = text.find('/');
  const auto second = text.find('/', first + 1);
  if (first == std::string::npos || second == std::string::npos) reject();
  Lateness found;
  found.function = text.substr(first + 1, second - first - 1);
  const auto number = [&](std::string_view part, auto& value) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || end != part.data() + part.size() || value < 0) reject();
  };
  number(std::string_view(text).substr(0, first), found.rank);
  number(std::string_view(text).substr(second + 1), found.seconds);
  return found;
}

}  // namespace

bool lateness_asked() {
  static const bool asked = environment("VIRTUAL_ROCM_LATE").has_value();
  return asked;
}

void be_late(const char* function) {
  // Not static: what is thrown is told by every call.
  const Lateness asked = parse(environment("VIRTUAL_ROCM_LATE").value_or(""));
  if (asked.rank != process_rank() || asked.function != function) return;
  log_line(asked.function + ": late on purpose");
  std::this_thread::sleep_for(std::chrono::duration<double>(asked.seconds));
}

}  // namespace virtual_rocm
