// SPDX-License-Identifier: MIT
//
// The instructions of a code object in the form in which they are executed. Internal to the engine.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/operation.hpp"
#include "isa/architecture.hpp"

namespace virtual_rocm::engine {

/// A range of machine code and what it was lowered to. Control leaves it only through branches: a last
/// operation that faults stands behind it.
class Program {
 public:
  struct Refusal {
    std::uint64_t address;
    std::string instruction;
  };

  /// Lowers `code`, whose first word lies at `address` in this process. `load_base` is what is subtracted for
  /// reports.
  Program(std::span<const std::uint32_t> code, std::uint64_t address, std::uint64_t load_base,
          isa::Architecture architecture);

  /// The operation at an address, or null if the address is not that of an instruction.
  const Operation* at(std::uint64_t address) const;
  bool contains(std::uint64_t address) const { return address - begin_ < std::uint64_t{words_} * 4; }

  std::uint64_t address_of(const Operation* operation) const;
  /// Addresses of all instructions, ascending.
  std::vector<std::uint64_t> addresses() const;

  /// One byte for each instruction, set when it is executed; null if nobody asks.
  std::uint8_t* marks() const { return marks_; }
  void set_marks(std::uint8_t* marks) { marks_ = marks; }
  /// Notes that an operation is executed, if anybody asks. One that no lane executes does not count.
  void mark(const Operation* operation, bool is_active) const {
    const auto index = static_cast<std::size_t>(operation - operations_.data());
    if (is_active && marks_ != nullptr && index < size()) marks_[index] = 1;
  }

  std::uint64_t load_base() const { return load_base_; }
  const std::vector<Refusal>& refusals() const { return refusals_; }
  /// How many instructions, without what stands behind the last one.
  std::size_t size() const { return operations_.size() - 1; }

 private:
  std::uint64_t begin_;
  std::uint64_t load_base_;
  std::uint32_t words_;
  std::vector<Operation> operations_;
  std::vector<std::uint32_t> word_of_operation_;
  std::vector<std::uint32_t> operation_of_word_;  // or kNoOperation
  std::vector<Refusal> refusals_;
  std::uint8_t* marks_ = nullptr;
};

}  // namespace virtual_rocm::engine
