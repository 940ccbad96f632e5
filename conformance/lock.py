# SPDX-License-Identifier: MIT
"""Brings the matrix up to what the index holds now. What was locked before must still be there, unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tomlkit
import tomlkit.items

from conformance.errors import LockError, MatrixError
from conformance.index import IndexFile, open_index
from conformance.matrix import load_matrix, nightlies_file
from conformance.wheels import NIGHTLY_DISTRIBUTION, STABLE_DISTRIBUTION, Wheel

__all__ = ["LockChange", "refresh_lock"]

_HEADER = """\
# Every published nightly wheel, in build order. Written by `nox -s lock`; do not edit.
# Which of them are part of the matrix is decided by [nightlies] in matrix.toml.
"""


@dataclass(frozen=True)
class LockChange:
    """What a refresh found: wheels new on the index, wheels that it no longer lists, wheels that were yanked."""

    added: tuple[Wheel, ...]
    vanished: tuple[Wheel, ...]
    yanked: tuple[Wheel, ...]


async def _listings(index_url: str | None) -> tuple[list[IndexFile], list[IndexFile]]:
    async with open_index(index_url) as index:
        stable, nightly = await asyncio.gather(index.listing(STABLE_DISTRIBUTION), index.listing(NIGHTLY_DISTRIBUTION))
    return stable, nightly


def refresh_lock(matrix_file: Path, *, index_url: str | None = None, write: bool = True) -> LockChange:
    """Compare the matrix with the index and, if `write`, add what is new.

    Vanished wheels stay in the matrix: results about them stay true, and people still have them installed.

    Raises:
        LockError: a locked wheel has another hash on the index.
        IndexUnavailableError, MatrixError: see there.
    """
    matrix = load_matrix(matrix_file)
    stable_files, nightly_files = asyncio.run(_listings(index_url))
    offered = {item.wheel.filename: item for item in (*stable_files, *nightly_files)}
    changed = [
        f"{wheel}: locked {wheel.sha256}, index {offered[wheel.filename].wheel.sha256}"
        for wheel in matrix.every_wheel
        if wheel.filename in offered and offered[wheel.filename].wheel.sha256 != wheel.sha256
    ]
    if changed:
        raise LockError(
            "the index serves other files under names that are locked, which an index must never do; do not install them, "
            "and find out what happened before touching the matrix: " + "; ".join(changed)
        )
    known = {wheel.filename for wheel in matrix.every_wheel}
    added = [item.wheel for item in offered.values() if item.wheel.filename not in known]
    if write and added:
        stable = [wheel for wheel in (*matrix.stable, *added) if not wheel.nightly]
        nightlies = [wheel for wheel in (*matrix.nightlies, *added) if wheel.nightly]
        _write_stable(matrix_file, stable)
        nightlies_file(matrix_file).write_text(_HEADER + _array_document(nightlies), encoding="utf-8")
    return LockChange(
        added=_ordered(added),
        vanished=_ordered([wheel for wheel in matrix.every_wheel if wheel.filename not in offered]),
        yanked=_ordered([item.wheel for item in offered.values() if item.yanked]),
    )


def _ordered(wheels: Sequence[Wheel]) -> tuple[Wheel, ...]:
    return tuple(sorted(wheels, key=lambda wheel: wheel.order))


def _array(wheels: Sequence[Wheel]) -> tomlkit.items.Array:
    array = tomlkit.array().multiline(True)
    for wheel in _ordered(wheels):
        row = tomlkit.inline_table()
        row.update(
            {
                "distribution": wheel.distribution,
                "version": wheel.version,
                "tag": wheel.tag,
                "sha256": wheel.sha256,
                "size": wheel.size,
                "uploaded": wheel.uploaded,
            }
        )
        array.append(row)
    return array


def _array_document(wheels: Sequence[Wheel]) -> str:
    document = tomlkit.document()
    document["wheels"] = _array(wheels)
    return tomlkit.dumps(document)


def _write_stable(matrix_file: Path, wheels: Sequence[Wheel]) -> None:
    """Replace the list of wheels, and keep every comment and setting that people wrote."""
    document = tomlkit.parse(matrix_file.read_text(encoding="utf-8"))
    if "wheels" not in document:
        raise MatrixError(f"{matrix_file.name}: has no `wheels` to bring up to date")
    document["wheels"] = _array(wheels)
    matrix_file.write_text(tomlkit.dumps(document), encoding="utf-8")
