# SPDX-License-Identifier: MIT
"""Compiles one kernel of a container, when it is first launched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from virtual_rocm.compiler.cache import cache_directory, make_once
from virtual_rocm.compiler.container import Container
from virtual_rocm.compiler.errors import CompilationFailed, CompilerError
from virtual_rocm.compiler.llvm import Module, load_llvm
from virtual_rocm.compiler.outline import outline
from virtual_rocm.compiler.toolchain import Toolchain, find_toolchain
from virtual_rocm.compiler.tools import INLINE_ALL, make_code_object, with_calls

__all__ = ["compile_kernel", "generate", "obtain_kernel"]


def obtain_kernel(container: Container, kernel: str) -> Path:
    """The file with the code object of one kernel, compiled now if no process has done it before.

    Raises:
        CompilerError: the container has no such kernel, or it does not compile.
    """
    if kernel not in container.kernels:
        raise CompilerError(f"no kernel {kernel!r} in this module; it has {len(container.kernels)} others")
    file = container.kernels[kernel]

    def make() -> bytes:
        return compile_kernel(find_toolchain(), container, kernel)

    try:
        return make_once(Path(container.cache) / file, make)
    except OSError:
        # The container came from elsewhere, or its cache is not ours to write.
        return make_once(cache_directory() / "kernels" / file, make)


def compile_kernel(toolchain: Toolchain, container: Container, kernel: str) -> bytes:
    """The code object of one kernel; it leaves the module's variables undefined."""
    module = Module.parse(load_llvm(toolchain.library), container.bitcode, "the container's module")
    module.share_variables(define=False)
    module.keep_only(kernel)
    missing = module.undefined_functions()
    if missing:
        raise CompilationFailed(
            f"{kernel} calls functions that the virtual device does not have: {', '.join(sorted(missing))}"
        )
    return generate(toolchain, module, kernel, container.architecture, container.options)


def generate(toolchain: Toolchain, module: Module, kernel: str, architecture: str, options: Sequence[str]) -> bytes:
    """The code object of a module that has one kernel and what that needs; a very large kernel is cut into functions."""
    if INLINE_ALL[-1] in options and outline(module, kernel):
        options = with_calls(options)
    return make_code_object(toolchain, module.bitcode(), architecture, options)
