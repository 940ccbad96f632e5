// SPDX-License-Identifier: MIT
//
// Prints what the conversions of small_float.h give on the host, for a Python reference to compare with.
//
//     decode FORMAT CODE BITS-OF-FLOAT             every code of every format
//     encode FORMAT SATURATE BITS-OF-DOUBLE CODE   from double; from float the same, where the value is one
#include <hip/hip_bfloat16.h>
#include <hip/hip_ext_ocp.h>
#include <hip/hip_fp8.h>
#include <hip/hip_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

template <typename T, typename U>
T copy_bits(U value) {
  static_assert(sizeof(T) == sizeof(U));
  T result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}

template <typename Format>
void print(const char* name) {
  std::vector<double> values = {0.0,    -0.0,   INFINITY, -INFINITY, NAN,   1e300,
                                -1e300, 1e-300, 1e30,     1e-40,     3.4e38};
  for (unsigned code = 0; code < 2u << Format::kSignShift; ++code) {
    const float value = Format::decode(code);
    std::printf("decode %s %u %u\n", name, code, copy_bits<std::uint32_t>(value));
    if (!std::isfinite(value)) continue;
    // The value itself, its neighbours in float, and the way to the next value: the middle is a tie.
    const double next = Format::decode((code + 1) & (2 * (Format::kAllOnes + 1) - 1));
    values.insert(values.end(), {value, std::nextafterf(value, 1e30f), std::nextafterf(value, -1e30f)});
    if (std::isfinite(next)) {
      const double middle = (value + next) / 2;
      values.insert(values.end(),
                    {middle, std::nextafter(middle, 1e300), std::nextafter(middle, -1e300),
                     std::nextafterf(static_cast<float>(middle), 1e30f), value * 1.0625, value * 1.9});
    }
  }
  for (const double value : values) {
    for (const bool saturate : {false, true}) {
      const unsigned code = Format::encode(value, saturate);
      std::printf("encode %s %d %llu %u\n", name, saturate,
                  static_cast<unsigned long long>(copy_bits<std::uint64_t>(value)), code);
      const float narrow = static_cast<float>(value);
      if ((narrow == value || value != value) && Format::encode(narrow, saturate) != code) {
        std::printf("float and double differ: %s %a\n", name, value);
      }
    }
  }
}

void print_bfloat16(float value) {
  std::printf("bfloat16 %u %u\n", copy_bits<std::uint32_t>(value), hip_bfloat16(value).data);
}

}  // namespace

int main() {
  print<virtual_rocm_hip::Float8E4M3>("e4m3");
  print<virtual_rocm_hip::Float8E5M2>("e5m2");
  print<virtual_rocm_hip::Float8E4M3Fnuz>("e4m3fnuz");
  print<virtual_rocm_hip::Float8E5M2Fnuz>("e5m2fnuz");
  print<virtual_rocm_hip::Float6E2M3>("e2m3");
  print<virtual_rocm_hip::Float6E3M2>("e3m2");
  print<virtual_rocm_hip::Float4E2M1>("e2m1");
  for (const std::uint32_t bits :
       {0x00000000u, 0x80000000u, 0x3f800000u, 0x3f808000u, 0x3f818000u, 0x3f808001u, 0x3f807fffu,
        0x7f7fffffu, 0xff7fffffu, 0x7f800000u, 0xff800000u, 0x7f800001u, 0x7fc00000u, 0x7fffffffu,
        0x00000001u, 0x00008000u, 0x00018000u, 0x007fffffu}) {
    print_bfloat16(copy_bits<float>(bits));
  }
  // The types: packed forms hold the first value in the lowest bits, and conversions saturate.
  const __hip_fp8x4_e4m3_fnuz packed(float4(1.0f, -2.0f, 1000.0f, 0.5f));
  const float4 back = packed;
  std::printf("packed %08x %g %g %g %g\n", packed.__x, back.x, back.y, back.z, back.w);
  // Two pairs: the first is the upper one.
  const __hip_fp8x4_e4m3_fnuz from_bfloat16(__hip_bfloat162(__hip_bfloat16(3.0f), __hip_bfloat16(4.0f)),
                                            __hip_bfloat162(__hip_bfloat16(1.0f), __hip_bfloat16(2.0f)));
  const __hip_fp8x4_e5m2 from_half(__half2(__half(3.0f), __half(4.0f)), __half2(__half(1.0f), __half(2.0f)));
  const float4 first = from_bfloat16;
  const float4 second = from_half;
  std::printf("pairs %g %g %g %g, %g %g %g %g\n", first.x, first.y, first.z, first.w, second.x, second.y,
              second.z, second.w);
  std::printf("fp4 %u %u %u\n", fcbx::from_float<float, fcbx::Encoding::E2M1, true>(2.5f, 0),
              fcbx::from_float<float, fcbx::Encoding::E2M1, true>(-100.0f, 0),
              fcbx::from_float<float, fcbx::Encoding::E2M1, true>(12.0f, 2));
  std::printf("fp4 back %g %g\n", fcbx::to_float<float, fcbx::Encoding::E2M1, true>(0xF, 0),
              fcbx::to_float<float, fcbx::Encoding::E2M1, true>(1, 3));
  return 0;
}
