// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
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

/// Buffers that can be used again: blocks' LDS, waves' scratch. They are kept from launch to launch, because
/// the first touch of fresh memory costs more than all else that starting a wave does. Contents are what was
/// left there.
class BufferPool {
 public:
  /// Null for a size of 0.
  std::uint8_t* take(std::size_t size);
  void give_back(std::uint8_t* buffer, std::size_t size);

 private:
  static std::size_t round_up(std::size_t size);

  std::vector<Pages> chunks_;
  std::map<std::size_t, std::vector<std::uint8_t*>> free_;  // by rounded size
};

/// What blocks are made of. One thread's.
struct BlockMemory {
  WavePool waves;
  BufferPool buffers;
};

}  // namespace virtual_rocm::engine
