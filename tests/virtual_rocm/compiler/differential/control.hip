// SPDX-License-Identifier: MIT
//
// Control flow in which lanes go different ways: loops, switches, calls, recursion, calls by pointer, early
// returns, barriers in loops, coordinates of threads and blocks in three dimensions.
#include "differential.hpp"

using namespace differential;

struct Collatz {
  __host__ __device__ int operator()(const std::uint32_t& start) const {
    std::uint64_t n = start % 100000 + 1;
    int steps = 0;
    while (n != 1) {
      n = n % 2 == 0 ? n / 2 : 3 * n + 1;
      ++steps;
    }
    return steps;
  }
};
struct NestedLoops {
  __host__ __device__ int operator()(const std::uint32_t& seed) const {
    int sum = 0;
    for (std::uint32_t i = 0; i < seed % 13; ++i) {
      if ((seed >> i) % 3 == 0) continue;
      for (std::uint32_t j = i; j < 20; ++j) {
        if ((seed ^ j) % 11 == 5) break;
        sum += static_cast<int>(i * j) ^ static_cast<int>(seed % (j + 1));
        if (sum > 5000) return -sum;
      }
    }
    return sum;
  }
};
struct Switch {
  __host__ __device__ int operator()(const std::uint32_t& a) const {
    int result = 1;
    for (int turn = 0; turn < 5; ++turn) {
      switch ((a >> (3 * turn)) & 7) {
        case 0:
          result += 3;
          break;
        case 1:
          result *= 5;
          [[fallthrough]];
        case 2:
          result -= turn;
          break;
        case 3:
          return result;
        case 4:
          result ^= 0x55;
          continue;
        case 6:
          result = -result;
          break;
        default:
          result <<= 1;
      }
      result += 1000;
    }
    return result;
  }
};
__host__ __device__ __attribute__((noinline)) int fibonacci(int n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
struct Recursion {
  __host__ __device__ int operator()(const std::uint32_t& a) const {
    return fibonacci(static_cast<int>(a % 13));
  }
};
__host__ __device__ __attribute__((noinline)) int add_one(int x) { return x + 1; }
__host__ __device__ __attribute__((noinline)) int twice(int x) { return 2 * x; }
__host__ __device__ __attribute__((noinline)) int square(int x) { return x * x; }
struct CallByPointer {
  __host__ __device__ int operator()(const std::uint32_t& a) const {
    int (*functions[3])(int) = {add_one, twice, square};
    int value = static_cast<int>(a % 7);
    for (int i = 0; i < 4; ++i) value = functions[(a >> (2 * i)) % 3](value) % 10007;
    return value;
  }
};
struct Base {
  __host__ __device__ virtual int area(int n) const = 0;
};
struct Square : Base {
  __host__ __device__ int area(int n) const override { return n * n; }
};
struct Triangle : Base {
  __host__ __device__ int area(int n) const override { return n * n / 2; }
};
struct VirtualCall {
  __host__ __device__ int operator()(const std::uint32_t& a) const {
    const Square square_shape;
    const Triangle triangle;
    const Base* shape = a % 2 == 0 ? static_cast<const Base*>(&square_shape) : &triangle;
    return shape->area(static_cast<int>(a % 1000));
  }
};
struct ManyLive {
  // More values at once than there are registers without spilling.
  __host__ __device__ std::uint32_t operator()(const std::uint32_t& a) const {
    std::uint32_t values[96];
    for (int i = 0; i < 96; ++i) values[i] = a * (i + 1) + i;
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 96; ++i) values[i] ^= values[(i * 37 + 11) % 96] >> (i % 31);
    }
    std::uint32_t sum = 0;
    for (int i = 0; i < 96; ++i) sum += values[i] * (2 * i + 1);
    return sum;
  }
};
struct LongJumps {
  // Big structs by value, through a call.
  struct Big {
    std::uint32_t v[40];
  };
  __host__ __device__ __attribute__((noinline)) static Big mix(Big big, std::uint32_t key) {
    for (std::uint32_t i = 0; i < 40; ++i) big.v[(i + key) % 40] += big.v[i] ^ key;
    return big;
  }
  __host__ __device__ std::uint32_t operator()(const std::uint32_t& a) const {
    Big big;
    for (std::uint32_t i = 0; i < 40; ++i) big.v[i] = a + i;
    big = mix(mix(big, a % 40), (a >> 8) % 40);
    std::uint32_t sum = 0;
    for (const std::uint32_t v : big.v) sum = sum * 31 + v;
    return sum;
  }
};

