# SPDX-License-Identifier: MIT
"""A folder that looks like an installed ROCm, for programs that are told ROCM_PATH."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path

from .architectures import DEFAULT_ARCHITECTURE
from .compiler.errors import ToolMissing
from .compiler.toolchain import find_toolchain

ROCM_VERSION = "7.2.0"

_PACKAGE = Path(__file__).resolve().parent
# Tools of LLVM that programs look for beside ROCm's compiler.
_LLVM_TOOLS = ("clang", "clang++", "lld", "ld.lld", "llvm-link", "opt", "llc", "llvm-objdump", "llvm-readelf")


def find_llvm_tool(name: str) -> str | None:
    """The LLVM tool of that name (clang-19, or clang) of the compiler's release, else the newest from 17 on.

    Tools of one release read what that release has written: a newer one may be on the machine for another purpose.
    """
    versions = list(range(30, 16, -1))
    with contextlib.suppress(ToolMissing):
        versions.insert(0, find_toolchain().release)
    for version in versions:
        if path := shutil.which(f"{name}-{version}"):
            return path
    return shutil.which(name)


def build_rocm_tree(root: Path, libraries: Path) -> None:
    """Fill `root`; `libraries` is the folder with our runtime."""
    (root / "bin").mkdir(parents=True)
    (root / ".info").mkdir()
    (root / ".info" / "version").write_text(f"{ROCM_VERSION}\n")
    (root / "lib").mkdir()
    for library in sorted(libraries.iterdir()):
        if library.name.startswith(("libamdhip64", "libhsa-runtime64")):
            (root / "lib" / library.name).symlink_to(library.resolve())
    (root / "include").symlink_to(_PACKAGE / "include")
    tools = root / "lib" / "llvm" / "bin"
    tools.mkdir(parents=True)
    (root / "llvm").symlink_to(Path("lib") / "llvm")
    for name in _LLVM_TOOLS:
        if path := find_llvm_tool(name):
            (tools / name).symlink_to(path)
        else:
            # Programs look whether the file is there before they know whether they need it.
            _script(
                tools / name,
                f'echo "{name} of LLVM 17 or newer is not installed on this machine" >&2\nexit 127\n',
            )
    # The preloaded libraries are for the program, not for the compilers that it starts.
    # -P and the path: whatever PYTHONPATH holds, this package and no other is the compiler's.
    _script(
        root / "bin" / "hipcc",
        f'unset LD_PRELOAD\nPYTHONPATH="{_PACKAGE.parent}" exec "{sys.executable}" -m virtual_rocm.compiler "$@"\n',
    )
    named = f"${{VIRTUAL_ROCM_ARCHITECTURE:-{DEFAULT_ARCHITECTURE}}}"
    _script(root / "bin" / "rocm_agent_enumerator", f'echo gfx000\necho "{named}"\n')
    _script(root / "bin" / "rocminfo", f'echo "  Name:                    {named}"\n')


def _script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n# Written by virtual_rocm.\n{body}")
    path.chmod(0o755)
