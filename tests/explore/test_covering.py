# SPDX-License-Identifier: MIT
"""Covering arrays: every pair that can occur occurs, no constraint is broken, the same seed gives the same array."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.explore.covering import count_pairs, covering_array
from conformance.explore.dimensions import KERNEL_TYPES, Constraint, Dimension, Situation, Space, make_case, space_for


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Two to five dimensions of one to four values, and up to five sets of values that must not meet."""
    names = [f"d{number}" for number in range(draw(st.integers(2, 5)))]
    factors = {name: tuple(range(draw(st.integers(1, 4)))) for name in names}
    constraints = []
    for _ in range(draw(st.integers(0, 5))):
        about = tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)))
        forbidden = draw(st.sets(st.tuples(*(st.sampled_from(factors[name]) for name in about)), max_size=5))

        def admits(
            situation: Situation, about: tuple[str, ...] = about, forbidden: frozenset[object] = frozenset(forbidden)
        ) -> bool:
            return tuple(situation[name] for name in about) not in forbidden

        constraints.append(Constraint(about, "forbidden", admits))
    return Space(tuple(Dimension(name, values) for name, values in factors.items()), tuple(constraints))


def all_situations(space: Space) -> list[dict[str, object]]:
    every = (dict(zip(space.factors, values, strict=True)) for values in product(*space.factors.values()))
    return [situation for situation in every if space.admits(situation)]  # type: ignore[arg-type]


@given(spaces(), st.integers(0, 1000))
def test_every_pair_that_some_situation_has_is_covered_and_no_constraint_is_broken(space: Space, seed: int) -> None:
    array = covering_array(space, seed)
    wanted = {pair for situation in all_situations(space) for pair in combinations(situation.items(), 2)}
    assert {pair for situation in array for pair in combinations(situation.items(), 2)} == wanted
    assert all(space.admits(situation) for situation in array)
    assert covering_array(space, seed) == array


@given(spaces(), st.integers(0, 1000), st.data())
def test_pairs_are_counted_as_a_full_enumeration_counts_them(space: Space, seed: int, data: st.DataObject) -> None:
    array = covering_array(space, seed)
    some = array[: data.draw(st.integers(0, len(array)))]
    wanted = {pair for situation in all_situations(space) for pair in combinations(situation.items(), 2)}
    covered = {pair for situation in some for pair in combinations(situation.items(), 2)}
    counted = count_pairs(space, some)
    assert (counted.covered, counted.possible) == (len(covered), len(wanted))
    assert set(counted.missing) == wanted - covered


@pytest.mark.parametrize("kernel_type", KERNEL_TYPES)
def test_the_space_of_each_kernel_type_gives_cases_that_can_be_made(kernel_type: str) -> None:
    space = space_for(kernel_type, "1.2.4")
    array = covering_array(space, 3)
    counted = count_pairs(space, array)
    assert counted.missing == ()
    for number, situation in enumerate(array[::7]):
        case = make_case(situation, name=f"case-{number}", kernel_type=kernel_type, seed=number)
        assert (case.world_size, case.kernel_type) == (situation["world_size"], kernel_type)
        assert max(max(counts) for counts in case.tokens) <= case.most_tokens
