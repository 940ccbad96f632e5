// SPDX-License-Identifier: MIT
//
// Puts a framework's tensors into device memory, with exact bounds.
//
// The torch bridge keeps "cuda" tensors on the host, where torch's CPU allocator (in libc10) takes memory
// from posix_memalign. Loaded by LD_PRELOAD, this library answers that call with memory of the virtual
// device: only for the libraries that VIRTUAL_ROCM_TENSOR_LIBRARIES names (default: libc10.so), and only
// while the thread says that what it makes belongs on the device (the bridge knows; VIRTUAL_ROCM_TENSORS=all
// says it always). The tensor is then in the allocation map, so kernels may touch it and an access past its
// end is found, and a peer can open it through IPC. The end of a tensor is seen in free(), by the address.
// Everything else goes to the C library untouched.
#include <dlfcn.h>
#include <link.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

extern "C" void __libc_free(void*);

namespace {

using Allocate = void* (*)(std::size_t, std::size_t);
using Release = int (*)(void*);
using Memalign = int (*)(void**, std::size_t, std::size_t);

struct Text {
  std::uintptr_t begin = 0, end = 0;
};
constexpr int kMostLibraries = 4;
Text libraries[kMostLibraries];
std::atomic<int> library_count{0};
std::atomic<unsigned long long> seen_libraries{0};  // dl_phdr_info::dlpi_adds of the last scan

Allocate allocate = nullptr;
Release release = nullptr;
std::atomic<bool> runtime_ready{false};

// Addresses that the runtime ever gave out lie in here; free() must not cost more than two comparisons.
std::atomic<std::uintptr_t> lowest{UINTPTR_MAX}, highest{0};

bool all_tensors() {
  static const bool all = [] {
    const char* value = std::getenv("VIRTUAL_ROCM_TENSORS");
    return value && std::strcmp(value, "all") == 0;
  }();
  return all;
}

thread_local int on_device = 0;

bool named(const char* path) {
  const char* wanted = std::getenv("VIRTUAL_ROCM_TENSOR_LIBRARIES");
  if (!wanted) wanted = "libc10.so";
  const char* slash = std::strrchr(path, '/');
  const char* name = slash ? slash + 1 : path;
  const std::size_t length = std::strlen(name);
  for (const char* item = wanted; *item;) {
    const char* end = std::strchr(item, ':');
    const std::size_t item_length = end ? static_cast<std::size_t>(end - item) : std::strlen(item);
    if (length == item_length && std::memcmp(name, item, length) == 0) return true;
    item += item_length + (end ? 1 : 0);
  }
  return false;
}

int visit(dl_phdr_info* info, std::size_t, void*) {
  if (!info->dlpi_name || !named(info->dlpi_name)) return 0;
  for (int index = 0; index < info->dlpi_phnum; ++index) {
    const auto& segment = info->dlpi_phdr[index];
    if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X)) continue;
    const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
    const int count = library_count.load();
    for (int known = 0; known < count; ++known)
      if (libraries[known].begin == begin) return 0;
    if (count < kMostLibraries) {
      libraries[count] = {begin, begin + segment.p_memsz};
      library_count.store(count + 1);
    }
  }
  return 0;
}

unsigned long long loaded_libraries() {
  unsigned long long adds = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* result) {
        *static_cast<unsigned long long*>(result) = info->dlpi_adds;
        return 1;
      },
      &adds);
  return adds;
}

bool from_framework(std::uintptr_t caller) {
  // Only asked for tensors of the device, so a look at whether the loader has something new costs little.
  if (const auto adds = loaded_libraries(); adds != seen_libraries.load()) {
    dl_iterate_phdr(visit, nullptr);
    seen_libraries.store(adds);
  }
  for (int index = 0; index < library_count.load(); ++index)
    if (caller >= libraries[index].begin && caller < libraries[index].end) return true;
  return false;
}

bool load_runtime() {
  if (runtime_ready.load(std::memory_order_acquire)) return allocate != nullptr;
  void* library = dlopen("libamdhip64.so.7", RTLD_NOW | RTLD_GLOBAL);
  if (library) {
    allocate = reinterpret_cast<Allocate>(dlsym(library, "virtual_rocm_tensor_allocate"));
    release = reinterpret_cast<Release>(dlsym(library, "virtual_rocm_tensor_free"));
    if (!release) allocate = nullptr;  // somebody else's libamdhip64: leave tensors alone
  }
  runtime_ready.store(true, std::memory_order_release);
  return allocate != nullptr;
}

void remember(std::uintptr_t begin, std::uintptr_t end) {
  for (auto low = lowest.load(); begin < low && !lowest.compare_exchange_weak(low, begin);) {
  }
  for (auto high = highest.load(); end > high && !highest.compare_exchange_weak(high, end);) {
  }
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int posix_memalign(void** pointer, std::size_t alignment,
                                                                     std::size_t size) noexcept {
  static const auto next = reinterpret_cast<Memalign>(dlsym(RTLD_NEXT, "posix_memalign"));
  const auto caller = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  if (size > 0 && (on_device || all_tensors()) && from_framework(caller) && load_runtime()) {
    if (void* memory = allocate(size, alignment)) {
      const auto begin = reinterpret_cast<std::uintptr_t>(memory);
      remember(begin, begin + size);
      *pointer = memory;
      return 0;
    }
    return ENOMEM;
  }
  return next(pointer, alignment, size);
}

/// Whether tensors that this thread makes from now on belong on the device. Returns what held before.
extern "C" __attribute__((visibility("default"))) int virtual_rocm_tensors_on_device(int on) {
  const int before = on_device;
  on_device = on;
  return before;
}

extern "C" __attribute__((visibility("default"))) void free(void* pointer) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  if (address >= lowest.load(std::memory_order_relaxed) &&
      address < highest.load(std::memory_order_relaxed) && release && release(pointer))
    return;
  __libc_free(pointer);
}
