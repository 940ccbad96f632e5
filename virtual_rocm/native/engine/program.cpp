// SPDX-License-Identifier: MIT
#include "engine/program.hpp"

#include <limits>

#include "engine/execute/execute.hpp"
#include "engine/execute/wait_check.hpp"
#include "isa/semantics.hpp"

namespace virtual_rocm::engine {
namespace {

constexpr std::uint32_t kNoOperation = std::numeric_limits<std::uint32_t>::max();

bool lower(Operation& operation, const LoweringPlace& place, isa::Architecture architecture) {
  return lower_control(operation, place) || lower_scalar_memory(operation) || lower_flat(operation) ||
         lower_flat_atomic(operation) || lower_scratch(operation) || lower_lds(operation) ||
         lower_lds_atomic(operation) || lower_buffer(operation) ||
         isa::lower_alu(operation.instruction, operation, architecture);
}

}  // namespace

Program::Program(std::span<const std::uint32_t> code, std::uint64_t address, std::uint64_t load_base,
                 isa::Architecture architecture)
    : begin_(address), load_base_(load_base), words_(static_cast<std::uint32_t>(code.size())) {
  operations_.reserve(code.size() + 1);
  word_of_operation_.reserve(code.size() + 1);
  operation_of_word_.assign(code.size(), kNoOperation);

  for (std::uint32_t word = 0; word < words_;) {
    const auto rest = code.subspan(word);
    const LoweringPlace place{address + std::uint64_t{word} * 4, 0};
    Operation operation;
    const auto decoded = isa::decode(rest);
    std::uint32_t length = 1;
    if (!decoded) {
      operation.handler = execute_refused;
      // Padding between functions is zero words in some code objects: no instruction, and never reached.
      if (code[word] != 0) refusals_.push_back({place.address, isa::explain_undecodable(rest)});
    } else {
      operation.instruction = *decoded;
      length = decoded->words;
      if (!lower(operation, {place.address, place.address + std::uint64_t{length} * 4}, architecture)) {
        operation.handler = execute_refused;
        refusals_.push_back({place.address, isa::print(*decoded)});
      }
    }
    operation_of_word_[word] = static_cast<std::uint32_t>(operations_.size());
    word_of_operation_.push_back(word);
    operations_.push_back(operation);
    word += length;
  }
  Operation end;
  end.handler = execute_end_of_code;
  word_of_operation_.push_back(words_);
  operations_.push_back(end);

  for (std::size_t index = 0; index + 1 < operations_.size(); ++index) {
    Operation& operation = operations_[index];
    if (!is_relative_branch(operation)) continue;
    const auto target = static_cast<std::uint64_t>(static_cast<std::int64_t>(address_of(&operation)) +
                                                   static_cast<std::int64_t>(operation.immediate));
    const Operation* destination = at(target);
    if (destination == nullptr) {
      operation.handler = execute_refused;
      refusals_.push_back(
          {address_of(&operation), isa::print(operation.instruction) + " (branches out of the code)"});
      continue;
    }
    operation.immediate = static_cast<std::uint64_t>(destination - &operation);
  }
  if (check_waits()) watch_waits(operations_);
}

const Operation* Program::at(std::uint64_t address) const {
  const std::uint64_t offset = address - begin_;
  if (offset % 4 != 0 || offset / 4 >= words_) return nullptr;
  const std::uint32_t index = operation_of_word_[offset / 4];
  return index == kNoOperation ? nullptr : &operations_[index];
}

std::vector<std::uint64_t> Program::addresses() const {
  std::vector<std::uint64_t> result;
  result.reserve(size());
  for (std::size_t index = 0; index < size(); ++index)
    result.push_back(begin_ + std::uint64_t{word_of_operation_[index]} * 4);
  return result;
}

std::uint64_t Program::address_of(const Operation* operation) const {
  return begin_ +
         std::uint64_t{word_of_operation_[static_cast<std::size_t>(operation - operations_.data())]} * 4;
}

}  // namespace virtual_rocm::engine
