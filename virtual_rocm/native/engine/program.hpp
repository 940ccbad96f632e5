// SPDX-License-Identifier: MIT
//
// The instructions of a code object in the form in which they are executed. Internal to the engine.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/operation.hpp"

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
  Program(std::span<const std::uint32_t> code, std::uint64_t address, std::uint64_t load_base);

  /// The operation at an address, or null if the address is not that of an instruction.
  const Operation* at(std::uint64_t address) const;
  bool contains(std::uint64_t address) const { return address - begin_ < std::uint64_t{words_} * 4; }

  std::uint64_t address_of(const Operation* operation) const;
  std::uint64_t load_base() const { return load_base_; }
  const std::vector<Refusal>& refusals() const { return refusals_; }
  std::size_t size() const { return operations_.size(); }

 private:
  std::uint64_t begin_;
  std::uint64_t load_base_;
  std::uint32_t words_;
  std::vector<Operation> operations_;
  std::vector<std::uint32_t> word_of_operation_;
  std::vector<std::uint32_t> operation_of_word_;  // or kNoOperation
  std::vector<Refusal> refusals_;
};

}  // namespace virtual_rocm::engine
