# SPDX-License-Identifier: MIT
"""`python -m conformance report`."""

from __future__ import annotations

import sys
from pathlib import Path

from conformance.catalogue import load_catalogue
from conformance.commands.output import progress_display
from conformance.errors import ResultsError
from conformance.lanes import choose_lanes, run_lane
from conformance.matrix import load_matrix
from conformance.measured import Measuring
from conformance.report import (
    build_report_inputs,
    check_report,
    read_report_inputs,
    stale_results,
    write_report,
    write_report_inputs,
)
from conformance.report.screenshot import GRID_PICTURE, find_browser, take_screenshot
from conformance.run import put_together, run_survey_lane, select_requirements
from conformance.selection import find_matrix

__all__ = ["report"]


def report(
    matrix_file: Path | None, output: Path | None, *, measuring: Measuring, check: bool, render_only: bool
) -> int:
    """Make the report, or with `check` say whether the committed one is what it should be. Returns 1 if it is not."""
    path = find_matrix(matrix_file)
    matrix = load_matrix(path)
    folder = output or path.parent / "docs" / "report"
    if check:
        drifted = [f"{folder.name}/{name}: is not what the committed results give" for name in check_report(folder)]
        problems = [*drifted, *stale_results(read_report_inputs(folder), matrix)]
        for problem in problems:
            print(problem, file=sys.stderr)
        if problems:
            print(
                f"{len(problems)} problems: run `nox -s report`, look at the difference, and commit it", file=sys.stderr
            )
        return 1 if problems else 0
    if not render_only:
        lanes = choose_lanes(matrix, ())
        with progress_display() as progress:
            survey = run_survey_lane(matrix, matrix.wheels, select_requirements([]), libraries="all", progress=progress)
        measured = (run_lane(path, matrix, lane, (), load_catalogue(), measuring) for lane in lanes if lane != "survey")
        done = put_together([survey, *(part for part in measured if part is not None)])
        if done.results.header.failures:
            reasons = "; ".join(done.results.header.failures.values())
            raise ResultsError(
                f"the report needs every wheel, and some could not be read; nothing was changed: {reasons}"
            )
        for item in done.stale:
            print(f"stale expectation in the matrix: {item.reason}", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        write_report_inputs(build_report_inputs(done.results, survey.survey.facts), folder)
    changed = write_report(folder)
    if find_browser() is not None:
        take_screenshot(folder / "index.html", folder / GRID_PICTURE)
    else:
        print(f"no browser: {GRID_PICTURE} was not taken anew", file=sys.stderr)
    print(f"{folder}: {len(changed)} files changed" + (f": {', '.join(changed)}" if changed else ""))
    return 0
