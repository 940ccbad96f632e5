# SPDX-License-Identifier: MIT
"""What is different between two wheels, for code that changes nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from conformance.survey.facts import WheelFacts
from conformance.traits import AREAS, Area, TraitKey, Weight, trait_table, unread_libraries
from moriep.surface import ClassSurface

__all__ = ["Comparison", "Difference", "compare"]

Change = Literal["added", "removed", "changed", "moved"]


@dataclass(frozen=True)
class Difference:
    """One difference, from an earlier to a later wheel.

    Attributes:
        area: title of `conformance.traits.AREAS`.
        change: what happened.
        subject: the field, method, kernel type … that it is about.
        before, after: values; empty where there was, or is, none.
        weight: what it means to a caller who changes nothing.
        consequence: the same in words; may be empty.
    """

    area: str
    change: Change
    subject: str
    before: str
    after: str
    weight: Weight
    consequence: str = ""


@dataclass(frozen=True)
class Comparison:
    """All differences between two wheels, the heaviest first.

    `unknown` says which part could not be compared because the survey did not read it in one of the wheels.
    """

    before: str
    after: str
    differences: tuple[Difference, ...]
    unknown: tuple[str, ...] = ()

    def of_weight(self, weight: Weight) -> tuple[Difference, ...]:
        return tuple(item for item in self.differences if item.weight == weight)

    @property
    def identical(self) -> bool:
        return not self.differences


def _moved(area: str, names_before: Sequence[str], names_after: Sequence[str], owner: str) -> Difference | None:
    """Names that both have, but at another position, so that a positional call hands them another argument."""
    positions = {name: index for index, name in enumerate(names_after)}
    shifted = [
        f"{name} {index + 1}→{positions[name] + 1}"
        for index, name in enumerate(names_before)
        if name in positions and positions[name] != index
    ]
    if not shifted:
        return None
    return Difference(
        area=area,
        change="moved",
        subject=owner,
        before=", ".join(names_before),
        after=", ".join(names_after),
        weight=Weight.breaks,
        consequence=f"positional arguments land elsewhere ({', '.join(shifted)}); pass them by keyword",
    )


def _positional(owner: ClassSurface, method: str) -> list[str]:
    found = owner.method(method)
    if found is None:
        return []
    return [
        parameter.name
        for parameter in found.parameters
        if parameter.kind in ("positional_only", "positional_or_keyword")
    ]


def _moves(before: WheelFacts, after: WheelFacts) -> list[Difference]:
    pairs = [
        ("config field", "op", "", before.surface.config, before.surface.op, after.surface.config, after.surface.op)
    ]
    if before.surface.config_v2 and before.surface.op_v2 and after.surface.config_v2 and after.surface.op_v2:
        pairs.append(
            (
                "config v2 field",
                "op v2",
                " (v2)",
                before.surface.config_v2,
                before.surface.op_v2,
                after.surface.config_v2,
                after.surface.op_v2,
            )
        )
    found: list[Difference | None] = []
    for field_area, op_title, suffix, config_before, op_before, config_after, op_after in pairs:
        owner = f"{config_before.name}{suffix}"
        found.append(_moved(field_area, config_before.field_names, config_after.field_names, owner))
        for method in op_before.methods:
            names = (_positional(op_before, method.name), _positional(op_after, method.name))
            found.append(_moved(f"{op_title} parameter", *names, f"{method.name}(){suffix}"))
    return [item for item in found if item is not None]


def _collapse_code(differences: list[Difference]) -> list[Difference]:
    """Changed code is one line for each file, not one for each function."""
    kept: list[Difference] = []
    grouped: dict[tuple[str, str], list[Difference]] = defaultdict(list)
    for item in differences:
        if item.weight == Weight.internal and item.area in ("kernel code", "Python code"):
            file = item.subject.split(": ", 1)[0] if ": " in item.subject else "EpDispatchCombineOp"
            grouped[item.area, file].append(item)
        else:
            kept.append(item)
    for (area, file), items in grouped.items():
        parts = []
        for change in ("changed", "added", "removed"):
            names = [item.subject.split(": ", 1)[-1] for item in items if item.change == change]
            if names:
                parts.append(f"{change}: {', '.join(names)}")
        kept.append(Difference(area, "changed", file, "", "; ".join(parts), Weight.internal))
    return kept


def compare(before: WheelFacts, after: WheelFacts) -> Comparison:
    """Every difference from one wheel to another, in a fixed order: by weight, then area, then as the wheels have them."""
    first, second = trait_table(before), trait_table(after)
    libraries_known = not unread_libraries(before) and not unread_libraries(after)
    found: list[Difference] = []
    for key in dict.fromkeys([*first, *second]):
        area, subject = key
        if area == "library needed" and not libraries_known:
            continue
        if _within_other_method(key, first, second):
            continue
        described = AREAS[area]
        if key not in second:
            found.append(Difference(area, "removed", subject, first[key], "", described.removed, described.if_removed))
        elif key not in first:
            weight, consequence = _added(described, after, subject)
            found.append(Difference(area, "added", subject, "", second[key], weight, consequence))
        elif first[key] != second[key]:
            found.append(
                Difference(area, "changed", subject, first[key], second[key], described.changed, described.if_changed)
            )
    found = _moves(before, after) + _collapse_code(found)
    order = {title: position for position, title in enumerate(AREAS)}
    found.sort(key=lambda item: (item.weight, order[item.area]))
    unknown = () if libraries_known else ("libraries needed: not read in at least one of the two wheels",)
    return Comparison(before.surface.release, after.surface.release, tuple(found), unknown)


def _within_other_method(key: TraitKey, first: Mapping[TraitKey, str], second: Mapping[TraitKey, str]) -> bool:
    """True for parameters and errors of a method that only one side has: the method itself is the difference."""
    area, subject = key
    title, _, kind = area.rpartition(" ")
    if kind not in ("parameter", "raises") or subject.startswith("__init__"):
        return False
    method = (f"{title} method", re.split(r"[(:]", subject, maxsplit=1)[0])
    return (method in first) != (method in second)


def _added(area: Area, after: WheelFacts, subject: str) -> tuple[Weight, str]:
    """A new field or parameter without a default breaks every caller; with one it breaks none."""
    surface = after.surface
    if area.title in ("config field", "config v2 field"):
        config = surface.config if area.title == "config field" else surface.config_v2
        field = config.field(subject) if config is not None else None
        if field is not None and field.required:
            return Weight.breaks, "required: every caller that leaves it out gets TypeError"
    if area.title in ("op parameter", "op v2 parameter"):
        op = surface.op if area.title == "op parameter" else surface.op_v2
        method_name, _, rest = subject.partition("(")
        method = op.method(method_name) if op is not None else None
        parameter = method.parameter(rest.rstrip(")")) if method is not None else None
        if parameter is not None and parameter.required:
            return Weight.breaks, "required: every caller that leaves it out gets TypeError"
    return area.added, area.if_added
