# SPDX-License-Identifier: MIT
"""Which libraries of which wheels are read for the libraries that they need.

An answer costs 4 to 40 KB of most libraries, 150 to 220 KB of the Python bindings, and the whole of a library that `patchelf`
rewrote. What a library needs changes a few times a year. So by default a library is read where that changes: in every
stable wheel, and among the nightlies by narrowing the stretch between two that differ, until neighbours are known on both
sides of each change. The costly libraries are read first where cheap ones change, and where their own size jumps. Between
two equal ends nothing is read, and nothing is claimed. Depth `all` reads every library.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Literal

from conformance.errors import WheelError
from conformance.survey.archive import Directory, Member
from conformance.survey.members import is_library
from conformance.survey.reader import WheelReader, read_sonames
from conformance.wheels import Wheel

if TYPE_CHECKING:
    from conformance.survey.collect import Progress

__all__ = ["Libraries", "LibraryDepth"]

LibraryDepth = Literal["changes", "all"]

_COSTLY_LIMIT = 128 * 1024
"""A rewritten library of a stable wheel with more compressed bytes than this is left to depth `all`. Of rewritten
nightlies only the bindings are read, which `import mori.cpp` loads, and which name all that the others name."""

_ANSWER_SHARE = {
    "libmori_application.so": 0.0483,
    "libmori_cco.so": 0.014,
    "libmori_collective.so": 0.2310,
    "libmori_io.so": 0.0743,
    "libmori_jit.so": 0.050,
    "libmori_metrics.so": 0.050,
    "libmori_ops.so": 0.046,
    "libmori_ops_v2.so": 0.105,
    "libmori_pybinds.so": 0.1048,
    "libmori_shmem.so": 0.049,
    "libmori_umbp_pybinds.so": 0.1035,
}
"""Share of a library's compressed bytes that held the answer, measured over the wheels of May to October 2026. A share that
is too small costs another request, one that is too large costs bytes."""

_SMALL_BINDINGS = 1_000_000
"""Before June 2026, and again since gRPC moved into another library, the bindings are small and have fewer symbols."""

_BINDINGS = re.compile(r"/libmori_pybinds\.so$")

_SCOUT_LIMIT = 24 * 1024
"""A library whose answer costs more compressed bytes than this is looked at where cheaper ones were seen to change."""

_GREAT_JUMP = 1.2
_PARTS = 8
_CONTENT_HASH = re.compile(r"-[0-9a-f]{8}(?=\.)")
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

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.answers: dict[_Identity, _Answer] = {}
        self._under_way: dict[_Identity, asyncio.Future[None]] = {}

    async def read(self, holder: _Holder) -> _Answer:
        identity = holder.member.identity
        pending = self._under_way.get(identity)
        if pending is not None:
            await pending
        if identity in self.answers:
            return self.answers[identity]
        self._under_way[identity] = asyncio.get_running_loop().create_future()
        try:
            answer, _ = await read_sonames(holder.reader, holder.member, guess=_expected_bytes(holder))
            self.answers[identity] = answer
        except WheelError:
            self.answers[identity] = None  # the wheel's own failure is found and told where its files are read
        finally:
            self._under_way.pop(identity).set_result(None)
        self._progress("libraries", len(self.answers), len(self.answers) + len(self._under_way))
        return self.answers[identity]


class Libraries:
    """What the libraries of a survey's wheels need. Give it each wheel in build order, then `finish`.

    The order of the wheels decides from which of them a library is read that several hold.
    """

    def __init__(self, depth: LibraryDepth, progress: Progress) -> None:
        self._depth = depth
        self._reading = _Reading(progress)
        self._holders: list[_Holder] = []
        self._begun: list[asyncio.Task[_Answer]] = []

    def add(self, wheel: Wheel, reader: WheelReader, directory: Directory) -> None:
        """A wheel whose directory is known. What is to be read of it in any case is begun."""
        rewritten = any(".libs/" in item.name for item in directory.members)
        own = [_Holder(wheel, reader, item, rewritten) for item in directory.members if is_library(item.name)]
        self._holders += own
        sure = (
            own if self._depth == "all" else [] if wheel.nightly else [item for item in own if not _is_left_out(item)]
        )
        self._begun += [asyncio.create_task(self._reading.read(holder)) for holder in sure]

    async def finish(self) -> dict[Wheel, Mapping[str, _Answer]]:
        """For each wheel, library path → needed sonames, or None where the library was not read."""
        if self._depth != "all":
            await _read_changes(self._reading, [holder for holder in self._holders if holder.wheel.nightly])
        await asyncio.gather(*self._begun)
        result: dict[Wheel, dict[str, _Answer]] = defaultdict(dict)
        for holder in self._holders:
            result[holder.wheel][holder.member.name] = self._reading.answers.get(holder.member.identity)
        return dict(result)


def _is_left_out(holder: _Holder) -> bool:
    """True for rewritten libraries that cost more than their answer is worth."""
    costly = holder.wheel.nightly or holder.member.compressed_size > _COSTLY_LIMIT
    return holder.rewritten and costly and not _BINDINGS.search(holder.member.name)


def _expected_bytes(holder: _Holder) -> int:
    """Compressed bytes that probably hold the answer."""
    member = holder.member
    if holder.rewritten:
        return member.compressed_size  # `patchelf` put the table at the end
    share = _ANSWER_SHARE.get(member.name.rsplit("/", 1)[-1], 0.0)
    if _BINDINGS.search(member.name) and member.compressed_size < _SMALL_BINDINGS:
        share /= 2
    return round(share * member.compressed_size)


def _without_hashes(answer: _Answer) -> _Answer:
    """`auditwheel` puts a hash of the content into the names of bundled libraries: another build, the same need."""
    return None if answer is None else tuple(_CONTENT_HASH.sub("", name) for name in answer)


def _is_costly(run: Sequence[_Holder]) -> bool:
    """True if an answer costs so much that looking elsewhere first pays."""
    return _expected_bytes(run[len(run) // 2]) > _SCOUT_LIMIT


def _size_jump(run: Sequence[_Holder]) -> int | None:
    """Position before the greatest change of size between neighbours, None if there is no great one.

    Linking another library in, or no longer, shows in the size: gRPC tripled that of the bindings.
    """
    ratios = [
        max(before.member.compressed_size, after.member.compressed_size)
        / max(1, min(before.member.compressed_size, after.member.compressed_size))
        for before, after in pairwise(run)
    ]
    return ratios.index(max(ratios)) if max(ratios) > _GREAT_JUMP else None


async def _narrow(
    reading: _Reading, run: Sequence[_Holder], places: Sequence[int] = (), *, jump: bool = True
) -> list[int]:
    """Read the ends, and between two that differ look on, several at once: rounds cost more time than requests.

    Args:
        places: positions to read first, besides the ends; none for evenly spread ones.
        jump: look where the size jumps before looking at evenly spread positions.

    Returns:
        The positions behind which the answer changes.
    """
    last = len(run) - 1
    if not places and jump and (position := _size_jump(run) if last > 2 else None) is not None:
        places = (position, position + 1)
    if not places:
        parts = min(2 if run[0].member.compressed_size > _COSTLY_LIMIT * 4 else _PARTS, last)
        places = [round(step * last / max(parts, 1)) for step in range(parts + 1)]
    else:
        jump = False
    positions = sorted({0, *places, last})
    answers = await asyncio.gather(*(reading.read(run[position]) for position in positions))
    changed = [
        (start, stop)
        for (start, first), (stop, then) in pairwise(zip(positions, answers, strict=True))
        if _without_hashes(first) != _without_hashes(then)
    ]
    deeper = await asyncio.gather(
        *(_narrow(reading, run[start : stop + 1], jump=jump) for start, stop in changed if stop - start > 1)
    )
    inner = iter(deeper)
    return [
        position
        for start, stop in changed
        for position in ([start + item for item in next(inner)] if stop - start > 1 else [start])
    ]


async def _read_changes(reading: _Reading, holders: Sequence[_Holder]) -> None:
    """Both sides of every change among the nightlies of one tag."""
    series: dict[tuple[str, str], list[_Holder]] = defaultdict(list)
    for holder in holders:
        if not _is_left_out(holder):
            series[holder.wheel.python, holder.member.name].append(holder)
    # Whether a wheel carries foreign libraries stands in its directory: a change that need not be searched for.
    runs = [list(run) for line in series.values() for _, run in groupby(line, key=lambda holder: holder.rewritten)]
    scouts = [run for run in runs if not _is_costly(run)]
    others = [run for run in runs if _is_costly(run)]

    async def look_where_scouts_found() -> None:
        """Another build changes several libraries: the cheap ones show where the costly ones are worth a look."""
        found = await asyncio.gather(*(_narrow(reading, run) for run in scouts))
        edges = {
            wheel.order
            for run, positions in zip(scouts, found, strict=True)
            for position in positions
            for wheel in (run[position].wheel, run[position + 1].wheel)
        }
        await asyncio.gather(
            *(
                _narrow(reading, run, [index for index, holder in enumerate(run) if holder.wheel.order in edges])
                for run in others
            )
        )

    ends = [run[position] for run in others for position in (0, -1)]
    await asyncio.gather(*(reading.read(holder) for holder in ends), look_where_scouts_found())
