# SPDX-License-Identifier: MIT
"""What the planner predicts against what the suite sees: receive counts by its oracle, and on the virtual GPU.

The part on the virtual GPU runs where MORIEP_TEST_RANKS_PYTHON names an interpreter with torch and numpy and
MORIEP_TEST_PACKAGES=VERSION=FOLDER an unpacked wheel; MORIEP_TEST_JIT_CACHE may name a folder of compiled kernels.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from conformance.suite.cases import Case, make_inputs
from conformance.suite.lanes import virtual_lane
from conformance.suite.launch import Job, Outcome, run_jobs
from moriep.buffers import DispatchShape, plan_buffers
from moriep.layouts import layout_for_release
from moriep.planner import RoutingShape, Uniform, plan, receive_law
from moriep.planner.binomial import clopper_pearson

ROOT = Path(__file__).resolve().parents[2]
_PAGE = 4096


def receive_counts(case: Case) -> list[int]:
    """What each rank receives in one dispatch of the case, from the ids that the suite hands out."""
    reached: Counter[int] = Counter()
    for rank in range(case.world_size):
        for ids in make_inputs(case, rank, 0).ids:
            reached.update({int(expert) // case.experts_per_rank for expert in ids})
    return [reached[rank] for rank in range(case.world_size)]


@pytest.mark.parametrize(
    "case",
    [
        Case("two", world_size=2, most_tokens=16, tokens=((16, 16),), top_k=2, experts_per_rank=4, hidden=8),
        Case("eight", world_size=8, most_tokens=8, tokens=((8,) * 8,), top_k=4, experts_per_rank=4, hidden=8),
    ],
    ids=lambda case: case.name,
)
def test_routings_of_the_suite_overflow_as_often_as_planned(case: Case) -> None:
    """400 seeds, at every number of rows: what was seen must be possible (99.9 %) within the planned bounds."""
    most = [max(receive_counts(case.with_(seed=seed))) for seed in range(400)]
    law = receive_law(Uniform(), RoutingShape(case.world_size, case.experts_per_rank, case.top_k), case.most_tokens)
    assert min(most) < max(most)
    for rows in range(min(most) - 1, max(most) + 1):
        low, high = clopper_pearson(sum(1 for one in most if one > rows), len(most), 0.999)
        odds = law.any_above(rows)
        assert low <= odds.upper, rows
        assert odds.lower <= high, rows


def on_virtual_gpu(*cases: Case) -> tuple[str, dict[str, Outcome]]:
    python, packages = os.environ.get("MORIEP_TEST_RANKS_PYTHON"), os.environ.get("MORIEP_TEST_PACKAGES")
    if not python or not packages:
        pytest.skip("MORIEP_TEST_RANKS_PYTHON and MORIEP_TEST_PACKAGES are not set")
    release, _, folder = packages.partition("=")
    cache = os.environ.get("MORIEP_TEST_JIT_CACHE")
    lane = virtual_lane(
        python, packages=(Path(folder),), launcher_path=ROOT, jit_cache=Path(cache) if cache is not None else None
    )
    outcomes = run_jobs([Job(case, {}) for case in cases], lane, deadline=240)
    return release, {outcome.case.name: outcome for outcome in outcomes}


@pytest.mark.timeout(600)
def test_the_wheel_allocates_what_is_planned() -> None:
    """Where each allocation takes whole pages of its own, the memory that an op takes is the planned one to the byte."""
    cases = [Case(f"cap {cap}", play="construct", rounds=1, hidden=1024, cap=cap) for cap in (0, 8, 24)]
    release, outcomes = on_virtual_gpu(*cases)
    for case in cases:
        shape = DispatchShape(2, 1024, 0, 0, 2, 16, 4, 3, max_total_recv_tokens=case.cap or 0, gpu_per_node=2)
        allocations = plan_buffers(shape, layout_for_release(release)).allocations
        planned = sum(-(-item.size // _PAGE) * _PAGE for item in allocations if item.memory != "torch")
        outcome = outcomes[case.name]
        assert outcome.kind == "finished", outcome.message
        taken = {rank: seen.memory[1] - seen.memory[0] for rank, seen in outcome.observations.items()}
        assert taken == dict.fromkeys(range(case.world_size), planned), f"cap {case.cap}"


@pytest.mark.timeout(600)
def test_the_wheel_receives_as_many_as_planned() -> None:
    """100 dispatches of two ranks: at every number of rows, what was seen is possible (99.9 %) under the plan."""
    case = Case(
        "odds",
        most_tokens=8,
        tokens=((8, 8),),
        hidden=16,
        top_k=2,
        rounds=100,
        external_input=False,
        dirty=False,
    )
    _, outcomes = on_virtual_gpu(case)
    assert outcomes["odds"].kind == "finished", outcomes["odds"].message
    by_rank = [[item.count for item in seen.dispatches] for seen in outcomes["odds"].observations.values()]
    most = [max(counts) for counts in zip(*by_rank, strict=True)]
    law = receive_law(Uniform(), RoutingShape(2, 4, 2), 8)
    for rows in range(min(most) - 1, max(most) + 1):
        low, high = clopper_pearson(sum(1 for one in most if one > rows), len(most), 0.999)
        odds = law.any_above(rows)
        assert low <= odds.upper
        assert odds.lower <= high


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("quant_type", "too_small", "fits"), [("none", 24, 26), ("fp8_direct_cast", 12, 14)])
def test_combine_needs_exactly_the_rows_that_are_planned(quant_type: str, too_small: int, fits: int) -> None:
    base = Case("", pattern="same_rank", tokens=((12, 12),), rounds=1, alone=True, quant_type=quant_type)
    release, outcomes = on_virtual_gpu(*(base.with_(name=str(cap), cap=cap) for cap in (too_small, fits)))
    shape = DispatchShape.from_kwargs(
        {
            "world_size": 2,
            "hidden_dim": base.hidden,
            "scale_dim": 0,
            "scale_type_size": 0,
            "max_token_type_size": 2,
            "max_num_inp_token_per_rank": 16,
            "num_experts_per_rank": 4,
            "num_experts_per_token": 3,
            "gpu_per_node": 2,
            "quant_type": quant_type,
        }
    )
    planned = {
        cap.max_total_recv_tokens: cap.combine
        for cap in plan(shape, release, tokens_per_rank=12, caps=(too_small, fits)).caps
    }
    assert (planned[too_small], planned[fits]) == (False, True)
    assert outcomes[str(too_small)].kind == "out_of_bounds"
    assert outcomes[str(fits)].kind == "finished"
