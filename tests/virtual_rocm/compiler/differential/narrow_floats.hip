// SPDX-License-Identifier: MIT
//
// Half, bfloat16, fp8, fp6 and fp4: the device's instructions against integer arithmetic on the host.
#include <hip/hip_bfloat16.h>
#include <hip/hip_ext_ocp.h>
#include <hip/hip_fp8.h>

#include "differential.hpp"

#if !defined(__HIP_DEVICE_COMPILE__)
// What clang calls on the host to round to bfloat16: libgcc has it from release 13 on. To the nearest, ties
// to even.
extern "C" __attribute__((weak)) __bf16 __truncsfbf2(float value) {
  unsigned bits = __builtin_bit_cast(unsigned, value);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  bits = nan ? bits | 0x400000u : bits + 0x7fffu + ((bits >> 16) & 1u);
  return __builtin_bit_cast(__bf16, static_cast<unsigned short>(bits >> 16));
}
#endif

using namespace differential;

// A half as its bits, since random bits are wanted.
using Half = _Float16;
std::vector<Half> halves() {
  std::vector<Half> values;
  for (unsigned bits = 0; bits < 0x10000; bits += 37) {
    const auto narrow = static_cast<unsigned short>(bits);
    Half value;
    std::memcpy(&value, &narrow, sizeof value);
    values.push_back(value);
  }
  return values;
}
std::vector<Half> few_halves() {
  std::vector<Half> values;
  for (const unsigned short bits :
       {0x0000, 0x8000, 0x3c00, 0xbc00, 0x3555, 0x7bff, 0xfbff, 0x0001, 0x8001, 0x03ff,
        0x0400, 0x7c00, 0xfc00, 0x7e00, 0x3c01, 0x4248, 0x5640, 0x2e66, 0xd8f0, 0x6bff}) {
    Half value;
    std::memcpy(&value, &bits, sizeof value);
    values.push_back(value);
  }
  return values;
}

FUNCTION(AddHalf, Pair<Half>, static_cast<Half>(a.x + a.y))
FUNCTION(SubtractHalf, Pair<Half>, static_cast<Half>(a.x - a.y))
FUNCTION(MultiplyHalf, Pair<Half>, static_cast<Half>(a.x* a.y))
FUNCTION(DivideHalf, Pair<Half>, static_cast<Half>(a.x / a.y))
FUNCTION(LessHalf, Pair<Half>, a.x < a.y)
FUNCTION(LargerHalf, Pair<Half>, a.x == 0 && a.y == 0 ? Half(0) : __builtin_elementwise_max(a.x, a.y))
FUNCTION(FusedHalf, Triple<Half>, static_cast<Half>(__builtin_elementwise_fma(a.x, a.y, a.z)))
FUNCTION(HalfToFloat, Half, static_cast<float>(a))
FUNCTION(HalfToInt, Half, a == a && a < Half(60000) && a > Half(-60000) ? static_cast<int>(a) : 0)
FUNCTION(IntToHalf, std::int32_t, static_cast<Half>(a))
FUNCTION(ShortToHalf, std::int16_t, static_cast<Half>(a))
FUNCTION(FloatToHalf, float, static_cast<Half>(a))
FUNCTION(DoubleToHalf, double, static_cast<Half>(a))
FUNCTION(HalfFloor, Half, static_cast<Half>(__builtin_elementwise_floor(a)))
FUNCTION(HalfSquareRoot, Half, static_cast<Half>(__builtin_elementwise_sqrt(a)))

// Packed: both halves of a register at once.
using Half2 = __amd_fp16x2_storage_t;
struct PackedHalf {
  __host__ __device__ auto operator()(const Triple<Half2>& a) const { return a.x * a.y + a.z - a.x; }
};
struct PackedHalfExtremes {
  __host__ __device__ auto operator()(const Triple<Half2>& a) const {
    return __builtin_elementwise_min(__builtin_elementwise_max(a.x, a.y), a.z);
  }
};
using Short2 = short __attribute__((ext_vector_type(2)));
struct PackedShort {
  __host__ __device__ auto operator()(const Triple<Short2>& a) const {
    return Short2(a.x + a.y * a.z - (a.y << Short2{3, 5}) + (a.z >> Short2{1, 9}));
  }
};
struct PackedShortExtremes {
  __host__ __device__ auto operator()(const Triple<Short2>& a) const {
    return __builtin_elementwise_max(__builtin_elementwise_min(a.x, a.y), a.z);
  }
};
using Float2 = __amd_floatx2_storage_t;
struct PackedFloat {
  __host__ __device__ auto operator()(const Triple<Float2>& a) const { return a.x * a.y + a.z; }
};

