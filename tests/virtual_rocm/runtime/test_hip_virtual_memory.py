# SPDX-License-Identifier: MIT
"""Virtual memory management: reserve, create, map, access, share."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from ctypes import byref, c_int, c_size_t, c_void_p
from pathlib import Path

import hip_library as h
import pytest
from hip_library import Hip

SIZE = 2 << 20
ON_DEVICE = h.AllocationProperties(type=1, handle_type=1, location_type=1, location=0)
READ_WRITE = h.AccessDescription(location_type=1, location=0, flags=3)
READ_ONLY = h.AccessDescription(location_type=1, location=0, flags=1)


@pytest.fixture
def reserved(hip: Hip) -> Iterator[int]:
    base = hip.make("hipMemAddressReserve", 4 * SIZE, 0, None, 0)
    yield base
    hip.check(hip.hipMemAddressFree(base, 4 * SIZE))


def mapped(hip: Hip, address: int, size: int = SIZE) -> int:
    handle = hip.make("hipMemCreate", size, byref(ON_DEVICE), 0)
    hip.check(hip.hipMemMap(address, size, 0, handle, 0))
    return handle


def test_memory_is_usable_from_map_and_access_to_unmap(hip: Hip, reserved: int) -> None:
    handle = mapped(hip, reserved)
    assert hip.hipMemset(reserved, 5, SIZE) == h.INVALID_VALUE  # no access yet
    hip.check(hip.hipMemSetAccess(reserved, SIZE, byref(READ_WRITE), 1))
    hip.check(hip.hipMemset(reserved, 5, SIZE))
    assert hip.read(reserved + SIZE - 1, 1) == b"\5"
    assert hip.hipMemset(reserved + SIZE, 5, 1) == h.INVALID_VALUE
    hip.check(hip.hipMemUnmap(reserved, SIZE))
    assert hip.hipMemset(reserved, 5, 1) == h.INVALID_VALUE
    hip.check(hip.hipMemRelease(handle))


def test_one_handle_can_be_mapped_twice(hip: Hip, reserved: int) -> None:
    handle = mapped(hip, reserved)
    hip.check(hip.hipMemMap(reserved + SIZE, SIZE, 0, handle, 0))
    hip.check(hip.hipMemSetAccess(reserved, 2 * SIZE, byref(READ_WRITE), 1))
    hip.write(reserved, b"same")
    assert hip.read(reserved + SIZE, 4) == b"same"
    hip.check(hip.hipMemUnmap(reserved, 2 * SIZE))
    hip.check(hip.hipMemRelease(handle))


def test_a_handle_released_while_mapped_lives_until_it_is_unmapped(hip: Hip, reserved: int) -> None:
    handle = mapped(hip, reserved)
    hip.check(hip.hipMemSetAccess(reserved, SIZE, byref(READ_WRITE), 1))
    hip.check(hip.hipMemRelease(handle))
    assert hip.hipMemRelease(handle) == h.INVALID_VALUE
    hip.check(hip.hipMemset(reserved, 1, SIZE))
    again = hip.make("hipMemRetainAllocationHandle", reserved + 8)
    assert again == handle
    hip.check(hip.hipMemRelease(again))
    hip.check(hip.hipMemUnmap(reserved, SIZE))


@pytest.mark.parametrize(
    ("offset", "size", "code"),
    [
        (0, SIZE, h.MAP_FAILED),  # taken
        (4 * SIZE, SIZE, h.INVALID_VALUE),  # not reserved
        (3 * SIZE, 2 * SIZE, h.INVALID_VALUE),  # more than the handle has
        (SIZE + 1, SIZE, h.INVALID_VALUE),
        (SIZE, 0, h.INVALID_VALUE),
    ],
)
def test_a_mapping_must_fit(hip: Hip, reserved: int, offset: int, size: int, code: int) -> None:
    handle = mapped(hip, reserved)
    assert hip.hipMemMap(reserved + offset, size, 0, handle, 0) == code
    hip.check(hip.hipMemUnmap(reserved, SIZE))
    hip.check(hip.hipMemRelease(handle))


def test_a_range_in_use_is_not_freed(hip: Hip, reserved: int) -> None:
    handle = mapped(hip, reserved)
    assert hip.hipMemAddressFree(reserved, 4 * SIZE) == h.INVALID_VALUE
    assert hip.hipMemUnmap(reserved, SIZE // 2) == h.INVALID_VALUE
    hip.check(hip.hipMemUnmap(reserved, SIZE))
    hip.check(hip.hipMemRelease(handle))
    assert hip.hipMemAddressFree(reserved, SIZE) == h.INVALID_VALUE


def test_granularity_is_a_page_and_a_large_page_is_recommended(hip: Hip) -> None:
    value = c_size_t()
    hip.check(hip.hipMemGetAllocationGranularity(byref(value), byref(ON_DEVICE), 0))
    assert value.value == 4096
    hip.check(hip.hipMemGetAllocationGranularity(byref(value), byref(ON_DEVICE), 1))
    assert value.value == SIZE
    handle = c_void_p()
    assert hip.hipMemCreate(byref(handle), SIZE + 1, byref(ON_DEVICE), 0) == h.INVALID_VALUE


def test_an_exported_handle_is_the_same_memory_in_another_process(hip: Hip, reserved: int, program) -> None:  # type: ignore[no-untyped-def]
    handle = mapped(hip, reserved)
    hip.check(hip.hipMemSetAccess(reserved, SIZE, byref(READ_WRITE), 1))
    hip.write(reserved, b"owner")
    descriptor = c_int()
    hip.check(hip.hipMemExportToShareableHandle(byref(descriptor), handle, 1, 0))
    result = program(
        "fd = os.open(sys.argv[1], os.O_RDWR)\n"
        "handle = hip.make('hipMemImportFromShareableHandle', c_void_p(fd), 1); os.close(fd)\n"
        "p = hip.make('hipMemAddressReserve', 2 << 20, 0, None, 0)\n"
        "hip.check(hip.hipMemMap(p, 2 << 20, 0, handle, 0))\n"
        "hip.check(hip.hipMemSetAccess(p, 2 << 20, byref(AccessDescription(location_type=1, location=0, flags=3)), 1))\n"
        "print(hip.read(p, 5)); hip.write(p, b'peer!')",
        f"/proc/{os.getpid()}/fd/{descriptor.value}",
    )
    os.close(descriptor.value)
    assert result.stdout == "b'owner'\n", result.stderr
    assert hip.read(reserved, 5) == b"peer!"
    hip.check(hip.hipMemUnmap(reserved, SIZE))
    hip.check(hip.hipMemRelease(handle))


def test_a_descriptor_of_something_else_is_refused(hip: Hip) -> None:
    with Path(os.devnull).open() as file:
        assert hip.hipMemImportFromShareableHandle(byref(c_void_p()), c_void_p(file.fileno()), 1) == h.INVALID_VALUE


def test_memory_without_write_access_cannot_be_written_by_the_host(program) -> None:  # type: ignore[no-untyped-def]
    source = (
        "prop = AllocationProperties(type=1, handle_type=1, location_type=1, location=0); size = 2 << 20\n"
        "handle = hip.make('hipMemCreate', size, byref(prop), 0); p = hip.make('hipMemAddressReserve', size, 0, None, 0)\n"
        "hip.check(hip.hipMemMap(p, size, 0, handle, 0))\n"
        "hip.check(hip.hipMemSetAccess(p, size, byref(AccessDescription(location_type=1, location=0, flags=1)), 1))\n"
        "print(ctypes.string_at(p, 1), flush=True); ctypes.memset(p, 1, 1)"
    )
    result = program(source)
    assert result.stdout == "b'\\x00'\n"
    assert result.returncode == -11


def test_memory_of_handles_counts_as_used(hip: Hip) -> None:
    free, total = c_size_t(), c_size_t()
    hip.check(hip.hipMemGetInfo(byref(free), byref(total)))
    before = free.value
    handle = hip.make("hipMemCreate", SIZE, byref(ON_DEVICE), 0)
    hip.check(hip.hipMemGetInfo(byref(free), byref(total)))
    assert free.value == before - SIZE
    hip.check(hip.hipMemRelease(handle))
    hip.check(hip.hipMemGetInfo(byref(free), byref(total)))
    assert free.value == before
    assert ctypes.sizeof(h.AllocationProperties) == 32
