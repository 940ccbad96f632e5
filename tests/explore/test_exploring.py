# SPDX-License-Identifier: MIT
"""The exploration finds faults that nobody told it of, in its quick budget, and nothing in the correct implementation.

The implementations are those of conformance/suite/reference; ranks need torch (see tests/suite/test_witnesses.py).
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from conformance.errors import ResultsError
from conformance.explore.assessment import Judgement, Symptom
from conformance.explore.dimensions import ExplorationError, offered, space_for
from conformance.explore.exploring import Explorer, Planned, Played, plan_schedules, plan_trials
from conformance.explore.journal import ExploredJournal, read_journals
from conformance.explore.known import REFERENCE_RELEASE
from conformance.explore.playing import Player, Trial, trial_from_json, trial_to_json
from conformance.explore.regressions import Regression, identity_of, read_regressions, write_regressions
from conformance.explore.schedules import Schedule, make_schedule
from conformance.suite.cases import Case
from conformance.suite.lanes import plain_lane
from conformance.suite.launch import Outcome
from conformance.wheels import Wheel
from tests.explore.test_assessment import finished
from tests.suite.test_witnesses import PYTHON, needs_torch

# The quick budget: as many situations of the covering array for each implementation.
QUICK = 20
# Faults of each kind, and how the exploration is to see them.
WITNESSES = {
    "drops-a-token-to-the-last-rank": "missing",
    "sends-once-per-expert": "twice",
    "alters-one-column": "payload",
    "takes-weights-of-the-next-token": "weights",
    "makes-expert-ids-local": "ids",
    "swaps-scale-rows": "scales",
    "counts-slots-not-tokens": "count",
    "wrong-source-token": "position",
    "stale-buffer": "payload",
    "loses-one-contribution": "sum",
    "averages-weights": "weight_sum",
    "sends-minus-one-to-rank-zero": "foreign",
    "rounds-the-cap-down": "refused",
    "replay-moves-no-payload": "missing",
}
WHEEL = Wheel("amd-mori", "1.2.4", "cp310-cp310-manylinux_2_35_x86_64", "0" * 64, 1, "")


def planned(witness: str = "correct", cases: int = QUICK) -> tuple[Planned, ...]:
    variables = (("MORI_REFERENCE_WITNESS", witness),)
    trials = plan_trials(space_for("IntraNode", "1.2.4"), "IntraNode", 1, variables=variables)
    # The narrowest two worlds: a start of eight ranks takes as long as ten cases.
    return tuple(item for item in trials if item.trial.case.world_size <= 3 and item.trial.case.hidden <= 512)[:cases]


@needs_torch
@pytest.mark.timeout(900)
def test_the_exploration_finds_every_seeded_fault_and_none_in_the_correct_implementation() -> None:
    plans = {witness: planned(witness) for witness in ("correct", *WITNESSES)}
    everything = [item for plan in plans.values() for item in plan]
    with Player(plain_lane(PYTHON), deadline=60) as player:
        explorer = Explorer(player, REFERENCE_RELEASE, REFERENCE_RELEASE)
        judged: dict[str, list[Played]] = {}
        for played in explorer.explore(everything):
            judged.setdefault(dict(played.planned.trial.variables)["MORI_REFERENCE_WITNESS"], []).append(played)
        correct = judged.pop("correct")
        assert [(item.planned.number, item.assessment) for item in correct if _is_finding(item)] == []
        seen = {
            witness: {detail for item in played if _is_finding(item) for detail in _details(item)}
            for witness, played in judged.items()
        }
        assert {witness: WITNESSES[witness] in found for witness, found in seen.items()} == dict.fromkeys(
            WITNESSES, True
        )


def _is_finding(played: Played) -> bool:
    return played.assessment.judgement in (Judgement.FINDING, Judgement.STALE)


def _details(played: Played) -> tuple[str, ...]:
    symptom = played.assessment.symptom
    assert symptom is not None
    return symptom.details if symptom.kind == "wrong" else (symptom.kind,)


@needs_torch
@pytest.mark.timeout(600)
def test_a_finding_is_made_small_and_replays_from_its_json() -> None:
    with Player(plain_lane(PYTHON), deadline=60) as player:
        explorer = Explorer(player, REFERENCE_RELEASE, REFERENCE_RELEASE)
        played = list(explorer.explore(planned("alters-one-column", cases=6)))
        finding = next(explorer.minimise(played, most=120))
        assert finding.repeats
        case = finding.smallest.case
        # Nothing is left but three tokens of one rank, each to one rank: the witness alters a rank's third.
        assert (case.world_size, case.rounds, case.top_k, sorted(case.tokens[0])) == (2, 1, 1, [0, 3])
        again = trial_from_json(json.loads(json.dumps(trial_to_json(finding.smallest))), "again")
        ((_, assessment),) = explorer.judge([Trial(again.case, variables=finding.smallest.variables)])
        assert assessment.symptom == finding.assessment.symptom


@needs_torch
def test_what_was_foretold_and_does_not_happen_is_told() -> None:
    """The reference ignores nothing: as release 1.2.4 it does too well."""
    too_much = Case("too-much", pattern="all_to_one", cap=20, tokens=((11, 10),), rounds=1)
    staged = Case("staged", pattern="all_to_one", target=1, cap=8, tokens=((4, 4),), rounds=1)
    with Player(plain_lane(PYTHON), deadline=60) as player:
        judged = dict(Explorer(player, "1.2.4", "1.2.4@cp310").judge([Trial(too_much), Trial(staged)]))
        # Refused is not what 1.2.4 does with an overflow.
        assert judged[0].judgement is Judgement.FINDING
        assert (judged[1].judgement, judged[1].requirements) == (Judgement.STALE, ("CAP-7",))


@needs_torch
def test_late_ranks_are_right_on_a_correct_implementation() -> None:
    plan = plan_schedules(planned(), [make_schedule(number) for number in (2, 4)], 3)
    assert len(plan) == 6
    with Player(plain_lane(PYTHON), deadline=60) as player:
        explorer = Explorer(player, REFERENCE_RELEASE, REFERENCE_RELEASE)
        assert {item.assessment.judgement for item in explorer.explore(plan)} <= {Judgement.RIGHT, Judgement.KNOWN}


class _OnceBroken(Player):
    """An implementation that fails on each case the first time only, as what was written outside may show or not."""

    def __init__(self) -> None:
        super().__init__(plain_lane())
        self._seen: set[Case] = set()

    def play(self, trials: Sequence[Trial]) -> Generator[tuple[int, Outcome], None, None]:
        for number, trial in enumerate(trials):
            case = trial.case
            again = case in self._seen
            self._seen.add(case)
            yield number, finished(case) if again else Outcome(case, "crash", "rank 0: exit code 1", {}, (), "")


def test_what_does_not_fail_again_once_it_is_small_is_told_as_it_was_seen() -> None:
    case = Case("wide", tokens=((3, 5),), rounds=1, dirty=False, hidden=16)
    explorer = Explorer(_OnceBroken(), "1.2.4", "1.2.4@cp310")
    (seen,) = explorer.explore([Planned(0, {}, Trial(case))])
    explorer = Explorer(_OnceBroken(), "1.2.4", "1.2.4@cp310")
    (finding,) = explorer.minimise([seen], most=30)
    assert not finding.repeats
    assert finding.smallest == seen.planned.trial
    assert finding.assessment == seen.assessment


def test_a_schedule_comes_from_its_number() -> None:
    schedules = [make_schedule(number) for number in range(40)]
    assert schedules == [make_schedule(number) for number in range(40)]
    assert len(set(schedules)) == 40
    assert {schedule.lockstep for schedule in schedules[1::2]} == {True}
    assert all(
        bool(schedule.waits) + bool(schedule.slow) + bool(schedule.late_blocks) == 1 and not schedule.meets
        for schedule in schedules[2::2]
    )
    assert all(schedule.late_blocks for schedule in schedules[8::8])


def test_a_schedule_with_late_blocks_tells_the_engine_which_rank_and_survives_json() -> None:
    schedule = Schedule(8, late_blocks=(5, 2, 0.2), meets=False)
    assert schedule.group_variables(4) == {"VIRTUAL_ROCM_LATE_BLOCKS": "1/Ep/2/0.2"}
    trial = Trial(Case("late", tokens=((1, 2),)), schedule=schedule)
    assert trial_from_json(json.loads(json.dumps(trial_to_json(trial))), "late") == trial
    assert "rank 5 (mod W) 0.2 s late with blocks from 2 on" in str(schedule)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (Symptom("wrong", ("count", "missing")), Symptom("wrong", ("missing",)), True),
        (Symptom("wrong", ("count",)), Symptom("wrong", ("sum",)), False),
        (Symptom("hang", ("dispatch",)), Symptom("crash", ()), False),
        (Symptom("out_of_bounds", ("EpCombine",)), Symptom("out_of_bounds", ("EpDispatch",)), False),
    ],
)
def test_failures_are_the_same_if_they_show_something_in_common(first: Symptom, second: Symptom, same: bool) -> None:
    assert first.same(second) is same
    assert second.same(first) is same


@pytest.mark.parametrize(
    ("kernel_type", "version", "words"),
    [("IntraNodeLL", "1.1.1", "came with 1.2.0"), ("Fast", "1.2.4", "there are IntraNode")],
)
def test_a_kernel_type_that_a_release_lacks_is_told(kernel_type: str, version: str, words: str) -> None:
    with pytest.raises(ExplorationError, match=words):
        space_for(kernel_type, version)


@pytest.mark.parametrize(
    ("kernel_type", "quant_type", "version", "expected"),
    [
        ("IntraNodeLL", "none", "1.1.1", False),
        ("IntraNodeLL", "none", "1.2.0", True),
        ("IntraNodeLL", "fp8_blockwise", "1.2.0", True),
        ("AsyncLL", "fp8_blockwise", "1.2.1", False),
        ("AsyncLL", "fp8_blockwise", "1.2.2", True),
        ("InterNode", "none", "1.1.1", True),
    ],
)
def test_a_trial_is_not_replayed_on_releases_that_have_no_such_kernel(
    kernel_type: str, quant_type: str, version: str, expected: bool
) -> None:
    assert offered(Case("a", tokens=((1, 0),), kernel_type=kernel_type, quant_type=quant_type), version) is expected


def _regression(name: str) -> Regression:
    trial = Trial(Case(name, tokens=((1, 2),)), "static", make_schedule(3))
    return Regression(
        name, "a title", trial, "hang: dispatch", "1.2.4@cp310", "0" * 64, 1, 2, 3, {"1.2.4@cp310": "right"}
    )


def test_outcomes_are_in_the_order_of_releases_whatever_was_played_first() -> None:
    labels = ("1.2.3.post1@cp310", "1.1.1@cp310", "1.2.3@cp310", "1.2.5.dev20261026@cp310", "1.2.4@cp310")
    regression = _regression("one")
    for label in labels:
        version = label.partition("@")[0]
        wheel = Wheel("amd-mori", version, "cp310-cp310-manylinux_2_35_x86_64", "0" * 64, 1, "")
        regression = regression.with_outcome(wheel, "crash")
    ordered = ("1.1.1@cp310", "1.2.3@cp310", "1.2.3.post1@cp310", "1.2.4@cp310", "1.2.5.dev20261026@cp310")
    assert tuple(regression.outcomes) == regression.affected == ordered


def test_regressions_are_the_same_after_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "regressions.toml"
    written = (_regression("one"), _regression("two"))
    write_regressions(written, path)
    assert read_regressions(path) == written
    assert read_regressions(tmp_path / "absent.toml") == ()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "two"', 'id = "one"', "two regressions are called one"),
        ('judgement = "open"', 'judgement = "perhaps"', "judgement 'perhaps' is none of"),
        ("seed = 1", 'sead = "x"', "regression one"),
        ('"heap": "static"', '"heap": "huge"', "no trial that could be replayed"),
        ("[[regressions]]", "[[other]]", "no list of regressions"),
    ],
)
def test_a_broken_file_of_regressions_says_where(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "regressions.toml"
    write_regressions((_regression("one"), _regression("two")), path)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ExplorationError, match=words):
        read_regressions(path)


def test_an_id_is_made_from_the_trial_and_not_from_its_name() -> None:
    one, other = Trial(Case("a", tokens=((1, 2),))), Trial(Case("b", tokens=((1, 2),)))
    assert identity_of(one) == identity_of(other)
    assert identity_of(one) != identity_of(Trial(one.case, "vmm"))


@needs_torch
def test_the_journal_knows_what_was_played(tmp_path: Path) -> None:
    plan = planned(cases=2)
    journal = ExploredJournal(tmp_path, WHEEL, "IntraNode", 1)
    with Player(plain_lane(PYTHON), deadline=60) as player:
        for played in Explorer(player, REFERENCE_RELEASE, REFERENCE_RELEASE).explore(plan):
            journal.append(played)
    journal.close()
    again = ExploredJournal(tmp_path, WHEEL, "IntraNode", 1)
    assert {key: entry.judgement for key, entry in again.known.items()} == {(0, item.number): "right" for item in plan}
    (exploration,) = read_journals(tmp_path)
    assert (exploration.wheel, exploration.seed, len(exploration.entries)) == ("1.2.4@cp310", 1, 2)
    assert ExploredJournal(tmp_path, WHEEL, "IntraNode", 1, fresh=True).known == {}


def test_a_journal_of_another_wheel_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.2.4-cp310-IntraNode-1.jsonl"
    head = {"wheel": "1.2.4@cp310", "version": "1.2.4", "sha256": "1" * 64, "kernel_type": "IntraNode", "seed": 1}
    path.write_text(json.dumps(head) + "\n", encoding="utf-8")
    with pytest.raises(ResultsError, match="another sha256"):
        ExploredJournal(tmp_path, WHEEL, "IntraNode", 1)
    path.write_text("{}\n", encoding="utf-8")
    with pytest.raises(ResultsError, match="not a journal"):
        ExploredJournal(tmp_path, WHEEL, "IntraNode", 1)
