# SPDX-License-Identifier: MIT
"""Environments for ranks: what a machine cannot run is known before anything is downloaded; what failed leaves nothing behind."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from conformance import environments
from conformance.environments import EnvironmentFailure, add_base, find_interpreter, missing_downloads, unfit
from conformance.environments import wheel_environment as make
from conformance.wheels import Wheel

HERE = f"cp{sys.version_info.major}{sys.version_info.minor}"


def wheel(platform: str = "manylinux2014_x86_64", python: str = HERE, size: int = 1_000_000) -> Wheel:
    return Wheel("amd-mori", "9.9.9", f"{python}-{python}-{platform}", "a" * 64, size, "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("platform", "libc", "reason"),
    [
        ("manylinux_2_39_x86_64", "2.36", "needs a C library (glibc) of version 2.39, this system has 2.36"),
        ("manylinux_2_35_x86_64", "2.35", None),
        ("manylinux_2_35_x86_64", "2.4", "this system has 2.4"),
        ("manylinux2014_x86_64", "2.17", None),
    ],
)
def test_a_wheel_for_a_newer_system_is_known_by_its_tag(platform: str, libc: str, reason: str | None) -> None:
    found = unfit(wheel(platform), libc)
    assert (found is None) if reason is None else (found is not None and reason in found)


def test_a_wheel_that_does_not_fit_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=r"2\.999") as caught:
        make(wheel("manylinux_2_999_x86_64"), cache=tmp_path)
    assert caught.value.machine
    assert list(tmp_path.iterdir()) == []


def test_a_missing_interpreter_is_the_machines_lack_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "_answers", lambda command, version: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        EnvironmentFailure, match=r"Python 3\.10 is needed for cp310 wheels.*uv python install 3\.10"
    ) as e:
        find_interpreter("cp310")
    assert e.value.machine


def test_the_interpreter_that_runs_this_is_found() -> None:
    found = find_interpreter(HERE)
    assert found.is_absolute()
    assert found.exists()


def test_a_wheel_that_cannot_be_installed_leaves_nothing_and_tells_what_the_installer_said(tmp_path: Path) -> None:
    broken = tmp_path / wheel().filename
    broken.write_bytes(b"no archive")
    with pytest.raises(EnvironmentFailure, match=r"9\.9\.9@.* cannot be installed: ") as caught:
        make(wheel(), file=broken, cache=tmp_path)
    assert not caught.value.machine
    assert caught.value.lines
    assert [item for item in (tmp_path / "environments").iterdir() if item.is_dir()] == []


def test_a_full_disk_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(environments, "_create", full)
    with pytest.raises(EnvironmentFailure, match=r"No space left on device; free some space.*MORIEP_CACHE"):
        make(wheel(), cache=tmp_path)


def test_a_base_of_another_python_is_refused(tmp_path: Path) -> None:
    environment = environments.RankEnvironment(tmp_path / "python", tmp_path, tmp_path)
    with pytest.raises(EnvironmentFailure, match=r"is no Python 3\.9, for which 9\.9\.9@cp39 is"):
        add_base(environment, wheel(python="cp39"), base=Path(sys.executable))


def test_a_base_lends_its_packages(tmp_path: Path) -> None:
    environment = environments.RankEnvironment(tmp_path / "python", tmp_path, tmp_path)
    add_base(environment, wheel(), base=Path(sys.executable))
    lines = (tmp_path / "beside.pth").read_text().splitlines()
    assert str(Path(pytest.__file__).resolve().parent.parent) in lines


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_downloads_are_known_before_they_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(10**12, 0, 10**12))
    unfitting = wheel("manylinux_2_999_x86_64")
    download, disk = missing_downloads([wheel(), unfitting], cache=tmp_path)
    assert download == 3_000_000_000 + 1_000_000
    assert disk > download
    assert missing_downloads([wheel()], base=Path(sys.executable), cache=tmp_path)[0] == 1_000_000
    assert missing_downloads([unfitting], cache=tmp_path) == (0, 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(10**12, 0, 10**9))
    with pytest.raises(EnvironmentFailure, match=r"5\.6 GB are needed .* 1\.0 GB are free"):
        missing_downloads([wheel()], cache=tmp_path)
