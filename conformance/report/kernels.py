# SPDX-License-Identifier: MIT
"""Kernel types × releases: every verdict that was found by running, kernel type by kernel type, and every failure in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from conformance.catalogue import KERNEL_TYPES, Requirement
from conformance.report.grid import Grid
from conformance.report.templating import environment
from conformance.report.wording import VERDICTS
from conformance.verdicts import Record, Verdict
from conformance.wheels import Wheel

__all__ = [
    "KernelFailure",
    "KernelRow",
    "KernelTable",
    "kernel_failures",
    "kernel_tables",
    "kernel_wheels",
    "render_kernels_page",
]

_GOOD = (Verdict.PASS, Verdict.UNSUPPORTED, Verdict.NOT_APPLICABLE, Verdict.NOT_RUN)


def kernel_type_of(record: Record, requirement: Requirement) -> str:
    """The kernel type that a verdict is about; "" for none in particular."""
    if record.kernel_type or len(requirement.kernel_types) != 1:
        return record.kernel_type
    return requirement.kernel_types[0]


@dataclass(frozen=True)
class KernelRow:
    """One requirement with one kernel type, on all wheels; None where there is no verdict."""

    requirement: Requirement
    records: tuple[Record | None, ...]


@dataclass(frozen=True)
class KernelTable:
    """One kernel type."""

    kernel_type: str
    rows: tuple[KernelRow, ...]

    def counts(self, position: int) -> str:
        """How often each verdict stands in a column."""
        found = [record.verdict for row in self.rows if (record := row.records[position]) is not None]
        return " ".join(
            f"{found.count(verdict)} {VERDICTS[verdict].symbol}" for verdict in VERDICTS if verdict in found
        )


@dataclass(frozen=True)
class KernelFailure:
    """One way in which a requirement does not hold with a kernel type, and the wheels on which it is so."""

    requirement: Requirement
    kernel_type: str
    records: tuple[Record, ...]

    @property
    def judgement(self) -> str:
        if self.records[0].verdict is Verdict.ENGINE_ERROR:
            return "ours: it says nothing about the release"
        return "the release's"


def _played(grid: Grid) -> list[Record]:
    return [record for record in grid.inputs.results.records if record.lane != "survey"]


def kernel_wheels(grid: Grid) -> tuple[Wheel, ...]:
    """The wheels on which anything was played."""
    played = {record.sha256 for record in _played(grid) if record.verdict is not Verdict.NOT_RUN}
    return tuple(wheel for wheel in grid.inputs.wheels if wheel.sha256 in played)


def _by_kernel_type(grid: Grid) -> dict[tuple[str, str, str], Record]:
    """By kernel type, requirement and sha256; of several lanes the one that says most."""
    known = {item.id: item for item in grid.inputs.requirements}
    found: dict[tuple[str, str, str], Record] = {}
    for record in _played(grid):
        kernel_type = kernel_type_of(record, known[record.requirement])
        key = (kernel_type, record.requirement, record.sha256)
        if kernel_type and (key not in found or VERDICTS[record.verdict].rank < VERDICTS[found[key].verdict].rank):
            found[key] = record
    return found


def kernel_tables(grid: Grid) -> tuple[KernelTable, ...]:
    """A table for each kernel type about which there is any verdict."""
    found, wheels = _by_kernel_type(grid), kernel_wheels(grid)
    tables = []
    for kernel_type in KERNEL_TYPES:
        rows = [
            KernelRow(item, tuple(found.get((kernel_type, item.id, wheel.sha256)) for wheel in wheels))
            for item in grid.inputs.requirements
        ]
        kept = tuple(row for row in rows if any(row.records))
        if kept:
            tables.append(KernelTable(kernel_type, kept))
    return tuple(tables)


def _ways(records: Iterable[Record]) -> list[tuple[Record, ...]]:
    """Failures of one requirement, those of one kind together: the same verdict, beginning with the same words."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        words = record.message.split(" at 0x")[0].split("; column ")[0]
        found.setdefault((record.verdict.value, words), []).append(record)
    return [tuple(items) for items in found.values()]


def kernel_failures(tables: Iterable[KernelTable]) -> tuple[KernelFailure, ...]:
    """Every failure, requirement by requirement, then kernel type by kernel type."""
    found = [
        KernelFailure(row.requirement, table.kernel_type, way)
        for table in tables
        for row in table.rows
        for way in _ways(record for record in row.records if record is not None and record.verdict not in _GOOD)
    ]
    order = {item.requirement.id: place for place, item in enumerate(sorted(found, key=lambda f: f.requirement.id))}
    return tuple(sorted(found, key=lambda item: (order[item.requirement.id], KERNEL_TYPES.index(item.kernel_type))))


def render_kernels_page(grid: Grid) -> bytes:
    """The page `kernels.md`."""
    wheels, tables = kernel_wheels(grid), kernel_tables(grid)
    text = (
        environment()
        .get_template("kernels.md.jinja")
        .render(grid=grid, wheels=wheels, tables=tables, failures=kernel_failures(tables))
    )
    return text.encode()
