// SPDX-License-Identifier: MIT
#include "engine/execute/traps.hpp"

#include <bit>
#include <cstdio>

#include "abi/traps.hpp"
#include "engine/block.hpp"
#include "engine/execute/flat_memory.hpp"
#include "engine/execute/printf_format.hpp"

namespace virtual_rocm::engine {
namespace {

constexpr std::size_t kLongestString = 1 << 16;

std::uint64_t vector_pair(const Wave& wave, unsigned first, unsigned lane) {
  return wave.vector[first][lane] | std::uint64_t{wave.vector[first + 1][lane]} << 32;
}

void set_vector_pair(Wave& wave, unsigned first, unsigned lane, std::uint64_t value) {
  wave.vector[first][lane] = static_cast<std::uint32_t>(value);
  wave.vector[first + 1][lane] = static_cast<std::uint32_t>(value >> 32);
}

template <typename Action>
void for_each_lane(const Wave& wave, Action action) {
  for (std::uint64_t rest = wave.exec(); rest != 0; rest &= rest - 1)
    action(static_cast<unsigned>(std::countr_zero(rest)));
}

const Operation* execute_abort(const Operation* operation, Wave* wave) {
  Fault fault;
  fault.kind = FaultKind::trap;
  fault.message = "the kernel trapped (__builtin_trap or abort)";
  fault.lanes = wave->exec();
  if (fault.lanes != 0) fault.site.lane = static_cast<std::uint32_t>(std::countr_zero(fault.lanes));
  return raise(operation, wave, std::move(fault));
}

const Operation* execute_unknown_trap(const Operation* operation, Wave* wave) {
  Fault fault;
  fault.kind = FaultKind::trap;
  fault.message = "s_trap " + std::to_string(operation->immediate) + ", which has no meaning here";
  return raise(operation, wave, std::move(fault));
}

const Operation* execute_debug_trap(const Operation* operation, Wave*) { return operation + 1; }

const Operation* execute_assert_fail(const Operation* operation, Wave* wave) {
  const std::uint64_t lanes = wave->exec();
  if (lanes == 0) return operation + 1;
  const auto lane = static_cast<unsigned>(std::countr_zero(lanes));
  const auto text = [&](unsigned first) {
    return read_flat_string(*wave, lane, vector_pair(*wave, first, lane), kLongestString);
  };
  Fault fault;
  fault.kind = FaultKind::assertion;
  fault.lanes = lanes;
  fault.site.lane = lane;
  fault.message = text(abi::assert_fail::kFile) + ":" +
                  std::to_string(wave->vector[abi::assert_fail::kLine][lane]) + ": " +
                  text(abi::assert_fail::kFunction) + ": Assertion `" + text(abi::assert_fail::kAssertion) +
                  "' failed.";
  return raise(operation, wave, std::move(fault));
}

const Operation* execute_printf_begin(const Operation* operation, Wave* wave) {
  for_each_lane(*wave, [&](unsigned lane) {
    const std::uint64_t descriptor = wave->worker->next_message++;
    wave->worker->messages[descriptor];
    set_vector_pair(*wave, abi::printf_begin::kDescriptor, lane, descriptor);
  });
  return operation + 1;
}

void complete(Worker& worker, std::uint64_t descriptor) {
  const auto found = worker.messages.find(descriptor);
  if (found == worker.messages.end()) return;
  worker.print(format_printf(found->second));
  worker.messages.erase(found);
}

const Operation* execute_printf_append_args(const Operation* operation, Wave* wave) {
  for_each_lane(*wave, [&](unsigned lane) {
    const std::uint64_t descriptor = vector_pair(*wave, abi::printf_append_args::kDescriptor, lane);
    const unsigned count = std::min(wave->vector[abi::printf_append_args::kCount][lane],
                                    static_cast<std::uint32_t>(abi::printf_append_args::kMaximum));
    auto& parts = wave->worker->messages[descriptor].parts;
    for (unsigned slot = 0; slot < count; ++slot)
      parts.push_back({false, {}, vector_pair(*wave, abi::printf_append_args::kSlots + 2 * slot, lane)});
    if (wave->vector[abi::printf_append_args::kIsLast][lane] != 0) complete(*wave->worker, descriptor);
  });
  return operation + 1;
}

const Operation* execute_printf_append_string(const Operation* operation, Wave* wave) {
  for_each_lane(*wave, [&](unsigned lane) {
    const std::uint64_t descriptor = vector_pair(*wave, abi::printf_append_string::kDescriptor, lane);
    const std::uint64_t string = vector_pair(*wave, abi::printf_append_string::kString, lane);
    const std::uint64_t length = vector_pair(*wave, abi::printf_append_string::kLength, lane);
    std::string text =
        string == 0 ? std::string("(null)")
                    : read_flat_string(*wave, lane, string, std::min<std::size_t>(length, kLongestString));
    wave->worker->messages[descriptor].parts.push_back({true, std::move(text), string});
    if (wave->vector[abi::printf_append_string::kIsLast][lane] != 0) complete(*wave->worker, descriptor);
  });
  return operation + 1;
}

}  // namespace

bool lower_trap(Operation& operation) {
  operation.immediate = operation.instruction.immediate & 0xffff;
  switch (operation.immediate) {
    case abi::kTrapAbort:
      operation.handler = execute_abort;
      break;
    case abi::kTrapDebug:
      operation.handler = execute_debug_trap;
      break;
    case abi::kTrapAssertFail:
      operation.handler = execute_assert_fail;
      break;
    case abi::kTrapPrintfBegin:
      operation.handler = execute_printf_begin;
      break;
    case abi::kTrapPrintfAppendArgs:
      operation.handler = execute_printf_append_args;
      break;
    case abi::kTrapPrintfAppendString:
      operation.handler = execute_printf_append_string;
      break;
    default:
      operation.handler = execute_unknown_trap;
      break;
  }
  return true;
}

}  // namespace virtual_rocm::engine
