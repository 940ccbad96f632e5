# SPDX-License-Identifier: MIT
"""What the devices say of themselves, peers, errors; and the same through HSA."""

from __future__ import annotations

import ctypes
import struct
from ctypes import byref, c_char_p, c_int, c_uint32, c_void_p
from pathlib import Path

import hip_library as h
import pytest
from hip_library import Hip


def attribute(hip: Hip, number: int) -> int:
    value = c_int()
    hip.check(hip.hipDeviceGetAttribute(byref(value), number, 0))
    return value.value


def test_properties_and_attributes_agree(hip: Hip) -> None:
    raw = ctypes.create_string_buffer(b"\xee" * 1600)
    hip.check(hip.hipGetDevicePropertiesR0600(raw, 0))
    assert raw.raw[1472:1600] == b"\xee" * 128  # not a byte beyond the structure
    by_offset = {308: 87, 320: 56, 360: 23, 364: 61, 388: 63, 616: 19, 624: 57, 304: 71, 584: 67}
    for offset, number in by_offset.items():
        assert struct.unpack_from("i", raw.raw, offset)[0] == attribute(hip, number), offset
    assert raw.raw[1160:].startswith(b"gfx942")
    assert struct.unpack_from("i", raw.raw, 308)[0] == 64
    total = ctypes.c_size_t()
    hip.check(hip.hipDeviceTotalMem(byref(total), 0))
    assert struct.unpack_from("Q", raw.raw, 288)[0] == total.value


def test_an_attribute_that_hip_does_not_have_is_refused(hip: Hip) -> None:
    value = c_int()
    assert hip.hipDeviceGetAttribute(byref(value), 5000, 0) == h.INVALID_VALUE
    assert hip.hipDeviceGetAttribute(byref(value), 63, 99) == h.INVALID_DEVICE


@pytest.mark.parametrize(
    ("variables", "count"),
    [
        ({}, 8),
        ({"VIRTUAL_ROCM_DEVICES": "2"}, 2),
        ({"HIP_VISIBLE_DEVICES": "3"}, 1),
        ({"HIP_VISIBLE_DEVICES": "0,1,2"}, 3),
    ],
)
def test_the_environment_says_how_many_devices_there_are(program, variables: dict[str, str], count: int) -> None:  # type: ignore[no-untyped-def]
    result = program(
        "n = c_int(); print(hip.hipGetDeviceCount(byref(n)), n.value, hip.hipSetDevice(n), hip.hipSetDevice(n.value - 1))",
        variables=variables,
    )
    assert result.stdout == f"0 {count} {h.INVALID_DEVICE} 0\n"


def test_the_current_device_is_the_threads_own(program) -> None:  # type: ignore[no-untyped-def]
    result = program(
        "import threading\n"
        "def current():\n"
        "    n = c_int(); hip.hipGetDevice(byref(n)); print(n.value, flush=True)\n"
        "hip.hipSetDevice(3); current(); t = threading.Thread(target=current); t.start(); t.join(); current()"
    )
    assert result.stdout == "3\n0\n3\n"


def test_peers_are_enabled_once(program) -> None:  # type: ignore[no-untyped-def]
    result = program(
        "can = c_int()\n"
        "hip.hipDeviceCanAccessPeer(byref(can), 0, 1); print(can.value)\n"
        "hip.hipDeviceCanAccessPeer(byref(can), 1, 1); print(can.value)\n"
        "print([hip.hipDeviceEnablePeerAccess(1, 0) for _ in range(2)], hip.hipDeviceEnablePeerAccess(0, 0))"
    )
    assert result.stdout == f"1\n0\n[0, {h.PEER_ALREADY_ENABLED}] {h.INVALID_DEVICE}\n"


def test_every_device_has_a_bus_id_of_its_own(hip: Hip) -> None:
    seen = set()
    for device in range(4):
        text = ctypes.create_string_buffer(16)
        hip.check(hip.hipDeviceGetPCIBusId(text, 16, device))
        seen.add(text.value)
    assert len(seen) == 4
    assert all(len(text) == len("0000:00:00.0") for text in seen)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0, b"hipSuccess"),
        (1, b"hipErrorInvalidValue"),
        (700, b"hipErrorIllegalAddress"),
        (123456, b"hipErrorUnknown"),
    ],
)
def test_errors_have_names(hip: Hip, code: int, name: bytes) -> None:
    assert hip.hipGetErrorName(code) == name
    assert hip.hipGetErrorString(code)


