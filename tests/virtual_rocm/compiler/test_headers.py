# SPDX-License-Identifier: MIT
"""The headers: everything that they offer compiles, for both halves, in every C++ that programs ask for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from virtual_rocm.compiler.container import Container

from .conftest import PROGRAMS, ROOT, Hipcc

SOURCE = PROGRAMS / "header_features.hip"
KERNELS = {
    "bounded",
    "bounded_twice",
    "vectors",
    "halves",
    "eights",
    "synchronised",
    "standard_library",
}


@pytest.mark.parametrize("standard", ["c++17", "c++20"])
def test_the_device_half_compiles_without_a_warning(hipcc: Hipcc, tmp_path: Path, standard: str) -> None:
    output = tmp_path / "it.hsaco"
    result = hipcc("--genco", f"-std={standard}", "-Wall", "-Wextra", "-Werror", SOURCE, "-o", output)
    assert result.stderr == ""
    assert set(Container.read(output).kernels) == KERNELS


def test_every_kernel_generates_code(hipcc: Hipcc, tmp_path: Path) -> None:
    output = tmp_path / "it.hsaco"
    hipcc("--genco", "-std=c++17", SOURCE, "-o", output, environment={"VIRTUAL_ROCM_WHOLE": "1"})
    contents = output.read_bytes()
    assert all(f"{name}.kd".encode() in contents for name in KERNELS)


def test_the_host_half_compiles_without_a_warning(hipcc: Hipcc, tmp_path: Path) -> None:
    result = hipcc("-c", "-std=c++17", "-Wall", "-Wextra", "-Werror", SOURCE, "-o", tmp_path / "it.o")
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("compiler", "source", "standard"),
    [
        ("g++", "host_only.cpp", "c++17"),
        ("g++", "host_only.cpp", "c++20"),
        ("clang++-19", "host_only.cpp", "c++17"),
        ("gcc", "host_only.c", "c11"),
    ],
)
def test_ordinary_compilers_read_the_host_interface(compiler: str, source: str, standard: str) -> None:
    program = shutil.which(compiler)
    if program is None:
        pytest.skip(f"no {compiler} here")
    command = [program, f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-D__HIP_PLATFORM_AMD__"]
    include = ROOT / "virtual_rocm" / "include"
    subprocess.run([*command, f"-I{include}", "-fsyntax-only", str(PROGRAMS / source)], check=True)


# Folders with sources to compile, each with its kernels below src/ and its headers in include/, src/ and 3rdparty/*/include.
TREES = [Path(tree) for tree in os.environ.get("VIRTUAL_ROCM_KERNEL_TREES", "").split(":") if tree]


@pytest.mark.skipif(not TREES, reason="VIRTUAL_ROCM_KERNEL_TREES names no source trees")
@pytest.mark.parametrize(
    ("tree", "source"),
    [
        pytest.param(tree, source, id=f"{index}:{source.relative_to(tree)}")
        for index, tree in enumerate(TREES)
        for source in sorted((tree / "src").rglob("*.hip"))
    ],
)
def test_kernels_of_other_projects_compile(hipcc: Hipcc, tmp_path: Path, tree: Path, source: Path) -> None:
    includes = [tree, tree / "include", tree / "src", *sorted((tree / "3rdparty").glob("*/include"))]
    hipcc(
        "--genco",
        "--offload-arch=gfx942",
        "-std=c++17",
        "-O2",
        "-DHIP_ENABLE_WARP_SYNC_BUILTINS",
        *(f"-I{folder}" for folder in includes),
        source,
        "-o",
        tmp_path / "it.hsaco",
    )
    Container.read(tmp_path / "it.hsaco")
