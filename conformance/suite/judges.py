# SPDX-License-Identifier: MIT
"""Judges what ranks saw: each requirement of the lanes `virtual` and `rocm`, on the outcomes of the cases that it is about.

A judge says what it found; a case that was not run, or that ended for another reason than the judge is about, is never a pass.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from conformance.consumers import SITUATIONS, consumer_finding
from conformance.suite import kernel_judges as _kernel_judges  # noqa: F401 (they register themselves)
from conformance.suite.checking import (
    CHECKS,
    DISPATCH_KINDS,
    ROUTED_KINDS,
    SHOWN,
    SUM_KINDS,
    Check,
    Judge,
    Outcomes,
    check,
    discrepancies,
    end_of,
    lacks,
    nothing_of,
    seen_by_ranks,
    unfinished,
)
from conformance.suite.guard_judges import (
    EXACT_CASES,
    EXTERNAL_CASES,
    FREE_CASES,
    judge_corruption,
    judge_refusals,
)
from conformance.suite.launch import Outcome
from conformance.suite.variants import variant_name
from conformance.verdicts import Finding, Verdict

__all__ = ["CHECKS", "Check", "cases_of", "discrepancies", "judge"]

_PAGE = 4096


def cases_of(keys: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The cases that these requirements need for these kernel types (requirement, kernel type), each once."""
    return tuple(
        dict.fromkeys(
            variant_name(name, kernel_type)
            for requirement, kernel_type in keys
            if requirement in CHECKS
            for name in CHECKS[requirement].cases
        )
    )


def judge(requirement: str, outcomes: Outcomes, kernel_type: str = "") -> Finding:
    """Judge one requirement for one kernel type ("" for its cases as they are); a case that is missing makes it `not_run`."""
    names = {name: variant_name(name, kernel_type) for name in CHECKS[requirement].cases}
    missing = [name for name in names.values() if name not in outcomes]
    if missing:
        return Finding(Verdict.NOT_RUN, f"not run: {', '.join(missing)}")
    return CHECKS[requirement].judge({name: outcomes[played] for name, played in names.items()})


_DISPATCHES = (
    "uniform",
    "skewed",
    "same-rank",
    "one-sender",
    "nobody",
    "full",
    "three-tokens-four-ranks",
    "odd-hidden",
)

for _requirement, _cases, _kinds, _good in (
    ("DSP-1", _DISPATCHES, ROUTED_KINDS, "every token arrived once at each rank that it names, and nothing else"),
    ("DSP-2", _DISPATCHES, ("payload", "foreign"), "every payload arrived bit by bit"),
    ("DSP-3", _DISPATCHES, ("weights", "ids"), "every row has its token's weights and global expert ids"),
    ("DSP-4", ("uniform", "fp8"), ("scales",), "every row has its token's scales"),
    ("DSP-5", _DISPATCHES, ("count",), "total_recv is the number of rows"),
    ("DSP-7", _DISPATCHES, ("beyond", "input"), "nothing beyond total_recv was written, nor any input"),
    ("DSP-8", ("float32", "fp8"), DISPATCH_KINDS, "float32 and fp8 payloads arrive bit by bit"),
    ("CMB-2", _DISPATCHES, SUM_KINDS, "every sum is right, within one rounding for each addition"),
    ("CMB-3", _DISPATCHES, ("weight_sum", "shape"), "combined weights are the sums of the weights given"),
    ("CMB-4", ("registered-buffer",), SUM_KINDS, "sums from the registered buffer are right"),
    ("CMB-5", ("fp8", "float32"), SUM_KINDS, "sums of other dtypes are right"),
    (
        "CAP-7",
        ("cap-last-rank", "cap-small", "cap-balanced"),
        (*DISPATCH_KINDS, *SUM_KINDS),
        "combine is right at every rank while the capacity is not exceeded",
    ),
    (
        "CAP-8",
        ("cap-below-one-sender",),
        (*DISPATCH_KINDS, *SUM_KINDS, "weight_sum"),
        "sums and weights of every token come back, though one rank sends more tokens than the capacity",
    ),
    ("IDS-1", ("dropped", "all-dropped"), DISPATCH_KINDS, "slots of −1 go nowhere, the other slots where they name"),
    ("IDS-2", ("out-of-range",), DISPATCH_KINDS, "ids of W·E and above go nowhere, the other slots where they name"),
    ("IDS-3", ("dropped", "all-dropped", "out-of-range"), SUM_KINDS, "sums are of the valid slots only"),
    ("IDS-4", ("ll-dropped",), (*DISPATCH_KINDS, *SUM_KINDS), "slots of −1 go nowhere"),
    ("IDS-5", ("ll-out-of-range",), (*DISPATCH_KINDS, *SUM_KINDS), "ids of W·E and above go nowhere"),
    ("STA-3", ("twice",), DISPATCH_KINDS, "two dispatches with no combine between are each right"),
    (
        "RTE-2",
        ("routing",),
        (*DISPATCH_KINDS, *SUM_KINDS),
        "dispatch with return_routing and combine with routing are right",
    ),
    (
        "LNC-2",
        ("one-block-one-warp", "sglang-geometry", "odd-warps"),
        (*DISPATCH_KINDS, *SUM_KINDS),
        "right at every geometry",
    ),
    ("LNC-3", ("ll-odd-warps",), (*DISPATCH_KINDS, *SUM_KINDS), "right with 5 warps in a block"),
    ("DSP-9", ("ll-uniform",), (*DISPATCH_KINDS, "beyond", "input"), "every token arrived, unaltered and once"),
    ("CMB-6", ("ll-uniform",), SUM_KINDS, "every sum is right, within one rounding for each addition"),
):
    check(_requirement, *_cases)(nothing_of(_kinds, _good))


