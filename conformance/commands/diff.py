# SPDX-License-Identifier: MIT
"""`moriep diff A B`."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from rich.padding import Padding
from rich.text import Text

from conformance.commands.output import console, print_json, progress_display, tell_failures
from conformance.differences import Comparison, Difference, compare
from conformance.selection import load_project_matrix, one_wheel, survey_choice
from conformance.traits import Weight

__all__ = ["diff"]

_TITLES = {
    Weight.breaks: ("breaks code that works now", "bold red"),
    Weight.behaviour: ("behaves otherwise", "bold yellow"),
    Weight.addition: ("is new", "bold green"),
    Weight.internal: ("code changed", "bold"),
}
_SIGNS = {"added": "+", "removed": "−", "changed": "~", "moved": "↕"}
_MANY = 6
_LONGEST = 240


def diff(
    matrix_file: Path | None, before: str, after: str, *, everything: bool, exit_code: bool, json_output: bool
) -> int:
    """Print the differences. Returns 1 with `exit_code` if there are any that a caller notices."""
    matrix = load_project_matrix(matrix_file)
    chosen = [one_wheel(matrix, before), one_wheel(matrix, after)]
    with progress_display() as progress:
        facts, failures = survey_choice(chosen, progress=progress)
    if failures:
        return tell_failures(failures)
    comparison = compare(facts[chosen[0].wheel], facts[chosen[1].wheel])
    if json_output:
        print_json(
            {
                "before": chosen[0].wheel,
                "after": chosen[1].wheel,
                "differences": [{**_plain(item), "weight": item.weight.name} for item in comparison.differences],
                "unknown": comparison.unknown,
            }
        )
    else:
        _print(comparison, everything=everything)
    noticed = any(item.weight <= Weight.behaviour for item in comparison.differences)
    return 1 if exit_code and noticed else 0


def _plain(item: Difference) -> dict[str, str]:
    return {
        "area": item.area,
        "change": item.change,
        "subject": item.subject,
        "before": item.before,
        "after": item.after,
        "consequence": item.consequence,
    }


def _print(comparison: Comparison, *, everything: bool) -> None:
    out = console()
    out.print(Text(f"{comparison.before} → {comparison.after}", style="bold"))
    if comparison.identical:
        out.print("No difference in anything that the survey reads.")
    for weight, (title, style) in _TITLES.items():
        items = comparison.of_weight(weight)
        if not items:
            continue
        out.print()
        out.print(Text(f"{title} ({len(items)})", style=style))
        compress = not everything and weight >= Weight.addition
        for line in _lines(items, compress=compress):
            out.print(Padding(Text(line if everything else _shorten(line)), (0, 0, 0, 2)))
    for text in comparison.unknown:
        out.print()
        out.print(f"unknown: {text}; `moriep survey --libraries all {comparison.before.split()[1]}` reads them")


def _shorten(line: str) -> str:
    """At most `_LONGEST` characters of the first line; the consequence below it stays whole."""
    first, separator, rest = line.partition("\n")
    return (first if len(first) <= _LONGEST else first[: _LONGEST - 8] + "… (--all)") + separator + rest


def _lines(items: tuple[Difference, ...], *, compress: bool) -> list[str]:
    """One line for each difference; with `compress`, those that differ in their name only share one."""
    grouped: dict[tuple[str, str], list[Difference]] = defaultdict(list)
    for item in items:
        # What has no values and one consequence says nothing more in ten lines than in one.
        alike = not item.before and not item.after and not item.area.endswith("raises")
        key = (item.area, item.change) if alike or compress else (item.area, f"{item.change} {item.subject}")
        grouped[key].append(item)
    lines: list[str] = []
    for group in grouped.values():
        first = group[0]
        names = [item.subject for item in group]
        if compress and len(names) > _MANY:
            names = [*names[:_MANY], f"and {len(names) - _MANY} more (--all)"]
        line = f"{_SIGNS[first.change]} {first.area}: {', '.join(names)}"
        if len(group) == 1:
            line += _values(first)
        if first.consequence:
            line += f"\n    {first.consequence}"
        lines.append(line)
    return lines


def _values(item: Difference) -> str:
    if item.change == "moved":
        return ""
    if item.before and item.after:
        return f": {item.before} → {item.after}"
    if item.before or item.after:
        return f": {item.before or item.after}"
    return ""
