# SPDX-License-Identifier: MIT
"""Ranks: their environment, their output, and that they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from virtual_rocm.errors import LaunchError
from virtual_rocm.launcher import RunResult, run_ranks

ROOT = Path(__file__).resolve().parents[3]


def run(
    source: str, ranks: int, *, deadline: float = 60, environment: Mapping[str, str] | None = None
) -> tuple[RunResult, list[tuple[int, bool, bytes]]]:
    lines: list[tuple[int, bool, bytes]] = []
    result = run_ranks(
        [sys.executable, "-u", "-c", "import os, signal, subprocess, sys, time\n" + source],
        ranks=ranks,
        environment={**os.environ, **(environment or {})},
        deadline=deadline,
        output=lambda rank, is_error, line: lines.append((rank, is_error, line)),
    )
    return result, lines


def test_every_rank_knows_its_place() -> None:
    result, lines = run(
        "print(*(os.environ[n] for n in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'LOCAL_WORLD_SIZE', 'MASTER_ADDR', 'MINE')))",
        3,
        environment={"MINE": "kept", "RANK": "77"},
    )
    assert result.ok
    assert result.exit_code == 0
    assert sorted(lines) == [(rank, False, b"%d %d 3 3 127.0.0.1 kept\n" % (rank, rank)) for rank in range(3)]


def test_ranks_share_one_free_port() -> None:
    _, lines = run("print(os.environ['MASTER_PORT'])", 2)
    assert len({line for _, _, line in lines}) == 1
    _, other = run("print(os.environ['MASTER_PORT'])", 2)
    assert int(lines[0][2]) > 1024
    assert other[0][2] != lines[0][2] or int(other[0][2]) > 1024


def test_output_comes_line_by_line_whole_and_from_both_streams() -> None:
    result, lines = run(
        "sys.stdout.write('half'); sys.stdout.flush(); time.sleep(0.1); print(' and half'); print('error', file=sys.stderr)\n"
        "print('x' * 200000); sys.stdout.write('no newline')",
        1,
    )
    assert result.ok
    assert (0, False, b"half and half\n") in lines
    assert (0, True, b"error\n") in lines
    assert (0, False, b"x" * 200000 + b"\n") in lines
    assert (0, False, b"no newline\n") in lines


def test_the_deadline_ends_all_ranks_and_what_they_started() -> None:
    begun = time.monotonic()
    result, lines = run(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)']); print(child.pid); time.sleep(100)",
        2,
        deadline=1.5,
    )
    assert time.monotonic() - begun < 20
    assert result.timed_out
    assert result.exit_code == 124
    assert all(rank.ended_by_launcher for rank in result.ranks)
    for _, _, line in lines:
        until = time.monotonic() + 5
        while _runs(int(line)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not _runs(int(line))


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        ("sys.exit(3)", 3, "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGABRT)", 128 + signal.SIGABRT, "SIGABRT"),
    ],
)
def test_a_rank_that_fails_ends_the_others_and_gives_the_exit_code(failure: str, code: int, words: str) -> None:
    result, _ = run(f"if os.environ['RANK'] == '1':\n    {failure}\ntime.sleep(100)", 3)
    assert not result.ok
    assert not result.timed_out
    assert result.exit_code == code
    assert words in str(result.ranks[1])
    assert [rank.ended_by_launcher for rank in result.ranks] == [True, False, True]
    assert result.seconds < 30


def test_a_failing_rank_leaves_the_others_time_to_say_something() -> None:
    _, lines = run("if os.environ['RANK'] == '1': sys.exit(1)\ntime.sleep(1); print('said'); time.sleep(100)", 2)
    assert (0, False, b"said\n") in lines


def test_what_cannot_be_started_is_an_error_of_its_own() -> None:
    with pytest.raises(LaunchError, match="no-such-program"):
        run_ranks(["no-such-program"], ranks=1, environment={}, deadline=1)
    with pytest.raises(LaunchError, match="at least one"):
        run_ranks([sys.executable], ranks=0, environment={}, deadline=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ranks_end_with_a_launcher_that_is_ended(environment: dict[str, str], tmp_path: Path, number: int) -> None:
    (tmp_path / "packages").mkdir()
    launcher = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "virtual_rocm",
                "run",
                "--ranks",
                "2",
                "--packages",
                str(tmp_path / "packages"),
                "--",
            ),
            *(sys.executable, "-u", "-c", "import os, time; print(os.getpid()); time.sleep(100)"),
        ],
        env={**environment, "PYTHONPATH": str(ROOT), "VIRTUAL_ROCM_CACHE": str(tmp_path / "cache")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert launcher.stdout is not None
    ranks = [int(launcher.stdout.readline().split()[1]) for _ in range(2)]
    launcher.send_signal(number)
    launcher.wait(20)
    launcher.stdout.close()
    deadline = time.monotonic() + 10
    while any(_runs(rank) for rank in ranks) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(rank) for rank in ranks)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_line(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "virtual_rocm", *arguments],
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_line_runs_a_program_that_finds_the_runtime(environment: dict[str, str], tmp_path: Path) -> None:
    empty = tmp_path / "packages"
    empty.mkdir()
    result = command_line(
        "run", "--ranks", "2", "--packages", str(empty), "--env", "EXTRA=yes", "--no-torch-bridge", "--",
        sys.executable, "-c",
        "import ctypes, os; n = ctypes.c_int(); hip = ctypes.CDLL('libamdhip64.so.7'); "
        "hip.hipGetDeviceCount(ctypes.byref(n)); print(n.value, os.environ['EXTRA'], "
        "os.path.exists(os.environ['ROCM_PATH'] + '/bin/hipcc'))",
        environment={**environment, "VIRTUAL_ROCM_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert sorted(result.stdout.splitlines()) == ["[0] 8 yes True", "[1] 8 yes True"], result.stderr
    assert result.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "nothing to run"),
        (["run", "--env", "NOEQUALS", "--packages", ".", "--", "true"], "NAME=VALUE"),
        (["run", "--packages", ".", "--", "no-such-program"], "no-such-program"),
    ],
)
def test_a_wrong_command_line_says_what_is_wanted(
    environment: dict[str, str], tmp_path: Path, arguments: list[str], words: str
) -> None:
    arguments = [str(tmp_path) if argument == "." else argument for argument in arguments]
    result = command_line(*arguments, environment={**environment, "VIRTUAL_ROCM_CACHE": str(tmp_path / "cache")})
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
