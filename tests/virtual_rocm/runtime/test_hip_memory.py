# SPDX-License-Identifier: MIT
"""Allocation, copies, pinned memory and pointer queries."""

from __future__ import annotations

import ctypes
import itertools
from ctypes import byref, c_size_t, c_void_p

import hip_library as h
import pytest
from hip_library import Hip


def address_range(hip: Hip, pointer: int) -> tuple[int, int]:
    base, size = c_void_p(), c_size_t()
    hip.check(hip.hipMemGetAddressRange(byref(base), byref(size), pointer))
    return base.value or 0, size.value


@pytest.mark.parametrize("size", [1, 4, 4095, 4096, 4097, 3 << 20])
def test_memory_has_exactly_the_size_asked_for(hip: Hip, size: int) -> None:
    pointer = hip.malloc(size)
    assert address_range(hip, pointer) == (pointer, size)
    assert address_range(hip, pointer + size - 1) == (pointer, size)
    assert hip.hipMemset(pointer, 1, size) == h.SUCCESS
    assert hip.hipMemset(pointer, 1, size + 1) == h.INVALID_VALUE
    assert hip.hipMemset(pointer + 1, 1, size) == h.INVALID_VALUE
    hip.check(hip.hipFree(pointer))
    assert hip.hipMemset(pointer, 1, size) == h.INVALID_VALUE


def test_fresh_memory_is_zero_and_keeps_what_is_written(hip: Hip) -> None:
    pointer = hip.malloc(1000)
    assert hip.read(pointer, 1000) == bytes(1000)
    hip.write(pointer + 10, b"hello")
    assert hip.read(pointer, 20) == bytes(10) + b"hello" + bytes(5)
    hip.check(hip.hipFree(pointer))


def test_zero_bytes_give_null_and_null_can_be_freed(hip: Hip) -> None:
    assert hip.malloc(0) == 0
    assert hip.hipFree(None) == h.SUCCESS


def test_freeing_twice_or_in_the_middle_is_refused(hip: Hip) -> None:
    pointer = hip.malloc(8192)
    assert hip.hipFree(pointer + 4096) == h.INVALID_VALUE
    assert hip.hipFree(pointer) == h.SUCCESS
    assert hip.hipFree(pointer) == h.INVALID_VALUE


def test_freed_addresses_are_not_given_out_again_at_once(hip: Hip) -> None:
    seen = set()
    for _ in range(50):
        pointer = hip.malloc(4096)
        assert pointer not in seen
        seen.add(pointer)
        hip.check(hip.hipFree(pointer))


def test_memory_of_two_allocations_is_never_adjacent(hip: Hip) -> None:
    pointers = sorted(hip.malloc(4096) for _ in range(8))
    assert all(after - before >= 4096 + 65536 for before, after in itertools.pairwise(pointers))
    for pointer in pointers:
        hip.check(hip.hipFree(pointer))


def test_more_than_the_device_has_is_out_of_memory_and_nothing_is_lost(hip: Hip) -> None:
    free, total = c_size_t(), c_size_t()
    hip.check(hip.hipMemGetInfo(byref(free), byref(total)))
    before = free.value
    handle = c_void_p()
    assert hip.hipMalloc(byref(handle), total.value + 4096) == h.OUT_OF_MEMORY
    hip.check(hip.hipMemGetInfo(byref(free), byref(total)))
    assert free.value == before
    pointer = hip.malloc(1 << 20)
    hip.check(hip.hipMemGetInfo(byref(free), byref(total)))
    assert free.value == before - (1 << 20)
    hip.check(hip.hipFree(pointer))


@pytest.mark.parametrize("side", ["before", "after"])
def test_the_host_cannot_reach_past_an_allocation(program, side: str) -> None:  # type: ignore[no-untyped-def]
    touch = {"before": "p - 1", "after": "p + 4096"}[side]
    source = (
        f"p = hip.malloc(4096); ctypes.string_at(p, 4096); print('inside', flush=True); ctypes.string_at({touch}, 1)"
    )
    result = program(source)
    assert result.stdout == "inside\n"
    assert result.returncode == -11  # SIGSEGV


@pytest.mark.parametrize(
    ("target", "source", "kind", "code"),
    [
        ("device", "host", h.HOST_TO_DEVICE, h.SUCCESS),
        ("host", "device", h.DEVICE_TO_HOST, h.SUCCESS),
        ("device", "device", h.DEVICE_TO_DEVICE, h.SUCCESS),
        ("host", "host", h.HOST_TO_HOST, h.SUCCESS),
        ("device", "host", h.DEFAULT, h.SUCCESS),
        ("host", "host", h.HOST_TO_DEVICE, h.INVALID_VALUE),
        ("host", "host", h.DEVICE_TO_HOST, h.INVALID_VALUE),
        ("host", "device", h.DEVICE_TO_DEVICE, h.INVALID_VALUE),
        ("device", "host", 7, 21),
    ],
)
def test_a_copy_is_checked_against_its_direction(hip: Hip, target: str, source: str, kind: int, code: int) -> None:
    device = {"target": hip.malloc(64), "source": hip.malloc(64)}
    host = {name: ctypes.create_string_buffer(64) for name in device}

    def place(role: str, where: str) -> int:
        return device[role] if where == "device" else ctypes.addressof(host[role])

    assert hip.hipMemcpy(place("target", target), place("source", source), 64, kind) == code
    for pointer in device.values():
        hip.check(hip.hipFree(pointer))


