# SPDX-License-Identifier: MIT
"""`results.jsonl`: a header, one line for each verdict, a footer.

The footer is mandatory: a file without it comes from a run that was cut off, and says so when it is read. Times and host names
stand in the header and nowhere else, so that two runs over the same input differ in one line at most.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from conformance.catalogue import kernel_type_order, suite_revision
from conformance.errors import ResultsError
from conformance.verdicts import Record, Verdict
from conformance.wheels import Wheel

__all__ = [
    "Footer",
    "Header",
    "Line",
    "Results",
    "encode_footer",
    "merge_results",
    "new_header",
    "read_results",
    "write_results",
]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="header", tag_field="kind"):
    """What was judged, by what rules, when and where. `wheels` are those selected, with or without verdicts.

    `failures` are wheels that could not be judged at all, with the reason.
    """

    schema: Literal[1]
    revision: str
    lanes: tuple[str, ...]
    requirements: tuple[str, ...]
    wheels: tuple[Wheel, ...]
    failures: dict[str, str]
    made: str
    host: str
    python: str


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="verdict", tag_field="kind"):
    record: Record


class Footer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="footer", tag_field="kind"):
    verdicts: int
    counts: dict[str, int]
    sha256: str


@dataclass(frozen=True)
class Results:
    """A complete results file. Records are in the order of wheels, then of requirements."""

    header: Header
    records: tuple[Record, ...]

    def counts(self) -> dict[str, int]:
        """How often each verdict occurs, in the vocabulary's order, zeros left out."""
        found = {verdict.value: sum(record.verdict == verdict for record in self.records) for verdict in Verdict}
        return {name: number for name, number in found.items() if number}


def new_header(
    wheels: Iterable[Wheel], lanes: Sequence[str], requirements: Sequence[str], failures: dict[str, str]
) -> Header:
    """A header for a run that ends now on this machine."""
    return Header(
        schema=1,
        revision=suite_revision(),
        lanes=tuple(lanes),
        requirements=tuple(requirements),
        wheels=tuple(sorted(wheels, key=lambda wheel: wheel.order)),
        failures=dict(sorted(failures.items())),
        made=datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0).isoformat(),
        host=platform.node(),
        python=platform.python_version(),
    )


def encode_footer(records: Sequence[Record], body: bytes) -> bytes:
    """The line that ends a file whose verdicts are these, written as `body`."""
    counts = {verdict.value: sum(record.verdict == verdict for record in records) for verdict in Verdict}
    found = {name: number for name, number in counts.items() if number}
    return msgspec.json.encode(Footer(len(records), found, hashlib.sha256(body).hexdigest())) + b"\n"


def _encode(results: Results) -> bytes:
    body = b"".join(msgspec.json.encode(Line(record)) + b"\n" for record in results.records)
    return msgspec.json.encode(results.header) + b"\n" + body + encode_footer(results.records, body)


def write_results(results: Results, path: Path) -> None:
    """Write by rename: a killed run or a full disk leaves the file that was there before.

    Raises:
        ResultsError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_encode(results))
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ResultsError(
            f"{path}: cannot be written: {error.strerror or error}; free some space or name another place, results that were "
            "there before are untouched"
        ) from error


def read_results(path: Path) -> Results:
    """Read a complete results file.

    Raises:
        ResultsError: missing, cut off (no footer), altered, or of another schema; names the line.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not lines or lines[-1] != b"" or len(lines) < 3:
        raise ResultsError(f"{path}: incomplete: the run that wrote it was cut off (no footer); run it again")
    decoder = msgspec.json.Decoder(Header | Line | Footer)
    items: list[Header | Line | Footer] = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            items.append(decoder.decode(line))
        except msgspec.MsgspecError as error:
            raise ResultsError(f"{path}: line {number} is malformed: {error}") from error
    header, footer = items[0], items[-1]
    if not isinstance(header, Header):
        raise ResultsError(f"{path}: line 1 is no header: not a results file")
    if not isinstance(footer, Footer):
        raise ResultsError(f"{path}: incomplete: the run that wrote it was cut off (no footer); run it again")
    body = [item for item in items[1:-1] if isinstance(item, Line)]
    digest = hashlib.sha256(b"".join(line + b"\n" for line in lines[1:-2])).hexdigest()
    if len(body) != len(items) - 2 or footer.verdicts != len(body) or footer.sha256 != digest:
        raise ResultsError(f"{path}: the footer does not fit the verdicts: the file was altered after the run")
    return Results(header, tuple(item.record for item in body))


def merge_results(parts: Sequence[Results]) -> Results:
    """One set of results out of several runs of the same suite revision; of two verdicts on the same thing the later stays.

    Raises:
        ResultsError: nothing to merge, or different revisions.
    """
    if not parts:
        raise ResultsError("no results to merge")
    revisions = sorted({part.header.revision for part in parts})
    if len(revisions) > 1:
        raise ResultsError(
            f"results of different suite revisions cannot be merged ({', '.join(revisions)}): they follow different rules; run "
            "the older ones again"
        )
    ordered = sorted(parts, key=lambda part: part.header.made)
    latest: dict[tuple[str, str, str, str], Record] = {}
    for part in ordered:
        latest.update({record.key: record for record in part.records})
    wheels = {wheel.sha256: wheel for part in ordered for wheel in part.header.wheels}
    requirements = list(dict.fromkeys(name for part in ordered for name in part.header.requirements))
    judged = {record.sha256 for record in latest.values()}
    failures = {
        label: reason
        for part in ordered
        for label, reason in part.header.failures.items()
        if not any(wheel.label == label and wheel.sha256 in judged for wheel in wheels.values())
    }
    header = msgspec.structs.replace(
        ordered[-1].header,
        lanes=tuple(dict.fromkeys(lane for part in ordered for lane in part.header.lanes)),
        requirements=tuple(requirements),
        wheels=tuple(sorted(wheels.values(), key=lambda wheel: wheel.order)),
        failures=dict(sorted(failures.items())),
    )
    position = {name: index for index, name in enumerate(requirements)}
    records = sorted(
        latest.values(),
        key=lambda record: (
            wheels[record.sha256].order,
            position[record.requirement],
            record.lane,
            kernel_type_order(record.kernel_type),
        ),
    )
    return Results(header, tuple(records))
