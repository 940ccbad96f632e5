# SPDX-License-Identifier: MIT
"""The order of calls, as a state machine."""

from __future__ import annotations

from enum import Enum

from moriep.errors import StageError

__all__ = ["Stage", "Stages"]


class Stage(Enum):
    """The last call that went through."""

    INITIAL = "initial"
    DISPATCH_A = "dispatch_a"
    DISPATCH_B = "dispatch_b"
    COMBINE_A = "combine_a"


# Call → the stage in which it may come, and the one that it leads to.
_CALLS = {
    "dispatch_a": (Stage.INITIAL, Stage.DISPATCH_A),
    "dispatch_b": (Stage.DISPATCH_A, Stage.DISPATCH_B),
    "combine_a": (Stage.DISPATCH_B, Stage.COMBINE_A),
    "combine_b": (Stage.COMBINE_A, Stage.INITIAL),
}
_NEXT = {before: call for call, (before, _) in _CALLS.items()}


class Stages:
    """INITIAL → DISPATCH_A → DISPATCH_B → COMBINE_A → INITIAL."""

    def __init__(self) -> None:
        self.stage = Stage.INITIAL

    def require(self, call: str) -> None:
        """Raise if the call may not come now.

        Raises:
            StageError: says what was called last and what has to come.
        """
        if self.stage is not _CALLS[call][0]:
            last = "nothing yet, or a finished combine_b" if self.stage is Stage.INITIAL else self.stage.value
            raise StageError(
                f"{call} is out of order: the last call was {last}, so {_NEXT[self.stage]} has to come. The kernels of a "
                "dispatch and its combine share counters, so each dispatch needs its combine before the next. Remedy: keep "
                "the order dispatch_a, dispatch_b, combine_a, combine_b, and one dispatcher per stream of work"
            )

    def advance(self, call: str) -> None:
        self.stage = _CALLS[call][1]
