# SPDX-License-Identifier: MIT
"""Right answers, made without any op: what tests of the oracle start from."""

from __future__ import annotations

import numpy as np

from conformance.suite.cases import Case
from conformance.suite.observations import CombineObservation, DispatchObservation
from conformance.suite.oracle import World, expected_combine

DIRT = 0xA5


def right_dispatch(world: World, receiver: int, data: int, order: list[int] | None = None) -> DispatchObservation:
    """A dispatch as it should be, rows in the given order, everything beyond them dirty as before."""
    case = world.case
    expected = world.expected(data, receiver)
    keys = [expected[index] for index in (order if order is not None else range(len(expected)))]
    capacity = case.world_size * case.most_tokens
    size = world.inputs[data][0].payload.shape[1]
    before = {
        "payload": np.full((capacity, size), DIRT, np.uint8),
        "weights": np.full((capacity, case.top_k * 4), DIRT, np.uint8),
        "ids": np.full((capacity, case.top_k * 4), DIRT, np.uint8),
        "scales": np.full((capacity, case.scale_bytes), DIRT, np.uint8),
    }
    after = {name: values.copy() for name, values in before.items()}
    for row, (rank, token) in enumerate(keys):
        inputs = world.inputs[data][rank]
        for name in after:
            after[name][row] = np.ascontiguousarray(getattr(inputs, name)[token]).view(np.uint8).reshape(-1)
    return DispatchObservation(
        data=data,
        step="dispatch",
        count=len(keys),
        payload=after["payload"],
        weights=after["weights"].view(np.float32),
        ids=after["ids"].view(np.int32),
        scales=after["scales"],
        sources=np.array(keys, dtype=np.int32).reshape(len(keys), 2),
        before=before,
    )


def right_combine(world: World, rank: int, data: int) -> CombineObservation:
    sums, _, weights, _ = expected_combine(world, rank, data)
    rows = np.zeros((world.case.most_tokens, world.case.hidden), np.float32)
    rows[: len(sums)] = sums
    all_weights = np.zeros((world.case.most_tokens, world.case.top_k), np.float32)
    all_weights[: len(weights)] = weights
    return CombineObservation(data, "combine", rows, all_weights, len(sums))


SMALL = Case(
    "small", world_size=3, tokens=((4, 0, 3), (2, 3, 1)), most_tokens=4, hidden=16, scale_dim=2, scale_type_size=4
)
