# SPDX-License-Identifier: MIT
"""Fixtures for the host runtime: the built libraries, programs in processes of their own, compiled kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hip_library import Hip

from tests.virtual_rocm.native_build import build
from virtual_rocm.environment import RUNTIME_LIBRARIES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]

Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def libraries() -> Path:
    """The folder with our libraries, built if they are not up to date."""
    folder = build("amdhip64", "hsa-runtime64", "virtual_rocm_tensors") / "lib"
    assert all((folder / name).exists() for name in RUNTIME_LIBRARIES)
    return folder


@pytest.fixture(scope="session")
def hip(libraries: Path) -> Hip:
    """The library in this process: for calls that do not fault."""
    return Hip(str(libraries))


@pytest.fixture
def environment(libraries: Path) -> dict[str, str]:
    """Variables for a child process that uses the library."""
    return {
        **os.environ,
        "VIRTUAL_ROCM_LIBRARIES": str(libraries),
        "PYTHONPATH": f"{HERE}:{ROOT}",
        "VIRTUAL_ROCM_LOG": "stderr",
    }


@pytest.fixture
def program(environment: dict[str, str]) -> Program:
    """Run Python source in a process of its own, with `hip` ready in it; faults and aborts stay there."""

    def run(
        source: str, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        prologue = "import ctypes, os, sys, time\nfrom ctypes import *\nfrom hip_library import *\nhip = Hip()\n"
        return subprocess.run(
            [sys.executable, "-c", prologue + source, *arguments],
            env={**environment, **(variables or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


KERNELS = """\
#include <hip/hip_runtime.h>
#include <assert.h>

__device__ int counter = 7;
__device__ int table[4] = {1, 2, 3, 4};

extern "C" __global__ void add(int *out, const int *in, int value) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = in[i] + value + table[i % 4];
}

extern "C" __global__ void count(int *out) {
  if (threadIdx.x == 0) out[blockIdx.x] = atomicAdd(&counter, 1);
}

extern "C" __global__ void fill_to(int *out, int size) {
  int i = threadIdx.x;
  if (i < size) out[i] = i;
}

extern "C" __global__ void check(const int *in, int wanted) {
  assert(in[threadIdx.x] == wanted && "the value that was asked for");
}

// One lane of the first wave fails in a loop; the second wave waits for what that lane would do next.
extern "C" __global__ void check_in_loop(const int *in, int steps) {
  __shared__ volatile int published;
  if (threadIdx.x == 0) published = 0;
  __syncthreads();
  for (int step = 0; step < steps; ++step) {
    if (threadIdx.x == 0) {
      assert(in[step] == 0 && "before it is published");
      published = step + 1;
    }
    if (threadIdx.x == 64)
      while (published <= step) {}
    __syncthreads();
  }
}

extern "C" __global__ void wait_for(volatile int *flag, int *out) {
  if (threadIdx.x == 0) {
    while (*flag == 0) {}
    *out = 1;
  }
}

extern "C" __global__ void raise(volatile int *flag) { if (threadIdx.x == 0) *flag = 1; }
"""


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole code object with the kernels above."""
    return _compile(tmp_path_factory.mktemp("kernels"), whole=True)


@pytest.fixture(scope="session")
def container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as what hipcc writes by default: kernels that are compiled when they are launched."""
    return _compile(tmp_path_factory.mktemp("container"), whole=False)


def _compile(folder: Path, *, whole: bool) -> Path:
    source, output = folder / "kernels.hip", folder / "kernels.hsaco"
    source.write_text(KERNELS)
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "virtual_rocm.compiler",
            "--genco",
            "--offload-arch=gfx942",
            "-O2",
            source,
            "-o",
            output,
        ],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "VIRTUAL_ROCM_CACHE": str(folder / "cache"),
            "VIRTUAL_ROCM_REAL_HIPCC": "",
            **({"VIRTUAL_ROCM_WHOLE": "1"} if whole else {}),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode and "no clang" in result.stderr:
        pytest.skip(result.stderr)
    assert result.returncode == 0, result.stderr
    return output
