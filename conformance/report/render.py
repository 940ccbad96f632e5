# SPDX-License-Identifier: MIT
"""All files of a report from its inputs, and the check that the committed ones are those."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from conformance.errors import ResultsError
from conformance.report.consumers import render_consumer_page
from conformance.report.grid import build_grid
from conformance.report.inputs import ReportInputs, read_report_inputs
from conformance.report.kernels import render_kernels_page
from conformance.report.machine import render_badge, render_json, render_junit
from conformance.report.markdown import render_report_page, render_timeline_page, render_wheel_page
from conformance.report.page import render_page
from conformance.report.steps import main_line
from conformance.report.wording import page_name
from conformance.timeline import build_timeline

__all__ = ["check_report", "render_report", "write_report"]

# Folders that hold nothing but generated files: whatever else lies there is left over from a wheel that is gone.
_OWN_FOLDERS = ("badges", "wheels")


def render_report(inputs: ReportInputs) -> dict[str, bytes]:
    """Every generated file by its path below the report's folder. The same inputs always give the same bytes."""
    grid = build_grid(inputs)
    python = "cp310" if any(wheel.python == "cp310" for wheel in inputs.nightlies) else None
    events = build_timeline([wheel for wheel in inputs.wheels if wheel.python == python], inputs.facts)
    files = {
        "index.html": render_page(grid, events),
        "report.md": render_report_page(grid),
        "consumers.md": render_consumer_page(grid),
        "kernels.md": render_kernels_page(grid),
        "timeline.md": render_timeline_page(grid, events),
        "report.json": render_json(grid),
        "junit.xml": render_junit(grid),
    }
    newest = main_line(grid)[-1:]
    for wheel in newest:
        files["badge.json"] = render_badge(grid, wheel)
    for wheel in inputs.stable:
        files[f"badges/{page_name(wheel)}.json"] = render_badge(grid, wheel)
        if wheel.sha256 in inputs.facts:
            files[f"wheels/{page_name(wheel)}.md"] = render_wheel_page(grid, wheel)
    return files


def write_report(folder: Path, inputs: ReportInputs | None = None) -> tuple[str, ...]:
    """Render into the folder and remove what is left over there; returns the paths that changed.

    Args:
        inputs: None for the files in the folder.

    Raises:
        ResultsError: the inputs are unusable, or a file cannot be written.
    """
    files = render_report(inputs or read_report_inputs(folder))
    changed = _drifted(folder, files)
    try:
        for name in changed:
            path = folder / name
            if name not in files:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.part")
            partial.write_bytes(files[name])
            partial.replace(path)
    except OSError as error:
        raise ResultsError(f"{folder}: the report cannot be written: {error.strerror or error}") from error
    return changed


def check_report(folder: Path) -> tuple[str, ...]:
    """Paths whose content is not what the committed results and this code give: changed, missing, or left over.

    Raises:
        ResultsError: the inputs are unusable.
    """
    return _drifted(folder, render_report(read_report_inputs(folder)))


def _drifted(folder: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    drifted = [
        name
        for name, content in files.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != content
    ]
    for own in _OWN_FOLDERS:
        present = (path for path in (folder / own).rglob("*") if path.is_file())
        drifted += [name for path in present if (name := path.relative_to(folder).as_posix()) not in files]
    return tuple(sorted(drifted))
