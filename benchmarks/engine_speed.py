# SPDX-License-Identifier: MIT
"""Speed of the wave engine on one thread: arithmetic, copies, row gathers; with and without the bounds check.

Times are processor time of the engine's process, so that a busy machine disturbs them less; `memcpy` runs in
the same process between the kernels; the last columns are the ratio to it. The best of the repeats counts.

    python benchmarks/engine_speed.py [--repeats 5] [--driver build/engine/bin/test_engine_driver]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
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


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--driver", type=Path, default=ROOT / "build" / "engine" / "bin" / "test_engine_driver")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        code = compile_kernels(Path(folder))
        tables = {checked: measure(arguments.driver, code, checked, arguments.repeats) for checked in (False, True)}
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
    print("load average", *os.getloadavg())


if __name__ == "__main__":
    main()