def test_an_asynchronous_copy_from_pageable_memory_reads_it_before_it_returns(hip: Hip) -> None:
    pointer = hip.malloc(16)
    source = ctypes.create_string_buffer(b"first", 16)
    hip.check(hip.hipMemcpyAsync(pointer, source, 16, h.HOST_TO_DEVICE, None))
    source.value = b"later"
    hip.check(hip.hipDeviceSynchronize())
    assert hip.read(pointer, 5) == b"first"
    hip.check(hip.hipFree(pointer))


def attributes(hip: Hip, pointer: int) -> h.PointerAttributes:
    value = h.PointerAttributes()
    hip.check(hip.hipPointerGetAttributes(byref(value), pointer))
    return value


def test_pointer_attributes_tell_kinds_of_memory_apart(hip: Hip) -> None:
    device, pinned = hip.malloc(64), hip.make("hipHostMalloc", 64, 2)
    own = ctypes.create_string_buffer(64)
    assert attributes(hip, device + 8).type == 2
    assert attributes(hip, device + 8).host_pointer is None
    assert (attributes(hip, pinned).type, attributes(hip, pinned).allocation_flags) == (1, 2)
    assert attributes(hip, pinned + 8).host_pointer == pinned + 8
    assert attributes(hip, ctypes.addressof(own)).type == 0
    hip.check(hip.hipHostRegister(own, 64, 0))
    assert attributes(hip, ctypes.addressof(own)).type == 1
    hip.check(hip.hipHostUnregister(own))
    assert attributes(hip, ctypes.addressof(own)).type == 0
    hip.check(hip.hipFree(device))
    hip.check(hip.hipHostFree(pinned))


def test_host_memory_is_registered_once(hip: Hip) -> None:
    own = ctypes.create_string_buffer(4096)
    pointer = c_void_p()
    assert hip.hipHostGetDevicePointer(byref(pointer), own, 0) == h.INVALID_VALUE
    hip.check(hip.hipHostRegister(own, 4096, 0))
    assert hip.hipHostRegister(own, 4096, 0) == h.HOST_ALREADY_REGISTERED
    assert hip.hipHostRegister(ctypes.addressof(own) + 64, 8192, 0) == h.HOST_ALREADY_REGISTERED
    hip.check(hip.hipHostGetDevicePointer(byref(pointer), own, 0))
    assert pointer.value == ctypes.addressof(own)
    hip.check(hip.hipHostUnregister(own))
    assert hip.hipHostUnregister(own) == h.HOST_NOT_REGISTERED


def test_an_address_in_no_allocation_is_not_found(hip: Hip) -> None:
    own = ctypes.create_string_buffer(16)
    assert hip.hipMemGetAddressRange(None, None, own) == h.NOT_FOUND


def test_an_error_is_kept_until_it_is_asked_for(hip: Hip) -> None:
    hip.hipGetLastError()
    assert hip.hipFree(0x1234) == h.INVALID_VALUE
    assert hip.hipMemGetInfo(None, None) == h.SUCCESS
    assert hip.hipPeekAtLastError() == h.INVALID_VALUE
    assert hip.hipGetLastError() == h.INVALID_VALUE
    assert hip.hipGetLastError() == h.SUCCESS


def test_the_log_says_why_a_call_failed(program) -> None:  # type: ignore[no-untyped-def]
    result = program("p = hip.malloc(100); print(hip.hipMemset(p, 0, 101))")
    assert result.stdout == "1\n"
    assert (
        "hipMemset = hipErrorInvalidValue (1): target: 101 bytes at offset 0 of hipMalloc #1, which has 100"
        in result.stderr
    )


def test_a_forked_child_has_its_own_copy_of_device_memory(program) -> None:  # type: ignore[no-untyped-def]
    result = program(
        "p = hip.malloc(8); hip.write(p, b'parent')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    ctypes.memmove(p, b'child!', 6); q = hip.malloc(8); ctypes.memmove(q, b'x', 1); os._exit(q == p)\n"
        "status = os.waitpid(child, 0)[1]\n"
        "print(status, hip.read(p, 6))"
    )
    assert result.stdout == "0 b'parent'\n", result.stderr
