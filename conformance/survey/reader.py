# SPDX-License-Identifier: MIT
"""Reads byte ranges of one wheel: from the index, or from a file. Falls back to the whole file where ranges are refused."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from conformance.errors import WheelError
from conformance.index import PackageIndex
from conformance.survey.archive import Member, decompress_member, member_span, read_local_data
from conformance.survey.libraries import SonameScanner, exact_sonames
from conformance.wheels import Wheel

__all__ = ["FileReader", "RangeReader", "WheelReader", "read_members", "read_sonames"]

_COALESCE = 6 * 1024
"""Unwanted bytes between two members that are cheaper to read along than another request."""

_FIRST_PIECE = 10 * 1024
_SLICE = 8 * 1024


class WheelReader(Protocol):
    """Byte ranges of one wheel. `size` is the file's, in bytes; `what` names the wheel in messages."""

    size: int
    what: str

    async def read(self, start: int, stop: int) -> bytes: ...


class FileReader:
    """A wheel on disk.

    Raises:
        WheelError: the file is not there, or its hash is not the expected one.
    """

    def __init__(self, path: Path, sha256: str | None = None) -> None:
        self.what = path.name
        try:
            self._data = path.read_bytes()
        except OSError as error:
            raise WheelError(f"{path}: cannot be read: {error.strerror or error}") from error
        self.size = len(self._data)
        self.sha256 = hashlib.sha256(self._data).hexdigest()
        if sha256 is not None and self.sha256 != sha256:
            raise WheelError(f"{path}: sha256 is {self.sha256}, expected {sha256}: not the published wheel")

    async def read(self, start: int, stop: int) -> bytes:
        if stop > self.size:
            raise WheelError(f"{self.what}: ends before byte {stop}: truncated")
        return self._data[start:stop]


class RangeReader:
    """A wheel on the index."""

    def __init__(self, index: PackageIndex, wheel: Wheel, url: str) -> None:
        self.what = str(wheel)
        self.size = wheel.size
        self._index = index
        self._wheel = wheel
        self._url = url
        self._whole: bytes | None = None
        self._first = asyncio.Lock()
        self._ranges_work = False

    async def read(self, start: int, stop: int) -> bytes:
        stop = min(stop, self.size)
        if not self._ranges_work:
            # One request at a time until it is known that ranges work, or the whole file would come several times.
            async with self._first:
                if self._whole is None and not self._ranges_work:
                    return await self._ask(start, stop)
        if self._whole is not None:
            return self._whole[start:stop]
        return await self._ask(start, stop)

    async def _ask(self, start: int, stop: int) -> bytes:
        data, partial = await self._index.read(self._url, start, stop, self.what)
        if partial:
            self._ranges_work = True
            return data
        digest = hashlib.sha256(data).hexdigest()
        if digest != self._wheel.sha256:
            raise WheelError(
                f"{self.what}: the downloaded file has sha256 {digest}, the matrix says {self._wheel.sha256}: not the "
                "wheel that was locked; do not use it, and look at what the index serves"
            )
        self._whole = data
        return data[start:stop]


def _runs(members: Sequence[Member]) -> Iterator[list[Member]]:
    """Members in file order, cut where the distance to the next is too large to read along."""
    run: list[Member] = []
    stop = 0
    for member in sorted(members, key=lambda item: item.offset):
        start, end = member_span(member)
        if run and start > stop + _COALESCE:
            yield run
            run = []
        run.append(member)
        stop = max(stop, end)
    if run:
        yield run


async def read_members(reader: WheelReader, members: Sequence[Member]) -> list[tuple[Member, bytes]]:
    """The contents of the members, neighbours read together.

    Raises:
        WheelError: truncated or damaged.
    """
    return [item for part in await asyncio.gather(*(_read_run(reader, run) for run in _runs(members))) for item in part]


async def _read_run(reader: WheelReader, run: list[Member]) -> list[tuple[Member, bytes]]:
    start = run[0].offset
    stop = min(reader.size, max(member_span(member)[1] for member in run))
    data = await reader.read(start, stop)
    found = []
    for member in run:
        packed = read_local_data(data, member.offset - start, member, reader.what)
        if packed is None:
            # The local header holds more than the usual slack; read exactly what it asks for.
            longer = await reader.read(member.offset, min(reader.size, member_span(member)[1] + 0x1FFFF))
            packed = read_local_data(longer, 0, member, reader.what)
        if packed is None:
            raise WheelError(f"{reader.what}: ends inside {member.name}: truncated")
        found.append((member, decompress_member(member, packed, reader.what)))
    return found


async def read_sonames(reader: WheelReader, member: Member, *, guess: int = 0) -> tuple[tuple[str, ...] | None, int]:
    """The libraries that a library needs, and how many compressed bytes the answer took.

    Reads from the front until the answer is there; where the front gives none, reads all and asks the dynamic section.

    Args:
        guess: read so much at once, because a neighbour needed it.
    """
    scanner = SonameScanner(member.name.rsplit("/", 1)[-1], deflated=member.method == zlib.DEFLATED)
    bound = member.compressed_size
    packed = b""
    data_start: int | None = None
    target = min(bound, max(guess, _FIRST_PIECE))
    while len(packed) < bound:
        if data_start is None:
            stop = member.offset + 30 + len(member.name.encode()) + target
            data = await reader.read(member.offset, min(reader.size, stop))
            skip = _data_offset(data, member, reader.what)
            data_start = member.offset + skip
            piece = data[skip : skip + bound]
        else:
            piece = await reader.read(data_start + len(packed), data_start + target)
        try:
            for position in range(0, len(piece), _SLICE):
                if scanner.feed(piece[position : position + _SLICE]) and (answer := scanner.finish()) is not None:
                    return answer, len(packed) + position + _SLICE
        except zlib.error as error:
            raise WheelError(f"{reader.what}: {member.name} cannot be unpacked: {error}") from error
        packed += piece
        target = min(bound, len(packed) + max(_FIRST_PIECE, len(packed) // 3))
    return exact_sonames(decompress_member(member, packed, reader.what)), len(packed)


def _data_offset(header: bytes, member: Member, what: str) -> int:
    if header[:4] != b"PK\x03\x04" or len(header) < 30:
        raise WheelError(f"{what}: {member.name} is not where the zip directory says: damaged")
    return 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
