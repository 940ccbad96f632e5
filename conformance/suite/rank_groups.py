# SPDX-License-Identifier: MIT
"""Groups of ranks: how they are started (forked, one by one, or by torchrun), watched and ended. No rank outlives its group."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

from conformance.suite.nodes import announce
from conformance.suite.processes import signal_group, start_apart
from conformance.suite.rank_server import output_name

__all__ = ["ForkingStarter", "RankGroup", "SpawningStarter", "StartError", "Starter", "TorchrunStarter", "end_group"]

PROGRAM = Path(__file__).resolve().parent / "rank_program.py"
# That a wheel compiles depends on what it has compiled before, and says nothing about what it does.
_COMPILED = re.compile(r"\[mori-jit\] +(?:Compiling|Cached: )")
# Between asking ranks to end and ending them.
_TERM_SECONDS = 2.0
# Importing torch from a cold disk on a busy machine.
_READY_SECONDS = 300.0


class StartError(Exception):
    """Ranks cannot be started: our own fault, or the machine's."""


class RankGroup(ABC):
    """Ranks of one start."""

    @abstractmethod
    def codes(self) -> Mapping[str, int | None]:
        """Each process by its name: its exit code (a signal is negative), None while it runs."""

    @abstractmethod
    def signal(self, number: int) -> None:
        """Send a signal to what still runs, and to all that it started."""

    @abstractmethod
    def output(self) -> list[str]:
        """What the ranks have printed, line by line, rank after rank, each line with its rank in front."""

    @abstractmethod
    def pids(self) -> Collection[int]:
        """Of the processes that were started; some may have ended."""

    @property
    def running(self) -> bool:
        return any(code is None for code in self.codes().values())

    @property
    def failed(self) -> bool:
        return any(code not in (None, 0) for code in self.codes().values())


def end_group(group: RankGroup) -> list[str]:
    """End what still runs, gently first; returns a line for each process that did not end well by itself."""
    running = [name for name, code in group.codes().items() if code is None]
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not group.running:
            break
        group.signal(number)
        until = time.monotonic() + _TERM_SECONDS
        while group.running and time.monotonic() < until:
            time.sleep(0.01)
    lines = []
    for name, code in group.codes().items():
        if name in running:
            lines.append(f"{name}: ended by the launcher")
        elif code:
            lines.append(f"{name}: {_ending(code)}")
    return lines


def _ending(code: int) -> str:
    return f"died of {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Starter(ABC):
    """Starts groups of ranks, one after another."""

    @abstractmethod
    def start(
        self, jobs: Path, folder: Path, world_size: int, variables: Mapping[str, str] = MappingProxyType({})
    ) -> RankGroup:
        """Start ranks that play the jobs.

        Args:
            variables: for these ranks, from their start.

        Raises:
            StartError: they cannot be started.
        """

    def close(self) -> None:  # noqa: B027 (most keep nothing)
        """Give back what is kept between groups."""


def _prefixed(files: Sequence[Path]) -> list[str]:
    lines = []
    for rank, file in enumerate(files):
        with contextlib.suppress(OSError):
            printed = file.read_text(encoding="utf-8", errors="replace").splitlines()
            lines += [f"[{rank}] {line}" for line in printed if not _COMPILED.match(line)]
    return lines


class _SpawnedRanks(RankGroup):
    def __init__(self, processes: Sequence[subprocess.Popen[bytes]], files: Sequence[Path]) -> None:
        self._processes, self._files = processes, files

    def codes(self) -> Mapping[str, int | None]:
        return {f"rank {rank}": process.poll() for rank, process in enumerate(self._processes)}

    def pids(self) -> Collection[int]:
        return [process.pid for process in self._processes]

    def signal(self, number: int) -> None:
        for process in self._processes:
            if process.poll() is None:
                signal_group(process.pid, number)

    def output(self) -> list[str]:
        return _prefixed(self._files)


class SpawningStarter(Starter):
    """A process of its own for each rank, by the variables of torchrun."""

    def __init__(self, program: Sequence[str], environment: Mapping[str, str]) -> None:
        self._program, self._environment = list(program), dict(environment)

    def start(
        self, jobs: Path, folder: Path, world_size: int, variables: Mapping[str, str] = MappingProxyType({})
    ) -> RankGroup:
        port = _free_port()
        processes: list[subprocess.Popen[bytes]] = []
        files = [folder / output_name(rank) for rank in range(world_size)]
        try:
            for rank, file in enumerate(files):
                place = {
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(world_size),
                    "LOCAL_WORLD_SIZE": str(world_size),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                }
                command = [*self._program, str(jobs), str(folder)]
                processes.append(start_apart(command, {**self._environment, **variables, **place}, file))
        except OSError as error:
            end_group(_SpawnedRanks(processes, files))
            raise StartError(f"cannot start {self._program[0]}: {error}") from error
        return _SpawnedRanks(processes, files)


class _TorchrunRanks(RankGroup):
    """The agent of torchrun. It ends its ranks when it is asked to; if it is killed, they die with it (see `rank_program`)."""

    def __init__(self, process: subprocess.Popen[bytes], file: Path) -> None:
        self._process, self._file = process, file

    def codes(self) -> Mapping[str, int | None]:
        return {"torchrun": self._process.poll()}

    def pids(self) -> Collection[int]:
        return [self._process.pid]

    def signal(self, number: int) -> None:
        signal_group(self._process.pid, number)

    def output(self) -> list[str]:
        lines = []
        for file in (self._file, *sorted(self._file.parent.glob("output.node.*"))):
            with contextlib.suppress(OSError):
                lines += file.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines


