# SPDX-License-Identifier: MIT
"""Processes that are started apart, so that they and all that they start can be signalled together."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["signal_group", "start_apart"]


def start_apart(command: Sequence[str], environment: Mapping[str, str], output: Path) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; what it prints, errors too, goes to a file.

    Raises:
        OSError: it cannot be started, or the file not be written.
    """
    with output.open("wb") as file:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def signal_group(pid: int, number: int) -> None:
    """Signal a process and all that it started; nothing if it has ended."""
    for send in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(pid, number)
            return
