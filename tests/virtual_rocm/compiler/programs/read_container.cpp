// SPDX-License-Identifier: MIT
//
// read_container FILE: prints what a kernel container holds.
// read_container FILE KERNEL [OUTPUT]: gets the kernel's code object, and writes it.
#include <algorithm>
#include <iostream>
#include <iterator>

#include "abi/kernel_container.hpp"

int main(int count, char** arguments) {
  try {
    std::ifstream file(arguments[1], std::ios::binary);
    const std::vector<char> contents((std::istreambuf_iterator<char>(file)), {});
    const virtual_rocm::abi::KernelContainer container(std::as_bytes(std::span(contents)));
    if (count > 2) {
      const std::vector<std::byte> code = container.code_object(arguments[2]);
      if (count > 3) {
        std::ofstream(arguments[3], std::ios::binary)
            .write(reinterpret_cast<const char*>(code.data()), static_cast<std::streamsize>(code.size()));
      }
      return 0;
    }
    std::cout << "architecture " << container.architecture() << "\n"
              << "size " << virtual_rocm::abi::KernelContainer::size_of(contents.data()) << "\n"
              << "data " << container.data_object().size() << "\n";
    for (const auto& [name, path] : container.kernels())
      std::cout << "kernel " << name << " " << path << "\n";
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
