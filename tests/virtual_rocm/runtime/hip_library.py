# SPDX-License-Identifier: MIT
"""The HIP library through ctypes, as tests call it. Importable from a child process: it needs only its own folder."""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from typing import Any

SUCCESS, INVALID_VALUE, OUT_OF_MEMORY = 0, 1, 2
INVALID_CONFIGURATION, INVALID_DEVICE_POINTER, INVALID_DEVICE = 9, 17, 101
INVALID_CONTEXT, MAP_FAILED, NO_BINARY, FILE_NOT_FOUND = 201, 205, 209, 301
INVALID_HANDLE, NOT_FOUND, NOT_READY, ILLEGAL_ADDRESS = 400, 500, 600, 700
PEER_ALREADY_ENABLED, HOST_ALREADY_REGISTERED, HOST_NOT_REGISTERED, NOT_SUPPORTED = 704, 712, 713, 801

HOST_TO_HOST, HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE, DEFAULT = range(5)


class MemoryHandle(ctypes.Structure):
    """hipIpcMemHandle_t"""

    _fields_ = [("reserved", c_char * 64)]

    def to_hex(self) -> str:
        return bytes(self).hex()

    @classmethod
    def from_hex(cls, text: str) -> MemoryHandle:
        return cls.from_buffer_copy(bytes.fromhex(text))


class PointerAttributes(ctypes.Structure):
    """hipPointerAttribute_t"""

    _fields_ = [
        ("type", c_int),
        ("device", c_int),
        ("device_pointer", c_void_p),
        ("host_pointer", c_void_p),
        ("is_managed", c_int),
        ("allocation_flags", c_uint),
    ]


class Dimensions(ctypes.Structure):
    """dim3"""

    _fields_ = [("x", c_uint), ("y", c_uint), ("z", c_uint)]


class AllocationProperties(ctypes.Structure):
    """hipMemAllocationProp"""

    _fields_ = [
        ("type", c_int),
        ("handle_type", c_int),
        ("location_type", c_int),
        ("location", c_int),
        ("win32", c_void_p),
        ("flags", c_int),
    ]


class AccessDescription(ctypes.Structure):
    """hipMemAccessDesc"""

    _fields_ = [("location_type", c_int), ("location", c_int), ("flags", c_int)]


