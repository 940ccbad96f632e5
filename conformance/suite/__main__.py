# SPDX-License-Identifier: MIT
"""python -m conformance.suite: run cases, judge requirements, or show that the suite catches broken implementations."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance.catalogue import DEPTHS, KERNEL_TYPES, Depth, aspects, load_catalogue
from conformance.suite.case_list import CASES
from conformance.suite.cases import Case
from conformance.suite.judges import CHECKS, cases_of, judge
from conformance.suite.lanes import Lane, device_variables, plain_lane, virtual_lane
from conformance.suite.launch import Job, Outcome, run_jobs
from conformance.suite.nodes import Follower, FollowError
from conformance.suite.variants import case_named
from conformance.suite.witnesses import ALONE, WITNESSES, WitnessResult, run_witnesses
from conformance.verdicts import Verdict

# Shown beside each outcome; it goes nowhere else.
_BEGUN = time.monotonic()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m conformance.suite", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run cases and judge the requirements that they decide")
    run.add_argument("--lane", choices=("plain", "virtual"), default="plain")
    run.add_argument("--packages", type=Path, action="append", default=[], help="folder of the wheel under test")
    run.add_argument("--launcher", type=Path, help="folder that holds virtual_rocm, where it is not installed")
    run.add_argument("--jit-cache", type=Path, help="where the wheel keeps its compiled kernels")
    run.add_argument("--static-heap", action="store_true", help="MORI's own heap instead of one allocation per buffer")
    run.add_argument("--requirement", action="append", default=[], help="judge it, with the cases that it needs")
    run.add_argument(
        "--case", action="append", default=[], help="run it; no requirement is judged unless all its cases ran"
    )
    run.add_argument(
        "--kernel-type",
        action="append",
        default=[],
        choices=KERNEL_TYPES,
        help="judge requirements of several kernel types for this one; may be repeated (default: IntraNode)",
    )
    run.add_argument("--depth", choices=DEPTHS, default="quick", help="how far to look, without --requirement")
    run.add_argument("--witness", default="correct", help="lane plain: which implementation")
    run.add_argument("--show", action="store_true", help="print the evidence of what did not pass")
    follow = commands.add_parser(
        "follow", help="on the other machines of a run with --nodes: start the ranks that the first machine announces"
    )
    follow.add_argument("folder", type=Path, help="the TMPDIR of the first machine, as it is seen from here")
    table = commands.add_parser("witnesses", help="run the broken implementations, and print what caught them")
    table.add_argument("--everything", action="store_true", help="judge each on all requirements")
    table.add_argument("names", nargs="*", help="witnesses (default: the correct one and all others)")
    for command in (run, table):
        command.add_argument("--python", default=sys.executable, help="the ranks' interpreter, with torch and numpy")
        command.add_argument("--deadline", type=float, default=300.0, help="seconds for one run of ranks")
    return parser


def _lane(arguments: argparse.Namespace) -> Lane:
    if arguments.lane == "plain":
        return plain_lane(arguments.python)
    return virtual_lane(
        arguments.python,
        packages=tuple(arguments.packages),
        launcher_path=arguments.launcher,
        jit_cache=arguments.jit_cache,
        isolation=not arguments.static_heap,
    )


def _device(arguments: argparse.Namespace, case: Case) -> Mapping[str, str]:
    if arguments.lane != "virtual":
        return {}
    return device_variables(case, tuple(arguments.packages), arguments.launcher)


def _say(outcome: Outcome) -> None:
    print(
        f"  {time.monotonic() - _BEGUN:6.1f} s  {outcome.case.name}: {outcome.kind}: {outcome.message}",
        file=sys.stderr,
        flush=True,
    )


def _known(name: str) -> bool:
    base, slash, kernel_type = name.partition("/")
    return base in CASES and (not slash or kernel_type in KERNEL_TYPES)


def _run(arguments: argparse.Namespace) -> int:
    unknown = [name for name in arguments.case if not _known(name)]
    unknown += [name for name in arguments.requirement if name not in CHECKS]
    if unknown:
        print(f"no such case or requirement: {', '.join(unknown)}", file=sys.stderr)
        return 2
    catalogue = [item for item in load_catalogue() if item.id in CHECKS]
    depth: Depth = "deep" if arguments.requirement and arguments.kernel_type else arguments.depth
    if arguments.requirement:
        catalogue = [item for item in catalogue if item.id in arguments.requirement]
    wanted = [item.key for item in aspects(catalogue, depth, arguments.kernel_type)]
    if arguments.requirement and not arguments.kernel_type:
        # A requirement by name, whatever its depth, for its first kernel type.
        wanted = [(item.id, (item.kernel_types or ("",))[0]) for item in catalogue]
    if arguments.case:
        wanted = [item.key for item in aspects([i for i in load_catalogue() if i.id in CHECKS], "deep")]
    names = list(arguments.case) or list(cases_of(wanted))
    variables = {"MORI_REFERENCE_WITNESS": arguments.witness} if arguments.lane == "plain" else {}
    outcomes = {
        outcome.case.name: outcome
        for outcome in run_jobs(
            [Job(case, variables, _device(arguments, case)) for case in map(case_named, names)],
            _lane(arguments),
            deadline=arguments.deadline,
            report=_say,
        )
    }
    good = True
    for requirement, kernel_type in wanted:
        if not set(cases_of([(requirement, kernel_type)])) <= set(outcomes):
            continue
        finding = judge(requirement, outcomes, kernel_type)
        good = good and not finding.verdict.is_failure
        print(f"{requirement:7} {kernel_type:13} {finding.verdict.value:12} {finding.message}")
        if arguments.show and finding.verdict is not Verdict.PASS:
            print("".join(f"        | {line}\n" for line in finding.observed), end="")
    return 0 if good else 1


def _witnesses(arguments: argparse.Namespace) -> int:
    names = arguments.names or ["correct", *WITNESSES]
    lane = plain_lane(arguments.python)
    results: list[WitnessResult] = []
    for together in ([name for name in names if name not in ALONE], *([name] for name in names if name in ALONE)):
        if together:
            results += run_witnesses(lane, together, everything=arguments.everything, deadline=arguments.deadline)
    for item in results:
        mark = "ok" if item.good else "MISSED"
        print(f"{mark:6} {item.witness:34} {item.expected or '-':7} {item.message}")
        if arguments.everything:
            print(f"{'':42}not passed: {', '.join(item.caught_by) or '-'}")
    caught = [item for item in results if item.expected and item.good]
    broken = [item for item in results if item.expected]
    print(f"{len(caught)} of {len(broken)} broken implementations caught")
    return 0 if all(item.good for item in results) else 1


def _follow(arguments: argparse.Namespace) -> int:
    print(f"following {arguments.folder}; end with Ctrl-C when the first machine is done", flush=True)
    try:
        Follower(arguments.folder, lambda line: print(line, flush=True)).follow()
    except FollowError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def _stop(*_: object) -> None:
    raise SystemExit(143)


def main(argv: Sequence[str] | None = None) -> int:
    # Asked to end, end the ranks too.
    signal.signal(signal.SIGTERM, _stop)
    arguments = _parser().parse_args(argv)
    return {"run": _run, "witnesses": _witnesses, "follow": _follow}[arguments.command](arguments)


if __name__ == "__main__":
    sys.exit(main())
