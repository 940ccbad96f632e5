# SPDX-License-Identifier: MIT
"""Surveys many wheels at once: read what is new, each distinct file once, parse it beside the network, keep the result.

The order of work: the zip directories of all wheels; then every distinct file that is wanted, from one wheel that holds it;
then the libraries. A wheel that fails takes nobody with it: its shared files are read from another.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from conformance.errors import IndexUnavailableError, WheelError
from conformance.index import Meter, PackageIndex, open_index
from conformance.survey.archive import Directory, Member, read_directory
from conformance.survey.assemble import assemble, check_identity
from conformance.survey.cache import SurveyCache
from conformance.survey.facts import WheelFacts
from conformance.survey.members import is_wanted
from conformance.survey.pieces import Extract
from conformance.survey.reader import RangeReader, WheelReader, read_members
from conformance.survey.soname_plan import LibraryDepth, read_libraries
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


@dataclass
class _Workers:
    """Parser processes. They start, and import the parsers, while the first answers of the index are under way."""

    pool: ProcessPoolExecutor = field(
        default_factory=lambda: ProcessPoolExecutor(
            max_workers=min(4, os.cpu_count() or 1), mp_context=multiprocessing.get_context("fork")
        )
    )

    def warm(self) -> None:
        for _ in range(min(4, os.cpu_count() or 1)):
            self.pool.submit(_parse, [])

    async def extract(self, files: Sequence[tuple[str, bytes]]) -> list[Extract]:
        return await asyncio.get_running_loop().run_in_executor(self.pool, _parse, list(files))


def _parse(files: list[tuple[str, bytes]]) -> list[Extract]:
    from conformance.survey.extract import extract_all

    return extract_all(files)


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
    workers = _Workers()
    try:
        workers.warm()
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
    finally:
        workers.pool.shutdown(wait=False, cancel_futures=True)
    facts.update(outcome.facts)
    return SurveyOutcome(facts, outcome.failures, outcome.meter, cached)


def _silent(stage: str, done: int, total: int) -> None:
    """No progress display."""


async def _survey_missing(
    wheels: Sequence[Wheel],
    cache: SurveyCache,
    workers: _Workers,
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
    jobs: Sequence[_Job], workers: _Workers, libraries: LibraryDepth, progress: Progress
) -> dict[str, WheelFacts]:
    done = 0

    async def list_members(job: _Job) -> None:
        nonlocal done
        try:
            job.directory = await read_directory(job.reader.read, job.reader.size, job.reader.what)
            check_identity(job.wheel, job.directory)
            job.wanted = tuple(member for member in job.directory.members if is_wanted(member.name))
        except WheelError as error:
            job.failure = str(error)
        done += 1
        progress("zip directories", done, len(jobs))

    await asyncio.gather(*(list_members(job) for job in jobs))
    sound = [job for job in jobs if job.failure is None]
    extracts, sonames = await asyncio.gather(
        _read_files(sound, workers, progress),
        read_libraries([(job.wheel, job.reader, _directory(job)) for job in sound], libraries, progress),
    )
    facts: dict[str, WheelFacts] = {}
    for job in sound:
        if job.failure is not None:
            continue
        try:
            own = {member.name: extracts[member.identity] for member in job.wanted}
            facts[job.wheel.sha256] = assemble(job.wheel, _directory(job), own, sonames.get(job.wheel, {}))
        except WheelError as error:
            job.failure = str(error)
    return facts


def _directory(job: _Job) -> Directory:
    assert job.directory is not None  # set for every job without a failure
    return job.directory


async def _read_files(jobs: Sequence[_Job], workers: _Workers, progress: Progress) -> dict[_Identity, Extract]:
    """Every distinct wanted file, read from one wheel that holds it, and parsed.

    A wheel whose bytes turn out bad is marked as failed, and what it should have given is read from the next holder.
    """
    extracts: dict[_Identity, Extract] = {}
    total = len({member.identity for job in jobs for member in job.wanted})

    async def read(job: _Job, members: list[Member]) -> None:
        try:
            contents = await read_members(job.reader, members)
        except WheelError as error:
            job.failure = str(error)
            return
        parsed = await workers.extract([(member.name, data) for member, data in contents])
        for (member, _), item in zip(contents, parsed, strict=True):
            extracts[member.identity] = item
        progress("files", len(extracts), total)

    while True:
        assigned: dict[int, list[Member]] = defaultdict(list)
        taken: set[_Identity] = set(extracts)
        for position, job in enumerate(jobs):
            if job.failure is not None:
                continue
            for member in job.wanted:
                if member.identity not in taken:
                    taken.add(member.identity)
                    assigned[position].append(member)
        if not assigned:
            return extracts
        await asyncio.gather(*(read(jobs[position], members) for position, members in assigned.items()))


async def survey_reader(wheel: Wheel, reader: WheelReader) -> WheelFacts:
    """The facts of one wheel through any reader, all libraries included; for a wheel file on disk.

    Raises:
        WheelError: the wheel cannot be read.
    """
    job = _Job(wheel, reader)
    workers = _Workers()
    try:
        facts = await _survey_jobs([job], workers, "all", _silent)
    finally:
        workers.pool.shutdown(wait=False, cancel_futures=True)
    if job.failure is not None:
        raise WheelError(job.failure)
    return facts[wheel.sha256]
