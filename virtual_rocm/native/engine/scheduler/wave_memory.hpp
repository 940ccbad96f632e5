// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/wave.hpp"

namespace virtual_rocm::engine {

/// Zeroed pages that are only backed once they are touched.
class Pages {
 public:
  explicit Pages(std::size_t size);
  ~Pages();
  Pages(Pages&& other) noexcept;
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  Pages& operator=(Pages&&) = delete;
  std::uint8_t* data() const { return data_; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Waves that can be used again. Their constant tables are filled.
class WavePool {
 public:
  Wave* take();
  void give_back(Wave* wave) { free_.push_back(wave); }

 private:
  std::vector<Pages> chunks_;
  std::vector<Wave*> free_;
};

/// Buffers of one size that can be used again: a launch's LDS or scratch.
class BufferPool {
 public:
  explicit BufferPool(std::size_t size) : size_(size) {}
  std::uint8_t* take();
  void give_back(std::uint8_t* buffer) {
    if (buffer != nullptr) free_.push_back(buffer);
  }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  std::vector<Pages> chunks_;
  std::vector<std::uint8_t*> free_;
};

}  // namespace virtual_rocm::engine
