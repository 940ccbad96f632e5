# SPDX-License-Identifier: MIT
"""Every exception that `moriep` raises on purpose, as one tree.

Each class also derives from the built-in that a caller would have caught without `moriep`, so that existing
`except ValueError` clauses keep working.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "CapacityError",
    "CompatibilityError",
    "ConfigurationError",
    "EnvironmentChangedError",
    "EnvironmentVariableError",
    "GroupMismatchError",
    "InputError",
    "MissingLibraryError",
    "MoriEPError",
    "MoriNotInstalledError",
    "ReceiveOverflowError",
    "StageError",
    "VariableProblem",
]


class MoriEPError(Exception):
    """Base of everything that `moriep` raises on purpose."""


class ConfigurationError(MoriEPError, ValueError):
    """A model, a rank or a world size from which no valid configuration can be made."""


class CapacityError(ConfigurationError):
    """Sizes that MORI-EP cannot represent or that its constructor would abort on."""


class CompatibilityError(MoriEPError, TypeError):
    """A call that the given release of MORI-EP does not accept.

    A `TypeError`, because that is what the unpruned call would raise. `arguments` holds the offending names
    in the order in which the caller gave them.
    """

    def __init__(self, message: str, arguments: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.arguments = tuple(arguments)

    def __reduce__(self) -> tuple[type[CompatibilityError], tuple[str, tuple[str, ...]]]:
        # Launchers of ranks pickle exceptions; the default would lose the arguments.
        return type(self), (str(self), self.arguments)


class MoriNotInstalledError(CompatibilityError, ImportError):
    """There is no `mori` to judge, or the installed module of that name is not AMD's."""


class MissingLibraryError(MoriEPError, ImportError):
    """An optional library that this question needs is not installed; the message names the extra."""


@dataclass(frozen=True)
class VariableProblem:
    """One thing that is wrong with one environment variable.

    Attributes:
        variable: full name, `SGLANG_MORI_…`.
        value: what the environment holds, unchanged.
        reason: what is wrong with it.
        allowed: the values that would be accepted, in words.
        remedy: what to do.
    """

    variable: str
    value: str
    reason: str
    allowed: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.variable}={self.value!r}: {self.reason}. Allowed: {self.allowed}. Remedy: {self.remedy}."


class EnvironmentVariableError(MoriEPError, ValueError):
    """Environment variables that cannot be used; `problems` holds all of them, not only the first."""

    def __init__(self, problems: Sequence[VariableProblem]) -> None:
        self.problems = tuple(problems)
        variables = {problem.variable for problem in self.problems}
        count = f"{len(variables)} environment variable{'s' if len(variables) != 1 else ''} cannot be used:"
        super().__init__("\n".join([count, *(f"  {problem}" for problem in self.problems)]))

    def __reduce__(self) -> tuple[type[EnvironmentVariableError], tuple[tuple[VariableProblem, ...]]]:
        return type(self), (self.problems,)


class InputError(MoriEPError, ValueError):
    """A tensor that the kernels would misread: its type, shape, strides, device or values."""


class StageError(MoriEPError, RuntimeError):
    """A call of the dispatcher out of order."""


class EnvironmentChangedError(MoriEPError, RuntimeError):
    """An environment variable is not what it was when the op was built, so the op no longer does what it says."""

    def __init__(self, message: str, variables: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.variables = tuple(variables)

    def __reduce__(self) -> tuple[type[EnvironmentChangedError], tuple[str, tuple[str, ...]]]:
        return type(self), (str(self), self.variables)


class GroupMismatchError(MoriEPError, RuntimeError):
    """Ranks of one group are configured differently; `fields` names what differs."""

    def __init__(self, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.fields = tuple(fields)

    def __reduce__(self) -> tuple[type[GroupMismatchError], tuple[str, tuple[str, ...]]]:
        return type(self), (str(self), self.fields)


class ReceiveOverflowError(MoriEPError, RuntimeError):
    """More tokens than a buffer holds: of dispatch's receive buffer, or of combine's staging buffer.

    Attributes:
        counts: tokens that each rank receives, by rank; where only a bound is known, the bound; for combine, the last
            staging row that is needed on each rank.
        capacity: rows that the buffer has.
        smallest: the smallest `max_total_recv_tokens` that would have held; None if no value would.
        certain: False where the overflow is only not excluded (guard mode `free`).
    """

    def __init__(
        self,
        message: str,
        counts: Sequence[int] = (),
        capacity: int = 0,
        smallest: int | None = None,
        certain: bool = True,
    ) -> None:
        super().__init__(message)
        self.counts, self.capacity, self.smallest, self.certain = tuple(counts), capacity, smallest, certain

    def __reduce__(self) -> tuple[type[ReceiveOverflowError], tuple[str, tuple[int, ...], int, int | None, bool]]:
        return type(self), (str(self), self.counts, self.capacity, self.smallest, self.certain)
