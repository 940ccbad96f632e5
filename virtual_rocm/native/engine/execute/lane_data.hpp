// SPDX-License-Identifier: MIT
//
// Moving data between memory and the lanes of vector registers: every width and extension that loads and
// stores know, one lane at a time and, where addresses are contiguous, 64 lanes at a time. `rows` is the
// first register of the data, as an array of 64 words for each register.
#pragma once

#include <immintrin.h>

#include <bit>
#include <cstdint>
#include <cstring>

#include "engine/wave.hpp"

namespace virtual_rocm::engine {

inline constexpr std::uint64_t kAllLanes = ~std::uint64_t{0};

enum class Load : std::uint8_t {
  u8,
  i8,
  u16,
  i16,
  u8_low,
  u8_high,
  i8_low,
  i8_high,
  b16_low,
  b16_high,  // d16: one half of the register, the other is kept
  b32,
  b64,
  b96,
  b128,
};
enum class Store : std::uint8_t { b8, b8_high, b16, b16_high, b32, b64, b96, b128 };

constexpr std::uint32_t size_of(Load kind) {
  switch (kind) {
    case Load::u8:
    case Load::i8:
    case Load::u8_low:
    case Load::u8_high:
    case Load::i8_low:
    case Load::i8_high:
      return 1;
    case Load::u16:
    case Load::i16:
    case Load::b16_low:
    case Load::b16_high:
      return 2;
    case Load::b32:
      return 4;
    case Load::b64:
      return 8;
    case Load::b96:
      return 12;
    case Load::b128:
      return 16;
  }
  return 0;
}

constexpr std::uint32_t size_of(Store kind) {
  switch (kind) {
    case Store::b8:
    case Store::b8_high:
      return 1;
    case Store::b16:
    case Store::b16_high:
      return 2;
    case Store::b32:
      return 4;
    case Store::b64:
      return 8;
    case Store::b96:
      return 12;
    case Store::b128:
      return 16;
  }
  return 0;
}

template <typename Action>
inline void for_each_lane(std::uint64_t lanes, Action&& action) {
  for (; lanes != 0; lanes &= lanes - 1) action(static_cast<unsigned>(std::countr_zero(lanes)));
}

template <typename Value>
inline Value read_memory(const void* from) {
  Value value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// --- one lane
// -------------------------------------------------------------------------------------------------------

template <Load kind>
inline void load_lane(std::uint32_t* rows, unsigned lane, const std::uint8_t* from) {
  std::uint32_t& word = rows[lane];
  const auto set_low = [&](std::uint32_t half) { word = (word & 0xffff0000) | (half & 0xffff); };
  const auto set_high = [&](std::uint32_t half) { word = (word & 0xffff) | half << 16; };
  if constexpr (kind == Load::u8) word = *from;
  if constexpr (kind == Load::i8) word = static_cast<std::uint32_t>(static_cast<std::int8_t>(*from));
  if constexpr (kind == Load::u16) word = read_memory<std::uint16_t>(from);
  if constexpr (kind == Load::i16) word = static_cast<std::uint32_t>(read_memory<std::int16_t>(from));
  if constexpr (kind == Load::u8_low) set_low(*from);
  if constexpr (kind == Load::u8_high) set_high(*from);
  if constexpr (kind == Load::i8_low) set_low(static_cast<std::uint32_t>(static_cast<std::int8_t>(*from)));
  if constexpr (kind == Load::i8_high) set_high(static_cast<std::uint32_t>(static_cast<std::int8_t>(*from)));
  if constexpr (kind == Load::b16_low) set_low(read_memory<std::uint16_t>(from));
  if constexpr (kind == Load::b16_high) set_high(read_memory<std::uint16_t>(from));
  if constexpr (kind == Load::b32) word = read_memory<std::uint32_t>(from);
  if constexpr (kind >= Load::b64) {
    // Through a copy: the hardware reads all words before it writes, and one wide read is one access for x86
    // too.
    std::uint32_t words[size_of(kind) / 4];
    std::memcpy(words, from, sizeof words);
    for (unsigned index = 0; index < size_of(kind) / 4; ++index) rows[index * kLanes + lane] = words[index];
  }
}

template <Store kind>
inline void store_lane(const std::uint32_t* rows, unsigned lane, std::uint8_t* to) {
  const std::uint32_t word = rows[lane];
  if constexpr (kind == Store::b8) *to = static_cast<std::uint8_t>(word);
  if constexpr (kind == Store::b8_high) *to = static_cast<std::uint8_t>(word >> 16);
  if constexpr (kind == Store::b16 || kind == Store::b16_high) {
    const auto half = static_cast<std::uint16_t>(kind == Store::b16 ? word : word >> 16);
    std::memcpy(to, &half, sizeof half);
  }
  if constexpr (kind >= Store::b32) {
    std::uint32_t words[size_of(kind) / 4];
    for (unsigned index = 0; index < size_of(kind) / 4; ++index) words[index] = rows[index * kLanes + lane];
    std::memcpy(to, words, sizeof words);
  }
}

// --- 64 lanes, lane l at origin + l * size
// ----------------------------------------------------------------------------

// A row of 64 words as eight vectors. memcpy becomes sixteen narrower stores, and the processor's store
// buffer is what fills up first.
inline void copy_row(void* to, const void* from) {
  for (unsigned part = 0; part < kLanes * 4; part += 32)
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(static_cast<std::uint8_t*>(to) + part),
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(static_cast<const std::uint8_t*>(from) + part)));
}

