# SPDX-License-Identifier: MIT
"""The `moriep` command. Each subcommand is a module in `conformance.commands`; this one parses, dispatches, and turns
errors into one message and an exit code.

Exit codes: 0 nothing wrong; 1 the answer is bad news (a failing requirement, an incompatible call, a bad variable); 2 the
question was wrong (unknown wheel, malformed file); 3 some wheels could not be read, the others are reported.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import moriep
from conformance.commands.plan_options import add_plan_options, run_plan
from moriep.errors import MoriEPError

__all__ = ["main"]

_DESCRIPTION = """\
What a given release of MORI-EP (amd-mori) will do to your code.

A wheel is named by its version (1.2.4 means its cp310 wheel), with a Python tag (1.1.1@cp312), by a nightly's date (20260810), by
the first characters of its sha256, or by the path of a wheel file. Groups: stable, nightlies, all."""

_EPILOG = """\
examples:
  moriep diff 1.2.2 1.2.3            what changes when the pin moves
  moriep check --wheel 1.2.4         what that release does to SGLang's arguments under this environment
  moriep plan --release 1.2.4        what a receive cap saves, and how likely it overflows
  moriep check serving/              what every stable release does to the calls in that folder
  moriep env                         every SGLANG_MORI_* variable, and whether its value is sound
  moriep survey 1.2.4                everything that the wheel's files say
  moriep timeline --area "overflow assertion"   when it came and went, over the nightlies

