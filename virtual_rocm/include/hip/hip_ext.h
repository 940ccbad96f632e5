// SPDX-License-Identifier: MIT
//
// AMD's extensions to the HIP interface; hip_runtime_api.h declares those that are here.
#pragma once

#include <hip/hip_runtime.h>
