# SPDX-License-Identifier: MIT
"""When each trait came and went, over wheels in build order: first wheel with it, last wheel without it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from conformance.survey.facts import WheelFacts
from conformance.traits import AREAS, TraitKey, Weight, trait_table, unread_libraries
from conformance.wheels import Wheel

__all__ = ["Event", "build_timeline"]

_CODE_AREAS = frozenset({"kernel code", "Python code", "device assertions", "overflow assertion site"})


@dataclass(frozen=True)
class Event:
    """A trait that appears, vanishes or changes between two wheels.

    Attributes:
        area, subject: the trait.
        change: what happened to it.
        before, after: values; empty where it is absent.
        last: label of the last wheel in the old state. Between `last` and `first` lie `unread` wheels whose state the survey
            does not know.
        first: label of the first wheel in the new state.
        stable: label of the first stable wheel in the new state, None if there is none yet.
        weight: as in `conformance.differences`.
    """

    area: str
    subject: str
    change: Literal["added", "removed", "changed"]
    before: str
    after: str
    last: str
    first: str
    unread: int
    stable: str | None
    weight: Weight


def _weight(area: str, change: Literal["added", "removed", "changed"]) -> Weight:
    described = AREAS[area]
    return {"added": described.added, "removed": described.removed, "changed": described.changed}[change]


def build_timeline(wheels: Sequence[Wheel], facts: Mapping[str, WheelFacts]) -> tuple[Event, ...]:
    """Events over the nightlies of one Python tag, oldest first, each with the first stable wheel that has the new state.

    Args:
        wheels: of one Python tag, stable and nightly; those without facts are left out.
        facts: by sha256.
    """
    ordered = sorted((wheel for wheel in wheels if wheel.sha256 in facts), key=lambda wheel: wheel.order)
    tables = {wheel: trait_table(facts[wheel.sha256]) for wheel in ordered}
    nightlies = [wheel for wheel in ordered if wheel.nightly]
    stable = [wheel for wheel in ordered if not wheel.nightly]
    keys: dict[TraitKey, None] = {}
    for wheel in ordered:
        keys.update(dict.fromkeys(key for key in tables[wheel] if key[0] not in _CODE_AREAS))
    events: list[tuple[Wheel, Event]] = []
    for key in keys:
        events += _events_of(key, nightlies, stable, tables, facts)
    order = {title: position for position, title in enumerate(AREAS)}
    events.sort(key=lambda item: (item[0].order, item[1].weight, order[item[1].area], item[1].subject))
    return tuple(event for _, event in events)


def _state(
    key: TraitKey, wheel: Wheel, tables: Mapping[Wheel, dict[TraitKey, str]], facts: Mapping[str, WheelFacts]
) -> tuple[bool, str | None]:
    """Whether the wheel's state is known, and its value (None: absent)."""
    value = tables[wheel].get(key)
    if value is None and key[0] == "library needed" and unread_libraries(facts[wheel.sha256]):
        return False, None
    return True, value


def _events_of(
    key: TraitKey,
    nightlies: Sequence[Wheel],
    stable: Sequence[Wheel],
    tables: Mapping[Wheel, dict[TraitKey, str]],
    facts: Mapping[str, WheelFacts],
) -> list[tuple[Wheel, Event]]:
    found: list[tuple[Wheel, Event]] = []
    previous: tuple[Wheel, str | None] | None = None
    unread = 0
    for wheel in nightlies:
        known, value = _state(key, wheel, tables, facts)
        if not known:
            unread += 1
            continue
        if previous is not None and previous[1] != value:
            old = previous[1]
            change: Literal["added", "removed", "changed"] = (
                "added" if old is None else "removed" if value is None else "changed"
            )
            first_stable = next(
                (
                    item
                    for item in stable
                    if item.built >= wheel.built and _state(key, item, tables, facts) == (True, value)
                ),
                None,
            )
            found.append(
                (
                    wheel,
                    Event(
                        area=key[0],
                        subject=key[1],
                        change=change,
                        before=old or "",
                        after=value or "",
                        last=previous[0].label,
                        first=wheel.label,
                        unread=unread,
                        stable=first_stable.label if first_stable is not None else None,
                        weight=_weight(key[0], change),
                    ),
                )
            )
        previous = (wheel, value)
        unread = 0
    return found


def group_by_day(events: Sequence[Event]) -> dict[str, list[Event]]:
    """Events under the label of the wheel that shows them first, in order."""
    grouped: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        grouped[event.first].append(event)
    return dict(grouped)
