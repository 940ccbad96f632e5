# SPDX-License-Identifier: MIT
"""What a shared object needs and gives: a reader for the dynamic part of 64-bit little-endian ELF files.

Only the dynamic section and what it points to are read, so a library of a gigabyte costs a few pages.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from .errors import ElfError

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NEEDED, _DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_RELA, _DT_RELASZ = 1, 4, 5, 6, 7, 8
_DT_SONAME, _DT_RPATH, _DT_RUNPATH, _DT_JMPREL, _DT_PLTRELSZ = 14, 15, 29, 23, 2
_DT_GNU_HASH, _DT_VERSYM, _DT_VERDEF, _DT_VERDEFNUM = 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD
_DT_VERNEED, _DT_VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_R_X86_64_JUMP_SLOT = 7
_STB_WEAK = 2


@dataclass(frozen=True)
class NeededSymbol:
    """A symbol that a library takes from another one."""

    name: str
    library: str | None  # the soname that the symbol's version names; None without a version
    version: str | None
    weak: bool
    called: bool  # only ever called through the PLT, so certainly a function


@dataclass(frozen=True)
class GivenSymbol:
    """A symbol that a library defines."""

    name: str
    version: str | None


@dataclass(frozen=True)
class SharedObject:
    """The dynamic part of one library."""

    path: Path
    soname: str | None
    needed: tuple[str, ...]
    search_first: tuple[str, ...]  # DT_RPATH without DT_RUNPATH: looked in before LD_LIBRARY_PATH
    search_last: tuple[str, ...]  # DT_RUNPATH
    needs: tuple[NeededSymbol, ...]
    gives: tuple[GivenSymbol, ...]


class _Image:
    """Bytes of the file by virtual address."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data = path, data
        self.segments: list[tuple[int, int, int]] = []  # address, size in the file, offset
        self.dynamic: tuple[int, int] | None = None
        if data[:6] != b"\x7fELF\x02\x01":
            raise ElfError(f"{path} is not a 64-bit little-endian ELF file")
        table, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
        for index in range(count):
            kind, _, offset, address, _, in_file, _, _ = struct.unpack_from("<IIQQQQQQ", data, table + index * size)
            if kind == _PT_LOAD:
                self.segments.append((address, in_file, offset))
            elif kind == _PT_DYNAMIC:
                self.dynamic = (offset, in_file)

    def offset(self, address: int) -> int:
        for begin, size, offset in self.segments:
            if begin <= address < begin + size:
                return address - begin + offset
        raise ElfError(f"{self.path}: address {address:#x} is in no segment")

    def text(self, offset: int) -> str:
        return self.data[offset : self.data.find(b"\0", offset)].decode()


