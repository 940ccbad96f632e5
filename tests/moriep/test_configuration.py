# SPDX-License-Identifier: MIT
"""The rules from model and environment to configuration arguments."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from fake_mori import OPTIONAL, REQUIRED, module
from hypothesis import given
from hypothesis import strategies as st

from moriep.buffers import plan_buffers
from moriep.configuration import Configuration, ModelDescription, configure, launch_geometry, materialise
from moriep.environment import PREFIX, Environment
from moriep.errors import CapacityError, CompatibilityError, ConfigurationError, EnvironmentVariableError
from moriep.layouts import layout_for_release
from moriep.vocabulary import DispatchDtype, DType, KernelType, WeightQuantization

NONE, FP8, FP4 = WeightQuantization.NONE, WeightQuantization.FP8, WeightQuantization.FP4


def fake_torch(version: str) -> Any:
    """A torch with one data type, under the name that an import looks up."""
    found: Any = ModuleType("torch")
    found.__version__, found.bfloat16 = version, object()
    return found


def model(weights: WeightQuantization = NONE, **changes: Any) -> ModelDescription:
    values = {"hidden_size": 7168, "num_experts": 256, "num_local_experts": 32, "top_k": 8, **changes}
    return ModelDescription(**values, weight_quantization=weights)


def made(
    weights: WeightQuantization = NONE,
    variables: dict[str, str] | None = None,
    world_size: int = 8,
    low_latency: bool = False,
) -> Configuration:
    names = {name if name.startswith("MORI_") else PREFIX + name: value for name, value in (variables or {}).items()}
    return configure(
        model(weights, num_local_experts=max(32, 256 // world_size)),
        Environment.from_mapping(names),
        rank=0,
        world_size=world_size,
        low_latency=low_latency,
    )


def test_every_argument_of_a_plain_bf16_model_on_one_node() -> None:
    assert list(made().kwargs().items()) == [
        ("data_type", "bfloat16"),
        ("rank", 0),
        ("world_size", 8),
        ("hidden_dim", 7168),
        ("scale_dim", 0),
        ("scale_type_size", 4),
        ("max_token_type_size", 2),
        ("max_num_inp_token_per_rank", 4096),
        ("num_experts_per_rank", 32),
        ("num_experts_per_token", 8),
        ("warp_num_per_block", 16),
        ("block_num", 80),
        ("max_total_recv_tokens", 0),
        ("use_external_inp_buf", True),
        ("kernel_type", "IntraNode"),
        ("gpu_per_node", 8),
        ("rdma_block_num", 0),
        ("num_qp_per_pe", 2),
        ("quant_type", "none"),
    ]


def test_the_arguments_are_the_fields_of_the_newest_release() -> None:
    assert list(made().kwargs()) == [*REQUIRED, *OPTIONAL]


@pytest.mark.parametrize(
    ("weights", "variables", "dispatch", "quant_type"),
    [
        (NONE, {}, "bf16", "none"),
        (FP8, {}, "fp8", "none"),
        (FP4, {}, "fp4", "fp8_blockwise"),
        (FP8, {"DISPATCH_DTYPE": "auto", "COMBINE_DTYPE": "auto"}, "fp8", "none"),
        (NONE, {"DISPATCH_DTYPE": "fp8"}, "fp8", "none"),
        (FP4, {"DISPATCH_DTYPE": "bf16"}, "bf16", "fp8_blockwise"),
        (FP4, {"COMBINE_DTYPE": "bf16"}, "fp4", "none"),
        (FP8, {"DISPATCH_DTYPE": "mxfp8", "COMBINE_DTYPE": "fp8_direct_cast"}, "mxfp8", "fp8_direct_cast"),
        (NONE, {"COMBINE_DTYPE": "fp4"}, "bf16", "fp4_blockwise"),
        (FP8, {"FP4_DISP": "1", "FP8_COMB": "1"}, "fp4", "fp8_blockwise"),
        (FP4, {"FP8_DISP": "1"}, "fp8", "fp8_blockwise"),
        (FP8, {"DISPATCH_DTYPE": "auto", "FP4_DISP": "1"}, "fp8", "none"),
    ],
)
def test_the_environment_wins_over_the_weights_and_auto_follows_them(
    weights: WeightQuantization, variables: dict[str, str], dispatch: str, quant_type: str
) -> None:
    configured = made(weights, variables)
    assert (configured.dispatch_dtype, configured.quant_type) == (dispatch, quant_type)


@pytest.mark.parametrize(
    ("dtype", "architecture", "data_type", "scales"),
    [
        ("bf16", "gfx942", "bfloat16", (0, 4)),
        ("fp8", "gfx942", "float8_e4m3fnuz", (56, 4)),
        ("fp8", "gfx950", "float8_e4m3fn", (56, 4)),
        ("mxfp8", "gfx950", "float8_e4m3fn", (224, 1)),
        ("fp4", "gfx950", "float4_e2m1fn_x2", (224, 1)),
    ],
)
def test_data_type_and_scales_of_each_dispatch_dtype(
    dtype: str, architecture: str, data_type: str, scales: tuple[int, int]
) -> None:
    environment = Environment.from_mapping({f"{PREFIX}DISPATCH_DTYPE": dtype})
    configured = configure(model(), environment, rank=3, world_size=8, architecture=architecture)
    assert (configured.data_type, configured.hidden_dim) == (data_type, 7168)
    assert (configured.scale_dim, configured.scale_type_size) == scales
    assert configured.max_token_type_size == 2


@pytest.mark.parametrize(
    ("world_size", "low_latency", "variables", "kernel_type", "geometry"),
    [
        (8, False, {}, "IntraNode", (16, 80, 0)),
        (2, False, {}, "IntraNode", (16, 80, 0)),
        (16, False, {}, "InterNodeV1", (8, 64, 32)),
        (16, False, {"NUM_MAX_DISPATCH_TOKENS_PER_RANK": "256"}, "InterNodeV1LL", (8, 64, 32)),
        (16, False, {"NUM_MAX_DISPATCH_TOKENS_PER_RANK": "257"}, "InterNodeV1", (8, 64, 32)),
        (16, False, {"DISPATCH_INTER_KERNEL_SWITCH_THRESHOLD": "4096"}, "InterNodeV1LL", (8, 64, 32)),
        (8, True, {}, "AsyncLL", (8, 64, 32)),
        (16, True, {}, "AsyncLL", (8, 64, 32)),
        (8, False, {"MORI_ENABLE_SDMA": "1"}, "AsyncLL", (8, 64, 32)),
        (8, False, {"DISPATCH_DTYPE": "fp4"}, "IntraNode", (16, 256, 0)),
        (
            8,
            False,
            {"DISPATCH_DTYPE": "fp4", "NUM_MAX_DISPATCH_TOKENS_PER_RANK": "128"},
            "IntraNode",
            (16, 256, 0),
        ),
        (
            8,
            False,
            {"DISPATCH_DTYPE": "fp4", "NUM_MAX_DISPATCH_TOKENS_PER_RANK": "127"},
            "IntraNode",
            (5, 225, 0),
        ),
        (
            16,
            False,
            {"DISPATCH_DTYPE": "fp4", "NUM_MAX_DISPATCH_TOKENS_PER_RANK": "64"},
            "InterNodeV1LL",
            (8, 64, 32),
        ),
        (
            8,
            True,
            {"DISPATCH_DTYPE": "fp4", "NUM_MAX_DISPATCH_TOKENS_PER_RANK": "64"},
            "AsyncLL",
            (8, 64, 32),
        ),
    ],
)
def test_kernel_and_geometry(
    world_size: int,
    low_latency: bool,
    variables: dict[str, str],
    kernel_type: str,
    geometry: tuple[int, int, int],
) -> None:
    found = made(NONE, variables, world_size, low_latency)
    assert found.kernel_type == kernel_type
    assert (found.warp_num_per_block, found.block_num, found.rdma_block_num) == geometry


@pytest.mark.parametrize(("world_size", "gpu_per_node"), [(1, 1), (2, 2), (4, 4), (8, 8), (16, 8), (64, 8)])
def test_gpus_per_node_follow_small_world_sizes(world_size: int, gpu_per_node: int) -> None:
    configured = configure(model(num_local_experts=256), Environment(), rank=world_size - 1, world_size=world_size)
    assert configured.gpu_per_node == gpu_per_node


@pytest.mark.parametrize(
    ("world_size", "gpus_per_node", "kernel_type", "gpu_per_node"),
    [
        (2, 1, KernelType.INTER_NODE_V1, 1),
        (4, 2, KernelType.INTER_NODE_V1, 2),
        (4, 4, KernelType.INTRA_NODE, 4),
        (4, 8, KernelType.INTRA_NODE, 4),
    ],
)
def test_nodes_of_another_size_decide_the_kernel_too(
    world_size: int, gpus_per_node: int, kernel_type: KernelType, gpu_per_node: int
) -> None:
    environment = Environment.from_mapping({f"{PREFIX}NUM_MAX_DISPATCH_TOKENS_PER_RANK": "512"})
    found = configure(
        model(num_local_experts=128), environment, rank=0, world_size=world_size, gpus_per_node=gpus_per_node
    )
    assert (found.kernel_type, found.gpu_per_node) == (kernel_type, gpu_per_node)


def test_the_cap_is_passed_on_as_an_int_and_known_to_capacity_and_buffers() -> None:
    configured = made(variables={"PREALLOC_MAX_RECV_TOKENS": "4097", "NUM_MAX_DISPATCH_TOKENS_PER_RANK": "1024"})
    assert configured.kwargs()["max_total_recv_tokens"] == 4097
    assert configured.capacity.rows == 4104
    plan = plan_buffers(configured.shape(), layout_for_release("1.2.4"))
    buffer = plan.buffer("dispatchOut")
    assert buffer is not None
    assert buffer.size == 4104 * 7168 * 2


@given(
    st.sampled_from([1, 2, 4, 8, 16, 32]),
    st.integers(1, 20000),
    st.booleans(),
    st.sampled_from(list(WeightQuantization)),
    st.sampled_from([item.value for item in DispatchDtype]),
)
def test_every_valid_combination_can_be_sized_and_is_deterministic(
    world_size: int, tokens: int, low_latency: bool, weights: WeightQuantization, dtype: str
) -> None:
    mapping = {f"{PREFIX}NUM_MAX_DISPATCH_TOKENS_PER_RANK": str(tokens), f"{PREFIX}DISPATCH_DTYPE": dtype}
    described = model(weights, num_local_experts=256)
    both = [
        configure(
            described,
            Environment.from_mapping(mapping),
            rank=0,
            world_size=world_size,
            low_latency=low_latency,
        )
        for _ in range(2)
    ]
    assert both[0] == both[1]
    assert plan_buffers(both[0].shape(), layout_for_release("1.2.4")).total() > 0
    assert (both[0].kernel_type is KernelType.ASYNC_LL) == low_latency
    assert both[0].rdma_block_num == (0 if both[0].kernel_type is KernelType.INTRA_NODE else 32)


@pytest.mark.parametrize(
    ("changes", "call", "words"),
    [
        ({"top_k": 10}, {}, "at most 9"),
        ({"top_k": 9, "num_experts": 8, "num_local_experts": 1}, {}, "the model has 8 experts"),
        ({"hidden_size": 0}, {}, "hidden_size is 0"),
        ({"num_local_experts": 31}, {}, "31 local experts on each of 8 ranks"),
        ({}, {"rank": 8}, r"rank is 8; allowed: 0 … 7"),
        ({}, {"rank": -1}, "rank is -1"),
        ({}, {"world_size": 0}, "world_size is 0"),
        ({}, {"chunked_prefill_size": 4097}, "NUM_MAX_DISPATCH_TOKENS_PER_RANK=4096"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], call: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        configure(model(**changes), Environment(), **{"rank": 0, "world_size": 8, **call})


def test_a_chunk_that_fills_one_dispatch_exactly_is_fine() -> None:
    assert configure(model(), Environment(), rank=0, world_size=8, chunked_prefill_size=4096)


@pytest.mark.parametrize("world_size", [3, 6, 12])
def test_world_sizes_on_which_mori_aborts_are_refused(world_size: int) -> None:
    with pytest.raises(CapacityError, match="aborts in its constructor"):
        configure(model(num_local_experts=256), Environment(), rank=0, world_size=world_size)


@pytest.mark.parametrize(("dtype", "block"), [("fp8", 128), ("mxfp8", 32), ("fp4", 32)])
def test_a_hidden_size_that_scales_do_not_cover_is_refused(dtype: str, block: int) -> None:
    environment = Environment.from_mapping({f"{PREFIX}DISPATCH_DTYPE": dtype})
    with pytest.raises(ConfigurationError, match=f"not a multiple of {block}"):
        configure(model(hidden_size=7168 + block // 2), environment, rank=0, world_size=8)
    assert configure(model(hidden_size=7168 + block), environment, rank=0, world_size=8).scale_dim == 7168 // block + 1


def test_a_cap_that_is_too_large_for_this_world_size_is_found_when_configuring() -> None:
    environment = Environment.from_mapping({f"{PREFIX}PREALLOC_MAX_RECV_TOKENS": "40000"})
    assert configure(model(), environment, rank=0, world_size=16).max_total_recv_tokens == 40000
    with pytest.raises(EnvironmentVariableError, match="PREALLOC_MAX_RECV_TOKENS"):
        configure(model(), environment, rank=0, world_size=8)


def test_only_fp4_dispatch_on_intra_node_looks_at_the_number_of_tokens() -> None:
    for kernel_type in KernelType:
        for dispatch in DispatchDtype:
            differs = launch_geometry(kernel_type, dispatch, 127) != launch_geometry(kernel_type, dispatch, 128)
            assert differs == (kernel_type is KernelType.INTRA_NODE and dispatch is DispatchDtype.FP4)


def test_materialise_gives_torch_and_mori_objects_and_leaves_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch = fake_torch("9")
    monkeypatch.setitem(sys.modules, "torch", torch)
    mori = module("1.2.4")
    kwargs = made().kwargs()
    real = materialise(kwargs, mori)
    assert real["data_type"] is torch.bfloat16
    assert real["kernel_type"] is mori.ops.EpDispatchCombineKernelType.IntraNode
    assert type(real["quant_type"]) is str
    changed = {"data_type", "kernel_type"}
    assert {name: real[name] for name in kwargs if name not in changed} == {
        name: value for name, value in kwargs.items() if name not in changed
    }
    assert kwargs["data_type"] is DType.BFLOAT16
    assert mori.ops.EpDispatchCombineConfig(**real).world_size == 8


@pytest.mark.parametrize(("argument", "value"), [("kernel_type", "IntraNodeLL"), ("data_type", DType.FLOAT4_E2M1FN_X2)])
def test_materialise_refuses_what_the_installed_modules_lack(
    monkeypatch: pytest.MonkeyPatch, argument: str, value: str
) -> None:
    torch = fake_torch("2.3")
    monkeypatch.setitem(sys.modules, "torch", torch)
    with pytest.raises(CompatibilityError, match=str(value)) as caught:
        materialise({argument: value}, module("1.1.1"))
    assert caught.value.arguments == (argument,)
