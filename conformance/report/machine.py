# SPDX-License-Identifier: MIT
"""The report for machines: JSON, badges, JUnit."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import msgspec

from conformance.report.grid import Cell, Grid
from conformance.report.wording import printable
from conformance.verdicts import Verdict
from conformance.wheels import Wheel

__all__ = ["render_badge", "render_json", "render_junit"]

_SKIPPED = (Verdict.EXPECTED_FAIL, Verdict.UNSUPPORTED, Verdict.NOT_APPLICABLE, Verdict.NOT_RUN)
_ERRORS = (Verdict.CRASH, Verdict.TIMEOUT, Verdict.ENGINE_ERROR)


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def render_json(grid: Grid) -> bytes:
    """Requirements, wheels, and for each requirement and wheel the verdict with its message. One row a line, to diff well."""
    inputs = grid.inputs
    requirements = {
        item.id: {
            "level": item.level,
            "sentence": item.sentence,
            "why": item.why,
            "source": item.source,
            "lanes": list(item.lanes),
        }
        for item in inputs.requirements
    }
    wheels = {
        wheel.label: {
            "distribution": wheel.distribution,
            "version": wheel.version,
            "tag": wheel.tag,
            "sha256": wheel.sha256,
            "built": wheel.built.isoformat(),
            "counts": {verdict.value: number for verdict, number in grid.counts(wheel).items() if verdict is not None},
        }
        for wheel in inputs.wheels
    }
    lines = ['{"schema":1,', f'"suite_revision":{_compact(inputs.results.header.revision)},', '"requirements":{']
    lines += _rows(requirements)
    lines += [
        "},",
        '"wheels":{',
        *_rows(wheels),
        "},",
        '"not_judged":' + _compact(inputs.results.header.failures) + ",",
    ]
    lines.append('"verdicts":{')
    blocks = []
    for item in inputs.requirements:
        cells = {wheel.label: _verdict(grid.cell(item, wheel)) for wheel in inputs.wheels}
        blocks.append("\n".join([f"{_compact(item.id)}:{{", *_rows({k: v for k, v in cells.items() if v}), "}"]))
    lines += [",\n".join(blocks), "}}"]
    return ("\n".join(lines) + "\n").encode()


def _rows(table: dict[str, Any]) -> list[str]:
    return [",\n".join(f"{_compact(name)}:{_compact(value)}" for name, value in table.items())] if table else []


def _verdict(cell: Cell) -> dict[str, Any]:
    if cell.record is None or cell.verdict is None:
        return {}
    shown: dict[str, Any] = {"verdict": cell.verdict.value, "lane": cell.record.lane, "message": cell.record.message}
    if len(cell.records) > 1:
        shown["lanes"] = {record.lane: record.verdict.value for record in cell.records}
    return shown


def render_badge(grid: Grid, wheel: Wheel) -> bytes:
    """A badge by the schema of shields.io's endpoint."""
    counts = grid.counts(wheel)
    bad = sum(number for verdict, number in counts.items() if verdict is not None and verdict.is_failure)
    known = counts.get(Verdict.EXPECTED_FAIL, 0)
    parts = [f"{counts.get(Verdict.PASS, 0)} pass"]
    if known:
        parts.append(f"{known} known failure" + ("s" if known > 1 else ""))
    if bad:
        parts.append(f"{bad} new")
    content = {
        "schemaVersion": 1,
        "label": f"MORI-EP {wheel.version} {wheel.python}",
        "message": ", ".join(parts),
        "color": "red" if bad else "orange" if known else "brightgreen",
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def render_junit(grid: Grid) -> bytes:
    """One suite for each wheel, one case for each requirement. Known failures are skipped cases with their message."""
    root = ElementTree.Element("testsuites", name="MORI-EP conformance")
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    suites: dict[str, ElementTree.Element] = {}
    for wheel in grid.inputs.wheels:
        suite = suites[wheel.label] = ElementTree.SubElement(root, "testsuite", name=wheel.label)
        numbers = dict.fromkeys(totals, 0)
        properties = ElementTree.SubElement(suite, "properties")
        ElementTree.SubElement(properties, "property", name="sha256", value=wheel.sha256)
        for cell in grid.column(wheel):
            if cell.record is None:
                continue
            case = ElementTree.SubElement(suite, "testcase", classname=wheel.label, name=cell.requirement.id)
            numbers["tests"] += 1
            kind = _outcome(cell.record.verdict)
            if kind is None:
                continue
            numbers[{"failure": "failures", "error": "errors", "skipped": "skipped"}[kind]] += 1
            message = printable(f"{cell.record.verdict.value}: {cell.record.message}")
            attributes = (
                {"message": message} if kind == "skipped" else {"message": message, "type": cell.record.verdict.value}
            )
            element = ElementTree.SubElement(case, kind, attributes)
            if kind != "skipped":
                element.text = printable("\n".join((*cell.record.evidence.observed, cell.record.evidence.command)))
        for name, number in numbers.items():
            suite.set(name, str(number))
            totals[name] += number
    for label, reason in grid.inputs.results.header.failures.items():
        # A wheel that could not be judged must turn a build red, not vanish from it.
        if label not in suites:
            suites[label] = ElementTree.SubElement(root, "testsuite", {"name": label, **dict.fromkeys(totals, "0")})
        suite = suites[label]
        case = ElementTree.SubElement(suite, "testcase", classname=label, name="survey")
        ElementTree.SubElement(case, "error", {"message": printable(reason), "type": "not judged"})
        for name in ("tests", "errors"):
            suite.set(name, str(int(suite.get(name, "0")) + 1))
            totals[name] += 1
    for name, number in totals.items():
        root.set(name, str(number))
    ElementTree.indent(root, space="")
    body: str = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'.encode()


def _outcome(verdict: Verdict) -> str | None:
    if verdict == Verdict.PASS:
        return None
    if verdict in _SKIPPED:
        return "skipped"
    return "error" if verdict in _ERRORS else "failure"