@check("DSP-6", *_DISPATCHES)
def _positions(outcomes: Outcomes) -> Finding:
    finding = nothing_of(("position",), "every source position is right")(outcomes)
    refused = [
        f"{outcomes[name].case.name}: rank {seen.rank}: {text}"
        for name, seen in seen_by_ranks(outcomes)
        for key, text in sorted(seen.notes.items())
        if key.startswith("positions")
    ]
    if finding.verdict is Verdict.PASS and refused:
        return Finding(Verdict.FAIL, refused[0], tuple(refused[:SHOWN]))
    return finding


check("STA-1", *_DISPATCHES)(
    nothing_of(
        (*DISPATCH_KINDS, *SUM_KINDS),
        "later rounds are right, whatever the first one left in the buffers",
        steps=lambda item, _: item.data > 0,
    )
)


def _replays(outcomes: Outcomes) -> Finding:
    finding = nothing_of((*DISPATCH_KINDS, *SUM_KINDS), "a replay moves the new payload")(outcomes)
    if finding.verdict is not Verdict.PASS:
        return finding
    for outcome in outcomes.values():
        for rank, seen in sorted(outcome.observations.items()):
            for first, again in zip(seen.dispatches[::2], seen.dispatches[1::2], strict=True):
                if first.sources.tobytes() != again.sources.tobytes():
                    text = f"{outcome.case.name}: rank {rank}: the rows of the replay are in another order"
                    return Finding(Verdict.FAIL, text, (f"{first.sources.tolist()}", f"{again.sources.tolist()}"))
    return Finding(Verdict.PASS, "a replay moves the new payload into the rows of the first dispatch")


check("RTE-3", "replay")(_replays)
check("RTE-4", "replay-empty")(
    nothing_of((*DISPATCH_KINDS, *SUM_KINDS), "a rank that dispatched nothing takes part in a replay")
)


@check("STA-2", "uniform", "skewed")
def _count_stays(outcomes: Outcomes) -> Finding:
    ended = unfinished(outcomes)
    if ended is not None:
        return ended
    changed = [
        f"{name}: rank {seen.rank}: total_recv was {dispatch.count}, after combine it is {combine.count_after}"
        for name, seen in seen_by_ranks(outcomes)
        for dispatch, combine in zip(seen.dispatches, seen.combines, strict=True)
        if dispatch.count != combine.count_after
    ]
    if changed:
        return Finding(Verdict.FAIL, changed[0], tuple(changed[:SHOWN]))
    return Finding(Verdict.PASS, "total_recv keeps its value over combine")


@check("STA-4", "uniform", "skewed")
def _own_objects(outcomes: Outcomes) -> Finding:
    ended = unfinished(outcomes)
    if ended is not None:
        return ended
    same = [
        f"{name}: rank {seen.rank}: data set {dispatch.data} came back in the tensor object of the call before"
        for name, seen in seen_by_ranks(outcomes)
        for dispatch in seen.dispatches
        if dispatch.same_objects
    ]
    if same:
        return Finding(Verdict.FAIL, same[0], tuple(same[:SHOWN]))
    return Finding(Verdict.PASS, "every dispatch returns tensor objects of its own")


