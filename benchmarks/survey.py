# SPDX-License-Identifier: MIT
"""How long a survey of every cp310 wheel takes, cold and warm, and how little of the wheels it reads.

Each figure comes from a process of its own, started here. The rival is the download that a survey replaces: all wheels whole.
With `--download` they are really downloaded, over the same connections; without, their size stands for them.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHILD = """
import json, resource, sys, time
from pathlib import Path
start = time.perf_counter()
from conformance.matrix import load_matrix
from conformance.survey.cache import SurveyCache
from conformance.survey.collect import survey_wheels
wheels = [wheel for wheel in load_matrix(Path(sys.argv[1])).every_wheel if wheel.python == "cp310"]
began = time.perf_counter()
outcome = survey_wheels(wheels, cache=SurveyCache(Path(sys.argv[2])))
ended = time.perf_counter()
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({
    "wheels": len(outcome.facts), "failures": list(outcome.failures.values()),
    "seconds": ended - began, "with imports": ended - start, "requests": outcome.meter.requests,
    "bytes": outcome.meter.bytes_read, "whole": sum(wheel.size for wheel in wheels),
    "peak": sum(item.ru_maxrss for item in usage) * 1024, "processor": sum(item.ru_utime + item.ru_stime for item in usage),
}))
"""


def measure(cache: Path) -> dict[str, float]:
    """One survey in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(ROOT / "matrix.toml"), str(cache)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    result: dict[str, float] = json.loads(done.stdout)
    if result["failures"]:
        raise SystemExit(f"not a measurement: {result['failures']}")
    return result


async def download() -> float:
    """Seconds to read every cp310 wheel whole."""
    sys.path.insert(0, str(ROOT))
    from conformance.index import open_index
    from conformance.wheels import NIGHTLY_DISTRIBUTION, STABLE_DISTRIBUTION

    async with open_index() as index:
        listings = await asyncio.gather(index.listing(STABLE_DISTRIBUTION), index.listing(NIGHTLY_DISTRIBUTION))
        files = [item for listing in listings for item in listing if item.wheel.python == "cp310"]
        began = time.perf_counter()
        for position in range(0, len(files), 16):
            batch = files[position : position + 16]
            await asyncio.gather(*(index.read(item.url, 0, item.wheel.size, str(item.wheel)) for item in batch))
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each kind (default: 3)")
    parser.add_argument("--download", action="store_true", help="download all wheels for comparison (about 900 MB)")
    arguments = parser.parse_args()
    compileall.compile_dir(ROOT / "conformance", quiet=1)  # as an installed package is
    compileall.compile_dir(ROOT / "moriep", quiet=1)
    whole_seconds = asyncio.run(download()) if arguments.download else None
    print(
        f"{'':6} {'seconds':>8} {'+imports':>8} {'processor':>9} {'requests':>8} {'MB read':>8} {'of MB':>6} {'peak MB':>8}"
    )
    for _ in range(arguments.repeat):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("cold", "warm"):
                found = measure(Path(folder))
                print(
                    f"{name:6} {found['seconds']:8.2f} {found['with imports']:8.2f} {found['processor']:9.2f} "
                    f"{found['requests']:8.0f} {found['bytes'] / 1e6:8.2f} {found['whole'] / 1e6:6.0f} {found['peak'] / 1e6:8.0f}"
                )
    if whole_seconds is not None:
        print(f"downloading the same wheels whole took {whole_seconds:.1f} s")
    print(f"{found['wheels']:.0f} wheels; a survey reads 1/{found['whole'] / max(1, 15e6):.0f} of their bytes or less")


if __name__ == "__main__":
    main()
