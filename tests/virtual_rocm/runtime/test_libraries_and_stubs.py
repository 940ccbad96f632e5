# SPDX-License-Identifier: MIT
"""Which libraries a package lacks, and the stubs that take their place: on packages made here, with the C compiler."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from virtual_rocm.elf import NeededSymbol, read_shared_object
from virtual_rocm.errors import ElfError
from virtual_rocm.libraries import StubPlan, SystemLibraries, find_consumers, plan_libraries, runtime_library
from virtual_rocm.stubs import build_stubs, find_c_compiler, is_data

pytestmark = pytest.mark.skipif(
    not any(shutil.which(name) for name in ("cc", "gcc", "clang", "clang-19")), reason="needs a C compiler"
)


def build(folder: Path, soname: str, source: str, *options: str, version_script: str = "") -> Path:
    """A shared library from C source; its own libraries are found in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    code, output = folder / f"{soname}.c", folder / soname
    code.write_text(source)
    command = [
        find_c_compiler(),
        "-shared",
        "-fPIC",
        f"-Wl,-soname,{soname}",
        str(code),
        "-o",
        str(output),
        *options,
    ]
    if version_script:
        (folder / f"{soname}.map").write_text(version_script)
        command.append(f"-Wl,--version-script={folder / f'{soname}.map'}")
    subprocess.run(command, check=True)
    return output


