# SPDX-License-Identifier: MIT
"""What a hipcc command line asks for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from virtual_rocm.compiler.errors import CommandLineError

__all__ = ["DEFAULT_ARCHITECTURE", "Output", "Request", "device_architecture", "parse"]

DEFAULT_ARCHITECTURE = "gfx942"

_SOURCES = {".hip", ".cu", ".cpp", ".cc", ".cxx", ".c++"}

# Options of clang whose value is the next argument. What follows them is never a source file.
_WITH_VALUE = {
    "-I",
    "-D",
    "-U",
    "-L",
    "-l",
    "-include",
    "-imacros",
    "-isystem",
    "-iquote",
    "-idirafter",
    "-isysroot",
    "-MF",
    "-MT",
    "-MQ",
    "-Xclang",
    "-Xlinker",
    "-Xpreprocessor",
    "-Xassembler",
    "-Xarch_host",
    "-Xarch_device",
    "-mllvm",
    "-target",
    "-arch",
    "-T",
    "-u",
    "-z",
    "-e",
    "-rpath",
    "--param",
    "-Xoffload-linker",
}
# Of those, the ones that code generation needs again when a kernel is compiled from the container.
_CODE_GENERATION_WITH_VALUE = {"-mllvm"}
# What the linking step of a host program needs of the other options.
_LINKING_PREFIXES = (
    "-O",
    "-g",
    "-fsanitize=",
    "-fuse-ld=",
    "-flto",
    "-pthread",
    "-shared",
    "-static",
    "-pie",
    "-no-pie",
    "-m",
)
_CODE_GENERATION_PREFIXES = (
    "-O",
    "-mcode-object-version=",
    "-mcumode",
    "-mno-cumode",
    "-mwavefrontsize64",
    "-ffp-contract=",
)


class Output(Enum):
    """What is to be made."""

    code_object = "code object"  # --genco: the kernels of one source file
    device_bitcode = "bitcode"  # -emit-llvm for the device
    host = "host"  # an object, library or program with embedded kernels
    version = "version"
    none = "none"  # anything else that clang answers by itself: -E, -fsyntax-only, …


@dataclass(frozen=True)
class Request:
    """A hipcc command line, understood.

    Attributes:
        output_kind: what is to be made.
        sources: HIP sources.
        others: objects, libraries and what else is for the linker, in their order.
        output: the file after ``-o``.
        architectures: after ``--offload-arch``, in their order, with their features (``gfx942:xnack-``).
        flags: all that clang gets as it is.
        code_generation: the flags, of those, that matter after the front end.
        linking: the flags, of those, that matter when a host program is linked.
        link: whether a program or library is linked (host only).
        relocatable: whether device code is to stay linkable (``-fgpu-rdc``).
    """

    output_kind: Output
    sources: tuple[Path, ...]
    others: tuple[str, ...]
    output: Path | None
    architectures: tuple[str, ...]
    flags: tuple[str, ...]
    code_generation: tuple[str, ...]
    linking: tuple[str, ...]
    link: bool
    relocatable: bool

    @property
    def architecture(self) -> str:
        """The one to compile for: the virtual GPU's, if it is among those asked for, else the first."""
        device = device_architecture()
        for architecture in self.architectures:
            if architecture.split(":")[0] == device:
                return architecture
        return self.architectures[0] if self.architectures else device


def device_architecture() -> str:
    """What the virtual GPU is, by the environment."""
    return os.environ.get("VIRTUAL_ROCM_ARCHITECTURE") or DEFAULT_ARCHITECTURE


def parse(arguments: list[str]) -> Request:
    """Understands a command line of hipcc.

    Raises:
        CommandLineError: an option lacks its value, or there is nothing to compile.
    """
    sources: list[Path] = []
    others: list[str] = []
    flags: list[str] = []
    code_generation: list[str] = []
    linking: list[str] = []
    architectures: list[str] = []
    output: Path | None = None
    seen: set[str] = set()

    rest = iter(arguments)
    for argument in rest:
        if argument in ("--version", "-v") and len(arguments) == 1:
            return Request(Output.version, (), (), None, (), (), (), (), False, False)
        if argument in (
            "--genco",
            "--cuda-device-only",
            "--offload-device-only",
            "--offload-host-only",
            "-emit-llvm",
        ):
            seen.add(argument)
        elif argument in ("-c", "-S", "-E", "-fsyntax-only", "-M", "-MM", "-shared"):
            seen.add(argument)
            flags.append(argument)
            if argument == "-shared":
                linking.append(argument)
        elif argument == "-fgpu-rdc":
            seen.add(argument)
            flags.append(argument)
        elif argument == "-o":
            output = Path(_value(argument, rest))
        elif argument.startswith("-o") and len(argument) > 2 and not argument.startswith("-object"):
            output = Path(argument[2:])
        elif argument == "-x":
            _value(argument, rest)  # everything with a source's name is HIP here
        elif argument in ("--offload-arch", "--amdgpu-target"):
            architectures += _value(argument, rest).split(",")
        elif argument.startswith(("--offload-arch=", "--amdgpu-target=")):
            architectures += argument.split("=", 1)[1].split(",")
        elif argument.startswith(("--rocm-path=", "--hip-path=", "--hip-device-lib-path=", "--rocm-device-lib-path=")):
            pass  # our headers and device functions are used, wherever ROCm is said to be
        elif argument in _WITH_VALUE:
            value = _value(argument, rest)
            if argument in ("-l", "-L", "-Xlinker", "-T", "-u", "-z", "-e", "-rpath"):
                others += [argument, value]
                continue
            flags += [argument, value]
            if argument in _CODE_GENERATION_WITH_VALUE:
                code_generation += [argument, value]
        elif argument.startswith(("-l", "-L", "-Wl,")):
            others.append(argument)
        elif argument.startswith("-"):
            flags.append(argument)
            if argument.startswith(_CODE_GENERATION_PREFIXES):
                code_generation.append(argument)
            if argument.startswith(_LINKING_PREFIXES) and not argument.startswith("-mcode-object"):
                linking.append(argument)
        elif Path(argument).suffix in _SOURCES:
            sources.append(Path(argument))
        else:
            others.append(argument)

    if not sources and not others:
        raise CommandLineError("hipcc: no source file on the command line")
    device_only = bool(seen & {"--cuda-device-only", "--offload-device-only"})
    if "--genco" in seen:
        kind = Output.code_object
    elif seen & {"-E", "-S", "-fsyntax-only", "-M", "-MM"}:
        kind = Output.none
        flags += [
            flag for flag in ("--cuda-device-only", "--offload-device-only", "--offload-host-only") if flag in seen
        ]
    elif device_only and ("-emit-llvm" in seen or "-fgpu-rdc" in seen):
        kind = Output.device_bitcode
    elif device_only:
        kind = Output.code_object
    else:
        kind = Output.host
    if kind is Output.code_object and len(sources) != 1:
        raise CommandLineError(f"hipcc --genco takes one source file, and got {len(sources)}")
    return Request(
        output_kind=kind,
        sources=tuple(sources),
        others=tuple(others),
        output=output,
        architectures=tuple(architectures),
        flags=tuple(flags),
        code_generation=tuple(code_generation),
        linking=tuple(linking),
        link=kind is Output.host and "-c" not in seen,
        relocatable="-fgpu-rdc" in seen,
    )


def _value(option: str, rest: object) -> str:
    value = next(rest, None)  # type: ignore[call-overload]
    if not isinstance(value, str):
        raise CommandLineError(f"hipcc: {option} needs a value")
    return value
