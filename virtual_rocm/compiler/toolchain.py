# SPDX-License-Identifier: MIT
"""Finds the compiler: ROCm's own hipcc where it is installed, else clang, lld and libLLVM of one release."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from virtual_rocm.compiler.cache import cache_directory, content_key, write_whole
from virtual_rocm.compiler.errors import ToolMissing

__all__ = ["NEWEST", "OLDEST", "Toolchain", "find_rocm_hipcc", "find_toolchain"]

OLDEST = 17
NEWEST = 22
# What this project's tests run with goes first; then newer ones, which are closer to ROCm 7's compiler, then older ones.
_PREFERENCE = (19, 20, 21, 22, 18, 17)


@dataclass(frozen=True)
class Toolchain:
    """The programs and the library of one LLVM release, and where clang keeps its own headers."""

    release: int
    version: str
    clang: Path
    linker: Path
    library: Path
    resources: Path

    @property
    def wrapper_headers(self) -> Path:
        """Clang's headers that give the C++ standard library its device overloads."""
        return self.resources / "include" / "cuda_wrappers"

    def is_complete(self) -> bool:
        """Whether all of it is (still) there."""
        return all(path.exists() for path in (self.clang, self.linker, self.library, self.wrapper_headers))

    def dump(self) -> str:
        """As text."""
        return json.dumps({name: str(value) for name, value in vars(self).items()})

    @classmethod
    def load(cls, text: str) -> Toolchain:
        """From what :meth:`dump` gave."""
        values = json.loads(text)
        return cls(
            release=int(values["release"]),
            version=values["version"],
            clang=Path(values["clang"]),
            linker=Path(values["linker"]),
            library=Path(values["library"]),
            resources=Path(values["resources"]),
        )


def find_rocm_hipcc() -> Path | None:
    """ROCm's own hipcc, if it is installed.

    Looked for in ``VIRTUAL_ROCM_REAL_HIPCC`` and in ``/opt/rocm``, never in ``ROCM_PATH``: on the virtual GPU that is
    our own directory. ``VIRTUAL_ROCM_REAL_HIPCC=`` (empty) means: do not use it.
    """
    named = os.environ.get("VIRTUAL_ROCM_REAL_HIPCC")
    if named is not None:
        return Path(named) if named else None
    candidate = Path("/opt/rocm/bin/hipcc")
    return candidate if os.access(candidate, os.X_OK) and not _is_ours(candidate) else None


def _is_ours(program: Path) -> bool:
    """Whether a hipcc is a launcher of this package, which must not call itself."""
    try:
        with program.open("rb") as file:
            return b"virtual_rocm" in file.read(4096)
    except OSError:
        return False


@functools.lru_cache(maxsize=4)
def find_toolchain(oldest: int = OLDEST) -> Toolchain:
    """The LLVM release to compile with.

    ``VIRTUAL_ROCM_CLANG`` names a clang to use. Else the releases from `oldest` to ``NEWEST`` are looked for on PATH
    and where Debian and apt.llvm.org put them.

    Raises:
        ToolMissing: says which piece is missing and the package that has it.
    """
    named = os.environ.get("VIRTUAL_ROCM_CLANG")
    if named:
        clang = shutil.which(named)
        if clang is None:
            raise ToolMissing(f"VIRTUAL_ROCM_CLANG names {named!r}, which is not a program")
        toolchain = _toolchain_of(Path(clang))
        if toolchain.release < oldest:
            raise ToolMissing(f"VIRTUAL_ROCM_CLANG names clang {toolchain.version}; {oldest} or newer is needed")
        return toolchain
    incomplete: ToolMissing | None = None
    for clang_path in _candidates(oldest):
        try:
            toolchain = _toolchain_of(clang_path)
        except ToolMissing as missing:
            incomplete = incomplete or missing
        else:
            if toolchain.release >= oldest:
                return toolchain
    if incomplete is not None:
        raise incomplete
    example = _releases(oldest)[0]
    raise ToolMissing(
        f"no clang of release {oldest} to {NEWEST} found: install clang and lld, for example "
        f"`apt-get install clang-{example} lld-{example}`, or set VIRTUAL_ROCM_CLANG"
    )


