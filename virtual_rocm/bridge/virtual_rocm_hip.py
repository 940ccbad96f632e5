# SPDX-License-Identifier: MIT
"""The few HIP calls that the torch bridge makes, with their errors as exceptions."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass
from typing import Any

_UINT64 = ctypes.c_uint64

# The part of the address space in which the runtime places device memory (native/runtime/device_memory.cpp).
_BEGIN, _END = 32 << 40, 80 << 40


class DeviceError(RuntimeError):
    """A HIP call failed; after a fault of a kernel, every one does."""


def is_device_address(address: int) -> bool:
    """Whether that is memory of the virtual device."""
    return _BEGIN <= address < _END


def holds_device_address(tensor: Any) -> bool:
    """Whether that is a "cuda" tensor: it has memory, and the memory is the device's; an empty one is told by a mark."""
    try:
        address = tensor.data_ptr()
    except RuntimeError:  # no storage: a meta or fake tensor
        return False
    return is_device_address(address) if address else bool(getattr(tensor, "_virtual_rocm_device", False))


class Hip:
    """The runtime library, as ctypes sees it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libamdhip64.so.7")
        self._library.hipGetErrorString.restype = ctypes.c_char_p
        self._library.hipGetErrorName.restype = ctypes.c_char_p
        switch = getattr(ctypes.CDLL(None), "virtual_rocm_tensors_on_device", None)
        if switch is None:
            raise DeviceError(
                "libvirtual_rocm_tensors.so is not preloaded: start the program with python -m virtual_rocm run"
            )
        self.tensors_on_device: Any = switch
        """tensors_on_device(1): new tensors of this thread go to device memory; gives the setting before."""

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of HIP; raise DeviceError if it does not give success."""
        code = getattr(self._library, name)(*arguments)
        if code:
            text = self._library.hipGetErrorString(code).decode()
            title = self._library.hipGetErrorName(code).decode()
            self._library.hipGetLastError()
            raise DeviceError(f"HIP error: {text} ({name} = {title}, {code})")

    def query(self, name: str, *arguments: Any) -> bool:
        """Call a function that answers "not ready" (600) or success."""
        code = getattr(self._library, name)(*arguments)
        if code == 600:
            return False
        if code:
            self.call(name, *arguments)
        return True

    def new_handle(self, name: str, *arguments: Any) -> int:
        """Call a function that writes a handle to its first argument."""
        handle = ctypes.c_void_p()
        self.call(name, ctypes.byref(handle), *arguments)
        return handle.value or 0

    def new_handle_last(self, name: str, *arguments: Any) -> int:
        """Call a function that writes a handle to its last argument."""
        handle = ctypes.c_void_p()
        self.call(name, *arguments, ctypes.byref(handle))
        return handle.value or 0

    def integer(self, name: str, *arguments: Any) -> int:
        """Call a function that writes an int to its first argument."""
        value = ctypes.c_int()
        self.call(name, ctypes.byref(value), *arguments)
        return value.value

    def memory_info(self) -> tuple[int, int]:
        """Free and total bytes."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.call("hipMemGetInfo", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def properties(self, device: int) -> DeviceProperties:
        """What the device says of itself."""
        raw = ctypes.create_string_buffer(1472)
        self.call("hipGetDevicePropertiesR0600", raw, device)

        def text(offset: int) -> str:
            return raw.raw[offset : raw.raw.index(b"\0", offset)].decode()

        def number(offset: int, form: str = "i") -> int:
            return int(struct.unpack_from(form, raw.raw, offset)[0])

        return DeviceProperties(
            name=text(0),
            gcnArchName=text(1160),
            major=number(360),
            minor=number(364),
            total_memory=number(288, "Q"),
            multi_processor_count=number(388),
            warp_size=number(308),
            max_threads_per_block=number(320),
            max_threads_per_multi_processor=number(624),
            shared_memory_per_block=number(296, "Q"),
            shared_memory_per_multiprocessor=number(640, "Q"),
            regs_per_multiprocessor=number(648),
            L2_cache_size=number(616),
            pci_bus_id=number(584),
            clock_rate=number(348),
        )


@dataclass(frozen=True)
class DeviceProperties:
    """torch.cuda.get_device_properties(), under torch's names."""

    name: str
    gcnArchName: str  # noqa: N815
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    warp_size: int
    max_threads_per_block: int
    max_threads_per_multi_processor: int
    shared_memory_per_block: int
    shared_memory_per_multiprocessor: int
    regs_per_multiprocessor: int
    L2_cache_size: int
    pci_bus_id: int
    clock_rate: int
    is_integrated: bool = False
    is_multi_gpu_board: bool = False
    pci_device_id: int = 0
    pci_domain_id: int = 0
