// SPDX-License-Identifier: MIT
//
// How a vector instruction is executed: loops over the 64 lanes, made from a function on one lane.
//
// A lane function takes and returns 32- or 64-bit words, whatever their bits mean, and has no effect beside
// its result. execute<> makes a handler of it for each combination of vector and scalar sources: the loop has
// no branch in it, so that the compiler turns it into AVX2. With all lanes enabled the result is stored, else
// it is blended under EXEC. What the encoding's modifiers do to sources and results is in modified<>, which
// is slower and serves every instruction.
#ifndef VIRTUAL_ROCM_NATIVE_ISA_LANES_HPP_
#define VIRTUAL_ROCM_NATIVE_ISA_LANES_HPP_

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "engine/operation.hpp"
#include "isa/modifiers.hpp"

// Before a loop over lanes: an iteration reads and writes only its own lane, though source and destination
// rows may be the same.
#ifdef __clang__
#define VIRTUAL_ROCM_LANE_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define VIRTUAL_ROCM_LANE_LOOP _Pragma("GCC ivdep")
#endif

namespace virtual_rocm::isa {

using engine::Handler;
using engine::kLanes;
using engine::Operation;
using engine::Wave;

inline constexpr std::uint64_t kAllLanes = ~std::uint64_t{0};

// Value of Operation::source for a literal, which is in Operation::immediate.
inline constexpr std::uint32_t kImmediateSource = 0xffffffff;

// Which part of the MODE register governs the arithmetic of an instruction.
enum class Rounding : std::uint8_t {
  none,
  single,
  wide
};  // wide: double and half precision share their fields

// True if MODE asks for what the host does anyway: round to nearest even, denormals kept.
template <Rounding kRounding>
inline bool is_default_mode(std::uint32_t mode) {
  if constexpr (kRounding == Rounding::single) return (mode & 0x33) == 0x30;
  if constexpr (kRounding == Rounding::wide) return (mode & 0xcc) == 0xc0;
  return true;
}

// Sets the host's rounding and denormal modes for the lifetime of the object.
class HostMode {
 public:
  HostMode(std::uint32_t mode, Rounding rounding) : saved_(_mm_getcsr()) {
    const std::uint32_t shift = rounding == Rounding::wide ? 2 : 0;
    constexpr std::uint32_t kRound[] = {0, 2, 1, 3};  // nearest, +inf, −inf, zero in MXCSR's numbers
    const std::uint32_t denormals = mode >> (4 + shift) & 3;
    std::uint32_t host = (saved_ & ~0xe040u) | kRound[mode >> shift & 3] << 13;
    if (!(denormals & 1)) host |= 0x0040;  // sources: denormals are zero
    if (!(denormals & 2)) host |= 0x8000;  // results: flush to zero
    _mm_setcsr(host);
  }
  ~HostMode() { _mm_setcsr(saved_); }
  HostMode(const HostMode&) = delete;
  HostMode& operator=(const HostMode&) = delete;

