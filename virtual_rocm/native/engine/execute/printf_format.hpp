// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "engine/block.hpp"

namespace virtual_rocm::engine {

/// The text of a complete device printf: the first part is the format, the others its arguments in order.
std::string format_printf(const PrintfMessage& message);

}  // namespace virtual_rocm::engine
