# SPDX-License-Identifier: MIT
"""What the libraries of every wheel take from the ROCm runtime is there, under the versions that they ask for."""

from __future__ import annotations

import functools
from pathlib import Path

from virtual_rocm.elf import read_shared_object
from virtual_rocm.environment import runtime_folder
from virtual_rocm.errors import ElfError
from virtual_rocm.libraries import runtime_library

Symbol = tuple[str, str, str]


@functools.cache
def given() -> frozenset[Symbol]:
    """Library, name and version of everything that our runtime defines."""
    return frozenset(
        (library, symbol.name, symbol.version or "")
        for library in ("libamdhip64.so.7", "libhsa-runtime64.so.1")
        for symbol in read_shared_object(runtime_folder() / library).gives
    )


@functools.cache
def taken(library: Path) -> frozenset[Symbol]:
    """The same of everything that a library takes from the ROCm runtime.

    Raises:
        ElfError: the file is no shared library.
    """
    try:
        needs = read_shared_object(library).needs
    except ElfError as error:
        raise ElfError(f"{library}: {error}") from error
    return frozenset(
        (ours, symbol.name, symbol.version or "")
        for symbol in needs
        if symbol.library and (ours := runtime_library(symbol.library))
    )
