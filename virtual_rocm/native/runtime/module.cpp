// SPDX-License-Identifier: MIT
#include "runtime/module.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "abi/kernel_container.hpp"
#include "engine/coverage.hpp"
#include "runtime/hip_error.hpp"
#include "runtime/process.hpp"

namespace virtual_rocm {

namespace {

// One code object: everything is there from the start.
class WholeCodeObject : public KernelSource {
 public:
  explicit WholeCodeObject(std::shared_ptr<const engine::CodeObject> code) : code_(std::move(code)) {}
  bool has_kernel(const std::string& name) const override { return code_->find_kernel(name) != nullptr; }
  LoadedKernel kernel(const std::string& name) override { return {code_, code_->find_kernel(name), nullptr}; }
  const engine::GlobalVariable* global(const std::string& name) override { return code_->find_global(name); }

 private:
  std::shared_ptr<const engine::CodeObject> code_;
};

// What our hipcc writes: variables in one object, each kernel in one of its own that may still have to be
// compiled.
class CompiledOnDemand : public KernelSource {
 public:
  CompiledOnDemand(std::span<const std::byte> image, const std::string& label)
      : container_(image), label_(label) {
    std::vector<std::string> names;
    for (const auto& [name, file] : container_.kernels()) names.push_back(name);
    engine::record_kernels(image, label, names);
    if (!container_.data_object().empty())
      variables_ = engine::CodeObject::load(container_.data_object(), label);
  }
  bool has_kernel(const std::string& name) const override { return container_.has_kernel(name); }
  LoadedKernel kernel(const std::string& name) override {
    auto& code = kernels_[name];
    if (!code) {
      const std::vector<std::byte> bytes = container_.code_object(name);
      code = engine::CodeObject::load(bytes, label_,
                                      [this](const std::string& symbol) { return address_of(symbol); });
    }
    return {code, code->find_kernel(name), variables_};
  }
  const engine::GlobalVariable* global(const std::string& name) override {
    return variables_ ? variables_->find_global(name) : nullptr;
  }

 private:
  std::optional<std::uint64_t> address_of(const std::string& symbol) {
    const auto* variable = global(symbol);
    return variable ? std::optional(variable->address) : std::nullopt;
  }

