# SPDX-License-Identifier: MIT
"""Several machines share the ranks: the first one judges, the others follow it through a folder that all of them see.

torchrun wants its agent started on every machine, for each group of ranks. The first machine starts its own and announces the
command in the group's folder; a follower looks for announcements, starts the same command, and ends it when the folder goes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conformance.suite.processes import signal_group, start_apart

__all__ = ["FollowError", "Follower", "announce"]

_ANNOUNCEMENT = "torchrun.json"
_POLL_SECONDS = 0.2
# Between asking an agent to end and ending it.
_TERM_SECONDS = 10.0


class FollowError(Exception):
    """The folder cannot be followed."""


def announce(folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Tell followers how this group of ranks is started.

    Args:
        folder: of the group, on a file system that all machines see.
        environment: of torchrun here; what differs from this process's own is what the others need.
    """
    changed = {name: value for name, value in environment.items() if os.environ.get(name) != value}
    removed = sorted(name for name in os.environ if name not in environment)
    content = json.dumps({"command": list(command), "variables": changed, "without": removed})
    # Renamed when it is whole: a follower may look at any moment.
    partial = folder / f"{_ANNOUNCEMENT}.partial"
    partial.write_text(content, encoding="utf-8")
    partial.replace(folder / _ANNOUNCEMENT)


@dataclass
class _Agent:
    folder: Path
    process: subprocess.Popen[bytes]
    asked_to_end: float | None = None


@dataclass
class Follower:
    """Starts the agents of this machine.

    Attributes:
        folder: the `TMPDIR` of the first machine.
        say: takes a line for people.
    """

    folder: Path
    say: Callable[[str], None]
    _seen: set[Path] = field(default_factory=set)
    _agents: list[_Agent] = field(default_factory=list)

    def follow(self, until: Callable[[], bool] = lambda: False) -> None:
        """Follow until `until` says so, or for ever; agents that still run are ended.

        Raises:
            FollowError: the folder is not there, or what it asks for cannot be started here.
        """
        if not self.folder.is_dir():
            raise FollowError(
                f"{self.folder}: no such folder; it must be the TMPDIR of the first machine, seen from here"
            )
        try:
            while not until():
                self._start_announced()
                self._end_abandoned()
                time.sleep(_POLL_SECONDS)
        finally:
            for agent in self._agents:
                _end(agent.process)

    def _start_announced(self) -> None:
        for announcement in sorted(self.folder.glob(f"conformance-*/{_ANNOUNCEMENT}")):
            if announcement in self._seen:
                continue
            self._seen.add(announcement)
            with contextlib.suppress(FileNotFoundError):  # the group ended in between
                self._start(announcement.parent, json.loads(announcement.read_text(encoding="utf-8")))

    def _start(self, folder: Path, told: Mapping[str, object]) -> None:
        command, variables, without = told["command"], told["variables"], told["without"]
        assert isinstance(command, list)
        assert isinstance(variables, dict)
        assert isinstance(without, list)
        environment = {name: value for name, value in os.environ.items() if name not in without} | variables
        try:
            output = folder / f"output.node.{socket.gethostname()}.{os.getpid()}"
            process = start_apart(command, environment, output)
        except FileNotFoundError as error:
            if not folder.exists():
                return
            raise FollowError(
                f"{command[0]} is not on this machine ({error.strerror}): the ranks' environment must lie at the same place on "
                "every machine; put MORIEP_CACHE, and the interpreter of --base-python, on the shared file system"
            ) from error
        self._agents.append(_Agent(folder, process))
        self.say(f"{folder.name}: ranks started")

    def _end_abandoned(self) -> None:
        """Forget agents that have ended, and end those whose group is over."""
        now = time.monotonic()
        for agent in list(self._agents):
            code = agent.process.poll()
            if code is not None:
                self._agents.remove(agent)
                self.say(f"{agent.folder.name}: ended" + (f" with exit code {code}" if code else ""))
            elif not agent.folder.exists():
                if agent.asked_to_end is None:
                    agent.asked_to_end = now
                    signal_group(agent.process.pid, signal.SIGTERM)
                elif now - agent.asked_to_end > _TERM_SECONDS:
                    signal_group(agent.process.pid, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_TERM_SECONDS)
    if process.poll() is None:
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
