# SPDX-License-Identifier: MIT
"""What can go wrong when code for the virtual device is compiled."""

from __future__ import annotations

from virtual_rocm.errors import VirtualRocmError

__all__ = ["CommandLineError", "CompilationFailed", "CompilerError", "ContainerError", "ToolMissing"]


class CompilerError(VirtualRocmError):
    """Any failure of this package."""


class ToolMissing(CompilerError):
    """A program or library of LLVM that is needed is not on this machine."""


class CommandLineError(CompilerError):
    """The command line of hipcc asks for something that it does not know, or lacks something."""


class CompilationFailed(CompilerError):
    """A tool of LLVM ended with an error; its own message has already been written to stderr."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ContainerError(CompilerError):
    """A file is not a kernel container, or not one of this version."""
