# SPDX-License-Identifier: MIT
"""The lanes that run kernels, as part of a run: start pytest with the suite's plugin, then collect what it kept."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.catalogue import Depth, Requirement, aspects, suite_revision
from conformance.environments import EnvironmentFailure, base_environment, missing_downloads, unfit, wheel_environment
from conformance.errors import ResultsError
from conformance.journal import journal_path, read_journal
from conformance.matrix import Matrix
from conformance.results import Results, new_header
from conformance.selection import Chosen
from conformance.suite.judges import CHECKS
from conformance.suite.lanes import LaneError, virtual_variables
from conformance.suite.measuring import project_folder
from conformance.suite.rocm import find_gpus
from conformance.verdicts import Record, StaleExpectation, apply_expectations

__all__ = ["Measuring", "collect", "measure", "why_no_virtual_lane"]

_SUITE = Path(__file__).resolve().parent / "suite"
# pytest: all passed, some failed.
_JUDGED = (0, 1)


@dataclass(frozen=True)
class Measuring:
    """How to measure.

    Attributes:
        folder: where what was measured is kept.
        fresh: measure again.
        base: an interpreter with torch and numpy for the ranks.
        torchrun: options for torchrun; None for the lane's own way to start ranks.
        nodes: machines that share the ranks.
        processes: wheels measured at once; None for one for each core.
        deadline: seconds for one case.
        depth: how far to look. kernel_types: only these; empty for all.
        device_coverage: a folder for each wheel there gets what the virtual lane executes of its kernels.
    """

    folder: Path
    fresh: bool = False
    base: Path | None = None
    torchrun: str | None = None
    nodes: int = 1
    processes: int | None = None
    deadline: float = 240.0
    depth: Depth = "standard"
    kernel_types: tuple[str, ...] = ()
    device_coverage: Path | None = None


def why_no_virtual_lane() -> str:
    """What this machine lacks to be a virtual GPU, with the remedy; empty if nothing."""
    command = [sys.executable, "-m", "virtual_rocm", "doctor"]
    environment = dict(os.environ)
    if (folder := project_folder()) is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [environment.get("PYTHONPATH")])])
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"virtual_rocm does not answer: {error}"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if not line.startswith("ok")]
    return "; ".join(line for line in lines if line) or f"`python -m virtual_rocm doctor` gave {done.returncode}"


def _prepare(chosen: Sequence[Chosen], lanes: Sequence[str], measuring: Measuring) -> None:
    """Say what will be downloaded, and get what all wheels share. What cannot be got is found again, wheel by wheel."""
    if "virtual" not in lanes and (measuring.base is None or not find_gpus().count):
        return
    fit = [choice for choice in chosen if unfit(choice.wheel) is None]
    download, disk = missing_downloads([choice.wheel for choice in fit], base=measuring.base)
    if not download:
        return
    print(
        f"for the ranks: about {download / 1e9:.2f} GB to download at most (torch for each Python, and the wheels), "
        f"{disk / 1e9:.2f} GB of disk; kept in the cache, once",
        file=sys.stderr,
        flush=True,
    )
    pythons: dict[str, None] = {}
    for choice in fit:
        try:
            packages = wheel_environment(choice.wheel, file=choice.file).packages
            print(f"installed {choice.wheel}", file=sys.stderr, flush=True)
            if "virtual" not in lanes or not virtual_variables((packages,), project_folder()).too_new:
                pythons[choice.wheel.python] = None
        except (EnvironmentFailure, LaneError) as error:
            print(f"{choice.wheel}: {error}", file=sys.stderr, flush=True)
    if measuring.base is not None:
        return
    for python in pythons:
        try:
            print(f"torch for {python}: {base_environment(python)}", file=sys.stderr, flush=True)
        except EnvironmentFailure as error:
            print(f"torch for {python}: {error}", file=sys.stderr, flush=True)


def _command(
    matrix_file: Path, chosen: Sequence[Chosen], lanes: Sequence[str], names: Sequence[str], measuring: Measuring
) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-c", str(_SUITE / "pytest.ini"), "--rootdir", str(_SUITE)]
    command += ["-p", "conformance.suite.plugin", str(_SUITE / "test_requirements.py")]
    command += ["--matrix", str(matrix_file.resolve()), "--measured", str(measuring.folder.resolve())]
    command += ["--case-deadline", f"{measuring.deadline:g}", "--nodes", str(measuring.nodes)]
    command += ["--depth", measuring.depth]
    for option, values in (
        ("--wheel", [str(item.file.resolve()) if item.file else item.wheel.label for item in chosen]),
        ("--lane", lanes),
        ("--requirement", names),
        ("--kernel-type", measuring.kernel_types),
    ):
        command += [word for value in values for word in (option, value)]
    if measuring.fresh:
        command.append("--fresh")
    if measuring.base is not None:
        command += ["--base-python", str(measuring.base)]
    if measuring.device_coverage is not None:
        command += ["--device-coverage", str(measuring.device_coverage.resolve())]
    if measuring.torchrun is not None:
        command.append(f"--torchrun={measuring.torchrun}")
    processes = min(measuring.processes or len(os.sched_getaffinity(0)), len(chosen) * len(lanes))
    if processes > 1:
        command += ["-n", str(processes)]
    bars = sys.stderr.isatty()
    return [*command, *(["--bars", "-p", "no:terminal"] if bars else ["--tb=no", "-q", "-rN", "--no-header"])]


def measure(
    matrix_file: Path, chosen: Sequence[Chosen], lanes: Sequence[str], names: Sequence[str], measuring: Measuring
) -> None:
    """Measure what is not known yet; verdicts are kept as they come.

    Raises:
        ResultsError: pytest did not get to its end.
        EnvironmentFailure: there is no room for what is to be downloaded.
    """
    _prepare(chosen, lanes, measuring)
    command = _command(matrix_file, chosen, lanes, names, measuring)
    environment = dict(os.environ)
    if (folder := project_folder()) is not None:
        # The package may be run from where it lies.
        environment["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [environment.get("PYTHONPATH")])])
    process = subprocess.Popen(command, env=environment, stdout=sys.stderr)
    try:
        code = process.wait()
    except BaseException:
        # It got the interruption too, and ends its ranks.
        process.terminate()
        process.wait()
        raise
    if code not in _JUDGED:
        raise ResultsError(
            f"the suite ended with {code} before its end; what was measured is kept in {measuring.folder}: the same command goes "
            f"on from there ({shlex.join(command[:3])} …)"
        )


def collect(
    matrix: Matrix, chosen: Sequence[Chosen], lane: str, requirements: Sequence[Requirement], measuring: Measuring
) -> tuple[Results, tuple[StaleExpectation, ...]]:
    """What was measured, held against the expectations.

    Raises:
        ResultsError: a verdict is missing.
    """
    folder = measuring.folder
    able = [item for item in requirements if lane in item.lanes and item.id in CHECKS]
    wanted = aspects(able, measuring.depth, measuring.kernel_types)
    wheels = sorted({choice.wheel for choice in chosen}, key=lambda wheel: wheel.order)
    keys = [item.key for item in wanted]
    records: list[Record] = []
    missing = 0
    for wheel in wheels:
        known: Mapping[tuple[str, str], Record] = read_journal(
            journal_path(folder, wheel, lane), wheel, lane, suite_revision()
        )
        found = [known[item.key] for item in wanted if item.key in known]
        missing += len(wanted) - len(found)
        records += found
    if missing:
        raise ResultsError(
            f"lane {lane}: {missing} of {len(wanted) * len(wheels)} verdicts are missing, the run was cut short; what was "
            f"measured is kept in {folder}, and the same command goes on from there"
        )
    names = list(dict.fromkeys(item.requirement.id for item in wanted))
    # What a shallower run does not look at is not stale.
    expectations = [
        item
        for item in matrix.expectations
        if item.lane == lane
        and any(item.requirement == name and item.speaks_about(kernel_type) for name, kernel_type in keys)
    ]
    judged, stale = apply_expectations(records, expectations, wheels, names)
    return Results(new_header(wheels, (lane,), names, {}), judged), stale
