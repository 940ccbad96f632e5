# SPDX-License-Identifier: MIT
"""The catalogue and its judges: none missing, none left over, and for each a wheel that it must not let pass."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import pytest

from conformance.catalogue import GROUPS, load_catalogue, suite_revision
from conformance.errors import SelectionError
from conformance.judging import JUDGES, Finding, Surroundings, judge_survey
from conformance.run import select_requirements
from conformance.survey.facts import Capacity, Guard, KernelFunction, Library, WheelFacts
from conformance.verdicts import Verdict
from conformance.wheels import Wheel
from moriep.surface import ClassSurface, Field, Method, Parameter, Surface
from tests.mori_fields import OPTIONAL, REQUIRED

CAPPED = (
    "{ if (maxTotalRecvTokens > 0) { int perRank = (maxTotalRecvTokens + worldSize - 1) / worldSize; return perRank < "
    "maxNumInpTokenPerRank ? perRank : maxNumInpTokenPerRank; } return maxNumInpTokenPerRank; }"
)
FIELDS = (
    *(Field(name, "int") for name in REQUIRED),
    *(
        Field(name, "int", "EpDispatchCombineKernelType.IntraNode" if name == "kernel_type" else repr(default))
        for name, default in OPTIONAL.items()
    ),
)
METHODS = (
    Method(
        "dispatch",
        (
            Parameter("input"),
            Parameter("call_local_expert_count", default="False"),
            Parameter("routing", "keyword_only", default="None"),
            Parameter("return_routing", "keyword_only", default="False"),
        ),
    ),
    Method(
        "combine",
        (Parameter("input"), Parameter("routing", "keyword_only", default="None")),
        ('ValueError(f"combine() indices has {n} rows but this rank dispatched {cur_n} tokens")',),
    ),
    Method("max_num_tokens_to_recv"),
    Method("max_num_tokens_to_recv_per_rank"),
)
KERNELS = {"IntraNode": 0, "InterNode": 1, "InterNodeV1": 2, "InterNodeV1LL": 3, "AsyncLL": 4, "IntraNodeLL": 5}
GUARDS = (
    Guard("a.hpp", "EpDispatchIntraNodeKernel_body", 1, "x < y", "overflow", ("IntraNode",)),
    Guard("b.hpp", "ComputeTokenRoute", 1, "x < y", "overflow", ("IntraNodeLL",)),
    Guard("c.cpp", "DispatchIntraNodeBlock", 1, "x < y", "overflow", ("InterNodeV1", "InterNodeV1LL")),
    Guard("c.cpp", "DispatchInterNodeRecv", 1, "x < y", "overflow", ("InterNodeV1",)),
    Guard("c.cpp", "DispatchInterNodeLLRecv", 1, "x < y", "overflow", ("InterNodeV1LL",)),
    Guard("d.cpp", "RecvCopy", 1, "x < y", "overflow", ("AsyncLL",)),
    Guard("e.hpp", "EpDispatchInterNodeKernel", 1, "x < y", "overflow", ("InterNode",)),
)


def wheel(version: str = "9.0.0", python: str = "cp310", day: int = 1) -> Wheel:
    sha256 = f"{version}{python}".encode().hex().ljust(64, "0")
    return Wheel("amd-mori", version, f"{python}-{python}-any", sha256, 1, f"2026-06-{day:02}T00:00:00Z")


WHEEL = wheel()
SOUND = WheelFacts(
    sha256=WHEEL.sha256,
    surface=Surface(
        release=str(WHEEL),
        config=ClassSurface("EpDispatchCombineConfig", FIELDS),
        op=ClassSurface("EpDispatchCombineOp", (), METHODS),
        quant_types=("none", "fp8_direct_cast", "fp8_blockwise", "fp4_blockwise"),
        kernel_types=KERNELS,
    ),
    package_version="9.0.0",
    rocm_build="7.2.4",
    rocm_pattern="7.2.*",
    python_variables=(),
    native_variables=(),
    libraries=(Library("mori/libmori_pybinds.so", ("libc.so.6",)),),
    bundled_libraries=(),
    guards=GUARDS,
    device_asserts={},
    kernel_functions=(KernelFunction("a.hpp", "f", "1"),),
    capacity=(
        Capacity("MaxNumTokensToRecvPerRank", CAPPED),
        Capacity("MaxNumTokensToRecv", "{ return worldSize * MaxNumTokensToRecvPerRank(); }"),
    ),
    launch_defaults={},
    method_digests={"dispatch": "1"},
)


def changed(**values: object) -> WheelFacts:
    return dataclasses.replace(SOUND, **values)


def surface(**values: object) -> WheelFacts:
    return changed(surface=dataclasses.replace(SOUND.surface, **values))


def config_without(name: str, *extra: Field) -> WheelFacts:
    fields = tuple(field for field in FIELDS if field.name != name)
    return surface(config=ClassSurface("EpDispatchCombineConfig", (*fields, *extra)))


def op_without(method: str, parameter: str | None = None) -> WheelFacts:
    methods = []
    for item in METHODS:
        if item.name == method:
            if parameter is None:
                continue
            kept = tuple(each for each in item.parameters if each.name != parameter)
            methods.append(dataclasses.replace(item, parameters=kept))
        else:
            methods.append(item)
    return surface(op=ClassSurface("EpDispatchCombineOp", (), tuple(methods)))


def guards_without(function: str) -> WheelFacts:
    return changed(guards=tuple(guard for guard in GUARDS if guard.function != function))


BEFORE = wheel("8.0.0", day=1)
SIBLING = wheel("9.0.0", "cp312", day=2)
AROUND = Surroundings((BEFORE, WHEEL, SIBLING), {BEFORE.sha256: SOUND, WHEEL.sha256: SOUND, SIBLING.sha256: SOUND})


def judge(requirement: str, facts: WheelFacts, around: Surroundings = AROUND) -> Finding:
    return JUDGES[requirement](WHEEL, facts, around)


def test_every_requirement_has_a_judge_and_every_judge_a_requirement() -> None:
    catalogue = load_catalogue()
    assert {item.id for item in catalogue if "survey" in item.lanes} == JUDGES.keys()
    assert {item.group for item in catalogue} <= GROUPS.keys()


def test_every_requirement_has_a_witness() -> None:
    assert {requirement for requirement, _, _, _ in WITNESSES} == JUDGES.keys()


@pytest.mark.parametrize("requirement", sorted(JUDGES))
def test_a_sound_wheel_passes(requirement: str) -> None:
    assert judge(requirement, SOUND).verdict == Verdict.PASS


FAIL, UNSUPPORTED, NOT_RUN = Verdict.FAIL, Verdict.UNSUPPORTED, Verdict.NOT_RUN
PYBINDS = "mori/libmori_pybinds.so"
# Broken wheels: the requirement that must catch each, what it must say, and a part of its message.
WITNESSES: list[tuple[str, WheelFacts, Verdict, str]] = [
    ("PKG-1", changed(package_version="8.9.9"), FAIL, "8.9.9"),
    ("PKG-2", changed(libraries=(Library(PYBINDS, ("libgrpc++.so.1",)),)), FAIL, "libgrpc++.so.1"),
    ("PKG-2", changed(libraries=(Library(PYBINDS, ("libabsl_base.so.20220623",)),)), FAIL, "libabsl_base"),
    ("PKG-2", changed(libraries=(Library(PYBINDS, None),)), NOT_RUN, "--libraries all"),
    ("PKG-3", changed(rocm_build=None), FAIL, "does not say"),
    ("PKG-4", changed(method_digests={"dispatch": "2"}), FAIL, "1 places"),
    ("PKG-4", changed(kernel_functions=()), FAIL, "9.0.0@cp312"),
    ("CFG-1", config_without("", Field("novel", "int")), FAIL, "missing novel"),
    ("CFG-2", config_without("max_total_recv_tokens"), FAIL, "no field max_total_recv_tokens"),
    ("CFG-3", config_without("max_total_recv_tokens"), UNSUPPORTED, "no field"),
    (
        "CFG-3",
        config_without("max_total_recv_tokens", Field("max_total_recv_tokens", "int", "4096")),
        FAIL,
        "defaults to 4096",
    ),
    ("CFG-4", config_without("world_size", FIELDS[2]), FAIL, "fields moved since 8.0.0@cp310"),
    ("CFG-5", surface(quant_types=("none",)), UNSUPPORTED, "fp8_direct_cast"),
    ("CFG-6", surface(quant_types=("none",)), UNSUPPORTED, "fp8_blockwise"),
    ("CFG-7", surface(quant_types=("none",)), UNSUPPORTED, "fp4_blockwise"),
    ("CFG-8", surface(kernel_types={**KERNELS, "AsyncLL": 7}), FAIL, "AsyncLL should be 4, is 7"),
    ("CFG-8", surface(kernel_types={}), FAIL, "is absent"),
    ("CFG-9", op_without("dispatch", "call_local_expert_count"), UNSUPPORTED, "TypeError"),
    (
        "CAP-1",
        changed(capacity=(Capacity("MaxNumTokensToRecvPerRank", "{ return maxNumInpTokenPerRank; }"),)),
        FAIL,
        "no cap",
    ),
    (
        "CAP-1",
        changed(capacity=(Capacity("MaxNumTokensToRecvPerRank", CAPPED.replace("+ worldSize - 1", "")),)),
        FAIL,
        "another one",
    ),
    ("CFG-11", config_without("rdma_block_num"), FAIL, "does not know rdma_block_num"),
    ("CFG-12", config_without("quant_type"), FAIL, "does not know quant_type"),
    ("CFG-13", config_without("quant_type"), FAIL, "does not know quant_type"),
    ("CFG-14", config_without("num_qp_per_pe"), FAIL, "does not know num_qp_per_pe"),
    ("CFG-15", config_without("", Field("novel", "int")), FAIL, "novel is required"),
    ("CFG-16", surface(kernel_types={"AsyncLL": 4}), FAIL, "kernel_type=IntraNode"),
    ("CFG-17", config_without("use_external_inp_buf"), FAIL, "does not know use_external_inp_buf"),
    ("CAP-2", op_without("max_num_tokens_to_recv"), UNSUPPORTED, "max_num_tokens_to_recv"),
    ("OVF-1", guards_without("EpDispatchIntraNodeKernel_body"), FAIL, "IntraNode kernels"),
    ("OVF-2", guards_without("ComputeTokenRoute"), FAIL, "IntraNodeLL kernels"),
    ("OVF-3", guards_without("DispatchInterNodeRecv"), FAIL, "across nodes"),
    ("OVF-4", guards_without("DispatchIntraNodeBlock"), FAIL, "within a node"),
    ("OVF-5", guards_without("RecvCopy"), FAIL, "AsyncLL kernels"),
    ("OVF-6", guards_without("EpDispatchInterNodeKernel"), FAIL, "InterNode kernels"),
    ("OVF-2", surface(kernel_types={"IntraNode": 0}), UNSUPPORTED, "no IntraNodeLL"),
    ("OVF-1", config_without("max_total_recv_tokens"), Verdict.NOT_APPLICABLE, "no cap"),
    ("CMB-1", op_without("combine"), FAIL, "does not look"),
    ("RTE-1", op_without("combine", "routing"), UNSUPPORTED, "combine(routing=)"),
    ("LNC-1", changed(launch_defaults={"_intranode_dispatch_default_launch": ("(256, 16)",)}), FAIL, "of its own"),
]


@pytest.mark.parametrize(
    ("requirement", "facts", "verdict", "message"), WITNESSES, ids=[f"{row[0]}-{row[3]}" for row in WITNESSES]
)
def test_a_broken_wheel_is_caught(requirement: str, facts: WheelFacts, verdict: Verdict, message: str) -> None:
    finding = judge(requirement, facts)
    assert finding.verdict == verdict
    assert message in finding.message


def test_pruning_a_dropped_field_is_still_accepted() -> None:
    finding = judge("CFG-1", config_without("max_total_recv_tokens"))
    assert finding.verdict == Verdict.PASS
    assert "after pruning max_total_recv_tokens" in finding.message


def test_what_the_cap_would_have_saved_is_told_in_bytes() -> None:
    (_, told) = judge("CFG-2", config_without("max_total_recv_tokens")).observed
    assert "max_total_recv_tokens=8192 is dropped" in told
    assert re.search(r"\d{9,} bytes .* against \d{9,} bytes .* with the cap", told)


def test_pruning_in_a_run_prints_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    judge("CFG-1", config_without("max_total_recv_tokens"))
    assert caplog.records == []


def test_records_carry_what_a_sceptic_needs() -> None:
    (record,) = judge_survey(select_requirements(["OVF-1"]), [WHEEL], {WHEEL.sha256: SOUND}, AROUND)
    assert record.sha256 == WHEEL.sha256
    assert record.evidence.command == "python -m conformance run --wheel 9.0.0@cp310 --requirement OVF-1"
    assert record.evidence.observed == ("a.hpp:1 EpDispatchIntraNodeKernel_body: x < y",)


def test_a_requirement_about_later_releases_does_not_apply() -> None:
    early = wheel("1.0.0")
    (record,) = judge_survey(select_requirements(["CAP-1"]), [early], {early.sha256: SOUND}, AROUND)
    assert record.verdict == Verdict.NOT_APPLICABLE


@pytest.mark.parametrize(("names", "count"), [([], len(JUDGES)), (["OVF"], 6), (["ovf-1"], 1), (["OVF-1", "CAP"], 3)])
def test_requirements_are_selected_by_id_or_group(names: list[str], count: int) -> None:
    assert len(select_requirements(names)) == count


def test_an_unknown_requirement_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(SelectionError, match="PKG-1"):
        select_requirements(["OVF-99"])


def test_the_suite_revision_follows_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    import conformance.catalogue as catalogue

    suite_revision.cache_clear()
    before = suite_revision()
    text: Callable[[], str] = catalogue._text
    monkeypatch.setattr(catalogue, "_text", lambda: text() + "\n# another\n")
    suite_revision.cache_clear()
    try:
        assert suite_revision() != before
    finally:
        suite_revision.cache_clear()
