# SPDX-License-Identifier: MIT
"""The page and the section of consumers: what was played has its word and its evidence, what was not says so."""

from __future__ import annotations

import pytest

from conformance.catalogue import load_catalogue
from conformance.consumers import CONSUMERS, OUTCOMES, SITUATIONS
from conformance.report.consumers import consumer_rows, consumer_wheels, render_consumer_page
from conformance.report.grid import Grid, build_grid
from conformance.report.inputs import ReportInputs
from conformance.report.render import render_report
from conformance.results import Results, new_header
from conformance.verdicts import Evidence, Record, Verdict
from tests.report.builders import WHEELS, make_facts

OLD, _, NIGHTLY, OTHER_NIGHTLY, NEW, _ = WHEELS


def inputs(*records: Record) -> ReportInputs:
    requirements = tuple(item for item in load_catalogue() if item.group == "CON")
    header = new_header(WHEELS, ["virtual"], [item.id for item in requirements], {})
    return ReportInputs(Results(header, records), {wheel.sha256: make_facts(wheel) for wheel in WHEELS}, requirements)


def record(requirement: str, wheel, verdict: Verdict, message: str) -> Record:
    evidence = Evidence(f"repeat {requirement} {wheel.label}", ("seen",))
    return Record(requirement, wheel.label, wheel.sha256, "virtual", verdict, message, evidence)


PLAYED = inputs(
    record("CON-4", OLD, Verdict.PASS, "works: all right"),
    record("CON-4", NEW, Verdict.EXPECTED_FAIL, "raises: ValueError: rows | columns"),
    record("CON-4", NIGHTLY, Verdict.EXPECTED_FAIL, "raises: ValueError: rows | columns"),
    record("CON-6", NEW, Verdict.PASS, "degraded: rdma_block_num=16"),
    record("CON-9", NEW, Verdict.CRASH, "aborts: IsPowerOf2"),
    record("CON-10", OTHER_NIGHTLY, Verdict.NOT_RUN, "no device"),
)


@pytest.fixture(scope="module")
def grid() -> Grid:
    return build_grid(PLAYED)


@pytest.fixture(scope="module")
def page(grid: Grid) -> str:
    return render_consumer_page(grid).decode()


def words(grid: Grid, requirement: str) -> dict[str, str]:
    rows = consumer_rows(grid, consumer_wheels(grid))
    (row,) = [item for item in rows if item.situation.requirement == requirement]
    return {cell.wheel.label: cell.word for cell in row.cells if cell.record is not None}


def test_columns_are_the_stable_wheels_and_the_nightlies_that_were_played(grid: Grid) -> None:
    assert [wheel for wheel in consumer_wheels(grid) if wheel.nightly] == [NIGHTLY]
    assert len([wheel for wheel in consumer_wheels(grid) if not wheel.nightly]) == 4


def test_each_cell_has_the_word_of_its_message(grid: Grid) -> None:
    assert words(grid, "CON-4") == {OLD.label: "works", NEW.label: "raises", NIGHTLY.label: "raises"}
    assert words(grid, "CON-6") == {NEW.label: "degraded"}
    assert words(grid, "CON-9") == {NEW.label: "aborts"}
    assert words(grid, "CON-10") == {}


def test_wheels_that_answer_the_same_are_told_together_with_what_repeats_it(page: str) -> None:
    assert f"- ! on {NEW.label}, {NIGHTLY.label}: raises: ValueError: rows" in page
    assert f"`repeat CON-4 {NEW.label}`" in page
    assert f"`repeat CON-4 {NIGHTLY.label}`" not in page


def test_what_was_not_played_says_so(page: str) -> None:
    section = page.split("### CON-10")[1].split("\n## ")[0]
    assert "Not played on any of these wheels." in section


def test_every_consumer_and_situation_has_its_place(page: str) -> None:
    for consumer in CONSUMERS:
        assert page.count(f"\n## {consumer.name}\n") == 1
    for situation in SITUATIONS:
        assert page.count(f"\n### {situation.requirement}: ") == 1
    for word, meaning in OUTCOMES.items():
        assert f"**{word}**: {meaning}" in page


def test_every_table_row_has_the_columns_of_its_head(page: str) -> None:
    lines = page.splitlines()
    for place, line in enumerate(lines):
        if line.startswith("| --- |"):
            for row in lines[place:]:
                if not row.startswith("|"):
                    break
                assert row.replace("\\|", "").count("|") == lines[place - 1].count("|"), row


def test_the_browser_page_links_each_outcome_to_its_evidence() -> None:
    html = render_report(PLAYED)["index.html"].decode()
    assert f'href="#CON-4/{NEW.label}" title="raises: ValueError: rows | columns"' in html
    assert html.count('<section id="consumers"') == 1
