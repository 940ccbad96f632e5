# SPDX-License-Identifier: MIT
"""Whatever happens to ranks becomes a value with a name, and no rank is left behind."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from conformance.suite.cases import Case
from conformance.suite.judges import judge
from conformance.suite.lanes import Lane
from conformance.suite.launch import Job, Outcome, classify, run_jobs
from conformance.suite.observations import Observation, observation_name, read_observation, write_observation
from conformance.suite.oracle import make_world
from conformance.suite.rank_groups import RankGroup, SpawningStarter, Starter, end_group
from conformance.verdicts import Verdict
from tests.suite.arrangements import SMALL, right_combine, right_dispatch

ASSERTED = (
    "[0] rank 0: device assertion: intranode.hpp:160: void f(T) [T = hip_bfloat16]: Assertion `destTokId < "
    'config.MaxNumTokensToRecv() && "Total recv token overflow: increase maxTotalRecvTokens"\' failed.'
)
BOUNDS = (
    "[1] rank 1: out-of-bounds access: write of 4 bytes at 0x480000c000c0 (and 1 more lanes)",
    "[1]   the first byte past the end of peer's allocation #27 (peer memory, 192 bytes, owned by rank 0)",
    "[1]   kernel EpDispatchIntraNodeKernel_bf16, block (1,0,0), wave 0, lane 0",
    "virtual_rocm: rank 1: exit code 255 after 14.5 s",
)


def seen(rank: int, outcome: str = "finished", message: str = "", step: str = "") -> Observation:
    return Observation(case="c", rank=rank, outcome=outcome, message=message, step=step)


@pytest.mark.parametrize(
    ("observed", "lines", "timed_out", "code", "kind", "text"),
    [
        ((seen(0), seen(1)), (), False, 0, "finished", "all ranks finished"),
        (
            (seen(0, "stopped"), seen(1, "refused", "ValueError: no", "dispatch")),
            (),
            False,
            0,
            "refused",
            "rank 1 in dispatch",
        ),
        (
            (),
            (ASSERTED, "virtual_rocm: rank 0: died of SIGABRT after 1 s"),
            False,
            134,
            "asserted",
            "Total recv token overflow",
        ),
        # The rank that waits for the asserting one reaches the deadline: the assertion is the cause.
        ((), (ASSERTED,), True, 124, "asserted", "Total recv token overflow"),
        ((), BOUNDS, False, 255, "out_of_bounds", "owned by rank 0"),
        ((seen(0),), ("virtual_rocm: the deadline of 5 s was reached",), True, 124, "hang", "rank 1 in combine"),
        (
            (seen(0), seen(1, "device_error", "HIP error")),
            ("virtual_rocm: rank 1: exit code 70",),
            False,
            70,
            "crash",
            "code 70",
        ),
        ((), ("virtual_rocm: rank 0: died of SIGSEGV after 1.0 s",), False, 139, "crash", "SIGSEGV"),
        # Nothing but the signal tells of it: whoever reads this must not blame the release.
        ((), ("rank 0: ended by the launcher", "rank 1: died of SIGKILL"), False, 137, "crash", "killed from outside"),
        # A report, and then the end: the report is the cause.
        ((), (*BOUNDS[:3], "rank 1: died of SIGKILL"), False, 137, "out_of_bounds", "owned by rank 0"),
        ((), ("[0] OSError: [Errno 28] No space left on device",), False, 1, "engine_error", "free some space"),
        (
            (seen(0, "stopped"), seen(1, "refused", "RuntimeError: hipcc: No space left on device", "dispatch")),
            (),
            False,
            0,
            "engine_error",
            "a disk is full",
        ),
        ((), ("virtual_rocm: the native libraries are not built",), False, 2, "engine_error", "not built"),
        # The device compiler crashed: no fault of the release, whose source the front end has read.
        (
            (seen(0, "device_error", "HIP error 200"),),
            ("[0] hipModuleLaunchKernel: kernel EpCombine cannot be compiled:", "virtual_rocm: rank 0: exit code 70"),
            False,
            70,
            "engine_error",
            "EpCombine cannot be compiled",
        ),
        (
            (),
            ("[0] unsupported instruction v_foo", "virtual_rocm: rank 0: exit code 70"),
            False,
            70,
            "engine_error",
            "v_foo",
        ),
    ],
)
def test_what_happened_is_named(
    observed: tuple[Observation, ...], lines: tuple[str, ...], timed_out: bool, code: int, kind: str, text: str
) -> None:
    found = classify(
        {item.rank: item for item in observed},
        2,
        lines,
        timed_out=timed_out,
        code=code,
        progress=["rank 0 in done", "rank 1 in combine of data set 0"],
    )
    assert found[0] == kind
    assert text in found[1]


def test_an_observation_comes_back_as_it_was_written(tmp_path: Path) -> None:
    world = make_world(SMALL)
    original = dataclasses.replace(
        seen(0),
        dispatches=(right_dispatch(world, 0, 0), right_dispatch(world, 0, 1)),
        combines=(right_combine(world, 0, 0),),
        pruned=("max_total_recv_tokens",),
    )
    path = tmp_path / "000.0.npz"
    write_observation(original, path)
    again = read_observation(path)
    assert dataclasses.replace(again, dispatches=(), combines=()) == dataclasses.replace(
        original, dispatches=(), combines=()
    )
    for one, other in zip(original.dispatches, again.dispatches, strict=True):
        for name in ("payload", "weights", "ids", "scales", "sources"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
        assert one.before is not None
        assert other.before is not None
        assert one.before.keys() == other.before.keys()
    assert [item.name for item in tmp_path.iterdir()] == [path.name], "nothing is left aside"


def test_an_observation_cut_in_half_is_not_one(tmp_path: Path) -> None:
    path = tmp_path / "000.0.npz"
    write_observation(seen(0), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises((OSError, ValueError, KeyError)):
        read_observation(path)


def spawn(code: str, folder: Path, ranks: int = 2) -> RankGroup:
    """Ranks of a program of our own."""
    starter = SpawningStarter([sys.executable, "-c", code], os.environ)
    return starter.start(folder / "jobs.json", folder, ranks)


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_rank_that_does_not_want_to_end_is_ended(tmp_path: Path) -> None:
    code = (
        "import os, signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(tmp_path)!r}, 'pid' + os.environ['RANK']).write_text(str(os.getpid())); time.sleep(600)"
    )
    group = spawn(code, tmp_path)
    notes = [tmp_path / f"pid{rank}" for rank in range(2)]
    wait_until(lambda: all(note.exists() and note.read_text() for note in notes))
    assert end_group(group) == ["rank 0: ended by the launcher", "rank 1: ended by the launcher"]
    for note in notes:
        with pytest.raises(ProcessLookupError):
            os.kill(int(note.read_text()), 0)


def test_a_killed_rank_is_named(tmp_path: Path) -> None:
    code = "import os, time; os.environ['RANK'] == '1' and os.kill(os.getpid(), 9); time.sleep(600)"
    group = spawn(code, tmp_path)
    wait_until(lambda: group.failed)
    assert group.running
    assert end_group(group) == ["rank 0: ended by the launcher", "rank 1: died of SIGKILL"]


def test_ranks_that_cannot_be_started_are_our_own_fault() -> None:
    outcomes = run_jobs([Job(Case("c"), {})], Lane("plain", "/nowhere/python"), deadline=5)
    assert [item.kind for item in outcomes] == ["engine_error"]


class _Played(RankGroup):
    """Ranks that have ended."""

    def __init__(self, code: int) -> None:
        self._code = code

    def codes(self) -> Mapping[str, int | None]:
        return {"rank 0": self._code}

    def pids(self) -> Collection[int]:
        return []

    def signal(self, number: int) -> None:
        raise AssertionError("nothing runs")

    def output(self) -> list[str]:
        return []


@dataclasses.dataclass
class _KilledBy(Starter):
    """Ranks that play one case after another, and are killed by the case `bad`."""

    runs: list[list[str]] = dataclasses.field(default_factory=list)

    def start(
        self, jobs: Path, folder: Path, world_size: int, variables: Mapping[str, str] = MappingProxyType({})
    ) -> RankGroup:
        played = json.loads(jobs.read_text(encoding="utf-8"))
        self.runs.append([job["case"]["name"] for job in played])
        for job in played:
            if job["case"]["name"] == "bad":
                return _Played(-9)
            for rank in range(world_size):
                write_observation(seen(rank), folder / observation_name(job["number"], rank))
        return _Played(0)


def test_cases_behind_one_that_ended_its_ranks_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second case kills the run: it is run once, the third one again."""
    starter = _KilledBy()
    monkeypatch.setattr(Lane, "starter", lambda self: starter)
    outcomes = run_jobs([Job(Case(name), {}) for name in ("good", "bad", "late")], Lane("plain", "python"))
    assert starter.runs == [["good", "bad", "late"], ["late"]]
    assert [item.kind for item in outcomes] == ["finished", "crash", "finished"]
    assert outcomes[1].message.startswith("rank 0: died of SIGKILL; a rank was killed from outside")


