# SPDX-License-Identifier: MIT
"""Bytes of every buffer, against what upstream's own code computes (see buffer_sizes/generate.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moriep.buffers import DispatchShape, plan_buffers
from moriep.errors import CapacityError, ConfigurationError
from moriep.layouts import LAYOUTS, layout_for_release, layout_for_surface
from moriep.surface import ClassSurface, Field, Method, Parameter, Surface
from moriep.vocabulary import KernelType, QuantType

SHAPE = DispatchShape(8, 7168, 56, 4, 2, 4096, 32, 8)


def upstream_cases() -> Iterator[tuple[str, dict[str, Any], list[tuple[str, int]]]]:
    names: list[str] = []
    for line in (Path(__file__).parent / "buffer_sizes" / "sizes.jsonl").read_text().splitlines():
        record = json.loads(line)
        if "buffers" in record:
            names = record["buffers"]
            continue
        case = record["case"]
        yield case["release"], case["shape"], list(zip(names, record["bytes"], strict=True))


CASES = list(upstream_cases())


def test_the_reference_covers_every_layout_kernel_type_and_quant_type() -> None:
    lines = {layout_for_release(release).line for release, _, _ in CASES}
    assert lines == {layout.line for layout in LAYOUTS} - {"1.2.1"}  # same numbers as 1.2.0, wider arithmetic
    assert {shape["kernel_type"] for _, shape, _ in CASES} == {item.value for item in KernelType}
    assert {shape["quant_type"] for _, shape, _ in CASES} == {item.value for item in QuantType}


@pytest.mark.parametrize(
    ("release", "shape", "expected"),
    CASES,
    ids=[
        f"{release}-{shape['kernel_type']}-{shape['quant_type']}-W{shape['world_size']}-T{shape['max_total_recv_tokens']}"
        for release, shape, _ in CASES
    ],
)
def test_every_buffer_has_the_name_order_memory_and_bytes_of_upstreams_code(
    release: str, shape: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    scales = shape["combine_scale_dim"]
    plan = plan_buffers(DispatchShape.from_kwargs(shape, scales), layout_for_release(release))
    found = [(f"{item.memory} {item.name}", item.size) for item in plan.buffers if item.memory != "torch"]
    assert found == expected


@pytest.mark.parametrize(
    ("kernel_type", "shrink"),
    [
        (KernelType.INTRA_NODE, {"combineInp", "dispatchOut"}),
        (KernelType.INTRA_NODE_LL, {"combineInp", "dispatchOut"}),
        (KernelType.INTER_NODE_V1, {"combineInp", "dispatchOut"}),
        (KernelType.INTER_NODE_V1_LL, {"combineInp", "dispatchOut"}),
        (KernelType.ASYNC_LL, {"dispatchOut"}),
        (KernelType.INTER_NODE, {"dispatchOut"}),
    ],
)
def test_the_cap_shrinks_the_same_token_buffers_as_upstream(kernel_type: KernelType, shrink: set[str]) -> None:
    layout = layout_for_release("1.2.4")
    full = plan_buffers(replace(SHAPE, kernel_type=kernel_type), layout)
    capped = plan_buffers(replace(SHAPE, kernel_type=kernel_type, max_total_recv_tokens=4096), layout)
    smaller = {item.name for item, other in zip(capped.buffers, full.buffers, strict=True) if item.size < other.size}
    metadata = {name for name in smaller if name.startswith("shmem")}
    assert smaller - metadata == shrink
    assert len(metadata) == 7  # three of weights, two of scales, two of indices


@pytest.mark.parametrize(
    ("release", "descriptor"), [("1.0.0", 128), ("1.1.1@cp310", 128), ("1.2.0", 136), ("1.2.4", 136)]
)
def test_each_symmetric_buffer_comes_with_a_descriptor_and_three_arrays_over_the_ranks(
    release: str, descriptor: int
) -> None:
    plan = plan_buffers(SHAPE, layout_for_release(release))
    symmetric = [item.name for item in plan.buffers if item.memory == "symmetric"]
    assert [item.name for item in plan.registrations[::4]] == [f"SymmMemObj of {name}" for name in symmetric]
    sizes = [item.size for item in plan.registrations]
    assert sizes == [descriptor, 64, 64, 32] * len(symmetric)
    assert {item.memory for item in plan.registrations} == {"device"}
    assert plan.total() == sum(item.size for item in plan.buffers) + sum(sizes)


def test_release_1_0_0_ignores_the_cap() -> None:
    layout = layout_for_release("1.0.0")
    capped = plan_buffers(replace(SHAPE, max_total_recv_tokens=8), layout)
    assert [item.size for item in capped.buffers] == [item.size for item in plan_buffers(SHAPE, layout).buffers]


@given(
    st.builds(
        DispatchShape,
        world_size=st.sampled_from([8, 16, 32]),
        hidden_dim=st.integers(1, 8192),
        scale_dim=st.integers(0, 256),
        scale_type_size=st.sampled_from([1, 4]),
        max_token_type_size=st.sampled_from([1, 2, 4]),
        max_num_inp_token_per_rank=st.integers(1, 8192),
        num_experts_per_rank=st.integers(1, 64),
        num_experts_per_token=st.integers(1, 9),
        kernel_type=st.sampled_from(list(KernelType)),
    ),
    st.integers(1, 40000),
    st.integers(1, 40000),
)
def test_a_larger_cap_never_needs_less_memory_and_the_worst_case_needs_most(
    shape: DispatchShape, one: int, other: int
) -> None:
    layout = layout_for_release("1.2.4")
    plans = [
        plan_buffers(replace(shape, max_total_recv_tokens=cap), layout) for cap in (min(one, other), max(one, other), 0)
    ]
    totals = [plan.total("symmetric") for plan in plans]
    assert totals == sorted(totals)
    for plan in plans:
        assert plan.total() == plan.total("symmetric") + plan.total("device") + plan.total("torch")
        count = sum(item.memory == "symmetric" for item in plan.buffers)
        assert 0 <= plan.heap_bytes() - plan.total("symmetric") < 256 * count
        assert plan.heap_bytes(1) == plan.total("symmetric")


def test_a_product_that_wraps_in_an_old_release_is_refused_there_only() -> None:
    wide = DispatchShape(256, 64, 224, 4, 2, 65536, 1, 1)
    for release in ("1.0.0", "1.1.1@cp310"):
        with pytest.raises(CapacityError, match="scales in a 32-bit int"):
            plan_buffers(wide, layout_for_release(release))
    buffer = plan_buffers(wide, layout_for_release("1.2.0")).buffer("shmemInpScalesMemObj")
    assert buffer is not None
    assert buffer.size == 256 * 65536 * 224 * 4


@pytest.mark.parametrize(
    ("release", "change", "words"),
    [
        ("1.1.1@cp310", {"quant_type": QuantType.FP8_BLOCKWISE}, "no quant_type fp8_blockwise"),
        ("1.2.1", {"quant_type": QuantType.FP4_BLOCKWISE}, "no quant_type fp4_blockwise"),
        ("1.1.1@cp312", {"kernel_type": KernelType.INTRA_NODE_LL}, "no kernel type IntraNodeLL"),
    ],
)
def test_what_a_release_does_not_know_cannot_be_sized_for_it(release: str, change: dict[str, Any], words: str) -> None:
    with pytest.raises(CapacityError, match=words):
        plan_buffers(replace(SHAPE, **change), layout_for_release(release))


@pytest.mark.parametrize(
    ("world_size", "gpu_per_node", "fine"),
    [
        (8, 8, True),
        (16, 8, True),
        (4, 4, True),
        (2, 1, True),
        (4, 8, False),
        (12, 8, False),
        (6, 6, False),
        (8, 0, False),
    ],
)
def test_node_sizes_on_which_the_constructor_aborts_are_refused(world_size: int, gpu_per_node: int, fine: bool) -> None:
    if fine:
        assert replace(SHAPE, world_size=world_size, gpu_per_node=gpu_per_node).nodes == world_size // gpu_per_node
    else:
        with pytest.raises(CapacityError, match="power of two that divides world_size"):
            replace(SHAPE, world_size=world_size, gpu_per_node=gpu_per_node)


def test_a_shape_names_all_the_arguments_that_it_lacks() -> None:
    with pytest.raises(ConfigurationError, match="hidden_dim, scale_dim, scale_type_size"):
        DispatchShape.from_kwargs({"world_size": 8})
    with pytest.raises(ConfigurationError, match="Sideways"):
        DispatchShape.from_kwargs({**vars(SHAPE), "kernel_type": "Sideways"})


def test_releases_are_found_by_version_and_tag_and_1_1_1_needs_its_tag() -> None:
    assert layout_for_release("1.2.4@cp312") is layout_for_release("1.2.2")
    assert layout_for_release("1.1.1@cp310") is not layout_for_release("1.1.1@cp312")
    with pytest.raises(CapacityError, match=r"1\.1\.1@cp310, 1\.1\.1@cp312"):
        layout_for_release("1.1.1")
    with pytest.raises(CapacityError, match="known: "):
        layout_for_release("0.9")


@pytest.mark.parametrize("layout", LAYOUTS[:-1], ids=lambda layout: layout.line)
def test_a_surface_with_the_features_of_a_stable_line_gets_its_layout(layout: Any) -> None:
    routing = (Parameter("routing", "keyword_only"),) if layout.line in ("1.2.1", "1.2.2 to 1.2.4") else ()
    surface = Surface(
        layout.line,
        ClassSurface("C", (Field("max_total_recv_tokens", "int", "0"),) if layout.receive_cap else ()),
        ClassSurface("O", methods=(Method("dispatch", routing),)),
        quant_types=tuple(layout.quant_types),
        kernel_types={name.value: index for index, name in enumerate(layout.kernel_types)},
    )
    assert layout_for_surface(surface) is layout
