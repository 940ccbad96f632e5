# SPDX-License-Identifier: MIT
"""The nightly job: which wheels it judges, what counts as a change, and that there is one issue, brought up to date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.commands import nightly as commands
from conformance.errors import ResultsError
from conformance.nightly import IssueAction, OpenIssue, plan_issue, to_judge, verdict_changes
from conformance.results import Results, new_header, write_results
from conformance.verdicts import Evidence, Record, Verdict
from conformance.wheels import Wheel

PASS, FAIL, EXPECTED = Verdict.PASS, Verdict.FAIL, Verdict.EXPECTED_FAIL


def nightly(day: int, python: str = "cp310") -> Wheel:
    version = f"1.2.5.dev202610{day:02}"
    digest = f"{version}{python}".encode().hex().ljust(64, "0")[:64]
    return Wheel("amd-mori-nightly", version, f"{python}-{python}-any", digest, 1, f"2026-10-{day:02}T00:00:00Z")


FIRST, SECOND, THIRD = nightly(1), nightly(2), nightly(3)


def record(wheel: Wheel, verdict: Verdict, message: str = "m", requirement: str = "OVF-1") -> Record:
    return Record(requirement, wheel.label, wheel.sha256, "virtual", verdict, message, Evidence(f"run {wheel.label}"))


def results(*records: Record, wheels: tuple[Wheel, ...] = (FIRST, SECOND, THIRD)) -> Results:
    return Results(new_header(wheels, ["virtual"], ["OVF-1", "CAP-7"], {}), records)


CHANGED = results(record(FIRST, PASS), record(SECOND, FAIL, "no assertion"), wheels=(FIRST, SECOND))


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        (PASS, PASS, 0),
        (PASS, FAIL, 1),
        (FAIL, PASS, 1),
        (EXPECTED, PASS, 1),
        (PASS, Verdict.CRASH, 1),
        # What the matrix expects says nothing about what the wheel does.
        (EXPECTED, FAIL, 0),
        (PASS, Verdict.UNEXPECTED_PASS, 0),
        # Neither does our own fault, or what was not run.
        (PASS, Verdict.ENGINE_ERROR, 0),
        (Verdict.NOT_RUN, FAIL, 0),
    ],
)
def test_what_counts_as_a_change(old: Verdict, new: Verdict, count: int) -> None:
    found = results(record(FIRST, old), record(SECOND, new), wheels=(FIRST, SECOND))
    assert len(verdict_changes(found, [SECOND])) == count


def test_each_nightly_is_held_against_the_judged_one_before_it_of_its_python() -> None:
    other = nightly(2, "cp312")
    found = results(record(FIRST, PASS), record(other, FAIL), record(THIRD, FAIL), wheels=(FIRST, SECOND, other, THIRD))
    (change,) = verdict_changes(found, [other, THIRD])
    assert (change.wheel, change.before) == (THIRD, FIRST)


def test_a_nightly_that_was_not_judged_is_an_error() -> None:
    with pytest.raises(ResultsError, match="dev20261003"):
        verdict_changes(CHANGED, [THIRD])


def test_no_change_opens_no_issue() -> None:
    assert plan_issue((), [OpenIssue(4, "t", "b")]) == IssueAction("none")


def test_a_change_opens_an_issue_that_says_all_of_it() -> None:
    action = plan_issue(verdict_changes(CHANGED, [SECOND]), [])
    assert (action.kind, action.number) == ("create", 0)
    for part in ("1.2.5.dev20261002", "Against 1.2.5.dev20261001", "pass → fail", "no assertion", SECOND.sha256):
        assert part in action.body


def test_the_same_change_the_next_night_does_nothing() -> None:
    changes = verdict_changes(CHANGED, [SECOND])
    body = plan_issue(changes, []).body
    # GitHub gives texts back with other line ends, and without the last one.
    kept = OpenIssue(4, "renamed by somebody", body.rstrip().replace("\n", "\r\n"))
    assert plan_issue(changes, [kept]) == IssueAction("none")


def test_another_change_goes_into_the_oldest_open_issue_before_what_is_there() -> None:
    old = plan_issue(verdict_changes(CHANGED, [SECOND]), []).body
    later = results(record(SECOND, FAIL), record(THIRD, PASS, "mended"), wheels=(SECOND, THIRD))
    action = plan_issue(
        verdict_changes(later, [SECOND, THIRD]), [OpenIssue(9, "other", ""), OpenIssue(4, "kept title", old)]
    )
    assert (action.kind, action.number, action.title) == ("update", 4, "kept title")
    assert action.body.index("dev20261003 (cp310)") < action.body.index("dev20261002 (cp310)")
    assert "no assertion" in action.body


def test_a_nightly_judged_again_replaces_its_section() -> None:
    old = plan_issue(verdict_changes(CHANGED, [SECOND]), []).body
    again = results(record(FIRST, PASS), record(SECOND, FAIL, "another message"), wheels=(FIRST, SECOND))
    action = plan_issue(verdict_changes(again, [SECOND]), [OpenIssue(4, "t", old)])
    assert "another message" in action.body
    assert "no assertion" not in action.body
    assert action.body.count("## 1.2.5.dev20261002") == 1


def test_a_message_cannot_break_the_table_mention_anybody_or_end_a_section() -> None:
    nasty = "a | b\n<!-- nightly x -->\n@everyone `code`"
    found = results(record(FIRST, PASS), record(SECOND, FAIL, nasty), wheels=(FIRST, SECOND))
    body = plan_issue(verdict_changes(found, [SECOND]), []).body
    assert body.count("<!-- nightly") == 1
    assert "@everyone" not in body
    rows = [line for line in body.splitlines() if line.startswith("| OVF-1")]
    assert [row.count("|") for row in rows] == [6]


def test_an_issue_never_grows_beyond_what_github_takes() -> None:
    old = "\n".join(f"<!-- nightly old{number} -->\n{'x' * 9000}\n" for number in range(9))
    action = plan_issue(verdict_changes(CHANGED, [SECOND]), [OpenIssue(4, "t", old)])
    assert len(action.body) < 65_536
    assert "no assertion" in action.body
    assert "more sections did not fit" in action.body
    # The next update does not repeat what is said about the one before.
    again = plan_issue(verdict_changes(CHANGED, [SECOND]), [OpenIssue(4, "t", action.body.replace("no assertion", ""))])
    assert again.body.count("did not fit") <= 1


@pytest.mark.parametrize(
    ("new", "most", "expected"),
    [
        ([], 3, ()),
        ([THIRD], 3, (SECOND, THIRD)),
        ([SECOND, THIRD], 3, (FIRST, SECOND, THIRD)),
        ([SECOND, THIRD], 1, (SECOND, THIRD)),
        ([FIRST], 3, (FIRST, SECOND, THIRD)),
    ],
)
def test_new_nightlies_are_judged_with_the_one_before(new: list[Wheel], most: int, expected: tuple[Wheel, ...]) -> None:
    assert to_judge(new, [FIRST, SECOND, THIRD], most) == expected


def test_the_command_writes_what_the_workflow_reads(tmp_path: Path) -> None:
    write_results(CHANGED, tmp_path / "results.jsonl")
    (tmp_path / "open.json").write_text(json.dumps([{"number": 12, "title": "t", "body": "by hand"}]), encoding="utf-8")
    assert commands.issue(tmp_path / "results.jsonl", tmp_path / "open.json", tmp_path / "issue") == 0
    read = {file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "issue").iterdir()}
    assert {name: read[name] for name in ("action", "number", "title")} == {
        "action": "update\n",
        "number": "12\n",
        "title": "t\n",
    }
    assert "no assertion" in read["body.md"]
    assert read["body.md"].startswith("by hand\n")


@pytest.mark.parametrize("text", [None, "not JSON", '[{"number": "x"}]'])
def test_open_issues_that_cannot_be_read_are_an_error_that_says_how(tmp_path: Path, text: str | None) -> None:
    write_results(CHANGED, tmp_path / "results.jsonl")
    if text is not None:
        (tmp_path / "open.json").write_text(text, encoding="utf-8")
    with pytest.raises(ResultsError, match="gh issue list"):
        commands.issue(tmp_path / "results.jsonl", tmp_path / "open.json", tmp_path / "issue")
