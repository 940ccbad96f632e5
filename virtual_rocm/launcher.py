# SPDX-License-Identifier: MIT
"""Starts one process or several ranks of a program, and ends all of them: when one fails, or at the deadline."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from .errors import LaunchError
from .lockstep import Lockstep, lockstep

# How long a rank may go on after another one has failed: enough for it to fail with a message of its own.
_GRACE_SECONDS = 3.0
# Between asking a process to end and ending it.
_TERM_SECONDS = 2.0


@dataclass(frozen=True)
class RankResult:
    """How one rank ended."""

    rank: int
    code: int | None  # exit code; None if it was ended by a signal
    signal: int | None
    ended_by_launcher: bool
    seconds: float

    @property
    def ok(self) -> bool:
        return self.code == 0

    def __str__(self) -> str:
        after = f"after {self.seconds:.1f} s"
        if self.ended_by_launcher:
            return f"rank {self.rank}: ended by the launcher {after}"
        if self.signal is not None:
            return f"rank {self.rank}: died of {signal.Signals(self.signal).name} {after}"
        return f"rank {self.rank}: exit code {self.code} {after}"


@dataclass(frozen=True)
class RunResult:
    """How a run ended: every rank, and whether the deadline did it."""

    ranks: tuple[RankResult, ...]
    timed_out: bool
    seconds: float

    @property
    def ok(self) -> bool:
        return not self.timed_out and all(rank.ok for rank in self.ranks)

    @property
    def exit_code(self) -> int:
        """0 if all ranks gave 0; 124 at the deadline; else the first failing rank's, as a shell counts."""
        if self.timed_out:
            return 124
        for rank in self.ranks:
            if not rank.ok and not rank.ended_by_launcher:
                return rank.code if rank.code is not None else 128 + (rank.signal or 0)
        return 0 if self.ok else 1


def free_port() -> int:
    """A TCP port of this machine that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def rank_environment(base: Mapping[str, str], rank: int, ranks: int, port: int) -> dict[str, str]:
    """The variables by which torchrun tells a process its place."""
    return {
        **base,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        # A rank that is ended while its kernels wait says who waits where.
        "VIRTUAL_ROCM_DESCRIBE_ON_SIGTERM": "1",
    }


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _die_with(launcher: int) -> None:
    """In the child: be killed when the launcher dies, however it does."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != launcher:  # it died before the kernel knew that we want to
        os._exit(1)


