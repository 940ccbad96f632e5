# SPDX-License-Identifier: MIT
"""Which libraries are read: every change among nightlies is found, from both sides, whatever the hints say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.survey import soname_plan
from conformance.survey.archive import Directory, Member
from conformance.survey.soname_plan import Libraries
from conformance.wheels import Wheel, wheel_from_filename

CHEAP, COSTLY = "mori/libmori_ops.so", "mori/libmori_pybinds.so"


def _nightly(day: int) -> Wheel:
    built = date(2026, 6, 1) + timedelta(days=day)
    name = f"amd_mori_nightly-1.2.1.dev{built:%Y%m%d}-cp310-cp310-manylinux_2_35_x86_64.whl"
    return wheel_from_filename(name, f"{day:064x}", 5_000_000, f"{built}T08:00:00.000000Z")


@st.composite
def _histories(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    """For each day: what the cheap and the costly library need (a number that only grows), and the costly one's size."""
    days = draw(st.integers(1, 40))
    steps = st.lists(st.sampled_from([0, 0, 0, 0, 0, 1]), min_size=days, max_size=days)

    def summed(increments: list[int]) -> list[int]:
        return [sum(increments[: day + 1]) for day in range(days)]

    sizes = draw(st.lists(st.sampled_from([500_000, 510_000, 1_500_000]), min_size=days, max_size=days))
    return summed(draw(steps)), summed(draw(steps)), sizes


@given(_histories())
def test_every_change_is_read_from_both_sides_and_equal_ends_claim_nothing(
    history: tuple[list[int], list[int], list[int]],
) -> None:
    cheap, costly, sizes = history
    truth: dict[tuple[str, int], tuple[str, ...]] = {}
    wheels = []
    for day, size in enumerate(sizes):
        members = []
        for name, needs, compressed in ((CHEAP, cheap, 190_000), (COSTLY, costly, size)):
            truth[name, day] = ("libc.so.6", f"libneeded.so.{needs[day]}")
            members.append(Member(name, day, compressed, 4 * compressed, 0, 8))
        wheels.append((_nightly(day), _NoReader(), Directory(tuple(members), complete=True)))

    async def answer(reader: object, member: Member, *, guess: int = 0) -> tuple[tuple[str, ...], int]:
        return truth[member.name, member.crc], guess

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(soname_plan, "read_sonames", answer)
        found = asyncio.run(_found(wheels))
    for name in (CHEAP, COSTLY):
        answers = [found[wheel][name] for wheel, _, _ in wheels]
        assert answers[0] is not None
        assert answers[-1] is not None
        for day, (before, after) in enumerate(pairwise(answers)):
            right = truth[name, day], truth[name, day + 1]
            if right[0] != right[1]:
                assert (before, after) == right
        assert all(known in (None, truth[name, day]) for day, known in enumerate(answers))


async def _found(wheels: list[tuple[Wheel, _NoReader, Directory]]) -> dict[Wheel, Mapping[str, tuple[str, ...] | None]]:
    libraries = Libraries("changes", lambda *_: None)
    for wheel, reader, directory in wheels:
        libraries.add(wheel, reader, directory)
    return await libraries.finish()


class _NoReader:
    size = 0
    what = "nothing"

    async def read(self, start: int, stop: int) -> bytes:
        raise AssertionError("the plan reads through read_sonames only")