 private:
  std::uint32_t saved_;
};

// Population count in operations that vectors have.
inline std::uint32_t count_bits(std::uint32_t a) {
  a -= a >> 1 & 0x55555555;
  a = (a & 0x33333333) + (a >> 2 & 0x33333333);
  return ((a + (a >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24;
}

// A 64-bit operand as its two words. Functions on pairs become vector code, as the words are in different
// rows; functions on 64-bit integers mostly do not.
struct Pair {
  std::uint32_t low;
  std::uint32_t high;
};

template <typename Word>
inline Word scalar_value(const Operation* operation, Wave* wave, unsigned index) {
  const std::uint32_t offset = operation->source[index];
  const void* place =
      offset == kImmediateSource ? static_cast<const void*>(&operation->immediate) : wave->at<char>(offset);
  Word value;
  std::memcpy(&value, place, sizeof value);
  return value;
}

// The signs that an instruction gives its sources: a source's value is (x & keep) ^ flip. lower_alu puts them
// into Operation::immediate: bit i negates source i, bit 4 + i takes its absolute value, bit 8 + i says it is
// half precision.
template <typename Word>
struct Signs {
  Word keep;
  Word flip;

  Signs(std::uint64_t signs, unsigned index) {
    Word sign = Word{1} << (8 * sizeof(Word) - 1);
    if (sizeof(Word) == 4 && (signs >> (8 + index) & 1)) sign = 0x8000;
    keep = signs >> (4 + index) & 1 ? static_cast<Word>(~sign) : static_cast<Word>(~Word{0});
    flip = signs >> index & 1 ? sign : Word{0};
  }
  Word apply(Word value) const { return (value & keep) ^ flip; }
};

struct NoSigns {
  NoSigns(std::uint64_t, unsigned) {}
  template <typename Word>
  Word apply(Word value) const {
    return value;
  }
};

template <typename Word, bool kScalar, bool kSigned>
class Source;

template <typename Word, bool kSigned>
class Source<Word, true, kSigned> {
 public:
  Source(const Operation* operation, Wave* wave, unsigned index)
      : value_(Sign(operation->immediate, index).apply(scalar_value<Word>(operation, wave, index))) {}
  Word operator[](unsigned) const { return value_; }

 private:
  using Sign = std::conditional_t<kSigned, Signs<Word>, NoSigns>;
  Word value_;
};

template <typename Word, bool kSigned>
class Source<Word, false, kSigned> {
 public:
  Source(const Operation* operation, Wave* wave, unsigned index)
      : rows_(wave->at<std::uint32_t>(operation->source[index])), sign_(operation->immediate, index) {}
  Word operator[](unsigned lane) const {
    if constexpr (std::is_same_v<Word, Pair>)
      return Pair{rows_[lane], rows_[kLanes + lane]};
    else if constexpr (sizeof(Word) == 4)
      return sign_.apply(rows_[lane]);
    else
      return sign_.apply(rows_[lane] | static_cast<std::uint64_t>(rows_[kLanes + lane]) << 32);
  }

 private:
  using Sign = std::conditional_t<kSigned, Signs<Word>, NoSigns>;
  const std::uint32_t* rows_;
  Sign sign_;
};

// A mask as one word for each lane.
inline void expand_mask(std::uint64_t mask, std::uint32_t* words) {
  const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  for (unsigned byte = 0; byte < 8; ++byte) {
    const __m256i all = _mm256_set1_epi32(static_cast<int>(mask >> (8 * byte) & 0xff));
    _mm256_store_si256(reinterpret_cast<__m256i*>(words) + byte,
                       _mm256_cmpeq_epi32(_mm256_and_si256(all, bits), bits));
  }
}

// The sign bits of 64 words as a mask.
inline std::uint64_t collect_mask(const std::uint32_t* words) {
  std::uint64_t mask = 0;
  for (unsigned byte = 0; byte < 8; ++byte) {
    const __m256 eight = _mm256_load_ps(reinterpret_cast<const float*>(words) + 8 * byte);
    mask |= static_cast<std::uint64_t>(static_cast<unsigned>(_mm256_movemask_ps(eight))) << (8 * byte);
  }
  return mask;
}

inline void store(std::uint32_t* rows, unsigned lane, Pair value) {
  rows[lane] = value.low;
  rows[kLanes + lane] = value.high;
}

inline void store_masked(std::uint32_t* rows, unsigned lane, Pair value, std::uint32_t mask) {
  rows[lane] = mask ? value.low : rows[lane];
  rows[kLanes + lane] = mask ? value.high : rows[kLanes + lane];
}

template <typename Word>
inline void store(std::uint32_t* rows, unsigned lane, Word value) {
  rows[lane] = static_cast<std::uint32_t>(value);
  if constexpr (sizeof(Word) == 8) rows[kLanes + lane] = static_cast<std::uint32_t>(value >> 32);
}

template <typename Word>
inline void store_masked(std::uint32_t* rows, unsigned lane, Word value, std::uint32_t mask) {
  rows[lane] = mask ? static_cast<std::uint32_t>(value) : rows[lane];
  if constexpr (sizeof(Word) == 8)
    rows[kLanes + lane] = mask ? static_cast<std::uint32_t>(value >> 32) : rows[kLanes + lane];
}

template <auto kFunction>
struct Lanes;

template <typename Result, typename... Arguments, Result (*kFunction)(Arguments...)>
struct Lanes<kFunction> {
  static constexpr unsigned kCount = sizeof...(Arguments);

  template <unsigned kScalars, bool kSigned, std::size_t... kIndex>
  static inline __attribute__((always_inline)) void run(const Operation* operation, Wave* wave,
                                                        std::index_sequence<kIndex...>) {
    std::uint32_t* const destination = wave->at<std::uint32_t>(operation->destination);
    const std::tuple<Source<Arguments, (kScalars >> kIndex & 1) != 0, kSigned>...> sources{
        Source < Arguments, (kScalars >> kIndex & 1) != 0, kSigned > (operation, wave, kIndex)...};
    if (wave->exec() == kAllLanes) [[likely]] {
      VIRTUAL_ROCM_LANE_LOOP
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        store(destination, lane, kFunction(std::get<kIndex>(sources)[lane]...));
      }
    } else {
      const std::uint32_t* const masks = wave->masks();
      VIRTUAL_ROCM_LANE_LOOP
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        store_masked(destination, lane, kFunction(std::get<kIndex>(sources)[lane]...), masks[lane]);
      }
    }
  }

  template <unsigned kScalars, Rounding kRounding, bool kSigned>
  static const Operation* execute(const Operation* operation, Wave* wave) {
    if constexpr (kRounding != Rounding::none) {
      if (!is_default_mode<kRounding>(wave->mode)) [[unlikely]] {
        return modified<kRounding>(operation, wave);
      }
    }
    run<kScalars, kSigned>(operation, wave, std::make_index_sequence<kCount>());
    return operation + 1;
  }

  // Apart, so that no arithmetic moves across the change of the host's mode.
  template <std::size_t... kIndex>
  static __attribute__((noinline)) void run_modified(ModifiedOperands& operands,
                                                     std::index_sequence<kIndex...>) {
    VIRTUAL_ROCM_LANE_LOOP
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      store(operands.result, lane, kFunction(operands.get<Arguments>(kIndex, lane)...));
    }
  }

  template <Rounding kRounding>
  static const Operation* modified(const Operation* operation, Wave* wave) {
    ModifiedOperands operands;
    for (unsigned index = 0; index < kCount; ++index) load_modified(*operation, *wave, index, operands);
    if constexpr (kRounding != Rounding::none) {
      const HostMode host(wave->mode, kRounding);
      run_modified(operands, std::make_index_sequence<kCount>());
    } else {
      run_modified(operands, std::make_index_sequence<kCount>());
    }
    store_modified(*operation, *wave, operands);
    return operation + 1;
  }
};

}  // namespace virtual_rocm::isa

#endif  // VIRTUAL_ROCM_NATIVE_ISA_LANES_HPP_
