# SPDX-License-Identifier: MIT
"""The probability that one dispatch overflows a receive buffer, with bounds that can be relied on.

What each rank receives is known exactly under a routing model; how the ranks depend on each other is not, so the probability
that *any* rank overflows is given between the greatest of the ranks' own (it is at least that) and their sum (it is at most
that). Where overflow is rare, the two differ by little more than the number of ranks; plans use the sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from moriep.errors import ConfigurationError
from moriep.planner.arrays import need_numpy
from moriep.planner.binomial import RELATIVE_ERROR, clopper_pearson, tail_above
from moriep.planner.inclusion import hit_probabilities
from moriep.planner.routing import RoutingModel, RoutingShape, Trace, Uniform

__all__ = ["IndependentTokens", "Odds", "ReceiveLaw", "RecordedSteps", "ResampledBatches", "receive_law"]

_SMALLEST = 1e-300


@dataclass(frozen=True)
class Odds:
    """A probability that is known to lie between two figures."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.lower <= self.upper <= 1.0:
            raise ValueError(f"{self.lower} … {self.upper} is no range of probabilities")

    def repeated(self, dispatches: int) -> Odds:
        """Of happening at least once: at least as likely as once, at most `dispatches` times that (whatever they share)."""
        return Odds(self.lower, min(1.0, self.upper * dispatches))


class ReceiveLaw(Protocol):
    """What the ranks receive in one dispatch, as random numbers."""

    @property
    def method(self) -> str:
        """How the odds are found, in a sentence."""

    @property
    def mean(self) -> float:
        """Expected rows on the rank that receives most on average."""

    def any_above(self, rows: int) -> Odds:
        """That any rank receives more than `rows`."""

    def any_pair_above(self, rows: int) -> Odds:
        """That any one sender has more than `rows` tokens for any one rank (what legacy InterNode cannot hold)."""


@dataclass(frozen=True)
class IndependentTokens:
    """Tokens that choose independently: what a rank receives is binomial.

    Attributes:
        senders: ranks that send. tokens: tokens that each of them sends.
        probabilities: for each rank that a token reaches it; error: absolute error of each.
    """

    senders: int
    tokens: int
    probabilities: tuple[float, ...]
    error: float = 0.0

    @property
    def method(self) -> str:
        source = "exact" if not self.error else f"by quadrature, each within {self.error:.0e}"
        return (
            f"tokens choose independently: binomial tail of {self.senders * self.tokens} tokens for each rank, exact to a "
            f"relative {RELATIVE_ERROR:.0e}; hit probabilities {source}; over ranks: at least the greatest, at most the sum"
        )

    @property
    def mean(self) -> float:
        return float(self.senders * self.tokens * max(self.probabilities))

    def any_above(self, rows: int) -> Odds:
        return self._any(rows, self.senders * self.tokens, 1)

    def any_pair_above(self, rows: int) -> Odds:
        return self._any(rows, self.tokens, self.senders)

    def _any(self, rows: int, trials: int, times: int) -> Odds:
        lower, upper = 0.0, 0.0
        for probability, ranks in Counter(self.probabilities).items():
            low = tail_above(rows, trials, max(0.0, probability - self.error))
            high = tail_above(rows, trials, min(1.0, probability + self.error))
            lower = max(lower, low * (1.0 - RELATIVE_ERROR))
            if rows < trials and self.probabilities:
                # What is not impossible is never given as 0, though a double cannot hold it.
                high = max(high * (1.0 + RELATIVE_ERROR), _SMALLEST if probability + self.error > 0.0 else 0.0)
            upper += ranks * times * high
        return Odds(lower, max(lower, min(1.0, upper)))


