# SPDX-License-Identifier: MIT
"""Verdicts held against expectations, and results files that are whole or say that they are not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from conformance.errors import MatrixError, ResultsError
from conformance.matrix import Expectation
from conformance.results import Header, Results, merge_results, read_results, write_results
from conformance.verdicts import Evidence, Record, Verdict, apply_expectations
from conformance.wheels import Wheel

OLD = Wheel("amd-mori", "1.0.0", "cp310-cp310-any", "a" * 64, 1, "2026-01-01T00:00:00Z")
NEW = Wheel("amd-mori", "1.2.3", "cp310-cp310-any", "b" * 64, 1, "2026-02-01T00:00:00Z")
EXPECTED = Expectation("OVF-1", ">=1.2.3", "no assertion", "a link", "survey")


def record(wheel: Wheel = NEW, verdict: Verdict = Verdict.FAIL, message: str = "no assertion at all") -> Record:
    return Record("OVF-1", wheel.label, wheel.sha256, "survey", verdict, message, Evidence("a command", ("seen",)))


def held(*records: Record, expectations: tuple[Expectation, ...] = (EXPECTED,)) -> tuple[list[Verdict], list[str]]:
    judged, stale = apply_expectations(records, expectations, [OLD, NEW], ["OVF-1"])
    return [item.verdict for item in judged], [item.reason for item in stale]


def test_a_failure_with_the_expected_message_is_expected() -> None:
    judged, stale = apply_expectations([record()], [EXPECTED], [OLD, NEW], ["OVF-1"])
    assert judged[0].verdict == Verdict.EXPECTED_FAIL
    assert judged[0].link == "a link"
    assert stale == ()


def test_a_failure_with_another_message_stays_a_failure_and_the_expectation_is_stale() -> None:
    verdicts, stale = held(record(message="the kernel hangs"))
    assert verdicts == [Verdict.FAIL]
    assert "fails otherwise" in stale[0]


def test_a_pass_where_a_failure_is_expected_is_a_failure() -> None:
    verdicts, stale = held(record(verdict=Verdict.PASS))
    assert verdicts == [Verdict.UNEXPECTED_PASS]
    assert "passes" in stale[0]


@pytest.mark.parametrize("verdict", [Verdict.CRASH, Verdict.TIMEOUT])
def test_a_crash_can_be_expected(verdict: Verdict) -> None:
    assert held(record(verdict=verdict))[0] == [Verdict.EXPECTED_FAIL]


@pytest.mark.parametrize("verdict", [Verdict.ENGINE_ERROR, Verdict.NOT_RUN, Verdict.UNSUPPORTED])
def test_what_says_nothing_about_the_wheel_does_not_meet_an_expectation(verdict: Verdict) -> None:
    assert held(record(verdict=verdict))[0] == [verdict]


def test_an_expectation_that_no_result_could_meet_is_stale() -> None:
    assert "no result" in held(record(OLD, Verdict.PASS))[1][0]


def test_an_expectation_about_an_unknown_requirement_is_stale() -> None:
    unknown = Expectation("OVF-99", ">=1.0", "x", "x", "survey")
    assert "no such requirement" in held(record(), expectations=(EXPECTED, unknown))[1][0]


def test_two_expectations_about_one_result_are_an_error() -> None:
    with pytest.raises(MatrixError, match="covered more than once"):
        held(record(), expectations=(EXPECTED, EXPECTED))


def results(*records: Record, revision: str = "r1", made: str = "2026-11-01T00:00:00+00:00") -> Results:
    header = Header(1, revision, ("survey",), ("OVF-1",), (OLD, NEW), {}, made, "a host", "3.11")
    return Results(header, records)


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = results(record(), record(OLD, Verdict.PASS))
    write_results(written, tmp_path / "deep" / "results.jsonl")
    assert read_results(tmp_path / "deep" / "results.jsonl") == written


def test_two_runs_differ_in_the_header_only(tmp_path: Path) -> None:
    write_results(results(record()), tmp_path / "one")
    write_results(results(record(), made="2026-11-02T00:00:00+00:00"), tmp_path / "two")
    one, two = ((tmp_path / name).read_bytes().split(b"\n") for name in ("one", "two"))
    assert one[0] != two[0]
    assert one[1:] == two[1:]


@pytest.mark.parametrize("lines", [0, 1, 2, 3])
def test_a_file_that_was_cut_between_lines_says_so(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "results.jsonl"
    write_results(results(record(), record(OLD)), path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))
    with pytest.raises(ResultsError, match="incomplete: the run that wrote it was cut off"):
        read_results(path)


def test_a_file_that_was_cut_at_any_byte_is_never_taken_for_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_results(results(record()), path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ResultsError):
            read_results(path)


def test_an_altered_verdict_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_results(results(record()), path)
    path.write_bytes(path.read_bytes().replace(b'"fail","message"', b'"pass","message"'))
    with pytest.raises(ResultsError, match="altered"):
        read_results(path)


def test_a_missing_file_and_a_foreign_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="absent"):
        read_results(tmp_path / "absent")
    (tmp_path / "foreign").write_text('{"a": 1}\n{"a": 2}\n')
    with pytest.raises(ResultsError, match="line 1"):
        read_results(tmp_path / "foreign")


def test_a_full_disk_leaves_the_earlier_results(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write_results(results(record()), path)
    before = path.read_bytes()
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(ResultsError, match="cannot be written"):
        write_results(results(record(OLD)), full / "results.jsonl")
    assert path.read_bytes() == before


def test_merging_keeps_the_later_verdict_and_forgets_failures_that_were_mended() -> None:
    early = results(record(OLD, Verdict.FAIL), record(NEW, Verdict.FAIL))
    early = dataclasses.replace(
        early, header=msgspec.structs.replace(early.header, failures={"1.0.0@cp310": "no network"})
    )
    late = results(record(OLD, Verdict.PASS), made="2026-11-02T00:00:00+00:00")
    merged = merge_results([late, early])
    assert [(item.wheel, item.verdict) for item in merged.records] == [
        ("1.0.0@cp310", Verdict.PASS),
        ("1.2.3@cp310", Verdict.FAIL),
    ]
    assert merged.header.failures == {}


def test_results_of_different_revisions_are_not_merged() -> None:
    with pytest.raises(ResultsError, match="r1, r2"):
        merge_results([results(record()), results(record(), revision="r2")])
