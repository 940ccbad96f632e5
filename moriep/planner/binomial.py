# SPDX-License-Identifier: MIT
"""Binomial tails and exact confidence intervals, with the standard library alone.

Accuracy: the first term of a tail comes from `math.lgamma`, whose error grows with the size of the logarithms that cancel;
the terms after it follow by exact ratios. `RELATIVE_ERROR` covers both up to 10⁷ tokens, and a test compares with rational
arithmetic.
"""

from __future__ import annotations

import math

__all__ = ["RELATIVE_ERROR", "clopper_pearson", "tail_above"]

RELATIVE_ERROR = 1e-7
_NEGLIGIBLE = 1e-17


def tail_above(count: int, trials: int, probability: float) -> float:
    """P(X > count) of a binomial X, to `RELATIVE_ERROR` wherever it is below a half.

    Args:
        count: any integer.
        trials: at least 0.
        probability: 0 … 1.
    """
    if count < 0:
        return 1.0
    if count >= trials or probability <= 0.0:
        return 0.0
    if probability >= 1.0:
        return 1.0
    if count + 1 > trials * probability:
        return min(1.0, _sum(count + 1, trials, probability))
    # P(X ≤ count) is the tail of the failures: X ≤ count exactly if trials − X ≥ trials − count.
    return max(0.0, 1.0 - _sum(trials - count, trials, 1.0 - probability))


def _sum(first: int, trials: int, probability: float) -> float:
    """The sum of the probabilities of `first`, `first` + 1, …; `first` is at or above the mean."""
    logarithm = (
        math.lgamma(trials + 1)
        - math.lgamma(first + 1)
        - math.lgamma(trials - first + 1)
        + first * math.log(probability)
        + (trials - first) * math.log1p(-probability)
    )
    if logarithm < -740.0:  # below the smallest double
        return 0.0
    odds = probability / (1.0 - probability)
    term = total = 1.0
    for count in range(first, trials):
        ratio = (trials - count) / (count + 1) * odds
        term *= ratio
        total += term
        # The ratios fall, so the rest is at most a geometric series.
        if ratio < 1.0 and term * ratio / (1.0 - ratio) < _NEGLIGIBLE * total:
            break
    return math.exp(logarithm) * total


def clopper_pearson(events: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval for a probability of which `events` in `trials` were seen.

    Raises:
        ValueError: unless 0 ≤ events ≤ trials, 1 ≤ trials and 0 < confidence < 1.
    """
    if not (0 <= events <= trials and trials >= 1 and 0.0 < confidence < 1.0):
        raise ValueError(f"{events} events in {trials} trials at confidence {confidence} mean nothing")
    miss = (1.0 - confidence) / 2.0

    def solve(target_count: int, target: float) -> float:
        # The tail above a count rises with the probability; bisect to the last bit that matters.
        low, high = 0.0, 1.0
        for _ in range(200):
            middle = (low + high) / 2.0
            if tail_above(target_count, trials, middle) < target:
                low = middle
            else:
                high = middle
            if high - low <= 1e-12 * high:
                break
        return (low + high) / 2.0

    lower = 0.0 if events == 0 else solve(events - 1, miss)
    upper = 1.0 if events == trials else solve(events, 1.0 - miss)
    return lower, upper
