# SPDX-License-Identifier: MIT
"""Printing, the same way for every command: tables for people, JSON for programs, progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from conformance.wheels import Wheel

if TYPE_CHECKING:
    from rich.console import Console

    from conformance.survey.collect import Progress

__all__ = ["console", "print_json", "progress_display", "tell_failures"]

_WIDTH_OF_A_FILE = 140


def console() -> Console:
    """A console on standard output; wide where the output goes to a file, so that nothing is cut."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE, highlight=False, markup=False)


def print_json(value: object) -> None:
    """Print a value of dataclasses, enums and plain types as indented JSON, keys in their own order."""
    print(json.dumps(msgspec.to_builtins(value, str_keys=True), indent=2, ensure_ascii=False))


@contextmanager
def progress_display() -> Iterator[Progress | None]:
    """A progress bar on standard error where that is a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    with Bars(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(f"reading {stage}", total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show


def tell_failures(failures: Mapping[Wheel, str]) -> int:
    """Print why wheels are missing from the answer. Returns 3 if there are any, else 0."""
    for _, reason in sorted(failures.items(), key=lambda item: item[0].order):
        print(f"not read: {reason}", file=sys.stderr)
    return 3 if failures else 0