  abi::KernelContainer container_;
  std::string label_;
  std::shared_ptr<const engine::CodeObject> variables_;
  std::map<std::string, std::shared_ptr<const engine::CodeObject>> kernels_;
};

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw fail(ErrorCode::file_not_found, "cannot read ", path);
  std::vector<std::byte> bytes(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) throw fail(ErrorCode::file_not_found, "cannot read all of ", path);
  return bytes;
}

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::unique_ptr<KernelSource> open_image(std::span<const std::byte> image, const std::string& label) {
  if (abi::KernelContainer::recognise(image)) return std::make_unique<CompiledOnDemand>(image, label);
  return std::make_unique<WholeCodeObject>(
      engine::CodeObject::load(engine::select_code_object(image), label));
}

Function* Module::function(const std::string& name) {
  std::lock_guard lock(mutex_);
  auto& slot = functions_[name];
  if (!slot) {
    if (!source_->has_kernel(name)) {
      functions_.erase(name);
      throw fail(ErrorCode::not_found, "the module has no kernel ", name);
    }
    slot = std::make_unique<Function>(Function{this, name, {}});
  }
  return slot.get();
}

const LoadedKernel& Module::load(Function& function) {
  std::lock_guard lock(mutex_);
  if (!function.loaded.kernel) function.loaded = source_->kernel(function.name);
  return function.loaded;
}

const engine::GlobalVariable& Module::global(const std::string& name) {
  std::lock_guard lock(mutex_);
  const auto* found = source_->global(name);
  if (!found) throw fail(ErrorCode::not_found, "the module has no variable ", name);
  return *found;
}

Module* ModuleRegistry::load_file(const std::string& path) {
  auto source = open_image(read_file(path), file_name(path));
  std::lock_guard lock(mutex_);
  return modules_.emplace_back(std::make_unique<Module>(std::move(source))).get();
}

Module* ModuleRegistry::load_data(const void* image, const std::string& label) {
  const std::span head(static_cast<const std::byte*>(image), abi::kContainerMagic.size());
  auto source = abi::KernelContainer::recognise(head)
                    ? open_image({head.data(), abi::KernelContainer::size_of(image)}, label)
                    : open_image(engine::select_code_object(image), label);
  std::lock_guard lock(mutex_);
  return modules_.emplace_back(std::make_unique<Module>(std::move(source))).get();
}

void ModuleRegistry::unload(Module* module) {
  std::lock_guard lock(mutex_);
  if (std::erase_if(modules_, [&](const auto& owned) { return owned.get() == module; }) == 0)
    throw fail(ErrorCode::invalid_handle, "not a module, or one that was unloaded");
}

Module& ModuleRegistry::check(Module* module) {
  std::lock_guard lock(mutex_);
  if (std::none_of(modules_.begin(), modules_.end(),
                   [&](const auto& owned) { return owned.get() == module; }))
    throw fail(ErrorCode::invalid_handle, "not a module, or one that was unloaded");
  return *module;
}

const LoadedKernel& ModuleRegistry::kernel(Function* function) {
  if (!function) throw fail(ErrorCode::invalid_handle, "the function is null");
  return function->module->load(*function);
}

void** ModuleRegistry::register_fat_binary(const void* binary, const std::string& label) {
  std::lock_guard lock(mutex_);
  binaries_.push_back(std::make_unique<FatBinary>(FatBinary{binary, label, nullptr}));
  return reinterpret_cast<void**>(binaries_.back().get());
}

void ModuleRegistry::register_kernel(void** handle, const void* host_function,
                                     const std::string& device_name) {
  std::lock_guard lock(mutex_);
  kernels_[host_function] = {reinterpret_cast<FatBinary*>(handle), device_name};
}

void ModuleRegistry::register_variable(void** handle, const void* host_variable,
                                       const std::string& device_name, std::uint64_t) {
  std::lock_guard lock(mutex_);
  variables_[host_variable] = {reinterpret_cast<FatBinary*>(handle), device_name};
}

void ModuleRegistry::unregister_fat_binary(void** handle) {
  std::lock_guard lock(mutex_);
  const auto* binary = reinterpret_cast<FatBinary*>(handle);
  std::erase_if(kernels_, [&](const auto& item) { return item.second.owner == binary; });
  std::erase_if(variables_, [&](const auto& item) { return item.second.owner == binary; });
  std::erase_if(binaries_, [&](const auto& owned) { return owned.get() == binary; });
}

Module& ModuleRegistry::module_of(FatBinary& binary) {
  if (!binary.module)
    binary.module =
        std::make_unique<Module>(open_image(engine::select_code_object(binary.binary), binary.label));
  return *binary.module;
}

LoadedKernel ModuleRegistry::kernel_of(const void* host_function) {
  std::lock_guard lock(mutex_);
  const auto found = kernels_.find(host_function);
  if (found == kernels_.end())
    throw fail(ErrorCode::invalid_device_function, "the address is not a kernel that a library registered");
  Module& module = module_of(*found->second.owner);
  return module.load(*module.function(found->second.name));
}

engine::GlobalVariable ModuleRegistry::variable_of(const void* host_variable) {
  std::lock_guard lock(mutex_);
  const auto found = variables_.find(host_variable);
  if (found == variables_.end())
    throw fail(ErrorCode::invalid_symbol, "the address is not a device variable that a library registered");
  return module_of(*found->second.owner).global(found->second.name);
}

std::string ModuleRegistry::name_of(const void* host_function) {
  std::lock_guard lock(mutex_);
  const auto found = kernels_.find(host_function);
  return found == kernels_.end() ? std::string() : found->second.name;
}

ModuleRegistry& modules() {
  static ModuleRegistry* const registry = new ModuleRegistry;
  return *registry;
}

}  // namespace virtual_rocm
