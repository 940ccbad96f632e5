# SPDX-License-Identifier: MIT
"""Reads a wheel's zip directory and members through a source of byte ranges, without the rest of the file.

A wheel of MORI lists about 1100 files, 800 of them headers of third parties: 130 KB of directory, more than all members
that a survey needs. Wheels list their files in the order of a directory walk, so the entries below one folder stand
together. The reader takes the end and the beginning of the directory, and where the hole between them begins and ends
inside one folder that nobody needs, it leaves the hole unread.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from conformance.errors import WheelError

__all__ = ["ByteSource", "Directory", "Member", "decompress_member", "member_span", "read_directory", "read_local_data"]

# start, stop → the bytes between; raises WheelError.
ByteSource = Callable[[int, int], Awaitable[bytes]]

_END_SIGNATURE = b"PK\x05\x06"
_ENTRY_SIGNATURE = b"PK\x01\x02"
_LOCAL_SIGNATURE = b"PK\x03\x04"
_ENTRY = struct.Struct("<HH4xIIIHHH8xI")
_LENGTHS = struct.Struct("<HHH")
_END_SIZE = 22
_HEAD = 3 * 1024
_STEP = 6 * 1024  # how much more of the directory is read while the hole still touches wanted entries
_ZIP64 = 0xFFFFFFFF
_MAX_ENTRIES = 100_000
_MAX_DIRECTORY = 32 * 1024 * 1024
_MAX_MEMBER = 64 * 1024 * 1024
_MAX_RATIO = 250  # deflate reaches about 1000:1; text and code stay below 20:1
_LOCAL_SLACK = 64  # local headers may carry more extra fields than the directory says
_SKIPPABLE_FOLDER = "/3rdparty/"


class Member(NamedTuple):
    """One file of a wheel, as the zip directory describes it. Sizes and offset in bytes."""

    name: str
    crc: int
    compressed_size: int
    size: int
    offset: int
    method: int

    @property
    def identity(self) -> tuple[str, int, int, int]:
        """Equal for equal files of different wheels, which are then read only once."""
        return self.name, self.crc, self.size, self.compressed_size


@dataclass(frozen=True)
class Directory:
    """The members found, and whether a folder in the middle was left out."""

    members: tuple[Member, ...]
    complete: bool

    def names(self) -> frozenset[str]:
        return frozenset(member.name for member in self.members)


def _expected_tail(size: int) -> int:
    """Bytes at the end of a wheel that hold the entries behind the third parties' folder.

    Measured over all wheels: 22.5 KB up to a size of 5.5 MB, then 2 to 2.4 KB more for each MB. Too little costs another
    request, too much costs bytes; neither is wrong.
    """
    return min(40 * 1024, 22_900 + max(0, size - 5_500_000) * 5 // 2000)


def _checked_member(data: bytes, position: int, stop: int, what: str) -> Member:
    """The entry at `position`, whose name ends at `stop`."""
    flags, method, crc, compressed, size, _, _, _, offset = _ENTRY.unpack_from(data, position + 8)
    raw = data[position + 46 : stop]
    try:
        name = raw.decode("utf-8" if flags & 0x800 else "ascii")
    except UnicodeDecodeError as error:
        raise WheelError(f"{what}: the zip directory holds a name that is not text: {raw!r}") from error
    if _ZIP64 in (compressed, size, offset):
        raise WheelError(f"{what}: {name} uses zip64, which no wheel of this size needs")
    if flags & 0x1:
        raise WheelError(f"{what}: {name} is encrypted")
    if name[0:1] == "/" or "\\" in name or "\0" in name or (".." in name and ".." in name.split("/")):
        raise WheelError(f"{what}: refuses the wheel: it holds the unsafe file name {name!r}")
    return Member(name, crc, compressed, size, offset, method)


def _entries_from(data: bytes, position: int, what: str) -> tuple[list[Member], int]:
    """Whole entries from `position` on, and where they end."""
    found: list[Member] = []
    last = len(data) - 46
    # A hundred wheels have forty thousand entries, so this loop calls no more than it must.
    while position <= last and data[position : position + 4] == _ENTRY_SIGNATURE:
        name_length, extra, comment = _LENGTHS.unpack_from(data, position + 28)
        name_stop = position + 46 + name_length
        following = name_stop + extra + comment
        if following > len(data):
            break
        found.append(_checked_member(data, position, name_stop, what))
        position = following
    return found, position


def _entries_until(data: bytes, end: int, what: str) -> tuple[list[Member], int]:
    """Entries that form an unbroken chain to `end`, and where the chain begins.

    A name or a comment may contain the signature, so a start counts only if its chain ends exactly at `end`.
    """
    position = data.find(_ENTRY_SIGNATURE)
    while position != -1:
        try:
            found, stop = _entries_from(data[:end], position, what)
        except WheelError:
            stop, found = -1, []
        if stop == end:
            return found, position
        position = data.find(_ENTRY_SIGNATURE, position + 1)
    return [], end


def _in_skippable_folder(head: list[Member], tail: list[Member]) -> bool:
    """True if the hole between the two parts lies inside one third-party folder."""
    if not head or not tail:
        return False
    before, after = head[-1].name, tail[0].name
    if _SKIPPABLE_FOLDER not in before or _SKIPPABLE_FOLDER not in after:
        return False
    folder = before[: before.index(_SKIPPABLE_FOLDER) + len(_SKIPPABLE_FOLDER)]
    # In a directory walk the folder is one run: an entry of it elsewhere means another order, and no skipping.
    first = next(index for index, member in enumerate(head) if member.name.startswith(folder))
    last = max(index for index, member in enumerate(tail) if member.name.startswith(folder))
    return (
        after.startswith(folder)
        and all(member.name.startswith(folder) for member in head[first:])
        and all(member.name.startswith(folder) for member in tail[: last + 1])
    )


async def read_directory(source: ByteSource, size: int, what: str, *, whole: bool = False) -> Directory:
    """Read the zip directory of a file of `size` bytes.

    Args:
        source: reads byte ranges of the file.
        what: names the wheel in messages.
        whole: read every entry, third parties included.

    Raises:
        WheelError: no zip file, truncated, or with unsafe or impossible entries.
    """
    if size < _END_SIZE:
        raise WheelError(f"{what}: {size} bytes are no wheel (not even an empty zip file)")
    tail_start = max(0, size - _expected_tail(size))
    tail = await source(tail_start, size)
    end = tail.rfind(_END_SIGNATURE)
    if end == -1 or end + _END_SIZE > len(tail):
        raise WheelError(f"{what}: no zip directory at the end of the file: truncated, or not a wheel")
    count, directory_size, directory_start = struct.unpack_from("<HII", tail, end + 10)
    directory_stop = tail_start + end
    if directory_start + directory_size != directory_stop or directory_size > _MAX_DIRECTORY or count > _MAX_ENTRIES:
        raise WheelError(
            f"{what}: the zip directory is said to be {count} entries in {directory_size} bytes at {directory_start}, "
            f"but ends at {directory_stop}: truncated or damaged"
        )
    if directory_start >= tail_start:
        members, stop = _entries_from(tail[:end], directory_start - tail_start, what)
        return _checked(members, stop == end, count, what)
    last, chain_start = _entries_until(tail, end, what)
    gap_stop = tail_start + chain_start
    head_stop = min(gap_stop, directory_start + _HEAD)
    head = await source(directory_start, head_stop)
    first, position = _entries_from(head, 0, what)
    gap_start = directory_start + position
    while not whole and gap_start < gap_stop and not _in_skippable_folder(first, last):
        step_start = max(gap_start, gap_stop - _STEP)
        if step_start == gap_start:
            break
        piece = await source(step_start, gap_stop)
        earlier, chain_start = _entries_until(piece, len(piece), what)
        if not earlier:
            break
        last = earlier + last
        gap_stop = step_start + chain_start
    if gap_start == gap_stop:
        return _checked(first + last, True, count, what)
    if not whole and _in_skippable_folder(first, last):
        return Directory(tuple(first + last), complete=False)
    gap = head[position:] if head_stop >= gap_stop else head[position:] + await source(head_stop, gap_stop)
    middle, stop = _entries_from(gap[: gap_stop - gap_start], 0, what)
    return _checked(first + middle + last, stop == gap_stop - gap_start, count, what)


def _checked(members: list[Member], whole: bool, count: int, what: str) -> Directory:
    if not whole or len(members) != count:
        raise WheelError(f"{what}: the zip directory lists {count} files, {len(members)} can be read: damaged")
    names = [member.name for member in members]
    if len(set(names)) != len(names):
        raise WheelError(f"{what}: the zip directory lists a file name twice")
    return Directory(tuple(members), complete=True)


def member_span(member: Member) -> tuple[int, int]:
    """Byte range that holds the member's header and data, with some slack behind."""
    stop = member.offset + 30 + len(member.name.encode()) + member.compressed_size + _LOCAL_SLACK
    return member.offset, stop


