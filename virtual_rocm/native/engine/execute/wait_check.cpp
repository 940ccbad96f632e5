// SPDX-License-Identifier: MIT
#include "engine/execute/wait_check.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "engine/block.hpp"
#include "engine/scheduler/launch_state.hpp"
#include "isa/opcode.hpp"

namespace virtual_rocm::engine {
namespace {

using isa::Encoding;
using isa::Instruction;

// More outstanding than a counter can count stops a wave until some have arrived.
constexpr std::size_t kMostVector = 63;
constexpr std::size_t kMostScalar = 15;

// Registers in a row; scalar ones are numbered behind the vector registers.
struct Registers {
  unsigned first = 0;
  unsigned count = 0;
  bool meets(const Registers& other) const {
    return first < other.first + other.count && other.first < first + count;
  }
};

Registers registers_of(isa::Operand operand, unsigned count) {
  if (isa::operand::is_vector_row(operand)) return {isa::operand::vector_row(operand), count};
  if (isa::operand::is_scalar_register(operand)) return {kVectorRegisters + operand, count};
  return {};
}

std::string name_of(const Registers& registers) {
  if (registers.first >= kVectorRegisters) return "s" + std::to_string(registers.first - kVectorRegisters);
  if (registers.first >= kFirstAccumulator) return "a" + std::to_string(registers.first - kFirstAccumulator);
  return "v" + std::to_string(registers.first);
}

// What was issued and may be under way.
struct Flight {
  Registers target;  // empty: a store
  bool unordered;    // may arrive before what was issued earlier
  const Instruction* instruction;
};

// One of the two counters that loads are counted by.
class Counter {
 public:
  explicit Counter(std::size_t most) : most_(most) {}

  void issue(Flight flight) {
    flights_.push_back(flight);
    if (flights_.size() > most_) flights_.pop_front();
  }

  void wait(std::size_t left) {
    if (left >= most_) return;
    // Of what arrives in any order, a count other than 0 tells nothing.
    const bool any_order =
        std::any_of(flights_.begin(), flights_.end(), [](const Flight& one) { return one.unordered; });
    if (any_order && left != 0) return;
    while (flights_.size() > left) flights_.pop_front();
  }

  const Flight* into(const Registers& registers) const {
    for (const Flight& flight : flights_)
      if (flight.target.meets(registers)) return &flight;
    return nullptr;
  }

  void clear() { flights_.clear(); }

 private:
  std::size_t most_;
  std::deque<Flight> flights_;
};

bool is_memory(Encoding encoding) {
  return encoding == Encoding::smem || encoding == Encoding::ds || encoding == Encoding::flat ||
         encoding == Encoding::global || encoding == Encoding::scratch || encoding == Encoding::mubuf ||
         encoding == Encoding::mtbuf;
}

class WaveFlights {
 public:
  // What is wrong with executing this now, if anything; then it counts as issued.
  std::optional<std::string> execute(const Operation& operation, const Wave& wave) {
    start_again_if_new(wave);
    const Instruction& instruction = operation.instruction;
    if (instruction.opcode == isa::Opcode::count) return std::nullopt;  // no instruction
    if (instruction.opcode == isa::Opcode::s_waitcnt) {
      const std::uint32_t counts = instruction.immediate;
      vector_.wait((counts & 0xf) | (counts >> 14 & 3) << 4);
      scalar_.wait(counts >> 8 & 0xf);
      return std::nullopt;
    }
    const isa::OpcodeInfo& row = isa::info(instruction.opcode);
    const bool memory = is_memory(instruction.encoding);
    for (unsigned index = 0; index < 3; ++index)
      if (auto wrong = use(registers_of(instruction.source[index], width(row, instruction, index)), "read"))
        return wrong;
    const Registers target =
        registers_of(instruction.destination, std::max(1u, isa::registers(row.destination)));
    if (memory) {
      issue(row, instruction, target);
      return std::nullopt;
    }
    if (auto wrong = use(target, "written")) return wrong;
    return use(registers_of(instruction.second_destination, 2), "written");
  }

 private:
  // Waves are used again for other blocks.
  void start_again_if_new(const Wave& wave) {
    const Block& block = *wave.block;
    if (launch_ == block.launch->number && block_ == block.number && index_ == wave.index) return;
    launch_ = block.launch->number;
    block_ = block.number;
    index_ = wave.index;
    vector_.clear();
    scalar_.clear();
  }

