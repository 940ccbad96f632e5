# SPDX-License-Identifier: MIT
"""From outcomes of cases to the records that results are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from conformance.catalogue import Aspect
from conformance.judging import Finding
from conformance.suite.judges import CHECKS, cases_of, judge
from conformance.suite.launch import Outcome
from conformance.verdicts import Evidence, Record, Verdict
from conformance.wheels import Wheel

__all__ = ["cases_for", "record_outcomes"]


def _selected(aspects: Sequence[Aspect], lane: str) -> list[Aspect]:
    return [item for item in aspects if lane in item.requirement.lanes and item.requirement.id in CHECKS]


def cases_for(aspects: Sequence[Aspect], wheel: Wheel, lane: str) -> tuple[str, ...]:
    """The cases to run on a wheel: those of the requirements that speak about it."""
    return cases_of([item.key for item in _selected(aspects, lane) if item.requirement.speaks_about(wheel)])


def record_outcomes(
    aspects: Sequence[Aspect], wheel: Wheel, lane: str, outcomes: Mapping[str, Outcome]
) -> list[Record]:
    """One record for each requirement of the lane and kernel type, in the catalogue's order.

    Args:
        outcomes: by the case's name. What is missing makes its requirements `not_run`.
    """
    records = []
    for aspect in _selected(aspects, lane):
        requirement = aspect.requirement
        if requirement.speaks_about(wheel):
            finding = judge(requirement.id, outcomes, aspect.kernel_type)
        else:
            finding = Finding(Verdict.NOT_APPLICABLE, f"the requirement speaks about {requirement.versions} only")
        seeds = {outcomes[name].case.seed for name in cases_of([aspect.key]) if name in outcomes}
        deeper = "" if requirement.depth != "deep" else " --depth deep"
        only = f" --kernel-type {aspect.kernel_type}" if aspect.kernel_type else ""
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
                        f"--requirement {requirement.id}{only}{deeper} --fresh"
                    ),
                    observed=finding.observed,
                    seed=min(seeds) if seeds else None,
                ),
                kernel_type=aspect.kernel_type,
            )
        )
    return records
