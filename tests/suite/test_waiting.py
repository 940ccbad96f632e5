# SPDX-License-Identifier: MIT
"""Jobs that differ in what their ranks start with, ranks that come late, and ranks that do not meet between steps."""

from __future__ import annotations

import json
import time

import pytest

from conformance.suite.case_list import CASES
from conformance.suite.judges import judge
from conformance.suite.lanes import plain_lane
from conformance.suite.launch import Job, run_jobs
from conformance.suite.waiting import MEETINGS, WAITS, meets, wait_before
from conformance.verdicts import Verdict
from tests.suite.test_witnesses import PYTHON, needs_torch


@needs_torch
def test_variables_of_a_group_hold_for_its_jobs_and_no_others() -> None:
    case = CASES["float32"]
    broken = {"MORI_REFERENCE_WITNESS": "halves-wide-elements"}
    jobs = [Job(case, {}), Job(case, {}, broken), Job(case, {})]
    outcomes = run_jobs(jobs, plain_lane(PYTHON))
    verdicts = [judge("DSP-8", {"float32": outcome, "fp8": outcome}).verdict for outcome in outcomes]
    assert verdicts == [Verdict.PASS, Verdict.FAIL, Verdict.PASS]


@needs_torch
def test_ranks_that_come_late_and_never_meet_are_right() -> None:
    waits = json.dumps([[1, "construct", 0.3], [0, "combine", 0.2]])
    (outcome,) = run_jobs(
        [Job(CASES["uniform"].with_(dirty=False), {WAITS: waits, MEETINGS: "none"})], plain_lane(PYTHON)
    )
    assert (outcome.kind, judge("CMB-4", {"registered-buffer": outcome}).verdict) == ("finished", Verdict.PASS)


@needs_torch
def test_a_refusal_of_ranks_that_do_not_meet_is_one_all_the_same() -> None:
    late = {MEETINGS: "none", "MORI_REFERENCE_WITNESS": "refuses-the-last-row"}
    outcomes = run_jobs([Job(CASES["cap-exact"], late), Job(CASES["uniform"], {})], plain_lane(PYTHON), deadline=60)
    assert [outcome.kind for outcome in outcomes] == ["refused", "finished"]


@pytest.mark.parametrize(
    ("asked", "step", "expected"), [("", "construct", True), ("none", "x", False), ("a,b", "b", True)]
)
def test_ranks_meet_unless_they_are_told_not_to(
    monkeypatch: pytest.MonkeyPatch, asked: str, step: str, expected: bool
) -> None:
    monkeypatch.setenv(MEETINGS, asked)
    assert meets(step) is expected


def test_only_the_named_rank_waits_and_only_at_that_step(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setenv(WAITS, json.dumps([[1, "dispatch", 0.5]]))
    for step, rank in (("construct", 1), ("dispatch of data set 0", 0), ("dispatch of data set 0", 1)):
        wait_before(step, rank, ((0, "combine", 0.1), (0, "dispatch of data set 1", 0.2)))
    assert slept == [0.5]
    wait_before("combine of data set 0", 0, ((0, "combine", 0.1),))
    assert slept == [0.5, 0.1]
