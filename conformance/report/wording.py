# SPDX-License-Identifier: MIT
"""How verdicts and weights are called and drawn, and how text is made safe for Markdown and XML."""

from __future__ import annotations

import re
from dataclasses import dataclass

from conformance.traits import Weight
from conformance.verdicts import Verdict
from conformance.wheels import Wheel

__all__ = [
    "VERDICTS",
    "WEIGHTS",
    "VerdictWording",
    "WeightWording",
    "markdown_code",
    "markdown_text",
    "page_name",
    "printable",
    "short_sha256",
]


@dataclass(frozen=True)
class VerdictWording:
    """One verdict on a page.

    Attributes:
        verdict: the value in results.
        word: what stands in a cell, at most eight characters.
        symbol: for Markdown, and for readers without colours.
        meaning: one sentence for the legend.
        rank: of several lanes the verdict with the smallest rank is shown.
    """

    verdict: Verdict
    word: str
    symbol: str
    meaning: str
    rank: int


_V = VerdictWording
VERDICTS: dict[Verdict, VerdictWording] = {
    item.verdict: item
    for item in (
        _V(Verdict.PASS, "pass", "✓", "It holds.", 6),
        _V(
            Verdict.EXPECTED_FAIL,
            "fails",
            "✗",
            "It does not hold: a known failure, which the matrix expects.",
            5,
        ),
        _V(Verdict.FAIL, "FAIL", "✘", "It does not hold, and the matrix does not expect that.", 0),
        _V(Verdict.UNSUPPORTED, "lacks", "∅", "The wheel does not have the feature.", 7),
        _V(Verdict.NOT_APPLICABLE, "n/a", "–", "The requirement does not speak about this wheel.", 8),
        _V(Verdict.NOT_RUN, "not run", "○", "This lane or machine cannot show it, or did not look.", 9),
        _V(Verdict.UNEXPECTED_PASS, "fixed?", "‼", "It holds, but the matrix expects a failure.", 3),
        _V(Verdict.CRASH, "crash", "☇", "The run of the wheel crashed.", 1),
        _V(Verdict.TIMEOUT, "timeout", "◷", "The run of the wheel did not end in time.", 2),
        _V(Verdict.ENGINE_ERROR, "engine", "?", "Our own fault; it says nothing about the wheel.", 4),
    )
}


@dataclass(frozen=True)
class WeightWording:
    """One weight of a difference on a page."""

    weight: Weight
    word: str
    meaning: str


WEIGHTS: dict[Weight, WeightWording] = {
    item.weight: item
    for item in (
        WeightWording(Weight.breaks, "breaks", "a call that worked raises, is misread, or loses a protection"),
        WeightWording(Weight.behaviour, "behaviour", "the same call does something else"),
        WeightWording(Weight.addition, "addition", "nothing, until the caller uses it"),
        WeightWording(Weight.internal, "internal", "code changed, and the survey cannot say more"),
    )
}

# Not allowed in XML 1.0, and nothing that a page should hand to a terminal either.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
_BREAKS = re.compile(r"\s+")


def printable(text: str) -> str:
    """The text with control characters, bidirectional overrides and lone surrogates spelled out."""
    return _UNPRINTABLE.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


# Characters that mean something at any place; the others only where a line begins, which text in a table or after other text
# never does.
_ALWAYS = frozenset("\\`*_[]|~<>&$")


def markdown_text(text: str) -> str:
    """One line of Markdown that shows the text as it is, in a table cell too."""
    flat = _BREAKS.sub(" ", printable(text)).strip()
    escaped = "".join(f"\\{character}" if character in _ALWAYS else character for character in flat)
    # `1. ` or `#`, `-`, `+`, `=` at the beginning of a line would start a list, a heading or a rule.
    return re.sub(r"^(\d+(?=[.)](?:\s|$))|(?=[#+=:-]))", r"\1\\", escaped)


def markdown_code(text: str) -> str:
    """A code span, in a table cell too; nothing for nothing."""
    flat = _BREAKS.sub(" ", printable(text)).strip()
    if not flat:
        return ""
    longest = max((len(run) for run in re.findall("`+", flat)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if flat.startswith("`") or flat.endswith("`") else ""
    # A table splits its cells before it looks for code, so a bar has to be escaped even here, and only here.
    return fence + padding + flat.replace("|", "\\|") + padding + fence


def page_name(wheel: Wheel) -> str:
    """A file name for a wheel's pages that every file system and URL takes as it is."""
    return wheel.label.replace("@", "-")


def short_sha256(sha256: str) -> str:
    return sha256[:12]
