# SPDX-License-Identifier: MIT
"""hipcc: understands a command line and makes what it asks for."""

from __future__ import annotations

import os
import platform
import struct
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from virtual_rocm.compiler.cache import cache_directory, content_key, locked, write_whole
from virtual_rocm.compiler.command_line import Output, Request, parse
from virtual_rocm.compiler.container import Container
from virtual_rocm.compiler.errors import CommandLineError, CompilationFailed
from virtual_rocm.compiler.front_end import (
    DependencyRecord,
    compile_to_bitcode,
    device_functions,
    hip_flags,
    own_files_key,
    source_identity,
)
from virtual_rocm.compiler.llvm import Module, load_llvm
from virtual_rocm.compiler.outline import call_everything
from virtual_rocm.compiler.toolchain import Toolchain, find_rocm_hipcc, find_toolchain
from virtual_rocm.compiler.tools import INLINE_ALL, make_code_object, run_tool, with_calls

__all__ = ["main", "make_container", "make_whole_code_object", "run"]

_HIP_VERSION = "7.2.0"


def main(arguments: Sequence[str]) -> int:
    """Runs hipcc and returns its exit code; messages of the compiler go to stderr as they are."""
    real = find_rocm_hipcc()
    if real is not None:
        os.execv(real, [str(real), *arguments])
    try:
        run(parse(list(arguments)), find_toolchain())
    except CompilationFailed as error:
        print(f"hipcc: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(request: Request, toolchain: Toolchain) -> None:
    """Does what a command line asks for."""
    if request.output_kind is Output.version:
        print(f"HIP version: {_HIP_VERSION}-virtual_rocm")
        sys.stdout.flush()
        run_tool([str(toolchain.clang), "--version"])
    elif request.output_kind is Output.code_object:
        output = request.output or Path(f"{request.sources[0].stem}.hsaco")
        if os.environ.get("VIRTUAL_ROCM_WHOLE") == "1":
            write_whole(output, make_whole_code_object(toolchain, request, request.sources[0]))
        else:
            write_whole(output, make_container(toolchain, request))
    elif request.output_kind is Output.device_bitcode:
        _device_bitcode(toolchain, request)
    elif request.output_kind is Output.none:
        _pass_on(toolchain, request)
    else:
        _host(toolchain, request)


def make_container(toolchain: Toolchain, request: Request) -> bytes:
    """The kernel container of a source file, from the cache if nothing that it was made of has changed."""
    source = request.sources[0]
    key = content_key(
        own_files_key(),
        toolchain.version,
        str(toolchain.clang),
        request.architecture,
        str(source.absolute()),
        str(Path.cwd()),
        "\0".join(request.flags),
        sys.executable,
    )
    folder = cache_directory() / "containers" / key
    kept, record_file = folder / "container", folder / "dependencies.json"
    with locked(folder / "lock"):
        both = kept.is_file() and record_file.is_file()
        if both and DependencyRecord.load(record_file.read_text()).holds():
            return kept.read_bytes()
        contents, record = _build_container(toolchain, request, source)
        write_whole(kept, contents)
        write_whole(record_file, record.dump().encode())
        return contents


def _build_container(toolchain: Toolchain, request: Request, source: Path) -> tuple[bytes, DependencyRecord]:
    module, record = _module(toolchain, request, source)
    kernels = module.kernels()
    options = _code_generation(request)
    has_variables = bool(module.share_variables(define=True))
    bitcode = module.bitcode()
    data = b""
    if has_variables:
        module.keep_only(None)  # what is left are the variables; the module itself is not needed any more
        data = make_code_object(toolchain, module.bitcode(), request.architecture, options)
    key = content_key(toolchain.version, request.architecture, "\0".join(options), own_files_key(), bitcode)
    container = Container(
        architecture=request.architecture,
        key=key,
        cache=str(cache_directory() / "kernels"),
        options=tuple(options),
        command=(sys.executable, "-I", str(Path(__file__).with_name("__main__.py")), "--virtual-rocm-kernel"),
        kernels={name: f"{key}/{content_key(name)}.hsaco" for name in kernels},
        data=data,
        bitcode=bitcode,
    )
    return container.encode(), record


def make_whole_code_object(toolchain: Toolchain, request: Request, source: Path) -> bytes:
    """All kernels of a source file in one ordinary code object."""
    module, _ = _module(toolchain, request, source)
    missing = module.undefined_functions()
    if missing:
        raise CompilationFailed(
            f"{source} calls functions that the virtual device does not have: {', '.join(sorted(missing))}"
        )
    options = _code_generation(request)
    if os.environ.get("VIRTUAL_ROCM_CALLS") == "1":
        call_everything(module)
        options = with_calls(options)
    return make_code_object(toolchain, module.bitcode(), request.architecture, options)


def _module(toolchain: Toolchain, request: Request, source: Path) -> tuple[Module, DependencyRecord]:
    """The module of a source with our device functions, before optimisation."""
    flags = [flag for flag in request.flags if flag not in ("-c", "-shared", "-fgpu-rdc")]
    bitcode, record = compile_to_bitcode(toolchain, source, request.architecture, flags, optimise=False)
    module = Module.parse(load_llvm(toolchain.library), bitcode, str(source))
    for name, functions in device_functions(toolchain, request.architecture):
        module.link(functions, name)
    module.hide_functions()
    return module, record


def _code_generation(request: Request) -> list[str]:
    options = list(request.code_generation)
    if not any(option.startswith("-O") for option in options):
        options.append("-O3")
    return [*INLINE_ALL, *options] if "-O0" not in options else options


def _device_bitcode(toolchain: Toolchain, request: Request) -> None:
    if len(request.sources) != 1:
        raise CommandLineError(f"hipcc -emit-llvm takes one source file, and got {len(request.sources)}")
    flags = [flag for flag in request.flags if flag not in ("-c", "-shared")]
    bitcode, _ = compile_to_bitcode(toolchain, request.sources[0], request.architecture, flags, optimise=True)
    write_whole(request.output or Path(f"{request.sources[0].stem}.bc"), bitcode)


def _pass_on(toolchain: Toolchain, request: Request) -> None:
    """What clang answers itself: preprocessed text, assembly, a check of the syntax."""
    run_tool(
        [
            str(toolchain.clang),
            *hip_flags(toolchain),
            *request.flags,
            f"--offload-arch={request.architecture}",
            "-x",
            "hip",
            *map(str, request.sources),
            *(["-o", str(request.output)] if request.output else []),
        ]
    )


def _host(toolchain: Toolchain, request: Request) -> None:
    """Host objects, libraries and programs; the kernels of each source are embedded in its object."""
    if not request.link and request.output and len(request.sources) > 1:
        raise CommandLineError("hipcc -c with -o takes one source file")
    flags = [flag for flag in request.flags if flag not in ("-c", "-fgpu-rdc")]
    with tempfile.TemporaryDirectory(prefix="virtual_rocm_") as folder:
        objects = []
        for number, source in enumerate(request.sources):
            target = (
                Path(folder) / f"{number}-{source.stem}.o"
                if request.link
                else request.output or Path(f"{source.stem}.o")
            )
            embedded = Path(folder) / f"{number}.hipfb"
            code = make_whole_code_object(toolchain, request, source)
            embedded.write_bytes(_bundle(code, request.architecture))
            run_tool(
                [
                    str(toolchain.clang),
                    *hip_flags(toolchain),
                    *[flag for flag in flags if flag != "-shared"],
                    *(["-fPIC"] if "-shared" in flags else []),
                    *source_identity(source),
                    f"--offload-arch={request.architecture}",
                    "--offload-host-only",
                    "-Xclang",
                    "-fcuda-include-gpubinary",
                    "-Xclang",
                    str(embedded),
                    "-c",
                    "-x",
                    "hip",
                    str(source),
                    "-o",
                    str(target),
                ]
            )
            objects.append(str(target))
        if request.link:
            _link(toolchain, request, objects)


def _link(toolchain: Toolchain, request: Request, objects: Sequence[str]) -> None:
    library = os.environ.get("ROCM_PATH")
    # Conversions to bfloat16 and half are calls on the host, which older libgcc does not have.
    builtins = toolchain.resources / "lib" / "linux" / f"libclang_rt.builtins-{platform.machine()}.a"
    run_tool(
        [
            str(toolchain.clang),
            "--driver-mode=g++",
            *request.linking,
            *objects,
            *request.others,
            *([str(builtins)] if builtins.is_file() else []),
            *([f"-L{library}/lib", f"-Wl,-rpath,{library}/lib", "-lamdhip64"] if library else ["-lamdhip64"]),
            "-o",
            str(request.output or Path("a.out")),
        ]
    )


def _bundle(code_object: bytes, architecture: str) -> bytes:
    """A fat binary as the HIP runtime finds it in a library: an index, then the code objects at page boundaries."""
    entries = [
        ("host-x86_64-unknown-linux-gnu-", b""),
        (f"hipv4-amdgcn-amd-amdhsa--{architecture}", code_object),
    ]
    page = 4096
    header = b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", len(entries))
    offset = page
    body = b""
    for triple, contents in entries:
        body += b"\0" * (-len(body) % page)
        header += struct.pack("<QQQ", offset + len(body), len(contents), len(triple)) + triple.encode()
        body += contents
    return header.ljust(page, b"\0") + body
