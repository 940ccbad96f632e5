// SPDX-License-Identifier: MIT
//
// Modules (hipModule_t), their kernels (hipFunction_t), and the fat binaries that libraries register for
// their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/code_object.hpp"

namespace virtual_rocm {

/// A kernel, ready to launch.
struct LoadedKernel {
  std::shared_ptr<const engine::CodeObject> code_object;
  const engine::Kernel* kernel = nullptr;
  std::shared_ptr<const engine::CodeObject>
      variables;  ///< whose addresses the code holds; kept alive with it
};

/// Where a module's kernels and variables come from: one code object, or a container that compiles on demand.
class KernelSource {
 public:
  virtual ~KernelSource() = default;
  virtual bool has_kernel(const std::string& name) const = 0;
  /// May take long (it may compile). Throws HipError or engine::LoadError.
  virtual LoadedKernel kernel(const std::string& name) = 0;
  /// Null if there is none.
  virtual const engine::GlobalVariable* global(const std::string& name) = 0;
};

/// Reads what a program hands over: an ELF code object, an offload bundle, a lazy container. `label` is its
/// file name.
std::unique_ptr<KernelSource> open_image(std::span<const std::byte> image, const std::string& label);

class Module;

/// What hipFunction_t points to.
struct Function {
  Module* module;
  std::string name;
  LoadedKernel loaded;  ///< empty until it is first needed
};

/// What hipModule_t points to.
class Module {
 public:
  explicit Module(std::unique_ptr<KernelSource> source) : source_(std::move(source)) {}
  /// Throws HipError(not_found).
  Function* function(const std::string& name);
  const LoadedKernel& load(Function& function);
  /// Throws HipError(not_found).
  const engine::GlobalVariable& global(const std::string& name);

 private:
  std::mutex mutex_;
  std::unique_ptr<KernelSource> source_;
  std::map<std::string, std::unique_ptr<Function>> functions_;
};

/// Every module and fat binary of the process.
class ModuleRegistry {
 public:
  Module* load_file(const std::string& path);
  /// `image` has no size of its own: its headers tell.
  Module* load_data(const void* image, const std::string& label);
  /// Throws HipError(invalid_handle).
  void unload(Module* module);
  Module& check(Module* module);
  /// Throws HipError(invalid_handle) if it is not a function of a loaded module.
  const LoadedKernel& kernel(Function* function);

  // --- kernels embedded in libraries -------------------------------------------------------------
  /// `binary` is what the wrapper points to; loaded when something of it is first used.
  void** register_fat_binary(const void* binary, const std::string& label);
  void register_kernel(void** handle, const void* host_function, const std::string& device_name);
  void register_variable(void** handle, const void* host_variable, const std::string& device_name,
                         std::uint64_t size);
  void unregister_fat_binary(void** handle);
  /// Throws HipError(invalid_device_function).
  LoadedKernel kernel_of(const void* host_function);
  /// Throws HipError(invalid_symbol).
  engine::GlobalVariable variable_of(const void* host_variable);
  /// The name for reports; empty if it is not registered.
  std::string name_of(const void* host_function);

 private:
  struct FatBinary {
    const void* binary;
    std::string label;
    std::unique_ptr<Module> module;
  };
  struct Registered {
    FatBinary* owner;
    std::string name;
  };
  Module& module_of(FatBinary& binary);

  std::recursive_mutex mutex_;  // loading a module may run initialisers that register
  std::vector<std::unique_ptr<Module>> modules_;
  std::vector<std::unique_ptr<FatBinary>> binaries_;
  std::map<const void*, Registered> kernels_;
  std::map<const void*, Registered> variables_;
};

ModuleRegistry& modules();

}  // namespace virtual_rocm
