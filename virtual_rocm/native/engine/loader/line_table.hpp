// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace virtual_rocm::engine {

/// Source lines by address: the .debug_line programs (DWARF 4 and 5) of a linked file, run once.
class LineTable {
 public:
  struct Line {
    std::string file;
    std::uint32_t line = 0;
  };

  /// Malformed or unknown parts are left out: a report without a line is better than no report.
  LineTable(std::span<const std::byte> program, std::span<const std::byte> line_strings,
            std::span<const std::byte> strings);

  /// The line of an address. Where the compiler made the code up, it is the line before it.
  std::optional<Line> find(std::uint64_t address) const;
  /// The same, but line 0 where the compiler made the code up.
  std::optional<Line> find_exactly(std::uint64_t address) const;

  /// A file by its number in the program that begins at `unit` of .debug_line; empty if there is none.
  std::string file(std::uint64_t unit, std::uint64_t index) const;

 private:
  struct Row {
    std::uint64_t address;
    std::uint32_t file;  // index into files_
    std::uint32_t line;
    std::uint32_t order;  // of the program: the last row for an address counts
    bool end;
  };
  friend class LineProgram;

  std::vector<std::string> files_;
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> unit_files_;  // by offset in .debug_line
  std::vector<Row> rows_;                                                     // sorted by address
};

}  // namespace virtual_rocm::engine
