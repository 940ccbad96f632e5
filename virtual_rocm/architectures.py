# SPDX-License-Identifier: MIT
"""What the virtual GPU can be, and which compiler that takes."""

from __future__ import annotations

import subprocess

from .compiler.command_line import DEFAULT_ARCHITECTURE, device_architecture
from .compiler.errors import ToolMissing
from .compiler.toolchain import NEWEST, OLDEST, Toolchain, find_rocm_hipcc, find_toolchain
from .errors import SetupError

__all__ = [
    "ARCHITECTURES",
    "DEFAULT_ARCHITECTURE",
    "architecture_variables",
    "checked_architecture",
    "compiler_for",
    "debian_packages",
]

# With the first release of LLVM that compiles for it.
ARCHITECTURES = {"gfx942": OLDEST, "gfx950": 20}


def checked_architecture(name: str | None) -> str:
    """What the virtual GPU is: that name, else VIRTUAL_ROCM_ARCHITECTURE, else gfx942.

    Raises:
        SetupError: the virtual GPU cannot be that.
    """
    found = name or device_architecture()
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
    try:
        return find_toolchain(ARCHITECTURES[architecture])
    except ToolMissing as missing:
        if architecture == DEFAULT_ARCHITECTURE:
            raise
        raise ToolMissing(f"for {architecture}: {missing}") from missing


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
