# SPDX-License-Identifier: MIT
"""How far off a combine may be whose contributions travel in fp8: bounds from the format, not from any implementation.

fp8 e4m3 has three bits behind the leading one. A value in [2^e, 2^(e+1)) lies between neighbours that are 2^(e−3) apart, so
rounding to nearest moves it by 2^(e−4) at most, which is never more than 2^−4 of the value. Below the smallest normal number
(2^−6 in OCP, 2^−7 in FNUZ) the neighbours stay as far apart as there: 2^−10 at most, by the coarser of the two. What is above
the largest number (448; 240 in FNUZ) is cut off.

- Direct cast: every contribution is rounded once, unscaled. Kernels that first add up the ranks of a node pass that partial
  sum on in fp8 again: one more rounding, of the partial sum.
- Blocks: every block of a contribution may be divided by a scale of its own, at most its largest magnitude over 240. Then the
  relative bound holds for each value, and below the smallest normal number the distance is multiplied by the scale.
  Multiplying by the scale and its inverse in float32 adds less than 2^−21 of the value, which is counted in.
- fp4 e2m1 has one bit behind the leading one and no smaller normal number than 1: a quarter of the value, or of the scale.
- The sum is kept in float32 and rounded to bfloat16 once for each addition at most, as without fp8; what was scaled is no
  bfloat16 number any more, so one more rounding is due even where nothing is added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["FP4", "FP8", "Format", "blockwise_bound", "direct_bound"]

Doubles = npt.NDArray[np.float64]

_LEAST_EXPONENT = -6


@dataclass(frozen=True)
class Format:
    """A format of few bits.

    Attributes:
        maximum: its largest number. relative: how far rounding moves a normal number, of its value.
        least: how far it moves what is below the smallest normal number.
    """

    maximum: float
    relative: float
    least: float


# 240 is FNUZ's largest, OCP's is larger; 2^−10 is OCP's, FNUZ's is smaller.
FP8 = Format(maximum=240.0, relative=2.0**-4, least=2.0**-10)
# e2m1: 0, 0.5, 1, 1.5, 2, 3, 4, 6.
FP4 = Format(maximum=6.0, relative=2.0**-2, least=2.0**-2)


def direct_bound(values: Doubles) -> Doubles:
    """How far rounding to fp8 e4m3 may move each value."""
    _, exponent = np.frexp(np.abs(values))
    half = np.ldexp(1.0, np.maximum(exponent - 1, _LEAST_EXPONENT) - 4)
    return np.where(values == 0, 0.0, half) + np.maximum(np.abs(values) - FP8.maximum, 0.0)


def blockwise_bound(values: Doubles, blocks: int, format: Format = FP8) -> Doubles:
    """How far rounding to a format with a scale for each block may move each value.

    Args:
        values: [rows, columns]; blocks: number of blocks that a row is cut into.
    """
    rows, columns = values.shape
    size = -(-columns // blocks)
    padded = np.zeros((rows, size * blocks))
    padded[:, :columns] = np.abs(values)
    largest = padded.reshape(rows, blocks, size).max(axis=2, initial=0.0)
    scale = np.maximum(largest / format.maximum, 1.0)
    steps = np.repeat(scale * format.least, size, axis=1)[:, :columns]
    bound: Doubles = np.maximum(np.abs(values) * (format.relative + 2.0**-21), steps)
    return np.where(values == 0, 0.0, bound)
