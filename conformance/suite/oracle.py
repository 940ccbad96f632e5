# SPDX-License-Identifier: MIT
"""The oracle: from the inputs of all ranks, what each rank must receive, and what must come back to it.

It believes nothing that the op says. What is expected is computed from the inputs alone; a row is recognised by its bytes, and
the op's own account of where a row came from is one more thing to be checked. Arrays in, values out: no device, mori or torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.suite.cases import Case, Inputs, make_inputs
from conformance.suite.encoding import Bytes, Integers, numeric
from conformance.suite.experts import expert_output, weights_for_combine
from conformance.suite.observations import CombineObservation, DispatchObservation, GuardObservation
from conformance.suite.quantising import FP4, blockwise_bound, direct_bound

__all__ = [
    "KINDS",
    "Discrepancy",
    "World",
    "check_combine",
    "check_dispatch",
    "check_guards",
    "expected_count",
    "make_world",
]

Doubles = npt.NDArray[np.float64]

# Blocks of a token that have a scale of their own, where combine quantises by block (the default of MORI_FP8_COMBINE_SCALE_DIM).
SCALE_BLOCKS = 56

# What can be wrong with what was observed.
KINDS = (
    "missing",  # an expected row is not there
    "twice",  # a row is there more than once
    "foreign",  # a row that is not for this rank, or of another round, or that nobody sent
    "payload",  # a row whose payload is altered
    "weights",
    "ids",
    "scales",
    "position",  # the op's account of a row's source is wrong
    "count",  # total_recv
    "beyond",  # something beyond the valid rows was touched
    "sum",  # combine: wrong values
    "weight_sum",
    "shape",
    "input",  # an input, or the canaries around it, was written to
    "expert_count",  # the op's count of rows by local expert
)


@dataclass(frozen=True, order=True)
class Discrepancy:
    """One thing that is not as expected, on one rank in one step."""

    kind: str
    rank: int
    data: int
    text: str

    def __str__(self) -> str:
        return f"rank {self.rank}, data set {self.data}: {self.kind}: {self.text}"


@dataclass(frozen=True)
class World:
    """The inputs of all ranks for all data sets: `inputs[data][rank]`."""

    case: Case
    inputs: tuple[tuple[Inputs, ...], ...]

    def destinations(self, data: int, rank: int, token: int) -> tuple[int, ...]:
        """The ranks that must receive a token, each once, ascending. Ids outside 0 … W·E−1 name no rank."""
        ids = self.inputs[data][rank].ids[token]
        ranks = {int(item) // self.case.experts_per_rank for item in ids if 0 <= item < self.case.experts}
        return tuple(sorted(ranks))

    def expected(self, data: int, receiver: int) -> tuple[tuple[int, int], ...]:
        """(source rank, token) of every row that a rank must receive, in no order that means anything."""
        return tuple(
            (rank, token)
            for rank, inputs in enumerate(self.inputs[data])
            for token in range(inputs.tokens)
            if receiver in self.destinations(data, rank, token)
        )


def make_world(case: Case) -> World:
    return World(
        case,
        tuple(
            tuple(make_inputs(case, rank, data) for rank in range(case.world_size)) for data in range(case.data_sets)
        ),
    )


def expected_count(case: Case, receiver: int, data: int = 0) -> int:
    """Rows that a rank must receive."""
    return len(make_world(case).expected(data, receiver))


def _source_by_payload(world: World, data: int) -> dict[bytes, tuple[int, int]]:
    return {
        inputs.payload[token].tobytes(): (rank, token)
        for rank, inputs in enumerate(world.inputs[data])
        for token in range(inputs.tokens)
    }


def _where_from(world: World, field: str, row: npt.NDArray[Any]) -> str:
    """Names the source of a wrong row or field: the same bytes, or the tokens that most of its columns are equal to."""
    wanted = np.ascontiguousarray(row).view(np.uint8).reshape(-1)
    best: list[tuple[int, str]] = []
    covered = np.zeros(wanted.shape, dtype=bool)
    for data, ranks in enumerate(world.inputs):
        for rank, inputs in enumerate(ranks):
            values = getattr(inputs, field)
            table = np.ascontiguousarray(values).view(np.uint8).reshape(inputs.tokens, -1) if inputs.tokens else None
            if table is None or table.shape[1] != wanted.shape[0]:
                continue
            equal = table == wanted[None, :]
            token = int(equal.sum(axis=1).argmax())
            name = f"token {token} of rank {rank}" + (f" in data set {data}" if len(world.inputs) > 1 else "")
            if equal[token].all():
                return f"it is that of {name}"
            best.append((int(equal[token].sum()), name))
            covered |= equal[token]
    if len(set(wanted.tolist())) == 1:
        return f"every byte of it is 0x{int(wanted[0]):02x}: nobody wrote it"
    if not best:
        return "nobody sent anything like it"
    most, name = max(best)
    if most * 4 < wanted.shape[0]:
        return "nobody sent anything like it"
    return f"{most} of its {wanted.shape[0]} bytes are those of {name}"


def _columns(observed: Bytes, wanted: Bytes) -> str:
    different = np.flatnonzero(observed != wanted)
    return f"bytes {int(different[0])} to {int(different[-1])}, {len(different)} of {len(wanted)}"


def check_dispatch(world: World, receiver: int, observed: DispatchObservation) -> list[Discrepancy]:
    """Everything that is wrong with what one rank received in one dispatch; empty if it is right."""
    data, found = observed.data, list[Discrepancy]()

    def complain(kind: str, text: str) -> None:
        found.append(Discrepancy(kind, receiver, data, text))

    expected = set(world.expected(data, receiver))
    rows = observed.payload.shape[0]
    if observed.count != len(expected):
        complain("count", f"total_recv is {observed.count}, {len(expected)} rows are expected")
    if observed.count > rows:
        complain("count", f"total_recv is {observed.count}, more than the {rows} rows of the buffer")
    valid = max(0, min(observed.count, rows))
    for name in ("weights", "ids", "scales"):
        if getattr(observed, name).shape[0] < valid:
            complain("shape", f"{name} has {getattr(observed, name).shape[0]} rows for {valid} received tokens")
            return found
    by_payload = _source_by_payload(world, data)
    seen: Counter[tuple[int, int]] = Counter()
    for row in range(valid):
        source = by_payload.get(observed.payload[row].tobytes())
        if source is None:
            # The other fields may still tell which row this should have been.
            guess = _guess(world, data, observed, row)
            if guess is None or guess in seen or guess not in expected:
                complain("foreign", f"row {row}: {_where_from(world, 'payload', observed.payload[row])}")
                continue
            seen[guess] += 1
            wanted = world.inputs[data][guess[0]].payload[guess[1]]
            complain(
                "payload",
                f"row {row}, token {guess[1]} of rank {guess[0]}: {_columns(observed.payload[row], wanted)} differ; "
                f"{_where_from(world, 'payload', observed.payload[row])}",
            )
            continue
        seen[source] += 1
        rank, token = source
        if source not in expected:
            ids = world.inputs[data][rank].ids[token].tolist()
            complain(
                "foreign", f"row {row} is token {token} of rank {rank}, whose ids {ids} name no expert of this rank"
            )
        _check_fields(world, observed, row, source, complain)
    for (rank, token), times in sorted(seen.items()):
        if times > 1:
            complain("twice", f"token {token} of rank {rank} is there {times} times")
    for rank, token in sorted(expected - seen.keys()):
        complain("missing", f"token {token} of rank {rank} is not there")
    found.extend(_check_beyond(receiver, observed, valid))
    if observed.expert_counts.size:
        wanted_counts = expert_counts(world, data, receiver)
        if observed.expert_counts.tolist() != wanted_counts:
            complain("expert_count", f"the op counted {observed.expert_counts.tolist()}, {wanted_counts} is right")
    return found


def expert_counts(world: World, data: int, receiver: int) -> list[int]:
    """Slots of received rows that name each local expert of a rank."""
    per_rank = world.case.experts_per_rank
    named = [
        int(item) - receiver * per_rank
        for rank, token in world.expected(data, receiver)
        for item in world.inputs[data][rank].ids[token]
        if receiver * per_rank <= item < (receiver + 1) * per_rank
    ]
    return [named.count(expert) for expert in range(per_rank)]


def _guess(world: World, data: int, observed: DispatchObservation, row: int) -> tuple[int, int] | None:
    """Which token a row with altered payload belongs to, by its weights (which are all different)."""
    for rank, inputs in enumerate(world.inputs[data]):
        same = np.flatnonzero((inputs.weights == observed.weights[row][None, :]).all(axis=1))
        if len(same):
            return rank, int(same[0])
    return None


def _check_fields(
    world: World, observed: DispatchObservation, row: int, source: tuple[int, int], complain: object
) -> None:
    assert callable(complain)
    rank, token = source
    inputs = world.inputs[observed.data][rank]
    for name in ("weights", "ids", "scales"):
        wanted, got = getattr(inputs, name)[token], getattr(observed, name)[row]
        if wanted.size and (wanted.shape != got.shape or wanted.tobytes() != got.tobytes()):
            shown = f"{got.tolist()} instead of {wanted.tolist()}; " if wanted.size <= 16 else ""
            complain(name, f"row {row}, token {token} of rank {rank}: {shown}{_where_from(world, name, got)}")
    if observed.sources.shape[0] > row:
        told = (int(observed.sources[row][0]), int(observed.sources[row][1]))
        if told != source:
            complain(
                "position",
                f"row {row} is token {token} of rank {rank}, the op says token {told[1]} of rank {told[0]}",
            )
    elif observed.sources.shape[0] > 0:
        complain("position", f"row {row} has no source position, there are {observed.sources.shape[0]}")


def _check_beyond(receiver: int, observed: DispatchObservation, valid: int) -> list[Discrepancy]:
    found = []
    for name, before in sorted((observed.before or {}).items()):
        now = getattr(observed, name)
        after = np.ascontiguousarray(now).view(np.uint8).reshape(now.shape[0], -1)
        if before.shape != after.shape:
            continue
        touched = np.flatnonzero((before[valid:] != after[valid:]).any(axis=1)) + valid
        if len(touched):
            found.append(
                Discrepancy(
                    "beyond",
                    receiver,
                    observed.data,
                    f"{name}: {len(touched)} rows beyond the {valid} valid ones were written, the first is row {touched[0]}",
                )
            )
    return found


def _computed(
    case: Case, receiver: int, values: npt.NDArray[np.float32], ids: Integers, weights: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """What a rank's experts make of rows."""
    return expert_output(
        receiver, values, ids, weights, case.experts_per_rank, case.combine_dtype, factor=case.expert_factor
    )


