# SPDX-License-Identifier: MIT
"""From outcomes of cases to the records that results are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conformance.catalogue import Requirement
from conformance.judging import Finding
from conformance.suite.judges import CHECKS, cases_of, judge
from conformance.suite.launch import Outcome
from conformance.verdicts import Evidence, Record, Verdict
from conformance.wheels import Wheel

__all__ = ["cases_for", "record_outcomes"]


def _selected(requirements: Sequence[Requirement], lane: str) -> list[Requirement]:
    return [item for item in requirements if lane in item.lanes and item.id in CHECKS]


def cases_for(requirements: Sequence[Requirement], wheel: Wheel, lane: str) -> tuple[str, ...]:
    """The cases to run on a wheel: those of the requirements that speak about it."""
    return cases_of([item.id for item in _selected(requirements, lane) if item.speaks_about(wheel)])


def record_outcomes(
    requirements: Sequence[Requirement], wheel: Wheel, lane: str, outcomes: Mapping[str, Outcome]
) -> list[Record]:
    """One record for each requirement of the lane, in the catalogue's order.

    Args:
        outcomes: by the case's name. What is missing makes its requirements `not_run`.
    """
    records = []
    for requirement in _selected(requirements, lane):
        if requirement.speaks_about(wheel):
            finding = judge(requirement.id, outcomes)
        else:
            finding = Finding(Verdict.NOT_APPLICABLE, f"the requirement speaks about {requirement.versions} only")
        seeds = {outcomes[name].case.seed for name in CHECKS[requirement.id].cases if name in outcomes}
        records.append(
            Record(
                requirement=requirement.id,
                wheel=wheel.label,
                sha256=wheel.sha256,
                lane=lane,
                verdict=finding.verdict,
                message=finding.message,
                evidence=Evidence(
                    command=(
                        f"python -m conformance run --lane {lane} --wheel {wheel.label} "
                        f"--requirement {requirement.id} --fresh"
                    ),
                    observed=finding.observed,
                    seed=min(seeds) if seeds else None,
                ),
            )
        )
    return records
