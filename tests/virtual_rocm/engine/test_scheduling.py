# SPDX-License-Identifier: MIT
"""Turns among waves: progress, determinism, limits, and saying who waits where when nothing moves."""

from __future__ import annotations

import re

import pytest
from conftest import Device


@pytest.mark.parametrize("falling", [0, 1])
@pytest.mark.parametrize("blocks", [2, 37, 300])
@pytest.mark.parametrize("seed", [0, 5])
def test_blocks_that_wait_for_blocks_make_progress(device: Device, falling: int, blocks: int, seed: int) -> None:
    run = device.run(
        "scheduling",
        "buffer counter 4",
        f"buffer order {4 * blocks}",
        f"launch relay {blocks} 128 0 @counter @order i32:{blocks} i32:{falling}",
        "wait",
        f"read order 0 {4 * blocks}",
        seed=seed,
    )
    assert run.endings[0].completed, run.output
    assert run.words() == (list(range(blocks - 1, -1, -1)) if falling else list(range(blocks)))


def test_blocks_in_order_need_few_residents(device: Device) -> None:
    run = device.run(
        "scheduling",
        "buffer counter 4",
        "buffer order 1200",
        "launch relay 300 128 0 @counter @order i32:300 i32:0",
        "wait",
    )
    assert run.endings[0].numbers["resident"] == 2


@pytest.mark.parametrize("blocks", [1, 2, 80, 256])
def test_a_barrier_of_the_whole_grid_keeps_every_block_alive(device: Device, blocks: int) -> None:
    run = device.run(
        "scheduling",
        "buffer counter 4",
        f"buffer out {4 * blocks}",
        f"launch grid_barrier {blocks} 256 0 @counter @out i32:{blocks} i32:3",
        "wait",
        f"read out 0 {4 * blocks}",
    )
    assert run.endings[0].completed, run.output
    assert run.endings[0].numbers["resident"] == blocks
    assert run.words() == [3 * blocks] * blocks


def test_a_loop_of_barriers_does_not_keep_the_last_block_out(device: Device) -> None:
    run = device.run(
        "scheduling",
        "buffer flag 4",
        "buffer out 80",
        "launch barrier_loop_last 20 256 0 @flag @out i32:20",
        "wait",
        "read out 0 80",
    )
    assert run.endings[0].completed, run.output
    assert run.words() == [1] * 19 + [0]


def test_a_wave_can_wait_for_another_wave_of_its_block_through_lds(device: Device) -> None:
    run = device.run(
        "scheduling", "buffer out 256", "launch wave_waits_for_wave 1 128 0 @out", "wait", "read out 0 256"
    )
    assert run.endings[0].completed, run.output
    assert run.words() == [1] * 64


def test_launches_are_resident_together(device: Device) -> None:
    run = device.run(
        "scheduling",
        "buffer flag 4",
        "buffer out 256",
        "launch wait_for_flag 1 64 0 @flag @out",
        "sleep 50",
        "launch set_flag 1 64 0 @flag",
        "wait",
        "read out 0 256",
    )
    assert [ending.kind for ending in run.endings] == ["completed", "completed"]
    assert run.words() == [1] * 64


def test_the_host_can_release_a_kernel(device: Device) -> None:
    run = device.run(
        "scheduling",
        "buffer flag 4",
        "buffer out 256",
        "launch wait_for_flag 1 64 0 @flag @out",
        "sleep 100",
        "fill flag 01000000",
        "wait",
    )
    assert run.endings[0].completed


def test_a_lock_lets_every_block_through_once(device: Device) -> None:
    run = device.run(
        "scheduling",
        "buffer lock 4",
        "buffer value 4",
        "launch lock_and_add 200 64 0 @lock @value",
        "wait",
        "read value 0 4",
        resident_blocks=16,
        quantum=7,
    )
    assert run.words() == [200]


def trace(device: Device, **knobs: int) -> list[int]:
    run = device.run(
        "scheduling",
        "buffer cell 4",
        "buffer trace 6400",
        "launch last_writer 8 256 0 @cell @trace",
        "wait",
        "read trace 0 6400",
        quantum=20,
        resident_blocks=4,
        **knobs,
    )
    assert run.endings[0].completed
    return run.words()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_seed_gives_one_interleaving(device: Device, seed: int) -> None:
    assert trace(device, seed=seed) == trace(device, seed=seed)


def test_another_seed_gives_another_interleaving(device: Device) -> None:
    traces = [trace(device, seed=seed) for seed in (0, 1, 2, 3)]
    assert all(sorted(each) == sorted(traces[0]) for each in traces)
    assert len({tuple(each) for each in traces}) == 4


def test_a_grid_larger_than_the_device_deadlocks_and_says_who_waits_where(device: Device) -> None:
    run = device.run(
        "scheduling",
        "buffer counter 4",
        "buffer out 40",
        "launch grid_barrier 10 256 0 @counter @out i32:10 i32:1",
        "wait",
        resident_limit=4,
        stall_seconds=0.5,
    )
    ending = run.endings[0]
    assert ending.kind == "deadlock"
    assert "0 of 10 blocks finished, 4 resident, 6 not started" in ending.report
    assert re.search(r"4 waves wait on 0x[0-9a-f]+ = 4, offset 0 of counter", ending.report), ending.report
    assert re.search(r"12 waves wait at a barrier", ending.report), ending.report
    assert re.search(r"scheduling\.hip:\d+ in grid_barrier", ending.report), ending.report


