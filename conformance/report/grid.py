# SPDX-License-Identifier: MIT
"""The grid: what each requirement's verdict is on each wheel, and where it changes from one wheel to the next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from conformance.catalogue import GROUPS, Requirement
from conformance.differences import Comparison, compare
from conformance.judging import Surroundings
from conformance.report.inputs import ReportInputs
from conformance.report.wording import VERDICTS
from conformance.verdicts import Record, Verdict
from conformance.wheels import Wheel

__all__ = ["Cell", "Grid", "Run", "Segment", "VerdictChange", "build_grid"]

# A wheel that nobody looked at neither confirms nor contradicts its neighbours.
_SILENT = (None, Verdict.NOT_RUN)


@dataclass(frozen=True)
class Cell:
    """One requirement on one wheel, over all lanes.

    Attributes:
        verdict: of the lane that says most; None if there is no result.
        record: that lane's record.
        records: of all lanes, for the first of the kernel types that it is judged for.
        others: for the other kernel types. One of them that fails and is not expected to is the cell's verdict.
        before: verdict on the wheel before, if that changed.
    """

    requirement: Requirement
    wheel: Wheel
    verdict: Verdict | None
    record: Record | None
    records: tuple[Record, ...]
    before: Verdict | None = None
    others: tuple[Record, ...] = ()

    @property
    def anchor(self) -> str:
        return f"{self.requirement.id}/{self.wheel.label}"


@dataclass(frozen=True)
class VerdictChange:
    """A requirement whose verdict on `after` is not the one on `before`."""

    requirement: Requirement
    before: Cell
    after: Cell


@dataclass(frozen=True)
class Segment:
    """Nightlies in a row on which no verdict changes."""

    wheels: tuple[Wheel, ...]
    cells: dict[str, Cell]
    unseen: dict[str, int]
    changed: frozenset[str]

    @property
    def first(self) -> Wheel:
        return self.wheels[0]

    @property
    def last(self) -> Wheel:
        return self.wheels[-1]


@dataclass(frozen=True)
class Run:
    """Wheels with the same verdict for one requirement."""

    cells: tuple[Cell, ...]

    @property
    def first(self) -> Cell:
        return self.cells[0]

    @property
    def last(self) -> Cell:
        return self.cells[-1]


@dataclass(frozen=True)
class Grid:
    """All cells, by requirement id and sha256."""

    inputs: ReportInputs
    cells: dict[tuple[str, str], Cell]
    # Several pages show the same step from wheel to wheel.
    _comparisons: dict[tuple[str, str], Comparison] = field(default_factory=dict, compare=False, repr=False)

    def comparison(self, before: Wheel, after: Wheel) -> Comparison:
        """All differences between two wheels that have facts."""
        key = before.sha256, after.sha256
        if key not in self._comparisons:
            self._comparisons[key] = compare(self.inputs.facts[key[0]], self.inputs.facts[key[1]])
        return self._comparisons[key]

    def cell(self, requirement: Requirement, wheel: Wheel) -> Cell:
        return self.cells[requirement.id, wheel.sha256]

    def column(self, wheel: Wheel) -> list[Cell]:
        return [self.cell(item, wheel) for item in self.inputs.requirements]

    def counts(self, wheel: Wheel) -> dict[Verdict, int]:
        """How often each verdict occurs on a wheel, in the vocabulary's order, zeros left out."""
        found = [cell.verdict for cell in self.column(wheel)]
        return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}

    def groups(self) -> Iterator[tuple[str, str, list[Requirement]]]:
        """Group, its title, its requirements."""
        by_group: dict[str, list[Requirement]] = defaultdict(list)
        for item in self.inputs.requirements:
            by_group[item.group].append(item)
        for group, items in by_group.items():
            yield group, GROUPS[group], items

    def before(self, wheel: Wheel) -> Wheel | None:
        """The wheel to compare with: the stable release before, of the same Python where there is one; or the nightly before."""
        if not wheel.nightly:
            return self._surroundings.stable_before(wheel)
        row = [item for item in self.inputs.nightlies if item.python == wheel.python]
        position = row.index(wheel)
        return row[position - 1] if position else None

    @cached_property
    def _surroundings(self) -> Surroundings:
        return Surroundings(self.inputs.stable, self.inputs.facts)

    def changes(self, before: Wheel, after: Wheel) -> list[VerdictChange]:
        pairs = zip(self.column(before), self.column(after), strict=True)
        return [VerdictChange(a.requirement, a, b) for a, b in pairs if _changed(a, b)]

    def changing(self, requirement: Requirement) -> bool:
        """True if the verdict changes anywhere on the stable wheels, or differs between Pythons."""
        verdicts = {self.cell(requirement, wheel).verdict for wheel in self.inputs.stable}
        return len(verdicts - {Verdict.NOT_APPLICABLE, *_SILENT}) > 1

    def kinds(self, requirement: Requirement, wheels: Sequence[Wheel]) -> list[Run]:
        """Wheels with the same verdict and message, in a row or not, in the order of their first."""
        found: dict[tuple[object, ...], list[Cell]] = {}
        for wheel in wheels:
            cell = self.cell(requirement, wheel)
            found.setdefault((cell.verdict, *(record.message for record in cell.records)), []).append(cell)
        return [Run(tuple(cells)) for cells in found.values()]

    def runs(self, requirement: Requirement, wheels: Sequence[Wheel]) -> list[Run]:
        """Wheels in a row with the same verdict."""
        runs: list[list[Cell]] = []
        for wheel in wheels:
            cell = self.cell(requirement, wheel)
            if runs and runs[-1][-1].verdict == cell.verdict:
                runs[-1].append(cell)
            else:
                runs.append([cell])
        return [Run(tuple(cells)) for cells in runs]

    def segments(self) -> list[Segment]:
        """The nightlies, cut where a verdict changes. A verdict that is not known on a wheel cuts nothing."""
        segments: list[Segment] = []
        for python in dict.fromkeys(wheel.python for wheel in self.inputs.nightlies):
            row = [wheel for wheel in self.inputs.nightlies if wheel.python == python]
            segments += self._segments(row)
        return segments

    def _segments(self, row: Sequence[Wheel]) -> list[Segment]:
        parts: list[list[Wheel]] = []
        known: dict[str, Verdict] = {}
        for wheel in row:
            column = {cell.requirement.id: cell.verdict for cell in self.column(wheel)}
            said = {name: verdict for name, verdict in column.items() if verdict is not None and verdict not in _SILENT}
            if not parts or any(known.get(name, verdict) != verdict for name, verdict in said.items()):
                parts.append([])
                known = {}
            parts[-1].append(wheel)
            known.update(said)
        segments: list[Segment] = []
        last: dict[str, Verdict] = {}
        for wheels in parts:
            cells: dict[str, Cell] = {}
            unseen: dict[str, int] = {}
            for requirement in self.inputs.requirements:
                own = [self.cell(requirement, wheel) for wheel in wheels]
                seen = [cell for cell in own if cell.verdict not in _SILENT]
                cells[requirement.id] = (seen or own)[0]
                unseen[requirement.id] = len(own) - len(seen) if seen else 0
            said = {name: cell.verdict for name, cell in cells.items() if cell.verdict and cell.verdict not in _SILENT}
            changed = frozenset(name for name, verdict in said.items() if last.get(name, verdict) != verdict)
            last.update(said)
            segments.append(Segment(tuple(wheels), cells, unseen, changed))
        return segments


