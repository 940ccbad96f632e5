# SPDX-License-Identifier: MIT
"""From HIP source to an LLVM module that has our device functions and nothing undefined but intrinsics."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from virtual_rocm.compiler.cache import cache_directory, content_key, make_once
from virtual_rocm.compiler.toolchain import Toolchain
from virtual_rocm.compiler.tools import CODE_OBJECT_VERSION, run_tool

__all__ = [
    "DependencyRecord",
    "compile_to_bitcode",
    "device_functions",
    "hip_flags",
    "own_files_key",
    "source_identity",
]

_PACKAGE = Path(__file__).resolve().parent.parent
INCLUDE = _PACKAGE / "include"
COMPANIONS = INCLUDE / "companions"
DEVICE = _PACKAGE / "device"


def hip_flags(toolchain: Toolchain) -> list[str]:
    """The options that make clang a HIP compiler with our headers, for device and host alike."""
    return [
        "-nogpulib",
        "-nogpuinc",
        "-isystem",
        str(toolchain.wrapper_headers),
        "-isystem",
        str(INCLUDE),
        # Headers of other libraries that kernels name: only where the real ones are not installed.
        "-idirafter",
        str(COMPANIONS),
        "-include",
        "__clang_hip_runtime_wrapper.h",
        "-D__HIP_PLATFORM_AMD__=1",
        f"-mcode-object-version={CODE_OBJECT_VERSION}",
    ]


def source_identity(source: Path) -> list[str]:
    """The options that name a source in symbols, the same for its host and its device half, and on every run.

    Past clang's driver, which knows the name only when it compiles both halves at once.
    """
    return ["-fuse-cuid=none", "-Xclang", f"-cuid={content_key(str(source.absolute()))[:16]}"]


def own_files_key() -> str:
    """A name for the contents of our headers, device functions and this compiler."""
    files = [
        path
        for folder in (INCLUDE, DEVICE, _PACKAGE / "compiler", _PACKAGE / "native" / "abi")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".h", ".hpp", ".cpp", ".py", "")
    ]
    return content_key(*(part for path in files for part in (str(path.relative_to(_PACKAGE)), path.read_bytes())))


@dataclass(frozen=True)
class DependencyRecord:
    """The files that a compilation read, with what was in them: whether it would give the same again."""

    files: dict[str, str]

    @classmethod
    def of_makefile(cls, text: str) -> DependencyRecord:
        """From the rule that clang writes as it does for make."""
        names = text.split(":", 1)[1].replace("\\\n", " ").replace("\\ ", "\0").split()
        paths = [name.replace("\0", " ").replace("$$", "$") for name in names]
        return cls({path: content_key(Path(path).read_bytes()) for path in sorted(set(paths))})

    @classmethod
    def load(cls, text: str) -> DependencyRecord:
        """From what :meth:`dump` gave."""
        return cls(dict(json.loads(text)))

    def dump(self) -> str:
        """As text."""
        return json.dumps(self.files)

    def holds(self) -> bool:
        """Whether all files are still as they were."""
        for path, key in self.files.items():
            try:
                if content_key(Path(path).read_bytes()) != key:
                    return False
            except OSError:
                return False
        return True


def compile_to_bitcode(
    toolchain: Toolchain, source: Path, architecture: str, flags: Sequence[str], *, optimise: bool
) -> tuple[bytes, DependencyRecord]:
    """Runs clang's device half on a HIP source.

    Args:
        optimise: whether LLVM's passes run; without them the module is what the front end made of the source.
    """
    with tempfile.TemporaryDirectory(prefix="virtual_rocm_") as folder:
        output, rule = Path(folder) / "module.bc", Path(folder) / "module.d"
        run_tool(
            [
                str(toolchain.clang),
                *hip_flags(toolchain),
                *([] if any(flag.startswith("-g") for flag in flags) else ["-gline-tables-only"]),
                *([] if any(flag.startswith("-O") for flag in flags) else ["-O3"]),
                *flags,
                *source_identity(source),
                f"--offload-arch={architecture}",
                "--offload-device-only",
                *([] if optimise else ["-Xclang", "-disable-llvm-passes"]),
                "-emit-llvm",
                "-c",
                # Past clang's driver, whose -MD newer releases do not hand on to the device half.
                *(
                    word
                    for option in ("-dependency-file", str(rule), "-sys-header-deps", "-MT", "it")
                    for word in ("-Xclang", option)
                ),
                "-x",
                "hip",
                str(source),
                "-o",
                str(output),
            ]
        )
        return output.read_bytes(), DependencyRecord.of_makefile(rule.read_text())


def device_functions(toolchain: Toolchain, architecture: str) -> list[tuple[str, bytes]]:
    """The bitcode of our device functions, one module per source file; compiled once and kept."""
    modules = []
    for source in sorted(DEVICE.glob("*.cpp")):
        key = content_key(own_files_key(), source.name, architecture, toolchain.version)
        path = make_once(
            cache_directory() / "device" / f"{key}.bc",
            lambda source=source: _compile_device_function(toolchain, source, architecture),  # type: ignore[misc]
        )
        modules.append((source.name, path.read_bytes()))
    return modules


def _compile_device_function(toolchain: Toolchain, source: Path, architecture: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="virtual_rocm_") as folder:
        output = Path(folder) / "module.bc"
        run_tool(
            [
                str(toolchain.clang),
                "--target=amdgcn-amd-amdhsa",
                f"-mcpu={architecture}",
                f"-mcode-object-version={CODE_OBJECT_VERSION}",
                "-nogpulib",
                "-ffreestanding",
                "-std=c++20",
                "-O2",
                # They are optimised inside the kernels that they are inlined into.
                "-Xclang",
                "-disable-llvm-passes",
                "-emit-llvm",
                "-c",
                "-x",
                "c++",
                str(source),
                "-o",
                str(output),
            ]
        )
        return output.read_bytes()
