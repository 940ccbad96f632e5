# SPDX-License-Identifier: MIT
"""`python -m conformance lock`."""

from __future__ import annotations

from pathlib import Path

from conformance.lock import refresh_lock
from conformance.selection import find_matrix

__all__ = ["lock"]


def lock(matrix_file: Path | None, *, write: bool) -> int:
    """Bring the matrix up to date. Without `write`, returns 1 if it is not."""
    path = find_matrix(matrix_file)
    change = refresh_lock(path, write=write)
    for wheel in change.added:
        print(f"new: {wheel}, built {wheel.built}, sha256 {wheel.sha256}")
    for wheel in change.vanished:
        print(f"no longer on the index, kept in the matrix: {wheel}")
    for wheel in change.yanked:
        print(f"yanked: {wheel}")
    if not change.added:
        print(f"{path.name} holds every wheel that the index offers")
    return 1 if change.added and not write else 0
