# SPDX-License-Identifier: MIT
"""The page `index.html`: a table that can be read without scripts, and the data from which scripts show the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import msgspec
from markupsafe import Markup

from conformance.consumers import OUTCOMES
from conformance.differences import Difference
from conformance.report.consumers import ConsumerRow, consumer_rows, consumer_wheels
from conformance.report.grid import Cell, Grid
from conformance.report.grouping import days, group_differences
from conformance.report.references import link_target, pieces
from conformance.report.steps import Step, comparable_pairs, main_line, sibling_steps, stable_steps, step
from conformance.report.templating import environment
from conformance.report.wording import VERDICTS, WEIGHTS, page_name, printable
from conformance.timeline import Event
from conformance.verdicts import Record
from conformance.wheels import Wheel

__all__ = ["render_page"]


def render_page(grid: Grid, events: Sequence[Event]) -> bytes:
    """The whole page, self-contained."""
    inputs = grid.inputs
    by_version: dict[str, list[Wheel]] = {}
    for wheel in inputs.stable:
        by_version.setdefault(wheel.version, []).append(wheel)
    columns = [wheel for wheels in by_version.values() for wheel in wheels]
    before = {wheel.sha256: grid.before(wheel) for wheel in columns}
    steps = {
        wheel.sha256: step(grid, earlier, wheel)
        for wheel in columns
        if (earlier := before[wheel.sha256]) is not None and {earlier.sha256, wheel.sha256} <= set(inputs.facts)
    }
    text = (
        environment()
        .get_template("page.html.jinja")
        .render(
            grid=grid,
            inputs=inputs,
            lanes=inputs.results.header.lanes,
            failures=inputs.results.header.failures,
            by_version=by_version,
            columns=columns,
            before=before,
            steps=steps,
            consumer_wheels=consumer_wheels(grid),
            consumers=_consumers(grid),
            outcomes=OUTCOMES,
            segments=grid.segments(),
            main_steps=stable_steps(grid)[::-1],
            sibling_steps=[item for item in sibling_steps(grid) if not item.comparison.identical],
            newest=main_line(grid)[-1] if main_line(grid) else None,
            group_differences=group_differences,
            days=days(events)[::-1],
            style=Markup(_asset("page.css")),
            script=Markup(_asset("page.js")),
            data=Markup(_embedded(_data(grid))),
        )
    )
    return text.encode()


def _consumers(grid: Grid) -> list[ConsumerRow]:
    """Nothing where the results know nothing of consumers: the rows lead to requirements."""
    known = {item.id for item in grid.inputs.requirements}
    return [row for row in consumer_rows(grid, consumer_wheels(grid)) if row.situation.requirement in known]


def _asset(name: str) -> str:
    return resources.files("conformance.report").joinpath("templates", name).read_text(encoding="utf-8")


def _embedded(data: dict[str, Any]) -> str:
    """JSON that cannot end the script element it stands in."""
    return (
        msgspec.json.encode(data)
        .decode()
        .replace("<", "\\u003c")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


class _Pool:
    """Distinct values, each under the position at which it came first."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[bytes, int] = {}

    def place(self, value: Any) -> int:
        key = msgspec.json.encode(value)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


def _finding(record: Record) -> list[Any]:
    """What the records of one kind share: the command stands there with placeholders."""
    command = record.evidence.command.replace(record.wheel, "{wheel}").replace(record.requirement, "{requirement}")
    if command.replace("{wheel}", record.wheel).replace("{requirement}", record.requirement) != record.evidence.command:
        command = record.evidence.command
    return [
        f"{record.lane}, {record.kernel_type}" if record.kernel_type else record.lane,
        record.verdict.value,
        printable(record.message),
        [printable(line) for line in record.evidence.observed],
        printable(command),
        record.evidence.seed,
        printable(record.link),
        link_target(record.link),
    ]


def _cell(cell: Cell, pool: _Pool) -> list[int]:
    ordered = sorted((*cell.records, *cell.others), key=lambda record: VERDICTS[record.verdict].rank)
    return [pool.place(_finding(record)) for record in ordered]


def _difference(item: Difference) -> list[Any]:
    texts = (item.area, item.change, item.subject, item.before, item.after, item.consequence)
    return [int(item.weight), *(printable(text) for text in texts)]


def _pair_name(item: Step) -> str:
    return f"{item.before.label}|{item.after.label}"


def _data(grid: Grid) -> dict[str, Any]:
    inputs = grid.inputs
    findings, differences, unknown = _Pool(), _Pool(), _Pool()
    cells = [[_cell(cell, findings) for cell in grid.column(wheel)] for wheel in inputs.wheels]
    pairs = {}
    for before, after in comparable_pairs(grid):
        made = step(grid, before, after)
        listed = [differences.place(_difference(item)) for item in made.comparison.differences]
        pairs[_pair_name(made)] = [listed, unknown.place(made.comparison.unknown)]
    return {
        "verdicts": {item.verdict.value: [item.word, item.meaning] for item in VERDICTS.values()},
        "weights": [[WEIGHTS[weight].word, WEIGHTS[weight].meaning] for weight in sorted(WEIGHTS)],
        "requirements": [
            {
                "id": item.id,
                "level": item.level,
                "sentence": printable(item.sentence),
                "why": printable(item.why),
                "source": [[piece.text, piece.address] for piece in pieces(printable(item.source))],
            }
            for item in inputs.requirements
        ],
        "wheels": [
            {
                "label": wheel.label,
                "file": wheel.filename,
                "sha256": wheel.sha256,
                "built": wheel.built.isoformat(),
                "size": wheel.size,
                "nightly": wheel.nightly,
                "page": "" if wheel.nightly or wheel.sha256 not in inputs.facts else f"wheels/{page_name(wheel)}.md",
            }
            for wheel in inputs.wheels
        ],
        "findings": findings.values,
        "cells": cells,
        "differences": differences.values,
        "unknown": unknown.values,
        "pairs": pairs,
    }