def _quantisation(case: Case, part: Doubles) -> Doubles:
    """How far quantisation may move each value of a rank's contribution."""
    if case.quant_type == "fp8_direct_cast":
        return direct_bound(part)
    if case.quant_type == "fp8_blockwise":
        return blockwise_bound(part, SCALE_BLOCKS)
    if case.quant_type == "fp4_blockwise":
        return blockwise_bound(part, SCALE_BLOCKS, FP4)
    return np.zeros(part.shape)


def expected_combine(world: World, rank: int, data: int) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """(sums, their tolerance, weight sums, their tolerance) for this rank's tokens.

    The tolerance is one rounding to the combine's dtype for each addition, relative to the sum of the magnitudes: nothing
    where a token has one contribution. Where contributions travel in fp8, `quantising` says what comes on top.
    """
    case, inputs = world.case, world.inputs[data][rank]
    unit = 2.0**-8 if case.combine_dtype == "bfloat16" else 2.0**-24
    shape = (inputs.tokens, case.width)
    total, magnitude, quantised = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    partial, partial_error = np.zeros(shape), np.zeros(shape)
    per_node = case.world_size // case.nodes
    weight_total, weight_magnitude = np.zeros(inputs.weights.shape), np.zeros(inputs.weights.shape)
    additions = np.zeros((inputs.tokens, 1))
    values = numeric(inputs.payload, case.dtype)
    for receiver in range(case.world_size):
        reached = np.array(
            [receiver in world.destinations(data, rank, token) for token in range(inputs.tokens)], dtype=bool
        ).reshape(-1, 1)
        rows = _computed(case, receiver, values, inputs.ids, inputs.weights)
        part = np.where(reached, rows, 0.0).astype(np.float64)
        total += part
        magnitude += np.abs(part)
        error = _quantisation(case, part)
        quantised += error
        # Partial sums of a node travel as contributions do.
        partial, partial_error = partial + part, partial_error + error
        if case.kernel_type.startswith("InterNodeV1") and (receiver + 1) % per_node == 0:
            if case.quant_type == "fp8_direct_cast":
                quantised += np.where(partial == 0, 0.0, direct_bound(np.abs(partial) + partial_error))
            partial, partial_error = np.zeros(shape), np.zeros(shape)
        weight_part = np.where(reached, weights_for_combine(receiver, inputs.weights), 0.0).astype(np.float64)
        weight_total += weight_part
        weight_magnitude += np.abs(weight_part)
        additions += reached
    roundings = np.maximum(additions - 1, 0)
    scaled = case.quant_type.endswith("blockwise")
    return (
        total,
        (magnitude + quantised) * unit * (additions if scaled else roundings) + quantised,
        weight_total,
        weight_magnitude * 2.0**-24 * roundings,
    )


