# SPDX-License-Identifier: MIT
"""torch on the virtual GPU: device "cuda" for a torch that has no such device.

A "cuda" tensor is a CPU tensor whose memory is device memory: the preloaded library gives torch's CPU allocator device
memory while a thread says so, and this module says so exactly while an operation runs whose result belongs on the
device. Where a tensor's address lies then tells where the tensor is. So kernels can touch "cuda" tensors and no others, as
on hardware, and `.cpu()` and `.cuda()` copy between the two.

Operations on "cuda" tensors run on the host, at once; before one runs, the current stream is synchronised, which keeps
the order that a program sees on a GPU. While a graph is captured they are kept instead (virtual_rocm_graph).
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from virtual_rocm_cuda import patch_cuda
from virtual_rocm_graph import Capture
from virtual_rocm_hip import Hip, holds_device_address

# Calls and attributes that only look at a tensor's form.
_FORM_METHODS = (
    "data_ptr",
    "size",
    "stride",
    "numel",
    "nelement",
    "element_size",
    "is_contiguous",
    "dim",
    "storage_offset",
    "is_floating_point",
    "untyped_storage",
    "__len__",
    "requires_grad_",
    "view",
    "is_set_to",
)
_FORM_ATTRIBUTES = (
    "shape",
    "dtype",
    "ndim",
    "layout",
    "requires_grad",
    "is_sparse",
    "is_quantized",
    "is_meta",
    "nbytes",
    "itemsize",
    "grad_fn",
)
_TYPES = {"f": "float", "i": "int", "u": "uint", "b": "bool"}


class TensorPlacement:
    """Where tensors are, and how to make them there."""

    def __init__(
        self,
        torch: Any,
        hip: Hip,
        synchronize: Callable[[], None],
        current_device: Callable[[], int],
        capture: Callable[[], Capture | None],
    ) -> None:
        self.torch, self.hip = torch, hip
        self.synchronize, self.current_device, self.capture = synchronize, current_device, capture

    def on_device(self, tensor: Any) -> bool:
        """Whether that is a "cuda" tensor."""
        return holds_device_address(tensor)

    def device_of(self, tensor: Any) -> Any:
        """`tensor.device` as the program shall see it."""
        actual = self.torch._C.TensorBase.device.__get__(tensor)
        if actual.type == "cpu" and self.on_device(tensor):
            return self.torch.device("cuda", self.current_device())
        return actual

    def any_on_device(self, values: Any) -> bool:
        """Whether one of the arguments, or of the items of a list among them, is a "cuda" tensor."""
        for value in values:
            if isinstance(value, self.torch.Tensor):
                if self.on_device(value):
                    return True
            elif isinstance(value, (list, tuple)) and value and self.any_on_device(value):
                return True
        return False

    def names_device(self, device: Any) -> bool | None:
        """Whether `device`, in any of torch's forms, is ours; None if it is neither ours nor the CPU."""
        if isinstance(device, bool) or device is None:
            return None
        if isinstance(device, int):
            return True
        kind = device.type if isinstance(device, self.torch.device) else str(device).partition(":")[0]
        return {"cuda": True, "hip": True, "cpu": False}.get(kind)

    def run(self, there: bool, after_stream: bool, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run an operation behind the current stream's work, or keep it where that is captured."""
        capture = self.capture()
        if capture is not None and (after_stream or there):
            if not there:
                capture.refuse(function)
            return capture.operation(function, args, kwargs, functools.partial(self.make, there))
        if after_stream:
            self.synchronize()
        return self.make(there, function, *args, **kwargs)

    def make(self, there: bool, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run `function` with new tensors placed on the device, or on the host."""
        before = self.hip.tensors_on_device(int(there))
        try:
            result = function(*args, **kwargs)
        finally:
            self.hip.tensors_on_device(before)
        if there:
            self._mark_empty(result)
        return result

    def _mark_empty(self, result: Any) -> None:
        if isinstance(result, self.torch.Tensor):
            if result.numel() == 0:
                result._virtual_rocm_device = True
        elif isinstance(result, (list, tuple)):
            for item in result:
                self._mark_empty(item)

    def view_of_pointer(self, interface: dict[str, Any]) -> Any:
        """A tensor on the memory that a `__cuda_array_interface__` describes; nothing is copied."""
        torch = self.torch
        shape, (address, _), code = tuple(interface["shape"]), interface["data"], interface["typestr"]
        size = int(code[2:])
        name = "bool" if code[1] == "b" else f"{_TYPES.get(code[1], '')}{8 * size}"
        dtype = getattr(torch, {"uint8": "uint8"}.get(name, name), None)
        if dtype is None:
            raise TypeError(f"__cuda_array_interface__: type {code} is not one of torch's")
        strides = interface.get("strides")
        steps = [s // size for s in strides] if strides else None
        if 0 in shape:
            return self.make(True, torch.empty, shape, dtype=dtype)
        count = 1
        for index, length in enumerate(shape):
            count = count * length if steps is None else count + (length - 1) * steps[index]
        buffer = (ctypes.c_ubyte * (count * size)).from_address(address)
        flat = torch.frombuffer(buffer, dtype=dtype, count=count)
        return flat.view(shape) if steps is None else flat.as_strided(shape, steps)


def _placement_mode(torch: Any, place: TensorPlacement) -> Any:
    """The mode that sees every call of torch's Python interface."""
    tensor = torch.Tensor

    def move(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Tensor.to: the target may be a device, a dtype, another tensor, in several places."""
        source, *rest = args
        here = place.on_device(source)
        there: bool | None = None
        kept: list[Any] = []
        kwargs = dict(kwargs)
        other = kwargs.pop("other", None)
        if rest and isinstance(rest[0], tensor):
            other = rest.pop(0)
        if other is not None:
            there = place.on_device(other)
            kwargs.setdefault("dtype", other.dtype)
        for index, value in enumerate(rest):
            names = place.names_device(value) if index == 0 and not isinstance(value, torch.dtype) else None
            if names is None:
                kept.append(value)
            else:
                there = names
        if "device" in kwargs and (names := place.names_device(kwargs["device"])) is not None:
            there = names
            del kwargs["device"]
        if there is None:
            there = here
        elif there != here:
            kwargs["copy"] = True
            # Positional flags after the device: non_blocking, copy.
            kept = [value for value in kept if not isinstance(value, bool)]
        if not kept and not any(name in kwargs for name in ("dtype", "copy", "memory_format")):
            if here and place.capture() is None:
                place.synchronize()
            return source
        if kwargs.get("copy") and not kept and "dtype" not in kwargs:
            kwargs["dtype"] = source.dtype  # Tensor.to(copy=True) alone has no such form
        return place.run(there, here, tensor.to, source, *kept, **kwargs)

    def to_device(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return move((args[0], "cuda"), {k: v for k, v in kwargs.items() if k == "memory_format"})

    def to_host(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return move((args[0], "cpu"), kwargs)

    def as_array(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if place.on_device(args[0]) and not kwargs.get("force"):
            raise TypeError(
                f"can't convert {place.device_of(args[0])} device type tensor to numpy. Use Tensor.cpu() to copy the "
                "tensor to host memory first."
            )
        return tensor.numpy(*args, **kwargs)

    def from_data(function: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
        def convert(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            data = args[0] if args else kwargs.get("data", kwargs.get("obj"))
            interface = None if isinstance(data, tensor) else getattr(data, "__cuda_array_interface__", None)
            if interface is not None:
                view = place.view_of_pointer(interface)
                wanted = kwargs.get("dtype")
                target = kwargs.get("device", "cuda")
                if function is torch.tensor or place.names_device(target) is False:
                    return move((view, target), {"copy": True, **({"dtype": wanted} if wanted else {})})
                return view if wanted in (None, view.dtype) else move((view,), {"dtype": wanted})
            if isinstance(data, tensor) and function is not torch.tensor:
                target = {k: v for k, v in kwargs.items() if k in ("device", "dtype", "copy") and v is not None}
                return move((data,), target) if target else data
            return general(function, args, kwargs)

        return convert

    def where(args: tuple[Any, ...], _: dict[str, Any]) -> Any:
        return place.device_of(args[0])

    def text(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        shown = str(general(tensor.__repr__, args, kwargs))
        return f"{shown[:-1]}, device='{place.device_of(args[0])}')" if place.on_device(args[0]) else shown

    def index_of(args: tuple[Any, ...], _: dict[str, Any]) -> int:
        return place.current_device() if place.on_device(args[0]) else -1

    def pinned(args: tuple[Any, ...], _: dict[str, Any]) -> Any:
        # Pinned memory is host memory that kernels may touch; here it is device memory.
        return args[0] if place.on_device(args[0]) else move((args[0], "cuda"), {})

    def general(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        touches = place.any_on_device(args) or (bool(kwargs) and place.any_on_device(kwargs.values()))
        there = touches
        if kwargs:
            if (names := place.names_device(kwargs.get("device"))) is not None:
                there = names
                kwargs = {**kwargs, "device": "cpu"}
            if kwargs.get("pin_memory"):
                kwargs = {**kwargs, "pin_memory": False}
        return place.run(there, touches, function, *args, **kwargs)

    handlers: dict[Any, Callable[[tuple[Any, ...], dict[str, Any]], Any]] = {
        tensor.to: move,
        tensor.cuda: to_device,
        tensor.cpu: to_host,
        tensor.numpy: as_array,
        tensor.__repr__: text,
        tensor.device.__get__: where,
        tensor.is_cuda.__get__: lambda args, _: place.on_device(args[0]),
        tensor.is_cpu.__get__: lambda args, _: place.device_of(args[0]).type == "cpu",
        tensor.get_device: index_of,
        tensor.pin_memory: pinned,
        tensor.is_pinned: lambda args, _: False,
        torch.tensor: from_data(torch.tensor),
        torch.as_tensor: from_data(torch.as_tensor),
        torch.asarray: from_data(torch.asarray),
    }
    # What only looks at a tensor's form needs neither a place nor the results of a stream.
    passive = {getattr(tensor, name) for name in _FORM_METHODS} | {
        getattr(tensor, name).__get__ for name in _FORM_ATTRIBUTES if hasattr(tensor, name)
    }

    class PlacementMode(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
        """Places the results of every operation."""

        def __torch_function__(
            self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            kwargs = kwargs or {}
            if (handler := handlers.get(function)) is not None:
                return handler(args, kwargs)
            if function in passive:
                return function(*args, **kwargs)
            return general(function, args, kwargs)

    return PlacementMode


def bridge_torch(torch: Any) -> None:
    """Called when torch has been imported: gives it the device "cuda"."""
    hip = Hip()
    state = patch_cuda(torch, hip)
    place = TensorPlacement(torch, hip, state.synchronize_current_stream, state.current_device, state.capture)
    mode = _placement_mode(torch, place)
    mode().__enter__()  # never left: it holds for the life of this thread
    _enter_in_new_threads(mode)
    _synchronize.append(state.synchronize_current_stream)


def _enter_in_new_threads(mode: Any) -> None:
    """Modes hold for one thread each: enter it in every thread that Python starts."""
    run = threading.Thread.run

    @functools.wraps(run)
    def run_in_mode(self: threading.Thread) -> None:
        with mode():
            run(self)

    threading.Thread.run = run_in_mode  # type: ignore[method-assign]


_synchronize: list[Callable[[], None]] = []

_COLLECTIVES = (
    "all_reduce",
    "broadcast",
    "reduce",
    "all_gather",
    "all_gather_into_tensor",
    "gather",
    "scatter",
    "reduce_scatter",
    "reduce_scatter_tensor",
    "all_to_all",
    "all_to_all_single",
    "send",
    "recv",
    "isend",
    "irecv",
    "barrier",
    "batch_isend_irecv",
)


def bridge_collectives(module: ModuleType) -> None:
    """Called when torch.distributed's functions are there: a collective comes after the work of the current stream."""
    for name in _COLLECTIVES:
        function = getattr(module, name, None)
        if function is not None:
            setattr(module, name, _after_stream(function))


def _after_stream(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def ordered(*args: Any, **kwargs: Any) -> Any:
        for synchronize in _synchronize:
            synchronize()
        return function(*args, **kwargs)

    return ordered
