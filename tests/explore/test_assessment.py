# SPDX-License-Identifier: MIT
"""What became of a trial is right, known, a finding, or our own fault; nothing runs here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.explore.assessment import Judgement, Symptom, assess
from conformance.explore.known import explaining, foretold
from conformance.explore.playing import Trial
from conformance.explore.schedules import PLAIN as PLAIN_SCHEDULE
from conformance.explore.schedules import Schedule
from conformance.suite.cases import Case
from conformance.suite.launch import Outcome, OutcomeKind
from conformance.suite.observations import Observation
from conformance.suite.oracle import make_world
from tests.suite.arrangements import right_combine, right_dispatch

LABEL = "1.2.4@cp310"
PLAIN = Case("plain", tokens=((3, 5),), rounds=1, dirty=False)
# One token in rows that are narrower than the scales behind them; eight experts of one rank, and a ninth of another one.
NARROW = Case("narrow", tokens=((0, 1),), most_tokens=1, hidden=8, top_k=1, rounds=1, quant_type="fp8_blockwise")
NINTH = Case("ninth", tokens=((0, 1),), most_tokens=1, hidden=8, top_k=9, experts_per_rank=8, rounds=1, seed=28492)
# Of three experts each, 64 lanes number 21 tokens.
MANY = Case("many", tokens=((22, 0),), most_tokens=22, hidden=8, top_k=3, rounds=1, play="dispatch", dirty=False)
# Two ranks, at most 16 tokens each; rank 0 gets them all.
FULL = Case("full", pattern="all_to_one", tokens=((10, 11),), rounds=1, cap=20)
STAGED = Case("staged", pattern="all_to_one", target=1, cap=8, tokens=((4, 4),), rounds=1)
BOUNDS = (
    "rank 0: out-of-bounds access: write of 4 bytes at 0x2000001ca0f0 (and 2 more lanes); the first byte past the end of "
    "hipExtMallocWithFlags #27 (device memory, 240 bytes); kernel EpDispatchIntraNodeKernel_bf16, block (1,0,0), wave 14"
)


def outcome(case: Case, kind: OutcomeKind, message: str = "", evidence: tuple[str, ...] = ()) -> Outcome:
    return Outcome(case, kind, message, {}, evidence, "")


def finished(case: Case) -> Outcome:
    """Every rank saw what is right."""
    world = make_world(case)
    observations = {
        rank: Observation(
            case.name,
            rank,
            "finished",
            dispatches=(right_dispatch(world, rank, 0),),
            combines=(right_combine(world, rank, 0),),
        )
        for rank in range(case.world_size)
    }
    return Outcome(case, "finished", "all ranks finished", observations, (), "")


def test_what_is_right_is_right() -> None:
    assert assess(Trial(PLAIN), finished(PLAIN), "1.2.4", LABEL).judgement is Judgement.RIGHT


def test_a_wrong_sum_is_a_finding_that_says_what_is_wrong() -> None:
    seen = finished(PLAIN)
    rows = seen.observations[0].combines[0].rows.copy()
    rows[0, 0] += 1
    combine = replace(seen.observations[0].combines[0], rows=rows)
    wrong = replace(seen, observations={**seen.observations, 0: replace(seen.observations[0], combines=(combine,))})
    found = assess(Trial(PLAIN), wrong, "1.2.4", LABEL)
    assert (found.judgement, found.symptom) == (Judgement.FINDING, Symptom("wrong", ("sum",)))
    assert "token 0" in found.text


@pytest.mark.parametrize(
    ("version", "kind", "message", "judgement"),
    [
        ("1.2.4", "out_of_bounds", BOUNDS, Judgement.KNOWN),
        ("1.2.4", "asserted", "Total recv token overflow", Judgement.FINDING),
        ("1.2.2", "asserted", "Total recv token overflow", Judgement.KNOWN),
        ("1.2.2", "out_of_bounds", BOUNDS, Judgement.FINDING),
        ("1.2.4", "refused", "rank 0 in dispatch: ValueError: no", Judgement.FINDING),
        ("1.2.4", "engine_error", "unsupported instruction", Judgement.ENGINE_ERROR),
    ],
)
def test_an_overflow_is_known_by_what_the_release_does(
    version: str, kind: OutcomeKind, message: str, judgement: Judgement
) -> None:
    found = assess(Trial(FULL), outcome(FULL, kind, message), version, f"{version}@cp310")
    assert found.judgement is judgement
    assert found.requirements == (("OVF-8",) if judgement is Judgement.KNOWN else ())


def test_without_an_overflow_the_same_end_is_a_finding() -> None:
    found = assess(Trial(PLAIN), outcome(PLAIN, "out_of_bounds", BOUNDS), "1.2.4", LABEL)
    assert (found.judgement, found.symptom) == (
        Judgement.FINDING,
        Symptom("out_of_bounds", ("EpDispatchIntraNodeKernel",)),
    )


@pytest.mark.parametrize(("heap", "judgement"), [("isolation", Judgement.FINDING), ("static", Judgement.KNOWN)])
def test_on_a_shared_heap_a_write_outside_may_show_as_anything(heap: str, judgement: Judgement) -> None:
    seen = outcome(STAGED, "crash", "rank 0: exit code 1")
    assert assess(Trial(STAGED, heap), seen, "1.2.4", LABEL).judgement is judgement


@pytest.mark.parametrize(("heap", "judgement"), [("isolation", Judgement.STALE), ("vmm", Judgement.RIGHT)])
def test_what_is_foretold_for_certain_has_to_happen(heap: str, judgement: Judgement) -> None:
    found = assess(Trial(STAGED, heap), finished(STAGED), "1.2.4", LABEL)
    assert (found.judgement, found.requirements) == (judgement, ("CAP-7",) if judgement is Judgement.STALE else ())


@pytest.mark.parametrize(
    ("evidence", "judgement"),
    [
        (("[0] rank 0 is ended while kernels run:",), Judgement.FINDING),
        (("[0] rank 0: deadlock: nothing has moved for 60 s",), Judgement.FINDING),
        (("rank 0 in plain: combine of data set 0",), Judgement.ENGINE_ERROR),
    ],
)
def test_a_deadline_without_a_kernel_is_our_own(evidence: tuple[str, ...], judgement: Judgement) -> None:
    seen = outcome(PLAIN, "hang", "rank 0 in plain: combine of data set 0", evidence)
    assert assess(Trial(PLAIN), seen, "1.2.4", LABEL).judgement is judgement


@pytest.mark.parametrize(
    ("version", "meets", "judgement"),
    [
        ("1.2.2", False, Judgement.KNOWN),
        ("1.2.2", True, Judgement.FINDING),
        ("1.2.3", False, Judgement.FINDING),
    ],
)
def test_a_slow_constructor_explains_a_hang_of_ranks_that_do_not_meet_until_releases_wait_for_it(
    version: str, meets: bool, judgement: Judgement
) -> None:
    trial = Trial(PLAIN, "static", Schedule(slow=(1, "hipMemset", 0.1), meets=meets))
    seen = outcome(PLAIN, "hang", "rank 1 in plain: dispatch of data set 0", ("rank 1: deadlock",))
    assert assess(trial, seen, version, f"{version}@cp310").judgement is judgement


@pytest.mark.parametrize(
    ("nodes", "barriers", "meets", "judgement"),
    [
        (2, False, True, Judgement.KNOWN),
        (2, True, False, Judgement.KNOWN),
        (2, True, True, Judgement.FINDING),
        (1, False, False, Judgement.FINDING),
    ],
)
def test_a_hang_of_nodes_is_known_only_where_ranks_do_not_meet(
    nodes: int, barriers: bool, meets: bool, judgement: Judgement
) -> None:
    case = PLAIN.with_(kernel_type="InterNodeV1", gpus_per_node=2 // nodes, barriers=barriers)
    seen = outcome(case, "hang", "rank 1 in plain: dispatch of data set 0", ("rank 1: deadlock",))
    assert assess(Trial(case, schedule=Schedule(meets=meets)), seen, "1.2.4", "1.2.4@cp310").judgement is judgement


@pytest.mark.parametrize(
    ("case", "version", "expected"),
    [
        (PLAIN, "1.2.4", set()),
        (FULL, "1.2.4", {"OVF-8"}),
        (STAGED, "1.2.4", {"CAP-7"}),
        (STAGED.with_(external_input=False), "1.2.4", set()),
        # One rank sends 16, eight to each; the cap is 8.
        (
            PLAIN.with_(pattern="same_rank", tokens=((16, 0),), cap=8, external_input=False),
            "1.2.4",
            {"CAP-8"},
        ),
        (PLAIN.with_(pattern="dropped"), "1.2.0", {"IDS-1"}),
        (PLAIN.with_(pattern="dropped"), "1.2.1", set()),
        (PLAIN.with_(pattern="dropped", tokens=((0, 0),)), "1.2.4", set()),
        (PLAIN.with_(play="replay"), "1.2.3.post1", {"RTE-3"}),
        (PLAIN.with_(play="replay"), "1.2.4", set()),
        (PLAIN.with_(kernel_type="AsyncLL"), "1.2.4", {"CMB-3"}),
        (STAGED.with_(kernel_type="IntraNodeLL"), "1.2.4", {"CAP-7"}),
        (PLAIN.with_(kernel_type="IntraNodeLL", warps_per_block=2), "1.2.4", {"LNC-2"}),
        (PLAIN.with_(kernel_type="InterNodeV1", gpus_per_node=1), "1.2.3", {"LNC-2"}),
        (PLAIN.with_(kernel_type="InterNodeV1", gpus_per_node=1, rdma_block_num=8), "1.2.3", set()),
        (PLAIN.with_(kernel_type="InterNodeV1", gpus_per_node=1), "1.2.4", set()),
        (PLAIN.with_(kernel_type="InterNodeV1", pattern="out_of_range"), "1.2.4", {"IDS-2"}),
        (
            PLAIN.with_(kernel_type="InterNode", block_num=3, external_input=False),
            "1.2.4",
            {"LNC-2", "CMB-4", "DSP-6"},
        ),
        (PLAIN.with_(kernel_type="InterNode", block_num=2), "1.2.4", {"DSP-6"}),
        (NARROW.with_(kernel_type="AsyncLL"), "1.2.4", {"blockwise-slots", "CMB-3"}),
        # 512 bytes and 224 of scales go into the 1,024 of bfloat16.
        (NARROW.with_(kernel_type="AsyncLL", hidden=512), "1.2.4", {"CMB-3"}),
        (NARROW.with_(kernel_type="IntraNodeLL"), "1.2.4", {"blockwise-slots-ll"}),
        (NARROW.with_(kernel_type="IntraNodeLL", hidden=512), "1.2.4", set()),
        (NARROW, "1.2.4", set()),
        (NINTH.with_(kernel_type="IntraNodeLL"), "1.2.4", {"ninth-expert"}),
        (NINTH.with_(kernel_type="IntraNodeLL"), "1.2.1", set()),
        (NINTH.with_(kernel_type="IntraNodeLL", seed=1), "1.2.4", set()),
        (NINTH, "1.2.4", set()),
        (MANY.with_(kernel_type="AsyncLL"), "1.2.2", {"CMB-3", "orphan-row"}),
        (MANY.with_(kernel_type="AsyncLL"), "1.2.4", {"CMB-3"}),
        (MANY.with_(kernel_type="AsyncLL", top_k=4), "1.2.2", {"CMB-3"}),
        (MANY.with_(kernel_type="AsyncLL", tokens=((21, 0),)), "1.2.2", {"CMB-3"}),
        (
            NARROW.with_(kernel_type="InterNode", block_num=1, quant_type="none", scale_dim=1, pattern="all_to_one"),
            "1.2.4",
            {"LNC-2", "DSP-6", "scales-of-an-empty-rank"},
        ),
    ],
)
def test_what_is_known_is_foretold_from_the_inputs(case: Case, version: str, expected: set[str]) -> None:
    found = foretold(make_world(case), version, f"{version}@cp310")
    assert {item.requirement for item in found if item.when(Trial(case))} == expected


@pytest.mark.parametrize(
    ("warps", "schedule", "expected"),
    [
        (1, PLAIN_SCHEDULE, ("combine-barrier",)),
        (4, PLAIN_SCHEDULE, ()),
        (4, Schedule(1, seed=7, lockstep=True), ("combine-barrier",)),
    ],
)
def test_a_barrier_that_is_set_back_too_early_explains_a_hang_where_waves_come_late(
    warps: int, schedule: Schedule, expected: tuple[str, ...]
) -> None:
    case = PLAIN.with_(kernel_type="InterNode", block_num=8, warps_per_block=warps)
    known = foretold(make_world(case), "1.2.4", LABEL)
    assert explaining(known, Trial(case, schedule=schedule), "hang", frozenset()) == expected


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"position"}, ("DSP-6",)),
        ({"position", "sum"}, ("CMB-4", "DSP-6")),
        ({"position", "sum", "payload"}, ()),
    ],
)
def test_several_faults_together_explain_what_none_does_alone(kinds: set[str], expected: tuple[str, ...]) -> None:
    case = PLAIN.with_(kernel_type="InterNode", external_input=False)
    known = foretold(make_world(case), "1.2.4", LABEL)
    assert explaining(known, Trial(case), "finished", frozenset(kinds)) == expected


@pytest.mark.parametrize(("meets", "expected"), [(False, ("STA-5",)), (True, ())])
def test_rows_of_the_round_before_are_explained_where_ranks_do_not_meet(meets: bool, expected: tuple[str, ...]) -> None:
    case = PLAIN.with_(kernel_type="InterNodeV1LL", gpus_per_node=1)
    known = foretold(make_world(case), "1.2.4", LABEL)
    trial = Trial(case, schedule=Schedule(8, late_blocks=(0, 1, 0.05), meets=meets))
    assert explaining(known, trial, "finished", frozenset({"foreign", "missing", "sum"})) == expected
