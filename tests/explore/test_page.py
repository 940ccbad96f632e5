# SPDX-License-Identifier: MIT
"""docs/explored.md is what its files say, and the kept regressions are complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.explore.journal import read_journals
from conformance.explore.known import KNOWN
from conformance.explore.page import explored_page
from conformance.explore.regressions import Regression, read_regressions
from conformance.matrix import load_matrix

ROOT = Path(__file__).resolve().parents[2]
EXPLORED = ROOT / "docs" / "explored"
REGRESSIONS = read_regressions()


def test_the_page_is_what_the_journals_and_the_regressions_say() -> None:
    page = (ROOT / "docs" / "explored.md").read_text(encoding="utf-8")
    assert page == explored_page(EXPLORED), (
        "run: python -m conformance explore --page --record docs/explored > docs/explored.md"
    )


def test_what_was_explored_are_wheels_of_the_matrix() -> None:
    known = {(wheel.label, wheel.sha256) for wheel in load_matrix(ROOT / "matrix.toml").every_wheel}
    assert {(item.wheel, item.sha256) for item in read_journals(EXPLORED)} <= known


@pytest.mark.parametrize("regression", REGRESSIONS, ids=lambda item: item.id)
def test_each_regression_is_judged_and_was_played_on_several_releases(regression: Regression) -> None:
    assert regression.judgement != "open"
    assert regression.evidence
    assert regression.title.endswith(".")
    assert len(regression.outcomes) >= 4
    # What is mended goes wrong nowhere, everything else somewhere.
    assert bool(regression.affected) is (regression.judgement != "ours")


def test_what_is_known_names_requirements_or_regressions_that_exist() -> None:
    from conformance.catalogue import load_catalogue

    names = {item.id for item in load_catalogue()} | {item.id for item in REGRESSIONS}
    assert {item.requirement for item in KNOWN} <= names