exit codes: 0 nothing wrong, 1 bad news about a release or a setting, 2 the command was wrong, 3 some wheels could not be read"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="moriep", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"moriep {moriep.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    survey = _add(commands, "survey", "read what wheels say about themselves, without installing them", _survey)
    survey.add_argument("wheels", nargs="*", metavar="WHEEL", help="wheels or groups (default: stable)")
    survey.add_argument(
        "--libraries",
        choices=("changes", "all"),
        default="changes",
        help="read libraries where their needs change (default), or all of them (30 MB more)",
    )

    diff = _add(commands, "diff", "what is different between two wheels, the heaviest first", _diff)
    diff.add_argument("before", metavar="A", help="the wheel that you have")
    diff.add_argument("after", metavar="B", help="the wheel that you want")
    diff.add_argument("--all", action="store_true", help="show changed code and additions one by one too")
    diff.add_argument("--exit-code", action="store_true", help="exit with 1 if anything breaks or behaves otherwise")

    timeline = _add(commands, "timeline", "when traits came and went, over the nightlies in build order", _timeline)
    timeline.add_argument("--area", metavar="TEXT", help="only areas that contain this text")
    timeline.add_argument("--subject", metavar="TEXT", help="only subjects that contain this text")
    timeline.add_argument("--python", default="cp310", metavar="TAG", help="Python tag of the wheels (default: cp310)")

    check = _add(
        commands,
        "check",
        "what releases do to your own calls (PATH), or to SGLang's arguments under this environment",
        _check,
    )
    check.add_argument(
        "paths", nargs="*", metavar="PATH", help="Python files, folders or module names with calls of MORI-EP to judge"
    )
    check.add_argument(
        "--wheel",
        "--release",
        action="append",
        default=[],
        dest="wheels",
        metavar="WHEEL",
        help="a wheel of the matrix or a wheel file; with PATH also a group, and may be repeated (default: with PATH stable, "
        "else the installed mori)",
    )
    check.add_argument("--github", action="store_true", help="with PATH: print annotations for GitHub Actions")
    check.add_argument("--world-size", type=int, default=8, help="ranks of the expert-parallel group (default: 8)")
    check.add_argument("--hidden-size", type=int, default=7168, help="values per token (default: 7168)")
    check.add_argument("--experts", type=int, default=256, help="routed experts over all ranks (default: 256)")
    check.add_argument("--top-k", type=int, default=8, help="experts per token (default: 8)")
    check.add_argument(
        "--weights",
        choices=("none", "fp8", "fp4"),
        default="fp8",
        help="quantisation of the expert weights (default: fp8)",
    )
    check.add_argument("--low-latency", action="store_true", help="the server runs its low-latency mode")
    check.add_argument("--architecture", default="gfx942", help="the GPU (default: gfx942)")
    check.add_argument("--strict", action="store_true", help="count dropped arguments and warnings as failures")

    plan = _add(commands, "plan", "memory against risk for the receive cap (prealloc)", _plan)
    add_plan_options(plan)

    env = _add(commands, "env", "the SGLANG_MORI_* variables: table, and validation of this environment", _env)
    env.add_argument("--world-size", type=int, help="ranks of the group, which bounds some variables")
    env.add_argument("--markdown", action="store_true", help="print the reference page instead")
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    action: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--json", action="store_true", help="print JSON")
    if name not in ("env", "plan"):
        parser.add_argument(
            "--matrix", type=Path, metavar="FILE", help="matrix file (default: matrix.toml here or above)"
        )
    parser.set_defaults(action=action)
    return parser


def _survey(arguments: argparse.Namespace) -> int:
    from conformance.commands.survey import survey

    return survey(arguments.matrix, arguments.wheels, arguments.libraries, json_output=arguments.json)


def _diff(arguments: argparse.Namespace) -> int:
    from conformance.commands.diff import diff

    return diff(
        arguments.matrix,
        arguments.before,
        arguments.after,
        everything=arguments.all,
        exit_code=arguments.exit_code,
        json_output=arguments.json,
    )


def _timeline(arguments: argparse.Namespace) -> int:
    from conformance.commands.timeline import timeline

    return timeline(arguments.matrix, arguments.area, arguments.subject, arguments.python, json_output=arguments.json)


def _check(arguments: argparse.Namespace) -> int:
    if arguments.paths:
        from conformance.commands.check_calls import check_calls

        return check_calls(
            arguments.matrix,
            arguments.paths,
            arguments.wheels or ["stable"],
            strict=arguments.strict,
            github=arguments.github,
            json_output=arguments.json,
        )
    from conformance.commands.check import Question, check, one_name

    question = Question(
        world_size=arguments.world_size,
        hidden_size=arguments.hidden_size,
        experts=arguments.experts,
        top_k=arguments.top_k,
        weights=arguments.weights,
        low_latency=arguments.low_latency,
        architecture=arguments.architecture,
    )
    return check(
        arguments.matrix, one_name(arguments.wheels), question, strict=arguments.strict, json_output=arguments.json
    )


def _plan(arguments: argparse.Namespace) -> int:
    return run_plan(arguments)


def _env(arguments: argparse.Namespace) -> int:
    from conformance.commands.env import env

    return env(os.environ, arguments.world_size, markdown=arguments.markdown, json_output=arguments.json)


def run_command(program: str, action: Callable[[], int]) -> int:
    """Run an action; turn our own errors into one message on standard error, and exit code 2."""
    try:
        return action()
    except MoriEPError as error:
        return _complain(program, error)
    except BrokenPipeError:
        # Whoever read the output has seen enough (`| head`). Keep the interpreter from complaining once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"{program}: interrupted; what was read before is in the cache", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        if error.name in ("mori", None):
            raise
        print(
            f"{program}: error: {error.name} is not installed; this command needs the extra: pip install 'moriep[conformance]'",
            file=sys.stderr,
        )
        return 2
    except Exception as error:
        # Imported here: `moriep env` must work where the extra is not installed.
        from conformance.errors import ConformanceError

        if not isinstance(error, ConformanceError):
            raise
        return _complain(program, error)


def _complain(program: str, error: Exception) -> int:
    print(f"{program}: error: {error}", file=sys.stderr)
    return 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `moriep`."""
    parsed = build_parser().parse_args(arguments)
    return run_command("moriep", lambda: parsed.action(parsed))


if __name__ == "__main__":
    sys.exit(main())
