# SPDX-License-Identifier: MIT
"""Runs cases on ranks, on a lane, with a deadline; whatever happens to the ranks becomes a value.

Cases of one world size share a run of ranks, because starting them costs seconds. When a run ends in the middle, the case that it
ended in has its outcome, and those behind it run again in a fresh one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from conformance.suite.cases import Case
from conformance.suite.lanes import Lane
from conformance.suite.observations import Observation, read_observation

__all__ = ["Job", "Outcome", "OutcomeKind", "classify", "run_jobs"]

OutcomeKind = Literal["finished", "refused", "asserted", "out_of_bounds", "hang", "crash", "engine_error"]

_PROGRAM = Path(__file__).resolve().parent / "rank_program.py"
# How long ranks may go on after one has failed, and between asking them to end and ending them.
_GRACE_SECONDS, _TERM_SECONDS = 3.0, 2.0
_KEPT_LINES = 120

_ASSERTION = re.compile(r"[Aa]ssertion `(?P<text>.*)' failed")
_BOUNDS = "out-of-bounds access:"
# What the virtual GPU says when it is at its own end, not the kernel.
_ENGINE = re.compile(
    r"^launcher: |^virtual_rocm: (?!rank \d+:|the deadline|the packages want)"
    r"|unsupported instruction|not implemented|illegal instruction"
)
_LAUNCHER_LINE = re.compile(r"^(virtual_rocm: )?(rank \d+: .*|the deadline .*)$")
_STALLS = ("deadlock", "nothing can progress", "no wave can progress")


@dataclass(frozen=True)
class Job:
    """A case, and variables that hold for it only (which witness to be)."""

    case: Case
    variables: Mapping[str, str]


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


@dataclass(frozen=True)
class _Run:
    """How one run of ranks ended."""

    code: int
    timed_out: bool
    lines: tuple[str, ...]


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
    if refused and len(observations) == world_size:
        first = min(refused, key=lambda item: item.rank)
        return "refused", f"rank {first.rank} in {first.step}: {first.message}"
    for line in lines:
        found = _ASSERTION.search(line)
        if found:
            return "asserted", found["text"]
    for index, line in enumerate(lines):
        if _BOUNDS in line:
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
    return "crash", "; ".join(ended)


def run_jobs(
    jobs: Sequence[Job],
    lane: Lane,
    *,
    deadline: float = 120.0,
    report: Callable[[Outcome], None] | None = None,
) -> tuple[Outcome, ...]:
    """Run all jobs; the outcomes come in their order.

    Args:
        deadline: seconds for one run of ranks, that is, for the cases that share it.
        report: called with each outcome as it comes.
    """
    outcomes: dict[int, Outcome] = {}
    shared: dict[int, list[int]] = {}
    batches: list[list[int]] = []
    for number, job in enumerate(jobs):
        if job.case.alone:
            batches.append([number])
        else:
            shared.setdefault(job.case.world_size, []).append(number)
    batches = [*shared.values(), *batches]
    while batches:
        batch = batches.pop(0)
        found = _run_batch([(number, jobs[number]) for number in batch], lane, deadline)
        for number, outcome in found.items():
            outcomes[number] = outcome
            if report is not None:
                report(outcome)
        left = [number for number in batch if number not in found]
        if left:
            batches.insert(0, left)
    return tuple(outcomes[number] for number in sorted(outcomes))


def _run_batch(batch: Sequence[tuple[int, Job]], lane: Lane, deadline: float) -> dict[int, Outcome]:
    """One run of ranks; outcomes for all its jobs up to the one in which it ended."""
    world_size = batch[0][1].case.world_size
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        folder = Path(name)
        jobs = folder / "jobs.json"
        jobs.write_text(
            json.dumps([{"number": n, "case": asdict(job.case), "variables": dict(job.variables)} for n, job in batch]),
            encoding="utf-8",
        )
        program = [lane.python, str(_PROGRAM), str(jobs), str(folder)]
        start = time.monotonic()
        try:
            run = _start(program, lane, world_size, deadline)
        except OSError as error:
            run = _Run(2, False, (f"launcher: cannot start {program[0]}: {error}",))
        seconds = time.monotonic() - start
        progress = [
            f"rank {rank} in {_text(folder / f'progress.{rank}') or 'nothing: it never started'}"
            for rank in range(world_size)
        ]
        found: dict[int, Outcome] = {}
        for number, job in batch:
            observations = _read(folder, number, world_size)
            complete = len(observations) == world_size and all(
                item.outcome in ("finished", "refused", "stopped") for item in observations.values()
            )
            kind, message = classify(
                observations,
                world_size,
                () if complete else run.lines,
                timed_out=run.timed_out,
                code=run.code,
                progress=progress,
            )
            lines = (
                ()
                if kind == "finished"
                else (
                    *run.lines[:_KEPT_LINES],
                    *run.lines[_KEPT_LINES:][-20:],
                    f"ended after {seconds:.1f} s",
                    *progress,
                )
            )
            found[number] = Outcome(job.case, kind, message, observations, lines, _command(lane, job))
            if not complete:
                break
        return found


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
            found[rank] = read_observation(folder / f"{number:03}.{rank}.npz")
    return found


def _start(program: list[str], lane: Lane, world_size: int, deadline: float) -> _Run:
    environment = lane.environment()
    command = lane.wrap(program, world_size, deadline)
    if command is not None:
        # The launcher has the deadline; ours is for the launcher itself.
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
            try:
                process.wait(deadline + 60)
            except subprocess.TimeoutExpired:
                pass
            finally:
                _end([process])
            output.seek(0)
            lines = output.read().decode(errors="replace").splitlines()
        timed_out = process.returncode == 124
        return _Run(process.returncode, timed_out, tuple(lines))
    return _start_ranks(program, environment, world_size, deadline)


def _start_ranks(program: list[str], environment: Mapping[str, str], world_size: int, deadline: float) -> _Run:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with contextlib.ExitStack() as stack:
        outputs = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(world_size)]
        processes: list[subprocess.Popen[bytes]] = []
        timed_out, until, failed_at = False, time.monotonic() + deadline, None
        try:
            for rank in range(world_size):
                place = {
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(world_size),
                    "LOCAL_WORLD_SIZE": str(world_size),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                }
                processes.append(
                    subprocess.Popen(
                        program,
                        env={**environment, **place},
                        stdin=subprocess.DEVNULL,
                        stdout=outputs[rank],
                        stderr=outputs[rank],
                        start_new_session=True,
                    )
                )
            while any(process.poll() is None for process in processes):
                now = time.monotonic()
                if failed_at is None and any(process.poll() not in (None, 0) for process in processes):
                    failed_at = now
                if now > until:
                    timed_out = True
                    break
                if failed_at is not None and now - failed_at > _GRACE_SECONDS:
                    break
                time.sleep(0.02)
        finally:
            running = [process for process in processes if process.poll() is None]
            _end(processes)
        lines = []
        for rank, output in enumerate(outputs):
            output.seek(0)
            lines += [f"[{rank}] {line}" for line in output.read().decode(errors="replace").splitlines()]
        for rank, process in enumerate(processes):
            if process in running:
                lines.append(f"rank {rank}: ended by the launcher")
            elif process.returncode:
                lines.append(f"rank {rank}: {_ending(process.returncode)}")
        code = next((process.returncode for process in processes if process.returncode and process not in running), 0)
        return _Run(code, timed_out, tuple(lines))


def _ending(code: int) -> str:
    return f"died of {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End what still runs and everything that it started, gently first; returns when none is left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, number)
        until = time.monotonic() + _TERM_SECONDS
        while any(process.poll() is None for process in processes) and time.monotonic() < until:
            time.sleep(0.02)
    for process in processes:
        process.wait()