// Lanes are looked at eight at a time: where a row is cut into pieces, most waves have some groups of eight
// that are all on, one that is on in part, and the others off.
template <typename All, typename Some>
inline void for_each_group(std::uint64_t lanes, All&& all, Some&& some) {
  for (unsigned lane = 0; lane < kLanes; lane += 8) {
    const auto enabled = static_cast<std::uint8_t>(lanes >> lane);
    if (enabled == 0xff)
      all(lane);
    else if (enabled != 0)
      some(lane, std::uint64_t{enabled} << lane);
  }
}

inline __m256i load_eight(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
inline void store_eight(void* to, __m256i value) { _mm256_storeu_si256(static_cast<__m256i*>(to), value); }

// Registers are the wave's own, so what is kept can be written back: a blend, which is far cheaper than a
// masked store on some processors.
inline void load_words_masked(std::uint32_t* row, const std::uint8_t* origin, std::uint64_t lanes,
                              const std::uint32_t* masks) {
  for_each_group(
      lanes, [&](unsigned lane) { store_eight(row + lane, load_eight(origin + lane * 4)); },
      [&](unsigned lane, std::uint64_t) {
        const __m256i mask = load_eight(masks + lane);
        const __m256i value = _mm256_maskload_epi32(reinterpret_cast<const int*>(origin + lane * 4), mask);
        store_eight(row + lane, _mm256_blendv_epi8(load_eight(row + lane), value, mask));
      });
}

// Between memory that is both the wave's own, all of it: what is off is kept.
inline void move_words_masked(void* to, const void* from, std::uint64_t lanes, const std::uint32_t* masks) {
  auto* const target = static_cast<std::uint8_t*>(to);
  const auto* const source = static_cast<const std::uint8_t*>(from);
  for_each_group(
      lanes, [&](unsigned lane) { store_eight(target + lane * 4, load_eight(source + lane * 4)); },
      [&](unsigned lane, std::uint64_t) {
        store_eight(target + lane * 4,
                    _mm256_blendv_epi8(load_eight(target + lane * 4), load_eight(source + lane * 4),
                                       load_eight(masks + lane)));
      });
}

// Memory is shared: only what is enabled may be written.
inline void store_words_masked(const std::uint32_t* row, std::uint8_t* origin, std::uint64_t lanes,
                               const std::uint32_t* masks) {
  for_each_group(
      lanes, [&](unsigned lane) { store_eight(origin + lane * 4, load_eight(row + lane)); },
      [&](unsigned lane, std::uint64_t) {
        _mm256_maskstore_epi32(reinterpret_cast<int*>(origin + lane * 4), load_eight(masks + lane),
                               load_eight(row + lane));
      });
}

// Pairs of words in eight lanes from `lane` on: two vectors in memory, and one in each of two registers.
inline void load_pairs(std::uint32_t* rows, const std::uint8_t* origin, unsigned lane) {
  const auto* from = reinterpret_cast<const __m256*>(origin + lane * 8);
  const __m256 first = _mm256_loadu_ps(reinterpret_cast<const float*>(from));
  const __m256 second = _mm256_loadu_ps(reinterpret_cast<const float*>(from + 1));
  const __m256 low = _mm256_permute2f128_ps(first, second, 0x20);
  const __m256 high = _mm256_permute2f128_ps(first, second, 0x31);
  _mm256_store_ps(reinterpret_cast<float*>(rows + lane), _mm256_shuffle_ps(low, high, 0x88));
  _mm256_store_ps(reinterpret_cast<float*>(rows + kLanes + lane), _mm256_shuffle_ps(low, high, 0xdd));
}

inline void store_pairs(const std::uint32_t* rows, std::uint8_t* origin, unsigned lane) {
  const __m256 even = _mm256_load_ps(reinterpret_cast<const float*>(rows + lane));
  const __m256 odd = _mm256_load_ps(reinterpret_cast<const float*>(rows + kLanes + lane));
  const __m256 low = _mm256_unpacklo_ps(even, odd);
  const __m256 high = _mm256_unpackhi_ps(even, odd);
  auto* to = reinterpret_cast<float*>(origin + lane * 8);
  _mm256_storeu_ps(to, _mm256_permute2f128_ps(low, high, 0x20));
  _mm256_storeu_ps(to + 8, _mm256_permute2f128_ps(low, high, 0x31));
}

// Four words in each of eight lanes: a 4 × 4 transposition in each half of the vectors, lanes l and l + 4
// together.
inline void load_quads(std::uint32_t* rows, const std::uint8_t* origin, unsigned lane) {
  const auto pair = [&](unsigned index) {
    const auto* from = reinterpret_cast<const float*>(origin + (lane + index) * 16);
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from)), _mm_loadu_ps(from + 16), 1);
  };
  const __m256 lane0 = pair(0), lane1 = pair(1), lane2 = pair(2), lane3 = pair(3);
  const __m256d low01 = _mm256_castps_pd(_mm256_unpacklo_ps(lane0, lane1));
  const __m256d high01 = _mm256_castps_pd(_mm256_unpackhi_ps(lane0, lane1));
  const __m256d low23 = _mm256_castps_pd(_mm256_unpacklo_ps(lane2, lane3));
  const __m256d high23 = _mm256_castps_pd(_mm256_unpackhi_ps(lane2, lane3));
  const auto put = [&](unsigned row, __m256d value) {
    _mm256_store_ps(reinterpret_cast<float*>(rows + row * kLanes + lane), _mm256_castpd_ps(value));
  };
  put(0, _mm256_unpacklo_pd(low01, low23));
  put(1, _mm256_unpackhi_pd(low01, low23));
  put(2, _mm256_unpacklo_pd(high01, high23));
  put(3, _mm256_unpackhi_pd(high01, high23));
}

