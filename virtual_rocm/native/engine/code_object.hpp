// SPDX-License-Identifier: MIT
//
// AMDGPU code objects: ELF images with kernels, loaded into memory of this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine/fault.hpp"
#include "isa/architecture.hpp"

namespace virtual_rocm::engine {

/// A code object that cannot be loaded or a kernel that cannot run; what() says why and what to do.
class LoadError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// One entry of a kernel's argument list, from the metadata note.
struct KernelArgument {
  std::string name;
  std::string value_kind;  ///< "by_value", "global_buffer", "hidden_block_count_x" …
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  bool hidden() const { return value_kind.starts_with("hidden_"); }
};

/// The part of a kernel that a launch needs. Lives as long as its code object.
struct Kernel {
  std::string name;                       ///< as the program knows it (no ".kd")
  std::vector<KernelArgument> arguments;  ///< in order of offset; hidden ones last
  std::uint32_t kernarg_size = 0;         ///< explicit and hidden
  std::uint32_t explicit_size = 0;        ///< end of the last explicit argument
  std::uint32_t lds_size = 0;             ///< static LDS, bytes
  std::uint32_t scratch_size = 0;         ///< bytes for each lane, without dynamic stack
  bool dynamic_stack = false;
  std::uint32_t maximum_block_size = 1024;  ///< threads
  std::uint32_t vgpr_count = 0;             ///< VGPRs and AGPRs together, as allocated
  std::uint32_t accumulator_offset = 0;     ///< how many of them are VGPRs
  std::uint32_t agpr_count = 0;
  std::uint32_t sgpr_count = 0;
  std::uint32_t resource1 = 0;  ///< COMPUTE_PGM_RSRC1
  std::uint32_t resource2 = 0;
  std::uint32_t resource3 = 0;
  std::uint16_t properties = 0;  ///< kernel_code_properties
  std::uint32_t kernarg_preload = 0;
  std::uint64_t descriptor = 0;  ///< address of the descriptor in this process
  std::uint64_t entry = 0;       ///< address of the first instruction in this process
  std::vector<std::string>
      refused;  ///< instructions it would need that the engine cannot execute, with their pc
};

struct GlobalVariable {
  std::string name;
  std::uint64_t address = 0;
  std::uint64_t size = 0;
};

/// What the virtual device is: VIRTUAL_ROCM_ARCHITECTURE, or gfx942. Throws LoadError that names the
/// variable.
isa::Architecture device_architecture();

/// Finds the code object for the device in what a program hands over: an ELF image itself, or an uncompressed
/// clang offload bundle. Throws LoadError that lists the targets that are there.
std::span<const std::byte> select_code_object(std::span<const std::byte> image);

/// The same for an image whose size only its own headers know (__hipRegisterFatBinary).
std::span<const std::byte> select_code_object(const void* image);

/// Gives the address of a symbol that a code object leaves undefined (a variable of another code object), or
/// nothing.
using SymbolResolver = std::function<std::optional<std::uint64_t>(const std::string& name)>;

/// Loaded segments, kernels and globals. Immutable once loaded; the globals' memory is the program's to
/// change. Its memory is in process_allocations() (kind code_object) until it is destroyed.
class CodeObject {
 public:
  /// `label` names it in reports (a file name). Throws LoadError, also for an undefined symbol that is not
  /// resolved.
  static std::shared_ptr<const CodeObject> load(std::span<const std::byte> image, std::string label,
                                                const SymbolResolver& resolver = {});
  virtual ~CodeObject() = default;

  virtual const std::string& label() const = 0;
  virtual const std::vector<Kernel>& kernels() const = 0;
  virtual const std::vector<GlobalVariable>& globals() const = 0;
  /// Null if there is none. `name` as in the symbol table ("_Z3addPf").
  virtual const Kernel* find_kernel(std::string_view name) const = 0;
  virtual const GlobalVariable* find_global(std::string_view name) const = 0;
  /// Source lines of an address in this process, innermost first; empty without debug information.
  virtual std::vector<SourceLocation> locate(std::uint64_t address) const = 0;
};

}  // namespace virtual_rocm::engine
