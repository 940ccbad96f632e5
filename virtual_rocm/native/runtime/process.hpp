// SPDX-License-Identifier: MIT
//
// What the runtime knows about its own process: rank, environment, log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace virtual_rocm {

/// The rank of this process among those started together (RANK, as torchrun and `virtual_rocm run` set it);
/// -1 without.
int process_rank();

/// The value of an environment variable, or nothing if it is unset or empty.
std::optional<std::string> environment(const char* name);

/// A number from the environment, with an optional suffix K, M, G or T (powers of 1024). What is not a number
/// is reported to the log, and the default is used.
std::uint64_t environment_number(const char* name, std::uint64_t otherwise);

/// Writes one line to the log that VIRTUAL_ROCM_LOG names (a file, or "stderr"); nothing without it.
void log_line(std::string_view text);
bool log_enabled();

/// Writes a report for people to stderr in one piece, and to the log.
void report(std::string_view text);

}  // namespace virtual_rocm