def read_shared_object(path: Path, *, symbols: bool = True) -> SharedObject:
    """Read the dynamic part of `path`, without its symbols if they are not wanted; ElfError if it has none."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(_Image(path, data), symbols)
    except (OSError, ValueError, struct.error) as error:
        raise ElfError(f"{path} cannot be read as a shared object: {error}") from error


def _read(image: _Image, symbols: bool) -> SharedObject:
    if image.dynamic is None:
        raise ElfError(f"{image.path} has no dynamic section")
    begin, size = image.dynamic
    entries = list(struct.iter_unpack("<qQ", image.data[begin : begin + size // 16 * 16]))
    tags: dict[int, int] = {}
    for tag, value in entries:
        tags.setdefault(tag, value)
    strings = image.offset(tags[_DT_STRTAB]) if _DT_STRTAB in tags else 0

    def named(tag: int) -> list[str]:
        return [image.text(strings + value) for kind, value in entries if kind == tag]

    search_last = tuple(part for text in named(_DT_RUNPATH) for part in text.split(":"))
    search_first = () if search_last else tuple(part for text in named(_DT_RPATH) for part in text.split(":"))
    needs, gives = _symbols(image, tags, strings) if symbols else ((), ())
    return SharedObject(
        path=image.path,
        soname=next(iter(named(_DT_SONAME)), None),
        needed=tuple(named(_DT_NEEDED)),
        search_first=search_first,
        search_last=search_last,
        needs=needs,
        gives=gives,
    )


def _symbols(
    image: _Image, tags: dict[int, int], strings: int
) -> tuple[tuple[NeededSymbol, ...], tuple[GivenSymbol, ...]]:
    if _DT_SYMTAB not in tags:
        return (), ()
    table = image.offset(tags[_DT_SYMTAB])
    count = _symbol_count(image, tags)
    versions = _version_names(image, tags, strings)
    versym = image.offset(tags[_DT_VERSYM]) if _DT_VERSYM in tags else None
    called, taken = _relocated(image, tags)
    needs: list[NeededSymbol] = []
    gives: list[GivenSymbol] = []
    for index in range(1, count):
        name_offset, info, _, section = struct.unpack_from("<IBBH", image.data, table + index * 24)
        binding = info >> 4
        if binding == 0 or name_offset == 0:
            continue
        name = image.text(strings + name_offset)
        number = struct.unpack_from("<H", image.data, versym + index * 2)[0] & 0x7FFF if versym is not None else 0
        library, version = versions.get(number, (None, None))
        if section == 0:
            needs.append(
                NeededSymbol(name, library, version, binding == _STB_WEAK, index in called and index not in taken)
            )
        elif name != version:  # linkers define a symbol for each version, too
            gives.append(GivenSymbol(name, version))
    return tuple(needs), tuple(gives)


def _symbol_count(image: _Image, tags: dict[int, int]) -> int:
    """The dynamic symbol table has no size of its own: the hash tables know it."""
    if _DT_HASH in tags:
        count: int = struct.unpack_from("<II", image.data, image.offset(tags[_DT_HASH]))[1]
        return count
    if _DT_GNU_HASH not in tags:
        return 0
    start = image.offset(tags[_DT_GNU_HASH])
    buckets, first, bloom, _ = struct.unpack_from("<IIII", image.data, start)
    table = start + 16 + bloom * 8
    last = max(struct.unpack_from(f"<{buckets}I", image.data, table), default=0)
    if last < first:
        # Nothing is exported, so the table says nothing of the symbols before `first`, which are the needed ones.
        return int(first)
    chain = table + buckets * 4 + (last - first) * 4
    while not struct.unpack_from("<I", image.data, chain)[0] & 1:
        chain += 4
        last += 1
    return int(last) + 1


def _version_names(image: _Image, tags: dict[int, int], strings: int) -> dict[int, tuple[str | None, str | None]]:
    names: dict[int, tuple[str | None, str | None]] = {}
    if _DT_VERNEED in tags:
        at = image.offset(tags[_DT_VERNEED])
        for _ in range(tags.get(_DT_VERNEEDNUM, 0)):
            _, count, file, first, following = struct.unpack_from("<HHIII", image.data, at)
            part = at + first
            for _ in range(count):
                _, _, number, name, after = struct.unpack_from("<IHHII", image.data, part)
                names[number & 0x7FFF] = (image.text(strings + file), image.text(strings + name))
                part += after
            at += following
    if _DT_VERDEF in tags:
        at = image.offset(tags[_DT_VERDEF])
        for _ in range(tags.get(_DT_VERDEFNUM, 0)):
            _, flags, number, _, _, first, following = struct.unpack_from("<HHHHIII", image.data, at)
            name = struct.unpack_from("<I", image.data, at + first)[0]
            if not flags & 1:  # the first one is the library itself
                names[number & 0x7FFF] = (None, image.text(strings + name))
            at += following
    return names


def _relocated(image: _Image, tags: dict[int, int]) -> tuple[set[int], set[int]]:
    """Symbol numbers with a PLT slot, and those whose address is taken."""
    called: set[int] = set()
    taken: set[int] = set()
    for start_tag, size_tag in ((_DT_RELA, _DT_RELASZ), (_DT_JMPREL, _DT_PLTRELSZ)):
        if start_tag not in tags or not tags.get(size_tag):
            continue
        start = image.offset(tags[start_tag])
        for _, info, _ in struct.iter_unpack("<QQq", image.data[start : start + tags[size_tag]]):
            if symbol := info >> 32:
                (called if info & 0xFFFFFFFF == _R_X86_64_JUMP_SLOT else taken).add(symbol)
    return called, taken
