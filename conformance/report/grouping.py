# SPDX-License-Identifier: MIT
"""Joins differences and events of one kind into one line, so that twenty bundled libraries do not bury one lost assertion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from conformance.differences import Difference
from conformance.timeline import Event
from conformance.traits import AREAS, Weight

__all__ = ["Day", "DifferenceGroup", "EventGroup", "days", "group_differences"]

# Where the value itself matters, every difference keeps a line of its own.
_SINGLE = frozenset(
    {"overflow assertion", "capacity formula", "launch default", "kernel type", "ROCm", "kernel code", "Python code"}
)


@dataclass(frozen=True)
class DifferenceGroup:
    """Differences of one area, change, weight and consequence."""

    weight: Weight
    area: str
    change: str
    consequence: str
    differences: tuple[Difference, ...]

    @property
    def single(self) -> Difference | None:
        return self.differences[0] if len(self.differences) == 1 else None

    @property
    def values(self) -> bool:
        """True if the values before and after are worth showing. Of moved names the consequence says all."""
        one = self.single
        return one is not None and one.change != "moved" and bool(one.before or one.after)


def group_differences(differences: Iterable[Difference]) -> list[DifferenceGroup]:
    """Groups in the order of their first difference."""
    found: dict[tuple[object, ...], list[Difference]] = {}
    for item in differences:
        separate = item.subject if item.area in _SINGLE or item.change in ("changed", "moved") else ""
        found.setdefault((item.weight, item.area, item.change, item.consequence, separate), []).append(item)
    return [
        DifferenceGroup(items[0].weight, items[0].area, items[0].change, items[0].consequence, tuple(items))
        for items in found.values()
    ]


@dataclass(frozen=True)
class EventGroup:
    """Events of one area and change that came with one wheel."""

    weight: Weight
    area: str
    change: str
    events: tuple[Event, ...]

    @property
    def single(self) -> Event | None:
        return self.events[0] if len(self.events) == 1 else None

    @property
    def values(self) -> bool:
        """True if the values before and after are worth showing."""
        one = self.single
        return one is not None and bool(one.before or one.after)

    @property
    def stable(self) -> str | None:
        return self.events[0].stable


@dataclass(frozen=True)
class Day:
    """What one nightly brought, heaviest first."""

    first: str
    groups: tuple[EventGroup, ...]

    def of_weight(self, *weights: Weight) -> list[EventGroup]:
        return [group for group in self.groups if group.weight in weights]

    @property
    def last(self) -> str:
        """The nightly before it: the last one without."""
        return self.groups[0].events[0].last


def days(events: Sequence[Event]) -> list[Day]:
    """Events by the wheel that shows them first, oldest first; within a wheel by weight and area."""
    order = {title: position for position, title in enumerate(AREAS)}
    by_wheel: dict[str, dict[tuple[object, ...], list[Event]]] = {}
    for item in sorted(events, key=lambda event: (event.weight, order[event.area])):
        separate = item.subject if item.area in _SINGLE or item.change == "changed" else ""
        key = (item.weight, item.area, item.change, item.last, item.stable, separate)
        by_wheel.setdefault(item.first, {}).setdefault(key, []).append(item)
    sequence = dict.fromkeys(event.first for event in events)
    return [
        Day(
            first,
            tuple(
                EventGroup(items[0].weight, items[0].area, items[0].change, tuple(items))
                for items in by_wheel[first].values()
            ),
        )
        for first in sequence
    ]
