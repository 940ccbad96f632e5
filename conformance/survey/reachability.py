# SPDX-License-Identifier: MIT
"""Which kernel types reach which device function, over all sources of a wheel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from conformance.survey.facts import Guard
from conformance.survey.pieces import KernelSource

__all__ = ["assign_kernel_types"]

# Entry kernels, by the first pattern that matches. gfx125x has bodies of its own, which no gfx9 device runs.
_ENTRY_KERNELS: tuple[tuple[re.Pattern[str], str | None], ...] = (
    (re.compile(r"1250x"), None),
    (re.compile(r"^Ep\w*IntraNodeLLKernel"), "IntraNodeLL"),
    (re.compile(r"^Ep\w*IntraNodeKernel"), "IntraNode"),
    (re.compile(r"^Ep\w*InterNodeV1KernelLowLatency"), "InterNodeV1LL"),
    (re.compile(r"^Ep\w*InterNodeV1Kernel"), "InterNodeV1"),
    (re.compile(r"^Ep\w*InterNodeKernel"), "InterNode"),
    (re.compile(r"^Ep\w*LowLatencyAsync"), "AsyncLL"),
)


@lru_cache(maxsize=4096)
def _kernel_type_of_entry(function: str) -> str | None:
    for pattern, kind in _ENTRY_KERNELS:
        if pattern.search(function):
            return kind
    return None


def assign_kernel_types(sources: Sequence[KernelSource]) -> tuple[Guard, ...]:
    """All guards of a wheel, each with the kernel types whose entry kernels reach its function.

    Reachability is by name over the files given: a function reaches every function whose name occurs in its code.
    """
    words: dict[str, set[str]] = {}
    for source in sources:
        for function in source.functions:
            words.setdefault(function.name, set()).update(function.words)
    reached: dict[str, set[str]] = {name: set() for name in words}
    for entry in sorted(words):
        kind = _kernel_type_of_entry(entry)
        if kind is None:
            continue
        pending, seen = [entry], {entry}
        while pending:
            name = pending.pop()
            reached[name].add(kind)
            for callee in words[name] & words.keys():
                other = _kernel_type_of_entry(callee)
                if callee not in seen and (other is None or other == kind):
                    seen.add(callee)
                    pending.append(callee)
    guards = [
        Guard(
            guard.file,
            guard.function,
            guard.line,
            guard.condition,
            guard.message,
            tuple(sorted(reached.get(guard.function, ()))),
        )
        for source in sources
        for guard in source.guards
    ]
    return tuple(sorted(guards))