@pytest.mark.parametrize(("name", "through"), [("clang-19", True), ("ld.lld", True), ("sleeper", False)])
def test_a_deadline_does_not_run_while_ranks_compile(tmp_path: Path, name: str, through: bool) -> None:
    """Ranks that start a program for three seconds and then do nothing, with a deadline of one second."""
    sleep = shutil.which("sleep")
    assert sleep is not None
    (tmp_path / name).symlink_to(sleep)
    ranks = tmp_path / "ranks"
    ranks.write_text(f"#!/bin/sh\n(exec '{tmp_path / name}' 3)\ntouch '{tmp_path}/through'\nsleep 60\n")
    ranks.chmod(0o755)
    (outcome,) = run_jobs([Job(Case("c"), {})], Lane("plain", str(ranks), forked=False), deadline=1)
    assert outcome.kind == "hang"
    assert (tmp_path / "through").exists() == through


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("hang", Verdict.TIMEOUT),
        ("crash", Verdict.CRASH),
        ("engine_error", Verdict.ENGINE_ERROR),
        ("asserted", Verdict.FAIL),
        ("out_of_bounds", Verdict.FAIL),
    ],
)
def test_a_case_that_did_not_finish_is_never_a_pass(kind: str, verdict: Verdict) -> None:
    outcome = Outcome(Case("registered-buffer"), kind, "text", {}, (), "")  # type: ignore[arg-type]
    assert judge("CMB-4", {"registered-buffer": outcome}).verdict is verdict