class _Rank:
    """One process, with what it has printed and not finished a line of."""

    def __init__(self, rank: int, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.rank = rank
        self.started = time.monotonic()
        self.ended_by_launcher = False
        self.result: RankResult | None = None
        self.partial: dict[int, bytes] = {}
        try:
            # A session of its own: what the program starts can be ended with it.
            self.process = subprocess.Popen(
                list(command),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=functools.partial(_die_with, os.getpid()),
            )
        except OSError as error:
            raise LaunchError(f"cannot start {command[0]}: {error.strerror}") from error

    def signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def poll(self) -> bool:
        """Whether the process has ended; keeps how."""
        code = self.process.poll()
        if code is None:
            return False
        if self.result is None:
            self.result = RankResult(
                rank=self.rank,
                code=code if code >= 0 else None,
                signal=-code if code < 0 else None,
                ended_by_launcher=self.ended_by_launcher,
                seconds=time.monotonic() - self.started,
            )
            self.signal_group(signal.SIGKILL)  # whatever it left running
        return True


def run_ranks(
    command: Sequence[str],
    *,
    ranks: int,
    environment: Mapping[str, str],
    deadline: float,
    output: Callable[[int, bool, bytes], None] | None = None,
    take_turns: bool = False,
) -> RunResult:
    """Run `command` once for each rank and return when no process of it is left.

    `output` gets every line: rank, whether it came from stderr, the line with its end. When a rank fails, the others get
    a few seconds; at the deadline (in seconds), all are ended. With `take_turns`, the kernels of all ranks run in an order that
    VIRTUAL_ROCM_SEED gives.
    """
    if ranks < 1:
        raise LaunchError(f"{ranks} ranks: at least one is needed")
    port = free_port()
    begun = time.monotonic()
    write = output or _prefix_output(ranks)
    started: list[_Rank] = []
    timed_out = False
    with lockstep(ranks) if take_turns else contextlib.nullcontext() as turns:
        variables = {**environment, **(turns.environment() if turns else {})}
        try:
            for rank in range(ranks):  # not a comprehension: those that were started must end when a later one fails
                started.append(_Rank(rank, command, rank_environment(variables, rank, ranks, port)))  # noqa: PERF401
            timed_out = _watch(started, begun + deadline, write, turns)
        finally:
            _end(started, write)
    results = tuple(rank.result for rank in started if rank.result is not None)
    return RunResult(ranks=results, timed_out=timed_out, seconds=time.monotonic() - begun)


def _watch(
    ranks: Sequence[_Rank], deadline: float, write: Callable[[int, bool, bytes], None], turns: Lockstep | None
) -> bool:
    """Pass output on until all have ended, or must; True if the deadline was reached."""
    failed_at: float | None = None
    with selectors.DefaultSelector() as selector:
        for rank in ranks:
            for stream in (rank.process.stdout, rank.process.stderr):
                assert stream is not None
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ, rank)
        while True:
            for key, _ in selector.select(timeout=0.05):
                if not _pass_on(key.data, key.fileobj, write):  # type: ignore[arg-type]
                    selector.unregister(key.fileobj)
            ended = [rank.poll() for rank in ranks]
            if turns:
                for rank, gone in zip(ranks, ended, strict=True):
                    if gone:
                        turns.mark_ended(rank.rank)
            now = time.monotonic()
            if all(ended):
                for key in list(selector.get_map().values()):
                    _pass_on(key.data, key.fileobj, write)  # type: ignore[arg-type]
                return False
            if now >= deadline:
                return True
            if failed_at is None and any(rank.result and not rank.result.ok for rank in ranks):
                failed_at = now
            if failed_at is not None and now - failed_at > _GRACE_SECONDS:
                return False


def _pass_on(rank: _Rank, stream: BinaryIO, write: Callable[[int, bool, bytes], None]) -> bool:
    """Pass on the whole lines that a stream holds; False at its end."""
    number = stream.fileno()
    is_error = stream is rank.process.stderr
    while True:
        try:
            data = os.read(number, 65536)
        except BlockingIOError:
            return True
        text = rank.partial.pop(number, b"") + data
        *lines, rest = text.split(b"\n")
        for line in lines:
            write(rank.rank, is_error, line + b"\n")
        if not data:
            if rest:
                write(rank.rank, is_error, rest + b"\n")
            return False
        if rest:
            rank.partial[number] = rest


def _end(ranks: Sequence[_Rank], write: Callable[[int, bool, bytes], None]) -> None:
    """End what still runs, gently first."""
    for number, patience in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _TERM_SECONDS)):
        running = [rank for rank in ranks if not rank.poll()]
        for rank in running:
            rank.ended_by_launcher = True
            rank.signal_group(number)
        until = time.monotonic() + patience
        while any(not rank.poll() for rank in running) and time.monotonic() < until:
            time.sleep(0.02)
    for rank in ranks:
        for stream in (rank.process.stdout, rank.process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    os.set_blocking(stream.fileno(), False)
                    _pass_on(rank, stream, write)  # type: ignore[arg-type]
                stream.close()


def _prefix_output(ranks: int) -> Callable[[int, bool, bytes], None]:
    """Output of several ranks is told apart by a prefix; of one it is left as it is."""

    def write(rank: int, is_error: bool, line: bytes) -> None:
        target = sys.stderr.buffer if is_error else sys.stdout.buffer
        target.write(b"[%d] %s" % (rank, line) if ranks > 1 else line)
        target.flush()

    return write
