# SPDX-License-Identifier: MIT
"""What judges are made of: the table of checks, and judges that look for kinds of discrepancies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from conformance.suite.cases import Case
from conformance.suite.launch import Outcome
from conformance.suite.observations import Observation
from conformance.suite.oracle import Discrepancy, World, check_combine, check_dispatch, check_guards, make_world
from conformance.verdicts import Finding, Verdict

__all__ = [
    "CHECKS",
    "DISPATCH_KINDS",
    "LACKING",
    "ROUTED_KINDS",
    "SHOWN",
    "SUM_KINDS",
    "Check",
    "Judge",
    "Outcomes",
    "check",
    "discrepancies",
    "end_of",
    "lacks",
    "nothing_of",
    "seen_by_ranks",
    "unfinished",
]

Outcomes = Mapping[str, Outcome]
Judge = Callable[[Outcomes], Finding]


@dataclass(frozen=True)
class Check:
    """How one requirement is judged: the cases that it needs, and the judge of their outcomes.

    The outcomes come under the names of these cases, whatever the kernel type that they were played with.
    """

    requirement: str
    cases: tuple[str, ...]
    judge: Judge


CHECKS: dict[str, Check] = {}

_ENDED = {
    "refused": Verdict.FAIL,
    "asserted": Verdict.FAIL,
    "out_of_bounds": Verdict.FAIL,
    "hang": Verdict.TIMEOUT,
    "crash": Verdict.CRASH,
    "engine_error": Verdict.ENGINE_ERROR,
}
# A release that lacks the feature says so like this.
LACKING = (
    "NotImplementedError",
    "unexpected keyword argument",
    "combine currently only supports",
    "Quant currently only supports",
    "combine only supports",
    "has no attribute 'float4_e2m1fn_x2'",
    "KeyError: torch.float4_e2m1fn_x2",
    "invalid quant_type",
    # The release's build for this GPU has no such kernel: fp8 of OCP on gfx942.
    "hipModuleGetFunction(",
)
SHOWN = 12

ROUTED_KINDS = ("missing", "twice", "foreign", "shape")
# The op's account of where rows came from is judged apart: what arrived is right or wrong without it.
DISPATCH_KINDS = (*ROUTED_KINDS, "payload", "weights", "ids", "scales", "count")
SUM_KINDS = ("sum", "shape")


def check(requirement: str, *cases: str) -> Callable[[Judge], Judge]:
    """Registers a judge."""

    def register(function: Judge) -> Judge:
        CHECKS[requirement] = Check(requirement, cases, function)
        return function

    return register


def end_of(outcome: Outcome) -> tuple[str, ...]:
    """The beginning, which tells the cause, and the end, which tells how the ranks ended."""
    lines = outcome.evidence
    return lines if len(lines) <= 32 else (*lines[:20], f"… {len(lines) - 32} lines …", *lines[-12:])


def lacks(outcome: Outcome) -> bool:
    """Whether the release said that it has no such feature."""
    kernel_type = outcome.case.kernel_type
    words = (*LACKING, f"AttributeError: {kernel_type}", f"has no attribute '{kernel_type}'")
    return outcome.kind == "refused" and any(word in outcome.message for word in words)


def unfinished(outcomes: Outcomes) -> Finding | None:
    """What to say when a case did not come to its end; None if all did."""
    ended = [outcome for outcome in outcomes.values() if outcome.kind != "finished"]
    if not ended:
        return None
    # Our own fault before the release's, whatever else there is.
    first = min(ended, key=lambda outcome: (outcome.kind != "engine_error", outcome.case.name))
    if lacks(first):
        return Finding(Verdict.UNSUPPORTED, f"{first.case.name}: {first.message}")
    observed = tuple(f"{item.case.name}: {item.kind}: {item.message}" for item in ended) + end_of(first)
    return Finding(_ENDED[first.kind], f"{first.case.name}: {first.kind}: {first.message}", observed)


def _everything(outcome: Outcome, world: World) -> list[Discrepancy]:
    """All discrepancies of a case, of all ranks and steps."""
    found: list[Discrepancy] = []
    for rank, seen in sorted(outcome.observations.items()):
        for dispatch in seen.dispatches:
            found += check_dispatch(world, rank, dispatch)
        for combine in seen.combines:
            found += check_combine(world, rank, combine, with_weights=not outcome.case.second_op)
        found += check_guards(rank, seen.guards)
    return found


_memory: dict[int, tuple[Outcome, list[Discrepancy]]] = {}


def discrepancies(outcome: Outcome) -> list[Discrepancy]:
    """Everything that is wrong in a case, computed once for each outcome: several requirements look at the same case."""
    kept = _memory.get(id(outcome))
    if kept is None or kept[0] is not outcome:
        kept = _memory[id(outcome)] = (outcome, _everything(outcome, make_world(outcome.case)))
    return kept[1]


def nothing_of(kinds: Sequence[str], good: str, *, steps: Callable[[Discrepancy, Case], bool] | None = None) -> Judge:
    """A judge: all cases finished, and nothing of these kinds is wrong."""

    def look(outcomes: Outcomes) -> Finding:
        ended = unfinished(outcomes)
        if ended is not None:
            return ended
        found = [
            f"{outcome.case.name}: {item}"
            for outcome in outcomes.values()
            for item in discrepancies(outcome)
            if item.kind in kinds and (steps is None or steps(item, outcome.case))
        ]
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            return Finding(Verdict.FAIL, found[0] + more, tuple(found[:SHOWN]))
        return Finding(Verdict.PASS, good, (f"cases {', '.join(item.case.name for item in outcomes.values())}",))

    return look


def seen_by_ranks(outcomes: Outcomes) -> list[tuple[str, Observation]]:
    """(the case, as it is called in the table, what a rank saw), case by case and rank by rank."""
    return [(name, seen) for name, outcome in outcomes.items() for _, seen in sorted(outcome.observations.items())]
