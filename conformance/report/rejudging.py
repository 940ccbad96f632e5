# SPDX-License-Identifier: MIT
"""Whether the committed results are still what the committed surveys, the matrix and this code's judges give, offline."""

from __future__ import annotations

from conformance.errors import ResultsError
from conformance.judging import Surroundings, judge_survey
from conformance.matrix import Matrix
from conformance.report.inputs import ReportInputs
from conformance.verdicts import apply_expectations

__all__ = ["stale_results"]


def stale_results(inputs: ReportInputs, matrix: Matrix) -> tuple[str, ...]:
    """One message for each verdict of the survey lane that would be another today, and for each wheel that is missing.

    Raises:
        ResultsError: the results name a wheel that is not in the matrix.
    """
    unknown = [wheel.label for wheel in inputs.wheels if wheel not in matrix.every_wheel]
    if unknown:
        raise ResultsError(
            f"results of wheels that the matrix does not have: {', '.join(unknown)}; make the report again"
        )
    missing = [wheel.label for wheel in matrix.wheels if wheel not in inputs.wheels]
    messages = [f"{label}: in the matrix, but not in the results" for label in missing]
    surveyed = [wheel for wheel in inputs.wheels if wheel.sha256 in inputs.facts]
    records = judge_survey(inputs.requirements, surveyed, inputs.facts, Surroundings(inputs.wheels, inputs.facts))
    names = [item.id for item in inputs.requirements]
    expectations = [item for item in matrix.expectations if item.lane == "survey" and item.requirement in names]
    judged, _ = apply_expectations(records, expectations, surveyed, names)
    committed = {record.key: record for record in inputs.results.records if record.lane == "survey"}
    today = {record.key: record for record in judged}
    for key in dict.fromkeys([*committed, *today]):
        before, after = committed.get(key), today.get(key)
        if before == after:
            continue
        shown = after or before
        assert shown is not None
        messages.append(
            f"{shown.requirement} on {shown.wheel}: committed as {before.verdict.value if before else 'nothing'}"
            f", today {after.verdict.value if after else 'nothing'} ({after.message if after else 'no verdict'})"
        )
    return tuple(messages)
