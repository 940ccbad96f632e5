# SPDX-License-Identifier: MIT
"""Reads the count that dispatch reported without waiting for the device."""

from __future__ import annotations

from typing import Any

from moriep.dispatcher.lazy import load_torch

__all__ = ["ReceivedCount"]


class ReceivedCount:
    """The count of one dispatch at a time.

    On a GPU the count is copied to pinned host memory behind the kernel, on the same stream; `look` reads it once the copy is
    done, and never waits. On the host the tensor itself is read. Combine sets the tensor to 0, so `look` has to come before
    it, or be satisfied with the copy.
    """

    def __init__(self) -> None:
        self._count: Any = None
        self._event: Any = None
        self._host: Any = None

    def start(self, count: Any) -> None:
        """Remember the count of a dispatch that was just launched. count: int32 [1]."""
        if count.device.type != "cuda":
            self._count = count
            return
        torch = load_torch()
        if self._host is None:
            self._host = torch.empty(1, dtype=torch.int32, pin_memory=True)
            self._event = torch.cuda.Event()
        self._host.copy_(count, non_blocking=True)
        self._event.record()
        self._count = self._host

    def look(self) -> int | None:
        """The count, once; None if there is none, or if it is not there yet."""
        if self._count is None or (self._count is self._host and not self._event.query()):
            return None
        found, self._count = int(self._count.item()), None
        return found
