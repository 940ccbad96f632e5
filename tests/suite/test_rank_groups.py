# SPDX-License-Identifier: MIT
"""Ranks however they are started: forked, spawned, by torchrun; on the host with the fake `mori`, and on the virtual GPU.

The ranks need torch (see test_witnesses). CONFORMANCE_VIRTUAL_WHEEL names a folder with an unpacked wheel for the virtual lane.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.suite.case_list import CASES
from conformance.suite.cases import Case
from conformance.suite.lanes import Lane, Torchrun, device_compiler_digest, plain_lane, virtual_lane
from conformance.suite.launch import Job, Outcome, play_jobs, run_jobs
from conformance.suite.measuring import project_folder, unplayable
from conformance.suite.nodes import Follower, FollowError, announce
from conformance.suite.rank_groups import PROGRAM, SpawningStarter, StartError, TorchrunStarter
from tests.suite.test_witnesses import PYTHON, needs_torch

WHEEL = os.environ.get("CONFORMANCE_VIRTUAL_WHEEL")
JOBS = [Job(CASES[name], {}) for name in ("uniform", "three-tokens-four-ranks")]


def ways() -> dict[str, Lane]:
    plain = plain_lane(PYTHON)
    return {
        "forked": plain,
        "spawned": dataclasses.replace(plain, forked=False),
        "torchrun": plain.with_torchrun(Torchrun()),
    }


@needs_torch
@pytest.mark.parametrize("way", ["forked", "spawned", "torchrun"])
def test_every_way_to_start_ranks_plays_the_same(way: str) -> None:
    outcomes = run_jobs(JOBS, ways()[way])
    assert [(item.kind, item.message) for item in outcomes] == [("finished", "all ranks finished")] * len(JOBS)


@needs_torch
@pytest.mark.skipif(WHEEL is None, reason="CONFORMANCE_VIRTUAL_WHEEL names no unpacked wheel")
@pytest.mark.parametrize("torchrun", [None, Torchrun()], ids=["forked", "torchrun"])
def test_the_virtual_lane_takes_ranks_of_either_kind(tmp_path: Path, torchrun: Torchrun | None) -> None:
    assert WHEEL is not None
    assert PYTHON is not None
    lane = virtual_lane(
        PYTHON,
        packages=(Path(WHEEL),),
        launcher_path=project_folder(),
        jit_cache=tmp_path,
        torchrun=torchrun,
    )
    (outcome,) = run_jobs([JOBS[0]], lane, deadline=250)
    assert outcome.kind == "finished", (outcome.message, *outcome.evidence)


def test_what_a_wheel_compiled_is_not_kept_as_evidence_of_what_it_does(tmp_path: Path) -> None:
    """It differs from the first run to the second."""
    said = ["[mori-jit] Compiling ep_intranode for gfx942 (nic=mlx5) ...", "[mori-jit]   Cached: ep_intranode.hsaco"]
    kept = ["[mori-jit] hipcc failed: no such file", "RuntimeError: Cached: nothing"]
    starter = SpawningStarter([sys.executable, "-c", f"print(*{[*said, *kept]!r}, sep=chr(10))"], os.environ)
    group = starter.start(tmp_path / "jobs.json", tmp_path, 2)
    until = time.monotonic() + 60
    while group.running and time.monotonic() < until:
        time.sleep(0.01)
    assert group.output() == [f"[{rank}] {line}" for rank in (0, 1) for line in kept]


@needs_torch
def test_a_rank_killed_from_outside_is_a_crash_that_says_so_and_the_next_case_starts_fresh() -> None:
    # Long enough that the signal comes while it is played.
    long = CASES["skewed"].with_(rounds=5000)
    jobs = [Job(CASES["uniform"], {}), Job(long, {}), Job(CASES["full"], {})]
    found: list[Outcome] = []
    with contextlib.closing(play_jobs(jobs, plain_lane(PYTHON))) as playing:
        found.append(next(playing)[1])
        # Any rank will do: the others cannot go on without it.
        os.kill(max(_ranks()), signal.SIGKILL)
        found += [outcome for _, outcome in playing]
    assert [(item.case.name, item.kind) for item in found] == [
        ("uniform", "finished"),
        ("skewed", "crash"),
        ("full", "finished"),
    ]
    assert "died of SIGKILL" in found[1].message
    assert "killed from outside" in found[1].message
    assert _ranks() == []


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _ranks() -> list[int]:
    """The ranks that a server of this very process has forked."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_bytes().split(b"\0")
            pid = int(folder.name)
            if str(PROGRAM).encode() in command and _parent(_parent(pid)) == os.getpid():
                found.append(pid)
    return found


@needs_torch
def test_closing_in_the_middle_ends_the_ranks() -> None:
    playing = play_jobs(JOBS, plain_lane(PYTHON))
    next(playing)
    playing.close()
    until = time.monotonic() + 20
    while _ranks() and time.monotonic() < until:
        time.sleep(0.05)
    assert _ranks() == []


