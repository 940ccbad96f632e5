# SPDX-License-Identifier: MIT
"""What was measured is never lost and never mixed: torn lines, killed runs, full disks, other revisions, other hashes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from conformance import journal as journal_module
from conformance.catalogue import suite_revision
from conformance.errors import ResultsError
from conformance.journal import Journal, journal_path, read_journal
from conformance.results import read_results
from conformance.verdicts import Evidence, Record, Verdict
from conformance.wheels import Wheel

WHEEL = Wheel("amd-mori", "1.2.3", "cp310-cp310-any", "b" * 64, 1, "2026-02-01T00:00:00Z")


def record(requirement: str, verdict: Verdict = Verdict.PASS) -> Record:
    return Record(requirement, WHEEL.label, WHEEL.sha256, "virtual", verdict, "seen", Evidence("a command"))


def place(folder: Path) -> Path:
    return journal_path(folder, WHEEL, "virtual")


def write(folder: Path, *records: Record, fresh: bool = False) -> None:
    with Journal(place(folder), WHEEL, "virtual", fresh=fresh) as journal:
        for item in records:
            journal.append(item)


def known(folder: Path, wheel: Wheel = WHEEL, lane: str = "virtual") -> list[str]:
    return [requirement for requirement, _ in read_journal(place(folder), wheel, lane, suite_revision())]


def test_a_complete_journal_is_a_results_file(tmp_path: Path) -> None:
    write(tmp_path, record("OVF-7"), record("OVF-8", Verdict.FAIL))
    results = read_results(place(tmp_path))
    assert results.header.wheels == (WHEEL,)
    assert results.counts() == {"pass": 1, "fail": 1}


def test_a_verdict_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    with Journal(place(tmp_path), WHEEL, "virtual") as journal:
        journal.append(record("OVF-7"))
        assert known(tmp_path) == ["OVF-7"]


@pytest.mark.parametrize("cut", [1, 20, 150])
def test_a_file_cut_off_is_read_up_to_its_last_whole_line(tmp_path: Path, cut: int) -> None:
    write(tmp_path, record("OVF-7"))
    whole = place(tmp_path).read_bytes()
    write(tmp_path, record("OVF-8"))
    lines = place(tmp_path).read_bytes().split(b"\n")
    place(tmp_path).write_bytes(b"\n".join(lines[:3])[:-cut])
    assert known(tmp_path) == ["OVF-7"]
    write(tmp_path)
    assert place(tmp_path).read_bytes() == whole, "the torn line is gone, the footer is back"


def test_a_run_that_was_killed_goes_on(tmp_path: Path) -> None:
    journal = Journal(place(tmp_path), WHEEL, "virtual")
    journal.append(record("OVF-7"))
    journal.abandon()
    with pytest.raises(ResultsError, match="cut off"):
        read_results(place(tmp_path))
    with Journal(place(tmp_path), WHEEL, "virtual") as again:
        assert again.known("OVF-7") == record("OVF-7")
        assert again.known("OVF-8") is None


@pytest.mark.parametrize("verdict", [Verdict.ENGINE_ERROR, Verdict.NOT_RUN])
def test_what_says_nothing_about_the_wheel_is_measured_again(tmp_path: Path, verdict: Verdict) -> None:
    write(tmp_path, record("OVF-7", verdict))
    with Journal(place(tmp_path), WHEEL, "virtual") as journal:
        assert journal.known("OVF-7") is None
        journal.append(record("OVF-7"))
    assert read_journal(place(tmp_path), WHEEL, "virtual", suite_revision())["OVF-7", ""].verdict is Verdict.PASS


def test_fresh_forgets(tmp_path: Path) -> None:
    write(tmp_path, record("OVF-7"))
    write(tmp_path, record("OVF-8"), fresh=True)
    assert known(tmp_path) == ["OVF-8"]


def test_another_revision_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, record("OVF-7"))
    before = place(tmp_path).read_bytes()
    monkeypatch.setattr("conformance.results.suite_revision", lambda: "another")
    write(tmp_path, record("OVF-8"))
    assert list(read_journal(place(tmp_path), WHEEL, "virtual", "another")) == [("OVF-8", "")]
    assert known(tmp_path) == []
    (aside,) = place(tmp_path).parent.glob("*.aside")
    assert aside.read_bytes() == before


@pytest.mark.parametrize(("wheel", "lane"), [(dataclasses.replace(WHEEL, sha256="c" * 64), "virtual"), (WHEEL, "rocm")])
def test_another_wheel_or_lane_does_not_mix(tmp_path: Path, wheel: Wheel, lane: str) -> None:
    write(tmp_path, record("OVF-7"))
    assert known(tmp_path, wheel, lane) == []
    with Journal(place(tmp_path), wheel, lane) as journal:
        assert journal.known("OVF-7") is None


def test_a_full_disk_is_one_message_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    journal = Journal(place(tmp_path), WHEEL, "virtual")
    journal.append(record("OVF-7"))
    monkeypatch.setattr(journal_module.os, "fsync", full)
    with pytest.raises(
        ResultsError, match=r"No space left on device; .*free some space and give the same command again"
    ):
        journal.append(record("OVF-8"))
    journal.abandon()
    assert known(tmp_path)[0] == "OVF-7"


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    with Journal(place(tmp_path), WHEEL, "virtual"), pytest.raises(ResultsError, match="another run is writing it"):
        Journal(place(tmp_path), WHEEL, "virtual")


def test_a_file_that_is_no_journal_is_kept_aside(tmp_path: Path) -> None:
    place(tmp_path).parent.mkdir(parents=True)
    place(tmp_path).write_text("something else\n")
    write(tmp_path, record("OVF-7"))
    assert known(tmp_path) == ["OVF-7"]
    assert [item.read_text() for item in place(tmp_path).parent.glob("*.aside")] == ["something else\n"]
    assert json.loads(place(tmp_path).read_text().splitlines()[0])["kind"] == "header"
