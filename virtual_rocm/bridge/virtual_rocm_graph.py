# SPDX-License-Identifier: MIT
"""torch.cuda.CUDAGraph on the virtual GPU: HIP captures kernels and copies, and torch's operations are kept beside them.

Operations on "cuda" tensors run on the host here, so a stream cannot capture them. A capture therefore ends before each
and begins again behind it: a graph is a list of HIP graphs and operations, replayed in that order. As on hardware, what is
captured does not take place: an operation runs once, to have its result's shape and memory, and what it changed is put back.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from typing import Any

from virtual_rocm_hip import DeviceError, Hip

_MODES = {"global": 0, "thread_local": 1, "relaxed": 2}
# What these return depends on values on the device, which a capture does not have.
_WAITING = {
    "__bool__",
    "__complex__",
    "__contains__",
    "__float__",
    "__index__",
    "__int__",
    "allclose",
    "cpu",
    "equal",
    "item",
    "masked_select",
    "nonzero",
    "numpy",
    "tolist",
    "unique",
    "unique_consecutive",
}


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", function))


def tensors_in(torch: Any, value: Any) -> list[Any]:
    """The tensors of a value: itself, or those in lists, tuples and dictionaries."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_in(torch, item)]
    return []


class Capture:
    """What a thread captures, between capture_begin and capture_end.

    Args:
        torch: The module.
        hip: The runtime.
        stream: The HIP stream that is captured.
        mode: One of hipStreamCaptureMode.
        on_device: Whether a tensor is a "cuda" tensor.
    """

    def __init__(self, torch: Any, hip: Hip, stream: int, mode: int, on_device: Callable[[Any], bool]) -> None:
        self._torch, self._hip, self._mode, self._on_device = torch, hip, mode, on_device
        self._stream = ctypes.c_void_p(stream)
        self.steps: list[int | Callable[[], None]] = []
        """HIP graphs that can be launched, and operations."""
        self._begin()

    def _begin(self) -> None:
        self._hip.call("hipStreamBeginCapture", self._stream, self._mode)

    def _end(self) -> None:
        graph = ctypes.c_void_p(self._hip.new_handle_last("hipStreamEndCapture", self._stream))
        count = ctypes.c_size_t()
        self._hip.call("hipGraphGetNodes", graph, None, ctypes.byref(count))
        if count.value:
            self.steps.append(self._hip.new_handle("hipGraphInstantiate", graph, None, None, ctypes.c_size_t(0)))
        self._hip.call("hipGraphDestroy", graph)

    def finish(self) -> list[int | Callable[[], None]]:
        """The steps; the stream is free again."""
        self._end()
        return self.steps

    @staticmethod
    def refuse(function: Any) -> None:
        """An operation that would bring values of the device to the host.

        Raises:
            DeviceError: Always.
        """
        raise DeviceError(
            f"HIP error: operation not permitted when stream is capturing ({_name(function)} needs values that are on the "
            "device)"
        )

    def operation(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], make: Callable[..., Any]) -> Any:
        """Keep an operation on "cuda" tensors; returns its result, whose values the first replay gives it.

        Raises:
            DeviceError: It needs values that are on the device, as code for a CPU does.
        """
        torch = self._torch
        name = _name(function)
        given = [tensor for tensor in tensors_in(torch, [args, kwargs]) if self._on_device(tensor)]
        by_mask = name == "__getitem__" and any(tensor.dtype in (torch.bool, torch.uint8) for tensor in given[1:])
        if name in _WAITING or by_mask or (name == "copy_" and not self._on_device(args[0])):
            self.refuse(function)
        before = [(tensor, tensor._version, tensor.clone()) for tensor in given]
        result = make(function, *args, **kwargs)
        for tensor, version, values in reversed(before):
            if tensor._version != version:
                tensor.copy_(values)
        self._end()

        def again() -> None:
            with torch._C.DisableTorchFunction(), torch.no_grad():
                replayed = make(function, *args, **kwargs)
                for kept, made in zip(tensors_in(torch, result), tensors_in(torch, replayed), strict=True):
                    if kept.data_ptr() != made.data_ptr():
                        kept.copy_(made)

        self.steps.append(again)
        self._begin()
        return result


def graph_class(torch: Any, hip: Hip, state: Any) -> type:
    """torch.cuda.CUDAGraph."""

    class CUDAGraph:
        """torch.cuda.CUDAGraph."""

        def __init__(self, keep_graph: bool = False) -> None:
            self._steps: list[int | Callable[[], None]] | None = None
            self._pool: Any = None

        def __del__(self) -> None:
            with contextlib.suppress(Exception):  # the runtime may be gone by now, or its device
                self.reset()

        def capture_begin(self, pool: Any = None, capture_error_mode: str = "global", **_: Any) -> None:
            if self._steps is not None:
                raise RuntimeError("This CUDAGraph instance already owns a captured graph: reset() it first")
            self._pool = pool
            state.begin_capture(_MODES[capture_error_mode])

        def capture_end(self) -> None:
            self._steps = state.end_capture()

        def instantiate(self) -> None:
            self._owned()

        def replay(self) -> None:
            for step in self._owned():
                if callable(step):
                    state.synchronize_current_stream()
                    step()
                else:
                    hip.call("hipGraphLaunch", ctypes.c_void_p(step), ctypes.c_void_p(state.raw_stream()))

        def reset(self) -> None:
            for step in self._steps or ():
                if not callable(step):
                    hip.call("hipGraphExecDestroy", ctypes.c_void_p(step))
            self._steps = None

        def pool(self) -> Any:
            return self._pool or graph_pool_handle()

        def enable_debug_mode(self) -> None:
            raise NotImplementedError("graphs of the virtual GPU cannot be printed")

        debug_dump = enable_debug_mode

        def _owned(self) -> list[int | Callable[[], None]]:
            if self._steps is None:
                raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
            return self._steps

    return CUDAGraph


def graph_pool_handle() -> tuple[int, int]:
    """torch.cuda.graph_pool_handle: memory of graphs is not pooled here."""
    return (0, 1)
