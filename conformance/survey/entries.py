# SPDX-License-Identifier: MIT
"""Entries of a zip directory. What equal entries of different wheels say is worked out once.

A hundred wheels have thirty-six thousand entries, and nine in ten stand in the wheel of the day before, word for word but
for the place in the file. So an entry is a description, which wheels share, and an offset, which is a wheel's own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from conformance.errors import WheelError

__all__ = ["Described", "Entries", "Entry"]

_SIGNATURE = b"PK\x01\x02"
_FIELDS = struct.Struct("<HH4xIIIHHH8xI")
_FIXED_SIZE = 46
_ZIP64 = 0xFFFFFFFF
_THIRD_PARTIES = "/3rdparty/"


class Described(NamedTuple):
    """What an entry says of its file, the place apart. Sizes in bytes.

    `kept` is the answer of the reader's question; `third_parties` is the folder of third parties that the file lies in.
    """

    name: str
    crc: int
    compressed_size: int
    size: int
    method: int
    kept: bool
    third_parties: str | None


Entry = tuple[Described, int]
"""A description, and the offset of the file's local header."""


class Entries:
    """Reads entries, and remembers their descriptions. One for all wheels of a survey.

    Args:
        keep: says of a name whether the reader wants to know of the file; every file without it.
    """

    def __init__(self, keep: Callable[[str], bool] | None = None) -> None:
        self._keep = keep
        self._known: dict[tuple[bytes, int, int, int, int, int], Described] = {}

    def read_from(self, data: bytes, position: int, what: str) -> tuple[list[Entry], int]:
        """Whole entries from `position` on, and where they end.

        Raises:
            WheelError: an unsafe or impossible entry; `what` names the wheel in the message.
        """
        found: list[Entry] = []
        known, unpack, size = self._known, _FIELDS.unpack_from, len(data)
        last = size - _FIXED_SIZE
        while position <= last and data[position : position + 4] == _SIGNATURE:
            flags, method, crc, compressed, unpacked, name_length, extra, comment, offset = unpack(data, position + 8)
            name_start = position + _FIXED_SIZE
            following = name_start + name_length + extra + comment
            if following > size:
                break
            key = (data[name_start : name_start + name_length], crc, compressed, unpacked, flags, method)
            described = known.get(key)
            if described is None:
                described = known[key] = self._describe(*key, what)
            if offset == _ZIP64:
                raise _too_large(described.name, what)
            found.append((described, offset))
            position = following
        return found, position

    def read_until(self, data: bytes, end: int, what: str) -> tuple[list[Entry], int]:
        """Entries that form an unbroken chain to `end`, and where the chain begins.

        A name or a comment may contain the signature, so a start counts only if its chain ends exactly at `end`.
        """
        data = data[:end]
        position = data.find(_SIGNATURE)
        while position != -1:
            try:
                found, stop = self.read_from(data, position, what)
            except WheelError:
                stop, found = -1, []
            if stop == end:
                return found, position
            position = data.find(_SIGNATURE, position + 1)
        return [], end

    def _describe(
        self, raw: bytes, crc: int, compressed: int, size: int, flags: int, method: int, what: str
    ) -> Described:
        try:
            name = raw.decode("utf-8" if flags & 0x800 else "ascii")
        except UnicodeDecodeError as error:
            raise WheelError(f"{what}: the zip directory holds a name that is not text: {raw!r}") from error
        if _ZIP64 in (compressed, size):
            raise _too_large(name, what)
        if flags & 0x1:
            raise WheelError(f"{what}: {name} is encrypted")
        if name[0:1] == "/" or "\\" in name or "\0" in name or (".." in name and ".." in name.split("/")):
            raise WheelError(f"{what}: refuses the wheel: it holds the unsafe file name {name!r}")
        folder, found, _ = name.partition(_THIRD_PARTIES)
        third_parties = folder + found if found else None
        return Described(name, crc, compressed, size, method, self._keep is None or self._keep(name), third_parties)


def _too_large(name: str, what: str) -> WheelError:
    return WheelError(f"{what}: {name} uses zip64, which no wheel of this size needs")
