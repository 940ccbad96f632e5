# SPDX-License-Identifier: MIT
"""Stages, the op cache, the environment of an op, and what the installed release is asked: no torch, no mori."""

from __future__ import annotations

import os
from itertools import pairwise

import fake_mori
import pytest

from moriep.compatibility import installed_surface
from moriep.configuration import ModelDescription, configure
from moriep.dispatcher.features import Features, resolve_features
from moriep.dispatcher.groups import digest
from moriep.dispatcher.inputs import drops_negative_ids
from moriep.dispatcher.operators import EnvironmentSnapshot, OperatorCache, OperatorKey
from moriep.dispatcher.stages import Stage, Stages
from moriep.environment import Environment
from moriep.errors import CompatibilityError, ConfigurationError, EnvironmentChangedError, StageError
from moriep.surface import ClassSurface, Method, Parameter, Surface
from moriep.vocabulary import KernelType

CALLS = ("dispatch_a", "dispatch_b", "combine_a", "combine_b")


def test_the_stages_go_round() -> None:
    stages = Stages()
    for call in (*CALLS, *CALLS):
        stages.require(call)
        stages.advance(call)
    assert stages.stage is Stage.INITIAL


@pytest.mark.parametrize("done", range(4))
def test_every_call_but_the_next_is_out_of_order(done: int) -> None:
    stages = Stages()
    for call in CALLS[:done]:
        stages.advance(call)
    for call in CALLS:
        if call == CALLS[done]:
            stages.require(call)
        else:
            with pytest.raises(StageError, match=f"{call} is out of order.*so {CALLS[done]} has to come"):
                stages.require(call)


KEY = OperatorKey("r", ("mori", 0, 1), "cpu", 0, False, (("a", "1"),), (("MORI_X", "1"),))


@pytest.mark.parametrize(
    "other",
    [
        OperatorKey("s", KEY.group, KEY.device, 0, False, KEY.arguments, KEY.environment),
        OperatorKey("r", ("mori", 0, 2), KEY.device, 0, False, KEY.arguments, KEY.environment),
        OperatorKey("r", KEY.group, "cuda:0", 0, False, KEY.arguments, KEY.environment),
        OperatorKey("r", KEY.group, KEY.device, 1, False, KEY.arguments, KEY.environment),
        OperatorKey("r", KEY.group, KEY.device, 0, True, KEY.arguments, KEY.environment),
        OperatorKey("r", KEY.group, KEY.device, 0, False, (("a", "2"),), KEY.environment),
        OperatorKey("r", KEY.group, KEY.device, 0, False, KEY.arguments, (("MORI_X", "2"),)),
    ],
)
def test_everything_in_the_key_makes_another_op(other: OperatorKey) -> None:
    cache = OperatorCache()
    first = cache.get(KEY, object)
    assert cache.get(KEY, object) is first
    assert cache.get(other, object) is not first


def test_the_op_used_least_lately_goes_first() -> None:
    cache = OperatorCache(2)
    keys = [OperatorKey("r", (), "cpu", number, False, (), ()) for number in range(3)]
    first, second = (cache.get(key, object) for key in keys[:2])
    cache.get(keys[0], object)
    cache.get(keys[2], object)
    assert cache.get(keys[0], object) is first
    assert cache.get(keys[1], object) is not second
    with pytest.raises(ConfigurationError, match="0 entries"):
        OperatorCache(0)


