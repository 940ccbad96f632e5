# SPDX-License-Identifier: MIT
"""`moriep survey`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from conformance.commands.output import console, print_json, progress_display, tell_failures
from conformance.selection import choose_wheels, load_project_matrix, survey_choice
from conformance.survey.facts import WheelFacts
from conformance.survey.soname_plan import LibraryDepth
from conformance.wheels import Wheel
from moriep.surface import ClassSurface, Method

__all__ = ["survey"]


def survey(matrix_file: Path | None, names: Sequence[str], libraries: LibraryDepth, *, json_output: bool) -> int:
    """Print what the wheels say: everything for one, a table for several. Returns 3 if some cannot be read."""
    matrix = load_project_matrix(matrix_file)
    chosen = choose_wheels(matrix, names or ("stable",))
    with progress_display() as progress:
        facts, failures = survey_choice(chosen, libraries=libraries, progress=progress)
    ordered = sorted(facts, key=lambda wheel: wheel.order)
    if json_output:
        print_json({"wheels": [{"wheel": wheel, "facts": facts[wheel]} for wheel in ordered]})
    elif len(ordered) == 1:
        _print_one(ordered[0], facts[ordered[0]])
    elif ordered:
        _print_table(ordered, facts)
    for wheel in ordered:
        for problem in facts[wheel].problems:
            print(f"{wheel}: {problem}", file=sys.stderr)
    return tell_failures(failures)


def _print_table(wheels: Sequence[Wheel], facts: dict[Wheel, WheelFacts]) -> None:
    table = Table(title=None, pad_edge=False, box=None, header_style="bold")
    for title in (
        "wheel",
        "built",
        "MB",
        "ROCm",
        "fields",
        "kernels",
        "quant types",
        "overflow asserted in",
        "v2",
        "sha256",
    ):
        table.add_column(title, overflow="fold", justify="right" if title in ("MB", "fields", "kernels") else "left")
    for wheel in wheels:
        item = facts[wheel]
        asserted = item.guarded_kernel_types()
        unasserted = [kind for kind in item.surface.kernel_types if kind not in asserted]
        table.add_row(
            wheel.label,
            wheel.built.isoformat(),
            f"{wheel.size / 1e6:.1f}",
            item.rocm_build or "–",
            str(len(item.surface.config.fields)),
            str(len(item.surface.kernel_types)),
            str(len(item.surface.quant_types)),
            f"all but {', '.join(unasserted)}" if asserted and unasserted else "all" if asserted else "none",
            "yes" if item.surface.config_v2 is not None else "–",
            wheel.sha256[:8],
        )
    console().print(table)


def _print_one(wheel: Wheel, facts: WheelFacts) -> None:
    out = console()
    out.print(Text(f"{wheel}  built {wheel.built}  {wheel.size / 1e6:.1f} MB", style="bold"))
    out.print(f"sha256 {wheel.sha256}")
    out.print(f"mori.__version__ {facts.package_version or 'absent'}, ROCm {facts.rocm_build or 'not stated'}")
    _section(out, "configuration (v1), in order")
    for position, field in enumerate(facts.surface.config.fields, start=1):
        default = "required" if field.required else f"= {field.default}"
        out.print(f"  {position:2} {field.name}: {field.annotation} {default}")
    _print_class(out, "op (v1)", facts.surface.op)
    if facts.surface.op_v2 is not None:
        _print_class(out, "op (v2)", facts.surface.op_v2)
    _section(out, "values")
    out.print(f"  quant types: {', '.join(facts.surface.quant_types) or 'unknown'}")
    kernels = (f"{name}={value}" for name, value in facts.surface.kernel_types.items())
    out.print(f"  kernel types: {', '.join(kernels) or 'unknown'}")
    out.print(f"  exports of mori.ops: {', '.join(facts.surface.exports)}")
    for name, values in facts.launch_defaults.items():
        out.print(f"  {name.strip('_')}: {'; '.join(values)}")
    _section(out, "overflow assertions")
    for guard in facts.guards:
        out.print(f"  {guard.file}:{guard.line} {guard.function} [{', '.join(guard.kernel_types)}]")
        out.print(f'     {guard.condition}: "{guard.message}"')
    asserted = facts.guarded_kernel_types()
    for kind in facts.surface.kernel_types:
        if kind not in asserted:
            out.print(f"  none reachable from {kind}")
    _section(out, "capacity formulas")
    for item in facts.capacity:
        out.print(f"  {item.function} {item.body}")
    _section(out, "environment variables")
    out.print(f"  read by Python: {', '.join(facts.python_variables) or 'none'}")
    out.print(f"  read by C++ sources: {', '.join(facts.native_variables) or 'none'}")
    _section(out, "shared libraries")
    for library in facts.libraries:
        needed = "not read (--libraries all)" if library.needed is None else ", ".join(library.needed)
        out.print(f"  {library.path}: {needed}")
    if facts.bundled_libraries:
        out.print(f"  bundled: {', '.join(facts.bundled_libraries)}")


def _section(out: Console, title: str) -> None:
    out.print()
    out.print(Text(title, style="bold"))


def _print_class(out: Console, title: str, owner: ClassSurface) -> None:
    _section(out, title)
    for method in owner.methods:
        if method.name != "__init__":
            out.print(f"  {method.name}({_signature(method)})")


def _signature(method: Method) -> str:
    parts: list[str] = []
    starred = False
    for parameter in method.parameters:
        if parameter.kind == "keyword_only" and not starred:
            parts.append("*")
            starred = True
        prefix = {"var_positional": "*", "var_keyword": "**"}.get(parameter.kind, "")
        parts.append(prefix + parameter.name + ("" if parameter.default is None else f"={parameter.default}"))
    return ", ".join(parts)
