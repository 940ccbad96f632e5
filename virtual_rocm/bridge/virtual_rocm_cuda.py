# SPDX-License-Identifier: MIT
"""torch.cuda on the virtual GPU: devices, streams and events, answered by the HIP runtime."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

from virtual_rocm_graph import Capture, graph_class, graph_pool_handle
from virtual_rocm_hip import Hip, holds_device_address

_HIP_VERSION = "7.2.0"


class CudaState:
    """The current device, the current stream and the capture of each thread."""

    def __init__(self, torch: Any, hip: Hip) -> None:
        self.torch, self.hip = torch, hip
        self._local = threading.local()

    def current_device(self) -> int:
        return int(getattr(self._local, "device", 0))

    def set_device(self, device: int) -> None:
        self.hip.call("hipSetDevice", device)
        self._local.device = device

    def current_stream(self) -> Any:
        """The Stream object set in this thread; None for the default stream."""
        return getattr(self._local, "stream", None)

    def set_stream(self, stream: Any) -> None:
        self._local.stream = stream

    def raw_stream(self) -> int:
        stream = self.current_stream()
        return stream.cuda_stream if stream is not None else 0

    def synchronize_current_stream(self) -> None:
        self.hip.call("hipStreamSynchronize", ctypes.c_void_p(self.raw_stream()))

    def capture(self) -> Capture | None:
        """What this thread captures now."""
        return getattr(self._local, "capture", None)

    def begin_capture(self, mode: int) -> None:
        """Capture the current stream."""
        self._local.capture = Capture(self.torch, self.hip, self.raw_stream(), mode, holds_device_address)

    def end_capture(self) -> list[int | Callable[[], None]]:
        """The steps of what was captured; whatever goes wrong, the thread captures no longer."""
        capture = self.capture()
        if capture is None:
            raise RuntimeError("capture_end without capture_begin")
        self._local.capture = None
        return capture.finish()


def patch_cuda(torch: Any, hip: Hip) -> CudaState:
    """Replace what of torch.cuda would look for a driver."""
    state = CudaState(torch, hip)
    cuda = torch.cuda

    def index(device: Any = None) -> int:
        if device is None:
            return state.current_device()
        if isinstance(device, int):
            return device
        number = torch.device(device).index
        return state.current_device() if number is None else int(number)

    def exchange(device: int) -> int:
        before = state.current_device()
        if device >= 0 and device != before:
            state.set_device(device)
        return before

    class Stream:
        """torch.cuda.Stream."""

        def __init__(self, device: Any = None, priority: int = 0, *, _handle: int | None = None, **_: Any) -> None:
            self.device = torch.device("cuda", index(device))
            self.priority = priority
            self._owned = _handle is None
            self.cuda_stream = (
                hip.new_handle("hipStreamCreateWithFlags", 1) if _handle is None else _handle
            )  # torch's own streams do not wait for the default one either
            self.stream_id = self.cuda_stream
            self.device_index = self.device.index
            self.device_type = 1

        def synchronize(self) -> None:
            hip.call("hipStreamSynchronize", ctypes.c_void_p(self.cuda_stream))

        def query(self) -> bool:
            return hip.query("hipStreamQuery", ctypes.c_void_p(self.cuda_stream))

        def wait_event(self, event: Any) -> None:
            event.wait(self)

        def wait_stream(self, stream: Any) -> None:
            self.wait_event(stream.record_event())

        def record_event(self, event: Any = None) -> Any:
            event = event or Event()
            event.record(self)
            return event

        @property
        def _as_parameter_(self) -> ctypes.c_void_p:
            return ctypes.c_void_p(self.cuda_stream)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Stream) and other.cuda_stream == self.cuda_stream

        def __hash__(self) -> int:
            return hash(self.cuda_stream)

        def __enter__(self) -> Stream:
            self._before = state.current_stream()
            state.set_stream(self)
            return self

        def __exit__(self, *_: object) -> None:
            state.set_stream(self._before)

    class Event:
        """torch.cuda.Event."""

        def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
            if interprocess:
                raise NotImplementedError("events between processes are not a part of the virtual GPU")
            self.cuda_event = hip.new_handle("hipEventCreateWithFlags", 0 if enable_timing else 2)

        def record(self, stream: Any = None) -> None:
            raw = state.raw_stream() if stream is None else stream.cuda_stream
            hip.call("hipEventRecord", ctypes.c_void_p(self.cuda_event), ctypes.c_void_p(raw))

        def wait(self, stream: Any = None) -> None:
            raw = state.raw_stream() if stream is None else stream.cuda_stream
            hip.call("hipStreamWaitEvent", ctypes.c_void_p(raw), ctypes.c_void_p(self.cuda_event), 0)

        def query(self) -> bool:
            return hip.query("hipEventQuery", ctypes.c_void_p(self.cuda_event))

        def synchronize(self) -> None:
            hip.call("hipEventSynchronize", ctypes.c_void_p(self.cuda_event))

        def elapsed_time(self, end: Event) -> float:
            milliseconds = ctypes.c_float()
            hip.call(
                "hipEventElapsedTime",
                ctypes.byref(milliseconds),
                ctypes.c_void_p(self.cuda_event),
                ctypes.c_void_p(end.cuda_event),
            )
            return milliseconds.value

    class StreamContext:
        """torch.cuda.stream: None changes nothing."""

        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __enter__(self) -> None:
            if self.stream is not None:
                self._before = state.current_stream()
                state.set_stream(self.stream)

        def __exit__(self, *_: object) -> None:
            if self.stream is not None:
                state.set_stream(self._before)

    def current_stream(device: Any = None) -> Any:
        stream = state.current_stream()
        return stream if stream is not None else Stream(device, _handle=0)

    def synchronize(device: Any = None) -> None:
        before = exchange(index(device))
        try:
            hip.call("hipDeviceSynchronize")
        finally:
            exchange(before)

    def seed(value: int) -> None:
        torch.default_generator.manual_seed(int(value))

    def nothing(*_: object, **__: object) -> None:
        return None

    def zero(*_: object, **__: object) -> int:
        return 0

    def count() -> int:
        return hip.integer("hipGetDeviceCount")

    def capability(device: Any = None) -> tuple[int, int]:
        properties = hip.properties(index(device))
        return properties.major, properties.minor

    answers: dict[str, Any] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "init": nothing,
        "_lazy_init": nothing,
        "_lazy_call": lambda function, **_: function(),
        "device_count": count,
        "_device_count_amdsmi": count,
        "current_device": state.current_device,
        "set_device": lambda device: state.set_device(index(device)),
        "_exchange_device": exchange,
        "_maybe_exchange_device": exchange,
        "synchronize": synchronize,
        "get_device_properties": lambda device=None: hip.properties(index(device)),
        "get_device_name": lambda device=None: hip.properties(index(device)).name,
        "get_device_capability": capability,
        "get_arch_list": lambda: [hip.properties(0).gcnArchName.partition(":")[0]],
        "can_device_access_peer": lambda device, peer: device != peer,
        "mem_get_info": lambda device=None: hip.memory_info(),
        "current_stream": current_stream,
        "default_stream": lambda device=None: Stream(device, _handle=0),
        "set_stream": state.set_stream,
        "stream": StreamContext,
        "StreamContext": StreamContext,
        "Stream": Stream,
        "ExternalStream": lambda pointer, device=None: Stream(device, _handle=pointer),
        "Event": Event,
        "CUDAGraph": graph_class(torch, hip, state),
        "graph_pool_handle": graph_pool_handle,
        "is_current_stream_capturing": lambda: state.capture() is not None,
        "is_bf16_supported": lambda including_emulation=True: True,
        "empty_cache": nothing,
        "ipc_collect": nothing,
        "manual_seed": seed,
        "manual_seed_all": seed,
        "seed": nothing,
        "seed_all": nothing,
        "reset_peak_memory_stats": nothing,
        "reset_accumulated_memory_stats": nothing,
        "memory_allocated": zero,
        "max_memory_allocated": zero,
        "memory_reserved": zero,
        "max_memory_reserved": zero,
        "utilization": zero,
    }
    for name, answer in answers.items():
        setattr(cuda, name, answer)
    # `with torch.cuda.graph(…)` finds its parts there.
    for name in ("CUDAGraph", "graph_pool_handle", "is_current_stream_capturing"):
        setattr(cuda.graphs, name, answers[name])
    torch.Event = getattr(torch, "Event", Event)
    torch._C._cuda_getCurrentRawStream = lambda device: state.raw_stream()
    torch._C._cuda_getDevice = state.current_device
    torch._C._cuda_setDevice = state.set_device
    torch._C._cuda_getDeviceCount = count
    # Programs ask this to know that "cuda" means ROCm.
    torch.version.hip = _HIP_VERSION
    torch.version.cuda = None
    return state
