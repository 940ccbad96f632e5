# SPDX-License-Identifier: MIT
"""hipcc understands the command lines that programs give it."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtual_rocm.compiler.command_line import Output, parse
from virtual_rocm.compiler.errors import CommandLineError


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("--genco --offload-arch=gfx942 a.hip -o a.hsaco", Output.code_object),
        ("--cuda-device-only --offload-arch=gfx942 a.hip -o a.hsaco", Output.code_object),
        ("-c --cuda-device-only -emit-llvm -fgpu-rdc a.cpp -o a.bc", Output.device_bitcode),
        ("-c a.hip -o a.o", Output.host),
        ("a.hip b.cpp -o program", Output.host),
        ("-shared -fPIC a.hip -o a.so", Output.host),
        ("-E a.hip", Output.none),
        ("-fsyntax-only a.hip", Output.none),
        ("--version", Output.version),
    ],
)
def test_the_kind_of_output_follows_from_the_options(line: str, kind: Output) -> None:
    assert parse(line.split()).output_kind is kind


@pytest.mark.parametrize(
    ("line", "architecture"),
    [
        ("--genco a.hip", "gfx942"),
        ("--genco --offload-arch=gfx950 a.hip", "gfx950"),
        ("--genco --offload-arch gfx950 a.hip", "gfx950"),
        ("--genco --amdgpu-target=gfx90a a.hip", "gfx90a"),
        # Of several, the virtual GPU's own; with the features that go with it.
        ("--genco --offload-arch=gfx950 --offload-arch=gfx942:xnack- a.hip", "gfx942:xnack-"),
        ("--genco --offload-arch=gfx950,gfx942 a.hip", "gfx942"),
        ("--genco --offload-arch=gfx90a --offload-arch=gfx950 a.hip", "gfx90a"),
    ],
)
def test_the_architecture_is_the_virtual_gpus_where_it_is_asked_for(line: str, architecture: str) -> None:
    assert parse(line.split()).architecture == architecture


def test_values_of_options_are_not_taken_for_sources() -> None:
    request = parse(
        [
            "--genco",
            "-I",
            "dir.cpp",
            "-D",
            "NAME",
            "-include",
            "first.hip",
            "-Xclang",
            "-x",
            "a.hip",
            "-o",
            "out.cpp",
        ]
    )
    assert request.sources == (Path("a.hip"),)
    assert request.output == Path("out.cpp")
    assert request.flags == ("-I", "dir.cpp", "-D", "NAME", "-include", "first.hip", "-Xclang", "-x")


def test_options_of_code_generation_are_kept_for_later() -> None:
    request = parse(["--genco", "-O2", "-g", "-std=c++17", "-mllvm", "-some-option=1", "-ffp-contract=off", "a.hip"])
    assert request.code_generation == ("-O2", "-mllvm", "-some-option=1", "-ffp-contract=off")


def test_libraries_go_to_the_linker_in_their_order() -> None:
    request = parse(["a.hip", "-Ldir", "-lfirst", "b.o", "-Wl,--as-needed", "-l", "second", "-o", "program"])
    assert request.others == ("-Ldir", "-lfirst", "b.o", "-Wl,--as-needed", "-l", "second")
    assert request.link


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--genco", "no source file"),
        ("--genco a.hip b.hip", "one source file, and got 2"),
        ("--genco a.hip -o", "-o needs a value"),
    ],
)
def test_a_command_line_that_lacks_something_is_refused(line: str, message: str) -> None:
    with pytest.raises(CommandLineError, match=message):
        parse(line.split())


@pytest.mark.parametrize("line", ["a.hip -o a", "--genco --offload-arch=gfx942 --offload-arch=gfx950 a.hip"])
def test_a_virtual_gfx950_is_compiled_for(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ROCM_ARCHITECTURE", "gfx950")
    assert parse(line.split()).architecture == "gfx950"
