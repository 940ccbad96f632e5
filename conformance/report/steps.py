# SPDX-License-Identifier: MIT
"""Steps from one stable wheel to another: differences, each distinct one kept once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from conformance.differences import Comparison
from conformance.report.grid import Grid, VerdictChange
from conformance.traits import Weight
from conformance.wheels import Wheel

__all__ = ["Step", "comparable_pairs", "main_line", "sibling_steps", "stable_steps", "step"]


@dataclass(frozen=True)
class Step:
    """What is different for a caller who goes from one wheel to another."""

    before: Wheel
    after: Wheel
    comparison: Comparison
    changes: tuple[VerdictChange, ...]

    @property
    def counts(self) -> dict[Weight, int]:
        return {weight: len(self.comparison.of_weight(weight)) for weight in Weight}


def main_line(grid: Grid) -> tuple[Wheel, ...]:
    """One stable wheel of each version, in build order: cp310 where there is one, for it has the longest history."""
    chosen: dict[str, Wheel] = {}
    for wheel in grid.inputs.stable:
        if wheel.sha256 in grid.inputs.facts and (wheel.version not in chosen or wheel.python == "cp310"):
            chosen[wheel.version] = wheel
    return tuple(sorted(chosen.values(), key=lambda wheel: wheel.order))


def step(grid: Grid, before: Wheel, after: Wheel) -> Step:
    return Step(before, after, grid.comparison(before, after), tuple(grid.changes(before, after)))


def stable_steps(grid: Grid) -> list[Step]:
    """From each version of the main line to the next."""
    line = main_line(grid)
    return [step(grid, before, after) for before, after in pairwise(line)]


def sibling_steps(grid: Grid) -> list[Step]:
    """From each cp310 wheel to the cp312 wheel of the same version."""
    stable = [wheel for wheel in grid.inputs.stable if wheel.sha256 in grid.inputs.facts]
    return [
        step(grid, one, other)
        for one in stable
        for other in stable
        if one.version == other.version and one.python == "cp310" and other.python == "cp312"
    ]


def comparable_pairs(grid: Grid) -> Iterator[tuple[Wheel, Wheel]]:
    """Every two stable wheels that somebody may move between: any two versions for one Python, both ways; two Pythons of one."""
    stable = [wheel for wheel in grid.inputs.stable if wheel.sha256 in grid.inputs.facts]
    line = main_line(grid)
    for before in stable:
        for after in stable:
            if before is after:
                continue
            if before.python == after.python or before.version == after.version or (before in line and after in line):
                yield before, after
