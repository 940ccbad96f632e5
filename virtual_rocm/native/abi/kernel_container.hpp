// SPDX-License-Identifier: MIT
//
// Reads the kernel container that our hipcc writes in place of a code object, and gets the code object of a
// kernel.
//
// Layout, little-endian:
//
//     char     magic[8]        "VROCMLZ1"
//     uint32   section count
//     uint32   0
//     per section: char name[16] (padded with zeros), uint64 offset from the start of the file, uint64 size
//     the sections, each at a multiple of 16
//
// Sections: "properties" (lines of name=value: architecture, key, cache), "kernels" (lines of name, tab, file
// below the cache), "data" (a code object with the module's variables and no kernels; empty when it has
// none), "command" and "options" (strings that end with a zero byte), "bitcode".
//
// A module made of a container is: the data object, loaded when the module is, and one code object per
// kernel, loaded when the kernel is first launched. A kernel's code object leaves the module's variables
// undefined; they are the symbols of the data object, so all kernels and the host share one storage.
#ifndef VIRTUAL_ROCM_NATIVE_ABI_KERNEL_CONTAINER_HPP_
#define VIRTUAL_ROCM_NATIVE_ABI_KERNEL_CONTAINER_HPP_

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace virtual_rocm::abi {

inline constexpr std::string_view kContainerMagic = "VROCMLZ1";

// What went wrong with a container; the text is for people, the compiler's own message included.
class ContainerError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Keeps a copy of the file in memory that has no name in the file system: the program may delete or replace
// the file that it loaded before a kernel of it is compiled. One object per module; its functions may be
// called from any thread.
class KernelContainer {
 public:
  // Whether some bytes begin like a container.
  static bool recognise(std::span<const std::byte> bytes) {
    return bytes.size() >= kContainerMagic.size() &&
           std::memcmp(bytes.data(), kContainerMagic.data(), kContainerMagic.size()) == 0;
  }

  // The size that a container in memory has: hipModuleLoadData is given an address and no size. Throws
  // ContainerError.
  static std::size_t size_of(const void* image) {
    const auto* bytes = static_cast<const std::byte*>(image);
    const std::uint32_t count = read_at<std::uint32_t>(bytes + 8);
    if (count > kMaximumSections)
      throw ContainerError("a kernel container is damaged: it names too many sections");
    std::size_t end = kHeaderSize + count * kSectionSize;
    for (std::uint32_t number = 0; number < count; ++number) {
      const std::byte* entry = bytes + kHeaderSize + number * kSectionSize;
      const std::size_t section_end = read_at<std::uint64_t>(entry + 16) + read_at<std::uint64_t>(entry + 24);
      end = section_end > end ? section_end : end;
    }
    return end;
  }

  // Throws ContainerError when the bytes are not a whole container.
  explicit KernelContainer(std::span<const std::byte> bytes) {
    if (!recognise(bytes) || bytes.size() < kHeaderSize) throw ContainerError("not a kernel container");
    if (size_of_checked(bytes) > bytes.size()) throw ContainerError("a kernel container is cut off");
    keep(bytes);
    try {
      read_sections();
    } catch (...) {
      release();
      throw;
    }
  }
  KernelContainer(const KernelContainer&) = delete;
  KernelContainer& operator=(const KernelContainer&) = delete;
  ~KernelContainer() { release(); }

  const std::string& architecture() const { return architecture_; }

  // The code object with the module's variables; empty when there are none.
  std::span<const std::byte> data_object() const { return data_; }

  // Kernel names, each with its file below the cache.
  const std::map<std::string, std::string, std::less<>>& kernels() const { return kernels_; }
  bool has_kernel(std::string_view name) const { return kernels_.find(name) != kernels_.end(); }

  // The code object of one kernel: from the cache, or compiled now, which takes seconds. Several processes
  // that ask for the same kernel at once wait for one that compiles it. Throws ContainerError with the
  // compiler's message.
  std::vector<std::byte> code_object(std::string_view name) const {
    const auto kernel = kernels_.find(name);
    if (kernel == kernels_.end()) throw ContainerError("no kernel " + std::string(name) + " in this module");
    if (auto cached = read_file(cache_ + "/" + kernel->second)) return std::move(*cached);
    const std::string path = compile(kernel->first);
    if (auto compiled = read_file(path)) return std::move(*compiled);
    throw ContainerError("the compiler says that it wrote " + path + ", which cannot be read");
  }

 private:
  static constexpr std::size_t kHeaderSize = 16;
  static constexpr std::size_t kSectionSize = 32;
  static constexpr std::uint32_t kMaximumSections = 64;

  template <typename T>
  static T read_at(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }

  static std::size_t size_of_checked(std::span<const std::byte> bytes) {
    const std::uint32_t count = read_at<std::uint32_t>(bytes.data() + 8);
    if (count > kMaximumSections || kHeaderSize + count * kSectionSize > bytes.size()) {
      throw ContainerError("a kernel container is cut off");
    }
    return size_of(bytes.data());
  }

  void keep(std::span<const std::byte> bytes) {
    descriptor_ = memfd_create("virtual_rocm kernel container", MFD_CLOEXEC);
    size_ = bytes.size();
    void* mapped = MAP_FAILED;
    if (descriptor_ >= 0 && ftruncate(descriptor_, static_cast<off_t>(size_)) == 0) {
      mapped = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
    }
    if (mapped == MAP_FAILED) {
      const int reason = errno;
      release();
      throw ContainerError(std::string("no memory for a kernel container: ") + std::strerror(reason));
    }
    bytes_ = static_cast<std::byte*>(mapped);
    std::memcpy(bytes_, bytes.data(), size_);
  }

  void release() {
    if (bytes_ != nullptr) munmap(bytes_, size_);
    if (descriptor_ >= 0) close(descriptor_);
    bytes_ = nullptr;
    descriptor_ = -1;
  }

  std::span<const std::byte> section(std::string_view wanted) const {
    const std::uint32_t count = read_at<std::uint32_t>(bytes_ + 8);
    for (std::uint32_t number = 0; number < count; ++number) {
      const std::byte* entry = bytes_ + kHeaderSize + number * kSectionSize;
      const char* name = reinterpret_cast<const char*>(entry);
      if (std::string_view(name, strnlen(name, 16)) != wanted) continue;
      return {bytes_ + read_at<std::uint64_t>(entry + 16), read_at<std::uint64_t>(entry + 24)};
    }
    throw ContainerError("a kernel container lacks its section " + std::string(wanted));
  }

  // The parts of a section between separators; what follows the last separator is not a part.
  std::vector<std::string> parts(std::string_view name, char separator) const {
    const auto contents = section(name);
    std::string_view text(reinterpret_cast<const char*>(contents.data()), contents.size());
    std::vector<std::string> found;
    for (std::size_t end = text.find(separator); end != std::string_view::npos; end = text.find(separator)) {
      found.emplace_back(text.substr(0, end));
      text.remove_prefix(end + 1);
    }
    return found;
  }

  void read_sections() {
    data_ = section("data");
    command_ = parts("command", '\0');
    for (const std::string& line : parts("properties", '\n')) {
      const std::size_t equals = line.find('=');
      if (equals == std::string::npos) continue;
      if (line.compare(0, equals, "architecture") == 0) architecture_ = line.substr(equals + 1);
      if (line.compare(0, equals, "cache") == 0) cache_ = line.substr(equals + 1);
    }
    for (const std::string& line : parts("kernels", '\n')) {
      const std::size_t tab = line.find('\t');
      if (tab != std::string::npos) kernels_.emplace(line.substr(0, tab), line.substr(tab + 1));
    }
    for (const std::string& part : command_) {
      if (part.empty()) throw ContainerError("a kernel container names an empty compiler");
    }
    if (command_.empty()) throw ContainerError("a kernel container does not say how to compile a kernel");
  }

  static std::optional<std::vector<std::byte>> read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) return std::nullopt;
    std::vector<std::byte> contents(static_cast<std::size_t>(file.tellg()));
    file.seekg(0);
    if (!file.read(reinterpret_cast<char*>(contents.data()), static_cast<std::streamsize>(contents.size()))) {
      return std::nullopt;
    }
    return contents;
  }

  // Both of the compiler's outputs, in files without a name, so that neither fills a pipe that nobody reads.
  struct Outputs {
    int out = memfd_create("virtual_rocm compiler output", MFD_CLOEXEC);
    int messages = memfd_create("virtual_rocm compiler messages", MFD_CLOEXEC);
    Outputs() = default;
    Outputs(const Outputs&) = delete;
    Outputs& operator=(const Outputs&) = delete;
    ~Outputs() {
      if (out >= 0) close(out);
      if (messages >= 0) close(messages);
    }
    static std::string text(int descriptor) {
      std::string contents(static_cast<std::size_t>(lseek(descriptor, 0, SEEK_END)), '\0');
      const ssize_t got = pread(descriptor, contents.data(), contents.size(), 0);
      contents.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
      while (!contents.empty() && contents.back() == '\n') contents.pop_back();
      return contents;
    }
  };

  // The variables of our own process without those that belong to it alone: a preloaded library is not for
  // compilers.
  static std::vector<char*> environment_for_compiler() {
    std::vector<char*> kept;
    for (char** entry = environ; *entry != nullptr; ++entry) {
      if (std::strncmp(*entry, "LD_PRELOAD=", 11) != 0) kept.push_back(*entry);
    }
    kept.push_back(nullptr);
    return kept;
  }

  // The command that the container names; or, where that Python or package is gone, the hipcc of ROCM_PATH.
  std::vector<std::string> compiler() const {
    bool complete = true;
    for (const std::string& part : command_) {
      complete = complete && (part.front() != '/' || access(part.c_str(), R_OK) == 0);
    }
    const char* rocm = std::getenv("ROCM_PATH");
    if (complete || rocm == nullptr) return command_;
    std::string hipcc = std::string(rocm) + "/bin/hipcc";
    if (access(hipcc.c_str(), X_OK) != 0) return command_;
    return {std::move(hipcc), command_.back()};
  }

  std::string compile(const std::string& name) const {
    const Outputs outputs;
    if (outputs.out < 0 || outputs.messages < 0) throw ContainerError("no memory for the compiler's output");
    std::vector<std::string> arguments = compiler();
    arguments.push_back("/proc/self/fd/" + std::to_string(descriptor_));
    arguments.push_back(name);
    std::vector<char*> argument_pointers;
    for (std::string& argument : arguments) argument_pointers.push_back(argument.data());
    argument_pointers.push_back(nullptr);
    std::vector<char*> environment = environment_for_compiler();

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    // Onto itself: it stays open in this child, which opens it as /proc/self/fd/N, and in no other.
    posix_spawn_file_actions_adddup2(&actions, descriptor_, descriptor_);
    posix_spawn_file_actions_adddup2(&actions, outputs.out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, outputs.messages, STDERR_FILENO);
    pid_t child = 0;
    const int failed = posix_spawn(&child, arguments.front().c_str(), &actions, nullptr,
                                   argument_pointers.data(), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
      throw ContainerError("the compiler " + arguments.front() +
                           " cannot be started: " + std::strerror(failed));
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
      // ECHILD: the program ignores SIGCHLD, so the status is lost; the output tells whether it worked.
      if (errno == ECHILD) break;
      if (errno != EINTR) throw ContainerError("the compiler cannot be waited for");
    }
    const std::string path = Outputs::text(outputs.out);
    if (status != 0 || path.empty()) {
      throw ContainerError("kernel " + name + " cannot be compiled:\n" + Outputs::text(outputs.messages));
    }
    return path;
  }

  int descriptor_ = -1;
  std::byte* bytes_ = nullptr;
  std::size_t size_ = 0;
  std::span<const std::byte> data_;
  std::string architecture_;
  std::string cache_;
  std::vector<std::string> command_;
  std::map<std::string, std::string, std::less<>> kernels_;
};

}  // namespace virtual_rocm::abi

#endif  // VIRTUAL_ROCM_NATIVE_ABI_KERNEL_CONTAINER_HPP_