def test_the_same_grid_on_a_device_that_holds_it_completes(device: Device) -> None:
    run = device.run(
        "scheduling",
        "buffer counter 4",
        "buffer out 40",
        "launch grid_barrier 10 256 0 @counter @out i32:10 i32:1",
        "wait",
        resident_limit=10,
        stall_seconds=0.5,
    )
    assert run.endings[0].completed


def test_waves_missing_at_a_barrier_are_reported_beside_those_that_wait_there(device: Device) -> None:
    run = device.run("scheduling", "buffer flag 4", "launch half_at_barrier 1 256 0 @flag", "wait", stall_seconds=0.5)
    ending = run.endings[0]
    assert ending.kind == "deadlock"
    assert "3 waves wait at a barrier" in ending.report
    assert re.search(r"1 wave waits on 0x[0-9a-f]+ = 0, offset 0 of flag", ending.report), ending.report


def test_where_a_wave_spins_is_told_by_its_loop_not_by_the_instruction_at_which_it_was_stopped(device: Device) -> None:
    places = set()
    for turn in (20, 21, 22, 23, 25, 27):
        run = device.run(
            "scheduling",
            "buffer flag 4",
            "launch half_at_barrier 1 256 0 @flag",
            "wait",
            stall_seconds=0.2,
            quantum=turn,
            spin_quantum=turn,
        )
        _, _, spins = run.endings[0].report.partition("1 wave waits on")
        assert spins, run.endings[0].report
        places.add(re.search(r"pc 0x[0-9a-f]+: .*", spins)[0])  # type: ignore[index]
    assert len(places) == 1, places


def test_a_deadline_ends_a_launch_that_still_moves(device: Device) -> None:
    run = device.run(
        "scheduling",
        "buffer out 256",
        "launch compute_only 1 64 0 @out i32:4000000000",
        "wait",
        deadline_seconds=0.3,
    )
    assert run.endings[0].kind == "deadline"
    assert 0.3 <= run.endings[0].numbers["seconds"] < 5


@pytest.mark.parametrize(("kernel", "first", "late"), [("relay", 2, True), ("rel", 0, True), ("other", 0, False)])
def test_blocks_come_late_on_purpose_and_no_others(device: Device, kernel: str, first: int, late: bool) -> None:
    run = device.run(
        "scheduling",
        "buffer counter 4",
        "buffer order 32",
        "launch relay 8 128 0 @counter @order i32:8 i32:1",
        "wait",
        "read order 0 32",
        late_blocks=f"0/{kernel}/{first}/1.5",
        stall_seconds=5,
    )
    assert run.endings[0].completed, run.output
    assert run.words() == list(range(7, -1, -1))
    assert (run.endings[0].numbers["seconds"] >= 1.5) is late


@pytest.mark.parametrize("text", ["relay", "0/relay/1", "x/relay/1/1", "0/relay/-1/1", "0/relay/1/1s", "0/relay/1/1/2"])
def test_late_blocks_that_make_no_sense_are_refused(device: Device, text: str) -> None:
    with pytest.raises(AssertionError, match=f"VIRTUAL_ROCM_LATE_BLOCKS={text} is not RANK/KERNEL/FIRST BLOCK/SECONDS"):
        device.run("scheduling", late_blocks=text)


def test_pure_computation_is_no_deadlock(device: Device) -> None:
    run = device.run(
        "scheduling",
        "buffer out 256",
        "launch compute_only 1 64 0 @out i32:10000000",
        "wait",
        stall_seconds=0.05,
    )
    assert run.endings[0].completed, run.output


def test_cancelling_ends_what_runs_and_the_device_goes_on(device: Device) -> None:
    run = device.run(
        "scheduling",
        "buffer flag 4",
        "buffer out 256",
        "launch wait_for_flag 1 64 0 @flag @out",
        "sleep 20",
        "cancel the other rank has died",
        "wait",
        "launch set_flag 1 64 0 @flag",
        "wait",
    )
    assert [ending.kind for ending in run.endings] == ["cancelled", "completed"]
    assert "the other rank has died" in run.endings[0].report


def test_a_running_launch_can_be_described(device: Device) -> None:
    run = device.run(
        "scheduling",
        "buffer flag 4",
        "buffer out 256",
        "launch wait_for_flag 1 64 0 @flag @out",
        "sleep 50",
        "describe",
        "fill flag 01000000",
        "wait",
    )
    assert "1 wave waits on" in run.output
    assert run.endings[0].completed


def test_a_knob_that_makes_no_sense_is_refused_by_name(device: Device) -> None:
    with pytest.raises(AssertionError, match="VIRTUAL_ROCM_QUANTUM=0 is not a number from 1 on"):
        device.run("scheduling", quantum=0)
