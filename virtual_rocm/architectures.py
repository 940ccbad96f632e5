# SPDX-License-Identifier: MIT
"""What the virtual GPU can be, and which compiler that takes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .compiler.errors import ToolMissing
from .compiler.toolchain import NEWEST, OLDEST, Toolchain, find_rocm_hipcc, find_toolchain, toolchain_of
from .errors import SetupError

__all__ = [
    "ARCHITECTURES",
    "DEFAULT_ARCHITECTURE",
    "architecture_variables",
    "checked_architecture",
    "compiler_for",
    "debian_packages",
]

DEFAULT_ARCHITECTURE = "gfx942"
# With the first release of LLVM that compiles for it.
ARCHITECTURES = {"gfx942": OLDEST, "gfx950": 20}


def checked_architecture(name: str | None) -> str:
    """What the virtual GPU is: that name, else VIRTUAL_ROCM_ARCHITECTURE, else gfx942.

    Raises:
        SetupError: the virtual GPU cannot be that.
    """
    found = name or os.environ.get("VIRTUAL_ROCM_ARCHITECTURE") or DEFAULT_ARCHITECTURE
    if found not in ARCHITECTURES:
        raise SetupError(f"the virtual GPU can be {' or '.join(ARCHITECTURES)}, not {found}")
    return found


def architecture_variables(architecture: str) -> dict[str, str]:
    """What tells a program and its compiler.

    Raises:
        ToolMissing: no compiler for it is here.
    """
    variables = {"VIRTUAL_ROCM_ARCHITECTURE": architecture}
    if architecture != DEFAULT_ARCHITECTURE and (toolchain := compiler_for(architecture)) is not None:
        variables["VIRTUAL_ROCM_CLANG"] = str(toolchain.clang)
    return variables


def compiler_for(architecture: str) -> Toolchain | None:
    """The LLVM that compiles for it: the usual one if that is new enough, else one beside it. None: ROCm's own compiler does.

    Raises:
        ToolMissing: says which release would do.
    """
    if find_rocm_hipcc() is not None:
        return None
    oldest = ARCHITECTURES[architecture]
    if oldest == OLDEST or os.environ.get("VIRTUAL_ROCM_CLANG"):
        usual = find_toolchain()
        if usual.release < oldest:
            raise ToolMissing(f"VIRTUAL_ROCM_CLANG names clang {usual.version}; {architecture} needs {oldest} or newer")
        return usual
    incomplete: ToolMissing | None = None
    for release in range(oldest, NEWEST + 1):
        program = shutil.which(f"clang-{release}") or shutil.which(f"/usr/lib/llvm-{release}/bin/clang")
        try:
            if program is not None:
                return toolchain_of(Path(program))
        except ToolMissing as missing:
            incomplete = incomplete or missing
    raise incomplete or ToolMissing(
        f"{architecture} needs clang {oldest} or newer, with its lld, beside what else is here"
    )


def debian_packages(architecture: str) -> tuple[str, str]:
    """Those of the release that this project's tests run with; where that is too old, of the newest that apt offers."""
    release = 19
    if release < ARCHITECTURES[architecture]:
        release = next(filter(_is_offered, range(NEWEST, ARCHITECTURES[architecture], -1)), ARCHITECTURES[architecture])
    return f"clang-{release}", f"lld-{release}"


def _is_offered(release: int) -> bool:
    """Distributions keep two or three releases of LLVM."""
    found = subprocess.run(["apt-cache", "show", f"clang-{release}"], capture_output=True, check=False)
    return found.returncode == 0
