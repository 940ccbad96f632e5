// SPDX-License-Identifier: MIT
//
// Executes straight-line ALU code on one wave. Waits and forward branches over code that no lane executes are
// skipped, the return from a function ends the code. It serves requests on standard input until it ends; all
// numbers are 32-bit little-endian words:
//
//     request:  number of code words, the words;
//               number of scalar inputs, then operand number and value of each (SCC is 253, MODE is 256);
//               number of vector inputs, then row (AGPR a is 256 + a) and 64 values of each;
//               number of scalar outputs, their numbers; number of vector outputs, their rows
//     answer:   0, the scalar values, the vector values; or 1 + index of the word that cannot be executed
//
// "--speed N" as arguments: executes the request's code N times more and prints the rate on standard error.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <span>
#include <vector>

#include "engine/wave.hpp"
#include "isa/semantics.hpp"

using virtual_rocm::isa::Opcode;

namespace {

using virtual_rocm::engine::Operation;
using virtual_rocm::engine::Wave;

constexpr std::uint32_t kModeNumber = 256;

bool read_words(std::vector<std::uint32_t>& out, std::size_t count) {
  out.resize(count);
  return std::fread(out.data(), sizeof(std::uint32_t), count, stdin) == count;
}

std::uint32_t read_word() {
  std::uint32_t word = 0;
  if (std::fread(&word, sizeof word, 1, stdin) != 1) std::exit(0);
  return word;
}

// What has no effect on the registers of straight-line code.
bool is_skipped(Opcode opcode) {
  return opcode == Opcode::s_waitcnt || opcode == Opcode::s_nop || opcode == Opcode::s_cbranch_execz ||
         opcode == Opcode::s_setpc_b64;
}

struct AlignedDelete {
  void operator()(Wave* wave) const { std::free(wave); }
};

void measure(const std::vector<Operation>& operations, Wave* wave, long repetitions) {
  const std::clock_t start = std::clock();  // processor time: other programs may share the machine
  for (long repetition = 0; repetition < repetitions; ++repetition) {
    const Operation* operation = operations.data();
    const Operation* const end = operation + operations.size();
    while (operation != end) operation = operation->handler(operation, wave);
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  const double executed = static_cast<double>(repetitions) * static_cast<double>(operations.size());
  std::fprintf(stderr, "%.1f million wave instructions per second\n", executed / seconds / 1e6);
}

}  // namespace

int main(int count, char** arguments) {
  const long repetitions =
      count > 2 && std::strcmp(arguments[1], "--speed") == 0 ? std::atol(arguments[2]) : 0;
  const bool is_gfx950 = count > 1 && std::strcmp(arguments[1], "--gfx950") == 0;
  const auto architecture =
      is_gfx950 ? virtual_rocm::isa::Architecture::gfx950 : virtual_rocm::isa::Architecture::gfx942;
  const std::unique_ptr<Wave, AlignedDelete> wave(static_cast<Wave*>(std::aligned_alloc(64, sizeof(Wave))));
  for (;;) {
    std::vector<std::uint32_t> code;
    std::vector<std::uint32_t> values;
    read_words(code, read_word());
    std::memset(static_cast<void*>(wave.get()), 0, sizeof(Wave));
    virtual_rocm::engine::initialise_constants(*wave);
    wave->mode = 0x3f0;  // round to nearest, denormals kept, dx10_clamp, ieee
    wave->set_exec(~std::uint64_t{0});
    for (std::uint32_t left = read_word(); left != 0; --left) {
      const std::uint32_t number = read_word();
      (number == kModeNumber ? wave->mode : wave->scalar[number]) = read_word();
    }
    for (std::uint32_t left = read_word(); left != 0; --left) {
      const std::uint32_t row = read_word();
      read_words(values, virtual_rocm::engine::kLanes);
      std::memcpy(wave->vector[row], values.data(), sizeof wave->vector[row]);
    }
    std::vector<std::uint32_t> scalars;
    std::vector<std::uint32_t> rows;
    read_words(scalars, read_word());
    read_words(rows, read_word());

    std::vector<Operation> operations;
    std::uint32_t failure = 0;
    for (std::size_t at = 0; at < code.size() && failure == 0;) {
      const auto instruction = virtual_rocm::isa::decode(std::span(code).subspan(at));
      Operation operation;
      if (instruction && is_skipped(instruction->opcode)) {
        at = instruction->opcode == Opcode::s_setpc_b64 ? code.size() : at + instruction->words;
        continue;
      }
      if (!instruction || !virtual_rocm::isa::lower_alu(*instruction, operation, architecture)) {
        failure = static_cast<std::uint32_t>(at) + 1;
      } else {
        operations.push_back(operation);
        at += instruction->words;
      }
    }
    std::fwrite(&failure, sizeof failure, 1, stdout);
    if (failure == 0) {
      const Operation* operation = operations.data();
      const Operation* const end = operation + operations.size();
      while (operation != end) operation = operation->handler(operation, wave.get());
      for (const std::uint32_t number : scalars) {
        std::fwrite(number == kModeNumber ? &wave->mode : &wave->scalar[number], sizeof(std::uint32_t), 1,
                    stdout);
      }
      for (const std::uint32_t row : rows)
        std::fwrite(wave->vector[row], sizeof wave->vector[row], 1, stdout);
      if (repetitions != 0) measure(operations, wave.get(), repetitions);
    }
    std::fflush(stdout);
  }
}
