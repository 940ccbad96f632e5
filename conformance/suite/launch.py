# SPDX-License-Identifier: MIT
"""Runs cases on ranks, on a lane, with a deadline; whatever happens to the ranks becomes a value.

Cases of one world size share a run of ranks, because starting them costs seconds. When a run ends in the middle, the case that it
ended in has its outcome, and those behind it run again in a fresh one.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from conformance.suite.cases import Case
from conformance.suite.compiling import is_compiling
from conformance.suite.lanes import Lane
from conformance.suite.observations import FAILED_HERE, Observation, observation_name, progress_name, read_observation
from conformance.suite.rank_groups import RankGroup, Starter, StartError, end_group

__all__ = ["Job", "Outcome", "OutcomeKind", "classify", "play_jobs", "run_jobs"]

OutcomeKind = Literal["finished", "refused", "asserted", "out_of_bounds", "hang", "crash", "engine_error"]

# How long ranks may go on after one has failed, and how long they may take to end after the last case.
_GRACE_SECONDS, _FINISH_SECONDS = 1.0, 20.0
_POLL_SECONDS = 0.01
# When one rank has refused a step, the others may wait for it in a kernel, for ever. Time for the slower ones to refuse it too.
_STUCK_SECONDS = 6.0
# How often to look for a compiler, and for how long altogether it may hold a deadline up.
_COMPILER_SECONDS, _LONGEST_COMPILATION = 0.5, 1800.0
_KEPT_LINES, _KEPT_BEFORE = 120, 12

_ASSERTION = re.compile(r"[Aa]ssertion `(?P<text>.*)' failed")
_BOUNDS = re.compile(r"out-of-bounds (?:LDS )?access:")
# What the virtual GPU says when it is at its own end, not the kernel.
_ENGINE = re.compile(
    r"^launcher: |^virtual_rocm: (?!rank \d+:|the deadline|the packages want)"
    r"|unsupported instruction|not implemented|illegal instruction|: kernel \S+ cannot be compiled:"
)
_LAUNCHER_LINE = re.compile(r"^(virtual_rocm: )?(rank \d+: .*|the deadline .*)$")
# What a full disk looks like, wherever it is met: to the ranks, to a compiler, to us.
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_FREE_BYTES = 2**18
_MORE_SPACE = "free some space, or name another place with TMPDIR (and MORIEP_CACHE), and give the same command again"
_KILLED = re.compile(r"^rank \d+: died of SIGKILL")
_BY_WHOM = (
    "a rank was killed from outside (signal 9 comes from a person, from the system when memory runs out, or from a limit, never "
    "from a kernel's fault), so this says nothing about the release: run it again"
)
_STALLS = ("deadlock", "nothing can progress", "no wave can progress")


@dataclass(frozen=True)
class Job:
    """A case, and how it is to be played.

    Attributes:
        variables: hold for this case only (which witness to be).
        group: hold for the ranks from their start (the kind of heap, the order of turns), before the lane's own; only jobs with
            equal ones share ranks.
    """

    case: Case
    variables: Mapping[str, str]
    group: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        kind: finished (all ranks wrote what they saw), refused (a Python exception on some rank), asserted (a device assertion),
            out_of_bounds, hang, crash, or engine_error (our own fault; says nothing about the release).
        message: one line.
        observations: of the ranks that wrote one, by rank.
        evidence: what the ranks printed, and how they ended.
        command: repeats the run.
    """

    case: Case
    kind: OutcomeKind
    message: str
    observations: Mapping[int, Observation]
    evidence: tuple[str, ...]
    command: str


