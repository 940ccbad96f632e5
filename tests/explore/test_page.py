# SPDX-License-Identifier: MIT
"""docs/explored.md is what its files say, and the kept regressions are complete."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conformance.catalogue import load_catalogue
from conformance.explore.assessment import Judgement
from conformance.explore.exploring import Explorer
from conformance.explore.journal import read_journals
from conformance.explore.known import KNOWN, REFERENCE_RELEASE
from conformance.explore.page import explored_page
from conformance.explore.playing import Player
from conformance.explore.regressions import Regression, read_regressions
from conformance.matrix import load_matrix
from conformance.suite.lanes import plain_lane, virtual_lane
from conformance.suite.measuring import project_folder
from tests.suite.test_witnesses import PYTHON, needs_torch

ROOT = Path(__file__).resolve().parents[2]
EXPLORED = ROOT / "docs" / "explored"
REGRESSIONS = read_regressions()
WHEEL = os.environ.get("CONFORMANCE_VIRTUAL_WHEEL")


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
    assert len(regression.outcomes) >= (1 if regression.judgement == "ours" else 4)
    # What is mended goes wrong nowhere, everything else somewhere.
    assert bool(regression.affected) is (regression.judgement != "ours")


def test_what_is_known_names_requirements_or_regressions_that_exist() -> None:
    names = {item.id for item in load_catalogue()} | {item.id for item in REGRESSIONS}
    assert {item.requirement for item in KNOWN} <= names


@needs_torch
@pytest.mark.timeout(600)
def test_the_reference_implementation_is_right_where_releases_go_wrong() -> None:
    """What is kept asks for nothing that cannot be done."""
    with Player(plain_lane(PYTHON), deadline=60) as player:
        explorer = Explorer(player, REFERENCE_RELEASE, REFERENCE_RELEASE)
        judged = dict(explorer.judge([item.trial for item in REGRESSIONS]))
    wrong = {
        REGRESSIONS[number].id: item.text for number, item in judged.items() if item.judgement is not Judgement.RIGHT
    }
    assert wrong == {}


@needs_torch
@pytest.mark.skipif(WHEEL is None, reason="CONFORMANCE_VIRTUAL_WHEEL names no unpacked wheel: FOLDER/VERSION")
@pytest.mark.parametrize("regression", REGRESSIONS, ids=lambda item: item.id)
def test_a_release_does_what_is_kept(regression: Regression) -> None:
    assert WHEEL is not None
    assert PYTHON is not None
    version = Path(WHEEL).name
    label = f"{version}@cp310"
    if label not in regression.outcomes:
        pytest.skip(f"was not played on {label}")
    lane = virtual_lane(PYTHON, packages=(Path(WHEEL),), launcher_path=project_folder())
    with Player(lane, deadline=120) as player:
        ((_, assessment),) = Explorer(player, version, label).judge([regression.trial])
    seen = "right" if assessment.judgement is Judgement.RIGHT else str(assessment.symptom)
    assert seen == regression.outcomes[label], assessment.text
