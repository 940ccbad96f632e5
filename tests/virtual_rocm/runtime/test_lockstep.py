# SPDX-License-Identifier: MIT
"""Ranks whose kernels take turns: a seed gives one interleaving of all of them, and nobody waits for ever."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from virtual_rocm.errors import LaunchError
from virtual_rocm.launcher import RunResult, run_ranks
from virtual_rocm.lockstep import MOST_RANKS, lockstep

ROOT = Path(__file__).resolve().parents[3]
RUNS = 40
Play = Callable[..., "tuple[RunResult, str]"]

KERNELS = """\
#include <hip/hip_runtime.h>
// Each rank takes tickets and writes its name on them: the row of names is the interleaving.
extern "C" __global__ void race(unsigned *counter, unsigned *names, unsigned rank, int tickets) {
  if (threadIdx.x != 0) return;
  for (int i = 0; i < tickets; ++i) {
    names[__hip_atomic_fetch_add(counter, 1u, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_SYSTEM)] = rank + 1;
    for (unsigned pause = 0; pause < 20 + 30 * rank; ++pause) __builtin_amdgcn_s_sleep(0);
  }
}
extern "C" __global__ void wait_for(unsigned *flag, unsigned value) {
  if (threadIdx.x == 0)
    while (__hip_atomic_load(flag, __ATOMIC_ACQUIRE, __HIP_MEMORY_SCOPE_SYSTEM) != value) {}
}
extern "C" __global__ void set(unsigned *flag, unsigned value) {
  if (threadIdx.x == 0) __hip_atomic_store(flag, value, __ATOMIC_RELEASE, __HIP_MEMORY_SCOPE_SYSTEM);
}
"""

# Rank 0 owns the memory; the others open it. Words: 0 and 1 are flags, 2 is the counter, the names follow.
PROLOGUE = """\
import ctypes, os, sys, time, random
from ctypes import *
from pathlib import Path
from hip_library import *
hip = Hip()
rank, world = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
folder = Path(sys.argv[1])
if rank == 0:
    memory = hip.malloc(65536); hip.check(hip.hipMemset(memory, 0, 65536)); hip.check(hip.hipDeviceSynchronize())
    handle = MemoryHandle(); hip.check(hip.hipIpcGetMemHandle(byref(handle), memory))
    (folder / 'part').write_text(handle.to_hex()); (folder / 'part').rename(folder / 'handle')
else:
    while not (folder / 'handle').exists(): time.sleep(0.01)
    memory = hip.make('hipIpcOpenMemHandle', MemoryHandle.from_hex((folder / 'handle').read_text()), 1)
module = hip.make('hipModuleLoad', sys.argv[2].encode())
def launch(name, *arguments):
    hip.check(hip.launch(hip.make('hipModuleGetFunction', module, name.encode()), list(arguments)))
def finish():
    status = hip.hipDeviceSynchronize(); print('status', status, flush=True); return status
