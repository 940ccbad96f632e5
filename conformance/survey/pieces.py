# SPDX-License-Identifier: MIT
"""What single files contribute to a wheel's facts: the values that worker processes hand back.

Kept apart from the parsers, so that the process that collects them need not import griffe and tree-sitter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from conformance.survey.facts import Capacity, Guard, KernelFunction
from moriep.surface import ClassSurface

__all__ = ["Extract", "KernelSource", "OpsModule", "SourceFunction"]


@dataclass(frozen=True)
class SourceFunction:
    """One function: `words` are all identifiers in its code, `digest` covers the code without comments and layout."""

    name: str
    digest: str
    words: frozenset[str]


@dataclass(frozen=True)
class KernelSource:
    """What one source file holds. `guards` name no kernel types yet: that takes all files of a wheel."""

    file: str
    guards: tuple[Guard, ...]
    device_asserts: int
    functions: tuple[SourceFunction, ...]
    capacity: tuple[Capacity, ...]
    enumerators: Mapping[str, Mapping[str, int]]
    variables: tuple[str, ...]

    def kernel_functions(self) -> tuple[KernelFunction, ...]:
        return tuple(KernelFunction(self.file, item.name, item.digest) for item in self.functions)


@dataclass(frozen=True)
class OpsModule:
    """`dispatch_combine.py` of one wheel (v1), or `dispatch_combine_op.py` (v2)."""

    config: ClassSurface | None
    op: ClassSurface | None
    quant_types: tuple[str, ...]
    launch_defaults: dict[str, tuple[str, ...]]
    method_digests: dict[str, str]


@dataclass(frozen=True)
class Extract:
    """What one file contributes to its wheel's facts. Unused parts are empty; `problem` replaces what failed."""

    variables: tuple[str, ...] = ()
    ops: OpsModule | None = None
    exports: tuple[str, ...] | None = None
    constants: dict[str, str] | None = None
    source: KernelSource | None = None
    problem: str | None = None
