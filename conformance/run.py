# SPDX-License-Identifier: MIT
"""One run: the survey lane (survey, judge, hold against the expectations), and its results put together with measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from conformance.catalogue import Requirement, load_catalogue
from conformance.errors import SelectionError
from conformance.judging import Surroundings, judge_survey
from conformance.matrix import Matrix
from conformance.results import Results, merge_results, new_header
from conformance.survey.cache import SurveyCache
from conformance.survey.collect import Progress, SurveyOutcome, survey_wheels
from conformance.survey.soname_plan import LibraryDepth
from conformance.verdicts import StaleExpectation, apply_expectations
from conformance.wheels import Wheel

__all__ = ["Judged", "SurveyRun", "put_together", "run_survey_lane", "select_requirements"]


@dataclass(frozen=True)
class Judged:
    """What a run found: results, and expectations that did not come true."""

    results: Results
    stale: tuple[StaleExpectation, ...]

    @property
    def good(self) -> bool:
        """True if nothing failed that is not expected to, and everything expected did fail."""
        return not (
            self.stale or self.results.header.failures or any(r.verdict.is_failure for r in self.results.records)
        )


@dataclass(frozen=True)
class SurveyRun(Judged):
    """What a run of the survey lane found, with the survey behind it."""

    survey: SurveyOutcome


def put_together(parts: Sequence[Judged]) -> Judged:
    """Several lanes as one; a wheel that one of them could not judge stays one.

    Raises:
        ResultsError: no parts.
    """
    results = merge_results([part.results for part in parts])
    failures = {label: reason for part in parts for label, reason in part.results.header.failures.items()}
    header = msgspec.structs.replace(results.header, failures=dict(sorted(failures.items())))
    return Judged(Results(header, results.records), tuple(item for part in parts for item in part.stale))


def select_requirements(names: Sequence[str], *lanes: str) -> tuple[Requirement, ...]:
    """The named requirements or groups (`OVF-1`, `OVF`) that the lanes (default: survey) can show, all of them if none is named.

    Raises:
        SelectionError: a name that matches nothing.
    """
    lanes = lanes or ("survey",)
    catalogue = tuple(item for item in load_catalogue() if set(lanes) & set(item.lanes))
    if not names:
        return catalogue
    for name in names:
        if not any(name.upper() in (item.id, item.group) for item in catalogue):
            where = f"lane {' or '.join(lanes)}"
            raise SelectionError(
                f"no requirement or group {name!r} in {where}; there are {', '.join(item.id for item in catalogue)}"
            )
    wanted = {name.upper() for name in names}
    return tuple(item for item in catalogue if item.id in wanted or item.group in wanted)


def run_survey_lane(
    matrix: Matrix,
    wheels: Sequence[Wheel],
    requirements: Sequence[Requirement],
    *,
    cache: SurveyCache | None = None,
    libraries: LibraryDepth = "changes",
    progress: Progress | None = None,
    index_url: str | None = None,
) -> SurveyRun:
    """Judge the given requirements on the given wheels.

    A judge may compare a wheel with its siblings and with the stable release before it, so those are surveyed too.
    """
    selected = sorted(set(wheels), key=lambda wheel: wheel.order)
    versions = {(wheel.distribution, wheel.version) for wheel in selected}
    siblings = [
        wheel for wheel in matrix.every_wheel if (wheel.distribution, wheel.version) in versions and not wheel.nightly
    ]
    surveyed = survey_wheels(
        {*selected, *matrix.stable, *siblings}, cache=cache, libraries=libraries, progress=progress, index_url=index_url
    )
    around = Surroundings(tuple(sorted({*selected, *matrix.stable}, key=lambda wheel: wheel.order)), surveyed.facts)
    records = judge_survey(requirements, selected, surveyed.facts, around)
    judged, stale = apply_expectations(
        records,
        [
            item
            for item in matrix.expectations
            if item.lane == "survey" and item.requirement in {r.id for r in requirements}
        ],
        selected,
        [item.id for item in requirements],
    )
    failures = {wheel.label: reason for wheel, reason in surveyed.failures.items() if wheel in selected}
    header = new_header(selected, ("survey",), [item.id for item in requirements], failures)
    return SurveyRun(Results(header, judged), stale, surveyed)