@pytest.mark.parametrize("live", [False, True])
def test_a_changed_variable_is_named_with_both_values(live: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    name, other = "SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS", "MORI_ENABLE_SDMA"
    monkeypatch.setenv(name, "8")
    monkeypatch.delenv(other, raising=False)
    mapping = os.environ if live else {name: "8", "PATH": "x", "MORI_SHMEM_LOG_LEVEL": "debug"}
    snapshot = EnvironmentSnapshot(mapping)
    snapshot.check()
    assert snapshot.values[name] == "8"
    assert "MORI_SHMEM_LOG_LEVEL" not in snapshot.values
    mapping[name], mapping[other] = "16", "1"
    with pytest.raises(EnvironmentChangedError, match=f"{name} was '8' and is '16'") as caught:
        snapshot.check()
    assert set(caught.value.variables) == {name, other}
    assert f"{other} was unset and is '1'" in str(caught.value)
    mapping[name] = "8"
    del mapping[other]
    snapshot.check()


def test_a_digest_names_values_and_not_their_order() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


@pytest.mark.parametrize(
    ("kernel_type", "routing", "fp4", "dropped"),
    [
        (KernelType.INTRA_NODE, False, False, False),
        (KernelType.INTRA_NODE, True, False, True),
        (KernelType.INTER_NODE_V1, True, False, True),
        (KernelType.INTER_NODE_V1_LL, True, True, False),
        (KernelType.INTRA_NODE_LL, True, False, False),
        (KernelType.INTRA_NODE_LL, True, True, True),
        (KernelType.ASYNC_LL, True, True, False),
        (KernelType.INTER_NODE, True, True, False),
    ],
)
def test_which_kernels_drop_minus_one(kernel_type: KernelType, routing: bool, fp4: bool, dropped: bool) -> None:
    assert drops_negative_ids(kernel_type, routing_handles=routing, fp4_blockwise=fp4) is dropped


def surface(release: str) -> Surface:
    """The stand-in, with what the dispatcher needs besides."""
    found = fake_mori.surface(release)
    methods = (*found.op.methods, Method("get_registered_combine_input_buffer", (Parameter("dtype"),)))
    if release != "1.0.0":
        counting = Parameter("call_local_expert_count", default="False")
        methods = tuple(
            Method(item.name, (*item.parameters, counting)) if item.name == "dispatch_recv" else item
            for item in methods
        )
    return Surface(
        found.release,
        found.config,
        ClassSurface(found.op.name, methods=methods),
        quant_types=found.quant_types,
        kernel_types=found.kernel_types,
    )


def resolve(release: str, variables: dict[str, str] | None = None, **options: object) -> Features:
    variables = {"SGLANG_MORI_NUM_MAX_DISPATCH_TOKENS_PER_RANK": "16", **(variables or {})}
    low_latency = bool(options.get("low_latency", False))
    configuration = configure(
        ModelDescription(7168, 16, 8, 4),
        Environment.from_mapping(variables, 2),
        rank=0,
        world_size=2,
        low_latency=low_latency,
        architecture="gfx942",
    )
    return resolve_features(configuration, surface(release), **options)  # type: ignore[arg-type]


CAP = {"SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS": "16"}


@pytest.mark.parametrize(
    ("release", "variables", "options", "text"),
    [
        ("1.0.0", CAP, {}, "max_total_recv_tokens=16 is dropped"),
        ("1.0.0", {}, {"expert_counts": True}, r"dispatch\(call_local_expert_count=\) does not exist"),
        ("1.1.1", {"SGLANG_MORI_COMBINE_DTYPE": "fp8"}, {}, "quant_type=fp8_blockwise is unknown here"),
        (
            "1.2.4",
            {"SGLANG_MORI_COMBINE_DTYPE": "fp4"},
            {},
            "fp4_blockwise: the constructor raises ValueError on gfx942",
        ),
        (
            "1.2.4",
            {"SGLANG_MORI_COMBINE_DTYPE": "fp8"},
            {"combine_input": "registered"},
            "needs use_external_inp_buf=True",
        ),
    ],
)
def test_what_a_release_cannot_do_is_an_error_before_anything_is_made(
    release: str, variables: dict[str, str], options: dict[str, object], text: str
) -> None:
    with pytest.raises(CompatibilityError, match=text):
        resolve(release, variables, **options)


def test_degrading_is_a_choice() -> None:
    features = resolve("1.0.0", CAP, allow_degraded=True)
    assert "max_total_recv_tokens" not in features.arguments
    assert features.capacity.rows == 32
    assert features.dropped[0].startswith("max_total_recv_tokens=16 is dropped")


@pytest.mark.parametrize(
    ("variables", "choice", "external"),
    [
        ({}, "auto", True),
        (CAP, "auto", False),
        (CAP, "external", True),
        ({}, "registered", False),
        # Half as wide rows: 16 rows of the buffer hold all 32 of combine's.
        ({**CAP, "SGLANG_MORI_COMBINE_DTYPE": "fp8_direct_cast"}, "auto", True),
    ],
)
def test_the_registered_buffer_is_taken_where_an_external_one_is_not_safe(
    variables: dict[str, str], choice: str, external: bool
) -> None:
    features = resolve("1.2.4", variables, combine_input=choice)
    assert features.external_input is external
    assert features.arguments["use_external_inp_buf"] is external
    assert (features.staging is None) is not external


def test_low_latency_asks_for_its_own_methods() -> None:
    assert resolve("1.2.4", low_latency=True, expert_counts=True).arguments["kernel_type"] == "AsyncLL"
    with pytest.raises(ConfigurationError, match="combine_input is 'both'"):
        resolve("1.2.4", combine_input="both")


def test_minus_one_by_release() -> None:
    found = [resolve(release).negative_ids for release in ("1.0.0", "1.1.1", "1.2.4")]
    assert found == [False, False, True]
    assert all(a <= b for a, b in pairwise(found))


def test_the_stand_in_is_read_like_an_installed_release() -> None:
    assert installed_surface(fake_mori.module("1.2.4")).quant_types == surface("1.2.4").quant_types
