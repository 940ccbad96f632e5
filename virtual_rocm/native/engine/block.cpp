// SPDX-License-Identifier: MIT
#include "engine/block.hpp"

#include <bit>
#include <utility>

#include "engine/scheduler/launch_state.hpp"

namespace virtual_rocm::engine {
namespace {

void open_barrier(Block& block) {
  block.at_barrier = 0;
  for (Wave* wave : block.waves)
    if (wave->state == WaveState::at_barrier) wave->state = WaveState::ready;
}

std::size_t piece_bytes(const Wave& wave) { return std::size_t{kRowBytes} << wave.scratch_shift; }

}  // namespace

void attach_scratch(Wave* wave, std::uint32_t piece) {
  wave->scratch_held |= std::uint32_t{1} << piece;
  wave->scratch[piece] = wave->worker->memory->buffers.take(piece_bytes(*wave));
}

void detach_scratch(Wave* wave, BlockMemory& memory) {
  for (; wave->scratch_held != 0; wave->scratch_held &= wave->scratch_held - 1) {
    std::uint8_t*& piece = wave->scratch[std::countr_zero(wave->scratch_held)];
    memory.buffers.give_back(std::exchange(piece, nullptr), piece_bytes(*wave));
  }
}

const Program& program_of(const Wave& wave) { return *wave.block->launch->program; }

bool arrive_at_barrier(Wave* wave) {
  Block& block = *wave->block;
  wave->progressed |= kLocalProgress;
  if (block.at_barrier + 1 < block.running) {
    ++block.at_barrier;
    wave->state = WaveState::at_barrier;
    return false;
  }
  open_barrier(block);
  return true;
}

void finish(Wave* wave) {
  Block& block = *wave->block;
  wave->state = WaveState::finished;
  wave->progressed |= kGlobalProgress;
  detach_scratch(wave, *wave->worker->memory);
  --block.running;
  // Waves that have ended count as arrived.
  if (block.running != 0 && block.at_barrier == block.running) open_barrier(block);
}

}  // namespace virtual_rocm::engine
