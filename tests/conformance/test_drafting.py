# SPDX-License-Identifier: MIT
"""A draft of an expectation expects exactly the failures that it was made from."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import tomllib

from conformance.drafting import draft_expectations
from conformance.matrix import Expectation, load_matrix
from conformance.results import Results, new_header
from conformance.verdicts import Evidence, Record, Verdict, apply_expectations

MATRIX = load_matrix(Path(__file__).resolve().parents[2] / "matrix.toml")
WHEELS = [wheel for wheel in MATRIX.stable if wheel.python == "cp310"]


def results(verdicts: dict[str, tuple[Verdict, str]], kernel_type: str = "AsyncLL") -> Results:
    records = []
    for wheel in WHEELS:
        verdict, message = verdicts.get(wheel.version, (Verdict.PASS, "right"))
        records.append(
            Record(
                "CMB-3", wheel.label, wheel.sha256, "virtual", verdict, message, Evidence("c"), kernel_type=kernel_type
            )
        )
    return Results(new_header(WHEELS, ["virtual"], ["CMB-3"], {}), tuple(records))


@pytest.mark.parametrize("kernel_type", ["AsyncLL", "IntraNode"])
@pytest.mark.parametrize(
    ("failing", "specifier"),
    [
        (["1.2.0"], "==1.2.0"),
        (["1.1.1", "1.2.0", "1.2.1"], ">=1.1.1,<=1.2.1"),
        (["1.2.3", "1.2.3.post1", "1.2.4"], ">=1.2.3"),
    ],
)
def test_a_draft_expects_the_failures_that_it_is_made_from(
    failing: list[str], specifier: str, kernel_type: str
) -> None:
    found = results(
        {
            version: (Verdict.FAIL, f"out of bounds: write at 0x{place:x}, block (1,0,0)")
            for place, version in enumerate(failing)
        },
        kernel_type,
    )
    (draft,) = draft_expectations(found, MATRIX)
    assert draft.versions == specifier
    (entry,) = tomllib.loads(draft.text())["expectations"]
    judged, stale = apply_expectations(found.records, [msgspec.convert(entry, Expectation)], WHEELS, ["CMB-3"])
    assert stale == ()
    assert {record.wheel.split("@")[0] for record in judged if record.verdict is Verdict.EXPECTED_FAIL} == set(failing)


def test_a_release_between_that_passes_and_another_message_each_start_a_draft_of_their_own() -> None:
    found = results({"1.1.1": (Verdict.FAIL, "a"), "1.2.1": (Verdict.FAIL, "a"), "1.2.2": (Verdict.TIMEOUT, "b")})
    assert [(item.versions, item.message) for item in draft_expectations(found, MATRIX)] == [
        ("==1.1.1", "a"),
        ("==1.2.1", "a"),
        ("==1.2.2", "b"),
    ]


def test_what_is_expected_or_says_nothing_about_the_release_needs_no_draft() -> None:
    found = results({"1.1.1": (Verdict.EXPECTED_FAIL, "a"), "1.2.1": (Verdict.ENGINE_ERROR, "launcher")})
    assert draft_expectations(found, MATRIX) == ()


@pytest.mark.parametrize(("race", "verdict", "stale"), [(True, Verdict.PASS, 0), (False, Verdict.UNEXPECTED_PASS, 1)])
def test_only_a_race_may_pass_where_a_failure_is_expected(race: bool, verdict: Verdict, stale: int) -> None:
    expectation = Expectation("CMB-3", "==1.2.4", "late", "link", "virtual", kernel_types=("AsyncLL",), race=race)
    judged, contradicted = apply_expectations(results({}).records, [expectation], WHEELS, ["CMB-3"])
    assert [item.verdict for item in judged if item.wheel == "1.2.4@cp310"] == [verdict]
    assert len(contradicted) == stale
    failed = results({"1.2.4": (Verdict.FAIL, "too late")})
    judged, contradicted = apply_expectations(failed.records, [expectation], WHEELS, ["CMB-3"])
    assert [item.verdict for item in judged if item.wheel == "1.2.4@cp310"] == [Verdict.EXPECTED_FAIL]
    assert not contradicted
