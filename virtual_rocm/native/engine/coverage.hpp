// SPDX-License-Identifier: MIT
//
// Which instructions of a code object were executed.
//
// With VIRTUAL_ROCM_COVERAGE naming a folder, every code object that is loaded has two files there, named
// after its contents: a copy of itself (.code), and one byte for each of its instructions (.executed) that is
// mapped into every process that executes it. So processes and runs are merged as they execute, and what a
// process has executed stays, however it ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace virtual_rocm::engine {

/// The .executed file begins with this, whatever process made it.
struct CoverageHeader {
  char magic[8];        ///< kCoverageMagic
  std::uint64_t count;  ///< of instructions; as many bytes follow, each 0 or 1
  char label[240];      ///< of the code object, padded with zeros
};
static_assert(sizeof(CoverageHeader) == 256);
inline constexpr char kCoverageMagic[] = "VROCMCV1";

/// A folder for coverage, empty if none is wanted.
const std::string& coverage_folder();

/// The bytes of one code object's instructions, shared with all processes that use the folder.
class CoverageMarks {
 public:
  /// Null without a folder. Throws LoadError if the folder cannot be written.
  static std::unique_ptr<CoverageMarks> open(std::span<const std::byte> image, const std::string& label,
                                             std::size_t instructions);
  ~CoverageMarks();
  CoverageMarks(const CoverageMarks&) = delete;
  CoverageMarks& operator=(const CoverageMarks&) = delete;

  std::uint8_t* marks() const { return marks_; }

 private:
  CoverageMarks(void* mapping, std::size_t size);
  void* mapping_;
  std::size_t size_;
  std::uint8_t* marks_;
};

/// Writes down which kernels a module has, launched or not: a file named after its contents, with its label
/// in the first line and a kernel in each further one. Nothing without a folder.
void record_kernels(std::span<const std::byte> module, const std::string& label,
                    std::span<const std::string> kernels);

/// What the executed instructions of a code object mean in its source, one line of text after the other:
///
///     kernel  TAB name  TAB instructions TAB executed
///     line    TAB file  TAB line         TAB instructions TAB executed
///     call    TAB file  TAB line         TAB instructions TAB executed
///     function TAB name TAB file TAB line TAB instructions TAB executed
///     unknown TAB instructions TAB executed
///
/// A "line" counts the instructions that the compiler made of that line, a "call" those of the functions that
/// it inlined there. A function's line is the first that has code. "unknown" are those without a source line.
/// `executed` has one byte for each instruction. Throws LoadError.
void describe_coverage(std::span<const std::byte> image, std::span<const std::uint8_t> executed,
                       const std::function<void(const std::string&)>& write);

}  // namespace virtual_rocm::engine
