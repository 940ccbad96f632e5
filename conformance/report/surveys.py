# SPDX-License-Identifier: MIT
"""The surveys behind a report, as one committed file: what its pages need, and nothing twice.

Wheels share nearly everything, so each part of a wheel's facts stands in the file once and a wheel names it by position.
Digests of code serve only comparisons between wheels of one version or stable ones, so those of other nightlies are left
out.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from conformance.errors import ResultsError
from conformance.survey.facts import EXTRACTOR_REVISION, WheelFacts
from conformance.wheels import Wheel
from moriep.surface import Surface

__all__ = ["decode_surveys", "encode_surveys", "read_surveys", "reduced"]

_SCHEMA = 1
_SURFACE = "surface"
_SURFACE_PARTS = tuple(item.name for item in dataclasses.fields(Surface))
_OTHER_PARTS = tuple(item.name for item in dataclasses.fields(WheelFacts) if item.name not in ("sha256", _SURFACE))


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`parts` holds the values of each part, `wheels` the positions of each wheel's, in the order of `parts`."""

    schema: int
    extractor: int
    parts: dict[str, list[Any]]
    wheels: dict[str, list[int]]


def reduced(wheels: Iterable[Wheel], facts: Mapping[str, WheelFacts]) -> dict[str, WheelFacts]:
    """The facts of the given wheels, without what no page and no judge needs."""
    known = [wheel for wheel in wheels if wheel.sha256 in facts]
    versions = Counter((wheel.distribution, wheel.version) for wheel in known)
    return {
        wheel.sha256: _without_code(facts[wheel.sha256])
        if wheel.nightly and versions[wheel.distribution, wheel.version] == 1
        else facts[wheel.sha256]
        for wheel in known
    }


def _without_code(facts: WheelFacts) -> WheelFacts:
    return dataclasses.replace(facts, kernel_functions=(), method_digests={}, device_asserts={})


def encode_surveys(wheels: Iterable[Wheel], facts: Mapping[str, WheelFacts]) -> bytes:
    """The file's content: the same facts always give the same bytes."""
    known = [wheel for wheel in sorted(set(wheels), key=lambda item: item.order) if wheel.sha256 in facts]
    places: dict[str, dict[bytes, int]] = {name: {} for name in (*_SURFACE_PARTS, *_OTHER_PARTS)}
    positions: dict[str, list[int]] = {}
    kept = reduced(known, facts)
    for wheel in known:
        own = kept[wheel.sha256]
        values = [getattr(own.surface, name) for name in _SURFACE_PARTS] + [getattr(own, name) for name in _OTHER_PARTS]
        row = []
        for table, value in zip(places.values(), values, strict=True):
            row.append(table.setdefault(msgspec.json.encode(value), len(table)))
        positions[wheel.sha256] = row
    # One value a line: a new wheel then shows as the few lines that it adds.
    lines = [f'{{"schema":{_SCHEMA},"extractor":{EXTRACTOR_REVISION},', '"parts":{']
    for index, (name, table) in enumerate(places.items()):
        body = ",\n".join(value.decode() for value in table)
        lines.append(f'"{name}":[\n{body}\n]' + ("," if index + 1 < len(places) else ""))
    lines += ["},", '"wheels":{']
    rows = [f'"{sha256}":{msgspec.json.encode(row).decode()}' for sha256, row in positions.items()]
    lines.append(",\n".join(rows))
    lines.append("}}")
    return ("\n".join(lines) + "\n").encode()


def decode_surveys(content: bytes, name: str) -> dict[str, WheelFacts]:
    """Facts by sha256.

    Raises:
        ResultsError: malformed, or made by another revision of the survey's readers. `name` is what the message calls it.
    """
    try:
        document = msgspec.json.decode(content, type=_Document)
        if (document.schema, document.extractor) != (_SCHEMA, EXTRACTOR_REVISION):
            raise ResultsError(
                f"{name}: made by revision {document.extractor} of the survey's readers, this is {EXTRACTOR_REVISION}; make "
                "the report again"
            )
        names = list(document.parts)
        facts: dict[str, WheelFacts] = {}
        for sha256, row in document.wheels.items():
            own = {part: document.parts[part][position] for part, position in zip(names, row, strict=True)}
            surface = {part: own.pop(part) for part in _SURFACE_PARTS}
            facts[sha256] = msgspec.convert({"sha256": sha256, _SURFACE: surface, **own}, WheelFacts)
    except (msgspec.MsgspecError, KeyError, IndexError, ValueError) as error:
        raise ResultsError(f"{name}: not a file of surveys: {error}; make the report again") from error
    return facts


def read_surveys(path: Path) -> dict[str, WheelFacts]:
    """Raises ResultsError if the file is missing or unusable."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResultsError(f"{path.name}: cannot be read: {error.strerror or error}; make the report again") from error
    return decode_surveys(content, path.name)
