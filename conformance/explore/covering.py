# SPDX-License-Identifier: MIT
"""Covering arrays: situations so that every two values that can occur together do occur together.

Greedy: each situation begins with a pair that is not covered yet, and takes for each dimension the value that covers most, among
those that can still be completed. Whether something can be is decided by search, not by a heuristic, so that no possible pair is
given up. (The library for this, covertable, covers the same and takes ten times as long on these dimensions.)
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

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


class _Solver:
    """Tells whether values can be completed to a situation."""

    def __init__(self, space: Space) -> None:
        self._factors, self._constraints = space.factors, space.constraints
        self._answers: list[dict[tuple[Value, ...], bool]] = [{} for _ in space.constraints]
        self._orders: dict[frozenset[str], list[tuple[str | None, tuple[int, ...]]]] = {}

    def _admits(self, number: int, values: Mapping[str, Value]) -> bool:
        constraint, answers = self._constraints[number], self._answers[number]
        key = tuple(values[name] for name in constraint.about)
        if key not in answers:
            answers[key] = constraint.admits(values)
        return answers[key]

    def _order(self, given: frozenset[str]) -> list[tuple[str | None, tuple[int, ...]]]:
        """Dimensions to try, each with the constraints that can be asked once it has a value.

        What shares a constraint with the given ones comes first: a contradiction shows at once. Dimensions in no constraint can
        have any value, and are left out.
        """
        if given not in self._orders:
            settled = set(given)
            left = dict(enumerate(self._constraints))
            order: list[tuple[str | None, tuple[int, ...]]] = [(None, self._ready(left, settled))]
            while left:
                nearest = min(left.values(), key=lambda item: sum(name not in settled for name in item.about))
                name = next(name for name in nearest.about if name not in settled)
                settled.add(name)
                order.append((name, self._ready(left, settled)))
            self._orders[given] = order
        return self._orders[given]

    @staticmethod
    def _ready(left: dict[int, Constraint], settled: set[str]) -> tuple[int, ...]:
        """The constraints that can be asked now, taken out of those that are left."""
        ready = tuple(number for number, constraint in left.items() if settled.issuperset(constraint.about))
        for number in ready:
            del left[number]
        return ready

    def possible(self, given: Mapping[str, Value]) -> bool:
        """Whether some situation of the space has these values."""
        order = self._order(frozenset(given))
        values = dict(given)

        def search(depth: int) -> bool:
            if depth == len(order):
                return True
            name, constraints = order[depth]
            if name is None:
                return all(self._admits(number, values) for number in constraints) and search(depth + 1)
            for value in self._factors[name]:
                values[name] = value
                if all(self._admits(number, values) for number in constraints) and search(depth + 1):
                    return True
            del values[name]
            return False

        return search(0)


def _possible_pairs(space: Space, solver: _Solver) -> list[Pair]:
    factors = space.factors
    return [
        ((first, one), (second, other))
        for first, second in combinations(factors, 2)
        for one in factors[first]
        for other in factors[second]
        if solver.possible({first: one, second: other})
    ]


def _key(name: str, value: Value, other: str, other_value: Value, order: Mapping[str, int]) -> Pair:
    if order[name] < order[other]:
        return (name, value), (other, other_value)
    return (other, other_value), (name, value)


def covering_array(space: Space, seed: int) -> tuple[dict[str, Value], ...]:
    """Situations that cover all possible pairs; the same for the same space and seed."""
    draw = random.Random(seed)
    solver = _Solver(space)
    factors = space.factors
    order = {name: number for number, name in enumerate(factors)}
    pairs = _possible_pairs(space, solver)
    draw.shuffle(pairs)
    # A dictionary keeps their order: the next one to begin with is the first.
    left = dict.fromkeys(pairs)
    situations = []
    while left:
        row: dict[str, Value] = dict(next(iter(left)))
        names = [name for name in factors if name not in row]
        draw.shuffle(names)
        for name in names:
            gains = []
            for value in factors[name]:
                gain = sum(_key(name, value, other, row[other], order) in left for other in row)
                gains.append((-gain, draw.random(), value))
            # One of them can be completed, for what is there already can.
            row[name] = next(value for _, _, value in sorted(gains) if solver.possible({**row, name: value}))
        situation = {name: row[name] for name in factors}
        for pair in pairs_of(situation):
            left.pop(pair, None)
        situations.append(situation)
    return tuple(situations)


def pairs_of(situation: Situation) -> Iterable[Pair]:
    """All pairs that a situation has, its dimensions in the space's order."""
    return combinations(situation.items(), 2)


def count_pairs(space: Space, situations: Iterable[Situation]) -> Pairs:
    """What these situations cover of all that is possible."""
    covered = {pair for situation in situations for pair in pairs_of(situation)}
    possible = _possible_pairs(space, _Solver(space))
    return Pairs(
        sum(pair in covered for pair in possible),
        len(possible),
        tuple(pair for pair in possible if pair not in covered),
    )
