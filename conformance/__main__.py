# SPDX-License-Identifier: MIT
"""`python -m conformance`: the runs behind the nox sessions: judge, explore, lock, nightly, report."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.catalogue import DEPTHS, KERNEL_TYPES
from conformance.command_line import run_command

if TYPE_CHECKING:
    from conformance.measured import Measuring

_EPILOG = """\
examples:
  python -m conformance run                              every wheel of the matrix, every requirement, every enabled lane
  python -m conformance run --wheel 1.2.4 --requirement OVF   the overflow requirements on one wheel
  python -m conformance run --lane virtual --wheel 1.2.4 --fresh   that wheel's kernels on the virtual GPU, measured again
  python -m conformance lock --check                     fails if the index holds wheels that the matrix does not know
  python -m conformance report --check                   fails if docs/report is not what the committed results give

exit codes: 0 as expected, 1 something failed that is not expected to (or the reverse), 2 wrong command, 3 wheels unread"""


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("lanes that run kernels")
    group.add_argument(
        "--measured",
        type=Path,
        default=Path("results") / "measured",
        metavar="FOLDER",
        help="what was measured is kept here, and not measured again (default: results/measured)",
    )
    group.add_argument("--fresh", action="store_true", help="measure again")
    group.add_argument("--base-python", type=Path, metavar="PYTHON", help="an interpreter with torch for the ranks")
    group.add_argument(
        "--torchrun", metavar="OPTIONS", help="start ranks with torchrun, with these options ('' for none)"
    )
    group.add_argument("--nodes", type=int, default=1, help="machines that share the ranks, with --torchrun")
    group.add_argument("--processes", type=int, metavar="N", help="wheels at once (default: one for each core)")
    group.add_argument(
        "--depth",
        choices=DEPTHS,
        default="standard",
        help="quick: IntraNode, minutes; standard (default): every kernel type; deep: up to 16 ranks on every shape of nodes",
    )
    group.add_argument(
        "--kernel-type",
        action="append",
        default=[],
        choices=KERNEL_TYPES,
        metavar="TYPE",
        help=f"judge for this one only; may be repeated: {', '.join(KERNEL_TYPES)}",
    )
    group.add_argument(
        "--case-deadline", type=float, default=240.0, metavar="SECONDS", help="for one case (default: 240)"
    )
    group.add_argument(
        "--device-coverage",
        type=Path,
        metavar="FOLDER",
        help="lane virtual: note which instructions of kernels are executed (only by what is measured now, see --fresh)",
    )


def _add_device_coverage(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    pages = actions.add_parser("device-coverage", help="make docs/device-coverage from runs with --device-coverage")
    pages.add_argument("folder", type=Path, metavar="FOLDER", help="of these runs")
    pages.add_argument(
        "--output", type=Path, metavar="FOLDER", help="where to write (default: docs/device-coverage beside the matrix)"
    )


def _measuring(parsed: argparse.Namespace) -> Measuring:
    from conformance.measured import Measuring

    return Measuring(
        parsed.measured,
        fresh=parsed.fresh,
        base=parsed.base_python,
        torchrun=parsed.torchrun,
        nodes=parsed.nodes,
        processes=parsed.processes,
        deadline=parsed.case_deadline,
        depth=parsed.depth,
        kernel_types=tuple(parsed.kernel_type),
        device_coverage=parsed.device_coverage,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m conformance",
        description="Judge wheels against the requirement catalogue.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--matrix", type=Path, metavar="FILE", help="matrix file (default: matrix.toml here or above)")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    run = actions.add_parser("run", help="judge wheels and write results.jsonl")
    run.add_argument("--wheel", action="append", default=[], metavar="WHEEL", help="a wheel or group; may be repeated")
    run.add_argument("--requirement", action="append", default=[], metavar="ID", help="an id or group; may be repeated")
    run.add_argument(
        "--lane",
        action="append",
        default=[],
        choices=("survey", "virtual", "rocm", "all"),
        help="how to find out; may be repeated (default: those that the matrix enables and this machine has)",
    )
    run.add_argument("--results", type=Path, default=Path("results") / "results.jsonl", metavar="FILE")
    run.add_argument("--libraries", choices=("changes", "all"), default="changes", help="see `moriep survey --help`")
    run.add_argument("--json", action="store_true", help="print the verdicts as JSON too")
    _add_measuring(run)

    from conformance.commands.explore_options import add_explore_options

    add_explore_options(
        actions.add_parser("explore", help="play situations that nobody listed, and make what fails small")
    )

    lock = actions.add_parser("lock", help="add what the index holds now to the matrix")
    lock.add_argument("--check", action="store_true", help="write nothing; exit with 1 if there is something new")

    _add_device_coverage(actions)
    actions.add_parser("catalogue", help="print docs/requirements.md: every requirement, and the facts behind them")

    draft = actions.add_parser("draft", help="print entries for matrix.toml that would expect what failed unexpectedly")
    draft.add_argument("--results", type=Path, default=Path("results") / "results.jsonl", metavar="FILE")

    nightly = actions.add_parser("nightly", help="the steps of the nightly workflow")
    steps = nightly.add_subparsers(dest="step", metavar="STEP", required=True)
    wheels = steps.add_parser("wheels", help="lock new nightlies, and name those to judge")
    wheels.add_argument("--output", type=Path, required=True, metavar="FILE", help="where the names go, one a line")
    wheels.add_argument("--most", type=int, default=3, metavar="N", help="of the new ones, the newest N (default: 3)")
    issue = steps.add_parser("issue", help="say what is to be done about the issue of changed verdicts")
    issue.add_argument("--results", type=Path, default=Path("results") / "results.jsonl", metavar="FILE")
    issue.add_argument("--open", type=Path, required=True, metavar="FILE", help="open issues, as `gh` tells them")
    issue.add_argument("--folder", type=Path, required=True, metavar="FOLDER", help="where the answer goes")

    report = actions.add_parser("report", help="make docs/report from a full run")
    report.add_argument(
        "--output", type=Path, metavar="FOLDER", help="where to write (default: docs/report beside the matrix)"
    )
    report.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if the committed files drifted"
    )
    _add_measuring(report)
    report.add_argument("--render-only", action="store_true", help="from the committed results, without a new run")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    parsed = _parser().parse_args(arguments)

    def act() -> int:
        if parsed.action == "run":
            from conformance.commands.run import run

            return run(
                parsed.matrix,
                parsed.wheel,
                parsed.requirement,
                lanes=parsed.lane,
                results_file=parsed.results,
                libraries=parsed.libraries,
                measuring=_measuring(parsed),
                json_output=parsed.json,
            )
        if parsed.action == "explore":
            from conformance.commands.explore_options import run_explore

            return run_explore(parsed)
        if parsed.action == "lock":
            from conformance.commands.lock import lock

            return lock(parsed.matrix, write=not parsed.check)
        if parsed.action == "device-coverage":
            from conformance.commands.device_coverage import device_coverage

            return device_coverage(parsed.matrix, parsed.folder, parsed.output)
        if parsed.action == "catalogue":
            from conformance.facts import requirements_page

            print(requirements_page(), end="")
            return 0
        if parsed.action == "draft":
            from conformance.drafting import draft_expectations
            from conformance.results import read_results
            from conformance.selection import load_project_matrix

            for item in draft_expectations(read_results(parsed.results), load_project_matrix(parsed.matrix)):
                print(item.text())
            return 0
        if parsed.action == "nightly":
            from conformance.commands import nightly

            if parsed.step == "wheels":
                return nightly.wheels(parsed.matrix, parsed.output, most=parsed.most)
            return nightly.issue(parsed.results, parsed.open, parsed.folder)
        from conformance.commands.report import report

        return report(
            parsed.matrix,
            parsed.output,
            measuring=_measuring(parsed),
            check=parsed.check,
            render_only=parsed.render_only,
        )

    return run_command("conformance", act)


if __name__ == "__main__":
    sys.exit(main())
