# SPDX-License-Identifier: MIT
"""`python -m conformance run`: choose lanes, let each judge, put the results together, print and keep them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from conformance.catalogue import Requirement
from conformance.commands.output import console, print_json, progress_display
from conformance.lanes import choose_lanes, run_lane
from conformance.matrix import load_matrix
from conformance.measured import Measuring
from conformance.results import Results, write_results
from conformance.run import Judged, put_together, run_survey_lane, select_requirements
from conformance.selection import choose_wheels, find_matrix
from conformance.survey.soname_plan import LibraryDepth
from conformance.verdicts import Record, Verdict

__all__ = ["run"]

_MARKS: dict[Verdict, tuple[str, str]] = {
    Verdict.PASS: ("✓", "green"),
    Verdict.FAIL: ("✗", "bold red"),
    Verdict.UNSUPPORTED: ("○", "yellow"),
    Verdict.NOT_APPLICABLE: ("·", "dim"),
    Verdict.EXPECTED_FAIL: ("x", "red"),
    Verdict.UNEXPECTED_PASS: ("!", "bold magenta"),
    Verdict.CRASH: ("C", "bold red"),
    Verdict.TIMEOUT: ("T", "bold red"),
    Verdict.ENGINE_ERROR: ("E", "bold magenta"),
    Verdict.NOT_RUN: ("?", "dim"),
}
_MOST_DETAILED = 40


def run(
    matrix_file: Path | None,
    wheels: Sequence[str],
    requirements: Sequence[str],
    *,
    lanes: Sequence[str],
    results_file: Path,
    libraries: LibraryDepth,
    measuring: Measuring,
    json_output: bool,
) -> int:
    """Judge, print, keep. Returns 0 if everything is as expected, 1 if not, 3 if wheels could not be read.

    Args:
        lanes: their names, or `all`; none for those that the matrix enables and this machine has.
        measuring: how the lanes that run kernels do it.
    """
    path = find_matrix(matrix_file)
    matrix = load_matrix(path)
    used = choose_lanes(matrix, lanes)
    selected = select_requirements(requirements, *used)
    parts: list[Judged] = []
    if "survey" in used:
        chosen = [item.wheel for item in choose_wheels(matrix, wheels)]
        with progress_display() as progress:
            parts.append(
                run_survey_lane(
                    matrix,
                    chosen,
                    [item for item in selected if "survey" in item.lanes],
                    libraries=libraries,
                    progress=progress,
                )
            )
    measured = (run_lane(path, matrix, lane, wheels, selected, measuring) for lane in used if lane != "survey")
    parts += [part for part in measured if part is not None]
    done = put_together(parts)
    write_results(done.results, results_file)
    if json_output:
        print_json(done.results)
    else:
        _print(done, selected)
    # The results are whole and on disk; how to go on with them comes last, where it is seen.
    print(f"results: {results_file} (suite revision {done.results.header.revision})", file=sys.stderr)
    for reason in done.results.header.failures.values():
        print(f"not judged: {reason}", file=sys.stderr)
    if done.good:
        return 0
    return 3 if done.results.header.failures and not _unexpected(done) and not done.stale else 1


def _unexpected(done: Judged) -> list[Record]:
    return [record for record in done.results.records if record.verdict.is_failure]


def _print(done: Judged, requirements: Sequence[Requirement]) -> None:
    out = console()
    results = done.results
    by_key = {(record.requirement, record.kernel_type, record.sha256): record for record in results.records}
    stable = [wheel for wheel in results.header.wheels if not wheel.nightly]
    shown = stable if len(stable) > 1 else results.header.wheels
    if len(results.records) <= _MOST_DETAILED:
        _print_details(results)
    else:
        table = Table(pad_edge=False, box=None, header_style="bold")
        table.add_column("requirement", no_wrap=True)
        table.add_column("level")
        for wheel in shown:
            table.add_column(wheel.label.replace("@", "\n"), justify="center", no_wrap=True)
        levels = {item.id: item.level for item in requirements}
        for name, kernel_type in dict.fromkeys((item.requirement, item.kernel_type) for item in results.records):
            cells = [_cell(by_key.get((name, kernel_type, wheel.sha256))) for wheel in shown]
            table.add_row(f"{name} {kernel_type}".rstrip(), levels.get(name, ""), *cells)
        out.print(table)
        used = {record.verdict for record in results.records}
        legend = "  ".join(f"{mark} {verdict.value}" for verdict, (mark, _) in _MARKS.items() if verdict in used)
        out.print(Text(legend, style="dim"))
        nightlies = len(results.header.wheels) - len(stable)
        if nightlies and shown is stable:
            out.print(f"and {nightlies} nightlies, see the report or the results file")
    for record in _unexpected(done):
        out.print(
            Text(f"{record.verdict.value}: {record.subject} on {record.wheel}: {record.message}", style="bold red")
        )
        out.print(f"    repeat: {record.evidence.command}")
    for item in done.stale:
        out.print(Text(f"stale expectation in the matrix: {item.reason}", style="bold red"))
    counts = ", ".join(f"{number} {name}" for name, number in results.counts().items())
    out.print(f"{len(results.header.wheels)} wheels, {len(requirements)} requirements: {counts}")


def _cell(record: Record | None) -> Text:
    if record is None:
        return Text("?")
    mark, style = _MARKS[record.verdict]
    return Text(mark, style=style)


def _print_details(results: Results) -> None:
    out = console()
    for record in results.records:
        mark, style = _MARKS[record.verdict]
        out.print(
            Text(f"{mark} {record.verdict.value:14} {record.subject} {record.wheel}: {record.message}", style=style)
        )
        for line in record.evidence.observed:
            out.print(f"      {line}")
