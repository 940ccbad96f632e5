# SPDX-License-Identifier: MIT
"""Speed of the wave engine on one thread: arithmetic, copies, row gathers; with and without the bounds check.

Times are processor time of the engine's process, so that a busy machine disturbs them less; `memcpy` runs in
the same process between the kernels; the last columns are the ratio to it. The best of the repeats counts.

Then the same gathers on what else runs GPU kernels on a CPU: PoCL on one thread and on all, and Oclgrind, which
checks every access (wall clock, by rivals/opencl_gather.py). They need, on Debian:

    apt-get install pocl-opencl-icd oclgrind && pip install pyopencl

What is missing is said, and left out.

    python benchmarks/engine_speed.py [--repeats 5] [--driver build/native/bin/test_engine_driver]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MEGABYTES = 64
BYTES = MEGABYTES << 20
ROW_BYTES = 28672  # 7168 words
ROWS = BYTES // ROW_BYTES
ROW_TOTAL = ROWS * ROW_BYTES


@dataclass(frozen=True)
class Case:
    """A kernel and the bytes that it moves (0 for arithmetic)."""

    name: str
    launch: str
    moved: int


CASES = (
    Case("arithmetic, integer", "arithmetic_i32 16 256 0 @to i32:40000", 0),
    Case("arithmetic, f32", "arithmetic_f32 16 256 0 @to i32:40000", 0),
    Case("copy, 2 bytes a lane", f"copy_halves 16 256 0 @to @from i32:{BYTES // 2}", BYTES),
    Case("copy, 4 bytes a lane", f"copy_words 16 256 0 @to @from i32:{BYTES // 4}", BYTES),
    Case("copy, 8 bytes a lane", f"copy_pairs 16 256 0 @to @from i32:{BYTES // 8}", BYTES),
    Case("copy, 16 bytes a lane", f"copy_quads 16 256 0 @to @from i32:{BYTES // 16}", BYTES),
    Case("row gather, 16 bytes a lane", f"row_gather {ROWS} 256 0 @to @from @index i32:1792", ROW_TOTAL),
    Case("row gather, 4 bytes a lane", f"row_gather_words {ROWS} 256 0 @to @from @index i32:7168", ROW_TOTAL),
    Case(
        "row gather through LDS, two barriers",
        f"row_gather_lds {ROWS} 256 0 @to @from @index i32:7168",
        ROW_TOTAL,
    ),
)


@dataclass(frozen=True)
class Rival:
    """Another way to run kernels on a CPU: an OpenCL platform, and the environment that chooses it."""

    name: str
    platform: str
    rows: int  # few where a row takes long
    environment: Mapping[str, str] = field(default_factory=dict)


RIVALS = (
    Rival("PoCL, one thread", "Portable Computing Language", ROWS, {"POCL_MAX_PTHREAD_COUNT": "1"}),
    Rival("PoCL, all threads", "Portable Computing Language", ROWS),
    Rival("Oclgrind", "Oclgrind", 4, {"OCL_ICD_VENDORS": "/usr/lib/oclgrind/liboclgrind-rt-icd.so"}),
)
GATHERS = {
    "row gather, 16 bytes a lane": "row_gather",
    "row gather, 4 bytes a lane": "row_gather_words",
    "row gather through LDS, two barriers": "row_gather_lds",
}


def built_driver() -> Path:
    """The driver of the engine's tests in build/native, built if it is not there."""
    driver = ROOT / "build" / "native" / "bin" / "test_engine_driver"
    if driver.is_file():
        return driver
    specification = importlib.util.spec_from_file_location(
        "native_build", ROOT / "tests" / "virtual_rocm" / "native_build.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    print("building the engine and its driver: a few minutes", file=sys.stderr)
    module.build("test_engine_driver")
    return driver


def compile_kernels(folder: Path) -> Path:
    """The code object of the benchmark's kernels."""
    names = ("clang-19", "clang-20", "clang-18", "clang-17", "clang")
    clang = next((path for path in map(shutil.which, names) if path), None)
    if clang is None:
        raise SystemExit("no clang >= 17 on this machine: apt-get install clang-19 lld-19")
    target = folder / "speed.hsaco"
    source = ROOT / "tests" / "virtual_rocm" / "engine" / "kernels" / "speed.hip"
    subprocess.run(
        [clang, "-x", "hip", "--offload-arch=gfx942", "--offload-device-only", "-nogpulib", "-nogpuinc",
         "--no-gpu-bundle-output", "-O2", source, "-o", target],
        check=True,
    )  # fmt: skip
    return target


def measure(driver: Path, code: Path, check_bounds: bool, repeats: int) -> dict[str, tuple[float, float]]:
    """Seconds and wave instructions by case (best repeat); "memcpy" too."""
    generator = random.Random(1)
    index = struct.pack(f"<{ROWS}I", *generator.sample(range(ROWS), ROWS)).hex()
    commands = [f"load {code}", f"buffer to {BYTES}", f"buffer from {BYTES}", f"buffer index {4 * ROWS}"]
    commands += [f"fill index {index}", f"memcpy to from {BYTES}"]
    order: list[str] = []
    for _ in range(repeats):
        for case in CASES:
            commands += [f"time {case.launch}", f"memcpy to from {BYTES}"]
            order.append(case.name)
    environment = {**os.environ, "VIRTUAL_ROCM_CHECK_BOUNDS": str(int(check_bounds))}
    output = subprocess.run(
        [driver],
        input="\n".join([*commands, ""]),
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    ).stdout
    best: dict[str, tuple[float, float]] = {}

    def note(name: str, seconds: float, instructions: float) -> None:
        if name not in best or seconds < best[name][0]:
            best[name] = (seconds, instructions)

    instructions = 0.0
    remaining = iter(order)
    for line in output.splitlines():
        words = line.split()
        if words[0] == "launch":
            if words[2] != "completed":
                raise SystemExit(output)
            instructions = float(words[words.index("instructions") + 1])
        elif words[0] == "processor":
            note(next(remaining), float(words[2]), instructions)
        elif words[0] == "memcpy":
            note("memcpy", float(words[2]), 0)
    return best


def measure_rival(rival: Rival, repeats: int) -> dict[str, float] | str:
    """MB/s by kernel of rivals/opencl_gather.py, or why there is nothing."""
    if importlib.util.find_spec("pyopencl") is None:
        return "needs pyopencl: pip install pyopencl"
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "rivals" / "opencl_gather.py", "--platform", rival.platform,
         "--rows", str(rival.rows), "--repeats", str(repeats)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **rival.environment},
    )  # fmt: skip
    if done.returncode != 0:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        return f"{reason} (apt-get install pocl-opencl-icd oclgrind)"
    observed = json.loads(done.stdout)
    return {name: rival.rows * ROW_BYTES / seconds / 1e6 for name, seconds in observed["seconds"].items()}


