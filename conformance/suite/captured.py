# SPDX-License-Identifier: MIT
"""A call that is captured as a graph once and replayed from then on, as frameworks do with the calls of their decode step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from conformance.suite.device import Device

__all__ = ["CAPTURE_REFUSED", "CapturedCall"]

# What HIP says to a call that may not be captured: the device is as well as before.
CAPTURE_REFUSED = "stream is capturing"


class CapturedCall:
    """One call of an op, whose arguments stay where they are.

    Args:
        call: makes the call; it is run once, while the stream is captured. On the host there is nothing to capture, and
            every replay makes the call again.
        device: of its tensors.
    """

    def __init__(self, call: Callable[[], Any], device: Device) -> None:
        self._call, self._graph = call, None
        self._result: Any = None
        if device.name.type != "cuda":
            return
        self._graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(self._graph):
                self._result = call()
        except Exception as error:
            # Ending a capture that failed fails too; what was there first says why.
            while error.__context__ is not None and CAPTURE_REFUSED not in str(error):
                error = error.__context__  # type: ignore[assignment]
            raise error from None

    def replay(self) -> Any:
        """What the call returned; its tensors hold what this replay wrote."""
        if self._graph is None:
            return self._call()
        self._graph.replay()
        return self._result
