// SPDX-License-Identifier: MIT
//
// A check for missing waits. Here a load is done at once; on hardware its register holds the old value until
// s_waitcnt has seen it arrive. With VIRTUAL_ROCM_CHECK_WAITS=1 every instruction that uses the register
// before that ends the launch. The program is lowered differently for it, and without it nothing is spent.
#pragma once

#include <vector>

#include "engine/operation.hpp"

namespace virtual_rocm::engine {

/// Whether the environment asks for the check.
bool check_waits();

/// Puts the check before every operation of a program that is lowered; they must stay where they are.
void watch_waits(std::vector<Operation>& operations);

}  // namespace virtual_rocm::engine
