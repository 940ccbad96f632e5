# SPDX-License-Identifier: MIT
"""`moriep timeline`."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from conformance.commands.output import console, print_json, progress_display, tell_failures
from conformance.errors import SelectionError
from conformance.selection import load_project_matrix
from conformance.survey.collect import survey_wheels
from conformance.timeline import build_timeline

__all__ = ["timeline"]

_LONGEST = 90


def timeline(matrix_file: Path | None, area: str | None, subject: str | None, python: str, *, json_output: bool) -> int:
    """Print when traits came and went. Returns 3 if some wheels cannot be read."""
    matrix = load_project_matrix(matrix_file)
    wheels = [wheel for wheel in matrix.every_wheel if wheel.python == python]
    if not wheels:
        known = sorted({wheel.python for wheel in matrix.every_wheel})
        raise SelectionError(f"no wheels for {python!r} in the matrix; it has {', '.join(known)}")
    with progress_display() as progress:
        outcome = survey_wheels(wheels, progress=progress)
    events = [
        event
        for event in build_timeline(wheels, outcome.facts)
        if (area or "").lower() in event.area.lower() and (subject or "").lower() in event.subject.lower()
    ]
    if json_output:
        print_json([{**_event(event), "weight": event.weight.name} for event in events])
    else:
        table = Table(pad_edge=False, box=None, header_style="bold")
        for title in ("first with", "last before", "stable", "weight", "what"):
            table.add_column(title, overflow="fold", no_wrap=title != "what")
        for event in events:
            sign = {"added": "+", "removed": "−", "changed": "~"}[event.change]
            what = f"{sign} {event.area}: {event.subject}"
            last = event.last.split("@")[0] + (f" ({event.unread} unread)" if event.unread else "")
            table.add_row(
                event.first.split("@")[0],
                last,
                (event.stable or "–").split("@")[0],
                event.weight.name,
                what if len(what) <= _LONGEST else what[: _LONGEST - 1] + "…",
            )
        console().print(table)
    return tell_failures(outcome.failures)


def _event(event: object) -> dict[str, object]:
    import msgspec

    plain = msgspec.to_builtins(event)
    assert isinstance(plain, dict)
    return plain
