// SPDX-License-Identifier: MIT
//
// Loads and stores of all widths and alignments, in global memory, LDS and scratch, and atomics on them.
#include <numeric>

#include "differential.hpp"

using namespace differential;

constexpr int kThreads = 256;

// --- copies through each kind of memory ---

template <typename T>
__global__ void copy_aligned(const T* from, T* to, int count) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) to[i] = from[i];
}
template <typename T>
__global__ void copy_unaligned(const char* from, char* to, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  T value;
  __builtin_memcpy(&value, from + i * (sizeof(T) + 1) + 1, sizeof(T));
  __builtin_memcpy(to + i * (sizeof(T) + 3) + 3, &value, sizeof(T));
}
template <typename T>
__global__ void copy_nontemporal(const T* from, T* to, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) __builtin_nontemporal_store(__builtin_nontemporal_load(from + i), to + i);
}
// Backwards through LDS, so that a wrong address or a missing barrier shows.
template <typename T>
__global__ void reverse_in_lds(const T* from, T* to) {
  __shared__ T tile[kThreads];
  const int base = blockIdx.x * kThreads;
  tile[threadIdx.x] = from[base + threadIdx.x];
  __syncthreads();
  to[base + threadIdx.x] = tile[kThreads - 1 - threadIdx.x];
}
// The same in dynamic LDS, whose address a function has that another one calls.
template <typename T>
__device__ T* dynamic_lds() {
  extern __shared__ __attribute__((aligned(16))) char bytes[];
  return reinterpret_cast<T*>(bytes);
}
template <typename T>
__device__ T from_opposite_thread(T value) {
  T* tile = dynamic_lds<T>();
  tile[threadIdx.x] = value;
  __syncthreads();
  return tile[kThreads - 1 - threadIdx.x];
}
// Before it lies what the kernel has in LDS itself, of another size in each kernel.
template <typename T, int kOwn>
__global__ void reverse_in_dynamic_lds(const T* from, T* to, int* kept) {
  __shared__ int own[kOwn];
  if (threadIdx.x < kOwn) own[threadIdx.x] = threadIdx.x + 1;
  to[threadIdx.x] = from_opposite_thread(from[threadIdx.x]);
  if (threadIdx.x < kOwn) kept[threadIdx.x] = own[threadIdx.x];
}
// Through an array in scratch, at places that are known only at run time.
template <typename T>
__global__ void shuffle_in_scratch(const T* from, T* to, const int* order) {
  T local[16];
  for (int i = 0; i < 16; ++i) local[i] = from[threadIdx.x * 16 + i];
  for (int i = 0; i < 16; ++i) to[threadIdx.x * 16 + i] = local[order[(threadIdx.x + i) & 15]];
}

template <typename T, int kOwn>
void through_dynamic_lds(const DeviceArray<T>& from, const std::vector<T>& values, const char* name) {
  const DeviceArray<T> to(std::vector<T>(kThreads, T{}));
  const DeviceArray<int> kept(zeros<int>(kOwn));
  reverse_in_dynamic_lds<T, kOwn>
      <<<dim3(1), dim3(kThreads), kThreads * sizeof(T)>>>(from.get(), to.get(), kept.get());
  const std::vector<T> wanted(values.rend() - kThreads, values.rend());
  std::vector<int> counted(kOwn);
  for (int i = 0; i < kOwn; ++i) counted[i] = i + 1;
  check(std::memcmp(to.read().data(), wanted.data(), kThreads * sizeof(T)) == 0, name);
  check(kept.read() == counted, name);
}

