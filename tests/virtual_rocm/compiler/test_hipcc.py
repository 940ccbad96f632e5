# SPDX-License-Identifier: MIT
"""hipcc as a program: what it makes, and what it says when a source is broken."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROOT, Hipcc

KERNEL = """#include <hip/hip_runtime.h>
__device__ int offset = 3;
extern "C" __global__ void add(int* out) { out[threadIdx.x] += offset; }
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "k.hip"
    file.write_text(KERNEL)
    return file


def test_the_version_names_hip_and_clang(hipcc: Hipcc) -> None:
    output = hipcc("--version").stdout
    assert output.startswith("HIP version: 7.2.0")
    assert "clang version" in output


def test_a_broken_source_gives_clangs_message_and_code(hipcc: Hipcc, tmp_path: Path) -> None:
    file = tmp_path / "broken.hip"
    file.write_text(KERNEL + "__device__ int broken() { return undeclared; }\n")
    result = hipcc("--genco", file, "-o", tmp_path / "k.hsaco", check=False)
    assert result.returncode == 1
    assert "broken.hip:4:34: error: use of undeclared identifier 'undeclared'" in result.stderr
    assert not (tmp_path / "k.hsaco").exists()
    assert "Traceback" not in result.stderr


def test_what_was_there_before_a_failure_stays(hipcc: Hipcc, tmp_path: Path) -> None:
    file, output = tmp_path / "broken.hip", tmp_path / "k.hsaco"
    file.write_text("broken")
    output.write_text("what was there")
    assert hipcc("--genco", file, "-o", output, check=False).returncode != 0
    assert output.read_text() == "what was there"


def test_a_missing_source_is_named(hipcc: Hipcc, tmp_path: Path) -> None:
    result = hipcc("--genco", tmp_path / "missing.hip", "-o", tmp_path / "k.hsaco", check=False)
    assert result.returncode == 1
    assert "missing.hip" in result.stderr


def test_an_option_that_clang_does_not_know_is_refused_by_it(hipcc: Hipcc, source: Path, tmp_path: Path) -> None:
    result = hipcc("--genco", "--no-such-option", source, "-o", tmp_path / "k.hsaco", check=False)
    assert result.returncode == 1
    assert "no-such-option" in result.stderr


def test_nothing_to_compile_is_an_error(hipcc: Hipcc) -> None:
    result = hipcc("-O2", check=False)
    assert result.returncode == 1
    assert "no source file" in result.stderr


def test_a_whole_code_object_can_be_had(
    hipcc: Hipcc, source: Path, tmp_path: Path, llvm_tool: Callable[[str], str]
) -> None:
    output = tmp_path / "k.hsaco"
    hipcc("--genco", "--offload-arch=gfx942", source, "-o", output, environment={"VIRTUAL_ROCM_WHOLE": "1"})
    listing = subprocess.run(
        [llvm_tool("llvm-readelf"), "-h", "--dyn-syms", "-n", str(output)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "gfx942" in listing
    assert " add.kd" in listing
    assert " offset" in listing


def test_device_bitcode_stays_linkable(
    hipcc: Hipcc, source: Path, tmp_path: Path, llvm_tool: Callable[[str], str]
) -> None:
    output = tmp_path / "k.bc"
    hipcc("-c", "--cuda-device-only", "-emit-llvm", "-fgpu-rdc", "--offload-arch=gfx942", source, "-o", output)
    names = subprocess.run([llvm_tool("llvm-nm"), str(output)], capture_output=True, text=True, check=True).stdout
    assert " T add" in names
    assert " D offset" in names


def test_preprocessed_text_goes_to_stdout(hipcc: Hipcc, source: Path) -> None:
    output = hipcc("-E", "--offload-device-only", "--offload-arch=gfx942", source).stdout
    assert "out[threadIdx.x] += offset" in output


def test_a_host_object_embeds_its_kernels(
    hipcc: Hipcc, source: Path, tmp_path: Path, llvm_tool: Callable[[str], str]
) -> None:
    source.write_text(KERNEL + "void launch(int* p) { add<<<1, 64>>>(p); }\n")
    output = tmp_path / "k.o"
    hipcc("-c", source, "-o", output)
    names = subprocess.run([llvm_tool("llvm-nm"), str(output)], capture_output=True, text=True, check=True).stdout
    for name in ("__hipRegisterFatBinary", "__hipRegisterFunction", "__hipRegisterVar", "hipLaunchKernel"):
        assert f"U {name}" in names
    contents = output.read_bytes()
    start = contents.index(b"__CLANG_OFFLOAD_BUNDLE__")
    assert b"hipv4-amdgcn-amd-amdhsa--gfx942" in contents[start : start + 4096]


def test_two_sources_make_one_library(hipcc: Hipcc, source: Path, tmp_path: Path) -> None:
    # The runtime's own library is stood in for by an empty one: what is tested is that the objects fit together.
    other = tmp_path / "other.hip"
    other.write_text(KERNEL.replace("add", "add_twice").replace("offset", "other_offset"))
    rocm = tmp_path / "rocm" / "lib"
    rocm.mkdir(parents=True)
    hipcc_environment = {"ROCM_PATH": str(rocm.parent)}
    subprocess.run(
        ["cc", "-shared", "-x", "c", "/dev/null", "-o", str(rocm / "libamdhip64.so")],
        check=True,
        env=os.environ,
    )
    output = tmp_path / "both.so"
    hipcc("-shared", "-fPIC", source, other, "-o", output, environment=hipcc_environment)
    assert output.read_bytes().count(b"__CLANG_OFFLOAD_BUNDLE__") == 2


def test_it_runs_by_its_path_with_an_empty_environment(toolchain: object, source: Path, tmp_path: Path) -> None:
    import sys

    output = tmp_path / "k.hsaco"
    subprocess.run(
        [
            sys.executable,
            "-I",
            str(ROOT / "virtual_rocm" / "compiler" / "__main__.py"),
            "--genco",
            str(source),
            "-o",
            str(output),
        ],
        env={"PATH": os.environ["PATH"], "VIRTUAL_ROCM_CACHE": str(tmp_path / "cache")},
        check=True,
        cwd=tmp_path,
    )
    assert output.read_bytes()[:8] == b"VROCMLZ1"
