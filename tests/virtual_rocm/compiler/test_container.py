# SPDX-License-Identifier: MIT
"""The kernel container: what is written is read again, by Python and by the C++ reader, and damage is noticed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from virtual_rocm.compiler.container import Container
from virtual_rocm.compiler.errors import ContainerError

from .conftest import PROGRAMS, ROOT, Hipcc

CONTAINER = Container(
    architecture="gfx942:xnack-",
    key="0123",
    cache="/some/where with a space",
    options=("-O2", "-mllvm", "-x=y z"),
    command=("/usr/bin/python3", "-I", "main.py"),
    kernels={"first": "0123/a.hsaco", "_Z6secondi": "0123/b.hsaco"},
    data=b"\x7fELF data",
    bitcode=b"BC\xc0\xde" + bytes(range(256)),
)


def test_a_container_is_read_as_it_was_written() -> None:
    assert Container.decode(CONTAINER.encode(), "it") == CONTAINER


def test_sections_are_aligned_so_that_a_code_object_can_be_used_in_place() -> None:
    contents = CONTAINER.encode()
    assert contents.index(CONTAINER.data) % 16 == 0
    assert contents.index(CONTAINER.bitcode) % 16 == 0


def test_another_file_is_not_a_container() -> None:
    with pytest.raises(ContainerError, match="not a kernel container"):
        Container.decode(b"\x7fELF" + bytes(100), "it")


@pytest.mark.parametrize("size", [8, 15, 40, 150, 300, 500])
def test_a_container_that_is_cut_off_is_refused(size: int) -> None:
    contents = CONTAINER.encode()
    assert size < len(contents)
    with pytest.raises(ContainerError):
        Container.decode(contents[:size], "it")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program around the C++ reader."""
    compiler = shutil.which("g++") or shutil.which("clang++-19")
    if compiler is None:
        pytest.skip("no C++ compiler for the host")
    program = tmp_path_factory.mktemp("reader") / "read_container"
    subprocess.run(
        [
            compiler,
            "-std=c++20",
            "-Wall",
            "-Wextra",
            "-Werror",
            f"-I{ROOT / 'virtual_rocm' / 'native'}",
            str(PROGRAMS / "read_container.cpp"),
            "-o",
            str(program),
        ],
        check=True,
    )
    return program


def test_the_native_reader_sees_the_same(reader: Path, tmp_path: Path) -> None:
    file = tmp_path / "it.hsaco"
    file.write_bytes(CONTAINER.encode())
    output = subprocess.run([str(reader), str(file)], capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == [
        "architecture gfx942:xnack-",
        f"size {len(CONTAINER.encode())}",
        f"data {len(CONTAINER.data)}",
        "kernel _Z6secondi 0123/b.hsaco",
        "kernel first 0123/a.hsaco",
    ]


@pytest.mark.parametrize("size", [4, 15, 40, 300, 600])
def test_the_native_reader_refuses_what_is_cut_off(reader: Path, tmp_path: Path, size: int) -> None:
    file = tmp_path / "it.hsaco"
    file.write_bytes(CONTAINER.encode()[:size])
    result = subprocess.run([str(reader), str(file)], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "container" in result.stderr


def test_the_native_reader_has_a_kernel_compiled(reader: Path, hipcc: Hipcc, tmp_path: Path) -> None:
    source = tmp_path / "k.hip"
    source.write_text(
        '#include <hip/hip_runtime.h>\nextern "C" __global__ void fill(int* out) { out[threadIdx.x] = 1; }\n'
    )
    hipcc("--genco", "--offload-arch=gfx942", source, "-o", tmp_path / "k.hsaco")
    source.unlink()  # the container is all that is needed
    command = [str(reader), str(tmp_path / "k.hsaco"), "fill", str(tmp_path / "fill.hsaco")]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "fill.hsaco").read_bytes()[:4] == b"\x7fELF"

    result = subprocess.run([*command[:2], "other"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "no kernel other" in result.stderr


def test_the_native_reader_hands_on_the_compilers_message(reader: Path, hipcc: Hipcc, tmp_path: Path) -> None:
    source = tmp_path / "k.hip"
    source.write_text(
        "#include <hip/hip_runtime.h>\n"
        'extern "C" __device__ int from_nowhere(int);\n'
        'extern "C" __global__ void call(int* out) { *out = from_nowhere(*out); }\n'
        'extern "C" __global__ void fill(int* out) { *out = 1; }\n'
    )
    hipcc("--genco", "--offload-arch=gfx942", source, "-o", tmp_path / "k.hsaco")
    result = subprocess.run(
        [str(reader), str(tmp_path / "k.hsaco"), "call"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "call calls functions that the virtual device does not have: from_nowhere" in result.stderr
    # The other kernel of the same source is not held up by it.
    subprocess.run([str(reader), str(tmp_path / "k.hsaco"), "fill"], check=True, capture_output=True)


def test_a_compiler_that_is_gone_is_replaced_by_that_of_rocm_path(reader: Path, hipcc: Hipcc, tmp_path: Path) -> None:
    source, file = tmp_path / "k.hip", tmp_path / "k.hsaco"
    source.write_text(
        '#include <hip/hip_runtime.h>\nextern "C" __global__ void fill(int* out) { out[threadIdx.x] = 2; }\n'
    )
    hipcc("--genco", source, "-o", file)
    container = Container.read(file)
    gone = dataclasses.replace(container, command=("/gone/python", "-I", "/gone/main.py", container.command[-1]))
    file.write_bytes(gone.encode())
    command = [str(reader), str(file), "fill"]

    environment = {name: value for name, value in os.environ.items() if name != "ROCM_PATH"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 1
    assert "/gone/python cannot be started" in result.stderr

    launcher = tmp_path / "rocm" / "bin" / "hipcc"
    launcher.parent.mkdir(parents=True)
    launcher.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m virtual_rocm.compiler "$@"\n')
    launcher.chmod(0o755)
    environment["ROCM_PATH"] = str(tmp_path / "rocm")
    subprocess.run(command, check=True, capture_output=True, env=environment)