class TorchrunStarter(Starter):
    """torchrun of the ranks' own torch; `options` are passed on (`--rdzv-endpoint` …).

    On several nodes the command is announced to the others, see `conformance.suite.nodes`.
    """

    def __init__(
        self, python: str, environment: Mapping[str, str], options: Sequence[str] = (), nodes: int = 1
    ) -> None:
        self._python, self._environment = python, dict(environment)
        self._options, self._nodes = list(options), nodes

    def command(self, jobs: Path, folder: Path, world_size: int) -> list[str]:
        """The whole command line.

        Raises:
            StartError: the ranks cannot be shared out evenly, or the nodes have no place to meet.
        """
        if world_size % self._nodes:
            raise StartError(f"{world_size} ranks cannot be shared out evenly over {self._nodes} nodes")
        if self._nodes > 1 and not any(option.startswith("--rdzv-endpoint") for option in self._options):
            raise StartError(
                f'{self._nodes} nodes need a place to meet: --torchrun "--rdzv-backend=c10d --rdzv-endpoint=FIRST:29400", '
                "with the address of the first machine"
            )
        place = self._options or ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{_free_port()}"]
        if self._nodes > 1:
            # Of its own for each group: an agent that comes late must not join the next one.
            place = [*place, f"--rdzv-id={folder.name}"]
        command = [self._python, "-m", "torch.distributed.run", f"--nproc-per-node={world_size // self._nodes}"]
        command += [f"--nnodes={self._nodes}", "--max-restarts=0", *place]
        return [*command, str(PROGRAM), str(jobs), str(folder)]

    def start(
        self, jobs: Path, folder: Path, world_size: int, variables: Mapping[str, str] = MappingProxyType({})
    ) -> RankGroup:
        file = folder / "output.torchrun"
        command = self.command(jobs, folder, world_size)
        environment = {**self._environment, **variables}
        try:
            if self._nodes > 1:
                announce(folder, command, environment)
            process = start_apart(command, environment, file)
        except OSError as error:
            raise StartError(f"cannot start {command[0]}: {error}") from error
        return _TorchrunRanks(process, file)


@dataclass(frozen=True)
class Message:
    """One line of the server of ranks."""

    ready: float | None = None
    pids: tuple[int, ...] = ()
    ended: int | None = None
    code: int | None = None


class _ForkedRanks(RankGroup):
    def __init__(self, starter: ForkingStarter, pids: Sequence[int], files: Sequence[Path]) -> None:
        self._starter, self._pids, self._files = starter, pids, files
        self._codes: dict[int, int | None] = dict.fromkeys(range(len(pids)))

    def take(self, messages: Sequence[Message]) -> None:
        """Learn from what the server says which ranks have ended."""
        for message in messages:
            if message.ended in self._pids:
                self._codes[self._pids.index(message.ended)] = message.code

    def codes(self) -> Mapping[str, int | None]:
        if any(code is None for code in self._codes.values()):
            self.take(self._starter.messages())
            if self._starter.gone:
                # The ranks die with their server.
                self._codes = {rank: -signal.SIGKILL if code is None else code for rank, code in self._codes.items()}
        return {f"rank {rank}": code for rank, code in self._codes.items()}

    def pids(self) -> Collection[int]:
        return self._pids

    def signal(self, number: int) -> None:
        for rank, pid in enumerate(self._pids):
            if self._codes[rank] is None:
                signal_group(pid, number)

    def output(self) -> list[str]:
        return _prefixed(self._files)


class ForkingStarter(Starter):
    """One server process that has imported torch; groups are forked from it."""

    def __init__(self, python: str, environment: Mapping[str, str]) -> None:
        self._python, self._environment = python, dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._partial = b""

    @property
    def gone(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def messages(self, wait: float = 0.0) -> list[Message]:
        """What the server has said since; waits for the first line at most that many seconds."""
        assert self._process is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while selector.select(wait):
                data = os.read(self._process.stdout.fileno(), 65536)
                if not data:
                    self._process.wait()
                    break
                *lines, self._partial = (self._partial + data).split(b"\n")
                if lines:
                    return [Message(**json.loads(line)) for line in lines]
        return []

    def _serve(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._partial = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the server)
        try:
            self._process = subprocess.Popen(
                [self._python, str(PROGRAM), "--serve"],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,
            )
        except OSError as error:
            raise StartError(f"cannot start {self._python}: {error}") from error
        if not any(message.ready is not None for message in self.messages(_READY_SECONDS)):
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            self.close()
            raise StartError(f"{self._python} cannot play cases: {said[-1] if said else 'it says nothing'}")
        return self._process

    def start(
        self, jobs: Path, folder: Path, world_size: int, variables: Mapping[str, str] = MappingProxyType({})
    ) -> RankGroup:
        process = self._serve()
        assert process.stdin is not None
        request = {
            "jobs": str(jobs),
            "folder": str(folder),
            "world_size": world_size,
            "port": _free_port(),
            "variables": dict(variables),
        }
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            raise StartError(f"the server of ranks is gone: {error}") from error
        while messages := self.messages(60.0):
            pids = next((message.pids for message in messages if message.pids), None)
            if pids is not None:
                group = _ForkedRanks(self, list(pids), [folder / output_name(rank) for rank in range(world_size)])
                group.take(messages)
                return group
        raise StartError("the server of ranks does not answer")

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                assert process.stdin is not None
                process.stdin.close()
            try:
                process.wait(_TERM_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None