def check_combine(
    world: World, rank: int, observed: CombineObservation, *, with_weights: bool = True
) -> list[Discrepancy]:
    """Everything that is wrong with what came back to one rank; empty if it is right."""
    found: list[Discrepancy] = []
    tokens = world.inputs[observed.data][rank].tokens
    sums, tolerance, weight_sums, weight_tolerance = expected_combine(world, rank, observed.data)
    checks = [("sum", observed.rows, sums, tolerance)]
    if with_weights:
        checks.append(("weight_sum", observed.weights, weight_sums, weight_tolerance))
    for kind, got, wanted, bound in checks:
        if got.shape[0] < tokens or got.shape[1:] != wanted.shape[1:]:
            found.append(Discrepancy("shape", rank, observed.data, f"{kind}: {got.shape} for {tokens} tokens"))
            continue
        error = np.abs(got[:tokens].astype(np.float64) - wanted)
        wrong = ~(error <= bound)  # a NaN is wrong
        for token in np.flatnonzero(wrong.any(axis=1)):
            column = int(np.argmax(wrong[token]))
            found.append(
                Discrepancy(
                    kind,
                    rank,
                    observed.data,
                    f"token {token} (from ranks {list(world.destinations(observed.data, rank, int(token)))}): "
                    f"{int(wrong[token].sum())} of {wrong.shape[1]} values are wrong; column {column} is "
                    f"{float(got[token, column]):.8g} instead of {float(wanted[token, column]):.8g}"
                    f"{_which_contributions(world, rank, observed, int(token)) if kind == 'sum' else ''}",
                )
            )
    return found