inline void store_quads(const std::uint32_t* rows, std::uint8_t* origin, unsigned lane) {
  const auto row = [&](unsigned index) {
    return _mm256_load_ps(reinterpret_cast<const float*>(rows + index * kLanes + lane));
  };
  const __m256 row0 = row(0), row1 = row(1), row2 = row(2), row3 = row(3);
  const __m256d low01 = _mm256_castps_pd(_mm256_unpacklo_ps(row0, row1));
  const __m256d high01 = _mm256_castps_pd(_mm256_unpackhi_ps(row0, row1));
  const __m256d low23 = _mm256_castps_pd(_mm256_unpacklo_ps(row2, row3));
  const __m256d high23 = _mm256_castps_pd(_mm256_unpackhi_ps(row2, row3));
  const auto put = [&](unsigned index, __m256d value) {
    auto* to = reinterpret_cast<float*>(origin + (lane + index) * 16);
    const __m256 words = _mm256_castpd_ps(value);
    _mm_storeu_ps(to, _mm256_castps256_ps128(words));
    _mm_storeu_ps(to + 16, _mm256_extractf128_ps(words, 1));
  };
  put(0, _mm256_unpacklo_pd(low01, low23));
  put(1, _mm256_unpackhi_pd(low01, low23));
  put(2, _mm256_unpacklo_pd(high01, high23));
  put(3, _mm256_unpackhi_pd(high01, high23));
}