class ResampledBatches:
    """Dispatches made of recorded batches, each sender's drawn independently: tokens of a batch keep what they have in common.

    What a rank receives is the sum of `senders` draws from the recorded counts. Its law is their convolution, taken as a power
    of the Fourier transform, which is exact to an absolute 10⁻¹¹; smaller odds are not told apart from that.
    """

    _FLOOR = 1e-11

    def __init__(self, counts: Sequence[Sequence[int]], senders: int) -> None:
        numpy = need_numpy()
        self._numpy, self.senders = numpy, senders
        self._counts = numpy.asarray(counts, dtype=numpy.int64)
        self._tails: dict[int, Any] = {}

    @property
    def method(self) -> str:
        return (
            f"{len(self._counts)} recorded batches, drawn independently for each of {self.senders} senders: convolution by "
            f"Fourier transform, exact to {self._FLOOR:.0e}; over ranks: at least the greatest, at most the sum. That the record "
            "is finite is not in the bounds"
        )

    @property
    def mean(self) -> float:
        return float(self._counts.mean(axis=0).max() * self.senders)

    def _tail(self, rank: int) -> Any:
        """P(count > rows) for rows = 0, 1, …"""
        if rank not in self._tails:
            numpy = self._numpy
            column = self._counts[:, rank]
            size = int(column.max()) * self.senders + 1
            law = numpy.bincount(column) / len(column)
            transform = numpy.fft.rfft(law, n=size) ** self.senders
            total = numpy.clip(numpy.fft.irfft(transform, n=size), 0.0, None)
            above = numpy.cumsum(total[::-1])[::-1]
            self._tails[rank] = numpy.append(above[1:], 0.0)
        return self._tails[rank]

    def any_above(self, rows: int) -> Odds:
        lower = upper = 0.0
        for rank in range(self._counts.shape[1]):
            tail = self._tail(rank)
            if rows >= len(tail) - 1:
                continue  # more than the record's greatest from every sender: impossible here
            value = float(tail[rows])
            lower = max(lower, value - self._FLOOR)
            upper += value + self._FLOOR
        return Odds(max(0.0, lower), max(0.0, min(1.0, upper)))

    def any_pair_above(self, rows: int) -> Odds:
        seen = float((self._counts > rows).any(axis=1).mean())
        return Odds(seen, min(1.0, seen * self.senders))


class RecordedSteps:
    """Whole dispatches as they were recorded: nothing is assumed, and little is known that was not seen."""

    confidence = 0.95

    def __init__(self, counts: Sequence[Sequence[int]], steps: Sequence[int], senders: int) -> None:
        totals: dict[int, list[int]] = {}
        batches: Counter[int] = Counter(steps)
        wrong = sorted(step for step, number in batches.items() if number != senders)
        if wrong:
            raise ConfigurationError(
                f"step {wrong[0]} of the trace has {batches[wrong[0]]} batches for world_size {senders}; each step must have one "
                "for each rank (leave out the steps to draw batches independently)"
            )
        self._pairs: dict[int, int] = {}
        for row, step in zip(counts, steps, strict=True):
            total = totals.setdefault(step, [0] * senders)
            totals[step] = [before + more for before, more in zip(total, row, strict=True)]
            self._pairs[step] = max(self._pairs.get(step, 0), *row)
        self._most = [max(total) for total in totals.values()]
        self._means = [sum(column) / len(totals) for column in zip(*totals.values(), strict=True)]

    @property
    def method(self) -> str:
        return (
            f"{len(self._most)} recorded dispatches: Clopper-Pearson interval of what was seen, {self.confidence:.0%}"
        )

    @property
    def mean(self) -> float:
        return float(max(self._means))

    def any_above(self, rows: int) -> Odds:
        seen = sum(1 for most in self._most if most > rows)
        return Odds(*clopper_pearson(seen, len(self._most), self.confidence))

    def any_pair_above(self, rows: int) -> Odds:
        seen = sum(1 for most in self._pairs.values() if most > rows)
        return Odds(*clopper_pearson(seen, len(self._pairs), self.confidence))


def receive_law(model: RoutingModel, shape: RoutingShape, tokens_per_rank: int) -> ReceiveLaw:
    """What a model says about a group in which every rank sends `tokens_per_rank` tokens (a trace: what it recorded).

    Raises:
        ConfigurationError: the model does not fit the shape. MissingLibraryError: it needs numpy, and there is none.
    """
    if isinstance(model, Trace):
        counts = model.receive_counts(shape, tokens_per_rank)
        if model.steps is not None:
            return RecordedSteps(counts, model.steps, shape.world_size)
        return ResampledBatches(counts, shape.world_size)
    if isinstance(model, Uniform):
        probabilities = (model.hit_probability(shape),) * shape.world_size
        return IndependentTokens(shape.world_size, tokens_per_rank, probabilities)
    probabilities, error = hit_probabilities(model, shape)
    return IndependentTokens(shape.world_size, tokens_per_rank, probabilities, error)
