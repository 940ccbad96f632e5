# SPDX-License-Identifier: MIT
"""Outcomes become records that results hold: one for each requirement of the lane."""

from __future__ import annotations

from conformance.catalogue import aspects, load_catalogue
from conformance.suite.cases import Case
from conformance.suite.judges import CHECKS
from conformance.suite.launch import Outcome
from conformance.suite.recording import cases_for, record_outcomes
from conformance.verdicts import Verdict
from conformance.wheels import Wheel

EVERYTHING = aspects(load_catalogue(), "deep")


def wheel(version: str) -> Wheel:
    return Wheel("amd-mori", version, "cp310-cp310-any", "0" * 64, 1, "2026-06-01T00:00:00Z")


def test_each_requirement_of_the_lane_has_a_record_for_each_of_its_kernel_types() -> None:
    records = record_outcomes(EVERYTHING, wheel("1.2.4"), "virtual", {})
    assert {item.requirement for item in records} == CHECKS.keys()
    assert len({item.key for item in records}) == len(records)
    several = {
        item.id: item.kernel_types for item in load_catalogue() if item.id in CHECKS and len(item.kernel_types) > 1
    }
    assert {item.kernel_type for item in records if item.requirement not in several} == {""}
    for requirement, kernel_types in several.items():
        assert tuple(item.kernel_type for item in records if item.requirement == requirement) == kernel_types
    assert {item.verdict for item in records} == {Verdict.NOT_RUN}
    assert record_outcomes(EVERYTHING, wheel("1.2.4"), "survey", {}) == []


def test_a_release_before_a_feature_is_not_judged_on_it_and_runs_no_case_for_it() -> None:
    records = {item.requirement: item for item in record_outcomes(EVERYTHING, wheel("1.1.1"), "virtual", {})}
    assert {name for name, item in records.items() if item.verdict is Verdict.NOT_APPLICABLE} == {
        *("CMB-6", "DSP-9", "IDS-4", "IDS-5", "LNC-3", "OVF-9", "RTE-2", "RTE-3", "RTE-4"),
        *("CMB-8", "CMB-9", "SEC-1", "SEC-2", "SEC-3"),
    }
    assert not [
        name
        for name in cases_for(EVERYTHING, wheel("1.1.1"), "virtual")
        if name.startswith(("ll-", "r", "v2-")) and not name.startswith("registered-buffer")
    ]


def test_a_record_says_what_happened_and_with_which_seed() -> None:
    outcome = Outcome(Case("overflow-by-one", seed=7), "asserted", "Total recv token overflow", {}, (), "")
    records = record_outcomes(EVERYTHING, wheel("1.2.1"), "virtual", {"overflow-by-one": outcome})
    (record,) = [item for item in records if item.key[::3] == ("OVF-7", "IntraNode")]
    assert record.verdict is Verdict.PASS
    assert "asserted" in record.message
    assert record.evidence.seed == 7
    assert record.evidence.command.endswith(
        "--lane virtual --wheel 1.2.1@cp310 --requirement OVF-7 --kernel-type IntraNode --fresh"
    )
