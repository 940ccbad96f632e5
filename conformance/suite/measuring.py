# SPDX-License-Identifier: MIT
"""Measures one wheel in one lane: sets it up, plays cases as requirements ask for them, judges, keeps.

Whatever goes wrong becomes a record. What this machine cannot run is `not_run`; what went wrong on our side is `engine_error`; a
wheel that cannot be imported is a `crash` of its own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from conformance.catalogue import Aspect
from conformance.environments import EnvironmentFailure, RankEnvironment, add_base, wheel_environment
from conformance.journal import Journal, journal_path
from conformance.judging import Finding
from conformance.suite.cases import Case
from conformance.suite.judges import CHECKS, cases_of
from conformance.suite.lanes import (
    Lane,
    LaneError,
    Torchrun,
    device_compiler_digest,
    device_variables,
    rocm_lane,
    virtual_lane,
    virtual_variables,
)
from conformance.suite.launch import Job, Outcome, play_jobs
from conformance.suite.recording import cases_for, record_outcomes
from conformance.suite.rocm import find_gpus
from conformance.suite.variants import case_named
from conformance.verdicts import Evidence, Record, Verdict
from conformance.wheels import Wheel

__all__ = ["Measurement", "Setup", "project_folder", "unplayable"]


@dataclass(frozen=True)
class Setup:
    """How to measure, for all wheels.

    Attributes:
        folder: where journals are kept.
        fresh: forget what was measured before.
        deadline: seconds for one case.
        base: an interpreter with torch and numpy for the ranks; None for environments of our own.
        torchrun: start ranks with torchrun; None for the lane's own way.
        files: wheels that are files on disk, by sha256.
        device_coverage: lane virtual notes in a folder for each wheel there which instructions of kernels are executed.
    """

    folder: Path
    fresh: bool = False
    deadline: float = 240.0
    base: Path | None = None
    torchrun: Torchrun | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    device_coverage: Path | None = None


def unplayable(case: Case, gpus: int, machines: int) -> str:
    """Why so many machines cannot play a case; empty if they can.

    Args:
        gpus: of each machine; 0 where there is no need to count.
    """
    if gpus and case.world_size > gpus * machines:
        return f"{case.world_size} GPUs are needed, there are {gpus * machines}"
    if case.nodes % machines:
        return f"the ranks of a node must share a machine: {case.nodes} of {case.name} cannot be spread over {machines}"
    return ""


class _Unmeasurable(Exception):
    """Nothing can be measured on this wheel in this lane; the finding that every requirement gets."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def project_folder() -> Path | None:
    """The folder that holds `virtual_rocm` beside this package; None where it is installed."""
    folder = Path(__file__).resolve().parent.parent.parent
    return folder if (folder / "virtual_rocm" / "__main__.py").is_file() else None


