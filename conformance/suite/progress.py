# SPDX-License-Identifier: MIT
"""Progress bars of a session of the suite, one for each wheel and lane, on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

__all__ = ["ProgressBars"]


class ProgressBars:
    """A pytest plugin of the process that people look at."""

    def __init__(self, items: Sequence[Any]) -> None:
        """Args:
        items: of the plugin; each prints as `WHEEL-LANE-REQUIREMENT`, a kernel type behind it where there are several.
        """
        self._groups = {str(item): f"{item.wheel.label} {item.lane}" for item in items}
        self._totals = Counter(self._groups.values())
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}"),
            console=Console(stderr=True),
        )
        self._names = {str(item): str(item.aspect) for item in items}
        self._tasks: dict[str, TaskID] = {}

    def _item(self, nodeid: str) -> str:
        # With xdist, the group follows behind an @ of its own.
        return nodeid.partition("[")[2].partition("]")[0]

    def pytest_sessionstart(self) -> None:
        self._bars.start()

    def pytest_sessionfinish(self) -> None:
        self._bars.stop()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._show(self._item(nodeid), 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            self._show(self._item(report.nodeid), 1)

    def _show(self, item: str, done: int) -> None:
        group = self._groups.get(item)
        if group is None:
            return
        if group not in self._tasks:
            self._tasks[group] = self._bars.add_task(group, total=self._totals[group], now="")
        self._bars.update(self._tasks[group], advance=done, now=self._names[item])
