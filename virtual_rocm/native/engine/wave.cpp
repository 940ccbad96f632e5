// SPDX-License-Identifier: MIT
#include "engine/wave.hpp"

#include <bit>

namespace virtual_rocm::engine {
namespace {

struct FloatConstant {
  unsigned operand;
  float single;
  double wide;
  std::uint16_t half;
};

// 248 is 1/(2π), rounded to each format.
constexpr FloatConstant kFloatConstants[] = {
    {240, 0.5f, 0.5, 0x3800},   {241, -0.5f, -0.5, 0xb800}, {242, 1.0f, 1.0, 0x3c00},
    {243, -1.0f, -1.0, 0xbc00}, {244, 2.0f, 2.0, 0x4000},   {245, -2.0f, -2.0, 0xc000},
    {246, 4.0f, 4.0, 0x4400},   {247, -4.0f, -4.0, 0xc400}, {248, 0.15915494f, 0.15915494309189532, 0x3118},
};

void set(Wave& wave, unsigned number, std::uint32_t word, std::uint64_t wide, std::uint32_t half) {
  wave.scalar[number] = word;
  wave.wide_constant[number - operand::kInlineConstant0] = wide;
  wave.half_constant[number - operand::kInlineConstant0] = half;
}

}  // namespace

void initialise_constants(Wave& wave) {
  for (unsigned number = operand::kInlineConstant0; number < 256; ++number) set(wave, number, 0, 0, 0);
  for (int value = 0; value <= 64; ++value) {
    const auto word = static_cast<std::uint32_t>(value);
    set(wave, 128 + word, word, word, word);
  }
  for (int value = 1; value <= 16; ++value) {
    const auto word = static_cast<std::uint32_t>(-value);
    set(wave, 192 + static_cast<unsigned>(value), word, static_cast<std::uint64_t>(std::int64_t{-value}),
        word);
  }
  for (const FloatConstant& constant : kFloatConstants)
    set(wave, constant.operand, std::bit_cast<std::uint32_t>(constant.single),
        std::bit_cast<std::uint64_t>(constant.wide), constant.half);
  // A 32-bit read of an aperture gives the high half of its 64-bit address.
  const std::uint64_t shared = std::uint64_t{kSharedApertureHigh} << 32;
  const std::uint64_t shared_limit = shared | 0xffffffff;
  const std::uint64_t private_base = std::uint64_t{kPrivateApertureHigh} << 32;
  const std::uint64_t private_limit = private_base | 0xffffffff;
  set(wave, operand::kSharedBase, kSharedApertureHigh, shared, 0);
  set(wave, operand::kSharedLimit, kSharedApertureHigh, shared_limit, 0);
  set(wave, operand::kPrivateBase, kPrivateApertureHigh, private_base, 0);
  set(wave, operand::kPrivateLimit, kPrivateApertureHigh, private_limit, 0);
}

}  // namespace virtual_rocm::engine
