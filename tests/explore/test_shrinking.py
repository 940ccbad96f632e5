# SPDX-License-Identifier: MIT
"""A failing trial is made small: what is left fails in the same way, and nothing simpler next to it does."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import pytest

from conformance.explore.dimensions import make_case, space_for
from conformance.explore.exploring import plan_trials
from conformance.explore.playing import Trial, trial_from_json, trial_to_json
from conformance.explore.schedules import make_schedule
from conformance.explore.shrinking import candidates, shrink
from conformance.suite.cases import Case, make_inputs

BIG = Case(
    "big",
    world_size=8,
    most_tokens=64,
    tokens=((64, 0, 3, 60, 1, 7, 9, 33), (5,) * 8),
    hidden=2048,
    top_k=7,
    experts_per_rank=8,
    dtype="float32",
    cap=200,
    scale_dim=32,
    scale_type_size=4,
    pattern="skewed",
    rounds=3,
    block_num=80,
    warps_per_block=16,
    gpus_per_node=4,
    external_input=False,
)


def failing(when: Callable[[Trial], bool]) -> Callable[[Sequence[Trial]], Generator[bool, None, None]]:
    def fails(trials: Sequence[Trial]) -> Generator[bool, None, None]:
        for trial in trials:
            yield when(trial)

    return fails


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (lambda trial: True, {"world_size": 2, "tokens": ((0, 0),), "rounds": 1, "top_k": 1, "hidden": 8, "cap": 0}),
        (lambda trial: True, {"most_tokens": 1, "scale_dim": 0}),
        (lambda trial: trial.case.top_k >= 5, {"top_k": 5, "world_size": 2, "tokens": ((0, 0),), "pattern": "uniform"}),
        (lambda trial: trial.case.hidden > 100 and trial.case.dtype == "float32", {"hidden": 101, "dtype": "float32"}),
        (lambda trial: trial.case.rounds >= 2 and max(trial.case.tokens[-1]) >= 5, {"rounds": 2, "world_size": 2}),
        (lambda trial: (trial.case.cap or 0) >= 17, {"cap": 17, "block_num": 1, "warps_per_block": 1}),
        (lambda trial: trial.heap == "vmm", {"external_input": True, "scale_dim": 0}),
    ],
    ids=["anything", "anything of room", "top-k", "wide float32", "second round", "cap", "heap"],
)
def test_what_is_left_is_what_the_failure_needs(when: Callable[[Trial], bool], expected: dict[str, object]) -> None:
    smallest, played = shrink(Trial(BIG, "vmm"), failing(when), most=5000)
    assert when(smallest)
    assert {name: getattr(smallest.case, name) for name in expected} == expected
    assert not any(when(item) for item in candidates(smallest))
    assert 0 < played < 5000


def test_a_schedule_goes_where_it_is_not_needed_and_stays_where_it_is() -> None:
    schedule = make_schedule(4)
    plain, _ = shrink(Trial(BIG, schedule=schedule), failing(lambda trial: True), most=5000)
    assert plain.schedule.number == 0
    kept, _ = shrink(Trial(BIG, schedule=schedule), failing(lambda trial: not trial.schedule.meets), most=5000)
    assert (kept.schedule.meets, kept.schedule.waits, kept.schedule.quantum) == (False, (), None)


def test_no_more_trials_are_played_than_allowed() -> None:
    _, played = shrink(Trial(BIG), failing(lambda trial: True), most=7)
    assert played == 7


def test_every_candidate_of_every_situation_can_be_played() -> None:
    for planned in plan_trials(space_for("IntraNode", "1.2.4"), "IntraNode", 2)[::9]:
        for candidate in candidates(planned.trial):
            case = candidate.case
            for data in range(case.data_sets):
                for rank in range(case.world_size):
                    assert make_inputs(case, rank, data).tokens <= case.most_tokens


def test_a_trial_is_the_same_after_it_was_written_as_json() -> None:
    for number, planned in enumerate(plan_trials(space_for("InterNodeV1", "1.2.4"), "InterNodeV1", 1)[::5]):
        trial = Trial(planned.trial.case, planned.trial.heap, make_schedule(number))
        assert trial_from_json(trial_to_json(trial), trial.case.name) == trial


def test_the_same_seed_gives_the_same_case() -> None:
    situation = {name: values[0] for name, values in space_for("IntraNode", "1.2.4").factors.items()}
    first, again, other = (
        make_case({**situation, "tokens": "drawn"}, name="x", kernel_type="IntraNode", seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first.tokens != other.tokens
