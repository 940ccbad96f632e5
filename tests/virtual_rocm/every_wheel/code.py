# SPDX-License-Identifier: MIT
"""Every kernel made into machine code, and the code decoded: by us, and by llvm-objdump. Equal kernels once."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from tests.virtual_rocm.isa.machine import Disassembler
from virtual_rocm.compiler.cache import content_key, make_once, write_whole
from virtual_rocm.compiler.errors import CompilerError
from virtual_rocm.compiler.kernel_compiler import generate as make_kernel
from virtual_rocm.compiler.llvm import Module, load_llvm
from virtual_rocm.compiler.toolchain import find_toolchain
from virtual_rocm.compiler.tools import INLINE_ALL

from .front import ARCHITECTURE

_OPTIONS = (*INLINE_ALL, "-O2")  # what our hipcc makes of the wheels' flags for a launch

_BUNDLE = b"__CLANG_OFFLOAD_BUNDLE__"


@dataclass(frozen=True)
class CodeResult:
    """One code object: how many instructions it has, and what is wrong with them."""

    name: str
    instructions: int = 0
    different: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    error: str = ""

    @property
    def ok(self) -> bool:
        return not (self.different or self.refused or self.error)


def generate(kernels: list[tuple[Path, str]], folder: Path, tools: Disassembler) -> Iterator[CodeResult]:
    """Each kernel of its module, in order; code that is known from before, or from another module, is not made again."""
    decoder = content_key(tools.program.read_bytes())  # another decoder has to look again
    pool = ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn"))
    try:
        for future in [pool.submit(_kernel, module, kernel, folder, decoder, tools) for module, kernel in kernels]:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _kernel(module: Path, kernel: str, folder: Path, decoder: str, tools: Disassembler) -> CodeResult:
    with closing(_alone(module, kernel)) as alone:
        return _of_kernel(alone, kernel, folder, decoder, tools)


def _of_kernel(alone: Module, kernel: str, folder: Path, decoder: str, tools: Disassembler) -> CodeResult:
    key = content_key(find_toolchain().version, ARCHITECTURE, "\0".join(_OPTIONS), alone.bitcode())
    file = folder / "code" / f"{key}.hsaco"
    verdict = folder / "decoded" / decoder / f"{key}.json"
    if verdict.is_file():
        return _load(verdict)
    result = _make(alone, kernel, file) or _decode(kernel, file, tools)
    if not result.error:
        write_whole(verdict, json.dumps(asdict(result)).encode())
    return result


def _load(file: Path) -> CodeResult:
    kept = json.loads(file.read_text())
    return CodeResult(**{**kept, "different": tuple(kept["different"]), "refused": tuple(kept["refused"])})


def _alone(module: Path, kernel: str) -> Module:
    """A kernel and what it needs, without the lines of the source (those in assertions are data, and stay)."""
    parsed = Module.parse(load_llvm(find_toolchain().library), module.read_bytes(), "a kernel")
    parsed.share_variables(define=False)
    parsed.keep_only(kernel)
    parsed.strip()
    return parsed


def _make(alone: Module, kernel: str, file: Path) -> CodeResult | None:
    """The code object, if it is not there; a result only if it cannot be made."""

    def make() -> bytes:
        return make_kernel(find_toolchain(), alone, kernel, ARCHITECTURE, _OPTIONS)

    try:
        make_once(file, make)  # two modules may want the same at once
    except CompilerError as error:
        return CodeResult(kernel, error=str(error))
    return None


def _decode(name: str, file: Path, tools: Disassembler) -> CodeResult:
    comparison = tools.compare(file)
    return CodeResult(name, comparison.instructions, comparison.different[:20], comparison.refused)


def embedded(library: Path, folder: Path) -> list[Path]:
    """The gfx942 code objects that a library of a wheel brings along, as files."""
    image = library.read_bytes()
    found = []
    start = image.find(_BUNDLE)
    while start != -1:
        found += [code for code in _bundled(image, start) if code]
        start = image.find(_BUNDLE, start + 1)
    files = []
    for code in found:
        file = folder / "embedded" / f"{content_key(code)}.hsaco"
        if not file.is_file():
            write_whole(file, code)
        files.append(file)
    return files


def _bundled(image: bytes, start: int) -> Iterator[bytes]:
    """The code objects for the virtual GPU in the bundle at `start`; nothing where only the word stands in a text."""
    position = start + len(_BUNDLE)
    if position + 8 > len(image):
        return
    (count,) = struct.unpack_from("<Q", image, position)
    position += 8
    if count > 64:
        return
    for _ in range(count):
        offset, size, length = struct.unpack_from("<QQQ", image, position)
        triple = image[position + 24 : position + 24 + length].decode("ascii", "replace")
        position += 24 + length
        if ARCHITECTURE in triple:
            yield image[start + offset : start + offset + size]


def decode_embedded(file: Path, tools: Disassembler) -> CodeResult:
    """Decode a code object that a wheel brings along."""
    return _decode(file.stem, file, tools)
