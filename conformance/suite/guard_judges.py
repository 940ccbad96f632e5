# SPDX-License-Identifier: MIT
"""Judges moriep's overflow guard on a release: randomised routings, what fits by the oracle's count, and what became of each."""

from __future__ import annotations

import math

from conformance.judging import Finding
from conformance.suite.cases import Case
from conformance.suite.launch import Outcome
from conformance.suite.oracle import World, check_combine, check_dispatch, make_world
from conformance.verdicts import Verdict

__all__ = ["EXACT_CASES", "EXTERNAL_CASES", "FREE_CASES", "fits", "judge_corruption", "judge_refusals", "overflows"]

# Random routings, many in one case because a start of ranks is dear. About half of them do not fit.
EXACT_CASES = (
    "guard-uniform",
    "guard-skewed",
    "guard-same-rank",
    "guard-full",
    "guard-four-ranks",
    "guard-edge",
    "guard-edge-last",
)
EXTERNAL_CASES = ("guard-external", "guard-external-skewed", "guard-external-edge")
FREE_CASES = ("guard-free", "guard-free-four-ranks")


def capacity(case: Case) -> int:
    """Receive rows, counted here again: the guard's own arithmetic is what is judged."""
    world_size, most = case.world_size, case.most_tokens
    return world_size * min(math.ceil(case.cap / world_size), most) if case.cap else world_size * most


def overflows(world: World, data: int) -> bool:
    """True if some rank must receive more than its capacity."""
    case = world.case
    return max(len(world.expected(data, rank)) for rank in range(case.world_size)) > capacity(case)


def staged_outside(world: World, data: int) -> bool:
    """True if combine from an external buffer would write outside: row receiver × M + token, each as wide as the payload.

    Only IntraNode stages by sender. The buffer has room for payload, ids, weights and source id of `capacity` rows.
    """
    case = world.case
    if case.kernel_type != "IntraNode":
        return False
    payload = case.hidden * 2
    room = capacity(case) * (payload + case.top_k * 8 + 4)
    return any(
        (receiver * case.most_tokens + token + 1) * payload > room
        for rank, inputs in enumerate(world.inputs[data])
        for token in range(inputs.tokens)
        for receiver in world.destinations(data, rank, token)
    )


def fits(world: World, data: int) -> bool:
    """True if the guard of this case has to let the data set through."""
    case = world.case
    if case.guard == "free":
        return sum(case.counts(data)) <= capacity(case)
    return not overflows(world, data) and not (case.combine_input == "external" and staged_outside(world, data))


def judge_corruption(outcome: Outcome) -> Finding:
    """Everything that does not fit is refused on every rank, and nothing was written where it should not be."""
    name = outcome.case.name
    world = make_world(outcome.case)
    wrong = []
    refused = 0
    for data in range(outcome.case.data_sets):
        through = [rank for rank, seen in outcome.observations.items() if str(data) not in seen.notes]
        if not overflows(world, data) and (fits(world, data) or outcome.case.combine_input != "external"):
            continue
        refused += 1
        if through:
            wrong.append(f"{name}: data set {data} does not fit, and rank {through[0]} dispatched it")
    if wrong:
        return Finding(Verdict.FAIL, wrong[0], tuple(wrong))
    return Finding(Verdict.PASS, f"{name}: {refused} of {outcome.case.data_sets} routings refused", ())


def judge_refusals(outcome: Outcome) -> Finding:
    """Everything that fits was let through, and is right."""
    case, world = outcome.case, make_world(outcome.case)
    wrong: list[str] = []
    for rank, seen in sorted(outcome.observations.items()):
        wrong += [
            f"{case.name}: data set {data} fits, and rank {rank} refused it: {message}"
            for data, message in seen.notes.items()
            if fits(world, int(data))
        ]
        found = [item for dispatch in seen.dispatches for item in check_dispatch(world, rank, dispatch)]
        for combine in seen.combines:
            found += check_combine(world, rank, combine, with_weights=False)
        wrong += [f"{case.name}: {item}" for item in found]
    if wrong:
        return Finding(Verdict.FAIL, wrong[0], tuple(wrong[:12]))
    through = sum(fits(world, data) for data in range(case.data_sets))
    return Finding(Verdict.PASS, f"{case.name}: {through} of {case.data_sets} routings went through and are right", ())