def _changed(before: Cell, after: Cell) -> bool:
    """True if the verdict is another. What nobody found out, before or after, is no change."""
    return after.verdict not in _SILENT and before.verdict not in _SILENT and before.verdict != after.verdict


def build_grid(inputs: ReportInputs) -> Grid:
    """Every cell, with the verdict on the wheel before it where that is another."""
    by_cell: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in inputs.results.records:
        by_cell[record.requirement, record.sha256].append(record)
    cells: dict[tuple[str, str], Cell] = {}
    for wheel in inputs.wheels:
        for requirement in inputs.requirements:
            every = by_cell.get((requirement.id, wheel.sha256), ())
            first = {"", *requirement.kernel_types[:1]}
            records = tuple(record for record in every if record.kernel_type in first)
            others = tuple(record for record in every if record.kernel_type not in first)
            speaking = (*records, *(record for record in others if record.verdict.is_failure))
            shown = min(speaking, key=lambda record: VERDICTS[record.verdict].rank, default=None)
            verdict = shown.verdict if shown is not None else None
            cells[requirement.id, wheel.sha256] = Cell(requirement, wheel, verdict, shown, records, others=others)
    plain = Grid(inputs, dict(cells))
    for wheel in inputs.wheels:
        before = plain.before(wheel)
        if before is None:
            continue
        for requirement in inputs.requirements:
            cell, earlier = plain.cell(requirement, wheel), plain.cell(requirement, before)
            if _changed(earlier, cell):
                cells[requirement.id, wheel.sha256] = replace(cell, before=earlier.verdict)
    return Grid(inputs, cells)
