# SPDX-License-Identifier: MIT
"""Which runs there are, one for each wheel: the sessions of nox and the jobs of CI come from here.

`noxfile.py` imports this, and CI runs it (`python -m conformance.jobs`), before anything is installed, so it needs the standard
library only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tomllib

__all__ = ["RUNNERS", "WheelRun", "job_matrix", "read_wheel_runs", "wheel_runs"]

_PREFERRED = "cp310"

# Labels that a runner must have. AMD GPUs are on machines of one's own.
RUNNERS: Mapping[str, tuple[str, ...]] = {
    "virtual": ("ubuntu-24.04",),
    "mi300x": ("self-hosted", "linux", "rocm", "mi300x"),
    "mi355x": ("self-hosted", "linux", "rocm", "mi355x"),
}


@dataclass(frozen=True)
class WheelRun:
    """One wheel to be judged.

    Attributes:
        wheel: as `--wheel` takes it: the version, and the Python tag where the version has a wheel that comes first.
        python: the interpreter that the wheel is for, `3.10`.
    """

    wheel: str
    python: str

    @property
    def session(self) -> str:
        """The name of its nox session."""
        return f"conformance-{self.wheel}"


def _interpreter(tag: str) -> str:
    """`cp310-cp310-manylinux_2_35_x86_64` is for 3.10."""
    digits = tag.split("-", 1)[0].removeprefix("cp")
    return f"{digits[0]}.{digits[1:]}"


def wheel_runs(wheels: Iterable[Mapping[str, Any]]) -> tuple[WheelRun, ...]:
    """One run for each wheel, in the order of the matrix. A version's cp310 wheel, or its only one, goes by the bare version."""
    listed = [(str(wheel["version"]), str(wheel["tag"])) for wheel in wheels]
    tags: dict[str, list[str]] = {}
    for version, tag in listed:
        tags.setdefault(version, []).append(tag)

    def first(version: str) -> str:
        return min(tags[version], key=lambda tag: (not tag.startswith(_PREFERRED), tag))

    return tuple(
        WheelRun(version if tag == first(version) else f"{version}@{tag.split('-', 1)[0]}", _interpreter(tag))
        for version, tag in listed
    )


def read_wheel_runs(matrix_file: Path) -> tuple[WheelRun, ...]:
    """The runs of the stable wheels of a matrix.

    Raises:
        OSError, tomllib.TOMLDecodeError, KeyError: the matrix is missing or malformed; `python -m conformance run` says how.
    """
    return wheel_runs(tomllib.loads(matrix_file.read_text(encoding="utf-8"))["wheels"])


def job_matrix(
    runs: Sequence[WheelRun], lane: Literal["virtual", "rocm"], runners: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """The `strategy.matrix` of a GitHub workflow: one entry for each wheel and kind of runner.

    Args:
        runners: names in `RUNNERS`.
    """
    return {
        "include": [
            {
                "session": run.session,
                "wheel": run.wheel,
                "python": run.python,
                "lane": lane,
                "runner": runner,
                "labels": list(RUNNERS[runner]),
            }
            for runner in runners
            for run in runs
        ]
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the job matrix of a lane as one line of JSON; nothing where no runner is named."""
    parser = argparse.ArgumentParser(prog="python -m conformance.jobs", description=main.__doc__)
    parser.add_argument("--lane", choices=("virtual", "rocm"), default="virtual")
    parser.add_argument("--runners", default=None, help="names, separated by spaces (default: virtual on its own kind)")
    parser.add_argument("--matrix", type=Path, default=Path("matrix.toml"), metavar="FILE")
    parsed = parser.parse_args(arguments)
    names = ("virtual" if parsed.lane == "virtual" else "") if parsed.runners is None else parsed.runners
    # `virtual` is no AMD GPU, and a machine with AMD GPUs has better things to do than to be a virtual one.
    allowed = [name for name in RUNNERS if (name == "virtual") == (parsed.lane == "virtual")]
    unknown = [name for name in names.split() if name not in allowed]
    if unknown:
        print(
            f"conformance.jobs: error: lane {parsed.lane} has no runner {', '.join(unknown)}; there are {', '.join(allowed)}",
            file=sys.stderr,
        )
        return 2
    try:
        runs = read_wheel_runs(parsed.matrix)
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        print(f"conformance.jobs: error: {parsed.matrix}: {error}; run from the project's folder", file=sys.stderr)
        return 2
    if names.split():
        print(json.dumps(job_matrix(runs, parsed.lane, names.split())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
