// SPDX-License-Identifier: MIT
//
// Runs one and the same C++ function on the host and on the device, and compares the bits of the results.
//
// A program has a main() that calls compare() for each function, and returns finish(). Programs are compiled
// without contraction of a·b + c and without excess precision of half, so both sides round after every
// operation.
#pragma once

#include <hip/hip_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

namespace differential {

inline int failures = 0;
inline int comparisons = 0;

inline void require(hipError_t error, const char* what) {
  if (error == hipSuccess) return;
  std::printf("%s: %s\n", what, hipGetErrorString(error));
  std::exit(2);
}

// An array on the device.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values) : size_(values.size()) {
    require(hipMalloc(&data_, bytes()), "hipMalloc");
    require(hipMemcpy(data_, values.data(), bytes(), hipMemcpyHostToDevice), "hipMemcpy to the device");
  }
  ~DeviceArray() { (void)hipFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  T* get() const { return data_; }
  std::vector<T> read() const {
    std::vector<T> values(size_);
    require(hipMemcpy(values.data(), data_, bytes(), hipMemcpyDeviceToHost), "hipMemcpy from the device");
    return values;
  }

 private:
  std::size_t bytes() const { return size_ * sizeof(T); }
  T* data_ = nullptr;
  std::size_t size_;
};

inline std::uint64_t random_state = 0x9e3779b97f4a7c15ull;
inline std::uint64_t random_bits() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

// Equal bits; two NaNs are equal whatever their payload, since neither C++ nor the ISA's manual fixes it
// everywhere.
template <typename T>
bool same(const T& left, const T& right) {
  if constexpr (std::is_floating_point_v<T> || std::is_same_v<T, _Float16>) {
    if (left != left && right != right) return true;
  }
  return std::memcmp(&left, &right, sizeof(T)) == 0;
}

template <typename T>
void print_bits(const T& value) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&value);
  for (std::size_t i = sizeof(T); i-- > 0;) std::printf("%02x", bytes[i]);
}

template <typename Function, typename In, typename Out>
__global__ void apply(const In* in, Out* out, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) out[i] = Function{}(in[i]);
}

// The function's result for every input, on both sides.
template <typename Function, typename In>
void compare(const char* name, const std::vector<In>& inputs) {
  using Result = std::decay_t<decltype(Function{}(inputs[0]))>;
  using Out = std::conditional_t<std::is_same_v<Result, bool>, std::int8_t, Result>;
  const DeviceArray<In> in(inputs);
  // Filled with what no function gives by chance, so that a lane that did not store is seen.
  std::vector<Out> nothing(inputs.size());
  std::memset(static_cast<void*>(nothing.data()), 0xa5, nothing.size() * sizeof(Out));
  const DeviceArray<Out> out(nothing);
  const int count = static_cast<int>(inputs.size());
  apply<Function, In, Out><<<dim3((count + 255) / 256), dim3(256)>>>(in.get(), out.get(), count);
  require(hipGetLastError(), name);
  require(hipDeviceSynchronize(), name);
  const std::vector<Out> got = out.read();
  int wrong = 0;
  for (int i = 0; i < count; ++i) {
    ++comparisons;
    const Out wanted = Function{}(inputs[i]);
    if (same(got[i], wanted)) continue;
    if (++wrong > 4) continue;
    std::printf("%s of ", name);
    print_bits(inputs[i]);
    std::printf(": device ");
    print_bits(got[i]);
    std::printf(", host ");
    print_bits(wanted);
    std::printf("\n");
  }
  if (wrong != 0) std::printf("%s: %d of %d differ\n", name, wrong, count);
  failures += wrong;
}

// Says that something is as it must be.
inline void check(bool condition, const char* name) {
  ++comparisons;
  if (condition) return;
  ++failures;
  std::printf("%s: wrong\n", name);
}

inline int finish() {
  std::printf("%d comparisons, %d failures\n", comparisons, failures);
  return failures == 0 && comparisons > 0 ? 0 : 1;
}

// --- inputs ---

template <typename T>
std::vector<T> zeros(std::size_t count) {
  return std::vector<T>(count);
}

template <typename T>
struct Pair {
  T x;
  T y;
};
template <typename T>
struct Triple {
  T x;
  T y;
  T z;
};

// Edges of an integer type, and random bits.
template <typename T>
std::vector<T> integers() {
  std::vector<T> values;
  for (const std::uint64_t bits : {0ull,
                                   1ull,
                                   2ull,
                                   3ull,
                                   7ull,
                                   31ull,
                                   32ull,
                                   33ull,
                                   63ull,
                                   64ull,
                                   65ull,
                                   127ull,
                                   128ull,
                                   255ull,
                                   256ull,
                                   0x7fffull,
                                   0x8000ull,
                                   0xffffull,
                                   0x10000ull,
                                   0x7fffffffull,
                                   0x80000000ull,
                                   0xffffffffull,
                                   0x100000000ull,
                                   0xaaaaaaaaaaaaaaaaull,
                                   0x7fffffffffffffffull,
                                   0x8000000000000000ull,
                                   0xffffffffffffffffull,
                                   0xfffffffffffffffeull}) {
    values.push_back(static_cast<T>(bits));
  }
  for (int i = 0; i < 40; ++i) values.push_back(static_cast<T>(random_bits() >> (random_bits() % 60)));
  return values;
}

// Edges of a floating-point type: zeros, the smallest and largest, infinities, NaN, ties of rounding; and
// random bits.
template <typename T>
std::vector<T> floats() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values = {T(0),
                           T(1),
                           T(1.5),
                           T(0.5),
                           T(2.5),
                           T(3.5),
                           T(3),
                           T(10),
                           Limits::max(),
                           Limits::min(),
                           Limits::min() / 2,
                           Limits::denorm_min(),
                           3 * Limits::denorm_min(),
                           Limits::infinity(),
                           Limits::quiet_NaN(),
                           T(1) + Limits::epsilon(),
                           T(1) - Limits::epsilon() / 2,
                           T(0.49999999999999994),
                           T(65504),
                           T(65520),
                           T(65519.999),
                           T(6.1035e-5),
                           T(5.96e-8),
                           T(2147483520),
                           T(2147483648.0),
                           T(4294967296.0),
                           T(9.2233720368547758e18),
                           T(448),
                           T(464),
                           T(240),
                           T(57344)};
  const std::size_t edges = values.size();
  for (std::size_t i = 0; i < edges; ++i) values.push_back(-values[i]);
  for (int i = 0; i < 40; ++i) {
    const std::uint64_t bits = random_bits();
    T value;
    std::memcpy(&value, &bits, sizeof value);
    values.push_back(value);
    values.push_back(static_cast<T>(static_cast<double>(random_bits() >> 11) / 0x1p53 * 20 - 10));
  }
  return values;
}

template <typename T>
std::vector<Pair<T>> pairs(const std::vector<T>& values) {
  std::vector<Pair<T>> all;
  for (const T& x : values) {
    for (const T& y : values) all.push_back({x, y});
  }
  return all;
}

template <typename T>
std::vector<Triple<T>> triples(const std::vector<T>& values) {
  std::vector<Triple<T>> some;
  for (int i = 0; i < 6000; ++i) {
    some.push_back({values[random_bits() % values.size()], values[random_bits() % values.size()],
                    values[random_bits() % values.size()]});
  }
  return some;
}

}  // namespace differential

// Defines a function object, for compare(): FUNCTION(Name, parameter, expression).
#define FUNCTION(name, parameter, ...)                                                    \
  struct name {                                                                           \
    __host__ __device__ auto operator()(const parameter& a) const { return __VA_ARGS__; } \
  };
