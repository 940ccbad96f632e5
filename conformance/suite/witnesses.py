# SPDX-License-Identifier: MIT
"""Which requirement must catch which broken implementation; `python -m conformance.suite witnesses` prints what did.

The broken implementations are in `reference/mori/witnesses.py`. A requirement that no witness breaks would be a test that cannot
fail, so the table has to name every requirement that is judged by running.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from conformance.catalogue import aspects, load_catalogue
from conformance.consumers import SITUATIONS, outcome_of
from conformance.suite.judges import CHECKS, cases_of, judge
from conformance.suite.lanes import Lane
from conformance.suite.launch import Job, Outcome, run_jobs
from conformance.suite.variants import case_named
from conformance.verdicts import Verdict

__all__ = ["ALONE", "LENIENT", "REFUSED", "WITNESSES", "WitnessResult", "run_witnesses"]

CORRECT = "correct"
_CALLED_DIFFERENTLY = ("InterNodeV1", "AsyncLL")
# Computes as the correct one, and refuses nothing that a caller does wrong.
LENIENT = "takes-whatever-it-is-given"
# Consumers at fault: the correct implementation refuses what they do, which is the right answer and no pass.
REFUSED = frozenset(item.requirement for item in SITUATIONS if item.right_answer == "refuses")

# Witness → the requirement that must catch it.
WITNESSES: dict[str, str] = {
    "drops-a-token-to-the-last-rank": "DSP-1",
    "duplicates-the-first-token": "DSP-1",
    "sends-once-per-expert": "DSP-1",
    "loses-a-lone-sender": "DSP-1",
    "sends-to-the-neighbour": "DSP-1",
    "swaps-two-payloads": "DSP-3",
    "alters-one-column": "DSP-2",
    "copies-half-of-the-row": "DSP-2",
    "swaps-weights-of-a-tokens-slots": "DSP-3",
    "takes-weights-of-the-next-token": "DSP-3",
    "makes-expert-ids-local": "DSP-3",
    "swaps-scale-rows": "DSP-4",
    "takes-scales-of-the-first-rank": "DSP-4",
    "counts-one-too-many": "DSP-5",
    "counts-slots-not-tokens": "DSP-5",
    "writes-beyond-total-recv": "DSP-7",
    "writes-into-its-input": "DSP-7",
    "wrong-source-token": "DSP-6",
    "source-stride-is-one-rank": "DSP-6",
    "halves-wide-elements": "DSP-8",
    "loses-the-low-latency-kernel": "DSP-9",
    "stale-buffer": "STA-1",
    "leaks-between-calls": "STA-1",
    "forgets-to-reset-the-count": "STA-3",
    "clears-the-count-in-combine": "STA-2",
    "returns-the-same-objects": "STA-4",
    "sums-twice": "CMB-2",
    "loses-one-contribution": "CMB-2",
    "one-rank-twice-another-never": "CMB-2",
    "combines-by-received-order": "CMB-2",
    "combines-dispatched-input": "CMB-2",
    "rounds-every-addition-down": "CMB-2",
    "ignores-weights-in-combine": "CMB-3",
    "averages-weights": "CMB-3",
    "forgets-the-registered-buffer": "CMB-4",
    "sums-float32-in-bfloat16": "CMB-5",
    "sums-low-latency-once": "CMB-6",
    "sends-minus-one-to-rank-zero": "IDS-1",
    "drops-tokens-with-any-minus-one": "IDS-1",
    "wraps-ids-out-of-range": "IDS-2",
    "sums-by-slots": "IDS-3",
    "low-latency-sends-minus-one": "IDS-4",
    "low-latency-wraps-ids": "IDS-5",
    "ignores-the-cap": "CAP-6",
    "rounds-the-cap-down": "CAP-5",
    "rounds-the-cap-to-an-even-number": "CAP-5",
    "keeps-weights-of-as-many-tokens-as-it-receives": "CAP-8",
    "does-not-clamp-the-cap": "CAP-4",
    "zero-means-one-row": "CAP-3",
    "reports-the-uncapped-capacity": "CAP-6",
    "refuses-the-last-row": "CAP-6",
    "stages-combine-by-rank": "CAP-7",
    "allocates-the-worst-case": "MEM-1",
    "caps-no-scales": "MEM-2",
    "changes-the-config": "CFG-10",
    "allows-one-too-many": "OVF-7",
    "returns-the-uncapped-count": "OVF-8",
    "hangs-on-overflow": "OVF-7",
    "crashes-on-overflow": "OVF-7",
    "low-latency-has-no-check": "OVF-9",
    "lets-one-too-many-through": "GRD-1",
    "looks-at-the-first-rank-only": "GRD-1",
    "refuses-a-full-buffer": "GRD-2",
    "forgets-the-staging-rows": "GRD-3",
    "refuses-every-cap": "GRD-3",
    "believes-in-the-mean": "GRD-4",
    "handle-forgets-rows": "RTE-2",
    "replay-moves-no-payload": "RTE-3",
    "replay-reverses-rows": "RTE-3",
    "refuses-to-replay-nothing": "RTE-4",
    "needs-many-blocks": "LNC-2",
    "asserts-an-even-number-of-warps": "LNC-3",
    "halves-ocp-payloads": "DSP-10",
    "swaps-the-halves-of-fp4": "DSP-11",
    "copies-the-first-scales-only": "DSP-12",
    "strides-by-the-configured-hidden-size": "DSP-13",
    "counts-tokens-not-slots": "DSP-14",
    "forgets-the-ninth-expert": "DSP-15",
    "truncates-in-the-cast": "CMB-7",
    "forgets-the-block-scale": "CMB-8",
    "takes-fp4-for-an-integer": "CMB-9",
    "forgets-a-token-every-fifth-call": "STA-5",
    "adds-up-when-called-with-the-same-tensors": "STA-6",
    "shares-its-rows-between-ops": "STA-7",
    "sends-what-stood-there-before": "STA-8",
    "loses-tokens-of-the-fourth-node": "NOD-1",
    "knows-seven-ranks": "NOD-2",
    "loses-tokens-between-two-large-nodes": "NOD-3",
    "keeps-a-bit-for-each-of-eight-ranks": "NOD-4",
    "keeps-a-place-for-each-expert": "NOD-5",
    "reads-its-input-in-the-second-half": "ASY-1",
    "second-op-loses-a-row": "SEC-1",
    "second-op-takes-the-first-contribution": "SEC-2",
    "second-op-sends-minus-one": "SEC-3",
}
# Broken guards on a correct implementation; the others are broken implementations.
GUARD_WITNESSES = frozenset(name for name, requirement in WITNESSES.items() if requirement.startswith("GRD-"))
# They end their ranks, or leave one of them waiting: each needs a run of its own.
ALONE = frozenset({"hangs-on-overflow", "crashes-on-overflow", "refuses-to-replay-nothing"})


@dataclass(frozen=True)
class WitnessResult:
    """What the suite said of one implementation.

    Attributes:
        expected: the requirement that must catch it; "" for the correct one, which must pass everything.
        caught_by: the requirements that did not pass, of those that were judged.
        message: of the expected requirement.
    """

    witness: str
    expected: str
    caught_by: tuple[str, ...]
    message: str

    @property
    def good(self) -> bool:
        return self.expected in self.caught_by if self.expected else not self.caught_by


def _judged(witness: str, everything: bool) -> list[tuple[str, str]]:
    """What is judged: (requirement, kernel type).

    The correct one has to be right in everything; of the kernel types, which are all the same to it, with those that are called
    differently or put ranks on several nodes.
    """
    if witness == CORRECT:
        catalogue = [item for item in load_catalogue() if item.id in CHECKS]
        as_it_is = [(item.id, "") for item in catalogue]
        return [
            *as_it_is,
            *(item.key for item in aspects(catalogue, "standard", _CALLED_DIFFERENTLY) if item.kernel_type),
        ]
    return [(name, "") for name in (CHECKS if everything else [WITNESSES[witness]])]


def _jobs(witness: str, names: Sequence[str]) -> list[Job]:
    # The reference refuses; only those that end their ranks need processes of their own.
    alone = witness in ALONE
    variables = {"CONFORMANCE_GUARD_WITNESS" if witness in GUARD_WITNESSES else "MORI_REFERENCE_WITNESS": witness}
    return [Job(case_named(name).with_(alone=alone), variables) for name in names]


def run_witnesses(
    lane: Lane,
    witnesses: Sequence[str],
    *,
    everything: bool = False,
    deadline: float = 300.0,
    report: Callable[[Outcome], None] | None = None,
) -> tuple[WitnessResult, ...]:
    """Run witnesses, many in one group of ranks.

    Args:
        witnesses: names of the table, or "correct", which is judged on every requirement.
        everything: judge each witness on all requirements, to see what else it breaks.
    """
    jobs: list[tuple[str, Job]] = []
    for witness in witnesses:
        jobs += [(witness, job) for job in _jobs(witness, cases_of(_judged(witness, everything)))]
    # A witness that hangs is there to reach its deadline: it needs no long one.
    ending = set(witnesses) <= ALONE
    outcomes = run_jobs(
        [job for _, job in jobs], lane, deadline=min(deadline, 90.0) if ending else deadline, report=report
    )
    by_witness: dict[str, dict[str, Outcome]] = {}
    for (witness, job), outcome in zip(jobs, outcomes, strict=True):
        by_witness.setdefault(witness, {})[job.case.name] = outcome
    return tuple(_result(witness, by_witness[witness], everything) for witness in witnesses)


def _result(witness: str, outcomes: Mapping[str, Outcome], everything: bool) -> WitnessResult:
    expected = WITNESSES.get(witness, "")
    findings = {key: judge(key[0], outcomes, key[1]) for key in _judged(witness, everything)}
    caught = {
        key: item
        for key, item in findings.items()
        if (outcome_of(item.message) != "raises" if key[0] in REFUSED else item.verdict is not Verdict.PASS)
    }
    caught = {key: item for key, item in caught.items() if item.verdict is not Verdict.ENGINE_ERROR}
    first = findings.get((expected, "")) or next(iter(caught.values()), None)
    names = tuple(f"{requirement} {kernel_type}".rstrip() for requirement, kernel_type in caught)
    return WitnessResult(witness, expected, names, first.message if first else "passes everything")
