// SPDX-License-Identifier: MIT
//
// Modules, launches, and the functions that compiled host code calls to register its kernels.
#include <dlfcn.h>

#include <cstring>
#include <vector>

#include "runtime/device.hpp"
#include "runtime/hip/abi.hpp"
#include "runtime/hip/stream_handle.hpp"
#include "runtime/launch.hpp"
#include "runtime/module.hpp"

using namespace virtual_rocm;
using hip::call;
using hip::require;

namespace {

Module* module_of(hipModule_t handle) { return reinterpret_cast<Module*>(handle); }
Function* function_of(hipFunction_t handle) { return reinterpret_cast<Function*>(handle); }

// The arguments of a launch: an array of pointers, or a buffer that is laid out already.
std::vector<std::byte> collect_arguments(const engine::Kernel& kernel, void** parameters, void** extra) {
  if (!extra) {
    require(parameters || kernel.explicit_size == 0, "the kernel has arguments, and none are given");
    return engine::pack_arguments(kernel, parameters);
  }
  require(!parameters, "kernelParams and extra are both given");
  constexpr std::uintptr_t kPointer = 1, kSize = 2, kEnd = 3;
  const void* buffer = nullptr;
  std::size_t size = 0;
  for (void** item = extra; reinterpret_cast<std::uintptr_t>(*item) != kEnd; item += 2) {
    const auto key = reinterpret_cast<std::uintptr_t>(item[0]);
    require(key == kPointer || key == kSize, "extra has an unknown key");
    if (key == kPointer) buffer = item[1];
    if (key == kSize) size = *static_cast<const std::size_t*>(item[1]);
  }
  std::vector<std::byte> bytes(std::max<std::size_t>(kernel.explicit_size, 0));
  require(buffer || bytes.empty(), "extra has no buffer");
  if (buffer) std::memcpy(bytes.data(), buffer, std::min(size, bytes.size()));
  return bytes;
}

void launch(const LoadedKernel& loaded, engine::Dimensions grid, engine::Dimensions block, std::size_t lds,
            hipStream_t stream, void** parameters, void** extra) {
  LaunchRequest request;
  request.loaded = loaded;
  request.grid = grid;
  request.block = block;
  request.dynamic_lds = lds;
  check_launch(request);
  request.arguments = collect_arguments(*loaded.kernel, parameters, extra);
  const int device = current_device();
  hip::submit(stream, [device, request = std::move(request)] { run_launch(device, request); });
}

// The library that holds an address, for messages.
std::string library_of(const void* address) {
  Dl_info info{};
  if (::dladdr(address, &info) == 0 || !info.dli_fname) return "embedded code object";
  const std::string path = info.dli_fname;
  return path.substr(path.rfind('/') + 1);
}

struct CallConfiguration {
  dim3 grid, block;
  std::size_t lds;
  hipStream_t stream;
};
std::vector<CallConfiguration>& call_configurations() {
  thread_local std::vector<CallConfiguration> stack;
  return stack;
}

struct FatBinaryWrapper {
  std::uint32_t magic;
  std::uint32_t version;
  const void* binary;
  const void* unused;
};
constexpr std::uint32_t kWrapperMagic = 0x48495046;  // "HIPF"

}  // namespace

VIRTUAL_ROCM_HIP hipError_t hipModuleLoad(hipModule_t* module, const char* path) {
  return call("hipModuleLoad", [&] {
    require(module && path, "a pointer is null");
    *module = reinterpret_cast<hipModule_t>(modules().load_file(path));
  });
}

VIRTUAL_ROCM_HIP hipError_t hipModuleLoadData(hipModule_t* module, const void* image) {
  return call("hipModuleLoadData", [&] {
    require(module && image, "a pointer is null");
    *module = reinterpret_cast<hipModule_t>(modules().load_data(image, "code object in memory"));
  });
}

VIRTUAL_ROCM_HIP hipError_t hipModuleLoadDataEx(hipModule_t* module, const void* image, unsigned, int*,
                                                void**) {
  return hipModuleLoadData(module, image);
}

VIRTUAL_ROCM_HIP hipError_t hipModuleUnload(hipModule_t module) {
  return call("hipModuleUnload", [&] {
    streams().synchronize_device(current_device());
    modules().unload(module_of(module));
  });
}

