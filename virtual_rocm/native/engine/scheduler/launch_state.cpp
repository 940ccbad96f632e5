// SPDX-License-Identifier: MIT
#include "engine/scheduler/launch_state.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace virtual_rocm::engine {
namespace {

// Bits of kernel_code_properties: which user SGPRs a kernel wants, in this order, with their number of
// registers.
enum Property : std::uint16_t {
  kPrivateSegmentBuffer = 1 << 0,
  kDispatchPointer = 1 << 1,
  kQueuePointer = 1 << 2,
  kKernargPointer = 1 << 3,
  kDispatchId = 1 << 4,
  kFlatScratchInit = 1 << 5,
  kPrivateSegmentSize = 1 << 6,
};

// What a kernel with unbounded recursion or indirect calls gets beyond what the compiler could count.
constexpr std::uint32_t kDynamicStack = 32 * 1024;

// The AQL kernel dispatch packet, as the HSA specification lays it out.
struct DispatchPacket {
  std::uint16_t header;
  std::uint16_t setup;
  std::uint16_t workgroup_size[3];
  std::uint16_t reserved0;
  std::uint32_t grid_size[3];
  std::uint32_t private_segment_size;
  std::uint32_t group_segment_size;
  std::uint64_t kernel_object;
  std::uint64_t kernarg_address;
  std::uint64_t reserved2;
  std::uint64_t completion_signal;
};
static_assert(sizeof(DispatchPacket) == 64);

// Where amd_queue_t keeps the apertures' high halves.
constexpr std::size_t kQueueSize = 256;
constexpr std::size_t kQueueGroupAperture = 64;
constexpr std::size_t kQueuePrivateAperture = 68;

constexpr std::uint32_t kPacketPlace = 0;
constexpr std::uint32_t kQueuePlace = 64;
constexpr std::uint32_t kKernargPlace = 512;

std::string describe(Dimensions size) {
  return std::to_string(size.x) + " x " + std::to_string(size.y) + " x " + std::to_string(size.z);
}

void check(const Launch& launch) {
  if (launch.kernel == nullptr || launch.code_object == nullptr)
    throw LoadError("the launch names no kernel");
  const Kernel& kernel = *launch.kernel;
  if (!kernel.refused.empty()) {
    std::string text =
        "kernel " + kernel.name + " uses instructions that the virtual device does not execute:";
    for (const std::string& instruction : kernel.refused) text += "\n  " + instruction;
    throw LoadError(text);
  }
  if (launch.grid.count() == 0 || launch.block.count() == 0)
    throw LoadError("kernel " + kernel.name + ": the grid (" + describe(launch.grid) + ") or the block (" +
                    describe(launch.block) + ") is empty");
  if (launch.block.count() > kernel.maximum_block_size || launch.block.x > 1024 || launch.block.y > 1024 ||
      launch.block.z > 1024)
    throw LoadError("kernel " + kernel.name + ": a block of " + describe(launch.block) +
                    " threads is more than the kernel was compiled for (" +
                    std::to_string(kernel.maximum_block_size) + ")");
  if (std::uint64_t{kernel.lds_size} + launch.dynamic_lds > most_lds())
    throw LoadError("kernel " + kernel.name + ": " + std::to_string(kernel.lds_size) + " + " +
                    std::to_string(launch.dynamic_lds) + " bytes of LDS are more than the device has (" +
                    std::to_string(most_lds()) + ")");
}

std::uint32_t scratch_size_of(const Kernel& kernel) {
  const std::uint32_t size = kernel.scratch_size + (kernel.dynamic_stack ? kDynamicStack : 0);
  return (size + 3) / 4 * 4;
}

// Pieces as small as may be, so that a wave holds no more than it uses.
std::uint32_t scratch_shift_of(std::uint32_t size) {
  const std::uint32_t rows = (size / 4 + kScratchPieces - 1) / kScratchPieces;
  return static_cast<std::uint32_t>(std::countr_zero(std::bit_ceil(std::max(rows, kSmallestScratchPiece))));
}

template <typename Value>
void put(std::uint64_t base, std::uint32_t offset, Value value) {
  std::memcpy(reinterpret_cast<void*>(base + offset), &value, sizeof value);
}

// Hidden arguments of code objects v5 and v6 (and those of v4 that have the same meaning). What is not listed
// is a pointer into host services that this device does not offer by that way: null.
void put_hidden(std::uint64_t kernarg, const KernelArgument& argument, const Launch& launch,
                std::uint64_t queue) {
  const std::string_view kind = argument.value_kind;
  const auto axis = [&](Dimensions size) {
    return kind.back() == 'x' ? size.x : kind.back() == 'y' ? size.y : size.z;
  };
  if (kind.starts_with("hidden_block_count_"))
    put<std::uint32_t>(kernarg, argument.offset, axis(launch.grid));
  if (kind.starts_with("hidden_group_size_"))
    put(kernarg, argument.offset, static_cast<std::uint16_t>(axis(launch.block)));
  if (kind == "hidden_grid_dims") {
    const bool deep = launch.grid.z * launch.block.z > 1;
    const bool flat = launch.grid.y * launch.block.y > 1;
    put<std::uint16_t>(kernarg, argument.offset, deep ? 3 : flat ? 2 : 1);
  }
  if (kind == "hidden_dynamic_lds_size") put<std::uint32_t>(kernarg, argument.offset, launch.dynamic_lds);
  if (kind == "hidden_private_base") put<std::uint32_t>(kernarg, argument.offset, kPrivateApertureHigh);
  if (kind == "hidden_shared_base") put<std::uint32_t>(kernarg, argument.offset, kSharedApertureHigh);
  if (kind == "hidden_queue_ptr") put<std::uint64_t>(kernarg, argument.offset, queue);
}

std::size_t argument_bytes(const Launch& launch) {
  return kKernargPlace + std::max<std::size_t>(launch.kernel->kernarg_size, launch.arguments.size()) + 64;
}

}  // namespace

