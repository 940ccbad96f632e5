# SPDX-License-Identifier: MIT
"""Consumers × releases: what each framework meets on each release, from the verdicts of the group CON and the surveys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.consumers import CONSUMERS, OUTCOMES, Consumer, Situation, accept, outcome_of
from conformance.consumers.acceptance import TYPICAL
from conformance.consumers.outcomes import ConsumerOutcome
from conformance.report.grid import Grid
from conformance.report.templating import environment
from conformance.verdicts import Record, Verdict
from conformance.wheels import Wheel

__all__ = ["ConsumerCell", "ConsumerRow", "consumer_rows", "consumer_wheels", "render_consumer_page"]

_SYMBOLS = {"works": "✓", "degraded": "△", "wrong": "✘", "raises": "!", "aborts": "†", "hangs": "∞", "unknown": "○"}


@dataclass(frozen=True)
class ConsumerCell:
    """One situation on one wheel; `record` is None, and the word "unknown", where it was not played."""

    wheel: Wheel
    word: ConsumerOutcome
    record: Record | None

    @property
    def symbol(self) -> str:
        return _SYMBOLS[self.word]


@dataclass(frozen=True)
class ConsumerRow:
    """One situation on all wheels.

    Attributes:
        kinds: wheels that answered the same, in the order of their first; those on which it was not played left out.
    """

    consumer: Consumer
    situation: Situation
    cells: tuple[ConsumerCell, ...]

    @property
    def kinds(self) -> list[list[ConsumerCell]]:
        found: dict[str, list[ConsumerCell]] = {}
        for cell in self.cells:
            if cell.record is not None:
                found.setdefault(cell.record.message, []).append(cell)
        return list(found.values())


def consumer_wheels(grid: Grid) -> tuple[Wheel, ...]:
    """The stable wheels, and the nightlies on which any situation was played."""
    played = {
        record.sha256
        for record in grid.inputs.results.records
        if record.requirement.startswith("CON-") and record.verdict is not Verdict.NOT_RUN
    }
    return (*grid.inputs.stable, *(wheel for wheel in grid.inputs.nightlies if wheel.sha256 in played))


def consumer_rows(grid: Grid, wheels: Sequence[Wheel]) -> list[ConsumerRow]:
    """Every situation of every consumer. Of several lanes the one that the grid shows is taken."""
    known = {item.id: item for item in grid.inputs.requirements}

    def cell(situation: Situation, wheel: Wheel) -> ConsumerCell:
        requirement = known.get(situation.requirement)
        record = grid.cell(requirement, wheel).record if requirement is not None else None
        if record is None or record.verdict in (Verdict.NOT_RUN, Verdict.NOT_APPLICABLE):
            return ConsumerCell(wheel, "unknown", None)
        return ConsumerCell(wheel, outcome_of(record.message), record)

    return [
        ConsumerRow(consumer, situation, tuple(cell(situation, wheel) for wheel in wheels))
        for consumer in CONSUMERS
        for situation in consumer.situations
    ]


def _accepted(grid: Grid, consumer: Consumer) -> list[tuple[str, list[Wheel], tuple[str, ...]]]:
    """(what the constructor says to its arguments, wheels, what pruning loses), over the stable wheels with facts."""
    found: dict[tuple[str, tuple[str, ...]], list[Wheel]] = {}
    for wheel in grid.inputs.stable:
        if wheel.sha256 in grid.inputs.facts:
            answer = accept(consumer, grid.inputs.facts[wheel.sha256].surface)
            found.setdefault((answer.text(), answer.lost), []).append(wheel)
    return [(text, wheels, lost) for (text, lost), wheels in found.items()]


def render_consumer_page(grid: Grid) -> bytes:
    """The page `consumers.md`."""
    wheels = consumer_wheels(grid)
    rows = consumer_rows(grid, wheels)
    text = (
        environment()
        .get_template("consumers.md.jinja")
        .render(
            grid=grid,
            wheels=wheels,
            rows=rows,
            consumers=[(consumer, _accepted(grid, consumer)) for consumer in CONSUMERS],
            outcomes=OUTCOMES,
            symbols=_SYMBOLS,
            arguments=lambda consumer: consumer.kwargs(TYPICAL),
            typical=TYPICAL,
        )
    )
    return text.encode()
