# SPDX-License-Identifier: MIT
"""Which compiler is taken for which virtual GPU, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtual_rocm import architectures, doctor
from virtual_rocm.architectures import architecture_variables, checked_architecture, compiler_for, debian_packages
from virtual_rocm.compiler.errors import ToolMissing
from virtual_rocm.compiler.toolchain import find_toolchain
from virtual_rocm.errors import SetupError

from .test_toolchain import complete, empty_cache

__all__ = ["empty_cache"]


@pytest.fixture(autouse=True)
def without_rocm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ROCM_REAL_HIPCC", "")
    monkeypatch.delenv("VIRTUAL_ROCM_ARCHITECTURE", raising=False)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no LLVM but what a test puts there."""

    def which(name: str) -> str | None:
        found = Path(name) if Path(name).is_relative_to(tmp_path) else tmp_path / Path(name).name
        return str(found) if found.exists() else None

    monkeypatch.setattr("virtual_rocm.compiler.toolchain.shutil.which", which)
    return tmp_path


def install(machine: Path, release: int) -> Path:
    named = machine / f"clang-{release}"
    named.symlink_to(complete(machine / str(release), release))
    return named


def test_a_newer_release_beside_the_usual_one_compiles_for_gfx950_alone(machine: Path) -> None:
    usual, newer = install(machine, 19), install(machine, 22)
    for architecture, clang in (("gfx942", usual), ("gfx950", newer)):
        found = compiler_for(architecture)
        assert found is not None
        assert found.clang == clang
    assert architecture_variables("gfx942") == {"VIRTUAL_ROCM_ARCHITECTURE": "gfx942"}
    assert architecture_variables("gfx950") == {
        "VIRTUAL_ROCM_ARCHITECTURE": "gfx950",
        "VIRTUAL_ROCM_CLANG": str(newer),
    }


def test_what_gfx950_needs_is_named(machine: Path) -> None:
    install(machine, 19)
    with pytest.raises(ToolMissing, match="for gfx950: no clang of release 20 to 22"):
        compiler_for("gfx950")


def test_a_clang_that_is_named_is_taken_or_refused(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(machine, 22)
    monkeypatch.setenv("VIRTUAL_ROCM_CLANG", str(install(machine, 19)))
    with pytest.raises(ToolMissing, match=r"for gfx950: VIRTUAL_ROCM_CLANG names clang 19\.1\.0; 20 or newer"):
        compiler_for("gfx950")
    monkeypatch.setenv("VIRTUAL_ROCM_CLANG", str(install(machine, 21)))
    find_toolchain.cache_clear()
    found = compiler_for("gfx950")
    assert found is not None
    assert found.release == 21


def test_the_virtual_gpu_is_what_the_command_line_says_then_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert checked_architecture(None) == "gfx942"
    monkeypatch.setenv("VIRTUAL_ROCM_ARCHITECTURE", "gfx950")
    assert (checked_architecture(None), checked_architecture("gfx942")) == ("gfx950", "gfx942")
    monkeypatch.setenv("VIRTUAL_ROCM_ARCHITECTURE", "gfx1250")
    with pytest.raises(SetupError, match="gfx942 or gfx950, not gfx1250"):
        checked_architecture(None)


@pytest.mark.parametrize(("offered", "release"), [({19, 20, 22}, 22), ({19, 21}, 21), (set(), 20)])
def test_the_newest_release_that_the_distribution_offers_is_installed(
    monkeypatch: pytest.MonkeyPatch, offered: set[int], release: int
) -> None:
    monkeypatch.setattr(architectures, "_is_offered", lambda number: number in offered)
    assert debian_packages("gfx950") == (f"clang-{release}", f"lld-{release}")
    assert debian_packages("gfx942") == ("clang-19", "lld-19")


def test_the_doctor_installs_for_gfx950_only_if_it_is_asked_for(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    marker = machine / "installed"
    monkeypatch.setattr(doctor, "_CHECKS", ())
    monkeypatch.setattr(doctor, "_install_compiler", lambda architecture: ("touch", str(marker)))
    assert doctor.doctor(fix=True) == 0
    said = capfd.readouterr().out
    assert "for gfx950: no clang of release 20 to 22" in said
    assert "doctor --architecture gfx950 --fix" in said
    assert not marker.exists()
    assert doctor.doctor(architecture="gfx950") == 1
    assert "MISSING  device compiler for gfx950" in capfd.readouterr().out
    assert not marker.exists()
    doctor.doctor(architecture="gfx950", fix=True)
    assert marker.exists()
