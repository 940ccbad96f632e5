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
from moriep.vocabulary import KernelType, QuantType

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


def release_under_test() -> str:
    return os.environ.get("MORIEP_TEST_PACKAGES", "1.2.4=").partition("=")[0]


def on_virtual_gpu(*cases: Case) -> dict[str, Outcome]:
    python, packages = os.environ.get("MORIEP_TEST_RANKS_PYTHON"), os.environ.get("MORIEP_TEST_PACKAGES")
    if not python or not packages:
        pytest.skip("MORIEP_TEST_RANKS_PYTHON and MORIEP_TEST_PACKAGES are not set")
    folder = packages.partition("=")[2]
    cache = os.environ.get("MORIEP_TEST_JIT_CACHE")
    lane = virtual_lane(
        python, packages=(Path(folder),), launcher_path=ROOT, jit_cache=Path(cache) if cache is not None else None
    )
    outcomes = run_jobs([Job(case, {}) for case in cases], lane, deadline=240)
    return {outcome.case.name: outcome for outcome in outcomes}


BASE = Case("", play="construct", rounds=1, hidden=1024)
# Every buffer that differs between kernel types, quant types and payloads, with and without a cap, on one node and on two.
CONSTRUCTED = [
    *(BASE.with_(name=f"cap {cap}", cap=cap) for cap in (0, 8, 24)),
    BASE.with_(name="scales", scale_dim=8, scale_type_size=4, cap=24),
    BASE.with_(name="float32", dtype="float32"),
    *(BASE.with_(name=name.value, quant_type=name.value, cap=24) for name in QuantType if name is not QuantType.NONE),
    *(
        BASE.with_(name=f"{kernel.value} {gpus} {cap}", kernel_type=kernel.value, gpus_per_node=gpus, cap=cap)
        for kernel in KernelType
        for gpus, cap in ((2, 24), (1, 0), (1, 24))
        if kernel is not KernelType.INTRA_NODE and (gpus == 2 or kernel is not KernelType.INTRA_NODE_LL)
    ),
]


def shape_of(case: Case) -> DispatchShape:
    return DispatchShape(
        world_size=case.world_size,
        hidden_dim=case.hidden,
        scale_dim=case.scale_dim,
        scale_type_size=case.scale_type_size,
        max_token_type_size=4 if case.dtype == "float32" else 2,
        max_num_inp_token_per_rank=case.most_tokens,
        num_experts_per_rank=case.experts_per_rank,
        num_experts_per_token=case.top_k,
        max_total_recv_tokens=case.cap or 0,
        kernel_type=KernelType(case.kernel_type),
        gpu_per_node=case.gpus_per_node or case.world_size,
        quant_type=QuantType(case.quant_type),
    )


@pytest.mark.timeout(900)
def test_the_wheel_allocates_what_is_planned() -> None:
    """Where each allocation takes whole pages of its own, the memory that an op takes is the planned one to the byte."""
    layout = layout_for_release(release_under_test())
    cases = [
        case
        for case in CONSTRUCTED
        if shape_of(case).kernel_type in layout.kernel_types
        and shape_of(case).quant_type in layout.quant_types
        # The virtual GPU is a gfx942, on which the constructor refuses it.
        and case.quant_type != QuantType.FP4_BLOCKWISE.value
    ]
    wrong = {}
    for name, outcome in on_virtual_gpu(*cases).items():
        assert outcome.kind == "finished", f"{name}: {outcome.message}"
        allocations = plan_buffers(shape_of(outcome.case), layout).allocations
        planned = sum(-(-item.size // _PAGE) * _PAGE for item in allocations if item.memory != "torch")
        taken = {seen.memory[1] - seen.memory[0] for seen in outcome.observations.values()}
        if taken != {planned}:
            wrong[name] = (taken, planned)
    assert wrong == {}, "case: (bytes taken, bytes planned)"


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
    outcomes = on_virtual_gpu(case)
    assert outcomes["odds"].kind == "finished", outcomes["odds"].message
    by_rank = [[item.count for item in seen.dispatches] for seen in outcomes["odds"].observations.values()]
    most = [max(counts) for counts in zip(*by_rank, strict=True)]
    law = receive_law(Uniform(), RoutingShape(2, 4, 2), 8)
    for rows in range(min(most) - 1, max(most) + 1):
        low, high = clopper_pearson(sum(1 for one in most if one > rows), len(most), 0.999)
        odds = law.any_above(rows)
        assert low <= odds.upper
        assert odds.lower <= high


# The smallest even cap that fits, and the one below it. 448: eight values for each of the 56 scales of a row.
_EDGES = [("none", 64, 24, 26), ("fp8_direct_cast", 64, 12, 14), ("fp8_blockwise", 448, 16, 18)]


@pytest.mark.timeout(2000)
@pytest.mark.parametrize(("quant_type", "hidden", "too_small", "fits"), _EDGES)
def test_combine_needs_exactly_the_rows_that_are_planned(
    quant_type: str, hidden: int, too_small: int, fits: int
) -> None:
    release = release_under_test()
    layout = layout_for_release(release)
    if QuantType(quant_type) not in layout.quant_types or not layout.receive_cap:
        pytest.skip(f"{release} has no {quant_type}, or no cap")
    base = Case("", pattern="same_rank", tokens=((12, 12),), rounds=1, alone=True, quant_type=quant_type, hidden=hidden)
    planned = {
        cap.max_total_recv_tokens: cap.combine
        for cap in plan(shape_of(base), release, tokens_per_rank=12, caps=(too_small, fits)).caps
    }
    assert (planned[too_small], planned[fits]) == (False, True)
    outcomes = on_virtual_gpu(*(base.with_(name=str(cap), cap=cap) for cap in (too_small, fits)))
    assert outcomes[str(too_small)].kind == "out_of_bounds"
    assert outcomes[str(fits)].kind == "finished"
