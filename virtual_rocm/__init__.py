# SPDX-License-Identifier: MIT
"""A virtual AMD GPU: runs ROCm programs, their gfx9 kernels included, on a machine with no GPU."""

__version__ = "0.2.0"
