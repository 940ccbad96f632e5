# SPDX-License-Identifier: MIT
"""What a report is made from: two committed files, so that a report can be checked without a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.catalogue import Requirement, load_catalogue, suite_revision
from conformance.errors import ResultsError
from conformance.report.surveys import encode_surveys, read_surveys, reduced
from conformance.results import Results, read_results, write_results
from conformance.survey.facts import WheelFacts
from conformance.wheels import Wheel

__all__ = [
    "RESULTS_FILE",
    "SURVEYS_FILE",
    "ReportInputs",
    "build_report_inputs",
    "read_report_inputs",
    "write_report_inputs",
]

RESULTS_FILE = "results.jsonl"
SURVEYS_FILE = "surveys.json"


@dataclass(frozen=True)
class ReportInputs:
    """Results, the surveys of their wheels by sha256, and the requirements that were judged, in the catalogue's order."""

    results: Results
    facts: Mapping[str, WheelFacts]
    requirements: tuple[Requirement, ...]

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        return self.results.header.wheels

    @property
    def stable(self) -> tuple[Wheel, ...]:
        return tuple(wheel for wheel in self.wheels if not wheel.nightly)

    @property
    def nightlies(self) -> tuple[Wheel, ...]:
        return tuple(wheel for wheel in self.wheels if wheel.nightly)


def _assemble(results: Results, facts: Mapping[str, WheelFacts], where: str) -> ReportInputs:
    if results.header.revision != suite_revision():
        raise ResultsError(
            f"{where}: made by suite revision {results.header.revision}, this is {suite_revision()}: the requirements have "
            "changed since; run the suite again"
        )
    judged = set(results.header.requirements)
    requirements = tuple(item for item in load_catalogue() if item.id in judged)
    known = reduced(results.header.wheels, facts)
    lost = [r.wheel for r in results.records if r.lane == "survey" and r.sha256 not in known]
    if lost:
        raise ResultsError(
            f"{where}: no survey of {', '.join(dict.fromkeys(lost))}, which was judged; run the suite again"
        )
    return ReportInputs(results, known, requirements)


def build_report_inputs(results: Results, facts: Mapping[str, WheelFacts]) -> ReportInputs:
    """Inputs straight from a run: its results, and the survey of its wheels by sha256."""
    return _assemble(results, facts, "this run")


def read_report_inputs(folder: Path) -> ReportInputs:
    """Inputs from the committed files.

    Raises:
        ResultsError: a file is missing, damaged, or made by other rules than this code's.
    """
    return _assemble(read_results(folder / RESULTS_FILE), read_surveys(folder / SURVEYS_FILE), RESULTS_FILE)


def write_report_inputs(inputs: ReportInputs, folder: Path) -> None:
    """Put both files into the folder."""
    write_results(inputs.results, folder / RESULTS_FILE)
    (folder / SURVEYS_FILE).write_bytes(encode_surveys(inputs.wheels, inputs.facts))