class Agent(ctypes.Structure):
    _fields_ = [("handle", ctypes.c_uint64)]


AgentCallback = ctypes.CFUNCTYPE(c_uint32, Agent, c_void_p)


@pytest.fixture(scope="session")
def hsa(libraries: Path, hip: Hip) -> ctypes.CDLL:
    library = ctypes.CDLL(str(libraries / "libhsa-runtime64.so.1"))
    assert library.hsa_init() == 0
    return library


def agents(hsa: ctypes.CDLL) -> list[Agent]:
    found: list[Agent] = []

    @AgentCallback
    def visit(agent: Agent, _: object) -> int:
        found.append(Agent(agent.handle))
        return 0

    assert hsa.hsa_iterate_agents(visit, None) == 0
    return found


def test_hsa_lists_the_host_and_every_device(hsa: ctypes.CDLL) -> None:
    kinds = []
    for agent in agents(hsa):
        kind = c_uint32(99)
        assert hsa.hsa_agent_get_info(agent, 17, byref(kind)) == 0
        kinds.append(kind.value)
    assert kinds == [0] + [1] * 8
    name = ctypes.create_string_buffer(64)
    assert hsa.hsa_agent_get_info(agents(hsa)[1], 0, name) == 0
    assert name.value == b"gfx942"


def test_an_hsa_traversal_ends_where_its_callback_says(hsa: ctypes.CDLL) -> None:
    seen = []

    @AgentCallback
    def visit(agent: Agent, _: object) -> int:
        seen.append(agent.handle)
        return 1

    assert hsa.hsa_iterate_agents(visit, None) == 1
    assert len(seen) == 1


def test_hsa_memory_pools_are_global_and_their_memory_can_be_locked(hsa: ctypes.CDLL, hip: Hip) -> None:
    pools: list[Agent] = []

    @AgentCallback
    def visit(pool: Agent, _: object) -> int:
        pools.append(Agent(pool.handle))
        return 0

    host = agents(hsa)[0]
    assert hsa.hsa_amd_agent_iterate_memory_pools(host, visit, None) == 0
    segment = c_uint32(99)
    assert hsa.hsa_amd_memory_pool_get_info(pools[0], 0, byref(segment)) == 0
    assert segment.value == 0
    memory = ctypes.create_string_buffer(4096)
    locked = c_void_p()
    hsa.hsa_amd_memory_lock_to_pool.argtypes = [
        c_void_p,
        ctypes.c_size_t,
        c_void_p,
        c_int,
        Agent,
        c_uint32,
        c_void_p,
    ]
    assert hsa.hsa_amd_memory_lock_to_pool(memory, 4096, None, 0, pools[0], 0, byref(locked)) == 0
    assert locked.value == ctypes.addressof(memory)
    hip.check(hip.hipMemset(locked, 7, 4096))
    assert memory.raw[4095] == 7
    assert hsa.hsa_amd_memory_unlock(memory) == 0
    assert hsa.hsa_amd_memory_unlock(memory) != 0


def test_hsa_exports_a_descriptor_of_device_memory(hsa: ctypes.CDLL, hip: Hip) -> None:
    pointer = hip.malloc(8192)
    hip.write(pointer + 4096, b"through the file")
    descriptor, offset = c_int(), ctypes.c_uint64()
    hsa.hsa_amd_portable_export_dmabuf.argtypes = [c_void_p, ctypes.c_size_t, c_void_p, c_void_p]
    assert hsa.hsa_amd_portable_export_dmabuf(pointer + 4096, 4096, byref(descriptor), byref(offset)) == 0
    import os

    assert os.pread(descriptor.value, 16, offset.value) == b"through the file"
    os.close(descriptor.value)
    assert hsa.hsa_amd_portable_export_dmabuf(pointer + 4096, 8192, byref(descriptor), byref(offset)) != 0
    hip.check(hip.hipFree(pointer))


def test_hsa_statuses_have_texts(hsa: ctypes.CDLL) -> None:
    text = c_char_p()
    assert hsa.hsa_status_string(0x1001, byref(text)) == 0
    assert text.value is not None
    assert text.value.startswith(b"HSA_STATUS_ERROR_INVALID_ARGUMENT")
    assert hsa.hsa_status_string(0x7777, byref(text)) == 0x1001
