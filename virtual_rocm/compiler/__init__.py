# SPDX-License-Identifier: MIT
"""A HIP compiler for the virtual device: our headers and device functions around an LLVM of the system.

``python -m virtual_rocm.compiler …`` takes hipcc's command line.
"""
