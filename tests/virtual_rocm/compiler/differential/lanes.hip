// SPDX-License-Identifier: MIT
//
// Functions over the lanes of a warp, against 64 lanes simulated on the host; with all lanes active, and with
// some.
#include <functional>

#include "differential.hpp"

using namespace differential;

constexpr int kLanes = 64;
constexpr int kResults = 40;

// Which lanes take part: all, or the ones whose bit is set.
__global__ void everything(const int* in, long long* out, unsigned long long active) {
  const int lane = static_cast<int>(threadIdx.x);
  if (((active >> lane) & 1) == 0) return;
  const int value = in[lane];
  const double wide = in[lane] * 1.5;
  struct Record {
    int a;
    short b;
    char c;
  };
  const Record record{value, static_cast<short>(value * 3), static_cast<char>(lane)};
  long long* mine = out + lane * kResults;
  int n = 0;
  mine[n++] = __lane_id();
  mine[n++] = static_cast<long long>(__ballot(value & 1));
  mine[n++] = static_cast<long long>(__activemask());
  mine[n++] = __any(value == 17);
  mine[n++] = __any(value == -99999);
  mine[n++] = __all(value > -100000);
  mine[n++] = __all(value & 1);
  mine[n++] = __shfl(value, 5);
  mine[n++] = __shfl(value, lane + 3, 16);
  mine[n++] = __shfl(value, 63 - lane);
  mine[n++] = __shfl_up(value, 1);
  mine[n++] = __shfl_up(value, 9, 32);
  mine[n++] = __shfl_down(value, 2);
  mine[n++] = __shfl_down(value, 5, 8);
  mine[n++] = __shfl_xor(value, 1);
  mine[n++] = __shfl_xor(value, 33);
  mine[n++] = __shfl_xor(value, 5, 4);
  mine[n++] = static_cast<long long>(__shfl_xor(wide, 7) * 2);
  mine[n++] = __shfl(record, 11).b * 256 + __shfl(record, 11).c;
  mine[n++] = static_cast<long long>(__lanemask_lt());
  mine[n++] = static_cast<long long>(__match_any(value % 5));
  int all = 0;
  mine[n++] = static_cast<long long>(__match_all(7, &all));
  mine[n++] = all;
  mine[n++] = static_cast<long long>(__match_all(value, &all));
  mine[n++] = all;
  mine[n++] = static_cast<long long>(__ballot_sync(active, value > 0));
  mine[n++] = __builtin_amdgcn_readfirstlane(value);
  mine[n++] = __builtin_amdgcn_readlane(value, 40);  // the lane is read even where it is not active
  mine[n++] = __builtin_amdgcn_ds_bpermute((lane ^ 21) << 2, value);
  mine[n++] = __builtin_amdgcn_update_dpp(-1, value, 0x101 + 2, 0xf, 0xf, false);  // row_shl:3
  mine[n++] =
      __builtin_amdgcn_update_dpp(-1, value, 0x111 + 4, 0xf, 0xf, true);      // row_shr:5, zeros from outside
  mine[n++] = __builtin_amdgcn_update_dpp(-1, value, 0x1b, 0xf, 0xf, false);  // quad_perm:[3,2,1,0]
  mine[n++] = __builtin_amdgcn_update_dpp(-1, value, 0x141, 0xf, 0xf, false);  // row_half_mirror
  mine[n++] = __builtin_amdgcn_update_dpp(-1, value, 0x140, 0x5, 0xf, false);  // row_mirror in rows 0 and 2
  mine[n++] = __builtin_amdgcn_ds_swizzle(value, 0x041f);                      // exchanges neighbours
}

