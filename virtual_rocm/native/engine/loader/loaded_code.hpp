// SPDX-License-Identifier: MIT
//
// The engine's own view of a code object. Internal to the engine.
#pragma once

#include <elf.h>

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/code_object.hpp"
#include "engine/coverage.hpp"
#include "engine/loader/inline_frames.hpp"
#include "engine/loader/line_table.hpp"
#include "engine/program.hpp"

namespace virtual_rocm::engine {

/// A function of the symbol table, in addresses of the file.
struct Function {
  std::uint64_t begin;
  std::uint64_t size;
  std::string name;
};

class LoadedCode final : public CodeObject {
 public:
  LoadedCode(std::span<const std::byte> image, std::string label, const SymbolResolver& resolver);
  ~LoadedCode() override;
  LoadedCode(const LoadedCode&) = delete;
  LoadedCode& operator=(const LoadedCode&) = delete;

  /// From now on, notes what is executed, if coverage is wanted. Throws LoadError.
  void open_coverage();

  const std::string& label() const override { return label_; }
  const std::vector<Kernel>& kernels() const override { return kernels_; }
  const std::vector<GlobalVariable>& globals() const override { return globals_; }
  const Kernel* find_kernel(std::string_view name) const override;
  const GlobalVariable* find_global(std::string_view name) const override;
  std::vector<SourceLocation> locate(std::uint64_t address) const override;

  /// The code that holds an address, or null.
  const Program* program_at(std::uint64_t address) const;
  /// Addresses of all instructions in this process, ascending within a section of code: the order of
  /// coverage.
  std::vector<std::uint64_t> instruction_addresses() const;
  /// For each of these addresses: its number in the list, the function of the symbol table that holds it
  /// (empty: none), and its source lines, innermost first. The first line is 0 for an instruction that
  /// belongs to no line. Much faster than locate() for each.
  using Visitor =
      std::function<void(std::size_t index, const std::string& symbol, std::span<const SourceLocation>)>;
  void locate_all(std::span<const std::uint64_t> addresses, const Visitor& visit) const;
  /// The first address that belongs to the image; file addresses are relative to it.
  std::uint64_t base() const { return base_; }

 private:
  template <typename Type>
  Type read(std::uint64_t offset) const;
  std::span<const std::byte> bytes(std::uint64_t offset, std::uint64_t size) const;
  std::string string_at(std::uint64_t table_offset, std::uint64_t table_size, std::uint32_t index) const;
  const Elf64_Shdr* section(std::string_view name) const;

  void check_header();
  void read_sections();
  void map_segments();
  void relocate(const SymbolResolver& resolver);
  void protect_segments();
  void read_symbols();
  void read_kernels();
  void lower_code();
  void read_lines() const;
  const Function* function_at(std::uint64_t file_address) const;

  std::vector<std::byte> image_;
  std::string label_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> segments_;
  std::vector<Elf64_Shdr> sections_;
  std::vector<std::string> section_names_;
  std::uint64_t mapping_ = 0;
  std::uint64_t mapping_size_ = 0;
  std::uint64_t base_ = 0;
  std::vector<std::uint64_t> allocations_;
  std::unordered_map<std::string, Elf64_Sym> symbols_;
  std::vector<Function> functions_;
  std::vector<Kernel> kernels_;
  std::vector<GlobalVariable> globals_;
  isa::Architecture architecture_ = isa::Architecture::gfx942;
  std::vector<std::unique_ptr<Program>> programs_;
  std::unique_ptr<CoverageMarks> coverage_;
  mutable std::once_flag lines_read_;
  mutable std::unique_ptr<LineTable> lines_;
  mutable std::unique_ptr<InlineFrames> frames_;
};

}  // namespace virtual_rocm::engine
