# SPDX-License-Identifier: MIT
"""Every implementation by its name: the correct one, and those with one mistake each."""

from __future__ import annotations

from . import kernel_witnesses as _kernel_witnesses  # noqa: F401 (their classes are found by their base)
from . import witnesses as _witnesses  # noqa: F401
from .semantics import Semantics

__all__ = ["WITNESS_SEMANTICS"]


def _camel_to_words(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]


def _leaves(of: type[Semantics]) -> list[type[Semantics]]:
    return [leaf for item in of.__subclasses__() for leaf in (_leaves(item) or [item])]


WITNESS_SEMANTICS: dict[str, type[Semantics]] = {
    "correct": Semantics,
    **{_camel_to_words(item.__name__): item for item in _leaves(Semantics)},
}