def print_rivals(tables: dict[bool, dict[str, tuple[float, float]]], repeats: int) -> None:
    """The gathers once more, beside those of the rivals, in MB/s; the ratio to the engine's own speed behind them."""
    own = {case.name: {checked: case.moved / tables[checked][case.name][0] / 1e6 for checked in tables}
           for case in CASES if case.name in GATHERS}  # fmt: skip
    print(f"\n| MB/s (times the engine without check) | {' | '.join(GATHERS)} |")
    print("|---" * (len(GATHERS) + 1) + "|")
    for checked, label in ((False, "wave engine, one thread, no check"), (True, "wave engine, one thread, checked")):
        cells = [f"{own[case][checked]:.0f} ({own[case][checked] / own[case][False]:.2f})" for case in GATHERS]
        print(f"| {label} | {' | '.join(cells)} |")
    for rival in RIVALS:
        speeds = measure_rival(rival, repeats)
        if isinstance(speeds, str):
            print(f"| {rival.name} | {speeds} |" + " |" * (len(GATHERS) - 1))
            continue
        cells = [f"{speeds[kernel]:.4g} ({speeds[kernel] / own[case][False]:.2g})" for case, kernel in GATHERS.items()]
        print(f"| {rival.name} | {' | '.join(cells)} |")


def main() -> None:
    """Prints Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--driver", type=Path, help="default: build/native/bin/test_engine_driver, built if missing")
    parser.add_argument("--no-rivals", action="store_true", help="the engine alone")
    arguments = parser.parse_args()
    driver = arguments.driver or built_driver()
    if not driver.is_file():
        raise SystemExit(f"{driver}: no such program; leave --driver away and it is built")
    with tempfile.TemporaryDirectory() as folder:
        code = compile_kernels(Path(folder))
        tables = {checked: measure(driver, code, checked, arguments.repeats) for checked in (False, True)}
    header = "kernel | M wave-instructions/s | with check | MB/s | with check | x memcpy | with check"
    print(f"| {header} |")
    print("|---|---|---|---|---|---|---|")
    for case in CASES:
        rates, speeds, ratios = [], [], []
        for checked in (False, True):
            seconds, instructions = tables[checked][case.name]
            copied = BYTES / tables[checked]["memcpy"][0]
            rates.append(f"{instructions / seconds / 1e6:.0f}")
            speeds.append(f"{case.moved / seconds / 1e6:.0f}" if case.moved else "")
            ratios.append(f"{case.moved / seconds / copied:.2f}" if case.moved else "")
        print("| " + " | ".join([case.name, *rates, *speeds, *ratios]) + " |")
    for checked, name in ((False, "without"), (True, "with")):
        print(f"memcpy {name} check: {BYTES / tables[checked]['memcpy'][0] / 1e6:.0f} MB/s")
    if not arguments.no_rivals:
        print_rivals(tables, arguments.repeats)
    print("load average", *os.getloadavg())


if __name__ == "__main__":
    main()
