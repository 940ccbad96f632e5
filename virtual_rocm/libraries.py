# SPDX-License-Identifier: MIT
"""Which shared libraries a program's packages need, and which of them this machine does not have.

Nothing here knows a package by name. A package concerns us if one of its libraries needs the ROCm runtime; then every
library that the package needs must come from the package itself, from the system, from us (the runtime), or from a
stub that defines exactly the symbols that the package takes from it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .elf import NeededSymbol, SharedObject, read_shared_object
from .errors import ElfError

# The two libraries that we are, also under the hashed names that auditwheel gives ("libamdhip64-36fb0b13.so.7.2.70200").
_RUNTIME = {
    re.compile(r"^libamdhip64(-[0-9a-f]+)?\.so"): "libamdhip64.so.7",
    re.compile(r"^libhsa-runtime64(-[0-9a-f]+)?\.so"): "libhsa-runtime64.so.1",
}
# Libraries whose real ones look for hardware that a virtual machine room does not have: always ours, so that a program
# behaves the same on every machine. (With no InfiniBand, libibverbs reports an empty list of devices.)
_ALWAYS_STUBBED = re.compile(r"^libibverbs(-[0-9a-f]+)?\.so")

# The C and C++ libraries cannot be stubbed: a program that wants newer ones cannot run on this system.
_BASE = re.compile(r"^(lib(c|m|dl|rt|pthread|util|resolv|stdc\+\+|gcc_s)|ld-linux-x86-64)\.so")

# Frameworks have their own device libraries and are answered by a bridge instead.
DEFAULT_SKIPPED_PACKAGES = frozenset({"torch", "triton", "nvidia", "torchvision", "torchaudio", "jaxlib"})


@dataclass(frozen=True)
class StubPlan:
    """One library to generate."""

    soname: str
    symbols: tuple[NeededSymbol, ...]


@dataclass(frozen=True)
class LibraryPlan:
    """What has to lie in the folder that the loader searches first."""

    consumers: tuple[Path, ...]  # libraries that were looked at
    runtime_names: dict[str, str]  # a name that a program asks for → our library that answers
    stubs: tuple[StubPlan, ...]
    preload: tuple[str, ...]  # names that a bundled copy would take, unless they are loaded before it
    unresolved: tuple[str, ...] = field(default=())  # symbols that nothing gives and no stub can be told to give
    too_new: tuple[str, ...] = field(default=())  # versions of the C and C++ libraries that this system's do not have


def runtime_library(soname: str) -> str | None:
    """Our library that answers for `soname`, or None if it is not one of the ROCm runtime's."""
    return next((ours for pattern, ours in _RUNTIME.items() if pattern.match(soname)), None)


