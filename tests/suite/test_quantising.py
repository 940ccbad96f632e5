# SPDX-License-Identifier: MIT
"""Bounds of quantised combine: rounding to nearest keeps within them, cutting off does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.suite.quantising import FP4, FP8, Format, blockwise_bound, direct_bound


def grid(mantissa: int, least: int, maximum: float) -> np.ndarray:
    """All numbers of a format from its definition: no negative ones."""
    step = 2.0 ** (least - mantissa)
    found = [step * number for number in range(2**mantissa)]
    exponent = least
    while found[-1] < maximum:
        found += [2.0**exponent * (1 + number / 2**mantissa) for number in range(2**mantissa)]
        exponent += 1
    return np.array([value for value in found if value <= maximum])


FORMATS = {"fnuz": grid(3, -7, 240.0), "ocp": grid(3, -6, 448.0), "fp4": grid(1, 0, 6.0)}
values = st.lists(st.floats(-240, 240, width=32), min_size=1, max_size=64).map(np.array)


def nearest(numbers: np.ndarray, of: np.ndarray) -> np.ndarray:
    return np.sign(numbers) * of[np.abs(np.abs(numbers)[:, None] - of).argmin(axis=1)]


def test_the_formats_have_the_numbers_that_they_are_known_for() -> None:
    assert FORMATS["fp4"].tolist() == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert len(FORMATS["ocp"]) == 127  # 0 … 0x7E
    assert len(FORMATS["fnuz"]) == 128  # 0 … 0x7F


@given(values, st.sampled_from(["fnuz", "ocp"]))
def test_rounding_to_fp8_stays_within_the_bound(numbers: np.ndarray, name: str) -> None:
    assert (np.abs(nearest(numbers, FORMATS[name]) - numbers) <= direct_bound(numbers)).all()


def test_cutting_off_does_not() -> None:
    numbers = np.array([1.12, 3.9, 100.0, 0.3])
    kept = np.array([FORMATS["fnuz"][FORMATS["fnuz"] <= number].max() for number in numbers])
    assert (np.abs(kept - numbers) > direct_bound(numbers)).any()


@pytest.mark.parametrize(("name", "format", "factor"), [("fnuz", FP8, 40.0), ("ocp", FP8, 40.0), ("fp4", FP4, 1.0)])
@pytest.mark.parametrize("always", [False, True])
@given(numbers=values)
def test_rounding_block_by_block_stays_within_the_bound(
    name: str, format: Format, factor: float, always: bool, numbers: np.ndarray
) -> None:
    row = numbers * factor
    bound = blockwise_bound(row[None, :], 8, format)[0]
    size = -(-len(row) // 8)
    largest_of_format = FORMATS[name].max()
    for start in range(0, len(row), size):
        part = row[start : start + size]
        largest = np.abs(part).max()
        if largest == 0 or (always and largest < 1e-30):
            continue
        scale = largest / largest_of_format if always or largest > largest_of_format else 1.0
        found = nearest(part / scale, FORMATS[name]) * scale
        assert (np.abs(found - part) <= bound[start : start + size]).all()


def test_a_forgotten_scale_is_beyond_the_bound() -> None:
    row = np.array([[1000.0, 900.0]])
    assert (np.abs(np.minimum(row, 240.0) - row) > blockwise_bound(row, 1)).all()
