# SPDX-License-Identifier: MIT
"""Whether processes wait for a compiler that one of them has started.

The first launch of a kernel compiles it, which takes seconds, and minutes for the largest on a busy machine. A deadline that
ended the ranks meanwhile would end the compiler too, and the next attempt would begin anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

__all__ = ["is_compiling"]

_COMPILERS = ("clang", "ld.lld", "lld", "hipcc")
_PROCESSES = Path("/proc")


def is_compiling(pids: Collection[int]) -> bool:
    """True if a compiler descends from one of the processes."""
    parents: dict[int, int] = {}
    compilers: list[int] = []
    for folder in _PROCESSES.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):  # it ended meanwhile
            # The name stands in parentheses and may hold anything, parentheses too.
            head, _, rest = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
            pid = int(folder.name)
            parents[pid] = int(rest.split()[1])
            if head.partition("(")[2].startswith(_COMPILERS):
                compilers.append(pid)
    return any(_descends(pid, pids, parents) for pid in compilers)


def _descends(pid: int, ancestors: Collection[int], parents: dict[int, int]) -> bool:
    seen: set[int] = set()
    while pid not in seen:
        if pid in ancestors:
            return True
        seen.add(pid)
        pid = parents.get(pid, 0)
    return False
