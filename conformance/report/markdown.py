# SPDX-License-Identifier: MIT
"""The report as Markdown: the grid, the timeline, and a page for each stable wheel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from conformance.report.grid import Grid
from conformance.report.grouping import days, group_differences
from conformance.report.steps import main_line, sibling_steps, stable_steps, step
from conformance.report.templating import environment
from conformance.survey.facts import WheelFacts
from conformance.timeline import Event
from conformance.wheels import Wheel
from moriep.surface import Method

__all__ = ["render_report_page", "render_timeline_page", "render_wheel_page"]


def render_report_page(grid: Grid) -> bytes:
    """Grid of the stable wheels, and every failure in words."""
    inputs = grid.inputs
    broken = []
    for requirement in inputs.requirements:
        runs = [
            run
            for run in grid.kinds(requirement, inputs.stable)
            if run.first.verdict and _fails(run.first.verdict.value)
        ]
        if runs:
            broken.append((requirement, runs))
    text = (
        environment()
        .get_template("report.md.jinja")
        .render(
            grid=grid,
            inputs=inputs,
            columns=inputs.stable,
            broken=broken,
            steps=stable_steps(grid)[::-1],
            siblings=[item for item in sibling_steps(grid) if not item.comparison.identical],
            line=main_line(grid),
        )
    )
    return text.encode()


def _fails(verdict: str) -> bool:
    return verdict not in ("pass", "unsupported", "not_applicable", "not_run")


def render_timeline_page(grid: Grid, events: Sequence[Event]) -> bytes:
    """What each nightly brought, by day."""
    text = (
        environment()
        .get_template("timeline.md.jinja")
        .render(grid=grid, days=days(events)[::-1], segments=grid.segments())
    )
    return text.encode()


def _signature(method: Method) -> str:
    """`name(a, *, b=1)`, as it would be written in Python, `self` left out."""
    parts: list[str] = []
    kinds = [parameter.kind for parameter in method.parameters]
    starred = "var_positional" in kinds
    for index, parameter in enumerate(method.parameters):
        if parameter.kind == "keyword_only" and not starred:
            parts.append("*")
            starred = True
        prefix = {"var_positional": "*", "var_keyword": "**"}.get(parameter.kind, "")
        parts.append(prefix + parameter.name + (f"={parameter.default}" if parameter.default is not None else ""))
        if parameter.kind == "positional_only" and (index + 1 == len(kinds) or kinds[index + 1] != "positional_only"):
            parts.append("/")
    return f"{method.name}({', '.join(parts)})"


def _needed(facts: WheelFacts) -> list[tuple[str, list[str]]]:
    """Sonames that the machine must provide, each with the wheel's libraries that need it."""
    own = {library.path.rsplit("/", 1)[-1] for library in facts.libraries} | set(facts.bundled_libraries)
    users: dict[str, list[str]] = defaultdict(list)
    for library in facts.libraries:
        for soname in library.needed or ():
            if soname not in own:
                users[soname].append(library.path.rsplit("/", 1)[-1])
    return sorted(users.items())


def render_wheel_page(grid: Grid, wheel: Wheel) -> bytes:
    """Everything that the survey knows of one stable wheel."""
    facts = grid.inputs.facts[wheel.sha256]
    before = grid.before(wheel)
    compared = step(grid, before, wheel) if before is not None and before.sha256 in grid.inputs.facts else None
    text = (
        environment()
        .get_template("wheel.md.jinja")
        .render(
            grid=grid,
            wheel=wheel,
            facts=facts,
            before=before,
            step=compared,
            group_differences=group_differences,
            needed=_needed(facts),
            unread=[library.path.rsplit("/", 1)[-1] for library in facts.libraries if library.needed is None],
            signature=_signature,
        )
    )
    return text.encode()