VIRTUAL_ROCM_HIP hipError_t hipModuleGetFunction(hipFunction_t* function, hipModule_t module,
                                                 const char* name) {
  return call("hipModuleGetFunction", [&] {
    require(function && name, "a pointer is null");
    *function = reinterpret_cast<hipFunction_t>(modules().check(module_of(module)).function(name));
  });
}

VIRTUAL_ROCM_HIP hipError_t hipModuleGetGlobal(hipDeviceptr_t* pointer, std::size_t* bytes,
                                               hipModule_t module, const char* name) {
  return call("hipModuleGetGlobal", [&] {
    require(name, "the name is null");
    const auto& variable = modules().check(module_of(module)).global(name);
    if (pointer) *pointer = hip::pointer_to(variable.address);
    if (bytes) *bytes = variable.size;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipModuleLaunchKernel(hipFunction_t function, unsigned grid_x, unsigned grid_y,
                                                  unsigned grid_z, unsigned block_x, unsigned block_y,
                                                  unsigned block_z, unsigned lds, hipStream_t stream,
                                                  void** parameters, void** extra) {
  return call<hip::Answer::of_the_call_alone>("hipModuleLaunchKernel", [&] {
    launch(modules().kernel(function_of(function)), {grid_x, grid_y, grid_z}, {block_x, block_y, block_z},
           lds, stream, parameters, extra);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipModuleLaunchCooperativeKernel(hipFunction_t function, unsigned grid_x,
                                                             unsigned grid_y, unsigned grid_z,
                                                             unsigned block_x, unsigned block_y,
                                                             unsigned block_z, unsigned lds,
                                                             hipStream_t stream, void** parameters) {
  return hipModuleLaunchKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, lds, stream,
                               parameters, nullptr);
}

VIRTUAL_ROCM_HIP hipError_t hipFuncGetAttribute(int* value, int attribute, hipFunction_t function) {
  return call("hipFuncGetAttribute", [&] {
    require(value, "the result pointer is null");
    const engine::Kernel& kernel = *modules().kernel(function_of(function)).kernel;
    enum { kMaxThreads, kShared, kConst, kLocal, kRegisters, kPtx, kBinary, kCache, kMaxDynamicShared };
    switch (attribute) {
      case kMaxThreads:
        *value = static_cast<int>(kernel.maximum_block_size);
        break;
      case kShared:
        *value = static_cast<int>(kernel.lds_size);
        break;
      case kLocal:
        *value = static_cast<int>(kernel.scratch_size);
        break;
      case kRegisters:
        *value = static_cast<int>(kernel.vgpr_count);
        break;
      case kMaxDynamicShared:
        *value = device_facts().lds_per_block - static_cast<int>(kernel.lds_size);
        break;
      case kConst:
      case kCache:
        *value = 0;
        break;
      case kPtx:
      case kBinary:
        *value = 94;
        break;
      default:
        throw fail(ErrorCode::invalid_value, "attribute ", attribute);
    }
  });
}

VIRTUAL_ROCM_HIP hipError_t hipFuncGetAttributes(hipFuncAttributes* attributes, const void* function) {
  return call("hipFuncGetAttributes", [&] {
    require(attributes, "the result pointer is null");
    const LoadedKernel loaded = modules().kernel_of(function);
    const engine::Kernel& kernel = *loaded.kernel;
    *attributes = {};
    attributes->binaryVersion = 94;
    attributes->ptxVersion = 94;
    attributes->localSizeBytes = kernel.scratch_size;
    attributes->sharedSizeBytes = kernel.lds_size;
    attributes->maxDynamicSharedSizeBytes = device_facts().lds_per_block - static_cast<int>(kernel.lds_size);
    attributes->maxThreadsPerBlock = static_cast<int>(kernel.maximum_block_size);
    attributes->numRegs = static_cast<int>(kernel.vgpr_count);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipFuncSetAttribute(const void*, int, int) {
  return call("hipFuncSetAttribute", [] {});  // every launch may have all of the LDS; there are no carve-outs
}

VIRTUAL_ROCM_HIP hipError_t hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks,
                                                                               hipFunction_t function,
                                                                               int block_size,
                                                                               std::size_t lds) {
  return call("hipModuleOccupancyMaxActiveBlocksPerMultiprocessor", [&] {
    require(blocks && block_size > 0, "no block size");
    *blocks = occupancy(*modules().kernel(function_of(function)).kernel, block_size, lds);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                                         int block_size, std::size_t lds) {
  return call("hipOccupancyMaxActiveBlocksPerMultiprocessor", [&] {
    require(blocks && block_size > 0, "no block size");
    *blocks = occupancy(*modules().kernel_of(function).kernel, block_size, lds);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipLaunchKernel(const void* function, dim3 grid, dim3 block, void** parameters,
                                            std::size_t lds, hipStream_t stream) {
  return call<hip::Answer::of_the_call_alone>("hipLaunchKernel", [&] {
    launch(modules().kernel_of(function), {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, lds, stream,
           parameters, nullptr);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block,
                                                       void** parameters, unsigned lds, hipStream_t stream) {
  return hipLaunchKernel(function, grid, block, parameters, lds, stream);
}

VIRTUAL_ROCM_HIP hipError_t hipGetSymbolAddress(void** pointer, const void* symbol) {
  return call("hipGetSymbolAddress", [&] {
    require(pointer, "the result pointer is null");
    *pointer = hip::pointer_to(modules().variable_of(symbol).address);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipGetSymbolSize(std::size_t* bytes, const void* symbol) {
  return call("hipGetSymbolSize", [&] {
    require(bytes, "the result pointer is null");
    *bytes = modules().variable_of(symbol).size;
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemcpyToSymbol(const void* symbol, const void* source, std::size_t bytes,
                                              std::size_t offset, int) {
  return call("hipMemcpyToSymbol", [&] {
    const auto variable = modules().variable_of(symbol);
    require(source && offset <= variable.size && bytes <= variable.size - offset,
            "beyond the variable's end");
    hip::synchronize(nullptr);
    std::memcpy(hip::pointer_to(variable.address + offset), source, bytes);
  });
}

VIRTUAL_ROCM_HIP hipError_t hipMemcpyFromSymbol(void* target, const void* symbol, std::size_t bytes,
                                                std::size_t offset, int) {
  return call("hipMemcpyFromSymbol", [&] {
    const auto variable = modules().variable_of(symbol);
    require(target && offset <= variable.size && bytes <= variable.size - offset,
            "beyond the variable's end");
    hip::synchronize(nullptr);
    std::memcpy(target, hip::pointer_to(variable.address + offset), bytes);
  });
}

// --- What host code that clang compiled calls
// -------------------------------------------------------------------

VIRTUAL_ROCM_HIP void** __hipRegisterFatBinary(const void* data) {
  const auto* wrapper = static_cast<const FatBinaryWrapper*>(data);
  if (!wrapper || wrapper->magic != kWrapperMagic) {
    log_line("__hipRegisterFatBinary: not a fat binary wrapper");
    return nullptr;
  }
  return modules().register_fat_binary(wrapper->binary, library_of(data));
}

VIRTUAL_ROCM_HIP void __hipUnregisterFatBinary(void** handle) {
  if (handle) modules().unregister_fat_binary(handle);
}

VIRTUAL_ROCM_HIP void __hipRegisterFunction(void** handle, const void* host_function, char*,
                                            const char* device_name, unsigned, void*, void*, dim3*, dim3*,
                                            int*) {
  if (handle) modules().register_kernel(handle, host_function, device_name);
}

VIRTUAL_ROCM_HIP void __hipRegisterVar(void** handle, void* variable, char*, char* device_name, int,
                                       std::size_t bytes, int, int) {
  if (handle) modules().register_variable(handle, variable, device_name, bytes);
}

VIRTUAL_ROCM_HIP hipError_t __hipPushCallConfiguration(dim3 grid, dim3 block, std::size_t lds,
                                                       hipStream_t stream) {
  call_configurations().push_back({grid, block, lds, stream});
  return 0;
}

VIRTUAL_ROCM_HIP hipError_t __hipPopCallConfiguration(dim3* grid, dim3* block, std::size_t* lds,
                                                      hipStream_t* stream) {
  return call("__hipPopCallConfiguration", [&] {
    require(!call_configurations().empty(), "no call is configured", ErrorCode::missing_configuration);
    const CallConfiguration top = call_configurations().back();
    call_configurations().pop_back();
    *grid = top.grid;
    *block = top.block;
    *lds = top.lds;
    *stream = top.stream;
  });
}

VIRTUAL_ROCM_HIP const char* hipKernelNameRefByPtr(const void* host_function, hipStream_t) {
  thread_local std::string name;
  name = modules().name_of(host_function);
  return name.c_str();
}
