// SPDX-License-Identifier: MIT
//
// Reads 32-bit words from standard input and prints one line for each instruction: its length in words, then its text.
// Words that are no instruction give a line that begins with 0. With --fixed, each instruction has a slot of two words.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <vector>

#include "isa/instruction.hpp"

int main(int count, char** arguments) {
  const bool fixed = count > 1 && std::strcmp(arguments[1], "--fixed") == 0;
  std::vector<std::uint32_t> words;
  std::uint32_t word;
  while (std::fread(&word, sizeof word, 1, stdin) == 1) words.push_back(word);
  const std::span<const std::uint32_t> all(words);
  for (std::size_t at = 0; at < all.size();) {
    const auto here = fixed ? all.subspan(at, 2) : all.subspan(at);
    const auto instruction = virtual_rocm::isa::decode(here);
    if (instruction) {
      std::printf("%u %s\n", instruction->words, virtual_rocm::isa::print(*instruction).c_str());
    } else {
      std::printf("0 %s\n", virtual_rocm::isa::explain_undecodable(here).c_str());
    }
    at += fixed ? 2 : instruction ? instruction->words : 1;
  }
}
