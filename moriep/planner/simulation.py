# SPDX-License-Identifier: MIT
"""Simulated dispatches: what the bounds of `moriep.planner.laws` leave open is how ranks depend on each other. Needs numpy.

Two ways, both of counts:

- `simulate_tokens` draws every token. Right in distribution, nothing assumed beyond the routing model; its cost grows with the
  tokens, so it serves small groups, few batches, and tests.
- `simulate_counts` draws the receive counts of all ranks at once: normal variables with the exact correlation of the counts,
  each compared with the quantile that gives its rank the exact tail. Each rank by itself is exact in distribution; that the
  dependence is that of normal variables is the central limit theorem, and the only thing assumed. A million batches of 64
  ranks take seconds whatever the tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from moriep.errors import ConfigurationError
from moriep.planner.arrays import need_numpy
from moriep.planner.binomial import clopper_pearson, tail_above
from moriep.planner.laws import IndependentTokens, receive_law
from moriep.planner.routing import RoutingModel, RoutingShape, Trace, Uniform

__all__ = ["Simulation", "simulate_counts", "simulate_tokens"]

_CHUNK = 1 << 22  # values held at once
_CORRELATION_TOKENS = 1 << 17


@dataclass(frozen=True)
class Simulation:
    """Dispatches in which any rank received more rows than there were, out of all that were simulated.

    Attributes:
        rows: the capacity that was asked about.
        overflows, batches: how many; seed: repeats it exactly.
        assumption: what was assumed beyond the routing model.
    """

    rows: int
    overflows: int
    batches: int
    seed: int
    assumption: str

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Clopper-Pearson bounds of the probability."""
        return clopper_pearson(self.overflows, self.batches, confidence)


def draw_ranks(model: RoutingModel, shape: RoutingShape, tokens: int, generator: Any) -> Any:
    """For each token (row) whether it reaches each rank (column): booleans, [tokens, world_size]."""
    numpy = need_numpy()
    if isinstance(model, Trace):
        raise ConfigurationError("tokens are not drawn one by one from a trace; it holds batches")
    # The top-k with the earliest exponential clocks are a draw without replacement; equal rates make it uniform.
    clocks = generator.standard_exponential((tokens, shape.experts), dtype=numpy.float32)
    if not isinstance(model, Uniform):
        model.check(shape)
        weights = numpy.asarray(model.weights, dtype=numpy.float64)
        with numpy.errstate(divide="ignore"):
            clocks = clocks / (weights / weights.max()).astype(numpy.float32)
    chosen = numpy.argpartition(clocks, shape.top_k - 1, axis=1)[:, : shape.top_k] // shape.experts_per_rank
    reached = numpy.zeros((tokens, shape.world_size), dtype=bool)
    reached[numpy.arange(tokens)[:, None], chosen] = True
    return reached


def simulate_tokens(
    model: RoutingModel, shape: RoutingShape, tokens_per_rank: int, rows: int, *, batches: int, seed: int
) -> Simulation:
    """Draw every token of every batch. A trace is resampled batch by batch."""
    numpy = need_numpy()
    generator = numpy.random.default_rng(seed)
    overflows = 0
    if isinstance(model, Trace):
        counts = numpy.asarray(model.receive_counts(shape, tokens_per_rank), dtype=numpy.int64)
        for _ in range(batches):
            chosen = generator.integers(len(counts), size=shape.world_size)
            overflows += int(counts[chosen].sum(axis=0).max() > rows)
        return Simulation(rows, overflows, batches, seed, "none")
    tokens = shape.world_size * tokens_per_rank
    at_once = max(1, _CHUNK // (tokens * shape.experts))
    for start in range(0, batches, at_once):
        number = min(at_once, batches - start)
        reached = draw_ranks(model, shape, number * tokens, generator).reshape(number, tokens, shape.world_size)
        overflows += int((reached.sum(axis=1).max(axis=1) > rows).sum())
    return Simulation(rows, overflows, batches, seed, "none")


def simulate_counts(
    model: RoutingModel, shape: RoutingShape, tokens_per_rank: int, rows: int, *, batches: int, seed: int
) -> Simulation:
    """Draw the counts of all ranks at once; see the module for what that assumes.

    Raises:
        ConfigurationError: for a trace, whose batches `simulate_tokens` draws as they are.
    """
    numpy = need_numpy()
    law = receive_law(model, shape, tokens_per_rank)
    if not isinstance(law, IndependentTokens):
        raise ConfigurationError("counts are not drawn from a trace; its batches are drawn as they are")
    generator = numpy.random.default_rng(seed)
    trials = shape.world_size * tokens_per_rank
    tails = [tail_above(rows, trials, probability) for probability in law.probabilities]
    limits = numpy.asarray([_quantile(tail) for tail in tails], dtype=numpy.float32)
    factor = _factor(model, shape, generator).astype(numpy.float32)
    overflows = 0
    at_once = max(1, _CHUNK // shape.world_size)
    for start in range(0, batches, at_once):
        normal = generator.standard_normal((min(at_once, batches - start), factor.shape[1]), dtype=numpy.float32)
        overflows += int(((normal @ factor.T) > limits).any(axis=1).sum())
    return Simulation(
        rows,
        overflows,
        batches,
        seed,
        "the ranks' counts depend on each other as normal variables of the same correlation do",
    )


def _quantile(tail: float) -> float:
    """The value that a standard normal variable exceeds with this probability."""
    if tail <= 0.0:
        return math.inf
    return -math.inf if tail >= 1.0 else -NormalDist().inv_cdf(tail)


def _factor(model: RoutingModel, shape: RoutingShape, generator: Any) -> Any:
    """A matrix A with A·Aᵀ the correlation of the counts, which is that of one token's hits."""
    numpy = need_numpy()
    if isinstance(model, Uniform):
        hit, either = model.hit_probability(shape), model.hit_probability(shape, 2) if shape.world_size > 1 else 0.0
        both = 2 * hit - either
        variance = hit * (1 - hit)
        shared = (both - hit * hit) / variance if variance else 0.0
        correlation = numpy.full((shape.world_size, shape.world_size), shared)
    else:
        # Of pairs there is no formula for weights, so their share is measured on drawn tokens, to about 0.003.
        hits = draw_ranks(model, shape, _CORRELATION_TOKENS, generator).astype(numpy.float64)
        hits -= hits.mean(axis=0)
        spread = numpy.sqrt((hits * hits).mean(axis=0))
        spread[spread == 0] = 1.0
        correlation = (hits / spread).T @ (hits / spread) / len(hits)
    numpy.fill_diagonal(correlation, 1.0)
    values, vectors = numpy.linalg.eigh(correlation)
    return vectors * numpy.sqrt(numpy.clip(values, 0.0, None))
