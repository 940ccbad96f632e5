# SPDX-License-Identifier: MIT
"""What became of a consumer's situation on a release, in one word with the evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from conformance.consumers.profile import Situation
from conformance.suite.launch import Outcome
from conformance.suite.oracle import Discrepancy
from conformance.verdicts import Finding, Verdict
from moriep.consequences import DEFAULTS

__all__ = ["OUTCOMES", "ConsumerOutcome", "consumer_finding", "outcome_of"]

ConsumerOutcome = Literal["works", "degraded", "wrong", "raises", "aborts", "hangs", "unknown"]

OUTCOMES: Mapping[ConsumerOutcome, str] = {
    "works": "every received row and every sum is right, and every argument is taken as it was meant",
    "degraded": "every result is right, but an argument was dropped or landed where it was not meant to",
    "wrong": "results are wrong, or memory that is not the op's was read or written",
    "raises": "a Python exception in the constructor, in dispatch or in combine",
    "aborts": "the process ends: an assertion on the host or on the device, or a signal",
    "hangs": "ranks wait for each other until the deadline",
    "unknown": "it did not run, or the virtual GPU itself is at fault",
}
_WORDS: Mapping[str, ConsumerOutcome] = {
    "refused": "raises",
    "asserted": "aborts",
    "crash": "aborts",
    "out_of_bounds": "wrong",
    "hang": "hangs",
    "engine_error": "unknown",
}
_VERDICTS: Mapping[ConsumerOutcome, Verdict] = {
    "works": Verdict.PASS,
    "degraded": Verdict.PASS,
    "wrong": Verdict.FAIL,
    "raises": Verdict.FAIL,
    "aborts": Verdict.CRASH,
    "hangs": Verdict.TIMEOUT,
    "unknown": Verdict.ENGINE_ERROR,
}
# How a release says that it lacks what is asked for.
_LACKING = ("unexpected keyword argument", "NotImplementedError", "IntraNodeLL")
_SHOWN = 12


def _losses(situation: Situation, outcome: Outcome) -> list[str]:
    """Arguments that did not arrive as they were meant, as every rank saw it; each once."""
    calls = situation.case.calls
    assert calls is not None
    given = dict(calls.arguments)
    losses: dict[str, None] = {}
    for seen in outcome.observations.values():
        for name in seen.pruned:
            if name not in DEFAULTS or given[name] != DEFAULTS[name]:
                losses[f"{name}={given[name]} was dropped"] = None
        for method in ("dispatch", "combine"):
            landed = seen.notes.get(method)
            names = tuple(part.split("=")[0] for part in landed.split(", ")) if landed else ()
            if names and names != situation.meant:
                losses[f"{method} took ({', '.join(situation.meant)}) as {landed}"] = None
        for key in ("warnings", "values", "second", "left"):
            if key in seen.notes:
                losses[f"pruning: {seen.notes[key]}"] = None
    return list(losses)


def consumer_finding(
    situation: Situation,
    outcomes: Mapping[str, Outcome],
    discrepancies: Callable[[Outcome], Sequence[Discrepancy]],
) -> Finding:
    """The verdict on one situation; its message begins with the word of `OUTCOMES`.

    Args:
        outcomes: of the situation's case, by its name.
        discrepancies: what the oracle says of an outcome.
    """
    outcome = outcomes[situation.case.name]
    fault = (f"the consumer {situation.fault}",) if situation.fault else ()
    if outcome.kind != "finished":
        word = _WORDS[outcome.kind]
        verdict = _VERDICTS[word]
        if word == "raises" and any(text in outcome.message for text in _LACKING):
            verdict = Verdict.UNSUPPORTED
        return Finding(verdict, f"{word}: {outcome.message}", (*fault, *outcome.evidence[:_SHOWN]))
    ignored = () if situation.weights_return else ("weight_sum",)
    found = [
        item
        for item in discrepancies(outcome)
        # A consumer that hands no weights to combine has no weights to come back.
        if item.kind not in ignored and not (ignored and item.kind == "shape" and item.text.startswith("weight_sum"))
    ]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return Finding(Verdict.FAIL, f"wrong: {found[0]}{more}", (*fault, *(str(item) for item in found[:_SHOWN])))
    losses = _losses(situation, outcome)
    if losses:
        return Finding(Verdict.PASS, f"degraded: {'; '.join(losses)}", (*fault, *losses))
    return Finding(Verdict.PASS, "works: every received row and every sum is right", fault)


def outcome_of(message: str) -> ConsumerOutcome:
    """The word that a verdict's message begins with; "unknown" for any other message."""
    word = message.split(":", 1)[0]
    return next((known for known in OUTCOMES if known == word), "unknown")
