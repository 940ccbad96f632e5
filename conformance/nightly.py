# SPDX-License-Identifier: MIT
"""New nightlies: which to judge, which verdicts they changed, and the one issue that says so.

Nothing here talks to GitHub: the workflow hands over the open issues as JSON and does what `plan_issue` answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from conformance.errors import ResultsError
from conformance.results import Results
from conformance.verdicts import Record, Verdict
from conformance.wheels import Wheel

__all__ = ["LABEL", "IssueAction", "NightlyChange", "OpenIssue", "plan_issue", "to_judge", "verdict_changes"]

LABEL = "nightly-verdicts"
TITLE = "A nightly of amd-mori changed verdicts"
# GitHub takes 65536 characters; the rest is for what people write into it.
_MOST_CHARACTERS = 60_000
_MARK = re.compile(r"^<!-- nightly (?P<wheel>\S+) -->$", re.MULTILINE)
_INTRODUCTION = (
    "Kept by the nightly workflow: one section for each nightly whose verdicts differ from those of the nightly before it. "
    "Close it when all of it is known; the next change opens another."
)
_LEFT_OUT = re.compile(r"^\d+ more sections did not fit; .*$\n?", re.MULTILINE)
# They say nothing about the wheel.
_SILENT = (Verdict.ENGINE_ERROR, Verdict.NOT_RUN)
# An expectation changes what a verdict is called, not what the wheel does.
_SAME = {Verdict.EXPECTED_FAIL: Verdict.FAIL, Verdict.UNEXPECTED_PASS: Verdict.PASS}


@dataclass(frozen=True)
class NightlyChange:
    """One verdict of a nightly that is another than that of the nightly before it."""

    wheel: Wheel
    before: Wheel
    old: Record
    new: Record

    def line(self) -> str:
        return (
            f"| {self.new.subject} | {self.new.lane} | {_plain(self.old.verdict).value} → {_plain(self.new.verdict).value} "
            f"| {_cell(self.new.message)} | `{_cell(self.new.evidence.command)}` |"
        )


@dataclass(frozen=True)
class OpenIssue:
    """An issue as `gh issue list --json number,title,body` tells it."""

    number: int
    title: str
    body: str


@dataclass(frozen=True)
class IssueAction:
    """What is to be done. `number` is that of the issue to be updated, 0 for a new one; `body` is the whole new text."""

    kind: Literal["none", "create", "update"]
    number: int = 0
    title: str = ""
    body: str = ""


def _plain(verdict: Verdict) -> Verdict:
    return _SAME.get(verdict, verdict)


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table: nothing of it may end the cell, or become a mark, a mention or a link of ours."""
    cleaned = re.sub(r"\s+", " ", text).replace("|", "¦").replace("`", "'").replace("<", "‹").replace(">", "›")
    cleaned = cleaned.replace("@", "@\u200b")
    return cleaned if len(cleaned) <= 300 else f"{cleaned[:299]}…"


def to_judge(new: Iterable[Wheel], all_wheels: Sequence[Wheel], most: int) -> tuple[Wheel, ...]:
    """The newest nightlies among the new ones, with the one before them to compare with; nothing if there is nothing new.

    Args:
        all_wheels: every wheel that is locked, the new ones included. most: of each Python.
    """
    chosen: dict[str, Wheel] = {}
    for python in sorted({wheel.python for wheel in all_wheels}):
        line = [wheel for wheel in all_wheels if wheel.nightly and wheel.python == python]
        fresh = {wheel.sha256 for wheel in new}
        places = [place for place, wheel in enumerate(line) if wheel.sha256 in fresh][-most:]
        if places:
            chosen.update({wheel.sha256: wheel for wheel in line[max(0, places[0] - 1) :]})
    return tuple(sorted(chosen.values(), key=lambda wheel: wheel.order))


