// SPDX-License-Identifier: MIT
#include "engine/coverage.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "engine/code_object.hpp"

namespace virtual_rocm::engine {
namespace {

// A name for contents: FNV-1a, and the size. Nobody makes these collide on purpose.
std::string name_of(std::span<const std::byte> contents) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte byte : contents) hash = (hash ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3;
  char text[40];
  std::snprintf(text, sizeof text, "%016llx-%zx", static_cast<unsigned long long>(hash), contents.size());
  return text;
}

[[noreturn]] void refuse(const std::string& path) {
  throw LoadError("VIRTUAL_ROCM_COVERAGE: cannot write " + path + ": " + std::strerror(errno) +
                  "; name a folder that can be written, or unset it");
}

void make_folders(const std::string& path) {
  for (std::size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1))
    ::mkdir(path.substr(0, end).c_str(), 0777);
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) refuse(path);
}

// Processes race to write the same contents: each writes aside, and the last rename counts.
void write_whole(const std::string& path, std::string_view contents) {
  if (::access(path.c_str(), F_OK) == 0) return;
  static std::atomic<unsigned> number{0};
  const std::string aside = path + "." + std::to_string(::getpid()) + "." + std::to_string(++number);
  std::FILE* const file = std::fopen(aside.c_str(), "wbe");
  if (file == nullptr) refuse(aside);
  const bool written = std::fwrite(contents.data(), 1, contents.size(), file) == contents.size();
  if (std::fclose(file) != 0 || !written || std::rename(aside.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    ::unlink(aside.c_str());
    errno = reason;
    refuse(path);
  }
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

const std::string& coverage_folder() {
  static const std::string folder = [] {
    const char* value = std::getenv("VIRTUAL_ROCM_COVERAGE");
    return std::string(value == nullptr ? "" : value);
  }();
  return folder;
}

std::unique_ptr<CoverageMarks> CoverageMarks::open(std::span<const std::byte> image, const std::string& label,
                                                   std::size_t instructions) {
  const std::string& folder = coverage_folder();
  if (folder.empty()) return nullptr;
  make_folders(folder);
  const std::string base = folder + "/" + name_of(image);
  write_whole(base + ".code", as_text(image));

  const std::string path = base + ".executed";
  const std::size_t size = sizeof(CoverageHeader) + instructions;
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) refuse(path);
  void* mapping = MAP_FAILED;
  if (::ftruncate(descriptor, static_cast<off_t>(size)) == 0)
    mapping = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  const int reason = errno;
  ::close(descriptor);
  errno = reason;
  if (mapping == MAP_FAILED) refuse(path);
  std::unique_ptr<CoverageMarks> made(new CoverageMarks(mapping, size));

  CoverageHeader header{};
  std::memcpy(header.magic, kCoverageMagic, sizeof header.magic);
  header.count = instructions;
  std::memcpy(header.label, label.data(), std::min(label.size(), sizeof header.label - 1));
  std::memcpy(mapping, &header, sizeof header);  // the same bytes from every process
  return made;
}

CoverageMarks::CoverageMarks(void* mapping, std::size_t size)
    : mapping_(mapping), size_(size), marks_(static_cast<std::uint8_t*>(mapping) + sizeof(CoverageHeader)) {}

CoverageMarks::~CoverageMarks() { ::munmap(mapping_, size_); }

void record_kernels(std::span<const std::byte> module, const std::string& label,
                    std::span<const std::string> kernels) {
  const std::string& folder = coverage_folder();
  if (folder.empty()) return;
  make_folders(folder);
  std::string text = label + "\n";
  for (const std::string& kernel : kernels) text += kernel + "\n";
  write_whole(folder + "/" + name_of(module) + ".kernels", text);
}

}  // namespace virtual_rocm::engine