  static unsigned width(const isa::OpcodeInfo& row, const Instruction& instruction, unsigned index) {
    const unsigned count = std::max(1u, isa::registers(row.source[index]));
    const Encoding encoding = instruction.encoding;
    // With a scalar base, the vector address is an offset of 32 bits.
    const bool offset = encoding == Encoding::scratch ||
                        (encoding == Encoding::global && instruction.source[2] != isa::operand::kNone);
    return index == 0 && offset ? 1 : count;
  }

  std::optional<std::string> use(const Registers& registers, const char* how) const {
    if (registers.count == 0) return std::nullopt;
    const Flight* flight = vector_.into(registers);
    const char* counter = "vmcnt";
    if (flight == nullptr) {
      flight = scalar_.into(registers);
      counter = "lgkmcnt";
    }
    if (flight == nullptr) return std::nullopt;
    return name_of(registers) + " is " + how + " while `" + isa::print(*flight->instruction) +
           "` may be under way: no s_waitcnt " + counter + " before";
  }

  void issue(const isa::OpcodeInfo& row, const Instruction& instruction, Registers target) {
    const bool returns = row.destination != isa::Type::none &&
                         (!row.has(isa::kAtomic) || instruction.has(isa::kSc0)) && !row.has(isa::kToLds);
    if (!returns) target = {};
    switch (instruction.encoding) {
      case Encoding::smem:
        if (returns && !row.name.starts_with("s_store") && !row.name.starts_with("s_buffer_store"))
          scalar_.issue({target, true, &instruction});
        break;
      case Encoding::ds:
        scalar_.issue({target, false, &instruction});
        break;
      case Encoding::flat:
        // It may be an access to LDS, and is counted by both.
        vector_.issue({target, false, &instruction});
        scalar_.issue({target, true, &instruction});
        break;
      case Encoding::mubuf:
      case Encoding::mtbuf:
        vector_.issue({{}, false, &instruction});  // only fences are in use; their operands are none
        break;
      default:
        vector_.issue({target, false, &instruction});
        break;
    }
  }

  Counter vector_{kMostVector};
  Counter scalar_{kMostScalar};
  std::uint64_t launch_ = 0;
  std::uint64_t block_ = 0;
  unsigned index_ = 0;
};

// The handlers that the check stands before, by where their operations are. Programs that are gone stay until
// another lies in their place: their addresses are used by nobody.
struct Watched {
  const Operation* end;
  std::vector<Handler> handlers;
};

std::mutex watched_mutex;
std::map<const Operation*, std::shared_ptr<const Watched>>& all_watched() {
  static auto* const all = new std::map<const Operation*, std::shared_ptr<const Watched>>;
  return *all;
}

Handler original_handler(const Operation* operation) {
  // A thread executes one program for long.
  thread_local const Operation* begin = nullptr;
  thread_local std::shared_ptr<const Watched> current;
  if (current == nullptr || operation < begin || operation >= current->end) {
    const std::lock_guard lock(watched_mutex);
    auto found = all_watched().upper_bound(operation);
    --found;  // every operation whose handler leads here is in one
    begin = found->first;
    current = found->second;
  }
  return current->handlers[static_cast<std::size_t>(operation - begin)];
}

const Operation* execute_checked(const Operation* operation, Wave* wave) {
  thread_local std::unordered_map<const Wave*, WaveFlights> flights;
  if (auto wrong = flights[wave].execute(*operation, *wave)) {
    Fault fault;
    fault.kind = FaultKind::check;
    fault.check_name = "waits";
    fault.message = *std::move(wrong);
    return raise(operation, wave, std::move(fault));
  }
  return original_handler(operation)(operation, wave);
}

}  // namespace

bool check_waits() {
  const char* text = std::getenv("VIRTUAL_ROCM_CHECK_WAITS");
  return text != nullptr && std::string_view(text) == "1";
}

void watch_waits(std::vector<Operation>& operations) {
  auto watched = std::make_shared<Watched>();
  watched->end = operations.data() + operations.size();
  for (Operation& operation : operations) {
    watched->handlers.push_back(operation.handler);
    operation.handler = execute_checked;
  }
  const std::lock_guard lock(watched_mutex);
  auto& all = all_watched();
  for (auto each = all.begin(); each != all.end();)
    if (each->first < watched->end && operations.data() < each->second->end)
      each = all.erase(each);
    else
      ++each;
  all[operations.data()] = std::move(watched);
}

}  // namespace virtual_rocm::engine