__global__ void barriers(int* out, const int* turns) {
  __shared__ int ring[256];
  const int me = static_cast<int>(threadIdx.x), size = static_cast<int>(blockDim.x);
  ring[me] = me + static_cast<int>(blockIdx.x) * 1000;
  __syncthreads();
  for (int turn = 0; turn < turns[blockIdx.x]; ++turn) {
    const int neighbour = ring[(me + 1) % size];
    __syncthreads();
    ring[me] = neighbour + 1;
    __syncthreads();
  }
  out[blockIdx.x * size + me] = ring[me];
  const int odd = __syncthreads_count(me & 1);
  const int some = __syncthreads_or(me == 77), every = __syncthreads_and(me < 256);
  if (me == 0) out[gridDim.x * size + blockIdx.x] = odd * 100 + some * 10 + every;
}

__global__ void coordinates(unsigned* out) {
  const dim3 thread = threadIdx, block = blockIdx, size = blockDim, grid = gridDim;
  const unsigned block_number = (block.z * grid.y + block.y) * grid.x + block.x;
  const unsigned thread_number = (thread.z * size.y + thread.y) * size.x + thread.x;
  unsigned* mine = out + (block_number * size.x * size.y * size.z + thread_number) * 4;
  mine[0] = threadIdx.x | threadIdx.y << 8 | threadIdx.z << 16;
  mine[1] = blockIdx.x | blockIdx.y << 8 | blockIdx.z << 16;
  mine[2] = blockDim.x | blockDim.y << 8 | blockDim.z << 16;
  mine[3] = gridDim.x | gridDim.y << 8 | gridDim.z << 16;
}

int main() {
  std::vector<std::uint32_t> seeds = integers<std::uint32_t>();
  for (int i = 0; i < 700; ++i) seeds.push_back(static_cast<std::uint32_t>(random_bits()));
  compare<Collatz>("Collatz", seeds);
  compare<NestedLoops>("NestedLoops", seeds);
  compare<Switch>("Switch", seeds);
  compare<Recursion>("Recursion", seeds);
  compare<CallByPointer>("CallByPointer", seeds);
  compare<VirtualCall>("VirtualCall", seeds);
  compare<ManyLive>("ManyLive", seeds);
  compare<LongJumps>("LongJumps", seeds);
  for (const int size : {256, 64, 200, 33}) {
    const std::vector<int> turns = {0, 1, 5, 64, 300};
    const int blocks = static_cast<int>(turns.size());
    const DeviceArray<int> counts(turns), out(zeros<int>(blocks * size + blocks));
    barriers<<<dim3(blocks), dim3(size)>>>(out.get(), counts.get());
    require(hipDeviceSynchronize(), "barriers");
    const std::vector<int> got = out.read();
    for (int block = 0; block < blocks; ++block) {
      for (int i = 0; i < size; ++i) {
        check(got[block * size + i] == (i + turns[block]) % size + block * 1000 + turns[block], "barriers");
      }
      check(got[blocks * size + block] == size / 2 * 100 + (size > 77) * 10 + 1, "votes of a block");
    }
  }
  {
    const dim3 grid(3, 2, 4), block(5, 7, 2);
    const unsigned threads = 3 * 2 * 4 * 5 * 7 * 2;
    const DeviceArray<unsigned> out(zeros<unsigned>(threads * 4));
    coordinates<<<grid, block>>>(out.get());
    require(hipDeviceSynchronize(), "coordinates");
    const std::vector<unsigned> got = out.read();
    unsigned i = 0;
    for (unsigned bz = 0; bz < 4; ++bz)
      for (unsigned by = 0; by < 2; ++by)
        for (unsigned bx = 0; bx < 3; ++bx)
          for (unsigned tz = 0; tz < 2; ++tz)
            for (unsigned ty = 0; ty < 7; ++ty)
              for (unsigned tx = 0; tx < 5; ++tx, ++i) {
                check(got[i * 4] == (tx | ty << 8 | tz << 16) && got[i * 4 + 1] == (bx | by << 8 | bz << 16),
                      "coordinates");
                check(got[i * 4 + 2] == (5 | 7 << 8 | 2 << 16) && got[i * 4 + 3] == (3 | 2 << 8 | 4 << 16),
                      "sizes");
              }
  }
  return finish();
}
