# SPDX-License-Identifier: MIT
"""Every kernel file of every wheel through the compiler's front end, once for each distinct set of files that it reads."""

from __future__ import annotations

import functools
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import virtual_rocm
from virtual_rocm.compiler.cache import content_key, locked, write_whole
from virtual_rocm.compiler.errors import CompilerError
from virtual_rocm.compiler.front_end import (
    DependencyRecord,
    compile_to_bitcode,
    device_functions,
)
from virtual_rocm.compiler.llvm import Module, load_llvm
from virtual_rocm.compiler.toolchain import find_toolchain

ARCHITECTURE = "gfx942"
# What the wheels' own just-in-time compiler gives hipcc, without what it finds out about the machine.
FLAGS = ("-std=c++17", "-O2", "-D__HIP_PLATFORM_AMD__", "-DHIP_ENABLE_WARP_SYNC_BUILTINS")
# Sources that are made into bitcode for other compilers (Triton, FlyDSL) instead of into code objects.
_BITCODE = ("src/shmem/shmem_device_api_wrapper.cpp", "src/cco/device/cco_device_wrapper.cpp")


@dataclass(frozen=True)
class Compiled:
    """A kernel file as one tree has it: its path in the tree, and what the front end made of it."""

    source: str
    key: str
    module: Path
    kernels: tuple[str, ...]
    missing: tuple[str, ...]  # functions that are called and defined nowhere
    error: str


def kernel_files(tree: Path) -> list[str]:
    """The files of a tree that are compiled for the device, as paths in it."""
    files = [str(path.relative_to(tree)) for path in sorted(tree.glob("src/**/*.hip"))]
    return files + [name for name in _BITCODE if (tree / name).is_file()]


def compile_trees(trees: list[Path], folder: Path) -> dict[Path, list[Compiled]]:
    """Every kernel file of every tree; what `folder` has from before is not compiled again.

    A tree is one process's, and its files are named as paths in it: so assertions have the same text wherever the cache
    lies, and equal files give equal modules.
    """
    found: dict[Path, list[Compiled]] = {}
    with ProcessPoolExecutor(
        max_workers=os.cpu_count(), max_tasks_per_child=1, mp_context=get_context("spawn")
    ) as pool:
        futures = [pool.submit(compile_tree, tree, folder) for tree in trees]
        for number, (tree, future) in enumerate(zip(trees, futures, strict=True), 1):
            found[tree] = future.result()
            print(f"front end: source tree {number} of {len(trees)}", file=sys.stderr, flush=True)
    return found


def compile_tree(tree: Path, folder: Path) -> list[Compiled]:
    """Every kernel file of a tree. Changes the process's working directory."""
    os.chdir(tree)
    modules = folder / "modules"
    compiled = []
    for source in kernel_files(tree):
        base = content_key(_front_end_key(), find_toolchain().version, ARCHITECTURE, *FLAGS, source)
        # Trees that differ elsewhere wait for each other here, and share what comes of equal files.
        with locked(modules / f"{base}.lock"):
            compiled.append(_compile(source, modules, base))
    return compiled


@functools.cache
def _front_end_key() -> str:
    """A name for what of ours decides about a module: not for what makes code of it, which changes oftener."""
    package = Path(virtual_rocm.__file__).parent
    compiler = [package / "compiler" / f"{name}.py" for name in ("front_end", "llvm", "toolchain", "tools")]
    headers = [
        path
        for folder in ("include", "device", "native/abi")
        for path in sorted((package / folder).rglob("*"))
        if path.is_file()
    ]
    return content_key(*(part for file in (*compiler, *headers) for part in (file.name, file.read_bytes())))


def _compile(source: str, folder: Path, base: str) -> Compiled:
    toolchain = find_toolchain()
    for known in sorted((folder / base).glob("*.json")):
        record = json.loads(known.read_text())
        if DependencyRecord(record["files"]).holds():
            return _read(source, known, record)
    includes = [".", "include", "src", "3rdparty/spdlog/include", "3rdparty/msgpack-c/include"]
    flags = [*FLAGS, *(word for name in includes if Path(name).is_dir() for word in ("-I", name))]
    bitcode_only = source in _BITCODE
    try:
        # As the wheels do for their bitcode: optimised, and what is undefined stays so until it is linked.
        bitcode, files = compile_to_bitcode(toolchain, Path(source), ARCHITECTURE, flags, optimise=bitcode_only)
    except CompilerError as error:
        # Nothing is kept of what failed: the next run shows the compiler's message again.
        return Compiled(source, "", Path(), (), (), f"{error} (its message is above)")
    kernels: list[str] = []
    missing: list[str] = []
    if not bitcode_only:
        module = Module.parse(load_llvm(toolchain.library), bitcode, source)
        for name, functions in device_functions(toolchain, ARCHITECTURE):
            module.link(functions, name)
        module.hide_functions()
        kernels, missing = module.kernels(), module.undefined_functions()
        bitcode = module.bitcode()
    record = {"files": files.files, "kernels": kernels, "missing": missing}
    target = folder / base / f"{content_key(files.dump())}.json"
    write_whole(target.with_suffix(".bc"), bitcode)
    write_whole(target, json.dumps(record).encode())
    return _read(source, target, record)


def _read(source: str, file: Path, record: dict[str, list[str]]) -> Compiled:
    return Compiled(
        source=source,
        key=file.stem,
        module=file.with_suffix(".bc"),
        kernels=tuple(record["kernels"]),
        missing=tuple(record["missing"]),
        error="",
    )
