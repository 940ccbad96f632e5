# SPDX-License-Identifier: MIT
"""The options of `python -m conformance explore`, and what they start. Imports no more than the parser needs."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_explore_options", "numbers_of", "run_explore"]


def add_explore_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    what = parser.add_argument_group("what")
    what.add_argument("--wheel", action="append", default=[], help="a wheel or group (default: 1.2.4); may be repeated")
    what.add_argument("--kernel-type", action="append", default=[], help="default: IntraNode; may be repeated")
    what.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of the covering array and all inputs (default: 1)"
    )
    what.add_argument("--cases", type=int, metavar="N", help="at most so many situations (with --schedules: for each)")
    what.add_argument("--budget", metavar="TIME", help="stop after 300, 90s, 5m … on each wheel")
    what.add_argument(
        "--schedules", metavar="N[-M]", help="the same small situations under schedules 1 to N, or N to M, instead"
    )
    what.add_argument("--replay", metavar="ID|FILE|all", help="play kept regressions, or a trial in a JSON file, again")
    how = parser.add_argument_group("how")
    how.add_argument("--base-python", type=Path, metavar="PYTHON", help="an interpreter with torch for the ranks")
    how.add_argument("--unpacked", type=Path, metavar="FOLDER", help="wheels are unpacked here: FOLDER/VERSION/mori")
    how.add_argument("--jit-cache", type=Path, metavar="FOLDER", help="with --unpacked: compiled kernels, by version")
    how.add_argument(
        "--case-deadline", type=float, default=400.0, metavar="SECONDS", help="for one trial (default: 400)"
    )
    how.add_argument(
        "--shrink", type=int, default=300, metavar="N", help="trials at most to make one finding small (default: 300)"
    )
    kept = parser.add_argument_group("what is kept")
    kept.add_argument(
        "--record",
        type=Path,
        default=Path("results") / "explored",
        metavar="FOLDER",
        help="a line for each trial; what is there is not played again (default: results/explored)",
    )
    kept.add_argument("--fresh", action="store_true", help="forget what was played before")
    kept.add_argument(
        "--keep", action="store_true", help="write findings, or outcomes of a replay, to regressions.toml"
    )
    kept.add_argument(
        "--page", action="store_true", help="play nothing: print docs/explored.md from --record and regressions.toml"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def numbers_of(text: str | None) -> tuple[int, ...]:
    """`4` → 1, 2, 3, 4; `4-6` → 4, 5, 6; nothing for None."""
    if text is None:
        return ()
    first, _, last = text.partition("-")
    if last:
        return tuple(range(int(first), int(last) + 1))
    return tuple(range(1, int(first) + 1))


def run_explore(parsed: argparse.Namespace) -> int:
    """What the options ask for; returns the exit code."""
    from conformance.commands.explore import Asked, explore, replay, seconds_of
    from conformance.explore.dimensions import ExplorationError
    from conformance.explore.lane import Unpacked

    if parsed.page:
        from conformance.explore.page import explored_page

        print(explored_page(parsed.record), end="")
        return 0
    try:
        budget = None if parsed.budget is None else seconds_of(parsed.budget)
        schedules = numbers_of(parsed.schedules)
    except ValueError as error:
        raise ExplorationError(f"--budget or --schedules: {error}") from error
    asked = Asked(
        matrix=parsed.matrix,
        wheels=tuple(parsed.wheel),
        kernel_types=tuple(parsed.kernel_type),
        seed=parsed.seed,
        budget=budget,
        cases=parsed.cases,
        schedules=schedules,
        record=parsed.record,
        base=parsed.base_python,
        unpacked=None if parsed.unpacked is None else Unpacked(parsed.unpacked, parsed.jit_cache),
        deadline=parsed.case_deadline,
        shrink=parsed.shrink,
        keep=parsed.keep,
        fresh=parsed.fresh,
        json_output=parsed.json,
    )
    return replay(asked, parsed.replay) if parsed.replay else explore(asked)
