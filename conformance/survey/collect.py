# SPDX-License-Identifier: MIT
"""Surveys many wheels at once: read what is new, each distinct file once, parse it beside the network, keep the result.

The zip directories of all wheels; then every distinct file that is wanted, from the oldest wheel that holds it, and beside that
the libraries. A wheel that fails takes nobody with it: its shared files are read from another.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from conformance.errors import IndexUnavailableError, WheelError
from conformance.index import Meter, PackageIndex, open_index
from conformance.survey.archive import Directory, Member, read_directory
from conformance.survey.assemble import assemble, check_identity
from conformance.survey.cache import SurveyCache
from conformance.survey.entries import Entries
from conformance.survey.facts import WheelFacts
from conformance.survey.members import is_noticed, is_wanted
from conformance.survey.pieces import Extract
from conformance.survey.reader import RangeReader, WheelReader, read_members
from conformance.survey.soname_plan import Libraries, LibraryDepth
from conformance.survey.workers import Workers
from conformance.wheels import Wheel

__all__ = ["Progress", "SurveyOutcome", "survey_reader", "survey_wheels"]

# stage, how many are done, how many there are
Progress = Callable[[str, int, int], None]
_Identity = tuple[str, int, int, int]


@dataclass(frozen=True)
class SurveyOutcome:
    """Facts by sha256, and for every wheel without facts the reason."""

    facts: Mapping[str, WheelFacts]
    failures: Mapping[Wheel, str]
    meter: Meter
    from_cache: int


@dataclass
class _Job:
    """What is known of one wheel under way."""

    wheel: Wheel
    reader: WheelReader
    directory: Directory | None = None
    wanted: tuple[Member, ...] = ()
    failure: str | None = None


def survey_wheels(
    wheels: Iterable[Wheel],
    *,
    cache: SurveyCache | None = None,
    libraries: LibraryDepth = "changes",
    progress: Progress | None = None,
    index_url: str | None = None,
    timeout: float = 20.0,
    attempts: int = 4,
) -> SurveyOutcome:
    """Facts of all given wheels. What is cached needs no network; the rest is read from the index.

    Args:
        cache: where facts are kept; None for the user's cache folder.
        libraries: which of the costly libraries to read, see `conformance.survey.soname_plan`.
        progress: called with stage, done, total.
        index_url, timeout, attempts: see `conformance.index.open_index`.
    """
    cache = cache or SurveyCache()
    ordered = sorted(set(wheels), key=lambda item: item.order)
    facts: dict[str, WheelFacts] = {}
    missing: list[Wheel] = []
    for wheel in ordered:
        known = cache.load(wheel.sha256)
        if known is None or (libraries == "all" and any(item.needed is None for item in known.libraries)):
            missing.append(wheel)
        else:
            facts[wheel.sha256] = known
    cached = len(facts)
    if not missing:
        return SurveyOutcome(facts, {}, Meter(), cached)
    with Workers() as workers, _no_garbage_collection():
        kept: list[SurveyOutcome] = []

        async def keep() -> None:
            # Returns nothing: at its end, asyncio.run prints the finished task into a message that nobody reads, and with
            # the facts of a hundred wheels in it that takes longer than parsing them did.
            kept.append(
                await _survey_missing(
                    missing, cache, workers, libraries, progress or _silent, index_url, timeout, attempts
                )
            )

        asyncio.run(keep())
        (outcome,) = kept
    facts.update(outcome.facts)
    return SurveyOutcome(facts, outcome.failures, outcome.meter, cached)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A survey makes many small lasting values and few cycles; looking for cycles among them takes a fifth of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _silent(stage: str, done: int, total: int) -> None:
    """No progress display."""


async def _survey_missing(
    wheels: Sequence[Wheel],
    cache: SurveyCache,
    workers: Workers,
    libraries: LibraryDepth,
    progress: Progress,
    index_url: str | None,
    timeout: float,
    attempts: int,
) -> SurveyOutcome:
    try:
        async with open_index(index_url, timeout=timeout, attempts=attempts) as index:
            located, failures = await _locate(index, wheels)
            jobs = [_Job(wheel, RangeReader(index, wheel, url)) for wheel, url in located.items()]
            facts = await _survey_jobs(jobs, workers, libraries, progress)
            meter = index.meter
    except IndexUnavailableError as error:
        return SurveyOutcome({}, dict.fromkeys(wheels, str(error)), Meter(), 0)
    for job in jobs:
        if job.failure is not None:
            failures[job.wheel] = job.failure
    for item in facts.values():
        try:
            cache.store(item)
        except OSError:
            break  # the facts are there and will be used; without a cache the next run reads again
    return SurveyOutcome(facts, failures, meter, 0)


async def _locate(index: PackageIndex, wheels: Sequence[Wheel]) -> tuple[dict[Wheel, str], dict[Wheel, str]]:
    """Where each wheel lies. A wheel that the index does not hold, or holds with another hash, is a failure of its own."""
    distributions = sorted({wheel.distribution for wheel in wheels})
    listings = await asyncio.gather(*(index.listing(name) for name in distributions), return_exceptions=True)
    located: dict[Wheel, str] = {}
    failures: dict[Wheel, str] = {}
    for name, listing in zip(distributions, listings, strict=True):
        own = [wheel for wheel in wheels if wheel.distribution == name]
        if isinstance(listing, IndexUnavailableError):
            failures.update(dict.fromkeys(own, str(listing)))
            continue
        if isinstance(listing, BaseException):
            raise listing
        offered = {item.wheel.filename: item for item in listing}
        for wheel in own:
            item = offered.get(wheel.filename)
            if item is None:
                failures[wheel] = (
                    f"{wheel}: the index no longer offers {wheel.filename}; run `nox -s lock` to see what it holds"
                )
            elif item.wheel.sha256 != wheel.sha256:
                failures[wheel] = (
                    f"{wheel}: the index offers {wheel.filename} with sha256 {item.wheel.sha256}, the matrix has locked "
                    f"{wheel.sha256}: the file was replaced; do not use it"
                )
            else:
                located[wheel] = item.url
    return located, failures


async def _survey_jobs(
    jobs: Sequence[_Job], workers: Workers, depth: LibraryDepth, progress: Progress
) -> dict[str, WheelFacts]:
    files, libraries = _Files(workers, progress), Libraries(depth, progress)
    entries = Entries(is_noticed)
    done = 0

    async def list_members(job: _Job) -> None:
        nonlocal done
        try:
            job.directory = await read_directory(job.reader.read, job.reader.size, job.reader.what, entries=entries)
            check_identity(job.wheel, job.directory)
            job.wanted = tuple(member for member in job.directory.members if is_wanted(member.name))
        except WheelError as error:
            job.failure = str(error)
        done += 1
        progress("zip directories", done, len(jobs))

    # Claimed in build order and not in the order of answers (which wheel's bytes are looked at must not depend on the network),
    # each as soon as the directories up to its own are there.
    listing = [asyncio.create_task(list_members(job)) for job in jobs]
    reading: list[asyncio.Task[None]] = []
    for job, listed_one in zip(jobs, listing, strict=True):
        await listed_one
        if job.failure is not None:
            continue
        if members := files.claim(job):
            reading.append(asyncio.create_task(files.read(job, members)))
        libraries.add(job.wheel, job.reader, _directory(job))
    sonames = await libraries.finish()
    await asyncio.gather(*reading)
    sound = [job for job in jobs if job.failure is None]
    await files.read_what_failed(sound)
    facts: dict[str, WheelFacts] = {}
    for job in sound:
        if job.failure is not None:
            continue
        try:
            own = {member.name: files.extracts[member.identity] for member in job.wanted}
            facts[job.wheel.sha256] = assemble(job.wheel, _directory(job), own, sonames.get(job.wheel, {}))
        except WheelError as error:
            job.failure = str(error)
    return facts


def _directory(job: _Job) -> Directory:
    assert job.directory is not None  # set for every job without a failure
    return job.directory


class _Files:
    """Every distinct wanted file, read from one wheel that holds it, and parsed."""

    def __init__(self, workers: Workers, progress: Progress) -> None:
        self.extracts: dict[_Identity, Extract] = {}
        self._claimed: set[_Identity] = set()
        self._workers = workers
        self._progress = progress

    def claim(self, job: _Job) -> list[Member]:
        """The wanted files of a wheel that nobody has claimed, claimed from now on."""
        own = [member for member in job.wanted if member.identity not in self._claimed]
        self._claimed.update(member.identity for member in own)
        return own

    async def read(self, job: _Job, members: list[Member]) -> None:
        """Read and parse. A wheel whose bytes turn out bad is marked as failed; others may hold what it should have given."""
        if not members:
            return
        try:
            contents = await read_members(job.reader, members)
        except WheelError as error:
            job.failure = str(error)
            return
        parsed = await self._workers.extract([(member.name, data) for member, data in contents])
        for (member, _), item in zip(contents, parsed, strict=True):
            self.extracts[member.identity] = item
        self._progress("files", len(self.extracts), len(self._claimed))

    async def read_what_failed(self, jobs: Sequence[_Job]) -> None:
        """Read what a failed wheel had claimed from the next that holds it, until none is left."""
        while True:
            self._claimed = set(self.extracts)
            again = [(job, self.claim(job)) for job in jobs if job.failure is None]
            if not any(members for _, members in again):
                return
            await asyncio.gather(*(self.read(job, members) for job, members in again))


async def survey_reader(wheel: Wheel, reader: WheelReader) -> WheelFacts:
    """The facts of one wheel through any reader, all libraries included; for a wheel file on disk.

    Raises:
        WheelError: the wheel cannot be read.
    """
    job = _Job(wheel, reader)
    with Workers() as workers:
        facts = await _survey_jobs([job], workers, "all", _silent)
    if job.failure is not None:
        raise WheelError(job.failure)
    return facts[wheel.sha256]