def _rows(outcomes: Outcomes, wanted: Mapping[str, int], good: str) -> Finding:
    """Judges the capacity that the op tells, and the rows that its buffers have."""
    ended = unfinished(outcomes)
    if ended is not None:
        return ended
    wrong, shown = [], []
    for name, seen in seen_by_ranks(outcomes):
        rows = sorted({dispatch.payload.shape[0] for dispatch in seen.dispatches})
        told = f"{name}: rank {seen.rank}: the op says {seen.capacity}, the buffers have {rows} rows"
        if seen.capacity != wanted[name] or any(item != wanted[name] for item in rows):
            wrong.append(f"{told}; {wanted[name]} are expected")
        shown.append(told)
    bad = [
        f"{name}: {item}"
        for name, outcome in outcomes.items()
        for item in discrepancies(outcome)
        if item.kind in DISPATCH_KINDS
    ]
    if wrong or bad:
        return Finding(Verdict.FAIL, (wrong or bad)[0], tuple((wrong + bad)[:SHOWN]))
    return Finding(Verdict.PASS, good, tuple(shown))


@check("CAP-3", "cap-absent", "cap-zero")
def _default_maximum(outcomes: Outcomes) -> Finding:
    return _rows(outcomes, {"cap-absent": 32, "cap-zero": 32}, "0 and absent both give W·M rows, and hold them")


@check("CAP-4", "cap-above")
def _clamped(outcomes: Outcomes) -> Finding:
    return _rows(outcomes, {"cap-above": 32}, "a cap above W·M gives W·M rows")


@check("CAP-5", "cap-odd", "cap-odd-four-ranks")
def _rounded(outcomes: Outcomes) -> Finding:
    return _rows(
        outcomes,
        {"cap-odd": 20, "cap-odd-four-ranks": 16},
        "a cap of 19 on 2 ranks gives 20 rows, one of 13 on 4 ranks 16, and they hold as many tokens",
    )


@check("CAP-6", "cap-exact", "cap-exact-one-sender", "cap-one-below")
def _exact(outcomes: Outcomes) -> Finding:
    wanted = {"cap-exact": 20, "cap-exact-one-sender": 12, "cap-one-below": 20}
    return _rows(outcomes, wanted, "buffers that are exactly full, and one row below, are right")


@check("MEM-1", "cap-memory", "cap-memory-none")
def _memory_shrinks(outcomes: Outcomes) -> Finding:
    ended = unfinished(outcomes)
    if ended is not None:
        return ended
    taken = {
        name: [after - before for _, seen in sorted(outcome.observations.items()) for before, after in [seen.memory]]
        for name, outcome in outcomes.items()
    }
    observed = tuple(f"{name}: {numbers} bytes by rank" for name, numbers in taken.items())
    if any(seen.memory[0] < 0 for _, seen in seen_by_ranks(outcomes)):
        return Finding(Verdict.NOT_RUN, "this device does not tell how much memory is in use", observed)
    case = outcomes["cap-memory"].case
    # Payload, and combine's input: the two largest of the buffers that the cap shrinks.
    least = (32 - 8) * 2 * case.hidden * 2
    saved = [none - capped for none, capped in zip(taken["cap-memory-none"], taken["cap-memory"], strict=True)]
    if not any(taken["cap-memory-none"]):
        return Finding(
            Verdict.NOT_RUN, "memory in use does not change with the op: the heap is allocated beforehand", observed
        )
    if min(saved) < least:
        return Finding(
            Verdict.FAIL,
            f"a cap of 8 instead of 32 rows saves {min(saved)} bytes, {least} at least are expected",
            observed,
        )
    return Finding(Verdict.PASS, f"a cap of 8 instead of 32 rows saves {min(saved)} bytes", observed)


