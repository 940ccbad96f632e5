# SPDX-License-Identifier: MIT
"""Makes a failing trial small: one change after another, each kept if the trial still fails in the same way.

Candidates of one pass are played together, the boldest first, and the first that still fails is taken, so that ranks start as
seldom as possible. Everything is drawn from the trial itself, so that the same trial is shrunk in the same way again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from conformance.explore.playing import Trial
from conformance.explore.schedules import PLAIN
from conformance.suite.cases import Case

__all__ = ["candidates", "shrink"]

# Plays trials, and tells of each, in their order, whether it still fails in the same way; may be stopped at any.
Fails = Callable[[Sequence[Trial]], Generator[bool, None, None]]


def _with(case: Case, **values: Any) -> Case | None:
    """The case with other values, if there is such a case."""
    with contextlib.suppress(ValueError):
        changed = case.with_(**values)
        most = max((max(counts, default=0) for counts in changed.tokens), default=0)
        room = changed.experts_per_rank * (1 if changed.pattern in ("all_to_one", "same_rank") else changed.world_size)
        gpus = changed.gpus_per_node or changed.world_size
        if (
            most <= changed.most_tokens
            and changed.top_k <= room
            and changed.world_size % gpus == 0
            and gpus & (gpus - 1) == 0
        ):
            return changed
    return None


def _fewer_ranks(case: Case) -> Iterator[Case | None]:
    for ranks in (2, 4):
        if ranks < case.world_size:
            gpus = min(case.gpus_per_node or ranks, ranks)
            cut = {"world_size": ranks, "target": case.target % ranks}
            for tokens in (tuple(row[:ranks] for row in case.tokens), tuple(row[-ranks:] for row in case.tokens)):
                for nodes in (gpus, ranks, 1):
                    yield _with(case, tokens=tokens, gpus_per_node=nodes, **cut)


def _fewer_tokens(case: Case) -> Iterator[Case | None]:
    used = case.tokens[: max(1, min(len(case.tokens), case.data_sets))]
    if len(used) < len(case.tokens):
        yield _with(case, tokens=used)
    if len(case.tokens) > 1:
        for row in case.tokens:
            yield _with(case, tokens=(row,))
    for smaller in (0, 1, 2):
        yield _with(case, tokens=tuple(tuple(min(count, smaller) for count in row) for row in case.tokens))
    yield _with(case, tokens=tuple(tuple(count // 2 for count in row) for row in case.tokens))
    for number, row in enumerate(case.tokens):
        for rank, count in enumerate(row):
            for fewer in sorted({0, 1, count // 2, count - 1}):
                if 0 <= fewer < count:
                    changed = (*row[:rank], fewer, *row[rank + 1 :])
                    yield _with(case, tokens=(*case.tokens[:number], changed, *case.tokens[number + 1 :]))


def _numbers(case: Case, name: str, goals: Sequence[int]) -> Iterator[Case | None]:
    """Smaller numbers, none below the first goal."""
    value = getattr(case, name)
    smaller = [goal for goal in goals if goal < value]
    smaller += [item for item in (value // 2, value - 1) if item > goals[0] and item not in smaller]
    for goal in smaller:
        yield _with(case, **{name: goal})


def _simpler(case: Case, name: str, *values: Any) -> Iterator[Case | None]:
    """The values before the present one, which are simpler."""
    for value in values:
        if getattr(case, name) == value:
            return
        yield _with(case, **{name: value})


def _cases(case: Case) -> Iterator[Case | None]:
    """Simpler cases, the boldest steps first."""
    yield from _numbers(case, "rounds", (1,))
    yield from _fewer_ranks(case)
    yield from _simpler(case, "play", "dispatch", "round_trip", "routing")
    yield from _simpler(case, "pattern", "uniform")
    yield from _fewer_tokens(case)
    most = max((max(row) for row in case.tokens), default=1)
    for fewer in sorted({max(1, most), max(1, (case.most_tokens + most) // 2)}):
        if fewer < case.most_tokens:
            yield _with(case, most_tokens=fewer)
    yield from _numbers(case, "hidden", (8, 16, 64))
    yield from _numbers(case, "top_k", (1, 2))
    yield from _numbers(case, "experts_per_rank", (1, 2, 4))
    yield from _simpler(case, "cap", 0, None)
    yield from _numbers(case, "cap", (1,)) if case.cap else ()
    yield from _numbers(case, "scale_dim", (0, 1, 4)) if case.scale_dim else ()
    yield from _simpler(case, "dtype", "bfloat16", "float32")
    yield from _simpler(case, "external_input", True)
    yield from _simpler(case, "gpus_per_node", None, case.world_size)
    yield from _numbers(case, "block_num", (1, 2, 8))
    yield from _numbers(case, "warps_per_block", (1, 2, 4))
    yield from _simpler(case, "rdma_block_num", None, 1)
    yield from _simpler(case, "quant_type", "none")
    yield from _simpler(case, "hidden_in_use", None)
    yield from _simpler(case, "barriers", True)
    yield from _simpler(case, "target", 0)
    yield from _simpler(case, "dirty", False)


def candidates(trial: Trial) -> tuple[Trial, ...]:
    """Simpler trials, each one step away; the boldest first, none twice."""
    found: dict[Trial, None] = {}
    if trial.schedule != PLAIN:
        found[replace(trial, schedule=PLAIN)] = None
        for number in range(len(trial.schedule.waits)):
            waits = trial.schedule.waits[:number] + trial.schedule.waits[number + 1 :]
            found[replace(trial, schedule=replace(trial.schedule, waits=waits))] = None
        for plain in (
            {"slow": None},
            {"late_blocks": None},
            {"resident_blocks": None},
            {"quantum": None},
            {"seed": 0},
            {"meets": True},
        ):
            found[replace(trial, schedule=replace(trial.schedule, **plain))] = None
    if trial.heap != "isolation":
        found[replace(trial, heap="isolation")] = None
    for case in _cases(trial.case):
        if case is not None:
            found[replace(trial, case=case)] = None
    found.pop(trial, None)
    return tuple(found)


def shrink(
    trial: Trial, fails: Fails, *, most: int = 400, say: Callable[[Trial], None] | None = None
) -> tuple[Trial, int]:
    """The smallest trial that can be reached by single steps, and how many were played.

    Args:
        trial: one that fails.
        most: trials to play at most.
        say: called with each smaller one.
    """
    played = 0
    seen = {trial}
    while played < most:
        fresh = [item for item in candidates(trial) if item not in seen][: most - played]
        smaller = None
        with contextlib.closing(fails(fresh)) as answers:
            for candidate, still in zip(fresh, answers, strict=False):
                played += 1
                seen.add(candidate)
                if still:
                    smaller = candidate
                    break
        if smaller is None:
            break
        trial = smaller
        if say is not None:
            say(trial)
    return trial, played