// What a lane outside the active ones leaves for others to read is not defined for ds_bpermute: it gives 0.
std::vector<long long> expected(const std::vector<int>& in, unsigned long long active) {
  std::vector<long long> out(kLanes * kResults, 0);
  const auto on = [&](int lane) { return lane >= 0 && lane < kLanes && ((active >> lane) & 1) != 0; };
  const auto permuted = [&](int lane) { return on(lane & 63) ? in[lane & 63] : 0; };
  const auto ballot = [&](const std::function<bool(int)>& predicate) {
    unsigned long long mask = 0;
    for (int lane = 0; lane < kLanes; ++lane)
      mask |= static_cast<unsigned long long>(on(lane) && predicate(in[lane])) << lane;
    return mask;
  };
  int first = 0;
  while (!on(first)) ++first;
  bool all_same = true;
  for (int lane = 0; lane < kLanes; ++lane) all_same = all_same && (!on(lane) || in[lane] == in[first]);
  for (int lane = 0; lane < kLanes; ++lane) {
    if (!on(lane)) continue;
    long long* mine = out.data() + lane * kResults;
    int n = 0;
    const int value = in[lane];
    mine[n++] = lane;
    mine[n++] = static_cast<long long>(ballot([](int v) { return (v & 1) != 0; }));
    mine[n++] = static_cast<long long>(active);
    mine[n++] = ballot([](int v) { return v == 17; }) != 0;
    mine[n++] = 0;
    mine[n++] = 1;
    mine[n++] = ballot([](int v) { return (v & 1) != 0; }) == active;
    mine[n++] = permuted(5);
    mine[n++] = permuted(((lane + 3) & 15) + (lane & ~15));
    mine[n++] = permuted(63 - lane);
    mine[n++] = permuted(lane - 1 < 0 ? lane : lane - 1);
    mine[n++] = permuted(lane - 9 < (lane & ~31) ? lane : lane - 9);
    mine[n++] = permuted(lane + 2 >= 64 ? lane : lane + 2);
    mine[n++] = permuted((lane & 7) + 5 >= 8 ? lane : lane + 5);
    mine[n++] = permuted(lane ^ 1);
    mine[n++] = permuted(lane ^ 33);
    mine[n++] = permuted((lane ^ 5) >= ((lane + 4) & ~3) ? lane : lane ^ 5);
    mine[n++] = static_cast<long long>(permuted(lane ^ 7) * 1.5 * 2);
    mine[n++] = on(11) ? static_cast<short>(in[11] * 3) * 256 + 11 : 0;
    mine[n++] = static_cast<long long>((1ull << lane) - 1);
    mine[n++] = static_cast<long long>(ballot([&](int v) { return v % 5 == value % 5; }));
    mine[n++] = static_cast<long long>(active);
    mine[n++] = 1;
    mine[n++] = all_same ? static_cast<long long>(active) : 0;
    mine[n++] = all_same;
    mine[n++] = static_cast<long long>(ballot([](int v) { return v > 0; }));
    mine[n++] = in[first];
    mine[n++] = 0;  // compared apart: an inactive lane's register still has what it had before
    mine[n++] = permuted(lane ^ 21);
    const int row = lane & ~15, place = lane & 15;
    // DPP: a source outside its row, or not active, leaves the old value; with bound_ctrl outside gives 0.
    mine[n++] = place + 3 < 16 && on(row + place + 3) ? in[row + place + 3] : -1;
    mine[n++] = place - 5 >= 0 ? (on(row + place - 5) ? in[row + place - 5] : 0) : 0;
    mine[n++] = on(lane ^ 3) ? in[lane ^ 3] : -1;
    mine[n++] = on(lane ^ 7) ? in[lane ^ 7] : -1;
    mine[n++] = (lane / 16) % 2 == 0 && on(lane ^ 15) ? in[lane ^ 15] : -1;
    mine[n++] = permuted(lane ^ 1);
  }
  return out;
}

int main() {
  std::vector<int> in;
  for (int lane = 0; lane < kLanes; ++lane) in.push_back(static_cast<int>(random_bits() % 2000) - 1000);
  in[9] = 17;
  for (const unsigned long long active :
       {~0ull, 0x00000000ffffffffull, 0xfffffffffffffffeull, 0x8000000000000001ull, 0x5555555555555555ull,
        0x0000000000000200ull, 0x123456789abcdef0ull}) {
    const DeviceArray<int> input(in);
    const DeviceArray<long long> output(std::vector<long long>(kLanes * kResults, 0));
    everything<<<dim3(1), dim3(kLanes)>>>(input.get(), output.get(), active);
    require(hipDeviceSynchronize(), "everything");
    std::vector<long long> got = output.read();
    const std::vector<long long> wanted = expected(in, active);
    for (int lane = 0; lane < kLanes; ++lane) {
      // readlane of an active lane is that lane's value; of another, only that all lanes see the same can be
      // said here.
      constexpr int kReadLane = 27;
      if (((active >> lane) & 1) != 0 && ((active >> 40) & 1) != 0) {
        check(got[lane * kResults + kReadLane] == in[40], "readlane");
      }
      got[lane * kResults + kReadLane] = 0;
      for (int n = 0; n < kResults; ++n) {
        ++comparisons;
        if (got[lane * kResults + n] == wanted[lane * kResults + n]) continue;
        if (++failures < 20) {
          std::printf("result %d of lane %d, active %016llx: device %lld, host %lld\n", n, lane, active,
                      got[lane * kResults + n], wanted[lane * kResults + n]);
        }
      }
    }
  }
  return finish();
}