LaunchState::LaunchState(Launch the_launch, std::uint64_t the_number, const Knobs& knobs)
    : launch((check(the_launch), std::move(the_launch))),
      number(the_number),
      code(static_cast<const LoadedCode*>(launch.code_object.get())),
      program(code->program_at(launch.kernel->entry)),
      threads_in_block(static_cast<std::uint32_t>(launch.block.count())),
      waves_in_block((threads_in_block + kLanes - 1) / kLanes),
      lds_size(launch.kernel->lds_size + launch.dynamic_lds),
      scratch_size(scratch_size_of(*launch.kernel)),
      scratch_shift(scratch_shift_of(scratch_size)),
      total_blocks(launch.grid.count()),
      resident_target(std::max(1u, knobs.resident_blocks)),
      resident_most(knobs.resident_limit == 0 ? total_blocks
                                              : std::min<std::uint64_t>(total_blocks, knobs.resident_limit)),
      late_from(knobs.late_blocks.seconds > 0 && launch.kernel->name.starts_with(knobs.late_blocks.kernel)
                    ? knobs.late_blocks.first
                    : total_blocks),
      late_by(std::chrono::duration_cast<Clock::duration>(
          std::chrono::duration<double>(knobs.late_blocks.seconds))),
      began(Clock::now()),
      progressed_at(began),
      random(knobs.seed ^ the_number << 32),
      argument_memory_(argument_bytes(launch)) {
  resident_target = std::min(resident_target, resident_most);
  outcome.launch = number;
  place_arguments();
}

LaunchState::~LaunchState() {
  for (const std::uint64_t base : allocations_) process_allocations().remove(base);
}

