# SPDX-License-Identifier: MIT
"""The device's math functions agree with the C library's, which computes in long double for the comparison."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from virtual_rocm.compiler.toolchain import Toolchain

from .conftest import PROGRAMS, ROOT

# Units of the last place of the type. The exact functions have no error; what is rounded once has half a unit at most.
EXACT = {
    "floor",
    "ceil",
    "trunc",
    "rint",
    "round",
    "fabs",
    "logb",
    "fmod",
    "remainder",
    "fmax",
    "fmin",
    "nextafter",
}
ROUNDED_ONCE = {"sqrt", "fdim"}
LIMIT_F64 = 16.0
LIMIT_F32 = 0.502


@pytest.fixture(scope="module")
def errors(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """The largest error of each function."""
    device = ROOT / "virtual_rocm" / "device"
    program = tmp_path_factory.mktemp("math") / "accuracy"
    subprocess.run(
        [
            str(toolchain.clang),
            "--driver-mode=g++",
            "-std=c++20",
            "-O2",
            "-ffp-contract=off",
            f"-I{device}",
            *map(str, sorted(device.glob("math_*.cpp"))),
            str(PROGRAMS / "device_math_accuracy.cpp"),
            "-o",
            str(program),
        ],
        check=True,
    )
    output = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in output.splitlines()]
    assert all(int(row[1]) > 18000 for row in rows)
    return {row[0]: float(row[2]) for row in rows}


def test_all_functions_are_compared(errors: dict[str, float]) -> None:
    device = ROOT / "virtual_rocm" / "device"
    source = "\n".join(path.read_text() for path in device.glob("math_*.cpp"))
    defined = {
        line.split("(")[1].split(",")[0]
        for line in source.splitlines()
        if line.startswith(("VIRTUAL_ROCM_OF_ONE(", "VIRTUAL_ROCM_OF_TWO("))
    }
    assert defined - {name.rsplit("_", 1)[0] for name in errors} == {"sinpi", "cospi"}  # not in the C library


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_results_are_within_their_bounds(errors: dict[str, float], precision: str) -> None:
    limit = LIMIT_F32 if precision == "f32" else LIMIT_F64
    wrong = {}
    for name, error in errors.items():
        function, width = name.rsplit("_", 1)
        if width != precision:
            continue
        bound = 0.0 if function in EXACT else 0.5 if function in ROUNDED_ONCE else limit
        if error > bound:
            wrong[name] = error
    assert wrong == {}


def test_the_programs_notice_a_wrong_function(toolchain: Toolchain, tmp_path: Path) -> None:
    # The comparison itself: with a sine that is off by one unit it must say so.
    device = ROOT / "virtual_rocm" / "device"
    source = (device / "math_circular.cpp").read_text()
    spoilt = source.replace(
        "double sine(double x) { return sine_cosine(x).sine; }",
        "double sine(double x) { return sine_cosine(x).sine * (1 + 0x1p-20); }",
    )
    assert spoilt != source
    (tmp_path / "math_circular.cpp").write_text(spoilt)
    program = tmp_path / "accuracy"
    subprocess.run(
        [
            str(toolchain.clang),
            "--driver-mode=g++",
            "-std=c++20",
            "-O1",
            "-ffp-contract=off",
            f"-I{device}",
            str(device / "math_basic.cpp"),
            str(device / "math_elementary.cpp"),
            str(tmp_path / "math_circular.cpp"),
            str(PROGRAMS / "device_math_accuracy.cpp"),
            "-o",
            str(program),
        ],
        check=True,
    )
    output = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    errors = {line.split()[0]: float(line.split()[2]) for line in output.splitlines()}
    assert errors["sin_f32"] > 1
    assert errors["sin_f64"] > 1000