_ARGUMENTS = {
    "hipMalloc": [POINTER(c_void_p), c_size_t],
    "hipExtMallocWithFlags": [POINTER(c_void_p), c_size_t, c_uint],
    "hipHostMalloc": [POINTER(c_void_p), c_size_t, c_uint],
    "hipFree": [c_void_p],
    "hipHostFree": [c_void_p],
    "hipHostRegister": [c_void_p, c_size_t, c_uint],
    "hipHostUnregister": [c_void_p],
    "hipHostGetDevicePointer": [POINTER(c_void_p), c_void_p, c_uint],
    "hipMemcpy": [c_void_p, c_void_p, c_size_t, c_int],
    "hipMemcpyAsync": [c_void_p, c_void_p, c_size_t, c_int, c_void_p],
    "hipMemcpyPeerAsync": [c_void_p, c_int, c_void_p, c_int, c_size_t, c_void_p],
    "hipMemset": [c_void_p, c_int, c_size_t],
    "hipMemsetAsync": [c_void_p, c_int, c_size_t, c_void_p],
    "hipMemGetInfo": [POINTER(c_size_t), POINTER(c_size_t)],
    "hipMemGetAddressRange": [POINTER(c_void_p), POINTER(c_size_t), c_void_p],
    "hipPointerGetAttributes": [POINTER(PointerAttributes), c_void_p],
    "hipIpcGetMemHandle": [POINTER(MemoryHandle), c_void_p],
    "hipIpcOpenMemHandle": [POINTER(c_void_p), MemoryHandle, c_uint],
    "hipIpcCloseMemHandle": [c_void_p],
    "hipMemGetHandleForAddressRange": [c_void_p, c_void_p, c_size_t, c_int, c_ulonglong],
    "hipMemGetAllocationGranularity": [POINTER(c_size_t), POINTER(AllocationProperties), c_int],
    "hipMemCreate": [POINTER(c_void_p), c_size_t, POINTER(AllocationProperties), c_ulonglong],
    "hipMemRelease": [c_void_p],
    "hipMemRetainAllocationHandle": [POINTER(c_void_p), c_void_p],
    "hipMemAddressReserve": [POINTER(c_void_p), c_size_t, c_size_t, c_void_p, c_ulonglong],
    "hipMemAddressFree": [c_void_p, c_size_t],
    "hipMemMap": [c_void_p, c_size_t, c_size_t, c_void_p, c_ulonglong],
    "hipMemUnmap": [c_void_p, c_size_t],
    "hipMemSetAccess": [c_void_p, c_size_t, POINTER(AccessDescription), c_size_t],
    "hipMemExportToShareableHandle": [c_void_p, c_void_p, c_int, c_ulonglong],
    "hipMemImportFromShareableHandle": [POINTER(c_void_p), c_void_p, c_int],
    "hipStreamCreateWithFlags": [POINTER(c_void_p), c_uint],
    "hipStreamDestroy": [c_void_p],
    "hipStreamSynchronize": [c_void_p],
    "hipStreamQuery": [c_void_p],
    "hipStreamWaitEvent": [c_void_p, c_void_p, c_uint],
    "hipEventCreateWithFlags": [POINTER(c_void_p), c_uint],
    "hipEventDestroy": [c_void_p],
    "hipEventRecord": [c_void_p, c_void_p],
    "hipEventQuery": [c_void_p],
    "hipEventSynchronize": [c_void_p],
    "hipEventElapsedTime": [POINTER(ctypes.c_float), c_void_p, c_void_p],
    "hipStreamBeginCapture": [c_void_p, c_int],
    "hipStreamEndCapture": [c_void_p, POINTER(c_void_p)],
    "hipStreamIsCapturing": [c_void_p, POINTER(c_int)],
    "hipStreamGetCaptureInfo": [c_void_p, POINTER(c_int), POINTER(c_ulonglong)],
    "hipThreadExchangeStreamCaptureMode": [POINTER(c_int)],
    "hipGraphGetNodes": [c_void_p, c_void_p, POINTER(c_size_t)],
    "hipGraphInstantiate": [POINTER(c_void_p), c_void_p, c_void_p, c_void_p, c_size_t],
    "hipGraphLaunch": [c_void_p, c_void_p],
    "hipGraphDestroy": [c_void_p],
    "hipGraphExecDestroy": [c_void_p],
    "hipLaunchHostFunc": [c_void_p, c_void_p, c_void_p],
    "hipModuleLoad": [POINTER(c_void_p), c_char_p],
    "hipModuleLoadData": [POINTER(c_void_p), c_void_p],
    "hipModuleUnload": [c_void_p],
    "hipModuleGetFunction": [POINTER(c_void_p), c_void_p, c_char_p],
    "hipModuleGetGlobal": [POINTER(c_void_p), POINTER(c_size_t), c_void_p, c_char_p],
    "hipModuleLaunchKernel": [c_void_p, *[c_uint] * 7, c_void_p, c_void_p, c_void_p],
    "hipLaunchKernel": [c_void_p, Dimensions, Dimensions, c_void_p, c_size_t, c_void_p],
    "hipGetSymbolAddress": [POINTER(c_void_p), c_void_p],
}


class HipFailure(AssertionError):
    """A call that should have succeeded did not."""


class Hip:
    """The library that VIRTUAL_ROCM_LIBRARIES holds. Methods named like functions return the error code."""

    def __init__(self, folder: str | None = None) -> None:
        folder = folder or os.environ["VIRTUAL_ROCM_LIBRARIES"]
        self.library = ctypes.CDLL(f"{folder}/libamdhip64.so.7")
        for name, arguments in _ARGUMENTS.items():
            getattr(self.library, name).argtypes = arguments
        self.library.hipGetErrorString.restype = c_char_p
        self.library.hipGetErrorName.restype = c_char_p

    def __getattr__(self, name: str) -> Any:
        return getattr(self.library, name)

    def check(self, code: int) -> None:
        if code:
            raise HipFailure(f"{self.library.hipGetErrorName(code).decode()} ({code})")

    def make(self, function: str, *arguments: Any) -> int:
        """Call a function that writes a pointer or handle to its first argument; return it."""
        handle = c_void_p()
        self.check(getattr(self.library, function)(byref(handle), *arguments))
        return handle.value or 0

    def malloc(self, size: int) -> int:
        return self.make("hipMalloc", size)

    def read(self, pointer: int, size: int) -> bytes:
        buffer = ctypes.create_string_buffer(size)
        self.check(self.library.hipMemcpy(buffer, pointer, size, DEFAULT))
        return buffer.raw

    def write(self, pointer: int, data: bytes) -> None:
        self.check(self.library.hipMemcpy(pointer, data, len(data), DEFAULT))

    def launch(
        self,
        function: int,
        arguments: list[Any],
        *,
        grid: int = 1,
        block: int = 64,
        lds: int = 0,
        stream: int = 0,
    ) -> int:
        """hipModuleLaunchKernel with ctypes values as arguments; the error code."""
        pointers = (c_void_p * max(len(arguments), 1))(*[ctypes.addressof(value) for value in arguments])
        return int(self.library.hipModuleLaunchKernel(function, grid, 1, 1, block, 1, 1, lds, stream, pointers, None))
