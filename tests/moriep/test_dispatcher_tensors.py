# SPDX-License-Identifier: MIT
"""What needs torch and no ranks: quantisation and its error bounds, destinations of a routing, tensors that are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moriep.configuration import ModelDescription
from moriep.dispatcher import MoriEPDispatcher, groups
from moriep.dispatcher.guard import count_sends
from moriep.dispatcher.inputs import InputRules
from moriep.dispatcher.operators import OperatorCache
from moriep.dispatcher.quantisation import Quantised, dequantise, error_bound, quantise
from moriep.dispatcher.received import ReceivedCount
from moriep.errors import InputError
from moriep.vocabulary import DispatchDtype, DType

torch: Any = pytest.importorskip("torch")
# After torch: the benchmark stops where there is none.
from benchmarks.dispatcher import StandInOp, stand_in  # noqa: E402

FORMATS = [
    (DispatchDtype.FP8, DType.FLOAT8_E4M3FN),
    (DispatchDtype.FP8, DType.FLOAT8_E4M3FNUZ),
    (DispatchDtype.MXFP8, DType.FLOAT8_E4M3FN),
    (DispatchDtype.MXFP8, DType.FLOAT8_E4M3FNUZ),
    (DispatchDtype.FP4, DType.FLOAT4_E2M1FN_X2),
]


def values(seed: int, tokens: int, hidden: int, exponent: int) -> Any:
    """Magnitudes over many orders, zeros and whole blocks of zeros among them."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.randint(-12, 3, (tokens, hidden), generator=generator)
    found = torch.ldexp(torch.randn(tokens, hidden, generator=generator), spread + exponent)
    found[torch.rand(tokens, hidden, generator=generator) < 0.1] = 0
    found[:1, :128] = 0
    return found.bfloat16()


@pytest.mark.parametrize(("dtype", "element"), FORMATS)
@given(seed=st.integers(0, 2**31), tokens=st.integers(0, 5), exponent=st.integers(-90, 100))
@settings(max_examples=60, deadline=None)
def test_no_value_is_off_by_more_than_the_bound(
    dtype: DispatchDtype, element: DType, seed: int, tokens: int, exponent: int
) -> None:
    given_values = values(seed, tokens, 256, exponent)
    quantised = quantise(given_values, dtype, element)
    back = dequantise(quantised.payload, quantised.scales, dtype)
    error = (back.double() - given_values.double()).abs()
    assert bool((error <= error_bound(given_values, quantised, dtype).double()).all())