def read_local_data(data: bytes, position: int, member: Member, what: str) -> bytes | None:
    """The member's compressed bytes out of `data`, where its local header is at `position`; None if not all are there."""
    if data[position : position + 4] != _LOCAL_SIGNATURE:
        raise WheelError(f"{what}: {member.name} is not where the zip directory says: damaged")
    name_length, extra_length = struct.unpack_from("<HH", data, position + 26)
    start = position + 30 + name_length + extra_length
    if start + member.compressed_size > len(data):
        return None
    return data[start : start + member.compressed_size]


def decompress_member(member: Member, data: bytes, what: str) -> bytes:
    """The member's content.

    Raises:
        WheelError: damaged data, or a size beyond all reason (a zip bomb).
    """
    if member.size > _MAX_MEMBER or member.size > _MAX_RATIO * max(member.compressed_size, 64):
        raise WheelError(
            f"{what}: refuses {member.name}: {member.compressed_size} bytes that unpack to {member.size} (a zip bomb?)"
        )
    if member.method == 0:
        content = data
    elif member.method == zlib.DEFLATED:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = inflater.decompress(data, member.size + 1)
        except zlib.error as error:
            raise WheelError(f"{what}: {member.name} cannot be unpacked: {error}") from error
    else:
        raise WheelError(f"{what}: {member.name} is packed by method {member.method}, which wheels do not use")
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise WheelError(f"{what}: {member.name} does not have the size and checksum of the zip directory: damaged")
    return content
