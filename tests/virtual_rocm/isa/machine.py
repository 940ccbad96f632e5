# SPDX-License-Identifier: MIT
"""The programs under test and llvm's tools, as Python objects."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy
import numpy.typing
import pytest

Words = numpy.typing.NDArray[numpy.uint32]

LANES = 64
VCC, M0, EXEC, SCC, MODE = 106, 124, 126, 253, 256
ACCUMULATOR = 256  # row of AGPR 0
ALL = (1 << 64) - 1
# Instructions of the engine, not of the ALUs: everything else that real code contains must be executable.
ENGINE = re.compile(
    r"s_(load|store|buffer|scratch|atomic|dcache|mem|branch|cbranch|endpgm|waitcnt|nop|barrier|sleep|trap|getpc|setpc"
    r"|swappc|call|getreg|setreg|sendmsg|sethalt|setprio|icache|wakeup|ttracedata)|(ds|flat|global|scratch|buffer)_"
)
ASSEMBLE = ("--triple=amdgcn-amd-amdhsa", "--filetype=obj")


def find_tool(name: str, processor: str = "gfx942") -> Path:
    """One of llvm's tools, of a version that knows the processor."""
    for release in (19, 20, 18, 17, 0) if processor == "gfx942" else (22, 21, 20):
        path = shutil.which(f"{name}-{release}" if release else name)
        if path:
            return Path(path)
    needed = "17 on this machine: apt-get install llvm-19" if processor == "gfx942" else "20 on this machine"
    pytest.skip(f"no {name} >= {needed}")


def processor_of(path: Path) -> str:
    """What a code object is for."""
    (flags,) = struct.unpack_from("<I", path.read_bytes(), 48)
    return {0x4C: "gfx942", 0x4F: "gfx950"}[flags & 0xFF]


def words_of(values: object) -> Words:
    """64 lanes of 32-bit words out of a scalar or an array of any 32-bit type."""
    array = numpy.asarray(values)
    if array.dtype.kind in "iub" and array.dtype.itemsize != 4:
        array = (array.astype(numpy.uint64) & numpy.uint64(0xFFFFFFFF)).astype(numpy.uint32)
    if array.dtype == numpy.float64:
        raise TypeError("give float32, or the two halves of a double")
    return numpy.broadcast_to(array, (LANES,)).copy().view(numpy.uint32)


def halves_of(values: object, dtype: str) -> tuple[Words, Words]:
    """Low and high words of 64 lanes of 64-bit values."""
    wide = numpy.broadcast_to(numpy.asarray(values, dtype=dtype), (LANES,)).copy().view(numpy.uint64)
    return (wide & 0xFFFFFFFF).astype(numpy.uint32), (wide >> numpy.uint64(32)).astype(numpy.uint32)


@dataclass(frozen=True)
class Registers:
    """What was read back after execution."""

    scalars: Mapping[int, int]
    vectors: Mapping[int, Words]

    def v(self, row: int) -> Words:
        return self.vectors[row]

    def s(self, number: int) -> int:
        return self.scalars[number]

    def pair(self, number: int) -> int:
        return self.scalars[number] | self.scalars[number + 1] << 32

    def wide(self, row: int) -> numpy.typing.NDArray[numpy.uint64]:
        high = self.vectors[row + 1].astype(numpy.uint64) << numpy.uint64(32)
        return self.vectors[row].astype(numpy.uint64) | high

    @property
    def vcc(self) -> int:
        return self.pair(VCC)

    @property
    def exec(self) -> int:
        return self.pair(EXEC)

    @property
    def scc(self) -> int:
        return self.scalars[SCC]


class Machine:
    """Executes assembly on one wave."""

    def __init__(self, program: Path, assembler: Path, *arguments: str) -> None:
        self._command = [program, *arguments]
        self._assembler = assembler
        self._assembled: dict[str, list[int]] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Machine:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def assemble(self, text: str) -> list[int]:
        """The words of assembly text."""
        if text not in self._assembled:
            self._assembled[text] = assemble(self._assembler, text)
        return self._assembled[text]

    def run(
        self,
        code: str | Sequence[int],
        *,
        v: Mapping[int, object] | None = None,
        s: Mapping[int, int] | None = None,
        exec: int = ALL,
        vcc: int | None = None,
        read_v: Sequence[int] = (0, 1),
        read_s: Sequence[int] = (),
    ) -> Registers:
        """Executes `code` (assembly or words) from the state given and reads registers back."""
        words = self.assemble(code) if isinstance(code, str) else list(code)
        scalars = {EXEC: exec & 0xFFFFFFFF, EXEC + 1: exec >> 32}
        if vcc is not None:
            scalars |= {VCC: vcc & 0xFFFFFFFF, VCC + 1: vcc >> 32}
        scalars |= {number: value & 0xFFFFFFFF for number, value in (s or {}).items()}
        wanted = [*read_s, VCC, VCC + 1, EXEC, EXEC + 1, SCC, MODE, M0]
        request = [len(words), *words, len(scalars), *(part for item in scalars.items() for part in item)]
        parts = [struct.pack(f"<{len(request)}I", *request), struct.pack("<I", len(v or {}))]
        for row, values in (v or {}).items():
            parts += [struct.pack("<I", row), words_of(values).tobytes()]
        parts.append(struct.pack(f"<{2 + len(wanted) + len(read_v)}I", len(wanted), *wanted, len(read_v), *read_v))
        return self._exchange(b"".join(parts), words, wanted, read_v)

    def _exchange(self, request: bytes, words: Sequence[int], wanted: Sequence[int], rows: Sequence[int]) -> Registers:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(request)
        process.stdin.flush()
        failure = int.from_bytes(process.stdout.read(4), "little")
        if failure:
            raise ValueError(f"cannot execute 0x{words[failure - 1]:08x}, word {failure - 1}")
        values = struct.unpack(f"<{len(wanted)}I", process.stdout.read(4 * len(wanted)))
        vectors = {row: numpy.frombuffer(process.stdout.read(4 * LANES), numpy.uint32) for row in rows}
        return Registers(dict(zip(wanted, values, strict=True)), vectors)


