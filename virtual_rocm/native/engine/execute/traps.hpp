// SPDX-License-Identifier: MIT
#pragma once

#include "engine/operation.hpp"

namespace virtual_rocm::engine {

/// s_trap: assertions, printf, abort. Numbers and registers as in abi/traps.hpp.
bool lower_trap(Operation& operation);

}  // namespace virtual_rocm::engine
