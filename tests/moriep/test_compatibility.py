# SPDX-License-Identifier: MIT
"""Pruning as SGLang does it, and the explanation of what pruning hides."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from typing import Any

import pytest
from fake_mori import FIVE, RELEASES, module, surface
from hypothesis import given
from hypothesis import strategies as st

from moriep import installation
from moriep.buffers import DispatchShape, plan_buffers
from moriep.compatibility import SGLANG_METHOD_CALLS, check_mori_compatibility, explain, installed_surface
from moriep.configuration import ModelDescription, configure
from moriep.environment import PREFIX, Environment
from moriep.errors import CompatibilityError, MoriNotInstalledError
from moriep.layouts import layout_for_release
from moriep.vocabulary import WeightQuantization
from tests.mori_fields import OPTIONAL, REQUIRED

FIELDS = [*REQUIRED, *OPTIONAL]


def sglang_kwargs(world_size: int = 8, weights: str = "none", **variables: str) -> dict[str, Any]:
    """What SGLang would pass for a large fp8-class model."""
    environment = Environment.from_mapping({PREFIX + name: value for name, value in variables.items()})
    described = ModelDescription(7168, 256, 256, 8, weight_quantization=WeightQuantization(weights))
    return configure(described, environment, rank=0, world_size=world_size).kwargs()


@pytest.mark.parametrize("judge", ["surface", "module"])
def test_an_unknown_argument_is_removed_in_place_with_sglangs_warning(
    caplog: pytest.LogCaptureFixture, judge: str
) -> None:
    kwargs = sglang_kwargs()
    chosen: Any = surface("1.0.0") if judge == "surface" else module("1.0.0")
    with caplog.at_level(logging.WARNING):
        # The point of the drop-in is that nothing needs to be assigned.
        returned: object = check_mori_compatibility(kwargs, **{judge: chosen})  # type: ignore[func-returns-value]
    assert returned is None
    assert list(kwargs) == [name for name in FIELDS if name != "max_total_recv_tokens"]
    assert [record.getMessage() for record in caplog.records] == [
        "[MORI compat] Removing incompatible argument max_total_recv_tokens "
    ]
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize("release", ["1.1.1", "1.2.4"])
def test_releases_with_all_fields_leave_sglangs_arguments_alone(caplog: pytest.LogCaptureFixture, release: str) -> None:
    kwargs = sglang_kwargs()
    check_mori_compatibility(kwargs, surface=surface(release))
    assert kwargs == sglang_kwargs()
    assert caplog.records == []


@given(
    st.dictionaries(st.sampled_from(FIELDS) | st.text(min_size=1, max_size=12), st.integers(), max_size=25),
    st.sampled_from(list(RELEASES)),
)
def test_pruning_keeps_order_and_values_is_idempotent_and_leaves_only_fields(
    kwargs: dict[str, int], release: str
) -> None:
    judged = surface(release)
    before = dict(kwargs)
    check_mori_compatibility(kwargs, surface=judged)
    assert list(kwargs.items()) == [item for item in before.items() if item[0] in judged.config.field_names]
    once = dict(kwargs)
    check_mori_compatibility(kwargs, surface=judged)
    assert kwargs == once
    # explain sees exactly what pruning did, and leaves its argument alone.
    untouched = dict(before)
    assert {item.name for item in explain(untouched, judged).dropped} == set(before) - set(kwargs)
    assert untouched == before


def test_strict_raises_naming_every_argument_and_removes_none(caplog: pytest.LogCaptureFixture) -> None:
    kwargs = {"overlap": 1, **sglang_kwargs(), "resize": 2}
    before = dict(kwargs)
    with pytest.raises(CompatibilityError, match="overlap, max_total_recv_tokens, resize") as caught:
        check_mori_compatibility(kwargs, surface=surface("1.0.0"), strict=True)
    assert caught.value.arguments == ("overlap", "max_total_recv_tokens", "resize")
    assert isinstance(caught.value, TypeError)
    assert kwargs == before
    assert caplog.records == []
    check_mori_compatibility(sglang_kwargs(), surface=surface("1.2.4"), strict=True)


def test_without_mori_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # None in sys.modules is how Python itself marks a module that must not be found.
    monkeypatch.setitem(sys.modules, "mori", None)
    monkeypatch.setattr(installation, "_versions", dict)
    with pytest.raises(MoriNotInstalledError, match="pip install amd-mori"):
        check_mori_compatibility({"rank": 0})
    monkeypatch.setattr(installation, "_versions", lambda: {"mori": "0.3"})
    with pytest.raises(MoriNotInstalledError, match="not AMD's"):
        installed_surface()


def test_a_module_called_mori_that_is_something_else_is_refused() -> None:
    other = module("1.2.4")
    other.ops.EpDispatchCombineConfig = dict
    with pytest.raises(MoriNotInstalledError, match="not AMD's"):
        check_mori_compatibility({"rank": 0}, module=other)


def test_two_distributions_that_share_the_module_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_versions", lambda: {"amd-mori": "1.2.4", "amd-mori-nightly": "1.2.5"})
    with pytest.raises(MoriNotInstalledError, match=r"amd-mori 1\.2\.4, amd-mori-nightly 1\.2\.5"):
        installation.installed_release()


def test_the_installed_surface_reads_fields_methods_and_values_of_the_live_classes() -> None:
    found = installed_surface(module("1.2.4"))
    assert found.release == "installed mori 1.2.4"
    assert list(found.config.field_names) == FIELDS
    assert [item.name for item in found.config.fields if item.required] == list(REQUIRED)
    field = found.config.field("kernel_type")
    assert field is not None
    assert field.default == "EpDispatchCombineKernelType.IntraNode"
    assert found.quant_types == ("none", "fp8_direct_cast", "fp8_blockwise", "fp4_blockwise")
    assert found.kernel_types == {name: index for index, name in enumerate((*FIVE, "IntraNodeLL"))}
    assert [item.name for item in found.op.methods] == ["dispatch"]
    dispatch = found.op.method("dispatch")
    assert dispatch is not None
    assert [(item.name, item.kind, item.default) for item in dispatch.parameters[-2:]] == [
        ("block_num", "positional_or_keyword", "-1"),
        ("routing", "keyword_only", "None"),
    ]


def test_a_release_that_takes_everything_is_faithful() -> None:
    found = explain(sglang_kwargs(), surface("1.2.4"), method_calls=SGLANG_METHOD_CALLS)
    assert found.faithful
    assert found.text() == "amd-mori 1.2.4: takes every argument as given"


def test_a_dropped_cap_is_explained_in_rows_and_bytes() -> None:
    kwargs = sglang_kwargs(PREALLOC_MAX_RECV_TOKENS="4097")
    found = explain(kwargs, surface("1.0.0"))
    assert [item.name for item in found.dropped] == ["max_total_recv_tokens"]
    change = found.dropped[0].change
    assert "worst case of 32768 rows instead of 4104" in change
    # 2 × R·H·t and 3 × R·(H·t + 8K) of tokens, 5 × R·K·4 of metadata, and the small signals.
    tokens = 2 * 32768 * 7168 * 2 + 3 * 32768 * (7168 * 2 + 64)
    assert f"{tokens / 2**30:.1f}" == "2.2"
    reported = int(change.split(": ")[1].split(" bytes")[0])
    assert 0 < reported - tokens - 5 * 32768 * 32 - 32768 * 256 * 4 < 2**20
    assert found.works
    assert not found.faithful
    assert "works, but not as asked" in found.text()


def test_a_dropped_cap_is_sized_by_the_layout_that_the_caller_names() -> None:
    kwargs = sglang_kwargs(PREALLOC_MAX_RECV_TOKENS="4096")
    layout = layout_for_release("1.2.4")
    full = plan_buffers(DispatchShape.from_kwargs({**kwargs, "max_total_recv_tokens": 0}), layout)
    change = explain(kwargs, surface("1.0.0"), layout=layout).dropped[0].change
    assert f"{full.total('symmetric')} bytes" in change


def test_a_dropped_cap_is_still_explained_when_the_sizes_are_not_all_known() -> None:
    found = explain({"max_total_recv_tokens": 8}, surface("1.0.0"))
    assert "worst case" in found.dropped[0].change
    assert set(found.missing) == set(REQUIRED)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("max_total_recv_tokens", 0, "nothing changes"),
        ("use_external_inp_buf", True, "nothing changes"),
        ("quant_type", "NONE", "nothing changes"),
        ("quant_type", "fp8_direct_cast", "14336 bytes per token instead of 7168"),
        ("quant_type", "fp8_blockwise", "instead of 7392"),
        ("quant_type", "fp4_blockwise", "instead of 3808"),
        ("use_external_inp_buf", False, "zero copy is lost"),
        ("num_qp_per_pe", 2, "one RDMA queue pair"),
        ("block_num", 64, "launches 80 blocks"),
        ("future_option", 3, "nothing that it would set"),
    ],
)
def test_what_dropping_an_argument_changes(name: str, value: object, words: str) -> None:
    without = surface("1.2.4")
    fields = tuple(item for item in without.config.fields if item.name != name)
    without = replace(without, config=replace(without.config, fields=fields))
    found = explain({**sglang_kwargs(), name: value}, without)
    assert [item.name for item in found.dropped] == [name]
    assert words in found.dropped[0].change


def test_dropping_gpu_per_node_aborts_small_groups() -> None:
    without = surface("1.2.4")
    fields = tuple(item for item in without.config.fields if item.name != "gpu_per_node")
    without = replace(without, config=replace(without.config, fields=fields))
    small = explain(sglang_kwargs(world_size=4), without)
    assert "aborts, because world_size 4" in small.dropped[0].change
    assert [item.arguments for item in small.refused] == [("world_size", "gpu_per_node")]
    assert not small.works
    assert explain(sglang_kwargs(world_size=16), without).works


@pytest.mark.parametrize(
    ("release", "name", "value", "failure"),
    [
        ("1.1.1", "quant_type", "fp8_blockwise", "ValueError"),
        ("1.0.0", "quant_type", "fp4_blockwise", "ValueError"),
        ("1.1.1", "kernel_type", "IntraNodeLL", "AttributeError"),
        ("1.2.4", "data_type", "float16", "KeyError"),
    ],
)
def test_a_value_that_the_release_does_not_know_is_named_with_the_known_ones(
    release: str, name: str, value: str, failure: str
) -> None:
    found = explain({**sglang_kwargs(), name: value}, surface(release))
    assert [(item.name, item.value) for item in found.unknown_values] == [(name, value)]
    assert failure in found.unknown_values[0].failure
    assert value not in found.unknown_values[0].known
    assert value in found.text()
    assert not found.works


@pytest.mark.parametrize("value", ["fp8_blockwise", " FP8_Blockwise ", "Fp8BlockwiseQuant", "None_", "Fp8DirectCast"])
def test_a_quant_type_is_read_as_mori_reads_it(value: str) -> None:
    assert explain({**sglang_kwargs(), "quant_type": value}, surface("1.2.4")).faithful


def test_values_are_not_judged_when_the_surface_could_not_be_read() -> None:
    blind = replace(surface("1.2.4"), quant_types=(), kernel_types={})
    found = explain({**sglang_kwargs(), "quant_type": "fp2", "kernel_type": "Sideways"}, blind)
    assert found.works
    assert len([note for note in found.notes if "could not be read" in note]) == 2


@pytest.mark.parametrize(
    ("release", "quant_type", "kernel_type", "external", "refused"),
    [
        ("1.2.4", "fp8_blockwise", "IntraNode", True, False),
        ("1.2.4", "fp8_blockwise", "IntraNodeLL", True, False),
        ("1.2.4", "fp8_blockwise", "AsyncLL", True, False),
        ("1.2.4", "fp8_blockwise", "InterNodeV1", True, True),
        ("1.2.4", "fp8_blockwise", "IntraNode", False, True),
        ("1.2.4", "fp4_blockwise", "AsyncLL", True, True),
        ("1.2.4", "fp4_blockwise", "IntraNode", True, False),
        ("1.2.4", "fp8_direct_cast", "InterNodeV1", True, False),
    ],
)
def test_combinations_that_combine_refuses(
    release: str, quant_type: str, kernel_type: str, external: bool, refused: bool
) -> None:
    kwargs = {
        **sglang_kwargs(),
        "quant_type": quant_type,
        "kernel_type": kernel_type,
        "use_external_inp_buf": external,
    }
    assert bool(explain(kwargs, surface(release)).refused) == refused


def test_fp8_blockwise_reached_async_ll_only_with_the_releases_that_know_fp4() -> None:
    older = replace(surface("1.2.4"), quant_types=("none", "fp8_direct_cast", "fp8_blockwise"))
    kwargs = {**sglang_kwargs(), "quant_type": "fp8_blockwise", "kernel_type": "AsyncLL"}
    assert explain(kwargs, older).refused
    assert not explain(kwargs, surface("1.2.4")).refused


def test_sglangs_automatic_choice_for_fp4_weights_fails_between_nodes_on_the_newest_release() -> None:
    found = explain(sglang_kwargs(world_size=16, weights="fp4"), surface("1.2.4"))
    assert [item.arguments for item in found.refused] == [("quant_type", "kernel_type")]
    assert explain(sglang_kwargs(world_size=8, weights="fp4"), surface("1.2.4")).works


def test_missing_required_arguments_are_listed_in_field_order() -> None:
    kwargs = sglang_kwargs()
    for name in ("hidden_dim", "rank", "block_num"):
        del kwargs[name]
    found = explain(kwargs, surface("1.2.4"))
    assert found.missing == ("rank", "hidden_dim")
    assert "hidden_dim is required" in found.text()


@pytest.mark.parametrize(
    ("release", "calls", "lacking"),
    [
        (
            "1.0.0",
            SGLANG_METHOD_CALLS,
            ["dispatch(call_local_expert_count=)", "dispatch_send(call_local_expert_count=)"],
        ),
        ("1.1.1", SGLANG_METHOD_CALLS, []),
        (
            "1.1.1",
            {"dispatch": ("return_routing",), "combine": ("routing",)},
            ["dispatch(return_routing=)", "combine(routing=)"],
        ),
        ("1.2.4", {"reconfigure": ("group",)}, ["reconfigure()"]),
    ],
)
def test_methods_and_method_arguments_that_the_release_lacks(
    release: str, calls: dict[str, tuple[str, ...]], lacking: list[str]
) -> None:
    found = explain(sglang_kwargs(), surface(release), method_calls=calls)
    assert [item.call for item in found.lacking] == lacking
    assert all(("AttributeError" if item.argument is None else "TypeError") in item.failure for item in found.lacking)


@pytest.mark.parametrize(
    ("cap", "words"),
    [
        (4097, "4104 rows, rounded up from 4097"),
        (4096, "holds 4096 rows;"),
        (99999, "lowered to the worst case of 32768"),
    ],
)
def test_a_cap_that_is_kept_is_noted_with_what_it_really_means(cap: int, words: str) -> None:
    notes = explain({**sglang_kwargs(), "max_total_recv_tokens": cap}, surface("1.2.4")).notes
    # What a cap does to combine has a test of its own.
    notes = tuple(note for note in notes if "CAP-7" not in note)
    assert len(notes) == 1
    assert words in notes[0]


def test_an_explanation_can_be_written_as_json_and_read_back() -> None:
    kwargs = {**sglang_kwargs(PREALLOC_MAX_RECV_TOKENS="8192"), "quant_type": "fp8_blockwise"}
    found = explain(kwargs, surface("1.0.0"), method_calls=SGLANG_METHOD_CALLS)
    read = json.loads(json.dumps(found.to_json()))
    assert (read["works"], read["faithful"]) == (False, False)
    assert [item["name"] for item in read["dropped"]] == ["max_total_recv_tokens"]
    assert [item["name"] for item in read["unknown_values"]] == ["quant_type"]
    assert len(read["lacking"]) == 2