def assemble(assembler: Path, text: str, check: bool = True, processor: str = "gfx942") -> list[int]:
    """Assembles. The text of one batch gives the words of all of it."""
    with tempfile.NamedTemporaryFile(suffix=".o") as output:
        command = [str(assembler), *ASSEMBLE, f"--mcpu={processor}", "-o", output.name]
        subprocess.run(command, input=text.encode(), check=check, stderr=None if check else subprocess.DEVNULL)
        return text_section(Path(output.name).read_bytes())


def text_section(image: bytes) -> list[int]:
    """The words of the .text section of a 64-bit ELF file."""
    (section_headers,) = struct.unpack_from("<Q", image, 40)
    entry_size, count, names_index = struct.unpack_from("<HHH", image, 58)
    headers = [struct.unpack_from("<IIQQQQ", image, section_headers + index * entry_size) for index in range(count)]
    names = headers[names_index][4]
    for name, _, _, _, offset, size in headers:
        if image[names + name :].startswith(b".text\0"):
            return list(struct.unpack_from(f"<{size // 4}I", image, offset))
    return []


@dataclass(frozen=True)
class Line:
    """One instruction as somebody prints it."""

    words: int
    text: str
    alu: bool = False


@dataclass(frozen=True)
class Comparison:
    """Our decoder beside llvm's on one code object."""

    instructions: int
    different: tuple[str, ...]
    refused: tuple[str, ...]  # names of instructions that nothing here executes


def _signed(match: re.Match[str]) -> str:
    value = int(match.group(1), 16)
    return str(value - (value >> 31 << 32))


class Disassembler:
    """Decodes with our decoder, and with llvm's."""

    def __init__(self, program: Path, assembler: Path, objdump: Path) -> None:
        self.program = program
        self.assembler = assembler
        self.objdump = objdump

    def table(self) -> list[list[str]]:
        """The opcode table's rows."""
        out = subprocess.run([self.program, "--table"], capture_output=True, check=True, text=True).stdout
        return [line.split() for line in out.splitlines()]

    def ours(self, slots: Sequence[tuple[int, int]], processor: str = "gfx942") -> list[Line]:
        """Our text of instructions, each in a slot of two words."""
        data = b"".join(struct.pack("<II", *slot) for slot in slots)
        out = subprocess.run([self.program, "--fixed", processor], input=data, capture_output=True, check=True).stdout
        lines = []
        for line in out.decode().splitlines():
            length, alu, text = line.split(" ", 2)
            lines.append(Line(int(length), text.strip(), alu == "alu"))
        return lines

    def theirs(self, path: Path) -> list[tuple[Line, tuple[int, int]]]:
        """llvm-objdump's text of a code object, and the words of each instruction."""
        processor = processor_of(path)
        objdump = self.objdump if processor == "gfx942" else find_tool("llvm-objdump", processor)
        command = [objdump, "-d", f"--mcpu={processor}", path]
        out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        found = []
        for line in out.splitlines():
            match = re.match(r"\t(\S.*?)\s*// [0-9A-F]+: ((?:[0-9A-F]{8} ?)+)", line)
            if match:
                words = [int(word, 16) for word in match.group(2).split()]
                second = words[1] if len(words) > 1 else 0xBF800000
                # LLVM 22 marks literals that could have been inline constants; here is the text of LLVM 19.
                told = re.sub(r"lit\(0x([0-9a-f]{1,8})\)", _signed, match.group(1).strip())
                found.append((Line(len(words), told), (words[0], second)))
        return found

    def compare(self, path: Path) -> Comparison:
        """Decode a code object twice."""
        expected = self.theirs(path)
        actual = self.ours([slot for _, slot in expected], processor_of(path))
        return Comparison(
            instructions=len(expected),
            different=tuple(
                f"{line.words} {line.text!r}, ours {ours.words} {ours.text!r}"
                for (line, _), ours in zip(expected, actual, strict=True)
                if (line.words, line.text) != (ours.words, ours.text)
            ),
            refused=tuple(
                sorted({ours.text.split()[0] for ours in actual if not ours.alu and not ENGINE.match(ours.text)})
            ),
        )
