# SPDX-License-Identifier: MIT
"""The oracle accepts every order of a right answer, and rejects every single change of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.suite.cases import PATTERNS, Case, make_inputs
from conformance.suite.observations import GuardObservation
from conformance.suite.oracle import check_combine, check_dispatch, check_guards, make_world
from tests.suite.arrangements import SMALL, right_combine, right_dispatch

# Each example is some arithmetic on small arrays; the profile of the whole project would take a minute here.
FEW = settings(max_examples=40)

CASES = st.builds(
    Case,
    name=st.just("drawn"),
    world_size=st.just(3),
    tokens=st.tuples(st.tuples(*[st.integers(0, 5)] * 3), st.tuples(*[st.integers(0, 5)] * 3)),
    most_tokens=st.just(5),
    hidden=st.sampled_from([8, 13]),
    top_k=st.integers(1, 4),
    dtype=st.sampled_from(["bfloat16", "float32", "float8_e4m3fnuz"]),
    scale_dim=st.sampled_from([0, 2]),
    scale_type_size=st.just(4),
    pattern=st.sampled_from(PATTERNS),
    seed=st.integers(0, 1000),
)
RANKS = st.integers(0, 2)
DATA = st.integers(0, 1)


@FEW
@given(CASES, RANKS, DATA, st.randoms())
def test_every_order_of_the_right_rows_is_accepted(case: Case, rank: int, data: int, random: object) -> None:
    world = make_world(case)
    order = list(range(len(world.expected(data, rank))))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert check_dispatch(world, rank, right_dispatch(world, rank, data, order)) == []


@FEW
@given(CASES, RANKS, DATA, st.sampled_from(["payload", "weights", "ids", "scales"]), st.data())
def test_one_changed_byte_anywhere_is_rejected(
    case: Case, rank: int, data: int, name: str, draw: st.DataObject
) -> None:
    """In a valid row it is altered; beyond the valid rows it was touched."""
    world = make_world(case)
    right = right_dispatch(world, rank, data)
    values = getattr(right, name).copy()
    raw = values.view(np.uint8).reshape(-1)
    if raw.size == 0:
        return
    raw[draw.draw(st.integers(0, raw.size - 1))] ^= draw.draw(st.integers(1, 255))
    assert check_dispatch(world, rank, replace(right, **{name: values}))


@FEW
@given(CASES, RANKS, DATA, st.integers(-3, 3).filter(bool))
def test_another_count_is_rejected(case: Case, rank: int, data: int, difference: int) -> None:
    world = make_world(case)
    right = right_dispatch(world, rank, data)
    found = check_dispatch(world, rank, replace(right, count=right.count + difference))
    assert "count" in {item.kind for item in found}


@FEW
@given(CASES, RANKS, DATA, st.data())
def test_a_row_in_place_of_another_is_rejected(case: Case, rank: int, data: int, draw: st.DataObject) -> None:
    world = make_world(case)
    right = right_dispatch(world, rank, data)
    if right.count < 2:
        return
    to, source = draw.draw(st.permutations(range(right.count)))[:2]
    arrays = {name: getattr(right, name).copy() for name in ("payload", "weights", "ids", "scales", "sources")}
    for values in arrays.values():
        values[to] = values[source]
    kinds = {item.kind for item in check_dispatch(world, rank, replace(right, **arrays))}
    assert {"twice", "missing"} <= kinds


@pytest.mark.parametrize("name", ["payload", "weights", "ids", "scales", "sources"])
@FEW
@given(CASES, RANKS, DATA, st.data())
def test_one_field_swapped_between_two_rows_is_rejected(
    name: str, case: Case, rank: int, data: int, draw: st.DataObject
) -> None:
    world = make_world(case)
    right = right_dispatch(world, rank, data)
    if right.count < 2:
        return
    one, other = draw.draw(st.permutations(range(right.count)))[:2]
    values = getattr(right, name).copy()
    values[[one, other]] = values[[other, one]]
    if (values == getattr(right, name)).all():
        return  # two tokens may have the same ids
    assert check_dispatch(world, rank, replace(right, **{name: values}))


@FEW
@given(CASES, RANKS, DATA)
def test_a_row_for_another_rank_is_foreign(case: Case, rank: int, data: int) -> None:
    world = make_world(case)
    right = right_dispatch(world, rank, data)
    wrong = [
        (source, token)
        for source in range(3)
        for token in range(world.inputs[data][source].tokens)
        if rank not in world.destinations(data, source, token)
    ]
    if not wrong or not right.count:
        return
    inputs, token = world.inputs[data][wrong[0][0]], wrong[0][1]
    arrays = {name: getattr(right, name).copy() for name in ("payload", "weights", "ids", "scales", "sources")}
    for name in ("payload", "weights", "ids", "scales"):
        arrays[name][0] = getattr(inputs, name)[token]
    arrays["sources"][0] = wrong[0]
    assert {"foreign", "missing"} <= {item.kind for item in check_dispatch(world, rank, replace(right, **arrays))}


def test_a_stale_row_names_the_round_that_it_is_from() -> None:
    world = make_world(SMALL)
    right = right_dispatch(world, 0, 1)
    old = world.inputs[0][0]
    payload = right.payload.copy()
    payload[0] = old.payload[1]
    found = check_dispatch(world, 0, replace(right, payload=payload))
    assert any("that of token 1 of rank 0 in data set 0" in item.text for item in found), found


@FEW
@given(CASES, RANKS, DATA)
def test_the_right_sums_are_accepted(case: Case, rank: int, data: int) -> None:
    world = make_world(case)
    assert check_combine(world, rank, right_combine(world, rank, data)) == []


@FEW
@given(CASES, RANKS, DATA, st.sampled_from(["rows", "weights"]), st.data())
def test_one_wrong_sum_is_rejected(case: Case, rank: int, data: int, name: str, draw: st.DataObject) -> None:
    world = make_world(case)
    right = right_combine(world, rank, data)
    tokens = world.inputs[data][rank].tokens
    if not tokens:
        return
    values = getattr(right, name).copy()
    where = draw.draw(st.integers(0, tokens - 1)), draw.draw(st.integers(0, values.shape[1] - 1))
    values[where] += draw.draw(st.sampled_from([-1.0, 1.0, np.nan])) * max(abs(values[where]) * 0.05, 1e-3)
    assert check_combine(world, rank, replace(right, **{name: values}))


def test_a_lost_and_a_doubled_contribution_are_told_apart() -> None:
    case = SMALL.with_(top_k=4)
    world = make_world(case)
    from conformance.suite.encoding import numeric
    from conformance.suite.experts import expert_output

    token = next(t for t in range(4) if len(world.destinations(0, 0, t)) > 1)
    receiver = world.destinations(0, 0, token)[0]
    inputs = world.inputs[0][0]
    part = expert_output(receiver, numeric(inputs.payload, "bfloat16"), inputs.ids, inputs.weights, 4, "bfloat16")[
        token
    ]
    for sign, words in ((-1, f"lacks what rank {receiver}"), (1, f"has twice what rank {receiver}")):
        right = right_combine(world, 0, 0)
        rows = right.rows.copy()
        rows[token] += sign * part
        found = check_combine(world, 0, replace(right, rows=rows))
        assert len(found) == 1
        assert words in found[0].text


@FEW
@given(CASES)
def test_inputs_are_the_same_whoever_makes_them_and_no_two_rows_are_equal(case: Case) -> None:
    rows = [row.tobytes() for data in range(2) for rank in range(3) for row in make_inputs(case, rank, data).payload]
    assert len(set(rows)) == len(rows)
    again = make_inputs(case, 1, 1)
    assert again.ids.tobytes() == make_inputs(case, 1, 1).ids.tobytes()


def test_a_changed_canary_is_told_with_its_side() -> None:
    found = check_guards(1, [GuardObservation("weights", 0, 0, 8), GuardObservation("ids", 0, 0, 0)])
    assert [item.text for item in found] == ["8 bytes behind the input weights were changed"]
