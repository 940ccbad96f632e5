# SPDX-License-Identifier: MIT
"""The distinct source trees and libraries of all wheels, read from the index member by member and kept by content."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.errors import WheelError
from conformance.index import PackageIndex, open_index
from conformance.survey.archive import Member, read_directory
from conformance.survey.reader import RangeReader, read_members
from conformance.wheels import Wheel
from virtual_rocm.compiler.cache import locked, write_whole
from virtual_rocm.libraries import runtime_library

_SOURCES = re.compile(r"^mori/_jit[-_]sources/(?P<path>.+[^/])$")


@dataclass(frozen=True)
class WheelInputs:
    """One wheel's part: where its kernel sources lie (None if it has none), and its shared libraries by name in the wheel."""

    wheel: Wheel
    sources: Path | None
    libraries: tuple[tuple[str, Path], ...]


def obtain(wheels: Sequence[Wheel], folder: Path) -> list[WheelInputs]:
    """Fetch what is not below `folder` yet.

    Raises:
        WheelError: a wheel is not on the index, or what the index gives is not what the wheel's directory says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        return asyncio.run(_obtain(wheels, folder))


async def _obtain(wheels: Sequence[Wheel], folder: Path) -> list[WheelInputs]:
    async with open_index() as index:
        addresses = {
            file.wheel.sha256: file.url
            for distribution in sorted({wheel.distribution for wheel in wheels})
            for file in await index.listing(distribution)
        }
        found = []
        # A few at a time: a library is megabytes, and what is under way is held in memory.
        for first in range(0, len(wheels), 8):
            part = wheels[first : first + 8]
            found += await asyncio.gather(*(_obtain_one(index, wheel, addresses, folder) for wheel in part))
        return found


async def _obtain_one(index: PackageIndex, wheel: Wheel, addresses: dict[str, str], folder: Path) -> WheelInputs:
    if wheel.sha256 not in addresses:
        raise WheelError(f"{wheel}: the index does not have the file with sha256 {wheel.sha256} any more")
    reader = RangeReader(index, wheel, addresses[wheel.sha256])
    directory = await read_directory(reader.read, reader.size, reader.what, whole=True)
    sources = {match["path"]: member for member in directory.members if (match := _SOURCES.match(member.name))}
    libraries = [member for member in directory.members if _is_library(member.name)]
    wanted = [*sources.values(), *libraries]
    missing = [member for member in wanted if not _kept(folder, member).is_file()]
    for member, content in await read_members(reader, missing):
        write_whole(_kept(folder, member), content)
    tree = _assemble(folder, sources) if sources else None
    return WheelInputs(wheel, tree, tuple((member.name, _kept(folder, member)) for member in libraries))


def _is_library(name: str) -> bool:
    """Shared libraries; not the ROCm runtime itself, which some wheels bundle and which the virtual GPU replaces."""
    last = name.rsplit("/", 1)[-1]
    return (last.endswith(".so") or ".so." in last) and runtime_library(last) is None


def _kept(folder: Path, member: Member) -> Path:
    """Where a member's content is kept. Checksum and size tell contents apart here as they do for the survey."""
    return folder / "files" / f"{member.crc:08x}-{member.size}-{_digest([member.name])[:12]}"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _assemble(folder: Path, sources: dict[str, Member]) -> Path:
    """The tree as the wheel has it, once for all wheels that have the same: links to the kept files."""
    key = _digest(f"{path} {member.crc:08x} {member.size}" for path, member in sorted(sources.items()))
    tree = folder / "trees" / key[:24]
    if tree.is_dir():
        return tree
    aside = tree.with_name(f"{tree.name}.{os.getpid()}")
    for path, member in sources.items():
        target = aside / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            os.link(_kept(folder, member), target)
    aside.rename(tree)
    return tree
