# SPDX-License-Identifier: MIT
"""Plays trials (a case, a kind of heap, a schedule) on a lane; ranks stay alive from one to the next where they can."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from conformance.explore.dimensions import HEAPS, ExplorationError
from conformance.explore.schedules import PLAIN, Schedule, schedule_from_json
from conformance.suite.calls import calls_from_json
from conformance.suite.cases import Case
from conformance.suite.lanes import FREELY, Lane
from conformance.suite.launch import Job, Outcome, play_jobs
from conformance.suite.rank_groups import Starter

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
        group = {"MORI_SHMEM_MODE": HEAPS[self.heap], **self.schedule.group_variables(self.case.world_size)}
        return Job(case, variables, group if self.schedule.lockstep else {**FREELY, **group})


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


class Player:
    """Plays trials on one lane. To be used in a `with` statement, which ends the ranks."""

    def __init__(self, lane: Lane, *, deadline: float = 120.0) -> None:
        self._lane, self._deadline = lane, deadline
        self._starter: Starter | None = None

    def play(self, trials: Sequence[Trial]) -> Generator[tuple[int, Outcome], None, None]:
        """The position of each trial and what became of it, as it comes. Closing the generator ends the ranks."""
        jobs = [trial.job() for trial in trials]
        if self._lane.name == "plain":
            # The host has one kind of heap and no engine: all trials of a world size share ranks.
            jobs = [Job(job.case, job.variables) for job in jobs]
        if self._starter is None:
            self._starter = self._lane.starter()
        yield from play_jobs(jobs, self._lane, deadline=self._deadline, starter=self._starter)

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        starter, self._starter = self._starter, None
        if starter is not None:
            starter.close()
