# SPDX-License-Identifier: MIT
"""Which lanes a run takes, and a run of one that plays kernels."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from conformance.catalogue import Requirement, aspects
from conformance.errors import SelectionError
from conformance.matrix import Matrix
from conformance.measured import Measuring, collect, measure, why_no_virtual_lane
from conformance.run import Judged
from conformance.selection import choose_wheels
from conformance.suite.judges import CHECKS

__all__ = ["choose_lanes", "run_lane"]

_ALL = ("survey", "virtual", "rocm")


def choose_lanes(matrix: Matrix, names: Sequence[str]) -> tuple[str, ...]:
    """The lanes that the names mean; without any, those that the matrix enables and this machine has.

    Raises:
        SelectionError: there is none, or one that was named cannot run here.
    """
    if names:
        wanted = _ALL if "all" in names else tuple(lane for lane in _ALL if lane in names)
        if "virtual" in wanted and (reason := why_no_virtual_lane()):
            raise SelectionError(f"lane virtual cannot run here: {reason}")
        return wanted
    enabled = tuple(lane for lane in _ALL if any(item.name == lane and item.enabled for item in matrix.lanes))
    if "virtual" in enabled and (reason := why_no_virtual_lane()):
        print(f"lane virtual is left out: {reason}", file=sys.stderr)
        enabled = tuple(lane for lane in enabled if lane != "virtual")
    if not enabled:
        raise SelectionError(
            "no lane to run: the matrix enables none that this machine has; set `enabled = true` for a lane in matrix.toml, or "
            "name one: --lane survey"
        )
    return enabled


def run_lane(
    matrix_file: Path,
    matrix: Matrix,
    lane: str,
    wheels: Sequence[str],
    requirements: Sequence[Requirement],
    measuring: Measuring,
) -> Judged | None:
    """Measure and judge in a lane that plays kernels; None if it has nothing to say about the requirements.

    Args:
        wheels: names; none for those that the matrix names for the lane.
    """
    able = [item for item in requirements if lane in item.lanes and item.id in CHECKS]
    found = aspects(able, measuring.depth, measuring.kernel_types)
    names = list(dict.fromkeys(item.requirement.id for item in found))
    if not names:
        return None
    own = next((item.wheels for item in matrix.lanes if item.name == lane), ())
    chosen = choose_wheels(matrix, wheels or own)
    measure(matrix_file, chosen, (lane,), names, measuring)
    return Judged(*collect(matrix, chosen, lane, requirements, measuring))
