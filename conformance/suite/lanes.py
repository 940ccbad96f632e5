# SPDX-License-Identifier: MIT
"""The lanes on which ranks can run: an interpreter, the variables around it, and a way to start ranks."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from conformance.errors import ConformanceError
from conformance.suite.rank_groups import PROGRAM, ForkingStarter, SpawningStarter, Starter, TorchrunStarter

if TYPE_CHECKING:
    # Lanes are used where numpy is not installed.
    from conformance.suite.cases import Case

__all__ = [
    "FREELY",
    "REFERENCE",
    "Lane",
    "LaneError",
    "Torchrun",
    "device_compiler_digest",
    "device_variables",
    "plain_lane",
    "rocm_lane",
    "virtual_lane",
    "virtual_variables",
]

_PROJECT = Path(__file__).resolve().parents[2]
# Kernels are kept between projects: their lines may name the device headers of the one that compiled them.
_HEADERS = re.compile(r"(?:/[^/\s\"']+)+/(?=virtual_rocm/include/)")
# gloo's, another one in each run.
_PORT = re.compile(r"(?<=\[127\.0\.0\.1\]):\d+")
# Where an interpreter keeps its own modules and those that are installed.
_LIBRARY = re.compile(r"(?:/[^/\s\"']+)+/lib/python3\.\d+/(?:site-packages/)?")

# The folder that holds the fake `mori`.
REFERENCE = Path(__file__).resolve().parent / "reference"

# One allocation for each buffer, so that the first byte past its end is nobody's.
_STRICT = {"MORI_SHMEM_MODE": "ISOLATION"}
_TOO_NEW = "newer than this system's"
_TURNS = "VIRTUAL_ROCM_LOCKSTEP"

# For ranks from their start, on a lane whose ranks take turns else: they are as fast as they are.
FREELY: Mapping[str, str] = MappingProxyType({_TURNS: ""})


class LaneError(ConformanceError):
    """A lane cannot be set up on this machine."""


@dataclass(frozen=True)
class Torchrun:
    """How torchrun is to start the ranks.

    Attributes:
        nodes: how many machines share the ranks; the same command runs on each.
        options: for torchrun as they are, for example `--rdzv-endpoint=HOST:29400 --rdzv-id=1`.
    """

    nodes: int = 1
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lane:
    """How ranks are started.

    Attributes:
        name: plain, virtual, rocm.
        python: the interpreter of the ranks, with torch, numpy and the wheel under test.
        module_path: folders that the ranks import from besides (an unpacked wheel; the fake `mori`).
        variables: for the ranks.
        torchrun: start ranks with torchrun; None for the suite's own way.
        forked: ranks may be forked from a process that has imported torch; not where a device library starts with torch.
        folders: that are cut off from paths in what ranks print.
        turns: the kernels of the ranks of a group take turns, so that what they do to each other is the same in every run.
    """

    name: str
    python: str
    module_path: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    torchrun: Torchrun | None = None
    forked: bool = True
    folders: tuple[Path, ...] = ()
    turns: bool = False

    def environment(self) -> dict[str, str]:
        """The whole environment of the ranks."""
        variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **self.variables}
        # Not the caller's: the ranks' interpreter has packages of its own.
        path = [part for part in self.variables.get("PYTHONPATH", "").split(os.pathsep) if part]
        path += [str(folder) for folder in self.module_path]
        if path:
            variables["PYTHONPATH"] = os.pathsep.join(path)
        else:
            variables.pop("PYTHONPATH", None)
        return variables

    def group_variables(self, folder: Path) -> dict[str, str]:
        """For the ranks of one group from their start.

        Args:
            folder: of this group alone.
        """
        return {_TURNS: str(folder / "turns")} if self.turns else {}

    def starter(self) -> Starter:
        """A way to start groups of ranks; to be closed."""
        if self.torchrun is not None:
            return TorchrunStarter(self.python, self.environment(), self.torchrun.options, self.torchrun.nodes)
        if self.forked:
            return ForkingStarter(self.python, self.environment())
        return SpawningStarter([self.python, str(PROGRAM)], self.environment())

    def readable(self, line: str) -> str:
        """A line of a rank without what differs from machine to machine, or from run to run."""
        compiled = self.variables.get("MORI_JIT_CACHE_DIR")
        for folder in (*self.module_path, *self.folders, _PROJECT, *([compiled] if compiled else ())):
            line = line.replace(f"{folder}{os.sep}", "")
        return _LIBRARY.sub("", _HEADERS.sub("", _PORT.sub("", line)))

    def with_torchrun(self, torchrun: Torchrun | None) -> Lane:
        return replace(self, torchrun=torchrun)


def plain_lane(python: str | None = None) -> Lane:
    """The reference implementation, on the host."""
    return Lane("plain", python or sys.executable, (REFERENCE,), {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"})


@dataclass(frozen=True)
class VirtualVariables:
    """What `virtual_rocm` puts around a program; `too_new`: what the packages need and this system's C library lacks."""

    variables: Mapping[str, str]
    too_new: str = ""


