# SPDX-License-Identifier: MIT
"""Ranks out of step on purpose: one comes late to a step, or none waits on the host for the others between steps.

Frameworks do not meet after each call, and one rank is always the slowest. Both are asked for by variables, so that a case stays
what it is: CONFORMANCE_WAITS, JSON of [rank, step, seconds] for each rank that is late before steps that begin with these words
("construct", "dispatch", "combine"; "call of combine of data set 1" for one of several), and CONFORMANCE_MEETINGS, the steps
after which ranks meet, separated by commas (default: all; "none" for none of them).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence

__all__ = ["MEETINGS", "WAITS", "meets", "wait_before"]

WAITS, MEETINGS = "CONFORMANCE_WAITS", "CONFORMANCE_MEETINGS"


def wait_before(step: str, rank: int, always: Sequence[tuple[int, str, float]] = ()) -> None:
    """Sleep if this rank is to be late for the step; `always`: what the case itself asks for."""
    for late, steps, seconds in (*always, *json.loads(os.environ.get(WAITS) or "[]")):
        if late == rank and step.startswith(steps):
            time.sleep(seconds)


def meets(step: str) -> bool:
    """Whether all ranks meet on the host after a step."""
    asked = os.environ.get(MEETINGS)
    return not asked or step in asked.split(",")
