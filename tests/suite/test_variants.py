# SPDX-License-Identifier: MIT
"""Cases with another kernel type, and what a run of each depth judges."""

from __future__ import annotations

import pytest

from conformance.catalogue import DEPTHS, KERNEL_TYPES, aspects, load_catalogue
from conformance.suite.case_list import CASES
from conformance.suite.cases import case_from_json, case_to_json, make_inputs
from conformance.suite.judges import CHECKS, cases_of
from conformance.suite.variants import case_named, variant, variant_name

TWO_PATHS = ("InterNodeV1", "InterNodeV1LL")
JUDGED = [item for item in load_catalogue() if item.id in CHECKS]


@pytest.mark.parametrize("kernel_type", KERNEL_TYPES)
def test_a_variant_is_the_case_with_another_kernel_type(kernel_type: str) -> None:
    for name, case in CASES.items():
        made = variant(case, kernel_type)
        assert made.kernel_type == kernel_type
        assert made.name == variant_name(name, kernel_type)
        assert case_named(made.name) == made
        assert (made.tokens, made.pattern, made.cap, made.world_size) == (
            case.tokens,
            case.pattern,
            case.cap,
            case.world_size,
        )


def test_inter_node_variants_have_what_both_of_their_paths_need() -> None:
    for aspect in aspects(JUDGED, "deep"):
        if aspect.kernel_type not in TWO_PATHS:
            continue
        for name in cases_of([aspect.key]):
            case = case_named(name)
            assert 0 < case.rdma_blocks < case.block_num, name
            assert case.nodes > 1 or case.gpus_per_node == case.world_size, name
            assert case.top_k >= case.nodes or aspect.requirement.id == "NOD-5", name
            # Up to 1.2.3 no other number is right, which is what LNC-2 is about.
            assert case.rdma_blocks % 8 == 0 or aspect.requirement.id == "LNC-2", name


def test_a_case_survives_the_way_to_the_ranks() -> None:
    for name in cases_of([item.key for item in aspects(JUDGED, "deep")]):
        case = case_named(name)
        assert case_from_json(case_to_json(case)) == case
        assert make_inputs(case, 0, 0).payload.shape[0] == case.counts(0)[0]


def test_deeper_runs_judge_all_that_shallower_ones_do() -> None:
    found = {depth: {item.key for item in aspects(JUDGED, depth)} for depth in DEPTHS}
    assert found["quick"] < found["standard"] < found["deep"]
    assert {kernel_type for _, kernel_type in found["quick"]} <= {"", "IntraNode", "AsyncLL"}
    assert {kernel_type for _, kernel_type in found["standard"]} == {"", *KERNEL_TYPES}


@pytest.mark.parametrize("depth", DEPTHS)
def test_whoever_names_a_kernel_type_sees_what_is_about_it_and_nothing_else(depth: str) -> None:
    found = aspects(JUDGED, depth, ["IntraNodeLL"])  # type: ignore[arg-type]
    assert {item.kernel_type for item in found} == {"", "IntraNodeLL"}
    assert {item.requirement.id for item in found if not item.kernel_type} >= {"DSP-9", "OVF-9"}
    assert all("IntraNodeLL" in item.requirement.kernel_types for item in found)


def test_a_second_op_uses_the_data_of_its_own_dispatch() -> None:
    assert CASES["two-ops"].steps[:4] == (
        (0, "dispatch"),
        (1, "dispatch_other"),
        (0, "combine"),
        (1, "combine_other"),
    )


def test_the_same_call_brings_the_same_data() -> None:
    assert {data for data, _ in CASES["same-call"].steps} == {0}


def test_fp4_has_half_as_many_elements_as_values() -> None:
    case = CASES["fp4"]
    assert (case.columns, case.width) == (64, 128)
    assert make_inputs(case, 0, 0).payload.shape == (7, 64)
