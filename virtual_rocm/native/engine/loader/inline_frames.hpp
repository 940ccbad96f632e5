// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/fault.hpp"
#include "engine/loader/line_table.hpp"

namespace virtual_rocm::engine {

/// The sections of a file's debug information; empty where there is none.
struct DebugSections {
  std::span<const std::byte> information;
  std::span<const std::byte> abbreviations;
  std::span<const std::byte> addresses;
  std::span<const std::byte> ranges;      ///< .debug_rnglists
  std::span<const std::byte> old_ranges;  ///< .debug_ranges
  std::span<const std::byte> strings;
  std::span<const std::byte> line_strings;
  std::span<const std::byte> string_offsets;
};

/// Which functions were inlined where: what .debug_info (DWARF 4 and 5) says about subprograms and inlined
/// calls.
class InlineFrames {
 public:
  explicit InlineFrames(const DebugSections& sections);

  /// The functions that an address belongs to, innermost first. The first one's line is that of the line
  /// table, the others' are the lines of their calls. Empty if nothing is known.
  std::vector<SourceLocation> find(std::uint64_t address, const LineTable& lines) const;

  /// The same for many addresses, ascending: calls `visit` with the number of each and its frames, which it
  /// may change. The first frame has line 0 where the compiler made the code up.
  void find_all(std::span<const std::uint64_t> addresses, const LineTable& lines,
                const std::function<void(std::size_t, std::vector<SourceLocation>&)>& visit) const;

 private:
  friend class UnitReader;

  struct Scope {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;  // begin, end
    std::uint64_t name_entry = 0;  // offset of the entry that names the function
    std::uint64_t line_unit = 0;
    std::uint64_t call_file = 0;
    std::uint32_t call_line = 0;
    std::uint32_t depth = 0;
  };
  struct Name {
    std::uint64_t entry;
    std::string text;         // linkage name if there is one
    std::uint64_t reference;  // entry that has the name instead, or 0
  };

  std::string name_of(std::uint64_t entry) const;

  std::vector<Scope> scopes_;  // in the order of the document: an inner one after its outer one
  std::vector<Name> names_;    // sorted by entry
};

}  // namespace virtual_rocm::engine
