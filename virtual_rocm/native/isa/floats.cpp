// SPDX-License-Identifier: MIT
#include "isa/floats.hpp"

namespace virtual_rocm::isa {

// In a file without lane functions, so that no compiler sees it beside its use.
const float kOpaqueOne = 1.0f;

}  // namespace virtual_rocm::isa
