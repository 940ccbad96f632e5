# SPDX-License-Identifier: MIT
"""The written pages: generated parts are current, links lead somewhere, named things exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance.catalogue import load_catalogue
from conformance.matrix import Expectation, Lane, NightlyRule
from conformance.verdicts import Verdict
from moriep.variables import markdown_reference

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


def test_the_environment_page_is_what_the_table_says() -> None:
    page = (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
    assert page == markdown_reference(), "run: moriep env --markdown > docs/environment.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_of_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_verdict_is_explained() -> None:
    text = (ROOT / "docs" / "reading-the-report.md").read_text(encoding="utf-8")
    assert [verdict.value for verdict in Verdict if f"`{verdict.value}`" not in text] == []


def test_every_key_of_the_matrix_is_explained() -> None:
    text = (ROOT / "docs" / "matrix.md").read_text(encoding="utf-8")
    keys = {*NightlyRule.__struct_fields__, *Lane.__struct_fields__, *Expectation.__struct_fields__}
    assert sorted(key for key in keys if not re.search(rf"\b{key}\b", text)) == []


def test_requirements_named_in_pages_exist() -> None:
    known = {item.id for item in load_catalogue()}
    for page in PAGES:
        named = set(re.findall(r"\b[A-Z]{3}-[0-9]+\b", page.read_text(encoding="utf-8")))
        assert named <= known, f"{page.name}: {named - known}"


def test_no_page_names_a_path_of_one_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w./:])/(?:home|root|work|tmp)/", page.read_text(encoding="utf-8")), page.name
