# SPDX-License-Identifier: MIT
"""Runs the programs of LLVM, and makes code objects of bitcode with them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from virtual_rocm.compiler.errors import CompilationFailed
from virtual_rocm.compiler.toolchain import Toolchain

__all__ = ["CODE_OBJECT_VERSION", "INLINE_ALL", "make_code_object", "run_tool", "with_calls"]

# What the virtual device's loader reads, and what the wheels' own code objects are. Newer clangs default to 6.
CODE_OBJECT_VERSION = 5

# Functions become part of their kernel, however large they are; AMD's hipcc added the same up to ROCm 6.1. In a function
# that is called, clang 19 loses the address of dynamic LDS: it decides that nobody needs the number of the kernel before it
# lowers LDS.
INLINE_ALL = ("-mllvm", "-amdgpu-early-inline-all=true", "-mllvm", "-amdgpu-function-calls=false")


def with_calls(options: Sequence[str]) -> list[str]:
    """The same options for a module in which some functions stay functions."""
    return ["-amdgpu-function-calls=true" if option == INLINE_ALL[-1] else option for option in options]


def run_tool(command: Sequence[str], *, cwd: Path | None = None) -> None:
    """Runs a program whose messages go to our own output.

    Raises:
        CompilationFailed: it ended with an error; what is wrong is on stderr.
    """
    try:
        result = subprocess.run(list(command), env=_environment(), cwd=cwd, check=False)
    except OSError as error:
        raise CompilationFailed(f"{command[0]} cannot be started: {error.strerror}") from error
    if result.returncode != 0:
        raise CompilationFailed(
            f"{Path(command[0]).name} ended with code {result.returncode}", max(result.returncode, 1)
        )


def _environment() -> dict[str, str]:
    """Our environment without the libraries that stand in for ROCm: LLVM's programs must find the system's own."""
    environment = dict(os.environ)
    root = environment.get("VIRTUAL_ROCM_ROOT")
    environment.pop("LD_PRELOAD", None)
    if root:
        paths = [path for path in environment.get("LD_LIBRARY_PATH", "").split(":") if path]
        kept = [path for path in paths if not path.startswith(root)]
        environment.pop("LD_LIBRARY_PATH", None)
        if kept:
            environment["LD_LIBRARY_PATH"] = ":".join(kept)
    return environment


def make_code_object(toolchain: Toolchain, bitcode: bytes, architecture: str, options: Sequence[str]) -> bytes:
    """Optimises a module, generates code, links it, and returns the code object."""
    with tempfile.TemporaryDirectory(prefix="virtual_rocm_") as folder:
        module, unlinked, linked = (Path(folder) / name for name in ("module.bc", "module.o", "module.hsaco"))
        module.write_bytes(bitcode)
        # The version goes first, so that a command line that names another one has the last word.
        run_tool(
            [
                str(toolchain.clang),
                "--target=amdgcn-amd-amdhsa",
                f"-mcpu={architecture}",
                f"-mcode-object-version={CODE_OBJECT_VERSION}",
                "-nogpulib",
                *options,
                "-x",
                "ir",
                str(module),
                "-c",
                "-o",
                str(unlinked),
            ]
        )
        # Undefined symbols are the module's variables; whoever loads the code object resolves them.
        run_tool([str(toolchain.linker), "-shared", str(unlinked), "-o", str(linked)])
        return linked.read_bytes()
