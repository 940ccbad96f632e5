# SPDX-License-Identifier: MIT
"""Known facts about the kernels, each with its requirements or the reason why it has none; and the page that shows both."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources

import msgspec
import tomllib

from conformance.catalogue import GROUPS, Requirement, load_catalogue
from conformance.errors import MatrixError
from conformance.suite.judges import CHECKS

__all__ = ["Fact", "load_facts", "requirements_page"]


class Fact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that is known of the kernels.

    Attributes:
        area: what it is about. says: the fact.
        requirements: ids that judge it. reason: why it, or a part of it, is not judged.
    """

    area: str
    says: str
    requirements: tuple[str, ...] = ()
    reason: str = ""


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fact: tuple[Fact, ...]


def check_facts(facts: Sequence[Fact], catalogue: Sequence[Requirement]) -> list[str]:
    """What is wrong: a fact with neither requirement nor reason, one with a requirement that is not there, a requirement of no
    fact, a fact that stands there twice."""
    known = {item.id for item in catalogue}
    named = {name for fact in facts for name in fact.requirements}
    says = [fact.says for fact in facts]
    return [
        *(f"neither requirement nor reason: {fact.says}" for fact in facts if not (fact.requirements or fact.reason)),
        *(f"no such requirement: {name}" for name in sorted(named - known)),
        *(f"no fact is behind {name}" for name in sorted(known - named)),
        *(f"stands there twice: {text}" for text in sorted({text for text in says if says.count(text) > 1})),
    ]


@lru_cache(maxsize=1)
def load_facts() -> tuple[Fact, ...]:
    """All facts, in the order of `facts.toml`.

    Raises:
        MatrixError: the file is malformed, or does not fit the catalogue.
    """
    text = resources.files("conformance").joinpath("facts.toml").read_text(encoding="utf-8")
    try:
        facts = msgspec.convert(tomllib.loads(text), _Document).fact
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise MatrixError(f"facts.toml: {error}") from error
    problems = check_facts(facts, load_catalogue())
    if problems:
        raise MatrixError("facts.toml: " + "; ".join(problems))
    return facts


def _shown_by(requirement: Requirement) -> str:
    check = CHECKS.get(requirement.id)
    parts = ["the wheel's files"] if "survey" in requirement.lanes else []
    if check is not None:
        parts.append(f"cases {', '.join(f'`{name}`' for name in check.cases)}")
    return "; ".join(parts)


def requirements_page() -> str:
    """docs/requirements.md: every requirement with what shows it, every fact with its requirements."""
    lines = [
        "# Requirements",
        "",
        "Generated from `conformance/requirements.toml` and `conformance/facts.toml` by `python -m conformance catalogue`; do",
        "not edit. W: world size, M: max_num_inp_token_per_rank, T: max_total_recv_tokens, E: experts per rank.",
        "",
        "To see one judged: `./nox.sh -s conformance -- --wheel 1.2.4 --requirement OVF-1`.",
    ]
    for group, title in GROUPS.items():
        lines += [
            "",
            f"## {group}: {title}",
            "",
            "| id | | requirement | releases | shown by |",
            "| --- | --- | --- | --- | --- |",
        ]
        for item in load_catalogue():
            if item.group == group:
                releases = item.versions or "all"
                lines.append(f"| {item.id} | {item.level} | {item.sentence} | {releases} | {_shown_by(item)} |")
    lines += [
        "",
        "## Facts behind them",
        "",
        "What is known of the kernels, from their sources and from running them. Each is judged, or here is why it is not.",
        "",
        "| about | fact | judged by | not judged, and why |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {fact.area} | {fact.says} | {', '.join(fact.requirements) or '–'} | {fact.reason or '–'} |"
        for fact in load_facts()
    ]
    return "\n".join([*lines, ""])