void LaunchState::place_arguments() {
  const auto memory = reinterpret_cast<std::uint64_t>(argument_memory_.data());
  packet_ = memory + kPacketPlace;
  queue_ = memory + kQueuePlace;
  kernarg_ = memory + kKernargPlace;
  const Kernel& kernel = *launch.kernel;

  const std::size_t explicit_bytes = std::min<std::size_t>(launch.arguments.size(), kernel.kernarg_size);
  if (explicit_bytes != 0)
    std::memcpy(reinterpret_cast<void*>(kernarg_), launch.arguments.data(), explicit_bytes);
  for (const KernelArgument& argument : kernel.arguments)
    if (argument.hidden()) put_hidden(kernarg_, argument, launch, queue_);

  DispatchPacket packet{};
  packet.header = 2;  // kernel dispatch
  packet.setup = 3;
  const std::uint32_t block[3] = {launch.block.x, launch.block.y, launch.block.z};
  const std::uint32_t grid[3] = {launch.grid.x, launch.grid.y, launch.grid.z};
  for (unsigned axis = 0; axis < 3; ++axis) {
    packet.workgroup_size[axis] = static_cast<std::uint16_t>(block[axis]);
    packet.grid_size[axis] = grid[axis] * block[axis];
  }
  packet.private_segment_size = scratch_size;
  packet.group_segment_size = lds_size;
  packet.kernel_object = kernel.descriptor;
  packet.kernarg_address = kernarg_;
  std::memcpy(reinterpret_cast<void*>(packet_), &packet, sizeof packet);
  put<std::uint32_t>(queue_, kQueueGroupAperture, kSharedApertureHigh);
  put<std::uint32_t>(queue_, kQueuePrivateAperture, kPrivateApertureHigh);

  const auto register_memory = [&](std::uint64_t base, std::uint64_t size, const char* what) {
    Allocation allocation;
    allocation.base = base;
    allocation.size = size;
    allocation.kind = AllocationKind::engine;
    allocation.writable = false;
    allocation.label = std::string(what) + " of " + kernel.name;
    if (process_allocations().add(allocation)) allocations_.push_back(base);
  };
  register_memory(packet_, kQueuePlace + kQueueSize, "dispatch packet");
  // Scalar loads are made wider than the arguments where alignment allows.
  if (kernel.kernarg_size != 0) register_memory(kernarg_, (kernel.kernarg_size + 63) / 64 * 64, "arguments");
}

std::size_t LaunchState::lds_bytes() const {
  // A whole vector beyond the end: contiguous masked accesses may form addresses there.
  return lds_size == 0 ? 0 : lds_size + kLanes;
}

void LaunchState::start_block(BlockMemory& memory) {
  std::unique_ptr<Block> block;
  if (spare_blocks_.empty()) {
    block = std::make_unique<Block>();
  } else {
    block = std::move(spare_blocks_.back());
    spare_blocks_.pop_back();
  }
  block->launch = this;
  block->number = next_block;
  block->index.x = static_cast<std::uint32_t>(next_block % launch.grid.x);
  block->index.y = static_cast<std::uint32_t>(next_block / launch.grid.x % launch.grid.y);
  block->index.z = static_cast<std::uint32_t>(next_block / launch.grid.x / launch.grid.y);
  ++next_block;
  block->lds = memory.buffers.take(lds_bytes());
  if (block->lds != nullptr) std::memset(block->lds, 0, lds_size);
  block->running = waves_in_block;
  block->at_barrier = 0;
  block->lds_changes = 0;
  block->waves.clear();
  for (std::uint32_t index = 0; index < waves_in_block; ++index) {
    Wave* wave = memory.waves.take();
    start_wave(*wave, *block, index);
    block->waves.push_back(wave);
  }
  resident.push_back(std::move(block));
  outcome.most_resident_blocks =
      std::max(outcome.most_resident_blocks, static_cast<std::uint32_t>(resident.size()));
}

