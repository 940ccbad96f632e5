// SPDX-License-Identifier: MIT
#include "engine/scheduler/wave_memory.hpp"

#include <sys/mman.h>

#include <bit>
#include <new>
#include <utility>

namespace virtual_rocm::engine {
namespace {

constexpr std::size_t kWavesPerChunk = 32;
// Waves at equal distances modulo 4096 would put all their scalar registers into the same cache sets.
constexpr std::size_t kStagger = 4096 + 320;
constexpr std::size_t kWaveDistance = (sizeof(Wave) + kStagger) / 64 * 64;

}  // namespace

Pages::Pages(std::size_t size) : size_(size) {
  void* address =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) throw std::bad_alloc();
  // A huge page would back the registers that no kernel uses.
  madvise(address, size, MADV_NOHUGEPAGE);
  data_ = static_cast<std::uint8_t*>(address);
}

Pages::~Pages() {
  if (data_ != nullptr) munmap(data_, size_);
}

Pages::Pages(Pages&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Wave* WavePool::take() {
  if (free_.empty()) {
    chunks_.emplace_back(kWavesPerChunk * kWaveDistance);
    for (std::size_t index = kWavesPerChunk; index-- > 0;) {
      auto* wave = reinterpret_cast<Wave*>(chunks_.back().data() + index * kWaveDistance);
      initialise_constants(*wave);
      free_.push_back(wave);
    }
  }
  Wave* wave = free_.back();
  free_.pop_back();
  return wave;
}

// Few sizes, so that kernels share buffers: pages up to 64 KiB, then powers of two.
std::size_t BufferPool::round_up(std::size_t size) {
  constexpr std::size_t kPage = 4096;
  constexpr std::size_t kManyPages = 16 * kPage;
  return size <= kManyPages ? (size + kPage - 1) / kPage * kPage : std::bit_ceil(size);
}

std::uint8_t* BufferPool::take(std::size_t size) {
  if (size == 0) return nullptr;
  auto& free = free_[round_up(size)];
  if (free.empty()) {
    chunks_.emplace_back(round_up(size));
    return chunks_.back().data();
  }
  std::uint8_t* buffer = free.back();
  free.pop_back();
  return buffer;
}

void BufferPool::give_back(std::uint8_t* buffer, std::size_t size) {
  if (buffer != nullptr) free_[round_up(size)].push_back(buffer);
}

}  // namespace virtual_rocm::engine