def verdict_changes(results: Results, wheels: Sequence[Wheel]) -> tuple[NightlyChange, ...]:
    """Every verdict of these nightlies that differs from that of the judged nightly before, newest nightly first.

    What one of the two does not have, or what says nothing about the wheel, is no change.

    Raises:
        ResultsError: a wheel was not judged.
    """
    judged: dict[str, dict[tuple[str, str, str], Record]] = {}
    for record in results.records:
        judged.setdefault(record.sha256, {})[record.requirement, record.kernel_type, record.lane] = record
    missing = [wheel.label for wheel in wheels if wheel.sha256 not in judged]
    if missing:
        raise ResultsError(f"the results have no verdicts on {', '.join(missing)}: judge them first")
    line = sorted((wheel for wheel in results.header.wheels if wheel.nightly), key=lambda wheel: wheel.order)
    changes: list[NightlyChange] = []
    for wheel in sorted(wheels, key=lambda item: item.order, reverse=True):
        earlier = [
            item for item in line if item.order < wheel.order and item.python == wheel.python and item.sha256 in judged
        ]
        if not earlier:
            continue
        before = earlier[-1]
        for key, new in judged[wheel.sha256].items():
            old = judged[before.sha256].get(key)
            if old is None or old.verdict in _SILENT or new.verdict in _SILENT:
                continue
            if _plain(old.verdict) != _plain(new.verdict):
                changes.append(NightlyChange(wheel, before, old, new))
    return tuple(changes)


def _sections(changes: Sequence[NightlyChange]) -> dict[str, str]:
    by_wheel: dict[str, list[NightlyChange]] = {}
    for change in changes:
        by_wheel.setdefault(change.wheel.label, []).append(change)
    found = {}
    for label, items in by_wheel.items():
        first = items[0]
        found[label] = "\n".join(
            [
                f"<!-- nightly {label} -->",
                f"## {first.wheel.version} ({first.wheel.python}), built {first.wheel.built:%Y-%m-%d}",
                "",
                f"Against {first.before.version}: {len(items)} verdicts changed. sha256 `{first.wheel.sha256}`",
                "",
                "| requirement | lane | verdict | message | repeat |",
                "| --- | --- | --- | --- | --- |",
                *(item.line() for item in items),
                "",
            ]
        )
    return found


def _split(body: str) -> tuple[str, dict[str, str]]:
    """(what stands before the sections, the sections by wheel) of an issue's text."""
    text = _LEFT_OUT.sub("", body.replace("\r\n", "\n"))
    marks = list(_MARK.finditer(text))
    if not marks:
        return text.strip(), {}
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    sections = {mark["wheel"]: text[mark.start() : end].rstrip() + "\n" for mark, end in zip(marks, ends, strict=True)}
    return text[: marks[0].start()].strip(), sections


def _text(sections: Mapping[str, str], before: str) -> str:
    """What stands before, and as many sections as fit, in the given order."""
    kept, size = [f"{before}\n"], len(before)
    for place, section in enumerate(sections.values()):
        if size + len(section) + 200 > _MOST_CHARACTERS:
            kept.append(f"{len(sections) - place} more sections did not fit; the workflow's results have them all.\n")
            break
        kept.append(section)
        size += len(section) + 1
    return "\n".join(kept)


def plan_issue(changes: Sequence[NightlyChange], open_issues: Sequence[OpenIssue]) -> IssueAction:
    """One issue for all changes: the oldest open one is brought up to date, and only where there is none a new one is opened.

    Asked twice with the same changes it answers `none` the second time.

    Args:
        open_issues: those with the label `LABEL`.
    """
    if not changes:
        return IssueAction("none")
    fresh = _sections(changes)
    if not open_issues:
        return IssueAction("create", 0, TITLE, _text(fresh, _INTRODUCTION))
    current = min(open_issues, key=lambda issue: issue.number)
    before, kept = _split(current.body)
    # What is new stands first; a section that is there already keeps its place.
    merged = {label: text for label, text in fresh.items() if label not in kept}
    merged.update({label: fresh.get(label, text) for label, text in kept.items()})
    # What people wrote before the sections stays.
    body = _text(merged, before or _INTRODUCTION)
    if body.strip() == current.body.replace("\r\n", "\n").strip():
        return IssueAction("none")
    return IssueAction("update", current.number, current.title, body)