@pytest.mark.parametrize(("dtype", "element"), FORMATS)
def test_shapes_and_types_are_those_of_the_configuration(dtype: DispatchDtype, element: DType) -> None:
    for tokens in (0, 3):
        found = quantise(torch.randn(tokens, 256).bfloat16(), dtype, element)
        wide, block, kind = {
            DispatchDtype.FP8: (256, 128, torch.float32),
            DispatchDtype.MXFP8: (256, 32, torch.uint8),
            DispatchDtype.FP4: (128, 32, torch.uint8),
        }[dtype]
        assert found.payload.shape == (tokens, wide)
        assert found.payload.dtype is getattr(torch, str(element))
        assert found.scales.shape == (tokens, 256 // block)
        assert found.scales.dtype is kind


def test_e2m1_rounds_to_the_nearest_and_ties_to_even() -> None:
    row = torch.tensor([0.25, 0.26, 0.75, 1.25, 1.26, 1.75, 2.5, 2.51, 3.5, 5.0, 5.01, 6.0, -0.75, -5.0, -0.0, 0.0])
    row = torch.cat([row, row.flip(0)]).reshape(1, 32)
    found = quantise(row, DispatchDtype.FP4, DType.FLOAT4_E2M1FN_X2)
    assert found.scales.tolist() == [[127]]
    wanted = [0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 2.0, 3.0, 4.0, 4.0, 6.0, 6.0, -1.0, -4.0, -0.0, 0.0]
    assert dequantise(found.payload, found.scales, DispatchDtype.FP4)[0].tolist() == [*wanted, *reversed(wanted)]
    # The even columns are in the low half.
    assert int(found.payload.view(torch.uint8)[0, 0]) == 0x10


def test_the_scale_is_the_smallest_power_of_two_that_saturates_nothing() -> None:
    for largest, byte in ((448.0, 127), (449.0, 128), (896.0, 128), (224.0, 126), (3.5, 120)):
        found = quantise(torch.full((1, 32), largest), DispatchDtype.MXFP8, DType.FLOAT8_E4M3FN)
        assert found.scales.tolist() == [[byte]], largest


@pytest.mark.parametrize(("dtype", "element"), FORMATS)
def test_a_block_with_an_infinity_comes_back_as_nan(dtype: DispatchDtype, element: DType) -> None:
    row = torch.ones(1, 256).bfloat16()
    row[0, 5] = float("inf")
    found = quantise(row, dtype, element)
    back = dequantise(found.payload, found.scales, dtype)
    assert bool(torch.isnan(back[0, 5]))
    assert bool((back[0, 128:] == 1).all())


def test_a_hidden_size_with_a_rest_is_refused() -> None:
    with pytest.raises(InputError, match="hidden size 130 is not a multiple of 128"):
        quantise(torch.zeros(1, 130), DispatchDtype.FP8, DType.FLOAT8_E4M3FN)


def test_bf16_is_sent_as_it_is() -> None:
    row = torch.randn(2, 8).bfloat16()
    found = quantise(row, DispatchDtype.BF16, DType.BFLOAT16)
    assert found == Quantised(row, None)
    assert found.payload is row


@given(seed=st.integers(0, 2**31), tokens=st.integers(0, 20), world_size=st.integers(1, 8), top_k=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_destinations_are_counted_once_per_rank(seed: int, tokens: int, world_size: int, top_k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # −1, and ids beyond the last rank, go nowhere.
    ids = torch.randint(-1, world_size * 3 + 2, (tokens, top_k), generator=generator, dtype=torch.int32)
    found = count_sends(ids, world_size, 3)
    reached = [{expert // 3 for expert in row if 0 <= expert < world_size * 3} for row in ids.tolist()]
    for rank in range(world_size):
        senders = [token for token, ranks in enumerate(reached) if rank in ranks]
        assert found.tokens[rank] == len(senders)
        assert found.last[rank] == (senders[-1] + 1 if senders else 0)


RULES = InputRules(
    hidden=64,
    dtype=torch.bfloat16,
    top_k=2,
    experts=8,
    most_tokens=4,
    negative_ids=False,
    release="amd-mori 1.2.0",
    device=torch.device("cpu"),
)


def tensors(**changes: Any) -> tuple[Any, Any, Any]:
    tokens = changes.get("tokens", 3)
    hidden = changes.get("hidden", torch.zeros(tokens, 64, dtype=torch.bfloat16))
    weights = changes.get("weights", torch.zeros(tokens, 2))
    return hidden, weights, changes.get("ids", torch.zeros(tokens, 2, dtype=torch.int32))


def test_what_is_right_is_let_through() -> None:
    assert RULES.check_tensors(*tensors()) == 3
    assert RULES.check_tensors(*tensors(tokens=0)) == 0
    RULES.check_ids(torch.tensor([[0, 7]], dtype=torch.int32))
    RULES.check_ids(torch.zeros(0, 2, dtype=torch.int32))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ids": torch.zeros(3, 2, dtype=torch.int64)}, "topk_ids is .*int64; the kernels read int32"),
        ({"ids": torch.zeros(2, 3, dtype=torch.int32).t()}, "topk_ids is strided"),
        ({"ids": torch.zeros(3, 4, dtype=torch.int32)[:, ::2]}, "topk_ids is strided"),
        ({"ids": torch.zeros(3, 3, dtype=torch.int32)}, r"topk_ids is \[3, 3\].*\[3, 2\] is expected"),
        ({"weights": torch.zeros(3, 2, dtype=torch.bfloat16)}, "topk_weights is .*; the kernels read float32"),
        ({"weights": torch.zeros(2, 3).t()}, "topk_weights is strided"),
        ({"hidden": torch.zeros(3, 64, dtype=torch.float16)}, "hidden_states is .*float16"),
        ({"hidden": torch.zeros(3, 32, dtype=torch.bfloat16)}, r"was made for \[tokens, 64\]"),
        ({"hidden": torch.zeros(64, 3, dtype=torch.bfloat16).t()}, "hidden_states is strided"),
        ({"tokens": 5}, "5 tokens, but the op was made for at most 4 per rank"),
        ({"weights": torch.zeros(3, 2, device="meta")}, "topk_weights is on meta"),
    ],
)
def test_what_the_kernels_would_misread_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        RULES.check_tensors(*tensors(**changes))


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ([[0, 8]], r"topk_ids holds 8; allowed: 0 … 7\."),
        ([[0, -2]], "topk_ids holds -2"),
        ([[0, -1]], "amd-mori 1.2.0 would send to rank 0"),
    ],
)
def test_ids_that_name_no_expert_are_refused(ids: list[list[int]], text: str) -> None:
    with pytest.raises(InputError, match=text):
        RULES.check_ids(torch.tensor(ids, dtype=torch.int32))


def test_a_count_is_looked_at_once() -> None:
    received = ReceivedCount()
    assert received.look() is None
    received.start(torch.tensor([7], dtype=torch.int32))
    assert received.look() == 7
    assert received.look() is None


class OpOnNoDevice(StandInOp):
    """Hands out tensors that have no values: whoever reads one, and would wait for a device, gets an exception."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        *tensors, count = self._dispatched
        # The count alone is there: on a device it is copied behind the kernel, and looked at when it has come.
        self._dispatched = (*(item if item is None else item.to("meta") for item in tensors), count)
        self._combined = (self._combined[0].to("meta"), None)


@pytest.fixture
def group() -> Iterator[Any]:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield torch.distributed.group.WORLD
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("guard", "cap", "known", "reads"),
    [
        ("exact", 0, None, False),
        ("off", 4, None, False),
        ("free", 4, None, False),
        ("free", 4, [4], False),
        # The one that has to: it counts the routing.
        ("exact", 4, None, True),
    ],
)
def test_no_value_is_read_unless_the_exact_guard_counts(
    group: Any, monkeypatch: pytest.MonkeyPatch, guard: str, cap: int, known: list[int] | None, reads: bool
) -> None:
    monkeypatch.setattr(groups, "_started", {groups.GROUP_NAME: (0,)})
    module, surface = stand_in()
    module.ops.EpDispatchCombineOp = OpOnNoDevice
    variables = {"NUM_MAX_DISPATCH_TOKENS_PER_RANK": "8", "PREALLOC_MAX_RECV_TOKENS": str(cap)}
    dispatcher = MoriEPDispatcher(
        ModelDescription(256, 4, 4, 2),
        group,
        environment={f"SGLANG_MORI_{name}": value for name, value in variables.items()},
        guard=guard,
        combine_input="external",
        device="meta",
        cache=OperatorCache(1),
        module=module,
        surface=surface,
    )
    hidden = torch.empty(4, 256, dtype=torch.bfloat16, device="meta")
    weights, ids = torch.empty(4, 2, device="meta"), torch.empty(4, 2, dtype=torch.int32, device="meta")

    def pair() -> Any:
        out = dispatcher.dispatch(hidden, weights, ids, known)
        return dispatcher.combine(torch.empty(out.rows, 256, dtype=torch.bfloat16, device="meta"))

    if reads:
        with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
            pair()
    else:
        assert pair().shape == (4, 256)
        assert pair().shape == (4, 256)