@check("MEM-2", "allocations", "allocations-capped", "allocations-above")
def _buffer_by_buffer(outcomes: Outcomes) -> Finding:
    ended = unfinished(outcomes)
    if ended is not None:
        return ended
    wrong, shown, unknown = [], [], False
    for name, seen in seen_by_ranks(outcomes):
        for buffer, (real, predicted) in json.loads(seen.notes["allocations"]).items():
            text = f"{name}: rank {seen.rank}: {buffer}: {real} bytes, {predicted} are predicted"
            shown.append(text)
            unknown = unknown or real < 0
            # Where memory comes in pages only whole pages are told.
            if real not in (predicted, -(-predicted // _PAGE) * _PAGE):
                wrong.append(text)
    if unknown:
        return Finding(Verdict.NOT_RUN, "this device does not tell the bytes of an allocation", tuple(shown[:SHOWN]))
    if wrong:
        return Finding(Verdict.FAIL, wrong[0], tuple(wrong[:SHOWN]))
    return Finding(Verdict.PASS, "every buffer has the bytes that moriep.buffers predicts", tuple(shown[:SHOWN]))


@check("CFG-10", "uniform", "cap-exact")
def _kept(outcomes: Outcomes) -> Finding:
    ended = unfinished(outcomes)
    if ended is not None:
        return ended
    wrong = [f"{name}: {text}" for name, seen in seen_by_ranks(outcomes) for text in seen.kept]
    pruned = sorted({name for _, seen in seen_by_ranks(outcomes) for name in seen.pruned})
    if wrong:
        return Finding(Verdict.FAIL, wrong[0], tuple(wrong[:SHOWN]))
    return Finding(Verdict.PASS, "every field holds what was passed", (f"pruned: {', '.join(pruned) or 'nothing'}",))


@check("CFG-18", "consumer-sglang-bf16")
def _pruned_well(outcomes: Outcomes) -> Finding:
    seen = seen_by_ranks(outcomes)
    wrong = [
        f"{name}: rank {item.rank}: {key}: {item.notes[key]}"
        for name, item in seen
        for key in ("warnings", "values", "second", "left")
        if key in item.notes
    ]
    if wrong:
        return Finding(Verdict.FAIL, wrong[0], tuple(wrong[:SHOWN]))
    # Whatever happened after the op was made is another requirement's.
    if any(item.step == "construct" for _, item in seen) or not seen:
        return unfinished(outcomes) or Finding(Verdict.NOT_RUN, "no rank told what pruning did")
    removed = sorted({name for _, item in seen for name in item.pruned})
    return Finding(Verdict.PASS, f"removed {', '.join(removed) or 'nothing'}, with one warning each")


def _refuses_the_overflow(outcome: Outcome) -> bool:
    """True if it was the overflow that was noticed, and in dispatch; an exception later is a consequence, not a check."""
    if outcome.kind == "asserted":
        return "overflow" in outcome.message
    steps = [seen.step for seen in outcome.observations.values() if seen.outcome == "refused"]
    return (
        outcome.kind == "refused" and bool(steps) and all(step.startswith(("dispatch", "construct")) for step in steps)
    )


def _loud(outcomes: Outcomes) -> Finding:
    """An overflow may be refused or asserted; nothing else will do."""
    lines, worst = [], Verdict.PASS
    message = ""
    for name, outcome in outcomes.items():
        text = f"{name}: {outcome.kind}: {outcome.message}"
        if lacks(outcome):
            return Finding(Verdict.UNSUPPORTED, text)
        if _refuses_the_overflow(outcome):
            lines.append(text)
            continue
        if outcome.kind == "finished":
            found = [str(item) for item in discrepancies(outcome)]
            text = f"{name}: silent corruption: {'; '.join(found[:3]) or 'and yet everything is right: no overflow'}"
            worst, message = Verdict.FAIL, message or text
            lines += found[:SHOWN]
        elif outcome.kind == "engine_error":
            return Finding(Verdict.ENGINE_ERROR, text, end_of(outcome))
        else:
            worst, message = Verdict.FAIL, message or text
            lines += end_of(outcome)
        lines.append(text)
    return Finding(worst, message or "; ".join(lines), tuple(lines))


def _guarded(*parts: Callable[[Outcome], Finding]) -> Judge:
    """A judge of cases that were played through the guard: every part has to be content with every case."""

    def look(outcomes: Outcomes) -> Finding:
        ended = unfinished(outcomes)
        if ended is not None:
            return ended
        findings = [part(outcome) for outcome in outcomes.values() for part in parts]
        worst = next((item for item in findings if item.verdict is not Verdict.PASS), None)
        return worst or Finding(Verdict.PASS, "; ".join(item.message for item in findings))

    return look


check("GRD-1", *EXACT_CASES)(_guarded(judge_corruption))
check("GRD-2", *EXACT_CASES)(_guarded(judge_refusals))
check("GRD-3", *EXTERNAL_CASES)(_guarded(judge_corruption, judge_refusals))
check("GRD-4", *FREE_CASES)(_guarded(judge_corruption, judge_refusals))
check("OVF-7", "overflow-by-one")(_loud)
check("OVF-8", "overflow-far", "overflow-one-sender", "overflow-skewed")(_loud)
check("OVF-9", "ll-overflow-by-one")(_loud)

for _situation in SITUATIONS:
    check(_situation.requirement, _situation.case.name)(
        partial(consumer_finding, _situation, discrepancies=discrepancies)
    )
