// SPDX-License-Identifier: MIT
//
// Finding the code object for this device in what a program hands over.
#include <elf.h>

#include <cstring>

#include "engine/code_object.hpp"

namespace virtual_rocm::engine {
namespace {

constexpr std::string_view kBundleMagic = "__CLANG_OFFLOAD_BUNDLE__";
constexpr std::string_view kCompressedMagic = "CCOB";
constexpr std::uint64_t kUnknownSize = ~std::uint64_t{0};

// Reads from an image whose end may be unknown (then its own headers are trusted).
class Image {
 public:
  Image(const std::byte* data, std::uint64_t size) : data_(data), size_(size) {}

  bool holds(std::uint64_t offset, std::uint64_t bytes) const {
    return offset <= size_ && bytes <= size_ - offset;
  }

  bool begins_with(std::string_view text) const {
    return holds(0, text.size()) && std::memcmp(data_, text.data(), text.size()) == 0;
  }

  std::uint64_t word(std::uint64_t offset) const {
    std::uint64_t value = 0;
    std::memcpy(&value, at(offset, sizeof value), sizeof value);
    return value;
  }

  const std::byte* at(std::uint64_t offset, std::uint64_t bytes) const {
    if (!holds(offset, bytes)) throw LoadError("the code object image is cut short");
    return data_ + offset;
  }

  std::uint64_t size() const { return size_; }

 private:
  const std::byte* data_;
  std::uint64_t size_;
};

// "hipv4-amdgcn-amd-amdhsa--gfx942:sramecc+:xnack-" → "gfx942"
std::string_view processor_of(std::string_view target) {
  const std::size_t begin = target.rfind("gfx");
  if (begin == std::string_view::npos) return {};
  return target.substr(begin, target.find(':', begin) - begin);
}

// The end of the last thing that the ELF headers place in the file.
std::uint64_t elf_size(const Image& image) {
  Elf64_Ehdr header;
  std::memcpy(&header, image.at(0, sizeof header), sizeof header);
  std::uint64_t end = header.e_shoff + std::uint64_t{header.e_shnum} * header.e_shentsize;
  for (unsigned index = 0; index < header.e_shnum; ++index) {
    Elf64_Shdr section;
    std::memcpy(&section,
                image.at(header.e_shoff + std::uint64_t{index} * header.e_shentsize, sizeof section),
                sizeof section);
    if (section.sh_type != SHT_NOBITS)
      end = std::max<std::uint64_t>(end, section.sh_offset + section.sh_size);
  }
  return end;
}

std::span<const std::byte> select(const Image& image) {
  if (image.begins_with(kCompressedMagic))
    throw LoadError(
        "the offload bundle is compressed (CCOB), which the virtual device cannot read; build it with "
        "--no-offload-compress");
  if (image.begins_with(std::string_view(ELFMAG, SELFMAG))) {
    const std::uint64_t size = image.size() == kUnknownSize ? elf_size(image) : image.size();
    return {image.at(0, size), size};
  }
  if (!image.begins_with(kBundleMagic))
    throw LoadError("the image is neither an ELF code object nor a clang offload bundle");

  std::string targets;
  std::uint64_t position = kBundleMagic.size();
  const std::uint64_t count = image.word(position);
  position += sizeof count;
  for (std::uint64_t index = 0; index < count; ++index) {
    const std::uint64_t offset = image.word(position);
    const std::uint64_t size = image.word(position + 8);
    const std::uint64_t length = image.word(position + 16);
    const std::string_view target(reinterpret_cast<const char*>(image.at(position + 24, length)), length);
    position += 24 + length;
    if (processor_of(target) == isa::to_string(device_architecture()) && size != 0)
      return {image.at(offset, size), size};
    targets += targets.empty() ? "" : ", ";
    targets += target;
  }
  throw LoadError(std::string("the offload bundle holds no code for ") +
                  isa::to_string(device_architecture()) + ", only for: " + targets);
}

}  // namespace

std::span<const std::byte> select_code_object(std::span<const std::byte> image) {
  return select(Image(image.data(), image.size()));
}

std::span<const std::byte> select_code_object(const void* image) {
  return select(Image(static_cast<const std::byte*>(image), kUnknownSize));
}

}  // namespace virtual_rocm::engine
