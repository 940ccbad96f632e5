# SPDX-License-Identifier: MIT
"""Drafts of expectations: for failures that the matrix does not expect, the entries that would expect them.

A draft says what was seen and on which wheels. Whether the failure is the release's, and where it is discussed, is for whoever
takes it over into `matrix.toml` to find out.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass

from conformance.matrix import DEFAULT_KERNEL_TYPE, Matrix
from conformance.results import Results
from conformance.verdicts import Record, Verdict
from conformance.wheels import Wheel

__all__ = ["Draft", "draft_expectations"]

_FAILURES = (Verdict.FAIL, Verdict.CRASH, Verdict.TIMEOUT)
# What differs from run to run: addresses, sizes, and which rank or token comes first where the order of waves decides.
_VARYING = re.compile(r"0x[0-9a-f]+|\b\d+\b|[\"\\\n]")
_LONGEST, _TELLING = 90, 16


@dataclass(frozen=True)
class Draft:
    """One entry for `matrix.toml`, but for its link.

    Attributes:
        versions: the stable releases, as PEP 440 has it.
        nightlies: first and last date of the nightlies; "" for none, and for the last where it is the newest that was judged.
    """

    requirement: str
    kernel_type: str
    lane: str
    versions: str
    nightlies: tuple[str, str]
    message: str

    def text(self) -> str:
        lines = ["[[expectations]]", f'requirement = "{self.requirement}"']
        if self.kernel_type and self.kernel_type != DEFAULT_KERNEL_TYPE:
            lines.append(f'kernel_types = ["{self.kernel_type}"]')
        lines.append(f'versions = "{self.versions}"')
        first, last = self.nightlies
        lines += [f"nightly_first = {first}"] if first else []
        lines += [f"nightly_last = {last}"] if last else []
        return "\n".join(
            [*lines, f'lane = "{self.lane}"', f'message = "{self.message}"', 'link = "docs/measured.md"', ""]
        )


def draft_expectations(results: Results, matrix: Matrix) -> tuple[Draft, ...]:
    """A draft for each run of releases on which a requirement fails in one way that nobody expects.

    A run ends where a release that was judged does not fail so: an entry holds for all releases between its first and last.
    """
    wheels = {wheel.sha256: wheel for wheel in results.header.wheels}
    by_subject: dict[tuple[str, str, str], list[Record]] = {}
    for record in results.records:
        by_subject.setdefault((record.requirement, record.kernel_type, record.lane), []).append(record)
    newest = max((wheel.built for wheel in wheels.values() if wheel.nightly), default=None)
    drafts: list[Draft] = []
    for (requirement, kernel_type, lane), records in by_subject.items():
        ordered = sorted(records, key=lambda record: wheels[record.sha256].order)
        for run in _runs(ordered):
            found = [wheels[record.sha256] for record in run]
            stable = [wheel for wheel in found if not wheel.nightly]
            if stable:
                drafts.append(
                    Draft(
                        requirement,
                        kernel_type,
                        lane,
                        _versions(stable, matrix),
                        _dates(found, newest),
                        _common([record.message for record in run]),
                    )
                )
    return tuple(drafts)


def _words(record: Record) -> str:
    """How a failure begins: what keeps it apart from another way to fail."""
    return _VARYING.split(record.message)[0]


def _runs(records: Sequence[Record]) -> list[list[Record]]:
    """Failures in a row, of one kind; a release that was not judged ends no run."""
    runs: list[list[Record]] = []
    going = False
    for record in records:
        if record.verdict in _FAILURES:
            if going and _words(runs[-1][-1]) == _words(record):
                runs[-1].append(record)
            else:
                runs.append([record])
            going = True
        elif record.verdict in (Verdict.PASS, Verdict.UNSUPPORTED, Verdict.EXPECTED_FAIL):
            going = False
    return runs


def _versions(wheels: Sequence[Wheel], matrix: Matrix) -> str:
    every = list(dict.fromkeys(wheel.version for wheel in matrix.stable))
    own = list(dict.fromkeys(wheel.version for wheel in wheels))
    if len(own) == 1:
        return f"=={own[0]}"
    return f">={own[0]}" if own[-1] == every[-1] else f">={own[0]},<={own[-1]}"


def _dates(wheels: Sequence[Wheel], newest: datetime.date | None) -> tuple[str, str]:
    dates = [wheel.built for wheel in wheels if wheel.nightly]
    if not dates:
        return "", ""
    return min(dates).isoformat(), "" if max(dates) == newest else max(dates).isoformat()


def _common(messages: Sequence[str]) -> str:
    """A part that all messages have and that does not change from run to run: the first that tells something, or the longest."""
    parts = [part.strip()[:_LONGEST].strip() for part in _VARYING.split(messages[0])]
    shared = [part for part in parts if part and all(part in message for message in messages)]
    telling = (part for part in shared if len(part) >= _TELLING)
    return next(telling, None) or max(shared, key=len, default=messages[0][:_LONGEST])
