# SPDX-License-Identifier: MIT
"""An exploration: trials of one kernel type on one release, played, judged, and what fails made small."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from conformance.explore.assessment import Assessment, Judgement, Symptom, assess
from conformance.explore.covering import covering_array
from conformance.explore.dimensions import Situation, Space, make_case
from conformance.explore.known import foretold
from conformance.explore.playing import Player, Trial
from conformance.explore.schedules import PLAIN, Schedule
from conformance.explore.shrinking import shrink
from conformance.suite.oracle import make_world

__all__ = ["Explorer", "Finding", "Planned", "Played", "plan_schedules", "plan_trials"]


@dataclass(frozen=True)
class Planned:
    """A trial of an exploration.

    Attributes:
        number: its place in the covering array of the seed; with the schedule it names the trial.
    """

    number: int
    situation: Situation
    trial: Trial


@dataclass(frozen=True)
class Played:
    """A trial, and what it says about the release."""

    planned: Planned
    assessment: Assessment


@dataclass(frozen=True)
class Finding:
    """A failure that nothing known explains.

    Attributes:
        first: the trial of the exploration. smallest: what it was made into, which fails in the same way, and how.
        repeats: it fails in processes of its own too, and again when it is small; else `smallest` is as it was.
        times: how many trials of the exploration failed in the same way.
        shrunk: trials played to get there.
    """

    first: Played
    smallest: Trial
    assessment: Assessment
    times: int
    shrunk: int
    repeats: bool = True


def plan_trials(
    space: Space,
    kernel_type: str,
    seed: int,
    *,
    schedule: Schedule = PLAIN,
    variables: tuple[tuple[str, str], ...] = (),
) -> tuple[Planned, ...]:
    """The covering array of a seed as trials, in an order in which as many as possible share ranks."""
    planned = []
    for number, situation in enumerate(covering_array(space, seed)):
        name = f"explore-{kernel_type}-{seed}-{number}"
        case = make_case(situation, name=name, kernel_type=kernel_type, seed=1000 * seed + number + 1)
        planned.append(Planned(number, situation, Trial(case, str(situation["heap"]), schedule, variables)))
    return tuple(planned)


# What schedules are tried on: small enough that a hundred of them take minutes.
_MOST_WAVES, _MOST_HIDDEN = 512, 512


def plan_schedules(planned: Sequence[Planned], schedules: Sequence[Schedule], most: int) -> tuple[Planned, ...]:
    """The same small situations under each schedule.

    Args:
        most: situations for each schedule at most; the first of the array that are small and send something.
    """
    small = [
        item
        for item in planned
        if item.trial.case.block_num * item.trial.case.warps_per_block <= _MOST_WAVES
        and item.trial.case.hidden <= _MOST_HIDDEN
        and item.situation["tokens"] != "none"
        and item.situation["cap"] != "below"
    ][:most]
    return tuple(
        replace(item, trial=replace(item.trial, schedule=schedule)) for schedule in schedules for item in small
    )


class Explorer:
    """Plays and judges on one release."""

    def __init__(self, player: Player, version: str, label: str) -> None:
        self._player, self._version, self._label = player, version, label

    def judge(self, trials: Sequence[Trial]) -> Generator[tuple[int, Assessment], None, None]:
        """The position of each trial and the judgement, as it comes."""
        for number, outcome in self._player.play([self._apart(trial) for trial in trials]):
            yield number, assess(trials[number], outcome, self._version, self._label)

    def _apart(self, trial: Trial) -> Trial:
        """What is known to write past a buffer of a shared heap must not spoil the trials behind it."""
        if trial.heap == "isolation":
            return trial
        known = foretold(make_world(trial.case), self._version, self._label)
        return replace(
            trial, case=trial.case.with_(alone=any(item.writes_outside and item.when(trial) for item in known))
        )

    def explore(self, planned: Sequence[Planned], *, budget: float | None = None) -> Iterator[Played]:
        """Play what is planned, until the budget of seconds is used up; a trial that has begun ends."""
        until = None if budget is None else time.monotonic() + budget
        judged = self.judge([item.trial for item in planned])
        try:
            for number, assessment in judged:
                yield Played(planned[number], assessment)
                if until is not None and time.monotonic() > until:
                    return
        finally:
            judged.close()

    def fails_like(self, symptom: Symptom) -> Callable[[Sequence[Trial]], Generator[bool, None, None]]:
        """For `shrink`: tells of trials whether they fail like this, one after the other."""

        def fails(trials: Sequence[Trial]) -> Generator[bool, None, None]:
            # Only trials that share ranks are played together: answers come in order then.
            for _, together in groupby(trials, lambda item: (item.case.world_size, item.schedule, item.heap)):
                for _, assessment in self.judge(list(together)):
                    yield (
                        assessment.judgement in (Judgement.FINDING, Judgement.STALE)
                        and assessment.symptom is not None
                        and symptom.same(assessment.symptom)
                    )

        return fails

    def minimise(
        self, played: Sequence[Played], *, most: int = 400, say: Callable[[str], None] = lambda _: None
    ) -> Iterator[Finding]:
        """Each way in which trials failed without explanation, once, made small.

        Args:
            most: trials to play for each at most.
        """
        ways: list[list[Played]] = []
        for item in played:
            if item.assessment.judgement not in (Judgement.FINDING, Judgement.STALE):
                continue
            symptom = item.assessment.symptom
            assert symptom is not None
            for way in ways:
                assert way[0].assessment.symptom is not None
                if way[0].assessment.symptom == symptom:
                    way.append(item)
                    break
            else:
                ways.append([item])
        for way in ways:
            # The one that is cheapest to play is the best start.
            first = min(way, key=lambda item: (item.planned.trial.case.world_size, item.planned.trial.case.most_tokens))
            symptom = first.assessment.symptom
            assert symptom is not None
            trial = first.planned.trial
            say(f"{trial.case.name} ({symptom}): made small")
            smallest, count, assessment = trial, 0, first.assessment
            repeats = any(self.fails_like(symptom)([trial]))
            if repeats:
                smallest, count = shrink(trial, self.fails_like(symptom), most=most)
                ((_, again),) = self.judge([smallest])
                repeats = again.symptom is not None and symptom.same(again.symptom)
                # What fails now and then, as a write into a neighbour may, is told as it was seen.
                smallest, assessment = (smallest, again) if repeats else (trial, first.assessment)
            yield Finding(first, smallest, assessment, len(way), count, repeats)