def shared_objects(root: Path) -> Iterator[Path]:
    """Every shared library below `root`, in a fixed order."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            if (name.endswith(".so") or ".so." in name) and not (path := Path(folder, name)).is_symlink():
                yield path


def find_consumers(
    site_packages: Iterable[Path], skipped: frozenset[str] = DEFAULT_SKIPPED_PACKAGES
) -> list[SharedObject]:
    """The libraries of every package that uses the ROCm runtime, those that auditwheel bundled included."""
    found: list[SharedObject] = []
    for root in site_packages:
        if not root.is_dir():
            continue
        for package in sorted(path for path in root.iterdir() if path.is_dir() and path.name not in skipped):
            if package.name.endswith(".libs"):
                continue
            libraries = list(shared_objects(package))
            if not any(_needs_runtime(path) for path in libraries):
                continue
            for bundle in sorted(root.glob("*.libs")):
                if _is_bundle_of(bundle, libraries):
                    libraries.extend(shared_objects(bundle))
            found.extend(_read_all(libraries))
    return found


def _needs_runtime(path: Path) -> bool:
    try:
        return any(runtime_library(name) for name in read_shared_object(path, symbols=False).needed)
    except ElfError:
        return False


def _is_bundle_of(bundle: Path, libraries: Sequence[Path]) -> bool:
    bundled = {path.name for path in shared_objects(bundle)}
    for path in libraries:
        try:
            if bundled.intersection(read_shared_object(path, symbols=False).needed):
                return True
        except ElfError:
            continue
    return False


def _read_all(paths: Iterable[Path]) -> Iterator[SharedObject]:
    for path in paths:
        if runtime_library(path.name):
            continue  # a bundled copy of what we replace: its needs are not the program's
        try:
            yield read_shared_object(path)
        except ElfError:
            continue


class SystemLibraries:
    """The libraries that the loader would find by itself."""

    def __init__(self, folders: Sequence[Path] | None = None) -> None:
        self._paths = _loader_cache() if folders is None else _folder_contents(folders)
        self._read: dict[str, SharedObject | None] = {}

    def find(self, soname: str) -> SharedObject | None:
        """The library, with its symbols; None if there is none that can be read."""
        if soname not in self._read:
            path = self._paths.get(soname)
            try:
                self._read[soname] = read_shared_object(path) if path else None
            except ElfError:
                self._read[soname] = None
        return self._read[soname]


def _folder_contents(folders: Sequence[Path]) -> dict[str, Path]:
    return {path.name: path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())}


def _loader_cache() -> dict[str, Path]:
    """soname → path, as `ldconfig -p` lists them; the usual folders where it is missing."""
    for command in ("ldconfig", "/sbin/ldconfig", "/usr/sbin/ldconfig"):
        try:
            text = subprocess.run([command, "-p"], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        found: dict[str, Path] = {}
        for match in re.finditer(r"^\s+(\S+) \(libc6,x86-64.*\) => (\S+)$", text, re.MULTILINE):
            found.setdefault(match[1], Path(match[2]))
        if found:
            return found
    usual = ("/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/local/lib")
    return _folder_contents([Path(folder) for folder in usual])


def plan_libraries(consumers: Sequence[SharedObject], system: SystemLibraries | None = None) -> LibraryPlan:
    """Decide, for every library that `consumers` need, who gives it."""
    system = system or SystemLibraries()
    in_package = {name for library in consumers for name in (library.path.name, library.soname) if name}
    runtime_names: dict[str, str] = {}
    missing: list[str] = []
    preload: set[str] = set()
    given: set[str] = {symbol.name for library in consumers for symbol in library.gives}

    for library in consumers:
        for soname in library.needed:
            if ours := runtime_library(soname):
                runtime_names[soname] = ours
            elif _ALWAYS_STUBBED.match(soname):
                if soname not in missing:
                    missing.append(soname)
            elif soname in in_package:
                continue
            elif _BASE.match(soname):
                if found := system.find(soname):
                    given.update(symbol.name for symbol in found.gives)
                continue
            elif (found := system.find(soname)) and _has_versions(found, soname, consumers):
                given.update(symbol.name for symbol in found.gives)
                continue
            else:
                if soname not in missing:
                    missing.append(soname)
                continue
            # DT_RPATH is searched before LD_LIBRARY_PATH, so a bundled copy would win.
            if library.search_first:
                preload.add(soname)

    versioned: dict[str, dict[tuple[str, str | None], NeededSymbol]] = {soname: {} for soname in missing}
    loose: dict[str, NeededSymbol] = {}
    for library in consumers:
        for symbol in library.needs:
            if symbol.library in versioned:
                versioned[symbol.library][symbol.name, symbol.version] = symbol
            elif symbol.library is None and not symbol.weak and symbol.name not in given and not _python_gives(symbol):
                known = loose.get(symbol.name)
                if known is None or (known.called and not symbol.called):
                    loose[symbol.name] = symbol
    # A symbol without a version does not say whose it is, and the loader does not care: one library holds them all.
    unversioned = [soname for soname in missing if not versioned[soname]]
    stubs = []
    for soname in missing:
        symbols = list(versioned[soname].values())
        if unversioned and soname == unversioned[0]:
            symbols = [loose[name] for name in sorted(loose)]
        stubs.append(StubPlan(soname, tuple(symbols)))
    return LibraryPlan(
        consumers=tuple(library.path for library in consumers),
        runtime_names=runtime_names,
        stubs=tuple(stubs),
        preload=tuple(sorted(preload)),
        unresolved=() if unversioned else tuple(sorted(loose)),
        too_new=_too_new(consumers, system),
    )


def _too_new(consumers: Sequence[SharedObject], system: SystemLibraries) -> tuple[str, ...]:
    wanted: set[tuple[str, str]] = set()
    for library in consumers:
        for symbol in library.needs:
            if symbol.library and symbol.version and _BASE.match(symbol.library) and not symbol.weak:
                wanted.add((symbol.library, symbol.version))
    lacking = []
    for soname, version in sorted(wanted):
        found = system.find(soname)
        if found and version not in {symbol.version for symbol in found.gives}:
            lacking.append(f"{version} of {soname}")
    return tuple(lacking)


def _has_versions(found: SharedObject, soname: str, consumers: Sequence[SharedObject]) -> bool:
    """Whether the system's library is new enough: it defines every version that is asked for."""
    wanted = {symbol.version for library in consumers for symbol in library.needs if symbol.library == soname}
    return wanted <= {symbol.version for symbol in found.gives}


def _python_gives(symbol: NeededSymbol) -> bool:
    return symbol.name.startswith(("Py", "_Py"))
