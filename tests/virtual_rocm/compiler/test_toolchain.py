# SPDX-License-Identifier: MIT
"""What is missing on a machine is named, with what to install."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from virtual_rocm.compiler import toolchain as module
from virtual_rocm.compiler.errors import ToolMissing
from virtual_rocm.compiler.toolchain import Toolchain, find_rocm_hipcc, find_toolchain


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing remembered, and nothing found but what a test puts there."""
    monkeypatch.setenv("VIRTUAL_ROCM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VIRTUAL_ROCM_CLANG", raising=False)
    find_toolchain.cache_clear()
    yield
    find_toolchain.cache_clear()


def program(path: Path, body: str) -> Path:
    """A shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def fake_clang(folder: Path, *, release: int = 19, targets: str = "amdgcn", headers: bool = True) -> Path:
    """Something that answers like a clang."""
    resources = folder / "resources"
    if headers:
        (resources / "include" / "cuda_wrappers").mkdir(parents=True)
        (resources / "include" / "__clang_hip_runtime_wrapper.h").touch()
    return program(
        folder / "bin" / "clang",
        f'case "$1" in --version) echo "clang version {release}.1.0";; --print-targets) echo "{targets}";; '
        f'--print-resource-dir) echo "{resources}";; esac',
    )


def complete(folder: Path, release: int = 19) -> Path:
    """A whole fake toolchain."""
    clang = fake_clang(folder, release=release)
    program(folder / "bin" / "ld.lld", "true")
    (folder / "lib").mkdir()
    (folder / "lib" / f"libLLVM.so.{release}.1").touch()
    return clang


def test_no_clang_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_candidates", lambda oldest: [])
    with pytest.raises(ToolMissing, match="apt-get install clang-19 lld-19"):
        find_toolchain()


def test_a_named_clang_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ROCM_CLANG", "/nowhere/clang")
    with pytest.raises(ToolMissing, match="/nowhere/clang"):
        find_toolchain()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"release": 14}, "release 14; 17 or newer"),
        ({"targets": "x86-64"}, "without the AMDGPU target"),
        ({"headers": False}, "libclang-common-19-dev"),
    ],
)
def test_a_clang_that_does_not_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    clang = fake_clang(tmp_path, **arguments)  # type: ignore[arg-type]
    monkeypatch.setenv("VIRTUAL_ROCM_CLANG", str(clang))
    with pytest.raises(ToolMissing, match=message):
        find_toolchain()


def test_a_missing_linker_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clang = fake_clang(tmp_path, release=21)
    monkeypatch.setenv("VIRTUAL_ROCM_CLANG", str(clang))
    with pytest.raises(ToolMissing, match="install lld-21"):
        find_toolchain()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clang = fake_clang(tmp_path, release=21)
    program(tmp_path / "bin" / "ld.lld", "true")
    monkeypatch.setenv("VIRTUAL_ROCM_CLANG", str(clang))
    with pytest.raises(ToolMissing, match="install libllvm21"):
        find_toolchain()


def test_an_incomplete_release_does_not_hide_a_complete_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first, second = fake_clang(tmp_path / "a", release=21), complete(tmp_path / "b", release=20)
    monkeypatch.setattr(module, "_candidates", lambda oldest: [first, second])
    assert find_toolchain().release == 20


def test_what_was_found_is_remembered_until_it_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clang = complete(tmp_path)
    monkeypatch.setenv("VIRTUAL_ROCM_CLANG", str(clang))
    found = find_toolchain()
    find_toolchain.cache_clear()
    monkeypatch.setattr(module, "_examine", lambda _: pytest.fail("examined again"))
    assert find_toolchain() == found
    find_toolchain.cache_clear()
    found.linker.unlink()
    with pytest.raises(pytest.fail.Exception, match="examined again"):
        find_toolchain()


def test_it_survives_as_text(tmp_path: Path) -> None:
    toolchain = Toolchain(19, "19.1.7", *(tmp_path / name for name in "abcd"))
    assert Toolchain.load(toolchain.dump()) == toolchain


def test_rocms_own_hipcc_is_used_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = program(tmp_path / "hipcc", "echo real")
    monkeypatch.setenv("VIRTUAL_ROCM_REAL_HIPCC", str(real))
    assert find_rocm_hipcc() == real
    monkeypatch.setenv("VIRTUAL_ROCM_REAL_HIPCC", "")
    assert find_rocm_hipcc() is None
