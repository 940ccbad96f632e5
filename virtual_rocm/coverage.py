# SPDX-License-Identifier: MIT
"""Which source lines of kernels were executed: reads what the engine wrote to the folder of VIRTUAL_ROCM_COVERAGE.

The engine keeps one file for each code object, into which all processes of all runs wrote. Here they are put together
over folders and code objects: a line that several kernels share was executed if one of them executed it.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .environment import RUNTIME_LIBRARIES, runtime_folder
from .errors import CoverageError

_HEADER = struct.Struct("<8sQ240s")
_MAGIC = b"VROCMCV1"
# Parts of a name whose brackets are no list of arguments.
_KEPT_WHOLE = re.compile(r"\(anonymous namespace\)|operator *(\(\)|\[\]|[-<>=+*/%^&|~!,]+|[a-z]+)?")


@dataclass(frozen=True)
class FunctionCoverage:
    """One function of a source file, all instantiations of a template taken together."""

    name: str  # without template arguments
    line: int  # the first that has code
    instances: int  # how many there are in the kernels that were loaded
    executed: int  # how many of them executed an instruction


@dataclass(frozen=True)
class FileCoverage:
    """One source file: its lines that have code in a kernel that was loaded."""

    path: str
    lines: Mapping[int, bool]  # line → whether it was executed, ascending
    functions: tuple[FunctionCoverage, ...]  # by line

    @property
    def executed(self) -> int:
        """How many lines were executed."""
        return sum(self.lines.values())

    @property
    def never_executed(self) -> tuple[FunctionCoverage, ...]:
        """The functions of which no instantiation was executed."""
        return tuple(function for function in self.functions if not function.executed)

    @property
    def unexecuted_ranges(self) -> tuple[tuple[int, int], ...]:
        """First and last line of each run of lines with code of which none was executed."""
        groups = itertools.groupby(self.lines.items(), key=lambda item: item[1])
        runs = [[line for line, _ in items] for executed, items in groups if not executed]
        return tuple((run[0], run[-1]) for run in runs)


@dataclass(frozen=True)
class KernelCoverage:
    """One kernel: its instructions over all code objects in which it is."""

    name: str
    instructions: int  # 0: it was never compiled, because it was never launched
    executed: int


@dataclass(frozen=True)
class Coverage:
    """What a set of folders says."""

    files: tuple[FileCoverage, ...]  # by path
    kernels: tuple[KernelCoverage, ...]  # by name
    without_lines: int  # executed instructions that no source line is known for

    def below(self, prefix: str) -> Coverage:
        """The same with the source files below `prefix` only, wherever that lies; their paths begin with it."""
        chosen = []
        for file in self.files:
            start = 0 if file.path.startswith(prefix) else file.path.find(f"/{prefix}") + 1
            if start or file.path.startswith(prefix):
                chosen.append(replace(file, path=file.path[start:]))
        return Coverage(tuple(chosen), self.kernels, self.without_lines)

    def as_json(self) -> dict[str, Any]:
        """Values for json.dump."""
        return {
            "files": [
                {
                    "path": file.path,
                    "lines": len(file.lines),
                    "executed": file.executed,
                    "executed_lines": [line for line, executed in file.lines.items() if executed],
                    "unexecuted_lines": [line for line, executed in file.lines.items() if not executed],
                    "unexecuted_ranges": [list(pair) for pair in file.unexecuted_ranges],
                    "functions": [asdict(function) for function in file.functions],
                }
                for file in self.files
            ],
            "kernels": [asdict(kernel) for kernel in self.kernels],
            "executed_instructions_without_line": self.without_lines,
        }


@dataclass(frozen=True)
class _CodeObject:
    label: str
    image: bytes
    executed: bytes  # 0 or 1 for each instruction


def read_coverage(folders: Sequence[Path]) -> Coverage:
    """Put together what was executed in all runs that wrote to these folders.

    Raises CoverageError if a folder has no coverage, or a file in it is damaged, SetupError if the native libraries are
    not built.
    """
    merged: dict[str, _CodeObject] = {}
    names: set[str] = set()
    for folder in folders:
        found = list(_read_folder(folder))
        if not found:
            raise CoverageError(
                f"{folder}: no kernel was loaded with coverage on; run the program with "
                f"`python -m virtual_rocm run --coverage {folder} -- …` first"
            )
        for name, code in found:
            known = merged.get(name)
            executed = code.executed if known is None else _either(known.executed, code.executed, folder, name)
            merged[name] = _CodeObject(code.label, code.image, executed)
        for listing in sorted(folder.glob("*.kernels")):
            names.update(listing.read_text().splitlines()[1:])
    return _put_together(merged.values(), names)


def _read_folder(folder: Path) -> Iterator[tuple[str, _CodeObject]]:
    for path in sorted(folder.glob("*.executed")):
        contents = path.read_bytes()
        image = path.with_suffix(".code")
        if len(contents) < _HEADER.size or not contents.startswith(_MAGIC) or not image.exists():
            raise CoverageError(f"{path}: not coverage of a code object, or not all of it; remove it and run again")
        _, count, label = _HEADER.unpack_from(contents)
        if len(contents) != _HEADER.size + count:
            raise CoverageError(f"{path}: {len(contents) - _HEADER.size} instructions where it says {count}; remove it")
        yield path.stem, _CodeObject(label.rstrip(b"\0").decode(), image.read_bytes(), contents[_HEADER.size :])


def _either(first: bytes, second: bytes, folder: Path, name: str) -> bytes:
    if len(first) != len(second):
        raise CoverageError(f"{folder}/{name}.executed has another length than in an earlier folder: other engines?")
    return (int.from_bytes(first, "little") | int.from_bytes(second, "little")).to_bytes(len(first), "little")


def _put_together(code_objects: Iterable[_CodeObject], names: set[str]) -> Coverage:
    lines: dict[str, dict[int, bool]] = {}
    functions: dict[tuple[str, str], list[tuple[str, int, bool]]] = {}
    kernels: dict[str, tuple[int, int]] = dict.fromkeys(names, (0, 0))
    without_lines = 0
    describe = _native()
    for code in code_objects:
        for kind, *fields in describe(code):
            counted, executed = int(fields[-2]), int(fields[-1])
            if kind == "kernel":
                known = kernels.get(fields[0], (0, 0))
                kernels[fields[0]] = (known[0] + counted, known[1] + executed)
            elif kind in ("line", "call"):
                of_file = lines.setdefault(fields[0], {})
                number = int(fields[1])
                of_file[number] = of_file.get(number, False) or executed > 0
            elif kind == "function":
                if fields[2] == "0":
                    continue  # only code that the compiler made up: the file is not the function's
                key = (fields[1], without_template_arguments(fields[0]))
                functions.setdefault(key, []).append((fields[0], int(fields[2]), executed > 0))
            else:
                without_lines += executed
    return Coverage(
        files=tuple(
            FileCoverage(
                path=path,
                lines=dict(sorted(of_file.items())),
                functions=tuple(
                    sorted(
                        (_function(name, instances) for (file, name), instances in functions.items() if file == path),
                        key=lambda function: (function.line, function.name),
                    )
                ),
            )
            for path, of_file in sorted(lines.items())
        ),
        kernels=tuple(KernelCoverage(name, *counts) for name, counts in sorted(kernels.items())),
        without_lines=without_lines,
    )


def _function(name: str, instances: Sequence[tuple[str, int, bool]]) -> FunctionCoverage:
    """The same instantiation can be in several code objects."""
    executed = {full for full, _, was_executed in instances if was_executed}
    return FunctionCoverage(
        name=name,
        line=min((line for _, line, _ in instances if line), default=0),
        instances=len({full for full, _, _ in instances}),
        executed=len(executed),
    )


def without_template_arguments(name: str) -> str:
    """A demangled name without what stands in angle brackets and parentheses.

    >>> without_template_arguments("void library::copy<float, (Kind)1>(float*, unsigned)")
    'library::copy'
    """
    name = name.removesuffix(" const")
    kept = ""
    depth = 0
    position = 0
    while position < len(name):
        rest = name[position:]
        whole = _KEPT_WHOLE.match(rest) if depth == 0 else None
        if whole:
            kept += whole[0]
        elif rest[0] in "<(":
            depth += 1
        elif rest[0] in ">)":
            depth -= 1
        elif depth == 0 and rest[0] != " ":
            kept += rest[0]
        elif depth == 0:
            kept = ""  # it was the type of what is returned
        position += len(whole[0]) if whole else 1
    return kept


class _Describe:
    """The engine's reader of debug information."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._callback = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
        self._function = library.virtual_rocm_describe_coverage
        self._function.restype = ctypes.c_int
        self._function.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, self._callback
        ]  # fmt: skip

    def __call__(self, code: _CodeObject) -> list[list[str]]:
        """Its lines, each split into fields."""
        lines: list[str] = []
        failed = self._function(
            code.image,
            len(code.image),
            code.executed,
            len(code.executed),
            self._callback(lambda line: lines.append(line.decode(errors="replace"))),
        )
        if failed:
            raise CoverageError(f"{code.label}: {lines[-1]}")
        return [line.rstrip("\n").split("\t") for line in lines]


