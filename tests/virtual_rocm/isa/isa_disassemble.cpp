// SPDX-License-Identifier: MIT
//
// Reads 32-bit words from standard input and prints one line for each instruction: its length in words,
// whether the engine would run it on an ALU ("alu" or "-"), then its text. Words that are no instruction give
// a line that begins with 0.
//   --fixed   each instruction has a slot of two words
//   --table   prints the opcode table instead
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <vector>

#include "isa/instruction.hpp"
#include "isa/semantics.hpp"

namespace {

namespace isa = virtual_rocm::isa;

void print_table() {
  for (std::size_t index = 0; index < isa::kOpcodeCount; ++index) {
    const isa::OpcodeInfo& row = isa::info(static_cast<isa::Opcode>(index));
    std::printf("%s %u %u %u %u %u %u %u\n", row.name.data(), static_cast<unsigned>(row.encoding), row.code,
                static_cast<unsigned>(row.destination), static_cast<unsigned>(row.source[0]),
                static_cast<unsigned>(row.source[1]), static_cast<unsigned>(row.source[2]), row.traits);
  }
}

}  // namespace

int main(int count, char** arguments) {
  const bool fixed = count > 1 && std::strcmp(arguments[1], "--fixed") == 0;
  const auto architecture = count > 2 && std::strcmp(arguments[2], "gfx950") == 0 ? isa::Architecture::gfx950
                                                                                  : isa::Architecture::gfx942;
  if (count > 1 && std::strcmp(arguments[1], "--table") == 0) {
    print_table();
    return 0;
  }
  std::vector<std::uint32_t> words;
  std::uint32_t word;
  while (std::fread(&word, sizeof word, 1, stdin) == 1) words.push_back(word);
  const std::span<const std::uint32_t> all(words);
  for (std::size_t at = 0; at < all.size();) {
    const auto here = fixed ? all.subspan(at, 2) : all.subspan(at);
    const auto instruction = isa::decode(here);
    if (instruction) {
      virtual_rocm::engine::Operation operation;
      const char* const alu = isa::lower_alu(*instruction, operation, architecture) ? "alu" : "-";
      std::printf("%u %s %s\n", instruction->words, alu, isa::print(*instruction).c_str());
    } else {
      std::printf("0 - %s\n", isa::explain_undecodable(here).c_str());
    }
    at += fixed ? 2 : instruction ? instruction->words : 1;
  }
}
