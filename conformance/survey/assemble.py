# SPDX-License-Identifier: MIT
"""Puts the extracts of a wheel's files together into its facts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from conformance.errors import WheelError
from conformance.survey.archive import Directory
from conformance.survey.facts import Capacity, Guard, KernelFunction, Library, WheelFacts
from conformance.survey.members import CONSTANTS, EXPORTS, MAIN_MODULE, V2_MODULE, is_library, source_path
from conformance.survey.pieces import Extract, KernelSource
from conformance.survey.reachability import assign_kernel_types
from conformance.wheels import STABLE_DISTRIBUTION, Wheel
from moriep.surface import Surface

__all__ = ["assemble", "bundled_libraries", "check_identity"]

_DIST_INFO = re.compile(r"^(?P<name>[^/]+?)-(?P<version>[^/-]+)\.dist-info/")


def check_identity(wheel: Wheel, directory: Directory) -> None:
    """The wheel must hold what its name says: AMD's `mori`, of this distribution and version.

    Raises:
        WheelError: it does not. The `mori` on PyPI that is not AMD's ends here.
    """
    names = directory.names()
    described = {
        match.group("name", "version") for name in names if ".dist-info/" in name and (match := _DIST_INFO.match(name))
    }
    expected = (wheel.distribution.replace("-", "_"), wheel.version)
    if described != {expected}:
        found = ", ".join(f"{name} {version}" for name, version in sorted(described)) or "no distribution at all"
        raise WheelError(f"{wheel}: the file describes itself as {found}: not the wheel that its name promises")
    if MAIN_MODULE not in names:
        raise WheelError(
            f"{wheel}: holds no {MAIN_MODULE}: this is not AMD's MORI (the package named `mori` on PyPI is another "
            f"project; AMD's is `{STABLE_DISTRIBUTION}`)"
        )


def bundled_libraries(directory: Directory) -> tuple[str, ...]:
    """Foreign libraries that the wheel carries in a `*.libs` folder."""
    return tuple(
        sorted(name.rsplit("/", 1)[-1] for name in directory.names() if ".libs/" in name and not name.endswith("/"))
    )


class _ById:
    """A kernel source that compares by identity: equal files of different wheels are one object."""

    __slots__ = ("source",)

    def __init__(self, source: KernelSource) -> None:
        self.source = source

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.source is self.source

    def __hash__(self) -> int:
        return id(self.source)


@dataclass(frozen=True)
class _SourceFacts:
    guards: tuple[Guard, ...]
    functions: tuple[KernelFunction, ...]
    capacity: tuple[Capacity, ...]


@lru_cache(maxsize=256)
def _source_facts(sources: tuple[_ById, ...]) -> _SourceFacts:
    """What a set of sources says; nightlies share theirs with their neighbours."""
    every = [key.source for key in sources]
    functions = [item for source in every for item in source.kernel_functions()]
    return _SourceFacts(
        guards=assign_kernel_types(every),
        functions=tuple(sorted(functions, key=lambda item: (item.file, item.function, item.digest))),
        capacity=tuple(item for source in every for item in source.capacity),
    )


def _kernel_types(sources: Sequence[KernelSource]) -> dict[str, int]:
    for source in sources:
        if "KernelType" in source.enumerators:
            return dict(source.enumerators["KernelType"])
    return {}


def assemble(
    wheel: Wheel,
    directory: Directory,
    extracts: Mapping[str, Extract],
    sonames: Mapping[str, tuple[str, ...] | None],
) -> WheelFacts:
    """The facts of one wheel.

    Raises:
        WheelError: without its main module there is nothing to say about a wheel.
    """
    main = extracts[MAIN_MODULE]
    if main.ops is None or main.ops.config is None or main.ops.op is None:
        reason = main.problem or f"{MAIN_MODULE} defines no EpDispatchCombineConfig and EpDispatchCombineOp"
        raise WheelError(f"{wheel}: {reason}")
    problems = [item.problem for _, item in sorted(extracts.items()) if item.problem]
    v2 = extracts[V2_MODULE].ops if V2_MODULE in extracts else None
    sources = [item.source for _, item in sorted(extracts.items()) if item.source is not None]
    kernel_types = _kernel_types(sources)
    if not kernel_types:
        problems.append("no KernelType enumeration found in the kernel sources: kernel types unknown")
    exports = extracts[EXPORTS].exports if EXPORTS in extracts else None
    constants: dict[str, str] = {}
    for name in CONSTANTS:
        if name in extracts:
            constants.update(extracts[name].constants or {})
    surface = Surface(
        release=str(wheel),
        config=main.ops.config,
        op=main.ops.op,
        config_v2=v2.config if v2 is not None else None,
        op_v2=v2.op if v2 is not None else None,
        quant_types=main.ops.quant_types,
        kernel_types=kernel_types,
        exports=exports or (),
    )
    python = {name for path, item in extracts.items() if source_path(path) is None for name in item.variables}
    native = {name for path, item in extracts.items() if source_path(path) is not None for name in item.variables}
    read = _source_facts(tuple(_ById(source) for source in sources))
    return WheelFacts(
        sha256=wheel.sha256,
        surface=surface,
        package_version=constants.get("__version__"),
        rocm_build=constants.get("ROCM_BUILD_VERSION"),
        rocm_pattern=constants.get("ROCM_VERSION_PATTERN"),
        python_variables=tuple(sorted(python)),
        native_variables=tuple(sorted(native)),
        libraries=tuple(Library(name, sonames.get(name)) for name in sorted(directory.names()) if is_library(name)),
        bundled_libraries=bundled_libraries(directory),
        guards=read.guards,
        device_asserts={source.file: source.device_asserts for source in sources if source.device_asserts},
        kernel_functions=read.functions,
        capacity=read.capacity,
        launch_defaults=main.ops.launch_defaults,
        method_digests=main.ops.method_digests,
        problems=tuple(problems),
    )
