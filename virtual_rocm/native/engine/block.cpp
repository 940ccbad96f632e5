// SPDX-License-Identifier: MIT
#include "engine/block.hpp"

#include "engine/scheduler/launch_state.hpp"

namespace virtual_rocm::engine {
namespace {

std::size_t scratch_bytes(const Wave& wave) { return std::size_t{wave.scratch_size} * kLanes; }

}  // namespace

void attach_scratch(Wave* wave) { wave->scratch = wave->worker->memory->buffers.take(scratch_bytes(*wave)); }

const Program& program_of(const Wave& wave) { return *wave.block->launch->program; }

bool arrive_at_barrier(Wave* wave) {
  Block& block = *wave->block;
  wave->progressed |= kLocalProgress;
  if (block.at_barrier + 1 < block.running) {
    ++block.at_barrier;
    wave->state = WaveState::at_barrier;
    return false;
  }
  block.at_barrier = 0;
  for (Wave* other : block.waves)
    if (other->state == WaveState::at_barrier) other->state = WaveState::ready;
  return true;
}

void finish(Wave* wave) {
  Block& block = *wave->block;
  wave->state = WaveState::finished;
  wave->progressed |= kGlobalProgress;
  wave->worker->memory->buffers.give_back(wave->scratch, scratch_bytes(*wave));
  wave->scratch = nullptr;
  --block.running;
  // Waves that have ended count as arrived.
  if (block.running != 0 && block.at_barrier == block.running) {
    block.at_barrier = 0;
    for (Wave* other : block.waves)
      if (other->state == WaveState::at_barrier) other->state = WaveState::ready;
  }
}

}  // namespace virtual_rocm::engine