void LaunchState::start_wave(Wave& wave, Block& block, std::uint32_t index) {
  const Kernel& kernel = *launch.kernel;
  // Vector registers keep what the wave before left in them, as on hardware: clearing them would be half the
  // cost of a wave that has nothing to do, of which large grids have thousands.
  std::memset(wave.scalar, 0, operand::kInlineConstant0 * sizeof(std::uint32_t));
  wave.set_scc(false);

  unsigned next = 0;
  const auto push_pair = [&](std::uint64_t value) {
    wave.set_scalar_pair(next, value);
    next += 2;
  };
  if (kernel.properties & kPrivateSegmentBuffer) next += 4;
  if (kernel.properties & kDispatchPointer) push_pair(packet_);
  if (kernel.properties & kQueuePointer) push_pair(queue_);
  if (kernel.properties & kKernargPointer) push_pair(kernarg_);
  if (kernel.properties & kDispatchId) push_pair(number);
  if (kernel.properties & kFlatScratchInit) next += 2;
  if (kernel.properties & kPrivateSegmentSize) wave.scalar[next++] = scratch_size;
  // Preloaded arguments, if any, are fetched by the code at the entry; only their registers are counted.
  next = kernel.resource2 >> 1 & 0x1f;
  if (kernel.resource2 & 1 << 7) wave.scalar[next++] = block.index.x;
  if (kernel.resource2 & 1 << 8) wave.scalar[next++] = block.index.y;
  if (kernel.resource2 & 1 << 9) wave.scalar[next++] = block.index.z;

  const std::uint32_t first_thread = index * kLanes;
  const std::uint32_t threads = std::min(kLanes, threads_in_block - first_thread);
  std::uint32_t* const thread_ids = wave.vector[0];
  if (threads_in_block == launch.block.x) {
    // One dimension, as most kernels have: no divisions, of which thousands of small waves would feel each.
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) thread_ids[lane] = first_thread + lane;
  } else {
    for (std::uint32_t lane = 0; lane < threads; ++lane) {
      const std::uint32_t thread = first_thread + lane;
      const std::uint32_t x = thread % launch.block.x;
      const std::uint32_t y = thread / launch.block.x % launch.block.y;
      const std::uint32_t z = thread / launch.block.x / launch.block.y;
      thread_ids[lane] = x | y << 10 | z << 20;
    }
  }
  wave.set_exec(threads == kLanes ? ~std::uint64_t{0} : (std::uint64_t{1} << threads) - 1);

  const std::uint32_t float_mode = kernel.resource1 >> 12 & 0xff;
  const std::uint32_t clamp = kernel.resource1 >> 21 & 1;
  const std::uint32_t ieee = kernel.resource1 >> 23 & 1;
  wave.mode = float_mode | clamp << 8 | ieee << 9;
  wave.gpr_index_mode = 0;
  wave.state = WaveState::ready;
  wave.progressed = 0;
  wave.spins = 0;
  wave.index = static_cast<std::uint16_t>(index);
  wave.resume = program->at(kernel.entry);
  wave.current = wave.resume;
  wave.block = &block;
  wave.lds = block.lds;
  wave.lds_size = lds_size;
  wave.scratch_size = scratch_size;
  wave.scratch_shift = scratch_shift;
  wave.worker = nullptr;
  wave.polled_address = 0;
  wave.instructions = 0;
  wave.quiet_turns = 0;
  wave.watches = 0;
  wave.waits_for_lds = false;
  wave.waits_since = 0;
}

void LaunchState::release(Block& block, BlockMemory& memory) {
  for (Wave* wave : block.waves) {
    outcome.instructions += wave->instructions;
    detach_scratch(wave, memory);
    memory.waves.give_back(wave);
  }
  block.waves.clear();
  memory.buffers.give_back(block.lds, lds_bytes());
  block.lds = nullptr;
}

void LaunchState::retire_blocks(BlockMemory& memory) {
  std::size_t kept = 0;
  for (std::size_t index = 0; index < resident.size(); ++index) {
    if (resident[index]->running != 0) {
      if (kept != index) std::swap(resident[kept], resident[index]);
      ++kept;
      continue;
    }
    release(*resident[index], memory);
    ++finished_blocks;
    spare_blocks_.push_back(std::move(resident[index]));
  }
  std::erase(resident, nullptr);
}

void LaunchState::abandon_blocks(BlockMemory& memory) {
  for (auto& block : resident) release(*block, memory);
  resident.clear();
}

std::vector<std::byte> pack_arguments(const Kernel& kernel, void* const* parameters) {
  std::vector<std::byte> bytes(kernel.explicit_size);
  std::size_t index = 0;
  for (const KernelArgument& argument : kernel.arguments) {
    if (argument.hidden()) continue;
    std::memcpy(bytes.data() + argument.offset, parameters[index++], argument.size);
  }
  return bytes;
}

}  // namespace virtual_rocm::engine
