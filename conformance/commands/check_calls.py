# SPDX-License-Identifier: MIT
"""`moriep check PATH`: what each release does to the calls of MORI-EP in a user's own source."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.callsites.calls import CONFIG, OP, Call
from conformance.callsites.judging import CallFinding, Severity, judge_call
from conformance.callsites.scanning import scan_files
from conformance.commands.output import print_json, progress_display, tell_failures
from conformance.errors import SelectionError
from conformance.selection import choose_wheels, load_project_matrix, survey_choice
from conformance.wheels import Wheel

__all__ = ["check_calls"]

_SIGNS = {Severity.breaks: "✗", Severity.warning: "!", Severity.note: "·"}
_ANNOTATION = {Severity.breaks: "error", Severity.warning: "warning", Severity.note: "notice"}


@dataclass(frozen=True)
class _Judged:
    """A finding, and the releases that give it, oldest first."""

    finding: CallFinding
    wheels: tuple[Wheel, ...]


def check_calls(
    matrix_file: Path | None,
    paths: Sequence[str],
    names: Sequence[str],
    *,
    strict: bool,
    github: bool,
    json_output: bool,
) -> int:
    """Print what each release does to each call.

    Returns:
        0 if every call works on every release, 1 if any breaks on any (with `strict`: or is warned about), 3 if wheels could
        not be read.

    Raises:
        SelectionError: a path that leads to no Python source, or sources without a call.
    """
    number, calls = scan_files([_path(name) for name in paths])
    if not calls:
        raise SelectionError(
            f"no call of {CONFIG}, {OP} or a method of the op in {number} file{'s' if number != 1 else ''}: there is nothing to "
            "judge. Only calls written in these files are seen; name the file that makes them"
        )
    with progress_display() as progress:
        facts, failures = survey_choice(choose_wheels(load_project_matrix(matrix_file), names), progress=progress)
    wheels = sorted(facts, key=lambda wheel: wheel.order)
    if not wheels:
        return tell_failures(failures)
    newest = facts[wheels[-1]]
    judged = {
        call: _gather({wheel: judge_call(call, wheel, facts[wheel], newest) for wheel in wheels}) for call in calls
    }
    severities = {item.finding.severity for items in judged.values() for item in items}
    bad = Severity.breaks in severities or (strict and Severity.warning in severities)
    if json_output:
        print_json(_json(judged, wheels, failures, bad))
    elif github:
        _annotate(judged, wheels)
    else:
        _tell(judged, wheels)
    unread = tell_failures(failures)
    return 1 if bad else unread


def _path(name: str) -> Path:
    """A file, a folder, or a module found on the import path; nothing is imported."""
    path = Path(name)
    if path.exists():
        return path
    parts = name.split(".")
    if all(part.isidentifier() for part in parts):
        for folder in (Path.cwd(), *map(Path, filter(None, sys.path))):
            base = folder.joinpath(*parts)
            if base.with_suffix(".py").is_file():
                return base.with_suffix(".py")
            if (base / "__init__.py").is_file():
                return base
    raise SelectionError(f"{name}: no such file, folder or module on the import path")


def _gather(found: dict[Wheel, tuple[CallFinding, ...]]) -> tuple[_Judged, ...]:
    releases: dict[CallFinding, list[Wheel]] = {}
    for wheel, findings in found.items():
        for finding in dict.fromkeys(findings):
            releases.setdefault(finding, []).append(wheel)
    order = list(Severity)
    return tuple(
        _Judged(finding, tuple(wheels))
        for finding, wheels in sorted(releases.items(), key=lambda item: order.index(item[0].severity))
    )


def _labels(wheels: Sequence[Wheel], every: Sequence[Wheel]) -> str:
    """Releases in few words: a version stands for all its wheels where all are meant."""
    if len(wheels) == len(every):
        return "all"
    texts = []
    for version in dict.fromkeys(wheel.version for wheel in wheels):
        mine = [wheel for wheel in wheels if wheel.version == version]
        whole = len(mine) == sum(1 for wheel in every if wheel.version == version)
        texts += [version] if whole else [f"{version}@{wheel.python}" for wheel in mine]
    return ", ".join(texts)


def _heading(call: Call) -> str:
    name = call.target if call.target in (CONFIG, OP) else f"….{call.target}"
    return f"{call.file}:{call.line}: {name}(…)"


def _tell(judged: dict[Call, tuple[_Judged, ...]], wheels: Sequence[Wheel]) -> None:
    for call, items in judged.items():
        print(_heading(call))
        if not items:
            print("    taken as written by all")
        for item in items:
            print(f"  {_SIGNS[item.finding.severity]} {_labels(item.wheels, wheels)}: {item.finding.text}")
    print()
    broken: dict[Wheel, int] = dict.fromkeys(wheels, 0)
    warned = dict(broken)
    for items in judged.values():
        for item in items:
            count = {Severity.breaks: broken, Severity.warning: warned}.get(item.finding.severity)
            for wheel in item.wheels if count is not None else ():
                count[wheel] += 1  # type: ignore[index]
    for wheel in wheels:
        verdict = f"breaks ({broken[wheel]})" if broken[wheel] else "works"
        print(f"{wheel.label:24} {verdict}{f', {warned[wheel]} warnings' if warned[wheel] else ''}")


def _annotate(judged: dict[Call, tuple[_Judged, ...]], wheels: Sequence[Wheel]) -> None:
    """Workflow commands of GitHub Actions."""
    for call, items in judged.items():
        for item in items:
            place = (
                f"file={_property(call.file)},line={call.line},endLine={call.end_line},col={call.column},"
                f"title={_property(f'amd-mori {_labels(item.wheels, wheels)}')}"
            )
            print(f"::{_ANNOTATION[item.finding.severity]} {place}::{_data(item.finding.text)}")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _json(
    judged: dict[Call, tuple[_Judged, ...]], wheels: Sequence[Wheel], failures: dict[Wheel, str], bad: bool
) -> dict[str, object]:
    return {
        "releases": [wheel.label for wheel in wheels],
        "not_read": [wheel.label for wheel in failures],
        "breaks": bad,
        "calls": [
            {
                "file": call.file,
                "line": call.line,
                "column": call.column,
                "call": call.target,
                "findings": [
                    {
                        "severity": item.finding.severity.value,
                        "text": item.finding.text,
                        "releases": [wheel.label for wheel in item.wheels],
                    }
                    for item in items
                ],
            }
            for call, items in judged.items()
        ],
    }
