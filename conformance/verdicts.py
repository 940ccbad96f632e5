# SPDX-License-Identifier: MIT
"""The vocabulary of results, and one result with what a sceptic needs to repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from conformance.errors import MatrixError
from conformance.matrix import Expectation
from conformance.wheels import Wheel

__all__ = ["Evidence", "Finding", "Record", "StaleExpectation", "Verdict", "apply_expectations"]


class Verdict(str, Enum):
    """What is known of one requirement on one wheel in one lane.

    pass: it holds. fail: it does not. unsupported: the wheel lacks the feature. not_applicable: the requirement does not
    speak about this wheel. expected_fail: it fails as the matrix expects. unexpected_pass: the matrix expects a failure that is
    not there. crash, timeout: the run of the wheel ended so. engine_error: our own fault, says nothing about the wheel.
    not_run: this lane or machine cannot show it.
    """

    PASS = "pass"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    NOT_APPLICABLE = "not_applicable"
    EXPECTED_FAIL = "expected_fail"
    UNEXPECTED_PASS = "unexpected_pass"
    CRASH = "crash"
    TIMEOUT = "timeout"
    ENGINE_ERROR = "engine_error"
    NOT_RUN = "not_run"

    @property
    def is_failure(self) -> bool:
        """True if a run that contains it must not count as good."""
        return self in (
            Verdict.FAIL,
            Verdict.UNEXPECTED_PASS,
            Verdict.CRASH,
            Verdict.TIMEOUT,
            Verdict.ENGINE_ERROR,
        )


@dataclass(frozen=True)
class Finding:
    """What a judge found. `observed` are lines of evidence."""

    verdict: Verdict
    message: str
    observed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """How to see it with one's own eyes.

    Attributes:
        command: repeats exactly this verdict.
        observed: what was found, one line each.
        seed: of everything random, None where nothing is.
    """

    command: str
    observed: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class Record:
    """One requirement × wheel × lane, and × kernel type where the requirement is judged for several.

    Attributes:
        kernel_type: "" where it does not matter, or where the requirement is about one only.
    """

    requirement: str
    wheel: str
    sha256: str
    lane: str
    verdict: Verdict
    message: str
    evidence: Evidence
    link: str = ""
    kernel_type: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.requirement, self.sha256, self.lane, self.kernel_type

    @property
    def subject(self) -> str:
        """The requirement as it was judged: `DSP-1`, `DSP-1 InterNodeV1`."""
        return f"{self.requirement} {self.kernel_type}".rstrip()


@dataclass(frozen=True)
class StaleExpectation:
    """An expectation that the results contradict."""

    expectation: Expectation
    reason: str


def apply_expectations(
    records: Sequence[Record], expectations: Sequence[Expectation], wheels: Sequence[Wheel], requirements: Sequence[str]
) -> tuple[tuple[Record, ...], tuple[StaleExpectation, ...]]:
    """Turn expected failures into `expected_fail`, and expectations that do not come true into failures.

    Strict both ways: an expected failure with another message stays a failure, and an expectation whose requirement passes,
    or never ran although it was selected, is stale. Only what is marked as a race may pass.

    Args:
        wheels, requirements: what was judged; expectations about anything else are left alone.

    Raises:
        MatrixError: two expectations cover the same result.
    """
    by_sha256 = {wheel.sha256: wheel for wheel in wheels}
    met: dict[int, int] = dict.fromkeys(range(len(expectations)), 0)
    contradicted: dict[int, str] = {}
    judged: list[Record] = []
    for record in records:
        wheel = by_sha256[record.sha256]
        covering = [
            index
            for index, item in enumerate(expectations)
            if (item.requirement, item.lane) == (record.requirement, record.lane)
            and item.covers(wheel)
            and item.speaks_about(record.kernel_type)
        ]
        if not covering:
            judged.append(record)
            continue
        if len(covering) > 1:
            raise MatrixError(
                f"expectations: {record.subject} on {wheel.label} in lane {record.lane} is covered more than once; narrow "
                "the versions"
            )
        index = covering[0]
        expectation = expectations[index]
        met[index] += 1
        if record.verdict in (Verdict.FAIL, Verdict.CRASH, Verdict.TIMEOUT):
            if expectation.message in record.message:
                judged.append(replace(record, verdict=Verdict.EXPECTED_FAIL, link=expectation.link))
            else:
                contradicted[index] = (
                    f"{record.subject} on {wheel.label} fails otherwise: expected a message with "
                    f"{expectation.message!r}, got {record.message!r}"
                )
                judged.append(record)
        elif record.verdict == Verdict.PASS and expectation.race:
            judged.append(record)
        elif record.verdict == Verdict.PASS:
            contradicted[index] = f"{record.subject} on {wheel.label} passes; remove or narrow the expectation"
            judged.append(replace(record, verdict=Verdict.UNEXPECTED_PASS, link=expectation.link))
        else:
            judged.append(record)
    stale = [StaleExpectation(expectations[index], reason) for index, reason in sorted(contradicted.items())]
    for index, count in met.items():
        expectation = expectations[index]
        if count == 0 and expectation.requirement in requirements and any(expectation.covers(w) for w in wheels):
            stale.append(StaleExpectation(expectation, f"{expectation.requirement}: no result that it could match"))
        elif expectation.requirement not in requirements:
            stale.append(StaleExpectation(expectation, f"{expectation.requirement}: no such requirement was judged"))
    return tuple(judged), tuple(stale)
