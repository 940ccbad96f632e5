# SPDX-License-Identifier: MIT
"""Check the virtual GPU against every published wheel: python -m tests.virtual_rocm.every_wheel [--code stable|all|none]

Symbols that the wheels' libraries take from the ROCm runtime, every kernel file through the compiler's front end, every
kernel into machine code, and every instruction decoded as llvm-objdump decodes it. What was done is kept by content in the
cache (VIRTUAL_ROCM_CACHE, else the user's), so a run that was ended goes on where it was. Exit code 1: something is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from conformance.matrix import load_matrix
from conformance.wheels import Wheel
from tests.virtual_rocm.isa.machine import Disassembler, find_tool
from tests.virtual_rocm.native_build import build
from virtual_rocm.compiler.cache import cache_directory, content_key

from .code import decode_embedded, embedded, generate
from .front import Compiled, compile_trees
from .inputs import WheelInputs, obtain
from .symbols import given, taken

ROOT = Path(__file__).resolve().parents[3]


def check_symbols(inputs: Iterable[WheelInputs]) -> bool:
    """Print what is taken, and what of it is missing with the wheels that want it."""
    wanted: dict[tuple[str, str, str], list[str]] = {}
    for item in inputs:
        for _, library in item.libraries:
            for symbol in taken(library):
                wanted.setdefault(symbol, []).append(item.wheel.label)
    missing = {symbol: labels for symbol, labels in sorted(wanted.items()) if symbol not in given()}
    print(f"symbols: {len(wanted)} are taken from the ROCm runtime, {len(missing)} of them are not there")
    for (runtime, name, version), labels in missing.items():
        print(f"  {name}@{version} of {runtime}: {', '.join(sorted(set(labels)))}")
    return not missing


def check_front_end(inputs: list[WheelInputs], folder: Path) -> tuple[bool, dict[Path, list[Compiled]]]:
    """Compile, and print what does not."""
    trees = {item.sources: item.wheel for item in inputs if item.sources}
    began = time.monotonic()
    compiled = compile_trees(list(trees), folder)
    every = [(tree, file) for tree, files in compiled.items() for file in files]
    distinct = {(file.source, file.key) for _, file in every if file.key}
    wrong = [(tree, file) for tree, file in every if file.error or file.missing]
    print(
        f"front end: {len(trees)} distinct source trees with {len(every)} kernel files, {len(distinct)} distinct with what "
        f"they include; {len(wrong)} do not compile ({time.monotonic() - began:.0f} s)"
    )
    for tree, file in wrong:
        print(f"  {trees[tree].label}: {file.source}: {file.error or 'undefined: ' + ', '.join(file.missing)}")
    return not wrong, compiled


def check_code(
    inputs: list[WheelInputs], compiled: dict[Path, list[Compiled]], folder: Path, minutes: float, which: str
) -> bool:
    """Generate and decode, newest wheel first, stable releases before nightlies; print what is wrong."""
    tools = Disassembler(
        build("test_isa_disassemble") / "bin" / "test_isa_disassemble", find_tool("llvm-mc"), find_tool("llvm-objdump")
    )
    good = True
    brought = sorted({file for item in inputs for _, path in item.libraries for file in embedded(path, folder)})
    results = [decode_embedded(file, tools) for file in brought]
    print(
        f"code in the wheels' libraries: {len(brought)} distinct gfx942 code objects, "
        f"{sum(result.instructions for result in results)} instructions"
    )
    chosen = [item for item in inputs if which == "all" or not item.wheel.nightly]
    chosen.sort(key=lambda item: (item.wheel.nightly, -item.wheel.built.toordinal()))
    modules: dict[Path, Compiled] = {}
    for item in chosen:
        for file in compiled.get(item.sources, []) if item.sources else []:
            if file.key:
                modules.setdefault(file.module, file)
    # Modules whose bitcode is the same to the byte are one; what differs in lines only is found out kernel by kernel.
    distinct: dict[str, Path] = {}
    for path in modules:
        distinct.setdefault(content_key(path.read_bytes()), path)
    kernels = [(path, kernel) for path in distinct.values() for kernel in modules[path].kernels]
    began = said = time.monotonic()
    complete = True
    for number, result in enumerate(generate(kernels, folder, tools), 1):
        results.append(result)
        if time.monotonic() - said > 10 or number == len(kernels):
            said = time.monotonic()
            print(f"code: kernel {number} of {len(kernels)}, {kernels[number - 1][1]}", file=sys.stderr, flush=True)
        if minutes and time.monotonic() - began > minutes * 60:
            complete = number == len(kernels)
            break
    done = len(results) - len(brought)
    print(
        f"kernels: {done} of {len(kernels)} in {len(distinct)} distinct kernel files"
        f"{'' if complete else ' (the time was up: run it again to go on)'}; "
        f"{sum(result.instructions for result in results)} instructions decoded ({time.monotonic() - began:.0f} s)"
    )
    for result in results:
        if not result.ok:
            good = False
            print(f"  {result.name}: {result.error or '; '.join([*result.different, *result.refused])}")
    return good


def selected(python: str, *, nightlies: bool) -> list[Wheel]:
    """The wheels for one Python, oldest first."""
    every = load_matrix(ROOT / "matrix.toml").every_wheel
    return [wheel for wheel in every if wheel.python == python and (nightlies or not wheel.nightly)]


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.virtual_rocm.every_wheel", description=__doc__)
    parser.add_argument("--python", default="cp310", help="the wheels of this Python (default cp310)")
    parser.add_argument("--no-nightlies", action="store_true", help="look at the wheels of the stable releases alone")
    parser.add_argument(
        "--code",
        choices=("none", "stable", "all"),
        default="stable",
        help="whose kernels are made into machine code (default: the stable releases'; all takes hours)",
    )
    parser.add_argument("--minutes", type=float, default=0, help="stop generating code after so long; 0: never")
    options = parser.parse_args()
    folder = cache_directory().parent / "every_wheel"
    wheels = selected(options.python, nightlies=not options.no_nightlies)
    inputs = obtain(wheels, folder)
    print(
        f"{len(inputs)} {options.python} wheels, {len({path for item in inputs for _, path in item.libraries})} libraries"
    )
    good = check_symbols(inputs)
    compiles, compiled = check_front_end(inputs, folder)
    good &= compiles
    if options.code != "none":
        good &= check_code(inputs, compiled, folder, options.minutes, options.code)
    print("nothing is wrong" if good else "something is wrong: see above")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
