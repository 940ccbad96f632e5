# SPDX-License-Identifier: MIT
"""Covering arrays: situations so that every pair of values that can occur together does occur together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from covertable import make

from conformance.explore.dimensions import Constraint, Situation, Space, Value

__all__ = ["Pair", "Pairs", "count_pairs", "covering_array", "pairs_of"]

# (dimension, value) twice, dimensions in the space's order.
Pair = tuple[tuple[str, Value], tuple[str, Value]]


@dataclass(frozen=True)
class Pairs:
    """What a set of situations covers of a space.

    Attributes:
        covered, possible: numbers of pairs of values of two dimensions; possible are those that some situation has.
        missing: what is possible and not covered.
    """

    covered: int
    possible: int
    missing: tuple[Pair, ...]


def _condition(constraint: Constraint) -> dict[str, Any]:
    answers: dict[tuple[Value, ...], bool] = {}

    def admits(row: Mapping[str, Value]) -> bool:
        # Asked for the same values thousands of times.
        key = tuple(row[name] for name in constraint.about)
        if key not in answers:
            answers[key] = constraint.admits(row)
        return answers[key]

    return {"operator": "fn", "requires": list(constraint.about), "evaluate": admits}


def covering_array(space: Space, seed: int) -> tuple[dict[str, Value], ...]:
    """Situations that cover all possible pairs; the same for the same space and seed."""
    rows = make(
        {name: list(values) for name, values in space.factors.items()},
        salt=str(seed),
        constraints=[_condition(constraint) for constraint in space.constraints],
    )
    order = list(space.factors)
    return tuple({name: row[name] for name in order} for row in rows)


def pairs_of(situation: Situation) -> Iterable[Pair]:
    return combinations(situation.items(), 2)


def _possible(space: Space, wanted: Mapping[str, Value]) -> bool:
    """Whether some situation of the space has these values: a search that looks at constraints as soon as it can."""
    names = list(space.factors)
    # Dimensions in no constraint can have any value.
    bound = {name for constraint in space.constraints for name in constraint.about}
    open_names = [name for name in names if name in bound and name not in wanted]

    def fits(values: dict[str, Value]) -> bool:
        return all(
            constraint.admits(values)
            for constraint in space.constraints
            if all(name in values for name in constraint.about)
        )

    def search(values: dict[str, Value], left: list[str]) -> bool:
        if not fits(values):
            return False
        if not left:
            return True
        return any(search({**values, left[0]: value}, left[1:]) for value in space.factors[left[0]])

    return search(dict(wanted), open_names)


def count_pairs(space: Space, situations: Iterable[Situation]) -> Pairs:
    """What the situations cover; what is possible is counted by a search of its own, not by who made the array."""
    covered = {pair for situation in situations for pair in pairs_of(situation)}
    missing: list[Pair] = []
    factors = space.factors
    for first, second in combinations(factors, 2):
        for one in factors[first]:
            for other in factors[second]:
                pair = ((first, one), (second, other))
                if pair not in covered and _possible(space, dict(pair)):
                    missing.append(pair)
    return Pairs(len(covered), len(covered) + len(missing), tuple(missing))
