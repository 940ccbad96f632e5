# SPDX-License-Identifier: MIT
"""How long hipcc takes: cold, for another kernel of the same source, and when everything is there already.

    python benchmarks/compiler_speed.py
    python benchmarks/compiler_speed.py --source k.hip --kernel first --kernel second -- -std=c++17 -O2 -I include

Cold is with an empty cache, LLVM's files in memory (one run before it is not counted). "Whole" compiles all kernels of
the source into one code object, as an ordinary hipcc does; leave it out with --no-whole where that takes minutes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_SOURCE = ROOT / "tests" / "virtual_rocm" / "compiler" / "differential" / "memory.hip"


@dataclass(frozen=True)
class Timing:
    """One measured command: seconds on the clock, and of processor time, its children included."""

    name: str
    wall: float
    processor: float


def measure(name: str, command: list[str], environment: dict[str, str]) -> tuple[Timing, str]:
    """Runs a command and says how long it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode != 0:
        sys.exit(f"{name}: {' '.join(command)}\n{result.stderr}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timing(name, wall, processor), result.stdout


def kernels_of(container: Path) -> list[str]:
    """The kernels that a container has."""
    sys.path.insert(0, str(ROOT))
    from virtual_rocm.compiler.container import Container

    return list(Container.read(container).kernels)


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=DEFAULT_SOURCE)
    parser.add_argument("--kernel", action="append", default=[], help="compile this one; default: the first two")
    parser.add_argument("--whole", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("flags", nargs="*", help="for hipcc")
    options = parser.parse_args()

    timings = []
    with tempfile.TemporaryDirectory(prefix="virtual_rocm_") as folder:
        hipcc = [sys.executable, str(ROOT / "virtual_rocm" / "compiler" / "__main__.py")]
        flags = options.flags or ["-std=c++17", "-O2"]

        def environment(cache: str, **more: str) -> dict[str, str]:
            return {
                **os.environ,
                "VIRTUAL_ROCM_CACHE": f"{folder}/{cache}",
                "VIRTUAL_ROCM_REAL_HIPCC": "",
                **more,
            }

        output = Path(folder) / "kernels.hsaco"
        build = [*hipcc, "--genco", *flags, str(options.source), "-o", str(output)]
        measure("warm up", build, environment("warm-up"))
        timings.append(measure("container, cold", build, environment("cache"))[0])
        names = options.kernel or kernels_of(output)[:2]
        for name in names:
            command = [*hipcc, "--virtual-rocm-kernel", str(output), name]
            timings.append(measure(f"kernel {name}, cold", command, environment("cache"))[0])
        timings.append(measure("container, unchanged", build, environment("cache"))[0])
        command = [*hipcc, "--virtual-rocm-kernel", str(output), names[0]]
        timings.append(measure("kernel, there already", command, environment("cache"))[0])
        if options.whole:
            timings.append(measure("whole", build, environment("whole", VIRTUAL_ROCM_WHOLE="1"))[0])

    cold = [timing for timing in timings if timing.name.endswith("cold")]
    timings.append(Timing("cold in all", sum(t.wall for t in cold), sum(t.processor for t in cold)))
    width = max(len(timing.name) for timing in timings)
    print(f"{'':{width}}  wall s  processor s")
    for timing in timings:
        print(f"{timing.name:{width}}  {timing.wall:6.2f}  {timing.processor:11.2f}")


if __name__ == "__main__":
    main()
