# SPDX-License-Identifier: MIT
"""The probability that a token reaches a rank, when experts are drawn by weight without replacement. Needs numpy.

Give each expert an exponential clock with its weight as rate: the first top-k to ring are such a draw. A rank is missed if top-k
others ring before the first of its own, whose time is exponential with the rank's total weight w. So the rank is reached with

    p = ∫ w·exp(−w·t) · P(fewer than top-k of the others have rung by t) dt,

where the inner probability is a Poisson-binomial, summed exactly. With t = exp(x) the integrand decays at both ends, and the
trapezoidal rule converges faster than any power of its step; the error is taken as the difference to half as many points.
"""

from __future__ import annotations

from typing import Any

from moriep.planner.arrays import need_numpy
from moriep.planner.routing import RoutingShape, Weighted

__all__ = ["hit_probabilities"]

_POINTS = 1024


def hit_probabilities(model: Weighted, shape: RoutingShape) -> tuple[tuple[float, ...], float]:
    """For each rank the probability that a token reaches it, and a bound of the absolute error of all of them.

    Raises:
        ConfigurationError: the weights do not fit the shape. MissingLibraryError: there is no numpy.
    """
    model.check(shape)
    numpy = need_numpy()
    weights = numpy.asarray(model.weights, dtype=numpy.float64)
    weights = weights / weights.sum()
    by_rank = weights.reshape(shape.world_size, shape.experts_per_rank)
    smallest = weights[weights > 0].min()
    # By t = 60 / smallest every clock has rung; before 1e-18 none has, to double precision.
    grid = numpy.linspace(numpy.log(1e-18), numpy.log(60.0 / smallest), _POINTS + 1)
    times = numpy.exp(grid)
    fine = [_integral(numpy, by_rank, rank, times, grid, shape.top_k) for rank in range(shape.world_size)]
    error = max(abs(whole - half) for whole, half in fine)
    return tuple(min(1.0, max(0.0, whole)) for whole, _ in fine), max(float(error), 1e-14)


def _integral(numpy: Any, by_rank: Any, rank: int, times: Any, grid: Any, top_k: int) -> tuple[float, float]:
    total = float(by_rank[rank].sum())
    if total == 0.0:
        return 0.0, 0.0
    others = numpy.delete(by_rank, rank, axis=0).ravel()
    # counts[j] is the probability that exactly j of the others have rung, for j below top-k.
    counts = numpy.zeros((top_k, len(times)))
    counts[0] = 1.0
    for weight in others[others > 0]:
        silent = numpy.exp(-weight * times)
        counts[1:] = counts[1:] * silent + counts[:-1] * (1.0 - silent)
        counts[0] *= silent
    values = total * times * numpy.exp(-total * times) * counts.sum(axis=0)
    step = grid[1] - grid[0]
    return float(values.sum() * step), float(values[::2].sum() * step * 2)
