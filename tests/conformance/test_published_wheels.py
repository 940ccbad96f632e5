# SPDX-License-Identifier: MIT
"""The published wheels themselves: what is known about them must be what the survey finds. Reads the index, or the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.differences import Comparison, compare
from conformance.matrix import Matrix, load_matrix
from conformance.survey.collect import survey_wheels
from conformance.survey.facts import WheelFacts
from conformance.timeline import Event, build_timeline
from conformance.traits import Weight

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("published wheels")]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return load_matrix(ROOT / "matrix.toml")


@pytest.fixture(scope="module")
def facts(matrix: Matrix) -> dict[str, WheelFacts]:
    wheels = [wheel for wheel in matrix.every_wheel if wheel.python == "cp310" or not wheel.nightly]
    outcome = survey_wheels(wheels)
    assert outcome.failures == {}
    return {wheel.label: outcome.facts[wheel.sha256] for wheel in wheels}


@pytest.fixture(scope="module")
def events(matrix: Matrix, facts: dict[str, WheelFacts]) -> tuple[Event, ...]:
    by_sha256 = {item.sha256: item for item in facts.values()}
    return build_timeline([wheel for wheel in matrix.every_wheel if wheel.python == "cp310"], by_sha256)


def found(comparison: Comparison) -> set[tuple[str, str, str]]:
    return {(item.area, item.change, item.subject) for item in comparison.differences}


FIELDS = 10 * [True] + 9 * [False]


@pytest.mark.parametrize(
    ("label", "fields", "kernel_types", "quant_types", "asserted"),
    [
        ("1.0.0@cp312", 18, 5, 2, set()),
        ("1.1.1@cp310", 19, 5, 2, {"IntraNode", "InterNodeV1", "InterNodeV1LL", "AsyncLL"}),
        ("1.1.1@cp312", 19, 5, 3, {"IntraNode", "InterNodeV1", "InterNodeV1LL", "AsyncLL"}),
        ("1.2.0@cp310", 19, 6, 3, {"IntraNode", "IntraNodeLL", "InterNodeV1", "InterNodeV1LL", "AsyncLL"}),
        ("1.2.1@cp310", 19, 6, 3, {"IntraNode", "IntraNodeLL", "InterNodeV1", "InterNodeV1LL", "AsyncLL"}),
        ("1.2.2@cp310", 19, 6, 4, {"IntraNode", "IntraNodeLL", "InterNodeV1", "InterNodeV1LL", "AsyncLL"}),
        ("1.2.3@cp310", 19, 6, 4, {"IntraNodeLL", "InterNodeV1", "InterNodeV1LL", "AsyncLL"}),
        ("1.2.3.post1@cp310", 19, 6, 4, {"IntraNodeLL", "InterNodeV1", "InterNodeV1LL", "AsyncLL"}),
        ("1.2.4@cp310", 19, 6, 4, {"IntraNodeLL", "InterNodeV1", "InterNodeV1LL", "AsyncLL"}),
    ],
)
def test_stable_wheels_are_as_known(
    facts: dict[str, WheelFacts], label: str, fields: int, kernel_types: int, quant_types: int, asserted: set[str]
) -> None:
    item = facts[label]
    assert len(item.surface.config.fields) == fields
    assert [field.required for field in item.surface.config.fields][:12] == FIELDS[:12]
    assert len(item.surface.kernel_types) == kernel_types
    assert len(item.surface.quant_types) == quant_types
    assert item.guarded_kernel_types() == asserted
    assert item.problems == ()


def test_1_0_0_has_no_cap_and_calls_itself_0_1_0(facts: dict[str, WheelFacts]) -> None:
    item = facts["1.0.0@cp312"]
    assert item.surface.config.field("max_total_recv_tokens") is None
    assert item.package_version == "0.1.0"


def test_from_1_2_2_to_1_2_3_the_assertion_vanishes_and_the_launch_gets_a_default(facts: dict[str, WheelFacts]) -> None:
    comparison = compare(facts["1.2.2@cp310"], facts["1.2.3@cp310"])
    assert ("overflow assertion", "removed", "IntraNode") in found(comparison)
    assert ("launch default", "added", "intranode_dispatch_default_launch") in found(comparison)
    (vanished,) = [item for item in comparison.differences if item.area == "overflow assertion"]
    assert vanished.weight == Weight.breaks
    (default,) = [item for item in comparison.differences if "intranode_dispatch" in item.subject]
    assert "(256, 16) if not _is_gfx125x()" in default.after
    assert not [item for item in comparison.differences if item.area == "config field"]


def test_from_1_0_0_to_1_1_1_six_fields_move(facts: dict[str, WheelFacts]) -> None:
    comparison = compare(facts["1.0.0@cp312"], facts["1.1.1@cp310"])
    (moved,) = [item for item in comparison.differences if item.change == "moved" and item.area == "config field"]
    assert moved.consequence.count("→") == 6


def test_1_1_1_is_not_the_same_code_for_both_pythons(facts: dict[str, WheelFacts]) -> None:
    comparison = compare(facts["1.1.1@cp310"], facts["1.1.1@cp312"])
    assert ("quant_type value", "added", "fp8_blockwise") in found(comparison)
    assert any(item.area == "kernel code" for item in comparison.differences)


@pytest.mark.parametrize("version", ["1.2.0", "1.2.1", "1.2.2", "1.2.3", "1.2.3.post1", "1.2.4"])
def test_later_versions_are_the_same_code_for_both_pythons(facts: dict[str, WheelFacts], version: str) -> None:
    comparison = compare(facts[f"{version}@cp310"], facts[f"{version}@cp312"])
    assert {item.area for item in comparison.differences} <= {"library needed", "ROCm", "variable read by Python"}


@pytest.mark.parametrize(
    ("area", "subject", "change", "last", "first", "stable"),
    [
        ("overflow assertion", "IntraNode", "removed", "20260807", "20260810", "1.2.3"),
        ("overflow assertion", "IntraNodeLL", "added", "20260602", "20260603", "1.2.0"),
        ("kernel type", "IntraNodeLL", "added", "20260602", "20260603", "1.2.0"),
        ("op parameter", "dispatch(routing)", "added", "20260608", "20260609", "1.2.1"),
        ("quant_type value", "fp4_blockwise", "added", "20260713", "20260714", "1.2.2"),
        ("launch default", "intranode_dispatch_default_launch", "added", "20260807", "20260810", "1.2.3"),
        ("library needed", "libgrpc++.so.1", "added", "20260608", "20260608", "1.2.0"),
        ("ROCm", "built with", "added", "20260826", "20260827", "1.2.3"),
    ],
)
def test_the_timeline_dates_what_is_known(
    events: tuple[Event, ...], area: str, subject: str, change: str, last: str, first: str, stable: str
) -> None:
    (event, *_) = [item for item in events if (item.area, item.subject, item.change) == (area, subject, change)]
    assert (event.last[-14:-6], event.first[-14:-6]) == (last, first)
    assert event.unread == 0
    assert event.stable == f"{stable}@cp310"