def test_a_case_that_was_not_run_is_never_a_pass() -> None:
    assert judge("CMB-4", {}).verdict is Verdict.NOT_RUN


@pytest.mark.parametrize(
    ("kind", "message", "step", "verdict"),
    [
        ("refused", "rank 0 in dispatch of data set 0: RuntimeError", "dispatch of data set 0", Verdict.PASS),
        ("refused", "rank 0 in combine of data set 0: IndexError", "combine of data set 0", Verdict.FAIL),
        ("asserted", "destTokId < n && Total recv token overflow", "", Verdict.PASS),
        ("asserted", "topk < warpSize", "", Verdict.FAIL),
        ("hang", "", "", Verdict.FAIL),
        ("out_of_bounds", "", "", Verdict.FAIL),
        ("crash", "", "", Verdict.FAIL),
        ("engine_error", "", "", Verdict.ENGINE_ERROR),
    ],
)
def test_an_overflow_has_to_be_noticed_as_one_and_in_dispatch(
    kind: Any, message: str, step: str, verdict: Verdict
) -> None:
    observations = {0: seen(0, "refused", message, step)} if step else {}
    outcome = Outcome(Case("overflow-by-one"), kind, message, observations, (), "")
    assert judge("OVF-7", {"overflow-by-one": outcome}).verdict is verdict
