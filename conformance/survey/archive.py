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
from conformance.survey.entries import Entries, Entry

__all__ = ["ByteSource", "Directory", "Member", "decompress_member", "member_span", "read_directory", "read_local_data"]

# start, stop → the bytes between; raises WheelError.
ByteSource = Callable[[int, int], Awaitable[bytes]]

_END_SIGNATURE = b"PK\x05\x06"
_LOCAL_SIGNATURE = b"PK\x03\x04"
_END_SIZE = 22
_HEAD = 3 * 1024
_STEP = 6 * 1024  # how much more of the directory is read while the hole still touches wanted entries
_MAX_ENTRIES = 100_000
_MAX_DIRECTORY = 32 * 1024 * 1024
_MAX_MEMBER = 64 * 1024 * 1024
_MAX_RATIO = 250  # deflate reaches about 1000:1; text and code stay below 20:1
_LOCAL_SLACK = 64  # local headers may carry more extra fields than the directory says


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
    """The members found that the reader keeps, and whether a folder in the middle was left out."""

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


def _in_skippable_folder(head: list[Entry], tail: list[Entry]) -> bool:
    """True if the hole between the two parts lies inside one third-party folder."""
    if not head or not tail:
        return False
    folder = head[-1][0].third_parties
    if folder is None or tail[0][0].third_parties != folder:
        return False
    # In a directory walk the folder is one run: an entry of it elsewhere means another order, and no skipping.
    return _one_run([entry.third_parties == folder for entry, _ in reversed(head)]) and _one_run(
        [entry.third_parties == folder for entry, _ in tail]
    )


def _one_run(inside: list[bool]) -> bool:
    """True if what is inside comes first, and nothing inside comes later."""
    return all(inside[: inside.count(True)])


async def read_directory(
    source: ByteSource, size: int, what: str, *, whole: bool = False, entries: Entries | None = None
) -> Directory:
    """Read the zip directory of a file of `size` bytes.

    Args:
        source: reads byte ranges of the file.
        what: names the wheel in messages.
        whole: read every entry, third parties included.
        entries: what is known from other wheels, and which members are kept; all without it.

    Raises:
        WheelError: no zip file, truncated, or with unsafe or impossible entries.
    """
    entries = entries or Entries()
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
        members, stop = entries.read_from(tail[:end], directory_start - tail_start, what)
        return _checked(members, stop == end, count, what)
    last, chain_start = entries.read_until(tail, end, what)
    gap_stop = tail_start + chain_start
    head_stop = min(gap_stop, directory_start + _HEAD)
    head = await source(directory_start, head_stop)
    first, position = entries.read_from(head, 0, what)
    gap_start = directory_start + position
    while not whole and gap_start < gap_stop and not _in_skippable_folder(first, last):
        step_start = max(gap_start, gap_stop - _STEP)
        if step_start == gap_start:
            break
        piece = await source(step_start, gap_stop)
        earlier, chain_start = entries.read_until(piece, len(piece), what)
        if not earlier:
            break
        last = earlier + last
        gap_stop = step_start + chain_start
    if gap_start == gap_stop:
        return _checked(first + last, True, count, what)
    if not whole and _in_skippable_folder(first, last):
        return _directory(first + last, complete=False)
    gap = head[position:] if head_stop >= gap_stop else head[position:] + await source(head_stop, gap_stop)
    middle, stop = entries.read_from(gap[: gap_stop - gap_start], 0, what)
    return _checked(first + middle + last, stop == gap_stop - gap_start, count, what)


def _checked(found: list[Entry], whole: bool, count: int, what: str) -> Directory:
    if not whole or len(found) != count:
        raise WheelError(f"{what}: the zip directory lists {count} files, {len(found)} can be read: damaged")
    if len({entry.name for entry, _ in found}) != len(found):
        raise WheelError(f"{what}: the zip directory lists a file name twice")
    return _directory(found, complete=True)


def _directory(found: list[Entry], *, complete: bool) -> Directory:
    members = tuple(
        Member(entry.name, entry.crc, entry.compressed_size, entry.size, offset, entry.method)
        for entry, offset in found
        if entry.kept
    )
    return Directory(members, complete)


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
