# SPDX-License-Identifier: MIT
"""Consumers: their facts are complete, their situations can pass and fail, and every outcome has its word."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Mapping

import pytest

from conformance.catalogue import load_catalogue
from conformance.consumers import CONSUMERS, OUTCOMES, SITUATIONS, Deployment, accept, consumer_finding, outcome_of
from conformance.consumers.acceptance import TYPICAL
from conformance.suite.calling import landed, prune
from conformance.suite.cases import case_from_json, case_to_json
from conformance.suite.judges import CHECKS, judge
from conformance.suite.lanes import plain_lane
from conformance.suite.launch import Job, Outcome, run_jobs
from conformance.suite.observations import Observation
from conformance.suite.witnesses import LENIENT, REFUSED
from conformance.verdicts import Verdict
from moriep.surface import ClassSurface, Field, Method, Surface
from tests.mori_fields import OPTIONAL, REQUIRED
from tests.suite.test_witnesses import PYTHON, needs_torch

BY_REQUIREMENT = {item.requirement: item for item in SITUATIONS}


def surface(*without: str) -> Surface:
    fields = [Field(name, "int") for name in REQUIRED] + [Field(name, "int", "0") for name in OPTIONAL]
    return Surface(
        release="a release",
        config=ClassSurface("EpDispatchCombineConfig", tuple(item for item in fields if item.name not in without)),
        op=ClassSurface("EpDispatchCombineOp", (), (Method("dispatch"), Method("combine"))),
        quant_types=("none", "fp8_direct_cast"),
        kernel_types={"IntraNode": 0, "InterNodeV1": 2, "InterNodeV1LL": 3, "AsyncLL": 4, "IntraNodeLL": 5},
    )


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda item: item.name)
@pytest.mark.parametrize(
    "deployment", [TYPICAL, dataclasses.replace(TYPICAL, world_size=64), dataclasses.replace(TYPICAL, low_latency=True)]
)
def test_a_consumer_passes_every_required_field_and_no_other_than_there_are(consumer, deployment: Deployment) -> None:
    names = consumer.kwargs(deployment).keys()
    assert set(REQUIRED) <= names <= {*REQUIRED, *OPTIONAL}
    assert consumer.source
    assert consumer.situations


def test_requirements_of_consumers_stand_in_the_catalogue() -> None:
    known = {item.id: item for item in load_catalogue()}
    for consumer in CONSUMERS:
        assert consumer.name in known[consumer.requirement].sentence
        for situation in consumer.situations:
            assert situation.title in known[situation.requirement].sentence
            assert consumer.name in known[situation.requirement].sentence
    assert {item for item in known if item.startswith("CON-")} == BY_REQUIREMENT.keys()


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda item: item.requirement)
def test_a_situation_survives_the_way_to_the_ranks(situation) -> None:
    assert case_from_json(case_to_json(situation.case)) == situation.case


def test_what_a_consumer_that_prunes_loses_is_told_and_measured() -> None:
    sglang = CONSUMERS[0]
    found = accept(sglang, surface("max_total_recv_tokens", "quant_type"), dataclasses.replace(TYPICAL, cap=8192))
    assert found.accepted
    assert found.pruned == ("max_total_recv_tokens", "quant_type")
    assert "bytes" in found.lost[0]
    assert "the worst case of 32768 rows instead of 8192" in found.lost[0]


@pytest.mark.parametrize("consumer", [item for item in CONSUMERS if not item.prunes], ids=lambda item: item.name)
def test_a_consumer_that_does_not_prune_hits_the_constructor(consumer) -> None:
    name = list(consumer.kwargs(TYPICAL))[-1]
    found = accept(consumer, surface(name))
    assert not found.accepted
    assert name in found.text()
    assert accept(consumer, surface()).accepted


def outcome(requirement: str, kind: str, message: str = "m", **seen: object) -> Mapping[str, Outcome]:
    case = BY_REQUIREMENT[requirement].case
    observations = {rank: Observation(case.name, rank, "finished", **seen) for rank in range(case.world_size)}
    return {case.name: Outcome(case, kind, message, observations, (), "command")}


NOTHING_WRONG = list  # an oracle that finds nothing
ENDINGS = [
    ("refused", "ValueError: no", Verdict.FAIL, "raises"),
    ("refused", "got an unexpected keyword argument 'routing'", Verdict.UNSUPPORTED, "raises"),
    ("asserted", "a < b", Verdict.CRASH, "aborts"),
    ("crash", "died of SIGABRT", Verdict.CRASH, "aborts"),
    ("out_of_bounds", "write of 2 bytes", Verdict.FAIL, "wrong"),
    ("hang", "rank 0 in dispatch", Verdict.TIMEOUT, "hangs"),
    ("engine_error", "not implemented", Verdict.ENGINE_ERROR, "unknown"),
    ("finished", "", Verdict.PASS, "works"),
]


@pytest.mark.parametrize(("kind", "message", "verdict", "word"), ENDINGS)
def test_every_ending_has_its_word(kind: str, message: str, verdict: Verdict, word: str) -> None:
    found = consumer_finding(BY_REQUIREMENT["CON-1"], outcome("CON-1", kind, message), lambda _: NOTHING_WRONG())
    assert (found.verdict, outcome_of(found.message)) == (verdict, word)
    assert word in OUTCOMES


def test_a_dropped_argument_and_one_that_lands_elsewhere_degrade() -> None:
    dropped = consumer_finding(
        BY_REQUIREMENT["CON-3"], outcome("CON-3", "finished", pruned=("max_total_recv_tokens",)), lambda _: []
    )
    assert dropped.message == "degraded: max_total_recv_tokens=24 was dropped"
    landed_elsewhere = consumer_finding(
        BY_REQUIREMENT["CON-6"],
        outcome("CON-6", "finished", notes={"dispatch": "block_num=128, rdma_block_num=16"}),
        lambda _: [],
    )
    assert outcome_of(landed_elsewhere.message) == "degraded"
    assert "rdma_block_num=16" in landed_elsewhere.message


def test_a_dropped_argument_that_changes_nothing_does_not_degrade() -> None:
    found = consumer_finding(
        BY_REQUIREMENT["CON-1"], outcome("CON-1", "finished", pruned=("quant_type",)), lambda _: []
    )
    assert outcome_of(found.message) == "works"


def test_arguments_without_a_name_are_followed_to_where_they_land() -> None:
    def dispatch(input, weights, scales, indices, block_num=-1, rdma_block_num=-1, *, routing=None): ...

    assert landed(dispatch, 4, (128, 16)) == "block_num=128, rdma_block_num=16"


@dataclasses.dataclass
class _Config:
    rank: int
    world_size: int


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("mori")
    module.ops = types.ModuleType("mori.ops")
    module.ops.EpDispatchCombineConfig = _Config
    monkeypatch.setitem(sys.modules, "mori", module)
    monkeypatch.setitem(sys.modules, "mori.ops", module.ops)


def test_pruning_that_does_its_work_leaves_no_note(installed: None) -> None:
    assert prune({"rank": 0, "novel": 1, "world_size": 2}) == ({"rank": 0, "world_size": 2}, {})


@pytest.mark.parametrize(
    ("broken", "note"),
    [
        (lambda kwargs: kwargs.pop("novel", None), "warnings"),
        (lambda kwargs: kwargs.update(rank=7), "values"),
        (lambda kwargs: kwargs.pop(list(kwargs)[-1]), "second"),
        (lambda kwargs: None, "left"),
    ],
)
def test_broken_pruning_is_told_and_judged(installed: None, monkeypatch, broken, note: str) -> None:
    monkeypatch.setattr(
        "moriep.compatibility.check_mori_compatibility", lambda kwargs: broken(kwargs) if kwargs else None
    )
    _, notes = prune({"rank": 0, "world_size": 2, "novel": 1})
    assert note in notes
    found = judge("CFG-18", outcome("CON-1", "finished", notes=notes))
    assert found.verdict is Verdict.FAIL


def _findings(witness: str, requirements: list[str]) -> dict[str, tuple[Verdict, str]]:
    jobs = [
        Job(BY_REQUIREMENT[name].case.with_(alone=False), {"MORI_REFERENCE_WITNESS": witness}) for name in requirements
    ]
    outcomes = {item.case.name: item for item in run_jobs(jobs, plain_lane(PYTHON), deadline=240)}
    return {name: (found.verdict, found.message) for name in requirements for found in [judge(name, outcomes)]}


@needs_torch
@pytest.mark.timeout(600)
def test_a_release_that_refuses_nothing_makes_every_refused_situation_work() -> None:
    assert {
        name: word
        for name, (_, text) in _findings(LENIENT, sorted(REFUSED)).items()
        if (word := outcome_of(text)) != "works"
    } == {}


@needs_torch
@pytest.mark.timeout(600)
def test_a_release_that_sums_wrong_makes_every_situation_wrong_that_works() -> None:
    works = [item.requirement for item in SITUATIONS if item.right_answer == "works"]
    found = _findings("sums-twice", works)
    assert {name: text for name, (verdict, text) in found.items() if verdict is not Verdict.FAIL} == {}
    assert {outcome_of(text) for _, text in found.values()} == {"wrong"}


def test_every_situation_is_judged() -> None:
    assert BY_REQUIREMENT.keys() <= CHECKS.keys()
