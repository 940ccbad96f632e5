// SPDX-License-Identifier: MIT
#include "engine/loader/metadata.hpp"

#include <algorithm>

#include "engine/loader/message_pack.hpp"

namespace virtual_rocm::engine {
namespace {

std::uint32_t number(const MessagePackValue& map, std::string_view key, std::uint32_t otherwise) {
  const MessagePackValue* value = map.find(key);
  if (value == nullptr) return otherwise;
  const auto read = value->unsigned_value();
  if (!read) throw LoadError("metadata: " + std::string(key) + " is not a number");
  return static_cast<std::uint32_t>(*read);
}

std::string text(const MessagePackValue& map, std::string_view key) {
  const MessagePackValue* value = map.find(key);
  return value != nullptr && value->text() ? std::string(*value->text()) : std::string();
}

}  // namespace

std::vector<KernelMetadata> read_metadata(std::span<const std::byte> note) {
  const MessagePackValue document = MessagePackValue::parse(note);
  std::vector<KernelMetadata> kernels;
  const MessagePackValue* list = document.find("amdhsa.kernels");
  if (list == nullptr) return kernels;
  for (const MessagePackValue& entry : list->elements()) {
    KernelMetadata kernel;
    kernel.name = text(entry, ".name");
    kernel.descriptor_symbol = text(entry, ".symbol");
    if (kernel.name.empty() || kernel.descriptor_symbol.empty())
      throw LoadError("metadata: a kernel has no .name or no .symbol");
    kernel.maximum_block_size = number(entry, ".max_flat_workgroup_size", 1024);
    kernel.vgpr_count = number(entry, ".vgpr_count", 0);
    kernel.agpr_count = number(entry, ".agpr_count", 0);
    kernel.sgpr_count = number(entry, ".sgpr_count", 0);
    kernel.wave_size = number(entry, ".wavefront_size", 64);
    const MessagePackValue* dynamic = entry.find(".uses_dynamic_stack");
    kernel.dynamic_stack = dynamic != nullptr && dynamic->is_true();
    if (const MessagePackValue* arguments = entry.find(".args"); arguments != nullptr) {
      for (const MessagePackValue& argument : arguments->elements())
        kernel.arguments.push_back({text(argument, ".name"), text(argument, ".value_kind"),
                                    number(argument, ".offset", 0), number(argument, ".size", 0)});
    }
    std::ranges::sort(kernel.arguments, {}, &KernelArgument::offset);
    kernels.push_back(std::move(kernel));
  }
  return kernels;
}

}  // namespace virtual_rocm::engine
