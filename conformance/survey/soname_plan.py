# SPDX-License-Identifier: MIT
"""Which libraries of which wheels are read for the libraries that they need.

Most libraries give their answer in the first 4 to 40 KB of their compressed bytes, and are read for every wheel. The rest is
costly: 150 to 220 KB for the Python bindings, the whole library where `patchelf` rewrote it. What a library needs changes a
few times a year, so the costly ones are read where it changes: for the stable wheels, and among the nightlies by halving
the stretch between two that differ, until neighbours are known on both sides of a change. Between two equal ends nothing is
read, and nothing is claimed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from conformance.errors import WheelError
from conformance.survey.archive import Directory, Member
from conformance.survey.libraries import CHEAP_PREFIX
from conformance.survey.members import is_library
from conformance.survey.reader import WheelReader, read_sonames
from conformance.wheels import Wheel

if TYPE_CHECKING:
    from conformance.survey.collect import Progress

__all__ = ["LibraryDepth", "read_libraries"]

LibraryDepth = Literal["cheap", "changes", "all"]
"""`cheap`: only what the front of a library gives; `changes`: costly ones where they change; `all`: every library."""

_COSTLY_LIMIT = 512 * 1024
"""A library that would take more compressed bytes than this is left to `all`."""

_Identity = tuple[str, int, int, int]
_Answer = tuple[str, ...] | None


@dataclass(frozen=True)
class _Holder:
    """A library in one wheel. `rewritten` where the wheel carries foreign libraries, so that `patchelf` was at work."""

    wheel: Wheel
    reader: WheelReader
    member: Member
    rewritten: bool


class _Reading:
    """Answers by library, each distinct library read once."""

    def __init__(self) -> None:
        self.answers: dict[_Identity, _Answer] = {}
        self._under_way: dict[_Identity, asyncio.Future[None]] = {}
        self._taken: dict[str, int] = {}

    async def read(self, holder: _Holder, *, limit: int | None) -> _Answer:
        identity = holder.member.identity
        if self.answers.get(identity) is not None:
            return self.answers[identity]
        pending = self._under_way.get(identity)
        if pending is not None:
            await pending
            return self.answers.get(identity)
        self._under_way[identity] = asyncio.get_running_loop().create_future()
        try:
            answer, taken = await read_sonames(
                holder.reader, holder.member, limit=limit, guess=self._taken.get(holder.member.name, 0)
            )
            if answer is not None:
                # The next build of this library will need about as much; a little more saves the second request.
                self._taken[holder.member.name] = min(taken + taken // 16, CHEAP_PREFIX if limit else taken)
            self.answers[identity] = answer
        except WheelError:
            self.answers[identity] = None  # the wheel's own failure is found and told where its files are read
        finally:
            self._under_way.pop(identity).set_result(None)
        return self.answers[identity]


async def read_libraries(
    wheels: Sequence[tuple[Wheel, WheelReader, Directory]], depth: LibraryDepth, progress: Progress
) -> dict[Wheel, Mapping[str, _Answer]]:
    """For each wheel, library path → needed sonames, or None where the library was not read."""
    holders = [
        _Holder(wheel, reader, member, any(".libs/" in item.name for item in directory.members))
        for wheel, reader, directory in sorted(wheels, key=lambda item: item[0].order)
        for member in directory.members
        if is_library(member.name)
    ]
    reading = _Reading()
    if depth == "all":
        await asyncio.gather(*(reading.read(holder, limit=None) for holder in holders))
    else:
        await _read_fronts(reading, [holder for holder in holders if not holder.rewritten], progress)
        if depth == "changes":
            await _read_changes(reading, holders)
    result: dict[Wheel, dict[str, _Answer]] = defaultdict(dict)
    for holder in holders:
        result[holder.wheel][holder.member.name] = reading.answers.get(holder.member.identity)
    return dict(result)


async def _read_fronts(reading: _Reading, holders: Sequence[_Holder], progress: Progress) -> None:
    """Libraries whose answer stands at their front. The newest of each name goes first, and shows how much to read."""
    newest = {holder.member.name: holder for holder in holders}
    done = 0
    total = len({holder.member.identity for holder in holders})

    async def read(holder: _Holder) -> None:
        nonlocal done
        if holder.member.identity not in reading.answers:
            await reading.read(holder, limit=CHEAP_PREFIX)
            done += 1
            progress("libraries", done, total)

    await asyncio.gather(*(read(holder) for holder in newest.values()))
    costly = {name for name, holder in newest.items() if reading.answers.get(holder.member.identity) is None}
    await asyncio.gather(*(read(holder) for holder in holders if holder.member.name not in costly))


async def _read_changes(reading: _Reading, holders: Sequence[_Holder]) -> None:
    """Costly libraries: every stable wheel, and both sides of every change among the nightlies of one tag."""
    series: dict[tuple[str, str], list[_Holder]] = defaultdict(list)
    stable: list[_Holder] = []
    for holder in holders:
        if reading.answers.get(holder.member.identity) is None and holder.member.compressed_size:
            if holder.wheel.nightly:
                series[holder.wheel.python, holder.member.name].append(holder)
            else:
                stable.append(holder)

    def affordable(holder: _Holder) -> bool:
        # The bindings answer within a tenth of their size; a rewritten library only as a whole.
        expected = holder.member.compressed_size if holder.rewritten else holder.member.compressed_size // 10
        return expected <= _COSTLY_LIMIT

    async def halve(run: Sequence[_Holder]) -> None:
        if len(run) < 2:
            return
        first, last = await asyncio.gather(reading.read(run[0], limit=None), reading.read(run[-1], limit=None))
        if len(run) == 2 or first == last:
            return
        middle = len(run) // 2
        await asyncio.gather(halve(run[: middle + 1]), halve(run[middle:]))

    await asyncio.gather(
        *(reading.read(holder, limit=None) for holder in stable if affordable(holder)),
        *(halve([holder for holder in run if affordable(holder)]) for run in series.values() if len(run) > 1),
    )
