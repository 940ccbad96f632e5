# SPDX-License-Identifier: MIT
"""Plays trials (a case, a kind of heap, a schedule) on a lane; ranks stay alive from one to the next where they can."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from conformance.explore.dimensions import HEAPS, ExplorationError
from conformance.explore.schedules import PLAIN, Schedule, schedule_from_json
from conformance.suite.calls import calls_from_json
from conformance.suite.cases import Case
from conformance.suite.lanes import Lane
from conformance.suite.launch import Job, Outcome, play_jobs
from conformance.suite.rank_groups import PROGRAM, Starter, TorchrunStarter

__all__ = ["Player", "Trial", "trial_from_json", "trial_to_json"]

# Where a case's own defaults end: what a trial says besides the case.
_DEFAULT = Case("")


@dataclass(frozen=True)
class Trial:
    """One situation to play.

    Attributes:
        heap: one of HEAPS.
        variables: (name, value) for the ranks besides (which broken implementation to be).
    """

    case: Case
    heap: str = "isolation"
    schedule: Schedule = PLAIN
    variables: tuple[tuple[str, str], ...] = ()

    def job(self) -> Job:
        variables = {**dict(self.variables), **self.schedule.case_variables(self.case.world_size)}
        # Filling buffers between rounds is a meeting too.
        case = self.case if self.schedule.meets else self.case.with_(dirty=False, barriers=False)
        return Job(
            case,
            variables,
            {"MORI_SHMEM_MODE": HEAPS[self.heap], **self.schedule.group_variables(self.case.world_size)},
        )


def trial_to_json(trial: Trial) -> dict[str, Any]:
    """What differs from the defaults, as JSON has it."""
    case = {
        item.name: value
        for item in fields(Case)
        if item.name not in ("name", "alone")
        and ((value := getattr(trial.case, item.name)) != getattr(_DEFAULT, item.name) or item.name == "tokens")
    }
    found: dict[str, Any] = {"case": {**case, "tokens": [list(counts) for counts in trial.case.tokens]}}
    if trial.heap != "isolation":
        found["heap"] = trial.heap
    if trial.schedule != PLAIN:
        plain = asdict(PLAIN)
        found["schedule"] = {name: value for name, value in asdict(trial.schedule).items() if value != plain[name]}
    return found


def trial_from_json(values: Mapping[str, Any], name: str) -> Trial:
    """What `trial_to_json` gave.

    Raises:
        ExplorationError: it is no trial.
    """
    try:
        case = dict(values["case"])
        case["tokens"] = tuple(tuple(counts) for counts in case["tokens"])
        if case.get("calls") is not None:
            case["calls"] = calls_from_json(case["calls"])
        heap = values.get("heap", "isolation")
        HEAPS[heap]
        return Trial(Case(name, **case), heap, schedule_from_json(values.get("schedule", {})))
    except (KeyError, TypeError, ValueError) as error:
        raise ExplorationError(f"{name}: no trial that could be replayed: {error!r}") from error


class _LockstepStarter(TorchrunStarter):
    """Ranks whose kernels take turns: `python -m virtual_rocm run --lockstep`."""

    def __init__(self, lane: Lane, launcher_path: Path | None, seed: int) -> None:
        super().__init__(lane.python, lane.environment())
        self._lane, self._launcher_path, self._seed = lane, launcher_path, seed

    def command(self, jobs: Path, folder: Path, world_size: int) -> list[str]:
        run = [sys.executable, "-m", "virtual_rocm", "run", "--lockstep", "--seed", str(self._seed)]
        if self._launcher_path is not None:
            # The ranks' own PYTHONPATH must not lead there, nor to the driver's packages.
            code = f"import sys, runpy; sys.path.insert(0, {str(self._launcher_path)!r}); "
            code += "runpy.run_module('virtual_rocm', run_name='__main__', alter_sys=True)"
            run = [sys.executable, "-c", code, *run[3:]]
        run += ["--ranks", str(world_size), "--deadline", "3600"]
        for packages in self._lane.module_path:
            run += ["--packages", str(packages)]
        return [*run, "--", self._lane.python, str(PROGRAM), str(jobs), str(folder)]


class Player:
    """Plays trials on one lane. To be used in a `with` statement, which ends the ranks."""

    def __init__(self, lane: Lane, *, deadline: float = 120.0, launcher_path: Path | None = None) -> None:
        self._lane, self._deadline, self._launcher_path = lane, deadline, launcher_path
        self._starter: Starter | None = None

    def play(self, trials: Sequence[Trial]) -> Generator[tuple[int, Outcome], None, None]:
        """The position of each trial and what became of it, as it comes. Closing the generator ends the ranks."""
        turns: dict[Schedule, list[int]] = {}
        free: list[int] = []
        for number, trial in enumerate(trials):
            if trial.schedule.lockstep and self._lane.name == "virtual":
                turns.setdefault(trial.schedule, []).append(number)
            else:
                free.append(number)
        yield from self._with(self._own_starter(), trials, free) if free else ()
        for schedule, numbers in turns.items():
            starter = _LockstepStarter(self._lane, self._launcher_path, schedule.seed)
            with contextlib.closing(starter):
                yield from self._with(starter, trials, numbers)

    def _with(self, starter: Starter, trials: Sequence[Trial], numbers: Sequence[int]) -> Iterator[tuple[int, Outcome]]:
        jobs = [trials[number].job() for number in numbers]
        if self._lane.name == "plain":
            # The host has one kind of heap and no engine: all trials of a world size share ranks.
            jobs = [Job(job.case, job.variables) for job in jobs]
        with contextlib.closing(play_jobs(jobs, self._lane, deadline=self._deadline, starter=starter)) as playing:
            for position, outcome in playing:
                yield numbers[position], outcome

    def _own_starter(self) -> Starter:
        if self._starter is None:
            self._starter = self._lane.starter()
        return self._starter

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        starter, self._starter = self._starter, None
        if starter is not None:
            starter.close()