template <typename T>
void copies(const char* name) {
  constexpr int kCount = 4 * kThreads;
  std::vector<T> values(kCount);
  auto* bytes = reinterpret_cast<unsigned char*>(values.data());
  for (std::size_t i = 0; i < kCount * sizeof(T); ++i) bytes[i] = static_cast<unsigned char>(random_bits());
  const DeviceArray<T> from(values);
  const auto same_bytes = [](const auto& left, const auto& right) {
    return std::memcmp(left.data(), right.data(), left.size() * sizeof(left[0])) == 0;
  };
  const std::vector<T> nothing(kCount, T{});
  {
    const DeviceArray<T> to(nothing);
    copy_aligned<<<dim3(2), dim3(kThreads)>>>(from.get(), to.get(), kCount - 3);
    std::vector<T> wanted = values;
    for (int i = kCount - 3; i < kCount; ++i) wanted[i] = T{};
    check(same_bytes(to.read(), wanted), name);
  }
  {
    std::vector<char> packed(kCount * (sizeof(T) + 3) + 16), wanted(kCount * (sizeof(T) + 3) + 16);
    for (char& byte : packed) byte = static_cast<char>(random_bits());
    for (int i = 0; i < kCount; ++i) {
      std::memcpy(wanted.data() + i * (sizeof(T) + 3) + 3, packed.data() + i * (sizeof(T) + 1) + 1,
                  sizeof(T));
    }
    const DeviceArray<char> in(packed), out(zeros<char>(wanted.size()));
    copy_unaligned<T><<<dim3(kCount / kThreads), dim3(kThreads)>>>(in.get(), out.get(), kCount);
    check(same_bytes(out.read(), wanted), name);
  }
  {
    const DeviceArray<T> to(nothing);
    reverse_in_lds<<<dim3(4), dim3(kThreads)>>>(from.get(), to.get());
    std::vector<T> wanted(kCount);
    for (int i = 0; i < kCount; ++i)
      wanted[i] = values[i / kThreads * kThreads + kThreads - 1 - i % kThreads];
    check(same_bytes(to.read(), wanted), name);
    through_dynamic_lds<T, 4>(from, values, name);
    through_dynamic_lds<T, 32>(from, values, name);
    through_dynamic_lds<T, 64>(from, values, name);
  }
  {
    std::vector<int> order(16);
    for (int i = 0; i < 16; ++i) order[i] = (i * 7 + 3) & 15;
    const DeviceArray<int> places(order);
    const DeviceArray<T> to(nothing);
    shuffle_in_scratch<<<dim3(1), dim3(kCount / 16)>>>(from.get(), to.get(), places.get());
    std::vector<T> wanted(kCount);
    for (int thread = 0; thread < kCount / 16; ++thread) {
      for (int i = 0; i < 16; ++i) wanted[thread * 16 + i] = values[thread * 16 + order[(thread + i) & 15]];
    }
    check(same_bytes(to.read(), wanted), name);
  }
}
template <typename T>
void nontemporal(const char* name) {
  std::vector<T> values(kThreads);
  for (int i = 0; i < kThreads; ++i) values[i] = static_cast<T>(random_bits());
  const DeviceArray<T> from(values), to(zeros<T>(kThreads));
  copy_nontemporal<<<dim3(1), dim3(kThreads)>>>(from.get(), to.get(), kThreads);
  check(to.read() == values, name);
}

// A pointer that may point anywhere: which memory it is shows only in the address.
__global__ void generic_pointers(int* out, int which) {
  __shared__ int in_lds[4];
  int in_scratch[4] = {10, 11, 12, 13};
  if (threadIdx.x == 0) {
    for (int i = 0; i < 4; ++i) in_lds[i] = 20 + i;
  }
  __syncthreads();
  int* pointer = which == 0 ? out : which == 1 ? in_lds : in_scratch;
  asm volatile("" : "+v"(pointer));  // the compiler must not know any more
  const int seen = pointer[1];
  __syncthreads();
  pointer[2] = seen + static_cast<int>(threadIdx.x == 5);
  out[4 + threadIdx.x] = seen * 100 + (which == 2 ? in_scratch[2] : 0);
}

// --- atomics ---

