// SPDX-License-Identifier: MIT
//
// Runs kernels of code objects on the wave engine without the HIP runtime, by commands on standard input:
//
//     load FILE                                    one code object; later launches use its kernels
//     buffer NAME BYTES [guard]                    zeroed memory, in the allocation map
//     fill NAME HEX                                bytes from the start
//     launch KERNEL GX,GY,GZ BX,BY,BZ LDS ARG…     ARG: @NAME[+OFFSET], i32:N, i64:N, u64:N, f32:X; starts,
//     does not wait wait                                         until all launches have ended; prints how
//     each did sleep MILLISECONDS read NAME OFFSET BYTES                       prints hexadecimal free NAME
//     time KERNEL …                                launch + wait, and the processor time of the process
//     memcpy NAME NAME BYTES                       the host's own copy, in seconds of processor time
//     kernels, globals, describe, cancel REASON
//
// What it prints is one line for each result; a fault's report has its lines behind "| ".
#include <sys/mman.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.hpp"

namespace {

using namespace virtual_rocm;
using namespace virtual_rocm::engine;

struct Buffer {
  std::uint8_t* data = nullptr;
  std::size_t size = 0;
};

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw LoadError("cannot read " + path);
  std::vector<char> text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<std::byte> bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

Dimensions dimensions(const std::string& text) {
  Dimensions value;
  std::sscanf(text.c_str(), "%u,%u,%u", &value.x, &value.y, &value.z);
  return value;
}

class Driver {
 public:
  Driver() : executor_(Knobs::from_environment()) {
    executor_.set_printer([](const std::string& text) { std::cout << "printf " << text << std::flush; });
  }

  void command(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    if (!(words >> verb) || verb[0] == '#') return;
    if (verb == "load") {
      std::string path;
      words >> path;
      code_.push_back(CodeObject::load(read_file(path), path.substr(path.rfind('/') + 1)));
    } else if (verb == "buffer") {
      allocate(words);
    } else if (verb == "free") {
      std::string name;
      words >> name;
      process_allocations().remove(reinterpret_cast<std::uint64_t>(buffer(name).data));
    } else if (verb == "fill") {
      fill(words);
    } else if (verb == "launch") {
      submit(words);
    } else if (verb == "wait") {
      wait();
    } else if (verb == "time") {
      const std::clock_t began = std::clock();
      submit(words);
      wait();
      std::cout << "processor seconds " << static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC << "\n";
    } else if (verb == "memcpy") {
      time_copy(words);
    } else if (verb == "sleep") {
      unsigned milliseconds = 0;
      words >> milliseconds;
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    } else if (verb == "read") {
      read(words);
    } else if (verb == "kernels") {
      for (const auto& code : code_)
        for (const Kernel& kernel : code->kernels())
          std::cout << "kernel " << kernel.name << " lds " << kernel.lds_size << " scratch "
                    << kernel.scratch_size << " kernarg " << kernel.kernarg_size << " vgprs "
                    << kernel.vgpr_count << " refused " << kernel.refused.size()
                    << (kernel.refused.empty() ? "" : ": " + kernel.refused[0]) << "\n";
    } else if (verb == "globals") {
      for (const auto& code : code_)
        for (const GlobalVariable& variable : code->globals()) {
          std::cout << "global " << variable.name << " " << variable.size << "\n";
          buffers_[variable.name] = {reinterpret_cast<std::uint8_t*>(variable.address), variable.size};
        }
    } else if (verb == "describe") {
      quote(executor_.describe());
    } else if (verb == "cancel") {
      std::string reason;
      std::getline(words >> std::ws, reason);
      executor_.cancel(reason);
    } else {
      throw LoadError("unknown command " + verb);
    }
  }

 private:
  Buffer& buffer(const std::string& name) {
    const auto found = buffers_.find(name);
    if (found == buffers_.end()) throw LoadError("no buffer " + name);
    return found->second;
  }

