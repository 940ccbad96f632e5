# SPDX-License-Identifier: MIT
"""Loops in which nothing can change are told at once, by wave and line; what looks like one and is none goes on.

The engine's limit for a stall is a minute here: a report that came of it would come too late.
"""

from __future__ import annotations

import re

import pytest
from conftest import Device

AT_ONCE = 20.0  # seconds, on a busy machine; a proof takes milliseconds


@pytest.mark.parametrize(
    "launch",
    [
        "spin_on_nothing 1 128 0 @out i32:0",
        "spin_on_nothing 3 192 0 @out i32:1",
        "spin_with_no_lane 1 64 0 @out",
        "sleep_for_ever 2 64 0",
    ],
)
@pytest.mark.parametrize("seed", [0, 3])
def test_a_loop_in_which_nothing_can_change_is_told_with_its_line(device: Device, launch: str, seed: int) -> None:
    run = device.run("scheduling", "buffer out 1024", f"launch {launch}", "wait", seed=seed)
    ending = run.endings[0]
    assert ending.kind == "deadlock", run.output
    assert ending.numbers["seconds"] < AT_ONCE
    assert re.search(r"wave \d of block \(\d,0,0\) is in a loop without end", ending.report), ending.report
    assert re.search(rf"scheduling\.hip:\d+ in {launch.split()[0]}", ending.report), ending.report


@pytest.mark.parametrize("kernel", ["count_in_a_register", "count_in_private_memory", "count_in_lds"])
@pytest.mark.parametrize("seed", [0, 3])
def test_a_loop_that_counts_comes_to_its_end(device: Device, kernel: str, seed: int) -> None:
    run = device.run(
        "scheduling", "buffer out 256", f"launch {kernel} 1 64 0 @out i32:3000000", "wait", "read out 0 256", seed=seed
    )
    assert run.endings[0].completed, run.output
    assert run.words() == [1] * 64


@pytest.mark.parametrize(
    ("first_wave", "others"),
    [(0, "1 wave waits at a barrier"), (1, None), (2, r"1 wave waits on 0x10000[0-9a-f]+ = 0, LDS, offset 4")],
    ids=["at a barrier", "ended", "waits for another word"],
)
@pytest.mark.parametrize("generic", [0, 1])
@pytest.mark.parametrize("seed", [0, 3])
def test_waves_that_wait_for_lds_which_nobody_can_write_are_told(
    device: Device, first_wave: int, others: str | None, generic: int, seed: int
) -> None:
    run = device.run(
        "scheduling",
        "buffer out 1024",
        "buffer flag 4",
        f"launch wait_for_lds 1 256 0 @out @flag i32:{generic} i32:{first_wave}",
        "wait",
        seed=seed,
    )
    ending = run.endings[0]
    assert ending.kind == "deadlock", run.output
    assert ending.numbers["seconds"] < AT_ONCE
    assert "waits for a change of LDS" in ending.report
    assert re.search(r"3 waves wait on 0x10000[0-9a-f]+ = 0, LDS, offset 0", ending.report), ending.report
    assert re.search(r"scheduling\.hip:\d+ in wait_for_lds", ending.report), ending.report
    if others is not None:
        assert re.search(others, ending.report), ending.report


@pytest.mark.parametrize("generic", [0, 1])
@pytest.mark.parametrize("seed", [0, 3])
def test_waves_wait_for_lds_as_long_as_somebody_can_write_it(device: Device, generic: int, seed: int) -> None:
    """The first wave computes for long; in the second launch it waits for the host."""
    run = device.run(
        "scheduling",
        "buffer out 1024",
        "buffer flag 4",
        f"launch wait_for_lds 1 256 0 @out @flag i32:{generic} i32:3",
        "wait",
        f"launch wait_for_lds 1 256 0 @out @flag i32:{generic} i32:4",
        "sleep 500",
        "fill flag 01000000",
        "wait",
        "read out 0 1024",
        seed=seed,
    )
    assert [ending.kind for ending in run.endings] == ["completed", "completed"], run.output
    assert run.words() == [1] * 256


def test_a_word_of_lds_that_is_read_by_lane_is_waited_for(device: Device) -> None:
    run = device.run(
        "scheduling", "buffer out 512", "launch wait_for_lds_by_lane 1 128 0 @out", "wait", "read out 0 512"
    )
    assert run.endings[0].completed, run.output
    assert run.words() == [1] * 128