def _native() -> _Describe:
    path = runtime_folder() / RUNTIME_LIBRARIES[0]
    try:
        return _Describe(ctypes.CDLL(str(path)))
    except (OSError, AttributeError) as error:
        raise CoverageError(f"{path} cannot tell source lines ({error}): build the native part again") from error


def in_words(coverage: Coverage) -> str:
    """The report for people."""
    out: list[str] = []
    for file in coverage.files:
        share = 100 * file.executed // len(file.lines)
        out.append(f"{file.path}: {file.executed} of {len(file.lines)} lines with code executed ({share} %)")
        if ranges := file.unexecuted_ranges:
            out.append(f"  not executed: {ranges_in_words(ranges)}")
        for function in file.never_executed:
            copies = f", {function.instances} instantiations" if function.instances > 1 else ""
            out.append(f"  never executed: {function.name} (line {function.line}{copies})")
    launched = [kernel for kernel in coverage.kernels if kernel.executed]
    out.append(f"{len(launched)} of {len(coverage.kernels)} kernels of the loaded modules were executed")
    out.extend(f"  {kernel.name}: {kernel.executed} of {kernel.instructions} instructions" for kernel in launched)
    if coverage.without_lines:
        out.append(f"{coverage.without_lines} executed instructions have no source line (no -gline-tables-only)")
    return "\n".join(out) + "\n"


def ranges_in_words(ranges: Iterable[tuple[int, int]]) -> str:
    """Line numbers as people write them: "3, 7–9" with a plain hyphen."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def coverage_command(folders: Sequence[Path], *, source: str | None, as_json: bool) -> str:
    """What `python -m virtual_rocm coverage` prints."""
    coverage = read_coverage(folders)
    if source is not None:
        coverage = coverage.below(source)
        if not coverage.files:
            raise CoverageError(f"no source file below {source} has code in the kernels that were loaded")
    return json.dumps(coverage.as_json(), indent=1) + "\n" if as_json else in_words(coverage)
