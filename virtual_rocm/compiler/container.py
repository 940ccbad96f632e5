# SPDX-License-Identifier: MIT
"""The kernel container: what our hipcc writes in place of a code object.

It holds the module before optimisation and the index of its kernels, so that a kernel can be compiled when it is first
launched. The C++ side reads it with ``native/abi/kernel_container.hpp``, where the layout is described.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from virtual_rocm.compiler.errors import ContainerError

__all__ = ["MAGIC", "Container"]

MAGIC = b"VROCMLZ1"
_HEADER = struct.Struct("<8sII")
_SECTION = struct.Struct("<16sQQ")
_ALIGNMENT = 16


@dataclass(frozen=True)
class Container:
    """One compiled source file, kernel by kernel on demand.

    Attributes:
        architecture: what it is for, for example ``gfx942``.
        key: a name of everything that decides the code: module, architecture, options, compiler.
        cache: the directory in which compiled kernels are kept.
        options: the options of code generation, for example ``-O2``.
        command: the program and first arguments that compile a kernel of a container.
        kernels: for each kernel the name of its file below ``cache``.
        data: a code object with the module's variables; empty when it has none.
        bitcode: the module, with its variables as external symbols.
    """

    architecture: str
    key: str
    cache: str
    options: tuple[str, ...]
    command: tuple[str, ...]
    kernels: dict[str, str]
    data: bytes
    bitcode: bytes

    def encode(self) -> bytes:
        """The file's contents."""
        properties = {
            "architecture": self.architecture,
            "key": self.key,
            "cache": self.cache,
        }
        sections = {
            "properties": "".join(f"{name}={value}\n" for name, value in properties.items()).encode(),
            "options": _join(self.options),
            "command": _join(self.command),
            "kernels": "".join(f"{name}\t{file}\n" for name, file in self.kernels.items()).encode(),
            "data": self.data,
            "bitcode": self.bitcode,
        }
        offset = _HEADER.size + _SECTION.size * len(sections)
        table = b""
        body = b""
        for name, contents in sections.items():
            padding = -(offset + len(body)) % _ALIGNMENT
            body += b"\0" * padding
            table += _SECTION.pack(name.encode(), offset + len(body), len(contents))
            body += contents
        return _HEADER.pack(MAGIC, len(sections), 0) + table + body

    @classmethod
    def decode(cls, contents: bytes, name: str) -> Container:
        """Reads a file's contents.

        Raises:
            ContainerError: it is something else, or damaged.
        """
        if len(contents) < _HEADER.size or contents[: len(MAGIC)] != MAGIC:
            raise ContainerError(f"{name} is not a kernel container: compile it again with this hipcc")
        _, count, _ = _HEADER.unpack_from(contents)
        sections: dict[str, bytes] = {}
        try:
            for number in range(count):
                raw, offset, size = _SECTION.unpack_from(contents, _HEADER.size + number * _SECTION.size)
                if offset + size > len(contents):
                    raise ContainerError(f"{name} is cut off: compile it again")
                sections[raw.rstrip(b"\0").decode()] = contents[offset : offset + size]
            properties = dict(line.split("=", 1) for line in sections["properties"].decode().splitlines())
            return cls(
                architecture=properties["architecture"],
                key=properties["key"],
                cache=properties["cache"],
                options=_split(sections["options"]),
                command=_split(sections["command"]),
                kernels=dict(line.split("\t", 1) for line in sections["kernels"].decode().splitlines()),
                data=sections["data"],
                bitcode=sections["bitcode"],
            )
        except (KeyError, ValueError, struct.error) as error:
            raise ContainerError(f"{name} is a damaged kernel container: compile it again") from error

    @classmethod
    def read(cls, path: Path) -> Container:
        """Reads a file."""
        try:
            return cls.decode(path.read_bytes(), str(path))
        except OSError as error:
            raise ContainerError(f"{path} cannot be read: {error.strerror}") from error


def _join(items: tuple[str, ...]) -> bytes:
    return b"".join(item.encode() + b"\0" for item in items)


def _split(data: bytes) -> tuple[str, ...]:
    return tuple(item.decode() for item in data.split(b"\0")[:-1])