template <typename T>
struct Totals {
  T sum, smallest, largest, all_and, all_or, all_xor, swapped, increments, claimed;
};
template <typename T, bool InLds>
__global__ void atomics(const T* in, Totals<T>* totals, T* before, int count) {
  __shared__ Totals<T> local;
  Totals<T>* target = InLds ? &local : totals;
  if (InLds && threadIdx.x == 0) local = *totals;
  __syncthreads();
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    before[i] = atomicAdd(&target->sum, in[i]);
    atomicMin(&target->smallest, in[i]);
    atomicMax(&target->largest, in[i]);
    atomicAnd(&target->all_and, in[i]);
    atomicOr(&target->all_or, in[i]);
    atomicXor(&target->all_xor, in[i]);
    atomicExch(&target->swapped, in[i]);
    T seen = target->increments;
    while (true) {  // an addition made of compare-and-swap
      const T found = atomicCAS(&target->increments, seen, static_cast<T>(seen + 3));
      if (found == seen) break;
      seen = found;
    }
    __hip_atomic_fetch_add(&target->claimed, T(1), __ATOMIC_ACQ_REL, __HIP_MEMORY_SCOPE_SYSTEM);
  }
  __syncthreads();
  if (InLds && threadIdx.x == 0) *totals = local;
}

template <typename T, bool InLds>
void check_atomics(const char* name) {
  const int count = 1000;
  std::vector<T> in(count);
  for (T& value : in) value = static_cast<T>(random_bits());
  Totals<T> start{
      T(5), std::numeric_limits<T>::max(), std::numeric_limits<T>::min(), static_cast<T>(~T(0)), 0, 0, 0, 0,
      0};
  const DeviceArray<T> input(in), before(zeros<T>(count));
  const DeviceArray<Totals<T>> totals(std::vector<Totals<T>>{start});
  atomics<T, InLds><<<dim3(1), dim3(kThreads)>>>(input.get(), totals.get(), before.get(), count);
  require(hipDeviceSynchronize(), name);
  const Totals<T> got = totals.read()[0];
  using U = std::make_unsigned_t<T>;
  U sum = 5;
  T smallest = std::numeric_limits<T>::max(), largest = std::numeric_limits<T>::min(),
    all_and = static_cast<T>(~T(0));
  T all_or = 0, all_xor = 0;
  bool swapped_is_one = false;
  for (const T value : in) {
    sum += static_cast<U>(value);
    smallest = value < smallest ? value : smallest;
    largest = value > largest ? value : largest;
    all_and &= value;
    all_or |= value;
    all_xor ^= value;
    swapped_is_one = swapped_is_one || value == got.swapped;
  }
  check(got.sum == static_cast<T>(sum), name);
  check(got.smallest == smallest && got.largest == largest, name);
  check(got.all_and == all_and && got.all_or == all_or && got.all_xor == all_xor, name);
  check(swapped_is_one, name);
  check(got.increments == static_cast<T>(3 * count) && got.claimed == static_cast<T>(count), name);
  // The old values that additions return form one chain: sorting by it gives every prefix sum once.
  std::vector<U> sums;
  const std::vector<T> old = before.read();
  for (int i = 0; i < count; ++i) sums.push_back(static_cast<U>(old[i]) + static_cast<U>(in[i]));
  std::vector<U> starts;
  for (const T value : old) starts.push_back(static_cast<U>(value));
  U difference = 0;
  for (int i = 0; i < count; ++i) difference += sums[i] - starts[i];
  check(difference == static_cast<U>(sum - 5), name);
}

