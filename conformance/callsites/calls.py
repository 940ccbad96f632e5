# SPDX-License-Identifier: MIT
"""What is known of one call of MORI-EP in a source file."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CONFIG", "OP", "UNKNOWN", "Call", "Value"]

CONFIG = "EpDispatchCombineConfig"
OP = "EpDispatchCombineOp"


@dataclass(frozen=True)
class Value:
    """One argument.

    Attributes:
        text: its source.
        known: whether `value` is what it is at run time: a literal, or the bare name of a data type or enum member.
        int64: the source makes it a tensor of 64-bit integers.
        received: it is the indices that a dispatch returned, not those that it was given.
    """

    text: str
    known: bool = False
    value: object = None
    int64: bool = False
    received: bool = False


UNKNOWN = Value("?")


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        file, line, column, end_line: where; lines and columns count from 1.
        target: CONFIG, OP, or the name of an op's method.
        arguments: by position; keywords: by name, in order.
        open_ended: arguments were passed that cannot be seen (`*args`, `**kwargs` of unknown content).
        pruned: the arguments went through `check_mori_compatibility`, which removes what the installed release lacks.
    """

    file: str
    line: int
    column: int
    end_line: int
    target: str
    arguments: tuple[Value, ...] = ()
    keywords: tuple[tuple[str, Value], ...] = ()
    open_ended: bool = False
    pruned: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.keywords)