def _releases(oldest: int) -> list[int]:
    return [release for release in _PREFERENCE if release >= oldest]


def _candidates(oldest: int) -> list[Path]:
    found = []
    for release in _releases(oldest):
        for name in (f"clang-{release}", f"/usr/lib/llvm-{release}/bin/clang"):
            program = shutil.which(name)
            if program:
                found.append(Path(program))
                break
    plain = shutil.which("clang")
    if plain:
        found.append(Path(plain))
    return found


def _toolchain_of(clang: Path) -> Toolchain:
    """What belongs to a clang; kept in the cache, as asking it takes longer than compiling a small kernel."""
    status = clang.resolve().stat()
    key = content_key(str(clang), str(clang.resolve()), str(status.st_size), str(status.st_mtime_ns))
    kept = cache_directory() / "toolchain" / f"{key}.json"
    try:
        toolchain = Toolchain.load(kept.read_text())
        if toolchain.is_complete():
            return toolchain
    except (OSError, ValueError, KeyError):
        pass
    toolchain = _examine(clang)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time only
        write_whole(kept, toolchain.dump().encode())
    return toolchain


def _examine(clang: Path) -> Toolchain:
    text = _output([str(clang), "--version"])
    match = re.search(r"clang version (\d+)(\S*)", text)
    if match is None:
        raise ToolMissing(f"{clang} is not clang: it says {text.splitlines()[:1]}")
    release = int(match.group(1))
    if release < OLDEST:
        raise ToolMissing(f"{clang} is release {release}; {OLDEST} or newer is needed, for example clang-19")
    if "amdgcn" not in _output([str(clang), "--print-targets"]):
        raise ToolMissing(f"{clang} was built without the AMDGPU target: install one that has it, for example clang-19")
    resources = Path(_output([str(clang), "--print-resource-dir"]).strip())
    if not (resources / "include" / "__clang_hip_runtime_wrapper.h").is_file():
        raise ToolMissing(f"clang's own headers are missing in {resources}: install libclang-common-{release}-dev")
    return Toolchain(
        release=release,
        version=match.group(1) + match.group(2),
        clang=clang,
        linker=_find_linker(clang, release),
        library=_find_library(clang, release),
        resources=resources,
    )


def _find_linker(clang: Path, release: int) -> Path:
    beside = clang.resolve().parent
    for name in (str(beside / "ld.lld"), f"ld.lld-{release}", f"/usr/lib/llvm-{release}/bin/ld.lld"):
        program = shutil.which(name)
        if program:
            return Path(program)
    raise ToolMissing(f"clang {release} is here, but not its linker ld.lld: install lld-{release}")


def _find_library(clang: Path, release: int) -> Path:
    """libLLVM: the one that clang itself is linked to, or one beside it."""
    try:
        linked = _output(["ldd", str(clang.resolve())])
    except (OSError, ToolMissing):
        linked = ""
    match = re.search(r"libLLVM[-.\w]*\.so[.\w]* => (\S+)", linked)
    if match and Path(match.group(1)).is_file():
        return Path(match.group(1)).resolve()
    beside = clang.resolve().parent.parent / "lib"
    for pattern in (f"libLLVM.so.{release}*", f"libLLVM-{release}.so*", "libLLVM.so"):
        for file in sorted(beside.glob(pattern)):
            return file.resolve()
    raise ToolMissing(
        f"clang {release} is here, but not the library libLLVM.so of that release: install libllvm{release}"
    )


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except subprocess.CalledProcessError as error:
        raise ToolMissing(f"`{' '.join(command)}` fails: {error.stderr.strip() or error.returncode}") from error