__global__ void wrapping_counters(unsigned* counters, unsigned* up, unsigned* down) {
  up[threadIdx.x] = atomicInc(&counters[0], 6);
  down[threadIdx.x] = atomicDec(&counters[1], 4);
}
__global__ void float_sums(const float* in, float* sums, double* wide) {
  __shared__ float local;
  if (threadIdx.x == 0) local = 0;
  __syncthreads();
  atomicAdd(&sums[0], in[threadIdx.x]);
  atomicAdd(&local, in[threadIdx.x]);
  atomicAdd(&wide[0], static_cast<double>(in[threadIdx.x]));
  atomicMax(&sums[2], in[threadIdx.x]);
  atomicMin(&sums[3], in[threadIdx.x]);
  __syncthreads();
  if (threadIdx.x == 0) sums[1] = local;
}

int main() {
  copies<std::uint8_t>("copies of 1 byte");
  copies<std::uint16_t>("copies of 2 bytes");
  copies<std::uint32_t>("copies of 4 bytes");
  copies<std::uint64_t>("copies of 8 bytes");
  copies<float3>("copies of 12 bytes");
  copies<uint4>("copies of 16 bytes");
  copies<ulong2>("copies of 2 × 8 bytes");
  copies<ulong4>("copies of 32 bytes");
  nontemporal<std::uint8_t>("nontemporal 1");
  nontemporal<std::uint16_t>("nontemporal 2");
  nontemporal<std::uint32_t>("nontemporal 4");
  nontemporal<std::uint64_t>("nontemporal 8");
  for (int which = 0; which < 3; ++which) {
    const DeviceArray<int> out(std::vector<int>{1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0});
    generic_pointers<<<dim3(1), dim3(8)>>>(out.get(), which);
    require(hipDeviceSynchronize(), "generic_pointers");
    const std::vector<int> got = out.read();
    const int seen[] = {2, 21, 11};
    for (int i = 0; i < 8; ++i) {
      check(got[4 + i] == seen[which] * 100 + (which == 2 ? 11 + (i == 5) : 0), "generic pointers");
    }
  }
  check_atomics<int, false>("atomics on int"), check_atomics<int, true>("atomics on int in LDS");
  check_atomics<unsigned, false>("atomics on unsigned"),
      check_atomics<unsigned, true>("atomics on unsigned in LDS");
  check_atomics<long long, false>("atomics on long long"),
      check_atomics<long long, true>("atomics on long long in LDS");
  check_atomics<unsigned long, false>("atomics on unsigned long");
  check_atomics<unsigned long, true>("atomics on unsigned long in LDS");
  {
    const DeviceArray<unsigned> counters(std::vector<unsigned>{0, 2}), up(zeros<unsigned>(kThreads)),
        down(zeros<unsigned>(kThreads));
    wrapping_counters<<<dim3(1), dim3(kThreads)>>>(counters.get(), up.get(), down.get());
    std::vector<int> seen_up(8), seen_down(8);
    for (const unsigned value : up.read()) ++seen_up[value & 7];
    for (const unsigned value : down.read()) ++seen_down[value & 7];
    check(seen_up == std::vector<int>({37, 37, 37, 37, 36, 36, 36, 0}), "atomicInc wraps");
    check(seen_down == std::vector<int>({51, 51, 52, 51, 51, 0, 0, 0}), "atomicDec wraps");
    check(counters.read()[0] == kThreads % 7, "atomicInc ends where it must");
  }
  {
    std::vector<float> in(kThreads);
    for (int i = 0; i < kThreads; ++i) in[i] = static_cast<float>(i % 17) - 4;  // all sums are exact
    const float sum = std::accumulate(in.begin(), in.end(), 0.0f);
    const DeviceArray<float> input(in), sums(std::vector<float>{0, 0, -1000, 1000});
    const DeviceArray<double> wide(std::vector<double>{0});
    float_sums<<<dim3(1), dim3(kThreads)>>>(input.get(), sums.get(), wide.get());
    require(hipDeviceSynchronize(), "float_sums");
    const std::vector<float> got = sums.read();
    check(got[0] == sum && got[1] == sum && wide.read()[0] == sum, "sums of floats");
    check(got[2] == 12 && got[3] == -4, "extremes of floats");
  }
  return finish();
}