def meet(name):
    (folder / f'{name}{rank}').touch()
    while not all((folder / f'{name}{other}').exists() for other in range(world)): time.sleep(0.005)
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    source, output = folder / "kernels.hip", folder / "kernels.hsaco"
    source.write_text(KERNELS)
    result = subprocess.run(
        [sys.executable, "-m", "virtual_rocm.compiler", "--genco", "-O2", source, "-o", output],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "VIRTUAL_ROCM_CACHE": str(folder / "cache"),
            "VIRTUAL_ROCM_REAL_HIPCC": "",
            "VIRTUAL_ROCM_WHOLE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode and "no clang" in result.stderr:
        pytest.skip(result.stderr)
    assert result.returncode == 0, result.stderr
    return output


@pytest.fixture
def play(environment: dict[str, str], code: Path, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Run Python source on ranks that take turns; gives the result and what they printed, in the order of ranks."""

    def run(
        source: str, ranks: int = 2, deadline: float = 120, take_turns: bool = True, **variables: object
    ) -> tuple[RunResult, str]:
        folder = tmp_path_factory.mktemp("meeting")
        lines: dict[int, list[str]] = {rank: [] for rank in range(ranks)}
        result = run_ranks(
            [sys.executable, "-c", PROLOGUE + source, str(folder), str(code)],
            ranks=ranks,
            environment={
                **{name: text for name, text in environment.items() if name != "VIRTUAL_ROCM_LOG"},
                **{f"VIRTUAL_ROCM_{name.upper()}": str(value) for name, value in variables.items()},
            },
            deadline=deadline,
            output=lambda rank, _, line: lines[rank].append(line.decode()),
            take_turns=take_turns,
        )
        return result, "".join(line for rank in range(ranks) for line in lines[rank])

    return run


RACE = f"""
time.sleep(random.random() * 0.3)  # host code is never equally fast
launch('race', c_void_p(memory + 8), c_void_p(memory + 12), c_uint32(rank), c_int({RUNS}))
finish()
meet('done')
if rank == 0: print('names', hip.read(memory + 12, {RUNS} * world * 4).replace(bytes(3), b'').hex())
"""


def names(play: Play, seed: int, ranks: int = 2) -> str:
    result, text = play(RACE, ranks=ranks, seed=seed, quantum=64, spin_quantum=64)
    assert result.ok, text
    assert "may not repeat" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("names ")]
    row = line.removeprefix("names ")
    assert sorted(row[1::2]) == sorted("".join(str(rank + 1) * RUNS for rank in range(ranks)))
    return row


def changes(row: str) -> int:
    return sum(first != second for first, second in zip(row[1::2], row[3::2], strict=False))


@pytest.mark.parametrize("ranks", [2, 3])
def test_a_seed_gives_one_interleaving_of_the_ranks(play: Play, ranks: int) -> None:
    first, second = (names(play, 7, ranks) for _ in range(2))
    assert first == second
    assert changes(first) > ranks  # they did race


def test_ranks_make_the_memory_for_their_turns_where_no_launcher_does(play: Play, tmp_path: Path) -> None:
    seen = set()
    for run in ("first", "second"):
        file = tmp_path / run
        result, text = play(RACE, take_turns=False, lockstep=file, seed=7, quantum=64, spin_quantum=64)
        assert result.ok, text
        seen.add(text)
        assert file.stat().st_size == 4096
    assert len(seen) == 1
    assert f"names {names(play, 7)}" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not ours", "it is something else; name a file that does not exist"),
        (struct.pack("<II", 1, 2).ljust(4096, b"\3"), "another run has used this file; name one that does not exist"),
    ],
)
def test_a_file_that_is_no_new_one_is_refused(play: Play, tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "turns"
    file.write_bytes(content)
    result, text = play(
        "launch('set', c_void_p(memory), c_uint32(1)); sys.exit(finish())",
        take_turns=False,
        lockstep=file,
        log="stderr",
    )
    assert not result.ok
    assert f"VIRTUAL_ROCM_LOCKSTEP={file}" in text
    assert said in text


def test_another_seed_gives_another_interleaving_of_the_ranks(play: Play) -> None:
    assert len({names(play, seed) for seed in (0, 1, 2)}) == 3


def test_ranks_that_wait_for_each_other_in_turns_get_on(play: Play) -> None:
    result, text = play(
        "for step in range(1, 20):\n"
        "    mine, other = memory + 4 * rank, memory + 4 * (1 - rank)\n"
        "    launch('set', c_void_p(mine), c_uint32(step)); launch('wait_for', c_void_p(other), c_uint32(step))\n"
        "    hip.check(hip.hipDeviceSynchronize()); meet(f'step{step}')\n"
        "finish()",
        seed=3,
    )
    assert result.ok, text
    assert text == "status 0\nstatus 0\n"


def test_a_rank_in_host_code_is_left_out_after_a_while_and_this_is_said(play: Play) -> None:
    result, text = play(
        "if rank == 1:\n"
        "    meet('after')\n"
        "else:\n"
        "    launch('set', c_void_p(memory), c_uint32(1)); finish(); meet('after')",
        lockstep_patience=0.5,
    )
    assert result.ok, text
    assert "status 0" in text
    assert "rank 0 does not wait any longer for rank 1, in host code for 0.5 s: this run may not repeat" in text


def test_a_kernel_that_starts_later_can_release_one_that_waits(play: Play) -> None:
    result, text = play(
        "if rank == 1: time.sleep(1); launch('set', c_void_p(memory), c_uint32(5))\n"
        "else: launch('wait_for', c_void_p(memory), c_uint32(5))\n"
        "finish()",
        lockstep_patience=0.2,
    )
    assert result.ok, text


@pytest.mark.parametrize(
    "last", ["sys.exit(0)", "launch('set', c_void_p(memory + 4), c_uint32(1)); finish(); sys.exit(0)"]
)
def test_a_rank_that_has_ended_is_not_waited_for(play: Play, last: str) -> None:
    begun = time.monotonic()
    result, text = play(
        f"if rank == 1:\n    {last}\n"
        "for value in (1, 2, 3): launch('set', c_void_p(memory), c_uint32(value)); hip.check(hip.hipDeviceSynchronize())\n"
        "finish()",
        lockstep_patience=60,
    )
    assert result.ok, text
    assert time.monotonic() - begun < 40


def test_a_rank_that_is_killed_in_its_kernel_does_not_stop_the_others(play: Play) -> None:
    result, text = play(
        "if rank == 1:\n"
        "    launch('wait_for', c_void_p(memory), c_uint32(9)); time.sleep(1); os.kill(os.getpid(), 9)\n"
        "launch('race', c_void_p(memory + 8), c_void_p(memory + 12), c_uint32(0), c_int(5)); assert finish() == 0\n"
        "while hip.hipDeviceSynchronize() == 0 and os.path.exists(f'/proc/{os.getppid()}'):\n"
        "    launch('set', c_void_p(memory + 4), c_uint32(1)); time.sleep(0.1); print('alive', flush=True)\n"
        "    if time.monotonic() > float(os.environ.get('UNTIL', '1e18')): break",
        lockstep_patience=60,
        deadline=40,
    )
    assert not result.timed_out, text
    assert result.ranks[1].signal == 9
    assert text.count("alive") > 12  # it went on after the other rank's death, until the launcher ended it


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_ranks_of_which_none_can_move_say_who_waits_where(play: Play, ranks: int) -> None:
    begun = time.monotonic()
    result, text = play(
        "launch('wait_for', c_void_p(memory + 4 * rank), c_uint32(77)); sys.exit(finish() != 702)",
        ranks=ranks,
        stall_seconds=60,
        deadline=45,
    )
    assert time.monotonic() - begun < 45  # as all take part, it is known before the time is over that is given else
    assert result.ok, text
    assert text.count("status 702") == ranks
    for rank in range(ranks):
        assert f"rank {rank}: " in text
        assert f"= 0, offset {4 * rank} of " in text
    assert "rank 0 is in a kernel, rank 1 is in a kernel" in text
    assert "kernels.hip:" in text or "wait_for" in text


def test_more_ranks_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(LaunchError, match="256"), lockstep(MOST_RANKS + 1):
        pass