// For addresses that are all over the place: a plain loop where every lane is on.
template <typename Action>
inline void for_each_lane_or_all(std::uint64_t lanes, Action&& action) {
  if (lanes != kAllLanes) return for_each_lane(lanes, action);
  for (unsigned lane = 0; lane < kLanes; ++lane) action(lane);
}

// Up to so many lanes, one by one is faster than 64 under a mask.
inline constexpr int kFewLanes = 4;

template <Load kind>
inline void load_contiguous(std::uint32_t* rows, const std::uint8_t* origin, std::uint64_t lanes,
                            Wave* wave) {
  if constexpr (kind == Load::b32) {
    if (lanes == kAllLanes) return copy_row(rows, origin);
    if (std::popcount(lanes) > kFewLanes) return load_words_masked(rows, origin, lanes, wave->masks());
  }
  if constexpr (kind == Load::b64 || kind == Load::b128)
    return for_each_group(
        lanes,
        [&](unsigned lane) {
          kind == Load::b64 ? load_pairs(rows, origin, lane) : load_quads(rows, origin, lane);
        },
        [&](unsigned, std::uint64_t some) {
          for_each_lane(some,
                        [&](unsigned lane) { load_lane<kind>(rows, lane, origin + lane * size_of(kind)); });
        });
  if (lanes == kAllLanes) {
    for (unsigned lane = 0; lane < kLanes; ++lane) load_lane<kind>(rows, lane, origin + lane * size_of(kind));
    return;
  }
  for_each_lane(lanes, [&](unsigned lane) { load_lane<kind>(rows, lane, origin + lane * size_of(kind)); });
}

template <Store kind>
inline void store_contiguous(const std::uint32_t* rows, std::uint8_t* origin, std::uint64_t lanes,
                             Wave* wave) {
  if constexpr (kind == Store::b32) {
    if (lanes == kAllLanes) return copy_row(origin, rows);
    if (std::popcount(lanes) > kFewLanes) return store_words_masked(rows, origin, lanes, wave->masks());
  }
  if constexpr (kind == Store::b64 || kind == Store::b128)
    return for_each_group(
        lanes,
        [&](unsigned lane) {
          kind == Store::b64 ? store_pairs(rows, origin, lane) : store_quads(rows, origin, lane);
        },
        [&](unsigned, std::uint64_t some) {
          for_each_lane(some,
                        [&](unsigned lane) { store_lane<kind>(rows, lane, origin + lane * size_of(kind)); });
        });
  if (lanes == kAllLanes) {
    for (unsigned lane = 0; lane < kLanes; ++lane)
      store_lane<kind>(rows, lane, origin + lane * size_of(kind));
    return;
  }
  for_each_lane(lanes, [&](unsigned lane) { store_lane<kind>(rows, lane, origin + lane * size_of(kind)); });
}

}  // namespace virtual_rocm::engine
