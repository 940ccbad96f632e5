# SPDX-License-Identifier: MIT
"""The set-up around a program: environment variables, the folder that looks like ROCm, the doctor."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from virtual_rocm import doctor as doctor_module
from virtual_rocm.doctor import Finding, doctor, examine
from virtual_rocm.environment import VirtualEnvironment, prepare, runtime_folder
from virtual_rocm.errors import SetupError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def setup(libraries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VirtualEnvironment:
    monkeypatch.setenv("VIRTUAL_ROCM_LIBRARIES", str(libraries))
    monkeypatch.setenv("VIRTUAL_ROCM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "packages").mkdir()
    return prepare([tmp_path / "packages"])


def test_variables_are_added_in_front_and_the_callers_own_stay(setup: VirtualEnvironment) -> None:
    merged = setup.apply_to(
        {"LD_LIBRARY_PATH": "/mine", "PYTHONPATH": "/code", "ROCM_PATH": "/other", "HOME": "/home/x"}
    )
    assert merged["LD_LIBRARY_PATH"] == f"{setup.libraries}:/mine"
    assert merged["PYTHONPATH"].endswith("bridge:/code")
    assert merged["ROCM_PATH"] == "/other"
    assert merged["HOME"] == "/home/x"
    assert merged["LD_PRELOAD"] == "libvirtual_rocm_tensors.so"


def test_without_the_torch_bridge_nothing_is_preloaded(setup: VirtualEnvironment, tmp_path: Path) -> None:
    plain = prepare([tmp_path / "packages"], torch_bridge=False)
    assert plain.root == setup.root
    assert "LD_PRELOAD" not in plain.variables
    assert "PYTHONPATH" not in plain.variables


def test_a_set_up_is_made_once_also_when_ranks_race(
    setup: VirtualEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ROCM_CACHE", str(tmp_path / "raced"))
    with ThreadPoolExecutor(8) as pool:
        roots = {made.root for made in pool.map(lambda _: prepare([tmp_path / "packages"]), range(16))}
    assert len(roots) == 1
    assert [path.name for path in (tmp_path / "raced" / "setup").iterdir()] == [roots.pop().name]


def test_the_folder_looks_like_rocm(setup: VirtualEnvironment) -> None:
    assert (setup.rocm / ".info" / "version").read_text().startswith("7.")
    assert (setup.rocm / "lib" / "libamdhip64.so").resolve().name == "libamdhip64.so.7"
    assert (setup.rocm / "include" / "hip" / "hip_runtime.h").exists()
    text = subprocess.run(
        [setup.rocm / "bin" / "rocm_agent_enumerator"], capture_output=True, text=True, check=True
    ).stdout
    assert text.split() == ["gfx000", "gfx942"]
    for tool in ("opt", "llvm-link"):
        assert os.access(setup.rocm / "lib" / "llvm" / "bin" / tool, os.X_OK)


def test_the_hipcc_of_that_folder_is_ours_whatever_the_environment(setup: VirtualEnvironment, tmp_path: Path) -> None:
    result = subprocess.run(
        [setup.rocm / "bin" / "hipcc", "--version"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "LD_PRELOAD": "libnothing.so"},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0 or "no clang" in result.stderr, result.stderr


def test_libraries_that_are_not_built_are_named_with_the_command_that_builds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ROCM_LIBRARIES", str(tmp_path))
    with pytest.raises(SetupError, match="cmake -S virtual_rocm/native"):
        runtime_folder()


def test_the_doctor_finds_nothing_missing_here(setup: VirtualEnvironment) -> None:
    findings = {finding.subject: finding for finding in examine()}
    for subject in ("system", "processor", "native libraries", "cache", "device memory"):
        assert findings[subject].ok, findings[subject].detail


def test_the_doctor_prints_one_command_and_runs_it_when_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "installed"

    def check() -> Finding:
        return Finding("thing", marker.exists(), "a thing", (sys.executable, "-c", f"open({str(marker)!r}, 'w')"))

    monkeypatch.setattr(doctor_module, "_CHECKS", (check,))
    assert doctor() == 1
    output = capfd.readouterr().out
    assert "MISSING  thing: a thing" in output
    assert str(marker) in output
    assert not marker.exists()
    assert doctor(fix=True) == 0
    assert marker.exists()


def test_the_doctor_fails_when_its_command_does(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    finding = Finding("thing", False, "a thing", (sys.executable, "-c", "raise SystemExit(7)"))
    monkeypatch.setattr(doctor_module, "_CHECKS", (lambda: finding,))
    assert doctor(fix=True) == 1
    assert "exit code 7" in capfd.readouterr().err


def test_the_package_names_no_program_that_runs_on_it() -> None:
    """It knows HIP and not MORI: a name in its sources would be knowledge in the wrong place."""
    for path in sorted((ROOT / "virtual_rocm").rglob("*")):
        if path.suffix in (".py", ".cpp", ".hpp", ".h", ".txt", ".map") and "mori" in path.read_text().lower():
            pytest.fail(f"{path.relative_to(ROOT)} names mori")