  void allocate(std::istringstream& words) {
    std::string name;
    std::size_t size = 0;
    words >> name >> size;
    // The end of the buffer is the end of a page before an inaccessible one.
    const std::size_t pages = (size + 4095) / 4096 * 4096;
    void* memory = mmap(nullptr, pages + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    auto* begin = static_cast<std::uint8_t*>(memory) + 4096;
    mprotect(begin, pages, PROT_READ | PROT_WRITE);
    std::memset(begin, 0, pages);
    Buffer made{begin + (pages - size) / 256 * 256, size};
    buffers_[name] = made;
    Allocation allocation;
    allocation.base = reinterpret_cast<std::uint64_t>(made.data);
    allocation.size = size;
    allocation.owner_rank = 0;
    allocation.label = name;
    if (!process_allocations().add(allocation)) throw LoadError("the allocation map refused " + name);
  }

  void fill(std::istringstream& words) {
    std::string name, digits;
    words >> name >> digits;
    Buffer& target = buffer(name);
    for (std::size_t index = 0; index < digits.size() / 2 && index < target.size; ++index)
      target.data[index] = static_cast<std::uint8_t>(std::stoul(digits.substr(2 * index, 2), nullptr, 16));
  }

  void read(std::istringstream& words) {
    std::string name;
    std::size_t offset = 0, size = 0;
    words >> name >> offset >> size;
    std::string text;
    for (std::size_t index = 0; index < size; ++index) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x", buffer(name).data[offset + index]);
      text += digits;
    }
    std::cout << "data " << text << "\n";
  }

  void submit(std::istringstream& words) {
    std::string name, grid, block;
    Launch launch;
    words >> name >> grid >> block >> launch.dynamic_lds;
    for (const auto& code : code_)
      if (const Kernel* kernel = code->find_kernel(name); kernel != nullptr) {
        launch.code_object = code;
        launch.kernel = kernel;
      }
    if (launch.kernel == nullptr) throw LoadError("no kernel " + name);
    launch.grid = dimensions(grid);
    launch.block = dimensions(block);
    launch.arguments.resize(launch.kernel->explicit_size);
    std::string word;
    for (const KernelArgument& argument : launch.kernel->arguments) {
      if (argument.hidden() || !(words >> word)) break;
      std::uint64_t value = 0;
      if (word[0] == '@') {
        const std::size_t plus = word.find('+');
        value = reinterpret_cast<std::uint64_t>(
            buffer(word.substr(1, plus == std::string::npos ? plus : plus - 1)).data);
        if (plus != std::string::npos) value += std::stoull(word.substr(plus + 1), nullptr, 0);
      } else if (word.starts_with("f32:")) {
        const float number = std::stof(word.substr(4));
        std::memcpy(&value, &number, sizeof number);
      } else {
        const std::string number = word.substr(4);
        value = number[0] == '-' ? static_cast<std::uint64_t>(std::stoll(number))
                                 : std::stoull(number, nullptr, 0);
      }
      std::memcpy(launch.arguments.data() + argument.offset, &value, std::min<std::size_t>(argument.size, 8));
    }
    launch.completed = [this](const Outcome& outcome) {
      const std::lock_guard lock(mutex_);
      outcomes_.push_back(outcome);
      ended_.notify_all();
    };
    executor_.submit(std::move(launch));
    ++submitted_;
  }

  void wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return outcomes_.size() == submitted_; });
    for (const Outcome& outcome : outcomes_) {
      std::cout << "launch " << outcome.launch << " "
                << (outcome.fault ? to_string(outcome.fault->kind) : "completed") << " ; seconds "
                << outcome.seconds << " instructions " << outcome.instructions << " turns " << outcome.turns
                << " resident " << outcome.most_resident_blocks << "\n";
      if (outcome.fault) quote(outcome.fault->text());
    }
    outcomes_.clear();
    submitted_ = 0;
  }

  void time_copy(std::istringstream& words) {
    std::string to, from;
    std::size_t size = 0;
    words >> to >> from >> size;
    const std::clock_t began = std::clock();
    std::memcpy(buffer(to).data, buffer(from).data, size);
    std::cout << "memcpy seconds " << static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC << "\n";
  }

  static void quote(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) std::cout << "| " << line << "\n";
  }

  std::map<std::string, Buffer> buffers_;
  std::vector<std::shared_ptr<const CodeObject>> code_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<Outcome> outcomes_;
  std::size_t submitted_ = 0;
  Executor executor_;
};

}  // namespace

int main() {
  try {
    Driver driver;
    for (std::string line; std::getline(std::cin, line);) {
      try {
        driver.command(line);
      } catch (const LoadError& error) {
        std::cout << "error " << error.what() << "\n";
      }
      std::cout << std::flush;
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
