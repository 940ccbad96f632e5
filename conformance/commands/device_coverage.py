# SPDX-License-Identifier: MIT
"""`python -m conformance device-coverage`."""

from __future__ import annotations

from pathlib import Path

from conformance.device_coverage import INDEX, read_device_coverage, render_pages
from conformance.selection import find_matrix

__all__ = ["device_coverage"]


def device_coverage(matrix_file: Path | None, folder: Path, output: Path | None) -> int:
    """Write the pages; those of files that are no longer there are removed."""
    target = output or find_matrix(matrix_file).parent / "docs" / "device-coverage"
    wheels = read_device_coverage(folder)
    pages = render_pages(wheels)
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (target / name).write_text(text)
    print(f"{target / INDEX}: {len(pages) - 1} source files, {', '.join(wheel.version for wheel in wheels)}")
    return 0
