// SPDX-License-Identifier: MIT
//
// From executed instructions to source lines.
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/coverage.hpp"
#include "engine/loader/loaded_code.hpp"

namespace virtual_rocm::engine {
namespace {

struct Count {
  std::uint64_t instructions = 0;
  std::uint64_t executed = 0;
  void add(bool was_executed) {
    ++instructions;
    if (was_executed) ++executed;
  }
};

struct FunctionCount : Count {
  std::uint32_t line = 0;
};

std::string fields(std::initializer_list<std::string> parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "\t") + part;
  return text + "\n";
}

std::string fields(std::initializer_list<std::string> parts, const Count& count) {
  std::string text = fields(parts);
  text.back() = '\t';
  return text + fields({std::to_string(count.instructions), std::to_string(count.executed)});
}

class Tally {
 public:
  // `places` innermost first; the first one's line is 0 if the compiler made the instruction up.
  void add(std::span<const SourceLocation> places, bool executed) {
    if (places.empty() || places.front().file.empty()) {
      unknown_.add(executed);
      return;
    }
    for (std::size_t depth = 0; depth < places.size(); ++depth) {
      const SourceLocation& place = places[depth];
      if (place.line != 0) (depth == 0 ? lines_ : calls_)[{place.file, place.line}].add(executed);
      if (place.function.empty()) continue;
      FunctionCount& function = functions_[{place.function, place.file}];
      function.add(executed);
      if (place.line != 0 && (function.line == 0 || place.line < function.line)) function.line = place.line;
    }
  }

  void write(const std::function<void(const std::string&)>& write) const {
    for (const auto& [place, count] : lines_)
      write(fields({"line", place.first, std::to_string(place.second)}, count));
    for (const auto& [place, count] : calls_)
      write(fields({"call", place.first, std::to_string(place.second)}, count));
    for (const auto& [name, count] : functions_)
      write(fields({"function", name.first, name.second, std::to_string(count.line)}, count));
    if (unknown_.instructions != 0) write(fields({"unknown"}, unknown_));
  }

 private:
  std::map<std::pair<std::string, std::uint32_t>, Count> lines_;
  std::map<std::pair<std::string, std::uint32_t>, Count> calls_;
  std::map<std::pair<std::string, std::string>, FunctionCount> functions_;  // name and file
  Count unknown_;
};

}  // namespace

void describe_coverage(std::span<const std::byte> image, std::span<const std::uint8_t> executed,
                       const std::function<void(const std::string&)>& write) {
  // Nothing of it is run here: any address will do for a variable of another code object.
  const LoadedCode code(select_code_object(image), "code object",
                        [](const std::string&) { return std::optional<std::uint64_t>(0); });
  const std::vector<std::uint64_t> addresses = code.instruction_addresses();
  if (addresses.size() != executed.size())
    throw LoadError("the code object has " + std::to_string(addresses.size()) +
                    " instructions, its coverage " + std::to_string(executed.size()) +
                    ": they do not belong together");
  std::map<std::string, Count> kernels;
  for (const Kernel& kernel : code.kernels()) kernels[kernel.name];
  Tally tally;
  code.locate_all(addresses,
                  [&](std::size_t index, const std::string& symbol, std::span<const SourceLocation> places) {
                    if (symbol.empty()) return;  // padding between functions
                    const bool was_executed = executed[index] != 0;
                    if (const auto kernel = kernels.find(symbol); kernel != kernels.end())
                      kernel->second.add(was_executed);
                    tally.add(places, was_executed);
                  });
  for (const auto& [name, count] : kernels) write(fields({"kernel", name}, count));
  tally.write(write);
}

}  // namespace virtual_rocm::engine
