# SPDX-License-Identifier: MIT
"""How tokens choose experts: the routing models that a plan can assume, and what each says about overflow.

Expert e lives on rank e // experts_per_rank, as in MORI. A token is received once by each rank that holds at least one of its
top-k experts, so a rank receives one row per token that reaches it.

- `Uniform`: every set of top-k experts is equally likely.
- `Weighted`: experts are drawn one after another without replacement, each with its weight (the Plackett–Luce model: what
  top-k does to router scores with Gumbel noise). Zipf weights and measured expert histograms are of this kind.
- `Trace`: the batches of a recorded run, file format in `moriep.planner.traces`.

In the first two, tokens choose independently. Real ones do not quite: the tokens of one prompt like the same experts, and then
counts spread further. Only a trace shows that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from moriep.errors import ConfigurationError

__all__ = ["Placement", "RoutingModel", "RoutingShape", "Trace", "Uniform", "Weighted", "placed", "zipf_weights"]

Placement = Literal["contiguous", "dealt"]


@dataclass(frozen=True)
class RoutingShape:
    """What a routing model needs to know of a configuration.

    Attributes:
        world_size: ranks.
        experts_per_rank: experts on each rank.
        top_k: experts of each token, at most all of them.
    """

    world_size: int
    experts_per_rank: int
    top_k: int

    def __post_init__(self) -> None:
        if not 1 <= self.top_k <= self.experts:
            raise ConfigurationError(f"top-k {self.top_k} of {self.experts} experts is impossible")

    @property
    def experts(self) -> int:
        return self.world_size * self.experts_per_rank


@dataclass(frozen=True)
class Uniform:
    """Every set of top-k distinct experts equally likely."""

    @property
    def label(self) -> str:
        return "uniform"

    def hit_probability(self, shape: RoutingShape, ranks: int = 1) -> float:
        """That a token reaches at least one of `ranks` given ranks: 1 − C(N − m, K) / C(N, K), in exact integers."""
        outside = shape.experts - ranks * shape.experts_per_rank
        misses, all_sets = math.comb(max(outside, 0), shape.top_k), math.comb(shape.experts, shape.top_k)
        return (all_sets - misses) / all_sets


@dataclass(frozen=True)
class Weighted:
    """Draws without replacement, proportional to weights.

    Attributes:
        weights: one for each expert, in the order of expert ids; not negative. Experts of weight 0 are never chosen.
        label: what messages call it.
    """

    weights: tuple[float, ...]
    label: str = "weighted"

    def __post_init__(self) -> None:
        if not self.weights or any(not math.isfinite(item) or item < 0 for item in self.weights):
            raise ConfigurationError("routing weights must be finite and not negative, one for each expert")

    def check(self, shape: RoutingShape) -> None:
        """Raise ConfigurationError unless the weights fit the shape."""
        if len(self.weights) != shape.experts:
            raise ConfigurationError(
                f"{len(self.weights)} routing weights for {shape.experts} experts (world_size {shape.world_size} × "
                f"{shape.experts_per_rank}); give one for each"
            )
        chosen = sum(1 for item in self.weights if item > 0)
        if chosen < shape.top_k:
            raise ConfigurationError(f"only {chosen} experts have a weight above 0; top-k {shape.top_k} needs as many")


@dataclass(frozen=True)
class Trace:
    """Recorded batches.

    Attributes:
        batches: one for each recorded batch of one rank: the expert ids of each of its tokens.
        steps: for each batch the step that it belongs to, or None where the record does not say. With steps, whole dispatches
            were seen as they were; without, the batches of a dispatch are drawn from the record independently.
        label: what messages call it.
    """

    batches: tuple[tuple[tuple[int, ...], ...], ...]
    steps: tuple[int, ...] | None = None
    label: str = "trace"

    def receive_counts(self, shape: RoutingShape, max_tokens: int) -> tuple[tuple[int, ...], ...]:
        """For each batch, how many of its tokens each rank receives.

        Raises:
            ConfigurationError: for an id outside the experts, or a batch of more than `max_tokens`.
        """
        found = []
        for number, batch in enumerate(self.batches, 1):
            if len(batch) > max_tokens:
                raise ConfigurationError(
                    f"{self.label}: batch {number} has {len(batch)} tokens, more than the {max_tokens} that a rank may send "
                    "(max_num_inp_token_per_rank)"
                )
            counts = [0] * shape.world_size
            for ids in batch:
                for rank in {expert // shape.experts_per_rank for expert in ids}:
                    if not 0 <= rank < shape.world_size:
                        raise ConfigurationError(
                            f"{self.label}: batch {number} names expert ids {list(ids)}; allowed: 0 … {shape.experts - 1}"
                        )
                    counts[rank] += 1
            found.append(tuple(counts))
        return tuple(found)


RoutingModel = Uniform | Weighted | Trace


def placed(weights: Sequence[float], shape: RoutingShape, placement: Placement) -> tuple[float, ...]:
    """Weights, heaviest first, put onto ranks.

    `contiguous` fills rank 0 first, the worst that can happen; `dealt` deals them out like cards, as expert load balancing
    tries to.
    """
    ordered = sorted(weights, reverse=True)
    if placement == "contiguous":
        return tuple(ordered)
    result = [0.0] * shape.experts
    for position, weight in enumerate(ordered):
        deal, seat = divmod(position, shape.world_size)
        # Back and forth, so that rank 0 does not get the best card of every deal.
        rank = seat if deal % 2 == 0 else shape.world_size - 1 - seat
        result[rank * shape.experts_per_rank + deal] = weight
    return tuple(result)


def zipf_weights(shape: RoutingShape, exponent: float, placement: Placement = "contiguous") -> Weighted:
    """Weights 1 / i^exponent for the i-th most popular expert.

    Raises:
        ConfigurationError: for an exponent that is negative or not a number.
    """
    if not exponent >= 0.0 or math.isinf(exponent):
        raise ConfigurationError(f"the exponent of a Zipf law is {exponent}; it must be 0 or more (0 is uniform)")
    weights = [(position + 1) ** -exponent for position in range(shape.experts)]
    return Weighted(placed(weights, shape, placement), f"zipf {exponent:g}, {placement}")
