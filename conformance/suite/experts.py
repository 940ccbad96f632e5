# SPDX-License-Identifier: MIT
"""The experts of the suite: linear functions that differ per expert, so that no wrong contribution cancels out.

With identity experts a contribution of the wrong rank, or of the right rank taken twice while another is lost, leaves the sum
as it was.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from conformance.suite.encoding import Floats, Integers, bfloat16_bits

__all__ = ["expert_output", "weights_for_combine"]


def _slope(expert: npt.NDArray[np.int64]) -> Floats:
    return (1.0 + (expert * 5 % 13) / 8.0).astype(np.float32)


def _offset(expert: npt.NDArray[np.int64]) -> Floats:
    return (3.0 + (expert * 7 % 29)).astype(np.float32)


def expert_output(
    rank: int,
    values: Floats,
    ids: Integers,
    weights: Floats,
    experts_per_rank: int,
    combine_dtype: str,
    *,
    factor: float = 1.0,
) -> Floats:
    """What rank `rank` hands to combine for the rows that it received.

    Args:
        values: [rows, hidden] float32; ids: [rows, top_k] global expert ids; weights: [rows, top_k] float32.
        factor: of all outputs; a power of two.

    Returns:
        [rows, hidden] float32, holding values of `combine_dtype` ("bfloat16" or "float32"): for each of this rank's experts
        that the row names, weight × (slope × value + offset), summed.
    """
    total = np.zeros(values.shape, dtype=np.float32)
    for slot in range(ids.shape[1]):
        expert = ids[:, slot].astype(np.int64)
        here = (expert >= rank * experts_per_rank) & (expert < (rank + 1) * experts_per_rank)
        safe = np.where(here, expert, 0)
        term = weights[:, slot, None] * (_slope(safe)[:, None] * values + _offset(safe)[:, None])
        total += np.where(here[:, None], term, np.float32(0)).astype(np.float32)
    total *= np.float32(factor)
    if combine_dtype == "bfloat16":
        return (bfloat16_bits(total).astype(np.uint32) << np.uint32(16)).view(np.float32).reshape(total.shape)
    return total


def weights_for_combine(rank: int, weights: Floats) -> Floats:
    """The weights that rank `rank` hands to combine: the received ones, by a factor that differs per rank."""
    return (weights * np.float32(1.0 + rank / 8.0)).astype(np.float32)