def _which_contributions(world: World, rank: int, observed: CombineObservation, token: int) -> str:
    """Tells a sum that lacks a contribution, or has one twice, from any other wrong one."""
    case, inputs = world.case, world.inputs[observed.data][rank]
    values, ids = numeric(inputs.payload, case.dtype)[token : token + 1], inputs.ids[token : token + 1]
    sums, _, _, _ = expected_combine(world, rank, observed.data)
    got = observed.rows[token].astype(np.float64)
    for receiver in world.destinations(observed.data, rank, token):
        part = _computed(case, receiver, values, ids, inputs.weights[token : token + 1])[0].astype(np.float64)
        for words, candidate in (("lacks", sums[token] - part), ("has twice", sums[token] + part)):
            if np.allclose(got, candidate, rtol=2.0**-6, atol=0):
                return f"; it {words} what rank {receiver} computed"
    for other in range(inputs.tokens):
        if other != token and np.allclose(got, sums[other], rtol=2.0**-7, atol=0):
            return f"; it is the sum of token {other}"
    return ""


def check_guards(rank: int, guards: Sequence[GuardObservation]) -> list[Discrepancy]:
    """Inputs and their canaries must be as they were."""
    found = []
    for guard in guards:
        for where, number in (
            ("in", guard.changed_inside),
            ("before", guard.changed_before),
            ("behind", guard.changed_behind),
        ):
            if number:
                found.append(
                    Discrepancy("input", rank, -1, f"{number} bytes {where} the input {guard.name} were changed")
                )
    return found
