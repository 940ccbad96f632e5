# SPDX-License-Identifier: MIT
"""How a framework calls the op, as data that ranks can play: its own arguments, in its own order, with its own mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Calls", "calls_from_json"]

Named = tuple[tuple[str, int | bool], ...]


@dataclass(frozen=True)
class Calls:
    """Everything that a caller decides beyond the tensors.

    Attributes:
        arguments: of EpDispatchCombineConfig, by name and in the caller's order; data and kernel types by name. `rank` stands
            there for its place only: every rank puts its own number in.
        prunes: remove what the installed class does not have, as SGLang does; else everything is passed.
        dispatch_positional, combine_positional: what follows the four (three) tensors without a name.
        dispatch_keywords, combine_keywords: what follows them by name.
        receive_keywords: of the second half of a dispatch that has two.
        combine_ids: the ids that this rank dispatched, or those of the rows that it received.
        combine_weights: None; those of the received rows, as the experts changed them; or those that this rank dispatched.
        scales: None, or a tensor of no columns, where the case has no scales.
    """

    arguments: tuple[tuple[str, int | bool | str], ...]
    prunes: bool = False
    dispatch_positional: tuple[int, ...] = ()
    dispatch_keywords: Named = ()
    combine_positional: tuple[int, ...] = ()
    combine_keywords: Named = ()
    receive_keywords: Named = ()
    combine_ids: Literal["own", "received"] = "own"
    combine_weights: Literal["none", "received", "own"] = "none"
    scales: Literal["none", "empty"] = "none"


def calls_from_json(values: Mapping[str, Any] | None) -> Calls | None:
    """The inverse of `dataclasses.asdict`, after JSON made lists of tuples."""
    if values is None:
        return None
    made: dict[str, Any] = dict(values)
    for name in ("dispatch_positional", "combine_positional"):
        made[name] = tuple(made[name])
    for name in ("arguments", "dispatch_keywords", "combine_keywords", "receive_keywords"):
        made[name] = tuple((key, value) for key, value in made[name])
    return Calls(**made)
