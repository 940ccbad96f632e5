# SPDX-License-Identifier: MIT
"""The tensors that a rank hands to a dispatch: payload, weights, ids, and scales where the case has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from conformance.suite.cases import Case, make_inputs
from conformance.suite.device import Device, GuardedTensor
from conformance.suite.encoding import Bytes

__all__ = ["make_tensors", "refill_tensors"]


def _contents(case: Case, rank: int, data: int) -> list[tuple[str, Bytes, Any, int]]:
    """(name, [tokens, bytes of a row], dtype, columns) of each tensor, in the order of dispatch's arguments but scales last."""
    inputs = make_inputs(case, rank, data)

    def as_bytes(values: Any) -> Bytes:
        return values.view(np.uint8).reshape(inputs.tokens, -1) if inputs.tokens else np.zeros((0, 0), np.uint8)

    found = [
        ("payload", inputs.payload, getattr(torch, case.dtype), case.columns),
        ("weights", as_bytes(inputs.weights), torch.float32, case.top_k),
        ("ids", as_bytes(inputs.ids), torch.int32, case.top_k),
    ]
    if case.scale_bytes:
        kind = {1: torch.uint8, 4: torch.float32}[case.scale_type_size]
        found.append(("scales", inputs.scales, kind, case.scale_dim))
    return found


def make_tensors(case: Case, rank: int, data: int, device: Device) -> tuple[GuardedTensor, ...]:
    """Payload, weights, ids, and scales if there are any, of one data set."""
    return tuple(
        GuardedTensor(f"{name} {data}", raw, dtype, columns, device)
        for name, raw, dtype, columns in _contents(case, rank, data)
    )


def refill_tensors(tensors: tuple[GuardedTensor, ...], case: Case, rank: int, data: int) -> None:
    """Another data set in the same tensors."""
    for tensor, (_, raw, _, _) in zip(tensors, _contents(case, rank, data), strict=True):
        tensor.refill(raw)
