// SPDX-License-Identifier: MIT
//
// The kernel-driver interface itself is for the host; only its types are here.
#pragma once

#include <hsakmt/hsakmttypes.h>