@lru_cache(maxsize=32)
def virtual_variables(
    packages: tuple[Path, ...], launcher_path: Path | None = None, architecture: str = ""
) -> VirtualVariables:
    """Ask `python -m virtual_rocm environment`, its one entry for programs that are started in another way.

    Args:
        architecture: what the virtual GPU is to be; "" for what it usually is.

    Raises:
        LaneError: it is not installed, its native part is not built, or no compiler here knows that architecture.
    """
    command = [sys.executable, "-m", "virtual_rocm", "environment"]
    if architecture:
        command += ["--architecture", architecture]
    for folder in packages:
        command += ["--packages", str(folder)]
    environment = dict(os.environ)
    if launcher_path is not None:
        environment["PYTHONPATH"] = str(launcher_path.resolve())
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LaneError(f"virtual_rocm does not answer: {error}") from error
    said = done.stderr.strip().splitlines()
    if done.returncode and architecture:
        text = said[-1].removeprefix("virtual_rocm: ") if said else f"exit code {done.returncode}"
        raise LaneError(f"{text}; `python -m virtual_rocm doctor --architecture {architecture} --fix` gets it")
    if done.returncode:
        raise LaneError(
            f"lane virtual: {said[-1] if said else f'exit code {done.returncode}'}; `pip install ./virtual_rocm` builds and "
            "installs the virtual GPU, `python -m virtual_rocm doctor` says what this machine lacks"
        )
    variables = {}
    for line in done.stdout.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        variables[name] = "".join(shlex.split(value))
    too_new = next((line for line in said if _TOO_NEW in line), "")
    return VirtualVariables(variables, too_new.removeprefix("virtual_rocm: "))


def device_variables(case: Case, packages: tuple[Path, ...], launcher_path: Path | None = None) -> dict[str, str]:
    """For ranks from their start: what the virtual GPU is, or does, for this case only; whether ranks run freely.

    Raises:
        LaneError: no compiler for the case's architecture is here.
    """
    # A rank that is to be late would be waited for.
    variables = dict(FREELY) if case.late or case.late_blocks else {}
    if case.late_blocks is not None:
        variables["VIRTUAL_ROCM_LATE_BLOCKS"] = "/".join(map(str, case.late_blocks))
    if case.architecture:
        usual = virtual_variables(packages, launcher_path).variables
        found = virtual_variables(packages, launcher_path, case.architecture).variables
        variables |= {name: value for name, value in found.items() if usual.get(name) != value}
        variables["MORI_GPU_ARCHS"] = case.architecture
    return variables


@lru_cache(maxsize=4)
def device_compiler_digest(launcher_path: Path | None = None) -> str:
    """Changes with whatever the virtual GPU compiles kernels with: a wheel keeps what it has compiled and does not look."""
    if launcher_path is None:
        spec = importlib.util.find_spec("virtual_rocm")
        if spec is None or spec.origin is None:
            return "none"
        launcher_path = Path(spec.origin).parent.parent
    digest = hashlib.sha256()
    for folder in ("compiler", "device", "include"):
        for file in sorted((launcher_path / "virtual_rocm" / folder).rglob("*")):
            if file.suffix in (".py", ".h", ".hpp", ".cpp"):
                digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def _platlib(python: str) -> Path:
    """Where an interpreter keeps packages with native libraries."""
    code = "import sysconfig; print(sysconfig.get_path('platlib'))"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise LaneError(f"{python} is no Python that could run ranks: {error}") from error
    return Path(done.stdout.strip())


# A topology and an SDK are looked for in places that a virtual device does not have.
_MORI = {
    "MORI_DISABLE_TOPO": "1",
    "MORI_DISABLE_ROCM_SDK": "1",
    "MORI_GPU_ARCHS": "gfx942",
    "MORI_SHMEM_HEAP_SIZE": "256M",
}
# Some kernels launch a block of 16 waves for each compute unit: what they do is the same with fewer, and they take a tenth of it.
_FEW_UNITS = {"VIRTUAL_ROCM_COMPUTE_UNITS": "32"}
# Ranks of a case launch the same kernels, and are never seconds apart.
_SOON_STUCK = {"VIRTUAL_ROCM_STALL_SECONDS": "20"}


def virtual_lane(
    python: str,
    *,
    packages: tuple[Path, ...] = (),
    launcher_path: Path | None = None,
    jit_cache: Path | None = None,
    isolation: bool = True,
    torchrun: Torchrun | None = None,
) -> Lane:
    """The installed (or unpacked) wheel's own kernels on the virtual GPU.

    Args:
        packages: folders of the wheel under test; none if it is installed beside torch.
        launcher_path: the folder that holds `virtual_rocm`, where it is not installed.
        jit_cache: where the wheel keeps what it compiles.

    Raises:
        LaneError: this machine cannot run it.
    """
    found = virtual_variables(packages or (_platlib(python),), launcher_path)
    variables = {
        **found.variables,
        **_MORI,
        **_FEW_UNITS,
        **_SOON_STUCK,
        "OMP_NUM_THREADS": "1",
        # A rank that is ended while its kernels wait says who waits where.
        "VIRTUAL_ROCM_DESCRIBE_ON_SIGTERM": "1",
    }
    if isolation:
        variables.update(_STRICT)
    if jit_cache is not None:
        variables["MORI_JIT_CACHE_DIR"] = str(jit_cache)
    folders = () if packages else (_platlib(python),)
    # Turns are handed on in memory, which ranks on several machines do not share.
    turns = torchrun is None or torchrun.nodes == 1
    return Lane("virtual", python, packages, variables, torchrun, folders=folders, turns=turns)


def rocm_lane(python: str, *, packages: Sequence[Path] = (), torchrun: Torchrun | None = None) -> Lane:
    """The installed wheel's own kernels on this machine's AMD GPUs; ranks are started by torchrun."""
    folders = () if packages else (_platlib(python),)
    return Lane("rocm", python, tuple(packages), {}, torchrun or Torchrun(), forked=False, folders=folders)
