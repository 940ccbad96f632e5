# SPDX-License-Identifier: MIT
"""Modules, launches, and kernels that libraries register for themselves."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from ctypes import byref, c_int, c_size_t, c_uint32, c_void_p
from pathlib import Path

import hip_library as h
import pytest
from hip_library import Hip


@pytest.fixture(params=["kernels", "container"])
def module(hip: Hip, request: pytest.FixtureRequest) -> Iterator[int]:
    path: Path = request.getfixturevalue(request.param)
    handle = hip.make("hipModuleLoad", str(path).encode())
    yield handle
    hip.check(hip.hipModuleUnload(handle))


def numbers(hip: Hip, pointer: int, count: int) -> list[int]:
    return list(struct.unpack(f"{count}i", hip.read(pointer, 4 * count)))


def device_array(hip: Hip, values: list[int]) -> int:
    pointer = hip.malloc(4 * len(values))
    hip.write(pointer, struct.pack(f"{len(values)}i", *values))
    return pointer


@pytest.mark.parametrize(("grid", "block"), [(1, 64), (4, 64), (2, 200), (1, 1)])
def test_a_kernel_runs_on_all_its_threads(hip: Hip, module: int, grid: int, block: int) -> None:
    count = grid * block
    source, target = device_array(hip, list(range(count))), hip.malloc(4 * count)
    function = hip.make("hipModuleGetFunction", module, b"add")
    hip.check(hip.launch(function, [c_void_p(target), c_void_p(source), c_int(100)], grid=grid, block=block))
    hip.check(hip.hipDeviceSynchronize())
    assert numbers(hip, target, count) == [i + 100 + 1 + i % 4 for i in range(count)]
    for pointer in (source, target):
        hip.check(hip.hipFree(pointer))


def test_arguments_can_be_one_buffer(hip: Hip, module: int) -> None:
    source, target = device_array(hip, [5] * 64), hip.malloc(256)
    function = hip.make("hipModuleGetFunction", module, b"add")
    buffer = ctypes.create_string_buffer(struct.pack("QQi", target, source, 1000))
    size = c_size_t(20)
    extra = (c_void_p * 5)(1, ctypes.addressof(buffer), 2, ctypes.addressof(size), 3)
    hip.check(hip.hipModuleLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, 0, None, extra))
    hip.check(hip.hipDeviceSynchronize())
    assert numbers(hip, target, 4) == [1006, 1007, 1008, 1009]


def test_kernels_and_host_share_a_modules_variables(hip: Hip, module: int) -> None:
    size, pointer = c_size_t(), c_void_p()
    hip.check(hip.hipModuleGetGlobal(byref(pointer), byref(size), module, b"counter"))
    assert size.value == 4
    assert numbers(hip, pointer.value or 0, 1) == [7]
    hip.write(pointer.value or 0, struct.pack("i", 40))
    target = hip.malloc(4 * 8)
    function = hip.make("hipModuleGetFunction", module, b"count")
    hip.check(hip.launch(function, [c_void_p(target)], grid=8))
    hip.check(hip.hipDeviceSynchronize())
    assert sorted(numbers(hip, target, 8)) == list(range(40, 48))
    assert numbers(hip, pointer.value or 0, 1) == [48]


def test_what_a_module_does_not_have_is_not_found(hip: Hip, module: int) -> None:
    assert hip.hipModuleGetFunction(byref(c_void_p()), module, b"absent") == h.NOT_FOUND
    assert hip.hipModuleGetGlobal(byref(c_void_p()), None, module, b"absent") == h.NOT_FOUND


@pytest.mark.parametrize(
    ("grid", "block", "lds", "code"),
    [
        (0, 64, 0, h.INVALID_CONFIGURATION),
        (1, 0, 0, h.INVALID_CONFIGURATION),
        (1, 1025, 0, h.INVALID_CONFIGURATION),
        (1, 64, 65537, h.INVALID_VALUE),
        (1, 1024, 65536, h.SUCCESS),
    ],
)
def test_a_launch_beyond_the_limits_is_refused_in_the_call(
    hip: Hip, module: int, grid: int, block: int, lds: int, code: int
) -> None:
    target = hip.malloc(4096)
    function = hip.make("hipModuleGetFunction", module, b"fill_to")
    assert hip.launch(function, [c_void_p(target), c_int(1)], grid=grid, block=block, lds=lds) == code
    hip.check(hip.hipDeviceSynchronize())
    hip.check(hip.hipFree(target))


def test_kernels_of_two_streams_are_resident_together(hip: Hip, module: int) -> None:
    flag, done = device_array(hip, [0]), device_array(hip, [0])
    waiting, raising = (hip.make("hipModuleGetFunction", module, name) for name in (b"wait_for", b"raise"))
    one, two = (hip.make("hipStreamCreateWithFlags", 1) for _ in range(2))
    hip.check(hip.launch(waiting, [c_void_p(flag), c_void_p(done)], stream=one))
    assert hip.hipStreamQuery(one) == h.NOT_READY
    hip.check(hip.launch(raising, [c_void_p(flag)], stream=two))
    hip.check(hip.hipStreamSynchronize(one))
    assert numbers(hip, done, 1) == [1]
    for stream in (one, two):
        hip.check(hip.hipStreamDestroy(stream))


@pytest.mark.parametrize(
    ("contents", "code"),
    [(None, h.FILE_NOT_FOUND), (b"not a code object", 200), (b"\x7fELF" + bytes(60), 200)],
)
def test_a_file_that_is_no_module_is_refused(hip: Hip, tmp_path: Path, contents: bytes | None, code: int) -> None:
    path = tmp_path / "module"
    if contents is not None:
        path.write_bytes(contents)
    assert hip.hipModuleLoad(byref(c_void_p()), str(path).encode()) == code


def test_a_function_of_another_thing_and_an_unloaded_module_are_refused(hip: Hip, kernels: Path) -> None:
    module = hip.make("hipModuleLoad", str(kernels).encode())
    hip.check(hip.hipModuleUnload(module))
    assert hip.hipModuleUnload(module) == h.INVALID_HANDLE
    assert hip.hipModuleGetFunction(byref(c_void_p()), module, b"add") == h.INVALID_HANDLE


# --- what the host side of a compiled program does ------------------------------------------------------------------


def bundle(code_object: bytes, target: bytes = b"hipv4-amdgcn-amd-amdhsa--gfx942") -> bytes:
    """An uncompressed clang offload bundle with an empty host entry and one for the device."""
    host = b"host-x86_64-unknown-linux-gnu-"
    header = b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", 2)
    header += struct.pack("<QQQ", 4096, 0, len(host)) + host
    header += struct.pack("<QQQ", 4096, len(code_object), len(target)) + target
    return header.ljust(4096, b"\0") + code_object


class Wrapper(ctypes.Structure):
    _fields_ = [("magic", c_uint32), ("version", c_uint32), ("binary", c_void_p), ("unused", c_void_p)]


class Embedded:
    """Registers a bundle as compiled host code does, with two addresses that stand for a kernel and a variable."""

    def __init__(self, hip: Hip, data: bytes) -> None:
        self.hip = hip
        self.data = ctypes.create_string_buffer(data, len(data))
        self.wrapper = Wrapper(0x48495046, 1, ctypes.addressof(self.data), None)
        register = hip.library["__hipRegisterFatBinary"]
        register.restype = c_void_p
        self.handle = c_void_p(register(byref(self.wrapper)))
        self.kernel, self.variable = ctypes.create_string_buffer(8), c_int(0)
        hip.library["__hipRegisterFunction"](
            self.handle, self.kernel, b"add", b"add", c_uint32(0xFFFFFFFF), None, None, None, None, None
        )
        hip.library["__hipRegisterVar"](self.handle, byref(self.variable), b"table", b"table", 0, c_size_t(16), 0, 0)

    def unregister(self) -> None:
        self.hip.library["__hipUnregisterFatBinary"](self.handle)

    def launch(self, target: int, source: int) -> int:
        values = [c_void_p(target), c_void_p(source), c_int(100)]
        arguments = (c_void_p * 3)(*[ctypes.addressof(value) for value in values])
        return int(
            self.hip.hipLaunchKernel(self.kernel, h.Dimensions(1, 1, 1), h.Dimensions(64, 1, 1), arguments, 0, 0)
        )


def test_a_registered_kernel_runs_and_its_variable_has_an_address(hip: Hip, kernels: Path) -> None:
    embedded = Embedded(hip, bundle(kernels.read_bytes()))
    source, target = device_array(hip, [0] * 64), hip.malloc(256)
    hip.check(embedded.launch(target, source))
    hip.check(hip.hipDeviceSynchronize())
    assert numbers(hip, target, 4) == [101, 102, 103, 104]
    table = hip.make("hipGetSymbolAddress", byref(embedded.variable))
    assert numbers(hip, table, 4) == [1, 2, 3, 4]
    embedded.unregister()
    assert embedded.launch(target, source) == 98
    assert hip.hipGetSymbolAddress(byref(c_void_p()), byref(embedded.variable)) == 13


def test_a_library_without_code_for_this_device_says_which_it_has(program, kernels: Path) -> None:  # type: ignore[no-untyped-def]
    result = program(
        "sys.path.insert(0, os.path.dirname(hip_library_file))\n".replace(
            "hip_library_file", "__import__('hip_library').__file__"
        )
        + "from test_hip_modules import Embedded, bundle\n"
        "e = Embedded(hip, bundle(open(sys.argv[1], 'rb').read(), b'hipv4-amdgcn-amd-amdhsa--gfx1100'))\n"
        "print(e.launch(hip.malloc(256), hip.malloc(256)))",
        str(kernels),
    )
    assert result.stdout == "200\n", result.stderr
    assert "gfx1100" in result.stderr


def test_call_configurations_nest(hip: Hip) -> None:
    push, pop = hip.library["__hipPushCallConfiguration"], hip.library["__hipPopCallConfiguration"]
    push.argtypes = [h.Dimensions, h.Dimensions, c_size_t, c_void_p]
    for number in (1, 2):
        push(h.Dimensions(number, 1, 1), h.Dimensions(64, 1, 1), number * 8, None)
    for number in (2, 1):
        grid, block, lds, stream = h.Dimensions(), h.Dimensions(), c_size_t(), c_void_p()
        hip.check(pop(byref(grid), byref(block), byref(lds), byref(stream)))
        assert (grid.x, block.x, lds.value) == (number, 64, number * 8)
    assert pop(byref(grid), byref(block), byref(lds), byref(stream)) == 52
