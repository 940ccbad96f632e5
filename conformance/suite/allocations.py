# SPDX-License-Identifier: MIT
"""Bytes of the allocations behind what the op returns, as the device tells them, against what `moriep.buffers` predicts."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["allocation_bytes", "compare_allocations"]

# Tensor → the member of EpDispatchCombineHandle that it is a view of.
_MEMBERS = {
    "dispatched payload": "dispatchOut",
    "dispatched weights": "shmemDispatchOutWeightsMemObj",
    "dispatched scales": "shmemOutScalesMemObj",
    "dispatched ids": "shmemOutIndicesMemObj",
    "registered combine input": "combineInp",
    "combined payload": "combineOut",
    "combined weights": "shmemCombineOutWeightsMemObj",
}


def allocation_bytes(tensor: Any) -> int:
    """Bytes of the allocation that a tensor lies in, from the tensor's first byte; −1 where the device does not tell."""
    if tensor.device.type == "cpu":
        return int(tensor.untyped_storage().nbytes() - tensor.storage_offset() * tensor.element_size())
    for name in (None, "libamdhip64.so"):
        try:
            ask = ctypes.CDLL(name).hipMemGetAddressRange
        except (OSError, AttributeError):
            continue
        base, size = ctypes.c_void_p(), ctypes.c_size_t()
        if ask(ctypes.byref(base), ctypes.byref(size), ctypes.c_void_p(tensor.data_ptr())) == 0:
            return int(size.value - (tensor.data_ptr() - (base.value or 0)))
    return -1


def compare_allocations(tensors: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """As JSON: for each tensor [bytes of its allocation, bytes predicted for it].

    Args:
        tensors: by the names of `_MEMBERS`.
        arguments: those of EpDispatchCombineConfig, data type left out.
    """
    from moriep.buffers import DispatchShape, plan_buffers
    from moriep.compatibility import installed_surface
    from moriep.layouts import layout_for_surface

    plan = plan_buffers(DispatchShape.from_kwargs(arguments), layout_for_surface(installed_surface()))
    found = {}
    for name, tensor in tensors.items():
        buffer = plan.buffer(_MEMBERS[name])
        found[name] = [allocation_bytes(tensor), -1 if buffer is None else buffer.size]
    return json.dumps(found)
