# SPDX-License-Identifier: MIT
"""The dispatcher of a framework's MoE layers, with its overflow guard. torch and mori are imported when one is made."""

from __future__ import annotations

from moriep.dispatcher.dispatcher import MoriEPDispatcher
from moriep.dispatcher.guard import GuardMode, OverflowGuard, SendCounts, count_sends
from moriep.dispatcher.outputs import DispatchOutput
from moriep.dispatcher.quantisation import Quantised, dequantise, error_bound, quantise

__all__ = [
    "DispatchOutput",
    "GuardMode",
    "MoriEPDispatcher",
    "OverflowGuard",
    "Quantised",
    "SendCounts",
    "count_sends",
    "dequantise",
    "error_bound",
    "quantise",
]
