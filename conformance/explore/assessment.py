# SPDX-License-Identifier: MIT
"""Judges what became of a trial: right, known, or a finding."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from conformance.explore.known import REFERENCE_RELEASE, explaining, foretold
from conformance.explore.playing import Trial
from conformance.suite.judges import discrepancies
from conformance.suite.launch import Outcome
from conformance.suite.oracle import make_world

__all__ = ["Assessment", "Judgement", "Symptom", "assess"]

_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")
_KERNEL = re.compile(r"kernel (\w+?)(?:_bf16|_f32|_fp8\w*|_nop2p|_p2p)*,")
_SHOWN = 6
# What the virtual GPU says of a kernel that is ended, and what a rank says whose launch was given up.
_RUNNING = re.compile(r"is ended while kernels run|deadlock|blocks finished|LaunchTimeOut")


class Judgement(str, Enum):
    """What a trial says about the release."""

    RIGHT = "right"
    # It goes wrong as a requirement says that it does on this release.
    KNOWN = "known"
    FINDING = "finding"
    # It was foretold to go wrong, and did not.
    STALE = "stale"
    # Our own fault; says nothing about the release.
    ENGINE_ERROR = "engine_error"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, order=True)
class Symptom:
    """How a trial goes wrong, without the numbers that differ from case to case: what makes two failures the same.

    Attributes:
        kind: the outcome's kind, or `wrong` if it finished.
        details: kinds of discrepancies; or the kernel, the assertion, the exception, the step.
    """

    kind: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {', '.join(self.details)}" if self.details else self.kind

    def same(self, other: Symptom) -> bool:
        """A smaller case may show less of the same."""
        if self.kind != other.kind:
            return False
        return not self.details or not other.details or bool(set(self.details) & set(other.details))


@dataclass(frozen=True)
class Assessment:
    """Attributes:
    requirements: that foretold what happened, for KNOWN and STALE.
    symptom: None for RIGHT.
    text: one line. evidence: more of them.
    """

    judgement: Judgement
    symptom: Symptom | None = None
    requirements: tuple[str, ...] = ()
    text: str = ""
    evidence: tuple[str, ...] = ()


def _place(outcome: Outcome) -> tuple[str, ...]:
    message = outcome.message
    if outcome.kind == "out_of_bounds":
        kernel = _KERNEL.search(message)
        return (kernel[1],) if kernel else ()
    if outcome.kind == "hang":
        steps = sorted({step for step in ("construct", "dispatch", "replay", "combine") if f": {step}" in message})
        return tuple(steps)
    if outcome.kind in ("refused", "asserted"):
        return (_NUMBERS.sub("#", message.partition(": ")[2] if outcome.kind == "refused" else message)[:100],)
    return ()


def assess(trial: Trial, outcome: Outcome, version: str, label: str) -> Assessment:
    """Judge one trial on a release."""
    known = foretold(make_world(outcome.case), version, label)
    if outcome.kind == "engine_error":
        return Assessment(Judgement.ENGINE_ERROR, Symptom("engine_error"), (), outcome.message, outcome.evidence)
    device = version != REFERENCE_RELEASE
    if device and outcome.kind == "hang" and not any(_RUNNING.search(line) for line in outcome.evidence):
        # A kernel that runs says where when it is ended. A first compilation can outlast a deadline.
        text = f"the deadline came while no kernel was running, perhaps compiling: give more --case-deadline; {outcome.message}"
        return Assessment(Judgement.ENGINE_ERROR, Symptom("deadline"), (), text, outcome.evidence)
    found = discrepancies(outcome) if outcome.kind == "finished" else []
    kinds = frozenset(item.kind for item in found)
    if outcome.kind == "finished" and not found:
        # A write outside is seen for certain only where nothing lies behind a buffer.
        certain = tuple(item.requirement for item in known if item.certain and trial.heap == "isolation")
        if certain:
            text = f"{' and '.join(certain)} foretells that this goes wrong, and everything is right"
            return Assessment(Judgement.STALE, Symptom("right"), certain, text)
        return Assessment(Judgement.RIGHT)
    symptom = Symptom("wrong", tuple(sorted(kinds))) if found else Symptom(outcome.kind, _place(outcome))
    text = str(found[0]) if found else outcome.message
    evidence = tuple(str(item) for item in found[:_SHOWN]) or outcome.evidence
    requirements = explaining(known, trial, outcome.kind, kinds)
    judgement = Judgement.KNOWN if requirements else Judgement.FINDING
    return Assessment(judgement, symptom, requirements, text, evidence)
