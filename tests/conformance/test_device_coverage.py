# SPDX-License-Identifier: MIT
"""The pages that say which lines of a wheel's kernels the suite executes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conformance.device_coverage import INDEX, page_name, parse_wheel, read_device_coverage, render_pages
from conformance.errors import ResultsError

PATH = "src/ops/dispatch_combine/internode_v1.cpp"


def values(executed: int, ranges: list[list[int]], root: str = "/home/somebody/mori/_jit-sources/") -> dict[str, Any]:
    """What virtual_rocm says of a wheel with one kernel file, and a header of the virtual device's own."""
    return {
        "files": [
            {
                "path": f"{root}{PATH}",
                "lines": 10,
                "executed": executed,
                "unexecuted_ranges": ranges,
                "functions": [
                    {"name": "mori::send", "line": 20, "instances": 2, "executed": 2},
                    {"name": "mori::post_write", "line": 40, "instances": 1, "executed": 0},
                ],
            },
            {"path": "/cache/virtual_rocm/include/hip/hip_fp8.h", "lines": 3, "executed": 3, "unexecuted_ranges": [],
             "functions": []},
        ],
        "kernels": [
            {"name": "EpDispatch_bf16", "instructions": 9, "executed": 5},
            {"name": "EpDispatch_f32", "instructions": 0, "executed": 0},
        ],
    }  # fmt: skip


def pages(*wheels: tuple[str, dict[str, Any]]) -> dict[str, str]:
    return render_pages([parse_wheel(label, found) for label, found in wheels])


def test_the_index_has_a_row_for_each_kernel_file_and_a_column_for_each_release() -> None:
    made = pages(("1.2.3@cp310", values(6, [[41, 44]])), ("1.2.4@cp310", values(10, [])))
    assert set(made) == {INDEX, page_name(PATH)}
    assert f"| [{PATH}]({page_name(PATH)}) | 60 % of 10 | 100 % of 10 |" in made[INDEX]
    assert "hip_fp8" not in made[INDEX]


def test_kernels_that_no_release_executed_are_listed() -> None:
    made = pages(("1.2.4@cp310", values(10, [])))
    assert "- `EpDispatch_f32`" in made[INDEX]
    assert "- `EpDispatch_bf16`" not in made[INDEX]


def test_a_page_names_what_is_not_executed_by_function() -> None:
    page = pages(("1.2.4@cp310", values(6, [[25, 25], [30, 33], [41, 44]])))[page_name(PATH)]
    assert "| `mori::send` | 25, 30–33 |" in page
    assert "| `mori::post_write` | 41–44 |" in page
    assert "- `mori::post_write` (line 40)" in page
    assert "somebody" not in page


def test_releases_that_execute_the_same_lines_stand_together() -> None:
    page = pages(
        ("1.2.3@cp310", values(6, [[41, 44]])),
        ("1.2.3.post1@cp310", values(6, [[41, 44]], root="/elsewhere/mori/_jit-sources/")),
        ("1.2.4@cp310", values(10, [])),
    )[page_name(PATH)]
    assert "## 1.2.3, 1.2.3.post1\n" in page
    assert "## 1.2.4\n" in page


def test_a_folder_without_coverage_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="--device-coverage"):
        read_device_coverage(tmp_path)


def test_a_folder_that_is_no_wheels_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(ResultsError, match="notes is not named after a wheel"):
        read_device_coverage(tmp_path)
