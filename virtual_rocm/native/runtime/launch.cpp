// SPDX-License-Identifier: MIT
#include "runtime/launch.hpp"

#include <algorithm>
#include <future>

#include "runtime/device.hpp"
#include "runtime/hip_error.hpp"
#include "runtime/process.hpp"

namespace virtual_rocm {

namespace {

std::string in_words(const engine::Dimensions& size) { return concat(size.x, " x ", size.y, " x ", size.z); }

}  // namespace

void check_launch(const LaunchRequest& request) {
  const engine::Kernel& kernel = *request.loaded.kernel;
  const DeviceFacts& facts = device_facts();
  if (request.grid.count() == 0 || request.block.count() == 0)
    throw fail(ErrorCode::invalid_configuration, kernel.name, ": grid ", in_words(request.grid), ", block ",
               in_words(request.block));
  if (request.block.count() > static_cast<std::uint64_t>(facts.threads_per_block) ||
      request.block.count() > kernel.maximum_block_size)
    throw fail(ErrorCode::invalid_configuration, kernel.name, ": a block of ", request.block.count(),
               " threads; the kernel allows ", kernel.maximum_block_size);
  if (kernel.lds_size + request.dynamic_lds > static_cast<std::size_t>(facts.lds_per_block))
    throw fail(ErrorCode::invalid_value, kernel.name, ": ", kernel.lds_size, " + ", request.dynamic_lds,
               " bytes of LDS; a block has ", facts.lds_per_block);
  if (!kernel.refused.empty())
    throw engine::LoadError(concat(kernel.name, " needs instructions that the engine does not have: ",
                                   kernel.refused.front(), kernel.refused.size() > 1 ? " and others" : ""));
}

void run_launch(int device, const LaunchRequest& request) {
  if (sticky_error() != ErrorCode::success) return;
  std::promise<engine::Outcome> ended;
  engine::Launch launch;
  launch.code_object = request.loaded.code_object;
  launch.kernel = request.loaded.kernel;
  launch.grid = request.grid;
  launch.block = request.block;
  launch.dynamic_lds = static_cast<std::uint32_t>(request.dynamic_lds);
  launch.arguments = request.arguments;
  launch.completed = [&ended](const engine::Outcome& outcome) { ended.set_value(outcome); };
  engine::Outcome outcome;
  try {
    executor(device).submit(std::move(launch));
    outcome = ended.get_future().get();
  } catch (const engine::LoadError& error) {
    outcome.fault.emplace();
    outcome.fault->kind = engine::FaultKind::launch;
    outcome.fault->message = error.what();
    outcome.fault->site.kernel = request.loaded.kernel->name;
  }
  if (log_enabled())
    log_line(concat("kernel ", request.loaded.kernel->name, " grid ", in_words(request.grid), " block ",
                    in_words(request.block), " lds ", request.dynamic_lds, ": ", outcome.seconds * 1e3,
                    " ms (", outcome.processor_seconds * 1e3, " of the processor), ", outcome.instructions,
                    " wave instructions, ", outcome.most_resident_blocks, " blocks resident",
                    outcome.fault ? ", fault" : ""));
  if (outcome.fault) handle_fault(*outcome.fault);
}

int occupancy(const engine::Kernel& kernel, int block_size, std::size_t dynamic_lds) {
  const DeviceFacts& facts = device_facts();
  constexpr int kSimds = 4, kWavesOfSimd = 8, kRegistersOfSimd = 512;
  const int waves_of_block = (block_size + facts.warp_size - 1) / facts.warp_size;
  const int registers = std::max<int>(8, static_cast<int>(kernel.vgpr_count + 7) / 8 * 8);
  const int waves = kSimds * std::min(kWavesOfSimd, kRegistersOfSimd / registers);
  const std::size_t lds = kernel.lds_size + dynamic_lds;
  int blocks = waves / waves_of_block;
  if (lds > 0)
    blocks = std::min(blocks, static_cast<int>(static_cast<std::size_t>(facts.lds_per_block) / lds));
  return std::max(blocks, 0);
}

}  // namespace virtual_rocm
