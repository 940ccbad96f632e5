# SPDX-License-Identifier: MIT
"""What a survey knows of one wheel: frozen values, read from the wheel's files and never from an import.

`WheelFacts` is what is cached (by sha256), compared, judged and reported. `EXTRACTOR_REVISION` must be raised whenever
a reader in this package learns or changes anything, so that older cached facts are read anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from moriep.surface import Surface

__all__ = ["EXTRACTOR_REVISION", "Capacity", "Guard", "KernelFunction", "Library", "WheelFacts"]

EXTRACTOR_REVISION = 3


@dataclass(frozen=True, order=True)
class Guard:
    """A device assertion that stands between a received token and the end of the receive buffer.

    Attributes:
        file: path below the wheel's kernel sources.
        function: the device function that holds it.
        line: 1-based line of the assertion.
        condition: the tested expression, whitespace collapsed.
        message: the text that the assertion carries, if any.
        kernel_types: kernel types whose entry kernels reach this function.
    """

    file: str
    function: str
    line: int
    condition: str
    message: str
    kernel_types: tuple[str, ...]


@dataclass(frozen=True, order=True)
class KernelFunction:
    """A function of the kernel sources. `digest` covers its code without comments and layout."""

    file: str
    function: str
    digest: str


@dataclass(frozen=True)
class Capacity:
    """The body of one capacity function of the configuration header, comments and layout removed."""

    function: str
    body: str


@dataclass(frozen=True)
class Library:
    """A shared library of the wheel, and the sonames that it names in its dynamic string table.

    `needed` is None where the survey did not read the library (see `conformance.survey.libraries`): unknown, not empty.
    """

    path: str
    needed: tuple[str, ...] | None


@dataclass(frozen=True)
class WheelFacts:
    """Everything the survey found in one wheel.

    Attributes:
        sha256: of the wheel file, the key of everything.
        surface: names and signatures, v1 and v2.
        package_version: `mori._version`, which may differ from the wheel's name; None if absent.
        rocm_build: the ROCm release that the wheel was built with, None where the wheel does not say.
        rocm_pattern: the ROCm requirement that it states at run time.
        python_variables: MORI_* environment variables named in its Python, sorted.
        native_variables: MORI_* environment variables named in its shipped C++ sources, sorted.
        libraries: its own shared libraries.
        bundled_libraries: file names of foreign libraries that the wheel carries (`*.libs/`).
        guards: overflow assertions, per file and function.
        device_asserts: number of all other device assertions, per kernel source file.
        kernel_functions: every function of the v1 kernel sources with the digest of its code.
        capacity: the capacity formulas of the configuration header.
        launch_defaults: what the v1 op's own launch defaults return, `function -> returned values` (source text).
        method_digests: `class.method -> digest` of the v1 op's Python code, docstrings left out.
        problems: what could not be read, as messages; empty for a sound wheel.
    """

    sha256: str
    surface: Surface
    package_version: str | None
    rocm_build: str | None
    rocm_pattern: str | None
    python_variables: tuple[str, ...]
    native_variables: tuple[str, ...]
    libraries: tuple[Library, ...]
    bundled_libraries: tuple[str, ...]
    guards: tuple[Guard, ...]
    device_asserts: dict[str, int]
    kernel_functions: tuple[KernelFunction, ...]
    capacity: tuple[Capacity, ...]
    launch_defaults: dict[str, tuple[str, ...]]
    method_digests: dict[str, str]
    problems: tuple[str, ...] = ()

    def guarded_kernel_types(self) -> frozenset[str]:
        """Kernel types for which at least one overflow assertion is reachable."""
        return frozenset(kind for guard in self.guards for kind in guard.kernel_types)
