# SPDX-License-Identifier: MIT
"""Every error that this package raises on purpose, as one tree.

A message says what is wrong (file, key, wheel), and what to do about it. The command line prints it without a traceback.
"""

from __future__ import annotations

__all__ = [
    "ConformanceError",
    "IndexUnavailableError",
    "LockError",
    "MatrixError",
    "ResultsError",
    "SelectionError",
    "WheelError",
]


class ConformanceError(Exception):
    """Base of all errors of this package."""


class MatrixError(ConformanceError):
    """`matrix.toml` (or its list of nightlies) cannot be used: the message names file, key and remedy."""


class LockError(ConformanceError):
    """The index no longer agrees with what the matrix has locked (a hash changed, a wheel vanished)."""


class IndexUnavailableError(ConformanceError):
    """The package index did not answer, or answered something that is no index page."""


class WheelError(ConformanceError):
    """One wheel cannot be read: truncated, wrong hash, unsafe names, missing or broken files."""


class SelectionError(ConformanceError):
    """A release or wheel that the caller named matches nothing, or more than one wheel."""


class ResultsError(ConformanceError):
    """A results file is incomplete, malformed, or cannot be merged with another."""
