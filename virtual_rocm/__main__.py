# SPDX-License-Identifier: MIT
"""python -m virtual_rocm: run a program on the virtual GPU, or say what this machine lacks for it."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .architectures import ARCHITECTURES, DEFAULT_ARCHITECTURE, checked_architecture
from .coverage import coverage_command
from .doctor import doctor
from .environment import VirtualEnvironment, prepare, site_packages_of
from .errors import VirtualRocmError
from .launcher import run_ranks


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m virtual_rocm", description=__doc__)
    parser.add_argument("--version", action="version", version=f"virtual_rocm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="run a program, or ranks of it, on the virtual GPU")
    run.add_argument("--ranks", type=int, default=1, help="how many processes to start (default 1)")
    run.add_argument("--deadline", type=float, default=600.0, help="seconds after which all are ended (default 600)")
    run.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable for the program; may be repeated",
    )
    run.add_argument(
        "--lockstep",
        action="store_true",
        help="kernels of the ranks take turns, so that a run with the same --seed repeats",
    )
    run.add_argument("--seed", type=int, help="order of turns among waves and ranks (default 0: round robin)")
    run.add_argument(
        "--coverage",
        type=Path,
        metavar="FOLDER",
        help="note there which instructions of kernels are executed, for `python -m virtual_rocm coverage FOLDER`",
    )
    _add_roots(run)
    run.add_argument("program", nargs=argparse.REMAINDER, help="-- and the command")

    show = commands.add_parser("environment", help="print the variables as shell commands, for other ways to start")
    _add_roots(show)

    covered = commands.add_parser("coverage", help="say which source lines of kernels were executed")
    covered.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="of runs with --coverage FOLDER")
    covered.add_argument("--source", metavar="PREFIX", help="only source files below PREFIX, named from there on")
    covered.add_argument("--json", action="store_true", help="for programs: every line, and all functions")

    check = commands.add_parser("doctor", help="say what is missing on this machine, and the command that gets it")
    check.add_argument("--fix", action="store_true", help="run that command")
    _add_architecture(check)
    return parser


def _add_roots(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--packages",
        action="append",
        default=[],
        metavar="FOLDER",
        help="where the program's packages are installed (default: where its Python looks); may be repeated",
    )
    _add_architecture(parser)
    parser.add_argument("--no-torch-bridge", action="store_true", help='do not answer torch\'s device "cuda"')


def _add_architecture(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--architecture",
        choices=list(ARCHITECTURES),
        help=f"what the virtual GPU is (default: VIRTUAL_ROCM_ARCHITECTURE, else {DEFAULT_ARCHITECTURE})",
    )


def _python_of(command: Sequence[str]) -> str:
    """The interpreter that the command runs: its first word, if that is a Python, else ours."""
    name = shutil.which(command[0]) if command else None
    if name and Path(name).name.startswith("python"):
        return name
    return sys.executable


def _prepare(arguments: argparse.Namespace, command: Sequence[str]) -> VirtualEnvironment:
    roots = [Path(folder) for folder in arguments.packages] or site_packages_of(_python_of(command))
    architecture = checked_architecture(arguments.architecture)
    environment = prepare(roots, torch_bridge=not arguments.no_torch_bridge, architecture=architecture)
    if environment.plan.too_new:
        print(
            f"virtual_rocm: the packages want {', '.join(environment.plan.too_new)}, newer than this system's: "
            "they will not load",
            file=sys.stderr,
        )
    return environment


def _run(arguments: argparse.Namespace) -> int:
    command = list(arguments.program)
    if command[:1] == ["--"]:
        del command[0]
    if not command:
        raise VirtualRocmError("nothing to run: python -m virtual_rocm run --ranks 2 -- python script.py")
    variables = _prepare(arguments, command).apply_to(os.environ)
    if arguments.seed is not None:
        variables["VIRTUAL_ROCM_SEED"] = str(arguments.seed)
    if arguments.coverage is not None:
        variables["VIRTUAL_ROCM_COVERAGE"] = str(arguments.coverage.absolute())
    for assignment in arguments.env:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise VirtualRocmError(f"--env {assignment}: NAME=VALUE is wanted")
        variables[name] = value
    # Asked to end, end the ranks too: an exception passes through the launcher, a signal's default does not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    result = run_ranks(
        command,
        ranks=arguments.ranks,
        environment=variables,
        deadline=arguments.deadline,
        take_turns=arguments.lockstep,
    )
    if not result.ok:
        if result.timed_out:
            print(f"virtual_rocm: the deadline of {arguments.deadline:g} s was reached", file=sys.stderr)
        for rank in result.ranks:
            print(f"virtual_rocm: {rank}", file=sys.stderr)
    return result.exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "doctor":
            return doctor(fix=arguments.fix, architecture=arguments.architecture)
        if arguments.command == "coverage":
            sys.stdout.write(coverage_command(arguments.folders, source=arguments.source, as_json=arguments.json))
            return 0
        if arguments.command == "environment":
            for name, value in sorted(_prepare(arguments, []).apply_to({}).items()):
                print(f"export {name}={shlex.quote(value)}")
            return 0
        return _run(arguments)
    except VirtualRocmError as error:
        print(f"virtual_rocm: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