FUNCTION(OldBfloat16, float, hip_bfloat16(a).data)
FUNCTION(Bfloat16, float, __bfloat16_as_ushort(__hip_bfloat16(a)))
FUNCTION(Bfloat16Back, std::uint16_t, static_cast<float>(__ushort_as_bfloat16(a)))
FUNCTION(OldBfloat16Sum, Pair<float>, (hip_bfloat16(a.x) + hip_bfloat16(a.y)).data)
FUNCTION(Bfloat16Product, Pair<float>, __bfloat16_as_ushort(__hip_bfloat16(a.x) * __hip_bfloat16(a.y)))

template <typename Fp8>
FUNCTION(ToFp8, float, Fp8(a).__x)
template <typename Fp8>
FUNCTION(ToFp8NoSaturation, float, __hip_cvt_float_to_fp8(a, __HIP_NOSAT, Fp8::__default_interpret))
template <typename Fp8>
FUNCTION(DoubleToFp8, double, Fp8(a).__x)
template <typename Fp8>
struct FromFp8 {
  __host__ __device__ float operator()(const std::uint8_t& code) const {
    Fp8 value;
    value.__x = code;
    return value;
  }
};
template <typename Fp8x2>
struct PairToFp8 {
  __host__ __device__ auto operator()(const Pair<float>& a) const { return Fp8x2(float2(a.x, a.y)).__x; }
};
template <typename Fp8x4>
struct Fp8x4RoundTrip {
  __host__ __device__ auto operator()(const Pair<float>& a) const {
    const float4 back = Fp8x4(float4(a.x, a.y, a.y, -a.x));
    return back.x + back.y * 2 + back.z * 4 + back.w * 8;
  }
};

template <fcbx::Encoding Encoding>
FUNCTION(ToOcp, float, fcbx::from_float<float, Encoding, true>(a, 0))
template <fcbx::Encoding Encoding>
FUNCTION(ToOcpScaled, float, fcbx::from_float<float, Encoding, true>(a, -3))
template <fcbx::Encoding Encoding>
FUNCTION(FromOcp, std::uint8_t, fcbx::to_float<float, Encoding, true>(a, 5))

std::vector<std::uint8_t> codes(unsigned count) {
  std::vector<std::uint8_t> all;
  for (unsigned code = 0; code < count; ++code) all.push_back(static_cast<std::uint8_t>(code));
  return all;
}

// Values in the range of the small formats, with ties.
std::vector<float> small_values() {
  std::vector<float> values = floats<float>();
  for (int i = -480 * 16; i <= 480 * 16; i += 7) values.push_back(static_cast<float>(i) / 16);
  for (int i = -300; i <= 300; ++i) values.push_back(static_cast<float>(i) / 4096);
  for (int i = -70000; i <= 70000; i += 512) values.push_back(static_cast<float>(i));
  return values;
}

template <typename Fp8, typename Fp8x2, typename Fp8x4>
void fp8(const char* name) {
  compare<ToFp8<Fp8>>(name, small_values());
  compare<ToFp8NoSaturation<Fp8>>(name, small_values());
  compare<DoubleToFp8<Fp8>>(name, floats<double>());
  compare<FromFp8<Fp8>>(name, codes(256));
  compare<PairToFp8<Fp8x2>>(name, pairs(floats<float>()));
  compare<Fp8x4RoundTrip<Fp8x4>>(name, pairs(std::vector<float>{0, 1, -2.5f, 100, 1e-3f, 7e4f, -0.3f}));
}
template <fcbx::Encoding Encoding>
void ocp(const char* name, unsigned count) {
  compare<ToOcp<Encoding>>(name, small_values());
  compare<ToOcpScaled<Encoding>>(name, small_values());
  compare<FromOcp<Encoding>>(name, codes(count));
}

