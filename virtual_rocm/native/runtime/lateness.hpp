// SPDX-License-Identifier: MIT
//
// A rank that is slow on purpose: what a busy host does to one rank now and then, done to it every time.
// VIRTUAL_ROCM_LATE=1/hipMemset/0.2 makes rank 1 wait for 0.2 seconds before each hipMemset. A race between
// one rank's kernel and another rank's host code is otherwise a matter of microseconds.
#pragma once

namespace virtual_rocm {

/// Whether VIRTUAL_ROCM_LATE is set.
bool lateness_asked();

/// Waits, if this rank is to be late for the function. Throws engine::LoadError if the variable is malformed.
void be_late(const char* function);

}  // namespace virtual_rocm
