# SPDX-License-Identifier: MIT
"""The device that a rank finds: torch's "cuda" where there is one, else the host; and tensors with canaries around them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from conformance.suite.encoding import Bytes
from conformance.suite.observations import GuardObservation

__all__ = ["Device", "GuardedTensor", "find_device"]

_GUARD_BYTES = 256
_CANARY = 0x5C
DIRT = 0xA5


@dataclass(frozen=True)
class Device:
    """Where tensors live."""

    name: Any

    def synchronize(self) -> None:
        if self.name.type == "cuda":
            torch.cuda.synchronize()

    def memory_in_use(self) -> int:
        """Bytes in use on the device, −1 if it does not tell. A fake `mori` on the host may tell for itself."""
        if self.name.type == "cuda":
            free, total = torch.cuda.mem_get_info()
            return int(total - free)
        import mori

        tell = getattr(mori.shmem, "reference_heap_in_use", None)
        return int(tell()) if tell is not None else -1


def find_device(rank: int) -> Device:
    if not torch.cuda.is_available():
        return Device(torch.device("cpu"))
    # Of its machine, where a launcher that knows several says so.
    index = int(os.environ.get("LOCAL_RANK", rank)) % torch.cuda.device_count()
    torch.cuda.set_device(index)
    return Device(torch.device("cuda", index))


class GuardedTensor:
    """A tensor of given bytes, in the middle of a larger block whose ends are canaries."""

    def __init__(self, name: str, raw: Bytes, dtype: Any, columns: int, device: Device) -> None:
        self._name, self._raw = name, np.ascontiguousarray(raw).reshape(-1)
        block = np.full(self._raw.size + 2 * _GUARD_BYTES, _CANARY, dtype=np.uint8)
        block[_GUARD_BYTES : _GUARD_BYTES + self._raw.size] = self._raw
        self._block = torch.from_numpy(block).to(device.name)
        inside = self._block[_GUARD_BYTES : _GUARD_BYTES + self._raw.size]
        self.tensor = inside.view(dtype).reshape(raw.shape[0], columns)

    def refill(self, raw: Bytes) -> None:
        """Other bytes, as many as before, in the same place."""
        self._raw = np.ascontiguousarray(raw).reshape(-1)
        self.restore()

    def restore(self) -> None:
        """Put the bytes back that it was made of."""
        inside = self._block[_GUARD_BYTES : _GUARD_BYTES + self._raw.size]
        inside.copy_(torch.from_numpy(self._raw))

    def observe(self) -> GuardObservation:
        """What of it was written to."""
        block = self._block.cpu().numpy()
        end = _GUARD_BYTES + self._raw.size
        return GuardObservation(
            self._name,
            changed_inside=int((block[_GUARD_BYTES:end] != self._raw).sum()),
            changed_before=int((block[:_GUARD_BYTES] != _CANARY).sum()),
            changed_behind=int((block[end:] != _CANARY).sum()),
        )


def raw_bytes(tensor: Any) -> Bytes:
    """A tensor's bytes, [rows, bytes of a row], on the host."""
    if tensor is None or tensor.numel() == 0:
        return np.zeros((0 if tensor is None else tensor.shape[0], 0), dtype=np.uint8)
    host = tensor.detach().cpu().contiguous()
    found: Bytes = host.view(torch.uint8).reshape(host.shape[0], -1).numpy().copy()
    return found


def make_dirty(tensor: Any) -> None:
    """Fill a contiguous tensor so that what was not written shows."""
    if tensor.numel():
        tensor.view(torch.uint8).fill_(DIRT)
