# SPDX-License-Identifier: MIT
"""Facts and requirements: no orphan either way, and the page is what the data give."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.catalogue import load_catalogue
from conformance.facts import Fact, check_facts, load_facts, requirements_page
from conformance.judging import JUDGES
from conformance.suite.judges import CHECKS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "requirements.md"


def test_every_fact_is_judged_or_says_why_not_and_every_requirement_has_a_fact() -> None:
    assert check_facts(load_facts(), load_catalogue()) == []


def test_every_requirement_has_a_judge_in_each_lane_that_it_names_and_no_judge_is_left_over() -> None:
    catalogue = load_catalogue()
    assert {item.id for item in catalogue if "survey" in item.lanes} == JUDGES.keys()
    assert {item.id for item in catalogue if {"virtual", "rocm"} & set(item.lanes)} == CHECKS.keys()


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (Fact("a", "nobody judges it"), "neither requirement nor reason: nobody judges it"),
        (Fact("a", "new", ("OVF-99",)), "no such requirement: OVF-99"),
        (Fact("a", load_facts()[0].says, reason="r"), f"stands there twice: {load_facts()[0].says}"),
    ],
)
def test_an_orphan_is_named(extra: Fact, problem: str) -> None:
    assert check_facts([*load_facts(), extra], load_catalogue()) == [problem]


def test_a_requirement_of_no_fact_is_named() -> None:
    without = [fact for fact in load_facts() if "CAP-7" not in fact.requirements]
    assert "no fact is behind CAP-7" in check_facts(without, load_catalogue())


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == requirements_page(), (
        "run: python -m conformance catalogue > docs/requirements.md"
    )
