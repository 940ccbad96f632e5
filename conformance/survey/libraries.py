# SPDX-License-Identifier: MIT
"""Which shared libraries a library needs, from the first kilobytes of its compressed bytes.

An exact answer stands in the dynamic section, which lies behind all code: megabytes for each wheel. The names that it
refers to stand in the dynamic string table, which linkers place before the code and whose last kilobyte holds the names
of the needed libraries together. So the reader unpacks from the front until it has seen that cluster end. A string there
that looks like a soname can only be a needed library or the library's own name.

Libraries that `patchelf` rewrote (up to June 2026, when the wheels carried ROCm along) have the table at their end, and
Python bindings have 200 KB of symbols before it. Those are costly: see `conformance.survey.soname_plan` for when they are read.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable

__all__ = ["SonameScanner", "exact_sonames", "scan_sonames"]

_SONAME = re.compile(rb"\0((?:lib|ld-)[A-Za-z0-9_+.\-]*\.so(?:\.[A-Za-z0-9_.\-]+)?)(?=\0)")
_END_OF_TABLE = re.compile(rb"[^\x20-\x7e\0]")
_LONGEST_STRING = 64 * 1024


class SonameScanner:
    """Takes the compressed bytes of an ELF library piece by piece, and says when the sonames are complete."""

    def __init__(self, own_name: str, *, deflated: bool) -> None:
        self._own_name = own_name.encode()
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if deflated else None
        self._window = b""
        self._found: list[bytes] = []
        self.complete = False

    def feed(self, data: bytes) -> bool:
        """Add compressed bytes. True once all needed libraries are known."""
        if self.complete:
            return True
        plain = self._inflater.decompress(data) if self._inflater is not None else data
        window = self._window + plain
        position = 0
        for match in _SONAME.finditer(window) if b".so" in window else ():  # a plain search is ten times as fast
            if self._found and _END_OF_TABLE.search(window, position, match.start()):
                break  # the table ended before: a string of the program that happens to name a library
            if match.group(1) not in self._found:
                self._found.append(match.group(1))
            position = match.end()
        if self._found:
            self.complete = _END_OF_TABLE.search(window, position) is not None
            self._window = window[position:]
        else:
            # Keep the unfinished last string, so that a name cut by the piece's end is found whole.
            self._window = window[max(window.rfind(b"\0"), len(window) - _LONGEST_STRING, 0) :]
        return self.complete

    def finish(self) -> tuple[str, ...] | None:
        """The needed libraries, sorted; call after `feed` returned True.

        None if the cluster cannot be the list of needed libraries: every library of a wheel needs the C library.
        """
        names = sorted(name.decode() for name in self._found if name != self._own_name)
        return tuple(names) if any(name.startswith("libc.so") for name in names) else None


def scan_sonames(own_name: str, pieces: Iterable[bytes], *, deflated: bool) -> tuple[str, ...] | None:
    """Feed pieces until the answer is there; None if they end before, or hold no such cluster."""
    scanner = SonameScanner(own_name, deflated=deflated)
    for piece in pieces:
        if scanner.feed(piece):
            return scanner.finish()
    return None


def exact_sonames(content: bytes) -> tuple[str, ...] | None:
    """The needed libraries of a whole library, from its dynamic section, sorted; None if it is no ELF file."""
    # Imported here: most surveys never need it, and it takes longer to import than a cached survey takes.
    from elftools.common.exceptions import ELFError
    from elftools.elf.dynamic import DynamicSegment
    from elftools.elf.elffile import ELFFile

    try:
        for segment in ELFFile(io.BytesIO(content)).iter_segments():
            if isinstance(segment, DynamicSegment):
                return tuple(sorted(str(tag.needed) for tag in segment.iter_tags("DT_NEEDED")))  # type: ignore[attr-defined]
    except ELFError:
        return None
    return ()