def test_an_interpreter_without_torch_is_our_own_fault(tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho 'No module named torch' >&2\nexit 1\n")
    fake.chmod(0o755)
    (outcome,) = run_jobs([JOBS[0]], Lane("plain", str(fake)))
    assert outcome.kind == "engine_error"
    assert "cannot play cases: No module named torch" in outcome.message


def test_what_a_wheel_compiled_does_not_outlive_the_compiler(tmp_path: Path) -> None:
    header = tmp_path / "virtual_rocm" / "include" / "hip" / "hip_runtime.h"
    header.parent.mkdir(parents=True)
    digests = []
    for text in ("one", "two", "one"):
        header.write_text(text)
        device_compiler_digest.cache_clear()
        digests.append(device_compiler_digest(tmp_path))
    device_compiler_digest.cache_clear()
    assert digests[0] == digests[2] != digests[1]


def test_torchrun_shares_ranks_over_nodes(tmp_path: Path) -> None:
    starter = TorchrunStarter("python", {}, ["--rdzv-endpoint=first:29400"], nodes=2)
    command = starter.command(tmp_path / "jobs.json", tmp_path, 4)
    assert command[:5] == ["python", "-m", "torch.distributed.run", "--nproc-per-node=2", "--nnodes=2"]
    assert command[6:] == [
        "--rdzv-endpoint=first:29400",
        f"--rdzv-id={tmp_path.name}",
        str(PROGRAM),
        str(tmp_path / "jobs.json"),
        str(tmp_path),
    ]
    with pytest.raises(StartError, match="3 ranks cannot be shared out evenly over 2 nodes"):
        starter.command(tmp_path / "jobs.json", tmp_path, 3)
    with pytest.raises(StartError, match=r"2 nodes need a place to meet: .*--rdzv-endpoint=FIRST:29400"):
        TorchrunStarter("python", {}, nodes=2).command(tmp_path / "jobs.json", tmp_path, 4)


@pytest.mark.parametrize(
    ("world_size", "per_node", "gpus", "machines", "reason"),
    [
        (8, None, 8, 1, ""),
        (8, None, 0, 1, ""),
        (8, 4, 4, 2, ""),
        (8, 2, 4, 2, ""),
        (16, 8, 8, 1, "16 GPUs are needed, there are 8"),
        (8, None, 4, 2, "the ranks of a node must share a machine: 1 of case cannot be spread over 2"),
        (6, 2, 4, 2, "the ranks of a node must share a machine: 3 of case cannot be spread over 2"),
    ],
)
def test_what_the_machines_cannot_play_says_why(
    world_size: int, per_node: int | None, gpus: int, machines: int, reason: str
) -> None:
    case = Case("case", world_size=world_size, gpus_per_node=per_node, tokens=((1,) * world_size,))
    assert unplayable(case, gpus, machines) == reason


@pytest.fixture
def second_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Torchrun, list[str]]]:
    """Another machine, which is this one: it follows the folder, and meets the first on a port."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    said: list[str] = []
    done = threading.Event()
    thread = threading.Thread(target=Follower(tmp_path, said.append).follow, args=[done.is_set])
    thread.start()
    options = ("--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--local-addr=127.0.0.1")
    yield Torchrun(2, options), said
    done.set()
    thread.join()


@needs_torch
def test_two_nodes_share_the_ranks_of_every_group(second_node: tuple[Torchrun, list[str]]) -> None:
    torchrun, said = second_node
    outcomes = run_jobs(JOBS, plain_lane(PYTHON).with_torchrun(torchrun))
    assert [(item.kind, item.message) for item in outcomes] == [("finished", "all ranks finished")] * len(JOBS)
    assert [line.partition(": ")[2] for line in said if "started" in line] == ["ranks started"] * len(JOBS)


@needs_torch
def test_ranks_on_the_other_node_end_with_their_group(second_node: tuple[Torchrun, list[str]]) -> None:
    torchrun, said = second_node
    playing = play_jobs(JOBS, plain_lane(PYTHON).with_torchrun(torchrun))
    next(playing)
    playing.close()
    until = time.monotonic() + 30
    while not any("ended" in line for line in said) and time.monotonic() < until:
        time.sleep(0.05)
    assert any("ended" in line for line in said)


def test_a_follower_says_what_it_misses(tmp_path: Path) -> None:
    with pytest.raises(FollowError, match="no such folder"):
        Follower(tmp_path / "nowhere", print).follow()
    group = tmp_path / "conformance-abc"
    group.mkdir()
    announce(group, ["/nowhere/python", "-m", "torch.distributed.run"], {**os.environ, "MORI_SHMEM_MODE": "ISOLATION"})
    with pytest.raises(FollowError, match="/nowhere/python is not on this machine"):
        Follower(tmp_path, print).follow()


def test_a_follower_starts_what_was_announced_with_the_environment_of_the_first_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "conformance-abc"
    group.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    script = "import os, pathlib; pathlib.Path('done').write_text(os.environ['A'] + str('PYTHONPATH' in os.environ))"
    monkeypatch.setenv("PYTHONPATH", "of the other machine")
    announce(
        group, [sys.executable, "-c", script.replace("'done'", repr(str(group / "done")))], {**environment, "A": "b"}
    )
    said: list[str] = []
    Follower(tmp_path, said.append).follow(until=lambda: any("ended" in line for line in said))
    assert (group / "done").read_text() == "bFalse"
    assert said == ["conformance-abc: ranks started", "conformance-abc: ended"]