def classify(
    observations: Mapping[int, Observation],
    world_size: int,
    lines: Sequence[str],
    *,
    timed_out: bool,
    code: int,
    progress: Sequence[str],
) -> tuple[OutcomeKind, str]:
    """Names what happened, from what the ranks wrote, printed and were last heard of.

    Args:
        lines: printed by the ranks and their launcher. progress: one line for each rank.
    """
    refused = [item for item in observations.values() if item.outcome == "refused"]
    if len(observations) == world_size and all(item.outcome == "finished" for item in observations.values()):
        return "finished", "all ranks finished"
    full = next((text for text in (*lines, *(item.message for item in refused)) if _FULL.search(text)), None)
    if full is not None:
        return "engine_error", f"a disk is full: {full}; {_MORE_SPACE}"
    if refused and len(observations) == world_size:
        first = min(refused, key=lambda item: item.rank)
        return "refused", f"rank {first.rank} in {first.step}: {first.message}"
    for line in lines:
        found = _ASSERTION.search(line)
        if found:
            return "asserted", found["text"]
    for index, line in enumerate(lines):
        if _BOUNDS.search(line):
            rest = [item.split("] ", 1)[-1].strip() for item in lines[index + 1 : index + 4]]
            return "out_of_bounds", "; ".join([line.split("] ", 1)[-1].strip(), *rest])
    for line in lines:
        if _ENGINE.search(line):
            return "engine_error", line
    if timed_out or any(word in line for line in lines for word in _STALLS):
        return "hang", "; ".join(progress)
    if refused:
        first = min(refused, key=lambda item: item.rank)
        return (
            "refused",
            f"rank {first.rank} in {first.step}: {first.message}; another rank ended: {'; '.join(progress)}",
        )
    ended = [line for line in lines if _LAUNCHER_LINE.match(line)] or [f"exit code {code}"]
    return "crash", "; ".join([*ended, *([_BY_WHOM] if any(_KILLED.match(line) for line in ended) else [])])


def run_jobs(
    jobs: Sequence[Job],
    lane: Lane,
    *,
    deadline: float = 120.0,
    report: Callable[[Outcome], None] | None = None,
) -> tuple[Outcome, ...]:
    """Run all jobs; the outcomes come in their order.

    Args:
        deadline: seconds for one case.
        report: called with each outcome as it comes.
    """
    outcomes: dict[int, Outcome] = {}
    with contextlib.closing(play_jobs(jobs, lane, deadline=deadline)) as playing:
        for number, outcome in playing:
            outcomes[number] = outcome
            if report is not None:
                report(outcome)
    return tuple(outcomes[number] for number in sorted(outcomes))


def play_jobs(
    jobs: Sequence[Job], lane: Lane, *, deadline: float = 120.0, starter: Starter | None = None
) -> Generator[tuple[int, Outcome], None, None]:
    """The position of each job and what became of it, as it comes: those that share ranks first.

    Ranks go on playing while the caller looks at an outcome. Closing the generator ends them.

    Args:
        starter: of this lane, which stays open; None for one of the lane's own, closed at the end.
    """
    shared: dict[tuple[int, tuple[tuple[str, str], ...]], list[int]] = {}
    alone: list[list[int]] = []
    for number, job in enumerate(jobs):
        if job.case.alone:
            alone.append([number])
        else:
            shared.setdefault((job.case.world_size, tuple(sorted(job.group.items()))), []).append(number)
    batches = [*shared.values(), *alone]
    own = starter is None
    starter = starter or lane.starter()
    try:
        while batches:
            batch = batches.pop(0)
            done = 0
            for number, outcome in _play_batch([(number, jobs[number]) for number in batch], lane, starter, deadline):
                done += 1
                yield number, outcome
            if done < len(batch):
                batches.insert(0, batch[done:])
    finally:
        if own:
            starter.close()


