# SPDX-License-Identifier: MIT
"""Runs kernels on the wave engine through its test driver, without the HIP runtime."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.virtual_rocm.native_build import build

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[2]


def build_driver() -> Path:
    """The driver, built if it is not up to date."""
    return build("test_engine_driver") / "bin" / "test_engine_driver"


CLANGS = {
    "gfx942": ("clang-19", "clang-20", "clang-18", "clang-17", "clang"),
    "gfx950": ("clang-22", "clang-21", "clang-20"),
}


def find_clang(architecture: str = "gfx942") -> str:
    """A clang that can compile for it."""
    for name in CLANGS[architecture]:
        path = shutil.which(name)
        if path:
            return path
    pytest.skip(
        f"no clang for {architecture} on this machine: apt-get install one of {', '.join(CLANGS[architecture])}"
    )


@dataclass(frozen=True)
class Ending:
    """How one launch ended."""

    kind: str
    report: str
    numbers: Mapping[str, float]

    @property
    def completed(self) -> bool:
        return self.kind == "completed"


@dataclass(frozen=True)
class Run:
    """What one session of the driver printed."""

    endings: Sequence[Ending]
    data: Sequence[bytes]
    errors: Sequence[str]
    output: str

    def words(self, index: int = 0) -> list[int]:
        """The data of a `read`, as unsigned 32-bit words."""
        return [word for (word,) in struct.iter_unpack("<I", self.data[index])]


@dataclass
class Device:
    """Compiles kernels, and runs scripts of driver commands."""

    driver: Path
    clang: str
    folder: Path
    architecture: str = "gfx942"
    compiled: dict[tuple[str, tuple[str, ...]], Path] = field(default_factory=dict)

    def compile(self, source: str, *flags: str) -> Path:
        """The code object of a file in kernels/."""
        key = (source, flags)
        if key not in self.compiled:
            target = self.folder / f"{source}-{len(self.compiled)}.hsaco"
            subprocess.run(
                [
                    self.clang, "-x", "hip", f"--offload-arch={self.architecture}", "--offload-device-only", "-nogpulib",
                    "-nogpuinc", "--no-gpu-bundle-output", "-O2", "-gline-tables-only", "-Wall", "-Werror",
                    *flags, FOLDER / "kernels" / f"{source}.hip", "-o", target,
                ],
                check=True,
            )  # fmt: skip
            self.compiled[key] = target
        return self.compiled[key]

    def run(self, source: str | Path, *commands: str, timeout: float = 60, **knobs: float | str | bool) -> Run:
        """Runs commands after loading a code object; knobs are VIRTUAL_ROCM_… variables in small letters."""
        path = source if isinstance(source, Path) else self.compile(source)
        environment = {**os.environ, "VIRTUAL_ROCM_ARCHITECTURE": self.architecture}
        for name, value in knobs.items():
            text = str(int(value)) if isinstance(value, bool) else str(value)
            environment[f"VIRTUAL_ROCM_{name.upper()}"] = text
        result = subprocess.run(
            [self.driver],
            input="\n".join([f"load {path}", *commands, ""]),
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
        )
        assert result.returncode == 0, f"the driver died with {result.returncode}: {result.stderr}{result.stdout}"
        return parse(result.stdout)


def parse(output: str) -> Run:
    """Reads what the driver printed."""
    endings: list[Ending] = []
    data: list[bytes] = []
    errors: list[str] = []
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        if word == "launch":
            left, _, right = rest.partition(" ; ")
            _, _, kind = left.partition(" ")
            pairs = right.split()
            endings.append(Ending(kind, "", dict(zip(pairs[::2], map(float, pairs[1::2]), strict=True))))
        elif word == "|" and endings:
            last = endings[-1]
            endings[-1] = Ending(last.kind, last.report + rest + "\n", last.numbers)
        elif word == "data":
            data.append(bytes.fromhex(rest))
        elif word == "error":
            errors.append(rest)
    return Run(endings, data, errors, output)


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """The virtual device under test."""
    return Device(build_driver(), find_clang(), tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="session")
def gfx950(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """The virtual device as a gfx950."""
    return Device(build_driver(), find_clang("gfx950"), tmp_path_factory.mktemp("kernels"), "gfx950")