class Measurement:
    """One wheel in one lane. To be used in a `with` statement, which ends the ranks and closes the journal."""

    def __init__(self, wheel: Wheel, lane: str, aspects: Sequence[Aspect], setup: Setup) -> None:
        """Args:
        aspects: all that will be asked for; their cases are played in as few groups of ranks as possible.
        """
        self.wheel, self.lane, self._setup = wheel, lane, setup
        self._aspects = {
            item.key: item for item in aspects if lane in item.requirement.lanes and item.requirement.id in CHECKS
        }
        self._journal = Journal(journal_path(setup.folder, wheel, lane), wheel, lane, fresh=setup.fresh)
        self._outcomes: dict[str, Outcome] = {}
        self._playing: Generator[tuple[int, Outcome], None, None] | None = None
        self._unmeasurable: Finding | None = None
        self._gpus = 0  # of one machine; none where there is no need to count
        self._packages: tuple[Path, ...] = ()  # of the wheel, where the device is virtual

    def record(self, requirement: str, kernel_type: str = "") -> Record:
        """The verdict on one requirement and kernel type, measured now if it is not known; on disk when this returns.

        Raises:
            ResultsError: it cannot be kept.
        """
        known = self._journal.known(requirement, kernel_type)
        if known is not None:
            return known
        record = self._measure(self._aspects[requirement, kernel_type])
        self._journal.append(record)
        return record

    def _measure(self, aspect: Aspect) -> Record:
        if aspect.requirement.speaks_about(self.wheel):
            try:
                self._play(cases_of([aspect.key]))
            except _Unmeasurable as error:
                return self._record(aspect, error.finding)
        (record,) = record_outcomes([aspect], self.wheel, self.lane, self._outcomes)
        return record

    def _record(self, aspect: Aspect, finding: Finding) -> Record:
        (record,) = record_outcomes([aspect], self.wheel, self.lane, {})
        evidence = Evidence(record.evidence.command, finding.observed)
        return replace(record, verdict=finding.verdict, message=finding.message, evidence=evidence)

    def _play(self, cases: Sequence[str]) -> None:
        """Play until these cases have their outcomes."""
        if self._unmeasurable is not None:
            raise _Unmeasurable(self._unmeasurable)
        if all(name in self._outcomes for name in cases):
            return
        try:
            if self._playing is None:
                self._playing = self._start()
        except _Unmeasurable as error:
            self._unmeasurable = error.finding
            raise
        reasons = [f"{name}: {reason}" for name in cases if (reason := self._unplayable(case_named(name)))]
        if reasons:
            raise _Unmeasurable(Finding(Verdict.NOT_RUN, "; ".join(reasons)))
        while not all(name in self._outcomes for name in cases):
            _, outcome = next(self._playing)
            self._outcomes[outcome.case.name] = outcome

    def _start(self) -> Generator[tuple[int, Outcome], None, None]:
        lane = self._lane()
        pending = [item for item in self._aspects.values() if self._journal.known(*item.key) is None]
        cases = [case_named(name) for name in cases_for(pending, self.wheel, self.lane)]
        jobs = [Job(case, {}, self._device(case)) for case in cases if not self._unplayable(case)]
        return play_jobs(jobs, lane, deadline=self._setup.deadline)

    def _unplayable(self, case: Case) -> str:
        try:
            self._device(case)
        except LaneError as error:
            return str(error)
        return unplayable(case, self._gpus, self._setup.torchrun.nodes if self._setup.torchrun else 1)

    def _device(self, case: Case) -> Mapping[str, str]:
        """What makes the device the GPU that the case is about, or late where it is to be, on the lane that can."""
        return device_variables(case, self._packages, project_folder()) if self.lane == "virtual" else {}

    def _lane(self) -> Lane:
        """The lane with this wheel in it, tried out.

        Raises:
            _Unmeasurable: it does not work.
        """
        setup = self._setup
        if self.lane == "rocm":
            gpus = find_gpus()
            if not gpus.count:
                raise _Unmeasurable(Finding(Verdict.NOT_RUN, f"no AMD GPU: {gpus.reason}"))
            self._gpus = gpus.count
            if setup.base is None:
                text = "lane rocm needs --base-python, an interpreter with a torch that is built for ROCm"
                raise _Unmeasurable(Finding(Verdict.NOT_RUN, text))
        try:
            environment = wheel_environment(self.wheel, file=setup.files.get(self.wheel.sha256))
            rocm = self.lane == "rocm"
            lane = rocm_lane(str(environment.python), torchrun=setup.torchrun) if rocm else self._virtual(environment)
            # Last: torch is large, and a wheel that this system cannot load needs none.
            add_base(environment, self.wheel, base=setup.base)
        except EnvironmentFailure as error:
            verdict = Verdict.NOT_RUN if error.machine else Verdict.ENGINE_ERROR
            raise _Unmeasurable(Finding(verdict, str(error), error.lines)) from error
        self._import(lane)
        return lane

    def _virtual(self, environment: RankEnvironment) -> Lane:
        self._packages = (environment.packages,)
        try:
            # The wheel's own folder only: torch is answered by a bridge.
            too_new = virtual_variables(self._packages, project_folder()).too_new
            if too_new:
                text = f"{too_new}; run it on a newer system (Ubuntu 24.04, Debian 13)"
                raise _Unmeasurable(Finding(Verdict.NOT_RUN, text))
            lane = virtual_lane(
                str(environment.python),
                packages=self._packages,
                launcher_path=project_folder(),
                jit_cache=environment.jit_cache / device_compiler_digest(project_folder()),
                torchrun=self._setup.torchrun,
            )
        except LaneError as error:
            raise _Unmeasurable(Finding(Verdict.ENGINE_ERROR, str(error))) from error
        if self._setup.device_coverage is not None:
            folder = self._setup.device_coverage.absolute() / self.wheel.label
            lane = replace(lane, variables={**lane.variables, "VIRTUAL_ROCM_COVERAGE": str(folder)})
        return lane

    def _import(self, lane: Lane) -> None:
        """Tell a wheel that cannot be imported from one whose cases all crash."""
        command = [lane.python, "-c", "import torch\nprint('torch')\nimport mori, mori.ops, mori.shmem"]
        try:
            done = subprocess.run(
                command,
                env={**lane.environment(), "RANK": "0", "WORLD_SIZE": "1"},
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _Unmeasurable(
                Finding(Verdict.ENGINE_ERROR, f"the ranks' interpreter does not run: {error}")
            ) from error
        if done.returncode == 0:
            return
        lines = tuple(lane.readable(line) for line in done.stderr.strip().splitlines()[-20:])
        last = lines[-1] if lines else f"exit code {done.returncode}"
        if "torch" not in done.stdout.split():
            raise _Unmeasurable(Finding(Verdict.ENGINE_ERROR, f"torch cannot be imported: {last}", lines))
        raise _Unmeasurable(Finding(Verdict.CRASH, f"mori cannot be imported: {last}", lines))

    def __enter__(self) -> Measurement:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._playing is not None:
                self._playing.close()
        finally:
            self._journal.__exit__(kind, error, traceback)