int main() {
  const auto two = pairs(few_halves());
  compare<AddHalf>("AddHalf", two);
  compare<SubtractHalf>("SubtractHalf", two);
  compare<MultiplyHalf>("MultiplyHalf", two);
  compare<DivideHalf>("DivideHalf", two);
  compare<LessHalf>("LessHalf", two);
  compare<LargerHalf>("LargerHalf", two);
  compare<FusedHalf>("FusedHalf", triples(few_halves()));
  compare<HalfToFloat>("HalfToFloat", halves());
  compare<HalfToInt>("HalfToInt", halves());
  compare<IntToHalf>("IntToHalf", integers<std::int32_t>());
  compare<ShortToHalf>("ShortToHalf", integers<std::int16_t>());
  compare<FloatToHalf>("FloatToHalf", small_values());
  compare<DoubleToHalf>("DoubleToHalf", floats<double>());
  compare<HalfFloor>("HalfFloor", halves());
  compare<HalfSquareRoot>("HalfSquareRoot", halves());

  std::vector<Half2> half_pairs;
  std::vector<Short2> short_pairs;
  std::vector<Float2> float_pairs;
  // No NaN and no infinity here: a packed result is compared as bits, and the payload of a NaN is free.
  const std::vector<Half> finite = {Half(0),   Half(1),     Half(-2.5), Half(1000),
                                    Half(0.1), Half(-3e-6), Half(77)};
  const std::vector<std::int16_t> shorts = integers<std::int16_t>();
  for (int i = 0; i < 60; ++i) {
    half_pairs.push_back(Half2{finite[random_bits() % finite.size()], finite[random_bits() % finite.size()]});
    short_pairs.push_back(
        Short2{shorts[random_bits() % shorts.size()], shorts[random_bits() % shorts.size()]});
    float_pairs.push_back(Float2{static_cast<float>(i) * 0.37f - 9, 1e10f / static_cast<float>(i + 1)});
  }
  compare<PackedHalf>("PackedHalf", triples(half_pairs));
  compare<PackedHalfExtremes>("PackedHalfExtremes", triples(half_pairs));
  compare<PackedShort>("PackedShort", triples(short_pairs));
  compare<PackedShortExtremes>("PackedShortExtremes", triples(short_pairs));
  compare<PackedFloat>("PackedFloat", triples(float_pairs));

  compare<OldBfloat16>("OldBfloat16", small_values());
  compare<OldBfloat16Sum>("OldBfloat16Sum",
                          pairs(std::vector<float>{0, 1, 1.004f, -3.3f, 1e-39f, 3e38f, 255.5f}));
  compare<Bfloat16Product>("Bfloat16Product",
                           pairs(std::vector<float>{0, 1, 1.004f, -3.3f, 1e-39f, 3e38f, 255.5f}));
  std::vector<float> numbers;
  for (const float value : small_values()) {
    if (value == value) numbers.push_back(value);  // the bits of a NaN are free
  }
  compare<Bfloat16>("Bfloat16", numbers);
  compare<Bfloat16Back>("Bfloat16Back", integers<std::uint16_t>());

  fp8<__hip_fp8_e4m3_fnuz, __hip_fp8x2_e4m3_fnuz, __hip_fp8x4_e4m3_fnuz>("e4m3fnuz");
  fp8<__hip_fp8_e5m2_fnuz, __hip_fp8x2_e5m2_fnuz, __hip_fp8x4_e5m2_fnuz>("e5m2fnuz");
  fp8<__hip_fp8_e4m3, __hip_fp8x2_e4m3, __hip_fp8x4_e4m3>("e4m3");
  fp8<__hip_fp8_e5m2, __hip_fp8x2_e5m2, __hip_fp8x4_e5m2>("e5m2");
  ocp<fcbx::Encoding::E2M1>("e2m1", 16);
  ocp<fcbx::Encoding::E2M3>("e2m3", 64);
  ocp<fcbx::Encoding::E3M2>("e3m2", 64);
  ocp<fcbx::Encoding::E4M3>("ocp e4m3", 256);
  ocp<fcbx::Encoding::E5M2>("ocp e5m2", 256);
  return finish();
}
