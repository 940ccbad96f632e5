# SPDX-License-Identifier: MIT
"""Processes that parse files beside the process that waits for the network.

One for Python and one for C++: each imports only its own parser, which takes as long as parsing a dozen files. They start
working on their imports while the first answers of the index are under way.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.util
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType

from conformance.survey.extract import extract_all, import_python_parser, import_source_parser
from conformance.survey.members import source_path
from conformance.survey.pieces import Extract

__all__ = ["Workers"]


def _end_at_once() -> None:
    """Let this process end without giving back its memory piece by piece, which takes longer than parsing ten files."""
    multiprocessing.util.Finalize(None, os._exit, args=(0,), exitpriority=0)


class Workers:
    """Use as a context manager; leaving it drops work that nobody needs any more."""

    def __init__(self) -> None:
        # Not forked: the caller may have threads (a progress display has), and a fork copies the locks that they hold.
        context = multiprocessing.get_context("spawn")
        self._python = ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_end_at_once)
        self._sources = ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_end_at_once)
        self._python.submit(import_python_parser)
        self._sources.submit(import_source_parser)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Not waiting would leave threads that Python 3.12, when it exits at that very moment, writes to through a closed pipe.
        for pool in (self._python, self._sources):
            pool.shutdown(wait=True, cancel_futures=True)

    async def extract(self, files: Sequence[tuple[str, bytes]]) -> list[Extract]:
        """What each file contributes, in the given order."""
        loop = asyncio.get_running_loop()
        sources = [item for item in files if source_path(item[0]) is not None]
        python = [item for item in files if source_path(item[0]) is None]
        from_sources, from_python = await asyncio.gather(
            loop.run_in_executor(self._sources, extract_all, sources),
            loop.run_in_executor(self._python, extract_all, python),
        )
        found = dict(zip((name for name, _ in (*sources, *python)), (*from_sources, *from_python), strict=True))
        return [found[name] for name, _ in files]
