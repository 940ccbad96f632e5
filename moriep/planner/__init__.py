# SPDX-License-Identifier: MIT
"""How much memory a receive cap saves, and how likely it overflows: choose `max_total_recv_tokens` with open eyes.

`plan` answers for one configuration, release and routing model; the command is `moriep plan`. Uniform routing needs the standard
library alone; weights, traces and simulation need numpy (`pip install 'moriep[planner]'`).
"""

from __future__ import annotations

from moriep.planner.laws import Odds, receive_law
from moriep.planner.planning import Plan, PlannedCap, plan
from moriep.planner.routing import RoutingShape, Trace, Uniform, Weighted, zipf_weights
from moriep.planner.simulation import Simulation, simulate_counts, simulate_tokens
from moriep.planner.traces import load_histogram, load_trace

__all__ = [
    "Odds",
    "Plan",
    "PlannedCap",
    "RoutingShape",
    "Simulation",
    "Trace",
    "Uniform",
    "Weighted",
    "load_histogram",
    "load_trace",
    "plan",
    "receive_law",
    "simulate_counts",
    "simulate_tokens",
    "zipf_weights",
]
