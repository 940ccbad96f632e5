# SPDX-License-Identifier: MIT
"""Memory instructions: every width and path, through kernels that the compiler turns into them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Device

THREADS = 200  # three full waves and one of eight lanes


def pattern(size: int) -> bytes:
    return bytes((7 * index + index // 251) & 0xFF for index in range(size))


def words(values: Sequence[int]) -> str:
    return struct.pack(f"<{len(values)}I", *(value & 0xFFFFFFFF for value in values)).hex()


@pytest.mark.parametrize(
    ("kernel", "size"),
    [("copy_u8", 1), ("copy_u16", 2), ("copy_u32", 4), ("copy_u64", 8), ("copy_u96", 12), ("copy_u128", 16)],
)
@pytest.mark.parametrize("count", [THREADS, 64, 37, 1, 0])
@pytest.mark.parametrize("check_bounds", [True, False])
def test_copies_exactly_the_elements_asked_for(
    device: Device, kernel: str, size: int, count: int, check_bounds: bool
) -> None:
    source = pattern(THREADS * size)
    run = device.run(
        "memory",
        f"buffer from {THREADS * size}",
        f"buffer to {THREADS * size}",
        f"fill from {source.hex()}",
        f"launch {kernel} 1 256 0 @to @from i32:{count}",
        "wait",
        f"read to 0 {THREADS * size}",
        check_bounds=check_bounds,
    )
    assert run.endings[0].completed, run.output
    assert run.data[0] == source[: count * size] + bytes((THREADS - count) * size)


@pytest.mark.parametrize(
    ("kernel", "size"),
    [("copy_up_u16", 2), ("copy_up_u32", 4), ("copy_up_u64", 8), ("copy_up_u128", 16), ("copy_down_u32", 4)],
)
@pytest.mark.parametrize("block", [64, 256])
@pytest.mark.parametrize("check_bounds", [True, False])
def test_loops_that_step_to_the_edges_of_memory_copy_all_of_it(
    device: Device, kernel: str, size: int, block: int, check_bounds: bool
) -> None:
    # The buffers end before an inaccessible page: what a loop would touch next must not be touched.
    count = 4096
    source = pattern(count * size)
    run = device.run(
        "memory",
        f"buffer from {count * size}",
        f"buffer to {count * size}",
        f"fill from {source.hex()}",
        f"launch {kernel} 1 {block} 0 @to @from i32:{count}",
        "wait",
        f"read to 0 {count * size}",
        check_bounds=check_bounds,
    )
    assert run.endings[0].completed, run.output
    assert run.data[0] == source


@pytest.mark.parametrize("buffers", [1, 2, 4, 5, 9])
def test_a_kernel_may_go_round_any_number_of_allocations(device: Device, buffers: int) -> None:
    names = [f"b{index}" for index in range(buffers)]
    run = device.run(
        "memory",
        "buffer out 256",
        f"buffer table {8 * buffers}",
        *(f"buffer {name} 256" for name in names),
        *(f"fill {name} {words(range(index, 64 + index))}" for index, name in enumerate(names)),
        *(f"launch put_pointer 1 1 0 @table i32:{index} @{name}" for index, name in enumerate(names)),
        "wait",
        f"launch round_the_buffers 1 64 0 @out @table i32:{buffers} i32:3",
        "wait",
        "read out 0 256",
    )
    assert all(ending.completed for ending in run.endings), run.output
    assert run.words() == [3 * sum(lane + index for index in range(buffers)) for lane in range(64)]


def test_freed_memory_is_refused_though_the_kernel_has_used_it_before(device: Device) -> None:
    run = device.run(
        "memory",
        "buffer out 256",
        "buffer table 16",
        "buffer kept 256",
        "buffer freed 256",
        "launch put_pointer 1 1 0 @table i32:0 @kept",
        "launch put_pointer 1 1 0 @table i32:1 @freed",
        "wait",
        "launch round_the_buffers 1 64 0 @out @table i32:2 i32:3",
        "wait",
        "free freed",
        "launch round_the_buffers 1 64 0 @out @table i32:2 i32:3",
        "wait",
    )
    assert [ending.completed for ending in run.endings] == [True, True, True, False], run.output
    assert "freed" in run.endings[-1].report


@pytest.mark.parametrize(("kernel", "format_letter"), [("widen_i8", "b"), ("widen_i16", "h")])
def test_narrow_loads_extend_the_sign(device: Device, kernel: str, format_letter: str) -> None:
    size = struct.calcsize(format_letter)
    source = pattern(THREADS * size)
    run = device.run(
        "memory",
        f"buffer from {THREADS * size}",
        f"buffer to {THREADS * 4}",
        f"fill from {source.hex()}",
        f"launch {kernel} 1 256 0 @to @from i32:{THREADS}",
        "wait",
        f"read to 0 {THREADS * 4}",
    )
    expected = struct.unpack(f"<{THREADS}{format_letter}", source)
    assert struct.unpack(f"<{THREADS}i", run.data[0]) == expected


def test_gather_and_scatter_follow_the_indices(device: Device) -> None:
    permutation = [(77 * index + 5) % 256 for index in range(256)]
    source = pattern(256 * 16)
    run = device.run(
        "memory",
        "buffer index 1024",
        "buffer from 4096",
        "buffer gathered 1024",
        "buffer scattered 4096",
        f"fill index {words(permutation)}",
        f"fill from {source.hex()}",
        "launch gather_u32 1 256 0 @gathered @from @index i32:256",
        "launch scatter_u128 1 256 0 @scattered @from @index i32:256",
        "wait",
        "read gathered 0 1024",
        "read scattered 0 4096",
    )
    assert [ending.completed for ending in run.endings] == [True, True]
    assert run.data[0] == b"".join(source[4 * place : 4 * place + 4] for place in permutation)
    for index, place in enumerate(permutation):
        assert run.data[1][16 * place : 16 * place + 16] == source[16 * index : 16 * index + 16]


@pytest.mark.parametrize(("kernel", "size", "step"), [("odd_lanes_u32", 4, 1), ("odd_lanes_u128", 16, 0)])
def test_lanes_that_are_off_leave_memory_alone(device: Device, kernel: str, size: int, step: int) -> None:
    source = bytes(256 * size)
    run = device.run(
        "memory",
        f"buffer from {256 * size}",
        f"buffer to {256 * size}",
        f"fill from {(source[:-1] + b'!').hex()}",
        f"fill to {('ee' * 256 * size)}",
        f"launch {kernel} 1 256 0 @to @from i32:256",
        "wait",
        f"read to 0 {256 * size}",
    )
    for index in range(256):
        element = run.data[0][index * size : (index + 1) * size]
        if index % 2 == 0:
            assert element == b"\xee" * size
        elif index != 255:
            assert element == struct.pack("<I", step) + bytes(size - 4)


def test_a_flat_pointer_reaches_lds_private_and_global_memory_lane_by_lane(device: Device) -> None:
    run = device.run(
        "memory",
        "buffer out 1024",
        "buffer global 1024",
        f"fill global {words([3000 + index for index in range(256)])}",
        "launch flat_mixed 1 256 0 @out @global i32:256",
        "wait",
        "read out 0 1024",
    )
    expected = [(1000, 2000, 3000)[thread % 3] + thread + 5 for thread in range(256)]
    assert run.words() == expected


def test_lds_is_shared_by_a_block(device: Device) -> None:
    run = device.run(
        "memory",
        "buffer data 2048",
        f"fill data {words(range(512))}",
        "launch reverse_in_block 2 256 0 @data",
        "wait",
        "read data 0 2048",
    )
    assert run.words() == [*range(255, -1, -1), *range(511, 255, -1)]


@pytest.mark.parametrize("count", [1, 300, 16384])
def test_dynamic_lds_has_the_size_of_the_launch(device: Device, count: int) -> None:
    run = device.run(
        "memory",
        f"buffer out {8 * count}",
        f"launch dynamic_lds 2 256 {4 * count} @out i32:{count}",
        "wait",
        f"read out 0 {8 * count}",
    )
    expected = [index * index & 0xFFFFFFFF for index in reversed(range(count))]
    assert run.words() == expected * 2


def test_lds_wider_than_the_device_is_refused(device: Device) -> None:
    run = device.run("memory", "buffer out 64", "launch dynamic_lds 1 64 65537 @out i32:1", "wait")
    assert not run.endings
    assert "65537 bytes of LDS are more than the device has" in run.errors[0]


def test_lds_atomics_count_every_lane(device: Device) -> None:
    values = [index * index % 31 for index in range(1000)]
    run = device.run(
        "memory",
        "buffer out 64",
        "buffer values 4000",
        f"fill values {words(values)}",
        "launch lds_histogram 1 256 0 @out @values i32:1000",
        "wait",
        "read out 0 64",
    )
    assert run.words() == [sum(value & 15 == bin_ for value in values) for bin_ in range(16)]


def test_lds_pairs_of_words(device: Device) -> None:
    run = device.run("memory", "buffer out 4096", "launch lds_wide 1 256 0 @out", "wait", "read out 0 4096")
    for thread in range(256):
        other = (thread + 1) % 256
        first, second = struct.unpack_from("<QQ", run.data[0], 16 * thread)
        assert (first, second) == (other << 33 | other, ~other & (1 << 64) - 1)


def test_permutations_move_lanes_and_read_zero_from_lanes_that_are_off(device: Device) -> None:
    run = device.run("memory", "buffer out 1280", "launch permutations 1 64 0 @out", "wait", "read out 0 1280")
    result = run.words()
    assert result[0:64] == [(lane ^ 5) * 10 for lane in range(64)]
    assert result[64:128] == [(lane - 3) % 64 * 10 for lane in range(64)]
    assert result[128:192] == [lane ^ 1 for lane in range(64)]
    assert result[192:256] == [lane & ~3 | 3 - (lane & 3) for lane in range(64)]
    assert result[256:320] == [lane + 17 if lane < 16 else 0 if lane < 32 else 77 for lane in range(64)]


def test_private_arrays_are_private(device: Device) -> None:
    run = device.run("memory", "buffer out 1024", "launch scratch_array 4 64 0 @out i32:10", "wait", "read out 0 1024")

    def expected(thread: int) -> int:
        place, total = thread & 63, 0
        for _ in range(10):
            total += thread * 64 + place
            place = (place * 5 + 1 + (thread & 1)) & 63
        return total

    assert run.words() == [expected(thread) for thread in range(256)]


@pytest.mark.parametrize("count", [0, 1, 5, 8, 28, 37, 63, 64])
def test_private_words_at_one_address_change_for_the_lanes_that_are_on(device: Device, count: int) -> None:
    run = device.run(
        "memory",
        "buffer out 2560",
        f"launch private_rows_of_some_lanes 1 64 0 @out i32:{count}",
        "wait",
        "read out 0 2560",
    )
    assert run.endings[0].completed, run.output
    words = run.words()
    for lane in range(64):
        on = [11, 12, 13, 14, 7, 7, 7, 7, 15, 8]
        changed = [value + (100 * lane if place in (0, 1, 2, 3, 8) else 0) for place, value in enumerate(on)]
        kept = [1, 2, 3, 4, 90, 91, 92, 93, 5, 94]
        assert words[10 * lane : 10 * lane + 10] == (changed if lane < count else kept), lane


def test_bytes_of_private_memory_make_up_its_words(device: Device) -> None:
    run = device.run("memory", "buffer out 512", "launch scratch_bytes 2 64 0 @out", "wait", "read out 0 512")

    def expected(thread: int) -> int:
        own = bytes((thread + 3 * index) & 0xFF for index in range(64))
        return int.from_bytes(own[8:12], "little") + own[thread * 7 & 63] & 0xFFFFFFFF

    assert run.words() == [expected(thread) for thread in range(128)]


def test_private_memory_is_whole_across_the_pieces_in_which_waves_get_it(device: Device) -> None:
    run = device.run(
        "memory", "buffer out 2048", "launch scratch_across_pieces 2 256 0 @out", "wait", "read out 0 2048"
    )
    assert run.endings[0].completed, run.output

    def expected(thread: int) -> int:
        own = [0] * 80
        for k in range(4, 64, 4):
            own[k : k + 4] = [thread + k, thread * k, k, thread ^ k]
        total = thread * 5 + thread * 3
        for k in range(4, 60):
            x, y, z, w = own[k : k + 4]
            total = total * 31 + (x ^ y * 3 ^ z * 5 ^ w * 7)
        return total & 0xFFFFFFFF

    assert run.words() == [expected(thread) for thread in range(512)]


def test_32_bit_atomics(device: Device) -> None:
    run = device.run(
        "memory",
        "buffer cells 28",
        "buffer old 2048",
        "launch atomics_u32 2 256 0 @cells @old",
        "wait",
        "read cells 0 28",
        "read old 0 2048",
    )
    cells = struct.unpack("<IIiIIfI", run.data[0])
    exclusive = 0
    for index in range(512):
        exclusive ^= index
    assert cells == (512, 511, -511, 0xFFFFFFFF, exclusive, 256.0, 512)
    assert sorted(run.words(1)) == list(range(512))


def test_64_bit_atomics(device: Device) -> None:
    run = device.run(
        "memory",
        "buffer cells 32",
        "buffer old 4096",
        "launch atomics_u64 2 256 0 @cells @old",
        "wait",
        "read cells 0 32",
        "read old 0 4096",
    )
    assert struct.unpack("<QQdQ", run.data[0]) == (512 << 32 | 512, 511 << 40, 128.0, 0x1122334455667788)
    old = struct.unpack("<512Q", run.data[1])
    assert sorted(old) == [index << 32 | index for index in range(512)]


def test_globals_are_initialised_relocated_and_kept_between_launches(device: Device) -> None:
    run = device.run(
        "memory",
        "buffer out 8",
        "launch use_globals 1 64 0 @out",
        "wait",
        "launch use_globals 1 64 0 @out+4",
        "wait",
        "read out 0 8",
        "globals",
        "read counter 0 4",
    )
    assert run.words() == [8, 9]
    assert run.words(1) == [9]
    assert "global counter 4" in run.output


def test_indirect_calls_and_recursion(device: Device) -> None:
    run = device.run(
        "memory",
        "buffer out 1024",
        "buffer fibonacci 1024",
        "launch indirect_calls 1 256 0 @out",
        "launch recursion 1 256 0 @fibonacci",
        "wait",
        "read out 0 1024",
        "read fibonacci 0 1024",
    )
    assert [ending.completed for ending in run.endings] == [True, True], run.output
    assert run.words(0) == [thread * thread if thread & 1 else 2 * thread for thread in range(256)]
    numbers = [0, 1]
    while len(numbers) < 12:
        numbers.append(numbers[-1] + numbers[-2])
    assert run.words(1) == [numbers[thread % 12] for thread in range(256)]


@pytest.mark.parametrize(
    ("grid", "block"), [((1, 1, 1), (64, 1, 1)), ((3, 2, 2), (5, 3, 7)), ((2, 1, 3), (1, 1024, 1))]
)
def test_every_thread_knows_its_place(device: Device, grid: tuple[int, int, int], block: tuple[int, int, int]) -> None:
    threads = block[0] * block[1] * block[2]
    blocks = grid[0] * grid[1] * grid[2]
    size = 4 * threads * blocks
    run = device.run(
        "memory",
        f"buffer out {size}",
        f"launch geometry {','.join(map(str, grid))} {','.join(map(str, block))} 0 @out",
        "wait",
        f"read out 0 {size}",
    )
    assert run.words() == [number << 16 | thread for number in range(blocks) for thread in range(threads)]


def bundled(code: bytes, architecture: str) -> bytes:
    """A code object as clang-offload-bundler wraps it: behind a directory, with an empty part for the host, on a page."""
    parts = [("host-x86_64-unknown-linux-gnu-", b""), (f"hipv4-amdgcn-amd-amdhsa--{architecture}", code)]
    directory = b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", len(parts))
    for triple, part in parts:
        directory += struct.pack("<QQQ", 4096, len(part), len(triple)) + triple.encode()
    return directory.ljust(4096, b"\0") + code


def test_a_code_object_in_an_offload_bundle_is_found(device: Device, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.hsaco"
    bundle.write_bytes(bundled(device.compile("memory").read_bytes(), device.architecture))
    run = device.run(bundle, "buffer out 8", "launch use_globals 1 64 0 @out", "wait", "read out 0 8")
    assert run.words() == [8, 0]
