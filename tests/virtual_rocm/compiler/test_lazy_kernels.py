# SPDX-License-Identifier: MIT
"""Kernels are compiled one by one, only when asked for, once for all processes, and share their module's variables."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from virtual_rocm.compiler.container import Container

from .conftest import PROGRAMS, ROOT, Hipcc

VARIABLES = {
    "external_variable",
    "_ZL17internal_variable",
    "_ZN12_GLOBAL__N_118anonymous_variableE",
    "constant_variable",
    "_Z17template_variableIiE",
}


def symbols(llvm_tool: Callable[[str], str], file: Path) -> dict[str, str]:
    """The dynamic symbols of a code object, each with its section (``UND`` for undefined)."""
    output = subprocess.run(
        [llvm_tool("llvm-readelf"), "--dyn-syms", str(file)], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in output.splitlines()]
    return {row[7]: row[6] for row in rows if len(row) == 8 and row[0].rstrip(":").isdigit()}


@pytest.fixture(scope="module")
def container(hipcc: Hipcc, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("variables") / "it.hsaco"
    hipcc("--genco", "--offload-arch=gfx942", "-O2", PROGRAMS / "shared_variables.hip", "-o", file)
    return file


def kernel_of(hipcc: Hipcc, container: Path, name: str) -> Path:
    return Path(hipcc("--virtual-rocm-kernel", container, name).stdout.strip())


def test_the_container_lists_the_kernels(container: Path) -> None:
    assert set(Container.read(container).kernels) == {"read_all", "write_all"}


def test_no_kernel_is_compiled_before_it_is_asked_for(container: Path) -> None:
    contents = Container.read(container)
    files = [Path(contents.cache) / file for file in contents.kernels.values()]
    assert not any(file.exists() for file in files)


def test_every_variable_is_in_the_data_object(container: Path, llvm_tool: Callable[[str], str], tmp_path: Path) -> None:
    data = tmp_path / "data.hsaco"
    data.write_bytes(Container.read(container).data)
    found = symbols(llvm_tool, data)
    assert found.keys() >= VARIABLES
    assert "UND" not in {found[name] for name in VARIABLES}
    assert not {"read_all", "write_all", "read_all.kd", "write_all.kd"} & found.keys()


def test_a_kernel_defines_no_variable_of_its_own(
    container: Path, hipcc: Hipcc, llvm_tool: Callable[[str], str]
) -> None:
    reader = symbols(llvm_tool, kernel_of(hipcc, container, "read_all"))
    writer = symbols(llvm_tool, kernel_of(hipcc, container, "write_all"))
    assert {name for name, section in reader.items() if section == "UND"} == VARIABLES
    assert {name for name, section in writer.items() if section == "UND"} == VARIABLES - {"constant_variable"}
    # One kernel each, and nothing else.
    assert {name for name, section in reader.items() if section != "UND"} == {"read_all", "read_all.kd"}
    assert {name for name, section in writer.items() if section != "UND"} == {"write_all", "write_all.kd"}


def test_source_lines_are_kept(container: Path, hipcc: Hipcc, llvm_tool: Callable[[str], str]) -> None:
    file = kernel_of(hipcc, container, "write_all")
    table = subprocess.run(
        [llvm_tool("llvm-dwarfdump"), "--debug-line", str(file)], capture_output=True, text=True, check=True
    ).stdout
    assert "shared_variables.hip" in table


def test_an_unknown_kernel_is_named(container: Path, hipcc: Hipcc) -> None:
    result = hipcc("--virtual-rocm-kernel", container, "missing", check=False)
    assert result.returncode == 1
    assert "no kernel 'missing'" in result.stderr


@pytest.fixture
def counted_clang(toolchain: object, tmp_path: Path) -> tuple[dict[str, str], Callable[[], list[str]]]:
    """Environment variables with a cache and a clang of their own, and what that clang was told to make."""
    from virtual_rocm.compiler.toolchain import find_toolchain

    real = find_toolchain()
    log = tmp_path / "log"
    # Beside a link to the real one's linker, since the linker is looked for there first.
    wrapper = tmp_path / "bin" / "clang"
    wrapper.parent.mkdir()
    wrapper.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *" -o "*) echo "$*" | tr "\\n" " " >> {log}; echo >> {log}; sleep 0.3;; esac\n'
        f'exec {real.clang} "$@"\n'
    )
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    (wrapper.parent / "ld.lld").symlink_to(real.linker)
    library = tmp_path / "lib"
    library.mkdir()
    (library / f"libLLVM.so.{real.release}").symlink_to(real.library)
    environment = {"VIRTUAL_ROCM_CLANG": str(wrapper), "VIRTUAL_ROCM_CACHE": str(tmp_path / "cache")}

    def outputs() -> list[str]:
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.rsplit(" -o ", 1)[1].strip().rsplit("/", 1)[1] for line in lines]

    return environment, outputs


def test_processes_that_race_for_a_kernel_compile_it_once(
    hipcc: Hipcc, counted_clang: tuple[dict[str, str], Callable[[], list[str]]], tmp_path: Path
) -> None:
    environment, outputs = counted_clang
    file = tmp_path / "it.hsaco"
    hipcc("--genco", PROGRAMS / "shared_variables.hip", "-o", file, environment=environment)
    before = outputs().count("module.o")

    def obtain(_: int) -> str:
        return hipcc("--virtual-rocm-kernel", file, "read_all", environment=environment).stdout.strip()

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(obtain, range(8)))
    assert len(set(paths)) == 1
    assert Path(paths[0]).read_bytes()[:4] == b"\x7fELF"
    assert outputs().count("module.o") - before == 1


def test_processes_that_race_for_a_container_compile_it_once(
    hipcc: Hipcc, counted_clang: tuple[dict[str, str], Callable[[], list[str]]], tmp_path: Path
) -> None:
    environment, outputs = counted_clang
    source = PROGRAMS / "shared_variables.hip"

    def make(number: int) -> bytes:
        file = tmp_path / f"{number}.hsaco"
        hipcc("--genco", source, "-o", file, environment=environment)
        return file.read_bytes()

    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(make, range(8)))
    assert len(set(contents)) == 1
    front_ends = [name for name in outputs() if name == "module.bc"]
    device_sources = len(list((ROOT / "virtual_rocm" / "device").glob("*.cpp")))
    assert len(front_ends) == 1 + device_sources


def test_a_changed_header_is_noticed(hipcc: Hipcc, tmp_path: Path) -> None:
    header, source, file = tmp_path / "value.h", tmp_path / "k.hip", tmp_path / "k.hsaco"
    source.write_text(
        '#include <hip/hip_runtime.h>\n#include "value.h"\n'
        'extern "C" __global__ void fill(int* out) { *out = VALUE; }\n'
    )
    keys = []
    for value in (1, 2, 1):
        header.write_text(f"#define VALUE {value}\n")
        hipcc("--genco", source, "-o", file)
        keys.append(Container.read(file).key)
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]


@pytest.mark.parametrize("options", [["-O1"], ["-DNAME=1"], ["--offload-arch=gfx90a"]])
def test_the_key_holds_what_the_code_depends_on(hipcc: Hipcc, tmp_path: Path, options: list[str]) -> None:
    source = tmp_path / "k.hip"
    source.write_text(
        "#include <hip/hip_runtime.h>\n#ifndef NAME\n#define NAME 0\n#endif\n"
        'extern "C" __global__ void fill(int* out) { *out = NAME; }\n'
    )
    hipcc("--genco", source, "-o", tmp_path / "plain.hsaco")
    hipcc("--genco", *options, source, "-o", tmp_path / "other.hsaco")
    assert Container.read(tmp_path / "plain.hsaco").key != Container.read(tmp_path / "other.hsaco").key


def test_a_compiler_that_is_killed_leaves_nothing_half_made(
    counted_clang: tuple[dict[str, str], Callable[[], list[str]]], hipcc: Hipcc, tmp_path: Path
) -> None:
    environment, _ = counted_clang
    file = tmp_path / "it.hsaco"
    hipcc("--genco", PROGRAMS / "shared_variables.hip", "-o", file, environment=environment)
    contents = Container.read(file)
    wanted = Path(contents.cache) / contents.kernels["read_all"]
    command = [sys.executable, "-m", "virtual_rocm.compiler", "--virtual-rocm-kernel", str(file), "read_all"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    for delay in (0.05, 0.3, 0.5):
        process = subprocess.Popen(
            command,
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not wanted.exists() or wanted.read_bytes()[:4] == b"\x7fELF"
    # The lock of the dead is free.
    assert kernel_path(hipcc, file, environment).read_bytes()[:4] == b"\x7fELF"


def kernel_path(hipcc: Hipcc, file: Path, environment: dict[str, str]) -> Path:
    return Path(hipcc("--virtual-rocm-kernel", file, "read_all", environment=environment).stdout.strip())


def test_a_function_is_compiled_into_its_kernel_however_large_it_is(
    hipcc: Hipcc, llvm_tool: Callable[[str], str], tmp_path: Path
) -> None:
    file = tmp_path / "it.hsaco"
    hipcc("--genco", "--offload-arch=gfx942", "-O2", PROGRAMS / "large_function.hip", "-o", file)
    code = subprocess.run(
        [llvm_tool("llvm-objdump"), "-d", "--no-show-raw-insn", str(kernel_of(hipcc, file, "large"))],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "ds_write" in code
    assert "s_swappc_b64" not in code
