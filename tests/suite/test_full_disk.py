# SPDX-License-Identifier: MIT
"""A disk that is really full: nothing that was measured is lost, nothing is blamed on a release, one message says what to do.

The disk is a file system of half a megabyte in memory. Making one needs the right to mount, so elsewhere these are skipped.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.environments import EnvironmentFailure, wheel_environment
from conformance.errors import ResultsError
from conformance.journal import Journal
from conformance.results import Results, new_header, read_results, write_results
from conformance.suite.case_list import CASES
from conformance.suite.lanes import plain_lane
from conformance.suite.launch import Job, run_jobs
from conformance.verdicts import Evidence, Record, Verdict
from conformance.wheels import Wheel
from tests.suite.test_witnesses import PYTHON, needs_torch

WHEEL = Wheel("amd-mori", "1.2.4", "cp310-cp310-any", "a" * 64, 1, "2026-10-12T00:00:00Z")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all space there is."""
    file = folder / "filling"
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as target:
        while True:
            target.write(b"x" * 4096)
    return file


def record(requirement: str) -> Record:
    # Longer than the rest of a page, so that it does not fit where a shorter one still would.
    evidence = Evidence("command", ("seen " * 2000,))
    return Record(requirement, WHEEL.label, WHEEL.sha256, "virtual", Verdict.PASS, "fine", evidence)


def test_verdicts_that_were_kept_stay_and_the_run_goes_on_once_there_is_space(small_disk: Path) -> None:
    place = small_disk / "virtual" / "wheel.jsonl"
    journal = Journal(place, WHEEL, "virtual")
    journal.append(record("OVF-7"))
    filling = fill(small_disk)
    with pytest.raises(ResultsError, match="free some space and give the same command again"):
        journal.append(record("OVF-8"))
    journal.abandon()
    filling.unlink()
    with Journal(place, WHEEL, "virtual") as again:
        assert again.known("OVF-7") is not None
        assert again.known("OVF-8") is None
        again.append(record("OVF-8"))
    assert [item.requirement for item in read_results(place).records] == ["OVF-7", "OVF-8"]


def test_results_that_cannot_be_written_leave_the_earlier_ones(small_disk: Path) -> None:
    path = small_disk / "results.jsonl"
    results = Results(new_header([WHEEL], ["virtual"], ["OVF-7"], {}), (record("OVF-7"),))
    write_results(results, path)
    before = path.read_bytes()
    fill(small_disk)
    with pytest.raises(ResultsError, match="cannot be written"):
        write_results(results, path)
    assert path.read_bytes() == before
    assert sorted(item.name for item in small_disk.iterdir()) == ["filling", "results.jsonl"]


def test_an_environment_that_does_not_fit_is_no_environment(small_disk: Path) -> None:
    (small_disk / "environments").mkdir()
    fill(small_disk)
    with pytest.raises(EnvironmentFailure, match=r"No space left on device|os error 28") as caught:
        wheel_environment(WHEEL, cache=small_disk)
    assert not caught.value.machine, "space can be made"
    assert [item for item in (small_disk / "environments").iterdir() if item.is_dir()] == []


@needs_torch
def test_ranks_that_cannot_write_are_our_own_fault(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    # Rows wide enough that what a rank has seen does not fit, and small enough that the ranks start.
    case = CASES["uniform"].with_(hidden=8192)
    (outcome,) = run_jobs([Job(case, {})], plain_lane(PYTHON), deadline=100)
    assert outcome.kind == "engine_error", outcome.message
    assert "full" in outcome.message
    assert "free some space" in outcome.message


@needs_torch
def test_a_disk_that_was_full_before_starts_no_ranks(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    fill(small_disk)
    (outcome,) = run_jobs([Job(CASES["uniform"], {})], plain_lane(PYTHON), deadline=100)
    assert outcome.kind == "engine_error", outcome.message
    assert "cannot be written" in outcome.message
    assert [item.name for item in small_disk.iterdir()] == ["filling"]