# A variable under a C++ name, which tells that it is one.
TABLE = '__asm__("_ZN5plain5tableE")'


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Site-packages with one package that needs the HIP runtime, a versioned library and an unversioned one."""
    real = tmp_path / "real"
    build(
        real,
        "libamdhip64.so.7",
        "int hipInit(unsigned f) { return f; }",
        version_script="hip_4.2 { global: hipInit; };",
    )
    build(
        real,
        "libversioned.so.1",
        "int old(void) { return 1; } int newer(void) { return 2; }",
        version_script="V_1 { global: old; }; V_2 { global: newer; } V_1;",
    )
    build(real, "libplain.so.3", f"int plain(int a) {{ return a; }} int table[4] {TABLE} = {{1, 2, 3, 4}};")
    build(
        tmp_path / "site" / "package",
        "libuser.so",
        "#include <stdlib.h>\n"
        f"int hipInit(unsigned); int old(void); int newer(void); int plain(int); extern int table[4] {TABLE};\n"
        "__attribute__((weak)) int perhaps(void);\n"
        "int user(void) { return hipInit(0) + old() + newer() + plain(1) + table[0] + (perhaps ? perhaps() : 0) + abs(0); }\n"
        'char *user_environment(void) { return getenv("HOME"); }',
        *[str(real / name) for name in ("libamdhip64.so.7", "libversioned.so.1", "libplain.so.3")],
    )
    build(
        tmp_path / "site" / "unrelated",
        "libother.so",
        "int other(void) { return 1; }",
        str(real / "libplain.so.3"),
    )
    return tmp_path / "site"


NO_LIBRARIES = SystemLibraries([])


def test_only_packages_that_use_the_runtime_are_looked_at(package: Path) -> None:
    assert [library.path.name for library in find_consumers([package])] == ["libuser.so"]
    assert find_consumers([package], frozenset({"package"})) == []


def test_a_plan_names_each_missing_library_with_what_is_taken_from_it(package: Path) -> None:
    plan = plan_libraries(find_consumers([package]), NO_LIBRARIES)
    assert plan.runtime_names == {"libamdhip64.so.7": "libamdhip64.so.7"}
    wanted = {stub.soname: {(symbol.name, symbol.version) for symbol in stub.symbols} for stub in plan.stubs}
    assert wanted == {
        "libversioned.so.1": {("old", "V_1"), ("newer", "V_2")},
        "libplain.so.3": {("plain", None), ("_ZN5plain5tableE", None)},
    }
    assert plan.unresolved == ()
    assert plan.preload == ()


def test_a_library_that_the_system_has_is_left_to_it(package: Path) -> None:
    plan = plan_libraries(find_consumers([package]), SystemLibraries([package.parent / "real"]))
    assert plan.stubs == ()


def test_a_system_library_that_is_too_old_is_stubbed(package: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    build(old, "libversioned.so.1", "int old(void) { return 1; }", version_script="V_1 { global: old; };")
    plan = plan_libraries(find_consumers([package]), SystemLibraries([old]))
    assert {stub.soname for stub in plan.stubs} == {"libversioned.so.1", "libplain.so.3"}


def test_a_program_that_wants_a_newer_c_library_is_told_so(package: Path, tmp_path: Path) -> None:
    old = tmp_path / "base"
    build(old, "libc.so.6", "int nothing(void) { return 0; }", "-nostdlib")
    plan = plan_libraries(find_consumers([package]), SystemLibraries([old]))
    assert any(text.startswith("GLIBC_") and text.endswith(" of libc.so.6") for text in plan.too_new)
    assert "libc.so.6" not in {stub.soname for stub in plan.stubs}


def test_a_bundled_copy_that_would_be_found_first_is_preloaded_by_name(package: Path, tmp_path: Path) -> None:
    bundle = package / "package.libs"
    name = "libamdhip64-0badf00d.so.7"
    build(bundle, name, "int hipInit(unsigned f) { return f; }", version_script="hip_4.2 { global: hipInit; };")
    build(
        package / "package",
        "libbundled.so",
        "int hipInit(unsigned); int bundled(void) { return hipInit(1); }",
        str(bundle / name),
        "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../package.libs",
    )
    plan = plan_libraries(find_consumers([package]), NO_LIBRARIES)
    assert plan.preload == (name,)
    assert plan.runtime_names[name] == "libamdhip64.so.7"


def test_a_package_loads_with_its_stubs_and_the_log_names_each_call(package: Path, tmp_path: Path) -> None:
    plan = plan_libraries(find_consumers([package]), NO_LIBRARIES)
    folder = tmp_path / "stubs"
    folder.mkdir()
    build_stubs(plan.stubs, folder)
    shutil.copy(package.parent / "real" / "libamdhip64.so.7", folder)
    log = tmp_path / "log"
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "import ctypes, sys; print(ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL).user())",
            str(package / "package" / "libuser.so"),
        ],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), "LD_BIND_NOW": "1", "VIRTUAL_ROCM_LOG": str(log)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "0\n", "")
    assert [line.split()[2:] for line in log.read_text().splitlines()] == [
        ["old", "of", "libversioned.so.1", "called"],
        ["newer", "of", "libversioned.so.1", "called"],
        ["plain", "of", "libplain.so.3", "called"],
    ]


def test_the_stub_of_ibverbs_reports_an_empty_list_of_devices(tmp_path: Path) -> None:
    symbol = NeededSymbol("ibv_get_device_list", "libibverbs.so.1", "IBVERBS_1.1", weak=False, called=True)
    build_stubs([StubPlan("libibverbs.so.1", (symbol,))], tmp_path)
    library = ctypes.CDLL(str(tmp_path / "libibverbs.so.1"))
    library.ibv_get_device_list.restype = ctypes.POINTER(ctypes.c_void_p)
    count = ctypes.c_int(99)
    devices = library.ibv_get_device_list(ctypes.byref(count))
    assert count.value == 0
    assert devices[0] is None
    given = read_shared_object(tmp_path / "libibverbs.so.1").gives
    assert ("ibv_get_device_list", "IBVERBS_1.1") in {(symbol.name, symbol.version) for symbol in given}


@pytest.mark.parametrize(
    ("name", "called", "data"),
    [
        ("_ZN4grpc6Status2OKE", False, True),
        ("_ZN4grpc6Status2OKE", True, False),
        ("_ZTVN6google8protobuf8internal12MapFieldBaseE", False, True),
        ("_ZTISt9bad_alloc", False, True),
        ("_ZN6google8protobuf8internal26fixed_address_empty_stringB5cxx11E", False, True),
        ("_ZN6google8protobuf7Message21CheckTypeAndMergeFromERKNS0_11MessageLiteE", False, False),
        ("_ZN4grpc13ClientContextC1Ev", False, False),
        ("_ZNK6google8protobuf7Message11GetTypeNameB5cxx11Ev", False, False),
        ("_ZSt4cout", False, True),
        ("_Z3addii", False, False),
        ("_Z3var", False, True),
        ("plain_c_name", False, False),
    ],
)
def test_objects_are_told_from_functions(name: str, called: bool, data: bool) -> None:
    assert is_data(NeededSymbol(name, None, None, weak=False, called=called)) is data


@pytest.mark.parametrize(
    ("soname", "ours"),
    [
        ("libamdhip64.so.7", "libamdhip64.so.7"),
        ("libamdhip64.so", "libamdhip64.so.7"),
        ("libamdhip64-36fb0b13.so.7.2.70200", "libamdhip64.so.7"),
        ("libhsa-runtime64-c534feb1.so.1.18.70200", "libhsa-runtime64.so.1"),
        ("libamdhip64extra.so.1", None),
        ("librocm_smi64.so.1", None),
    ],
)
def test_the_runtimes_names_are_known_also_when_hashed(soname: str, ours: str | None) -> None:
    assert runtime_library(soname) == ours


@pytest.mark.parametrize("contents", [b"", b"\x7fELF", b"#!/bin/sh\n", b"\x7fELF\x02\x01" + bytes(58)])
def test_what_is_no_shared_object_is_an_error_of_its_own(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "file.so"
    path.write_bytes(contents)
    with pytest.raises(ElfError, match=r"file\.so"):
        read_shared_object(path)


def test_symbols_are_read_as_readelf_does(libraries: Path) -> None:
    if not shutil.which("readelf"):
        pytest.skip("needs readelf")
    path = libraries / "libamdhip64.so.7"
    text = subprocess.run(["readelf", "-W", "--dyn-syms", path], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in text.splitlines() if line[:7].strip().rstrip(":").isdigit()]
    rows = [row for row in rows if len(row) > 7 and row[4] != "LOCAL"]
    undefined = {row[7].replace("@@", "@").split("@")[0] for row in rows if row[6] == "UND"}
    defined = {tuple(row[7].replace("@@", "@").split("@")) for row in rows if row[6] not in ("UND", "ABS")}
    library = read_shared_object(path)
    assert {symbol.name for symbol in library.needs} == undefined
    assert {(symbol.name, symbol.version) for symbol in library.gives if symbol.name.startswith("hip")} == {
        pair for pair in defined if pair[0].startswith("hip")
    }
