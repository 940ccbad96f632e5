# SPDX-License-Identifier: MIT
"""Judges of payloads, quantised combine, repeated calls and shapes of nodes, whatever the kernel type."""

from __future__ import annotations

from conformance.suite.checking import DISPATCH_KINDS, SUM_KINDS, Judge, Outcomes, check, nothing_of
from conformance.suite.launch import Outcome
from conformance.verdicts import Finding, Verdict

__all__: list[str] = []

_BOTH = (*DISPATCH_KINDS, *SUM_KINDS)

for _requirement, _cases, _kinds, _good in (
    ("DSP-10", ("fp8-ocp",), _BOTH, "fp8 (OCP) payloads arrive bit by bit, and combine to the right sums"),
    ("DSP-11", ("fp4",), _BOTH, "fp4 payloads arrive bit by bit, and combine to the right sums"),
    ("DSP-12", ("scales-56x1", "scales-32x4"), _BOTH, "every row has its token's scales"),
    ("DSP-13", ("hidden-below",), _BOTH, "64 of 128 columns arrive and combine like 64 of 64"),
    ("DSP-14", ("expert-counts",), ("expert_count", *DISPATCH_KINDS), "received slots are counted by local expert"),
    ("DSP-15", ("nine-experts",), _BOTH, "all nine experts of every token were reached, and their sums are right"),
    (
        "CMB-7",
        ("direct-cast", "direct-cast-four-ranks"),
        _BOTH,
        "off by no more than fp8 rounding of each contribution",
    ),
    ("CMB-8", ("blockwise",), _BOTH, "off by no more than fp8 rounding of each contribution, block by block"),
    ("STA-5", ("many-rounds", "no-barriers"), _BOTH, "right in each of 8 rounds, with and without barriers"),
    ("STA-6", ("same-call",), _BOTH, "the same call is right 8 times in a row"),
    ("STA-8", ("captured",), _BOTH, "captured as graphs, dispatch and combine are right at each of 3 replays"),
    ("STA-7", ("two-ops",), _BOTH, "two ops keep apart"),
    ("NOD-1", tuple(f"4-ranks-nodes-of-{gpus}" for gpus in (1, 2, 4)), _BOTH, "right on nodes of 1, 2 and 4 ranks"),
    ("NOD-2", ("8-ranks-nodes-of-8",), _BOTH, "right on 8 ranks of one node"),
    ("NOD-3", tuple(f"8-ranks-nodes-of-{gpus}" for gpus in (1, 2, 4)), _BOTH, "right on nodes of 1, 2 and 4 ranks"),
    ("NOD-5", ("more-nodes-than-experts",), _BOTH, "right with 4 nodes and 3 experts of a token"),
    ("ASY-1", ("split",), _BOTH, "what was sent arrives, whatever happens between the halves"),
):
    check(_requirement, *_cases)(nothing_of(_kinds, _good))


def _without_flydsl(outcome: Outcome) -> Finding | None:
    """A release whose only back end is FlyDSL's says so, and is not judged."""
    if outcome.kind == "refused" and "flydsl" in outcome.message.lower():
        return Finding(Verdict.NOT_RUN, f"{outcome.case.name}: {outcome.message}: this release has no HIP back end")
    return None


def _second_op(kinds: tuple[str, ...], good: str) -> Judge:
    def look(outcomes: Outcomes) -> Finding:
        for outcome in outcomes.values():
            if (finding := _without_flydsl(outcome)) is not None:
                return finding
        return nothing_of(kinds, good)(outcomes)

    return look


check("SEC-1", "v2-uniform", "v2-four-ranks")(_second_op(DISPATCH_KINDS, "every token arrived, unaltered and once"))
check("SEC-2", "v2-uniform", "v2-four-ranks")(_second_op(SUM_KINDS, "every sum is right"))
check("SEC-3", "v2-dropped")(_second_op(_BOTH, "slots of −1 go nowhere, and the sums are of the others"))


@check("NOD-4", "16-ranks-nodes-of-8")
def _two_full_nodes(outcomes: Outcomes) -> Finding:
    """MORI's shared memory takes 8 ranks of a host and no more, whatever gpu_per_node says."""
    for outcome in outcomes.values():
        if "rankInNode < 8" in outcome.message:
            return Finding(Verdict.NOT_RUN, f"{outcome.case.name}: MORI holds 8 ranks of one host: {outcome.message}")
    return nothing_of(_BOTH, "right on 16 ranks of two nodes")(outcomes)


@check("CMB-9", "fp4-blockwise")
def _fp4_blockwise(outcomes: Outcomes) -> Finding:
    """The release refuses it on any GPU but gfx950, and says so."""
    outcome = outcomes["fp4-blockwise"]
    if outcome.kind == "refused" and "requires a gfx950" in outcome.message:
        return Finding(Verdict.NOT_RUN, f"{outcome.case.name}: {outcome.message}")
    return nothing_of(_BOTH, "off by no more than fp4 rounding of each contribution, block by block")(outcomes)