def _play_batch(
    batch: Sequence[tuple[int, Job]], lane: Lane, starter: Starter, deadline: float
) -> Iterator[tuple[int, Outcome]]:
    """One group of ranks; outcomes of all its jobs up to the one in which it ended."""
    world_size = batch[0][1].case.world_size
    with contextlib.ExitStack() as stack:
        try:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="conformance-"))
            folder = Path(name)
            jobs = folder / "jobs.json"
            listed = [{"number": n, "case": asdict(job.case), "variables": dict(job.variables)} for n, job in batch]
            jobs.write_text(json.dumps(listed), encoding="utf-8")
        except OSError as error:
            number, job = batch[0]
            message = f"launcher: what ranks are to play cannot be written: {error.strerror or error}; {_MORE_SPACE}"
            yield number, Outcome(job.case, "engine_error", message, {}, (), _command(lane, job))
            return
        try:
            group = starter.start(jobs, folder, world_size, {**lane.group_variables(folder), **batch[0][1].group})
        except StartError as error:
            number, job = batch[0]
            yield number, Outcome(job.case, "engine_error", f"launcher: {error}", {}, (), _command(lane, job))
            return
        told = [0] * world_size
        try:
            for number, job in batch:
                ended = _wait_for(group, folder, number, world_size, deadline)
                observations = _read(folder, number, world_size)
                if ended is None:
                    kind, message = classify(observations, world_size, (), timed_out=False, code=0, progress=())
                    kept: tuple[str, ...] = ()
                    if kind == "refused":
                        # What led to an exception is often only in what was printed before it: a compiler's error, say.
                        rank = min(item.rank for item in observations.values() if item.outcome == "refused")
                        printed = _printed(group, rank)[told[rank] :][-_KEPT_BEFORE:]
                        kept = tuple(lane.readable(line.replace(name, "…")) for line in printed)
                    told = [len(_printed(group, rank)) for rank in range(world_size)]
                    yield number, Outcome(job.case, kind, message, observations, kept, _command(lane, job))
                    continue
                timed_out, code = ended == "deadline", _code(group)
                lines = end_group(group)
                lines = [lane.readable(line.replace(name, "…")) for line in (*group.output(), *lines)]
                progress = [
                    f"rank {rank} in {_text(folder / progress_name(rank)) or 'nothing: it never started'}"
                    for rank in range(world_size)
                ]
                progress = [lane.readable(line) for line in progress]
                kind, message = classify(
                    observations, world_size, lines, timed_out=timed_out, code=code, progress=progress
                )
                if kind in ("crash", "hang", "refused") and shutil.disk_usage(folder).free < _FREE_BYTES:
                    # Where nothing can be written, ranks cannot say that either.
                    kind, message = "engine_error", f"the disk that TMPDIR is on is full ({message}); {_MORE_SPACE}"
                kept = (*lines[:_KEPT_LINES], *lines[_KEPT_LINES:][-20:], *progress)
                yield number, Outcome(job.case, kind, message, observations, kept, _command(lane, job))
                return
            until = time.monotonic() + _FINISH_SECONDS
            while group.running and time.monotonic() < until:
                time.sleep(_POLL_SECONDS)
        finally:
            end_group(group)


def _wait_for(group: RankGroup, folder: Path, number: int, world_size: int, deadline: float) -> str | None:
    """Wait until all ranks have written what they saw of one job: None; or why there is nothing more to wait for.

    Args:
        deadline: seconds, those apart in which the ranks compile.
    """
    paths = [folder / observation_name(number, rank) for rank in range(world_size)]
    begun = time.monotonic()
    until, failed_at, refused = begun + deadline, None, False
    asked_at, spent = begun, 0.0
    while True:
        # Asked before looking for files: what a rank wrote before it ended is seen.
        running, failed, now = group.running, group.failed, time.monotonic()
        if all(path.exists() for path in paths):
            found = _read(folder, number, world_size)
            if len(found) == world_size and all(
                item.outcome in ("finished", "refused", "stopped") for item in found.values()
            ):
                return None
        if not running:
            return "ended"
        if failed and failed_at is None:
            failed_at = now
        if failed_at is not None and now - failed_at > _GRACE_SECONDS:
            return "failed"
        if now >= asked_at + _COMPILER_SECONDS:
            # Not the case's time, within reason.
            if spent < _LONGEST_COMPILATION and is_compiling(group.pids()):
                spent, until = spent + now - asked_at, until + now - asked_at
            asked_at = now
        if not refused and any(FAILED_HERE in _text(folder / progress_name(rank)) for rank in range(world_size)):
            refused, until = True, min(until, now + _STUCK_SECONDS)
        if now > until:
            return "deadline"
        time.sleep(_POLL_SECONDS)


def _printed(group: RankGroup, rank: int) -> list[str]:
    return [line for line in group.output() if line.startswith(f"[{rank}] ")]


def _code(group: RankGroup) -> int:
    return next((code for code in group.codes().values() if code), 0)


def _command(lane: Lane, job: Job) -> str:
    words = ["python", "-m", "conformance.suite", "run", "--lane", lane.name, "--case", job.case.name]
    witness = job.variables.get("MORI_REFERENCE_WITNESS")
    return shlex.join([*words, *(["--witness", witness] if witness else [])])


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8").strip()
    return ""


def _read(folder: Path, number: int, world_size: int) -> dict[int, Observation]:
    found = {}
    for rank in range(world_size):
        with contextlib.suppress(OSError, ValueError, KeyError):
            found[rank] = read_observation(folder / observation_name(number, rank))
    return found
