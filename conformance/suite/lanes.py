# SPDX-License-Identifier: MIT
"""The lanes on which ranks can run: a command for the ranks, and the variables around it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["REFERENCE", "Lane", "plain_lane", "virtual_lane"]

# The folder that holds the fake `mori`.
REFERENCE = Path(__file__).resolve().parent / "reference"

# One allocation for each buffer, so that the first byte past its end is nobody's.
_STRICT = {"MORI_SHMEM_MODE": "ISOLATION"}


@dataclass(frozen=True)
class Lane:
    """How ranks are started.

    Attributes:
        name: plain, virtual, rocm.
        python: the interpreter of the ranks, with torch, numpy and the wheel under test.
        module_path: folders that the ranks import from besides (an unpacked wheel; the fake `mori`).
        variables: for the ranks.
        launcher_path: the folder that holds `virtual_rocm`, where it is not installed.
    """

    name: str
    python: str
    module_path: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    launcher_path: Path | None = None

    @property
    def virtual(self) -> bool:
        return self.name == "virtual"

    def environment(self) -> dict[str, str]:
        """The whole environment of the launcher, and through it of the ranks."""
        variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **self.variables}
        path = [str(folder) for folder in self.module_path]
        if self.virtual and self.launcher_path is not None:
            path.append(str(self.launcher_path))
        if path:
            variables["PYTHONPATH"] = os.pathsep.join(path)
        return variables

    def wrap(self, program: list[str], world_size: int, deadline: float) -> list[str] | None:
        """The command of a launcher that starts the ranks itself; None if the suite starts them."""
        if not self.virtual:
            return None
        command = [sys.executable, "-m", "virtual_rocm", "run", "--ranks", str(world_size)]
        command += ["--deadline", f"{deadline:g}"]
        for folder in self.module_path:
            command += ["--packages", str(folder)]
        return [*command, "--", *program]


def plain_lane(python: str | None = None) -> Lane:
    """The reference implementation, on the host."""
    return Lane("plain", python or sys.executable, (REFERENCE,), {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"})


def virtual_lane(
    python: str,
    *,
    packages: tuple[Path, ...] = (),
    launcher_path: Path | None = None,
    jit_cache: Path | None = None,
    isolation: bool = True,
) -> Lane:
    """The installed (or unpacked) wheel's own kernels on the virtual GPU."""
    variables = {
        "MORI_DISABLE_TOPO": "1",
        "MORI_DISABLE_ROCM_SDK": "1",
        "MORI_GPU_ARCHS": "gfx942",
        "MORI_SHMEM_HEAP_SIZE": "256M",
        "OMP_NUM_THREADS": "1",
    }
    if isolation:
        variables.update(_STRICT)
    if jit_cache is not None:
        variables["MORI_JIT_CACHE_DIR"] = str(jit_cache)
    return Lane("virtual", python, packages, variables, launcher_path)
