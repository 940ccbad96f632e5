# SPDX-License-Identifier: MIT
"""Which lines of a wheel's kernels the suite executes on the virtual GPU, as pages: one for all files, one for each.

`python -m conformance run --lane virtual --device-coverage FOLDER` leaves a folder for each wheel there. What it says is asked of
`python -m virtual_rocm coverage`; here it is put beside each other, file by file and release by release.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from conformance.errors import ResultsError
from conformance.suite.measuring import project_folder

__all__ = ["INDEX", "FileCoverage", "WheelCoverage", "page_name", "read_device_coverage", "render_pages"]

INDEX = "README.md"

# A kernel's source in an unpacked or installed wheel: from `src` or `include` on.
_SOURCE = re.compile(r"(?:^|/)(?:_jit[-_]sources|mori)/(?P<path>(?:src|include)/.*)$")


@dataclass(frozen=True)
class Function:
    """A function of which no instantiation was executed, with the first line that has code."""

    name: str
    line: int


@dataclass(frozen=True)
class FileCoverage:
    """One source file in one wheel.

    Attributes:
        lines: that have code in a kernel which was launched. executed: how many of them were.
        ranges: first and last line of what was not executed.
        functions: name and first line of every function, executed or not, by line.
        never: the functions of which nothing was executed.
    """

    lines: int
    executed: int
    ranges: tuple[tuple[int, int], ...]
    functions: tuple[Function, ...]
    never: tuple[Function, ...]

    @property
    def share(self) -> str:
        """`85 % of 200`, rounded down so that 100 % is all."""
        return f"{100 * self.executed // self.lines} % of {self.lines}"


@dataclass(frozen=True)
class WheelCoverage:
    """One wheel: its files by path, its kernels with how many instructions were executed (0: it was never launched)."""

    label: str
    files: Mapping[str, FileCoverage]
    kernels: Mapping[str, int]

    @property
    def version(self) -> str:
        return self.label.split("@", 1)[0]


def read_device_coverage(folder: Path) -> tuple[WheelCoverage, ...]:
    """The wheels that a run left below the folder, in the order of their versions.

    Raises:
        ResultsError: there is none, or one cannot be read.
    """
    wheels = sorted((path for path in folder.iterdir() if path.is_dir()), key=_order) if folder.is_dir() else []
    if not wheels:
        raise ResultsError(
            f"{folder} holds no coverage: make it with `python -m conformance run --lane virtual --fresh "
            f"--device-coverage {folder}`"
        )
    return tuple(_read_wheel(path) for path in wheels)


def _order(path: Path) -> tuple[Version, str]:
    try:
        return Version(path.name.split("@", 1)[0]), path.name
    except InvalidVersion as error:
        raise ResultsError(f"{path} is not named after a wheel, like 1.2.4@cp310; remove it") from error


def _read_wheel(path: Path) -> WheelCoverage:
    environment = dict(os.environ)
    if (project := project_folder()) is not None:
        environment["PYTHONPATH"] = os.pathsep.join([str(project), *filter(None, [environment.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "virtual_rocm", "coverage", str(path), "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ResultsError(f"coverage of {path.name}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return parse_wheel(path.name, json.loads(done.stdout))


def parse_wheel(label: str, values: Mapping[str, Any]) -> WheelCoverage:
    """What `python -m virtual_rocm coverage --json` said of one wheel; files that are not the wheel's are left out."""
    files = {}
    for item in values["files"]:
        found = _SOURCE.search(item["path"])
        if not found:
            continue
        files[found["path"]] = FileCoverage(
            lines=item["lines"],
            executed=item["executed"],
            ranges=tuple((first, last) for first, last in item["unexecuted_ranges"]),
            functions=tuple(Function(function["name"], function["line"]) for function in item["functions"]),
            never=tuple(
                Function(function["name"], function["line"])
                for function in item["functions"]
                if not function["executed"]
            ),
        )
    return WheelCoverage(label, files, {kernel["name"]: kernel["executed"] for kernel in values["kernels"]})


def page_name(path: str) -> str:
    """The page of a source file: `src/ops/a.hpp` → `src-ops-a.hpp.md`."""
    return f"{path.replace('/', '-')}.md"


def render_pages(wheels: Sequence[WheelCoverage]) -> dict[str, str]:
    """File name → Markdown, the index first."""
    paths = sorted({path for wheel in wheels for path in wheel.files})
    return {INDEX: _index(wheels, paths), **{page_name(path): _file_page(path, wheels) for path in paths}}


_INTRODUCTION = """\
# Device code that the suite executes

Lines of the wheels' own kernels, executed on the virtual GPU by the suite's cases. A line counts if it has machine code in a
kernel that was launched, at the optimisation that the wheel asks for; code of templates that no launched kernel uses is not there
to be counted. What is not executed is not tested: the page of a file names it, function by function.

Ranks on one host reach each other's memory directly (P2P), also where the suite simulates nodes. So the code that posts RDMA or
SDMA work is compiled into the kernels between nodes and is not executed: `transport/rdma`, `transport/sdma`,
`shmem_ibgda_kernels.hpp`, `shmem_sdma_kernels.hpp`, and the branches that call them in `src/ops`. It takes several hosts, or GPUs
with SDMA queues.

Made by

    python -m conformance run --lane virtual --fresh --device-coverage FOLDER
    python -m conformance device-coverage FOLDER
"""


def _index(wheels: Sequence[WheelCoverage], paths: Sequence[str]) -> str:
    lines = [_INTRODUCTION, "## Source files", "", _row(["file", *(wheel.version for wheel in wheels)])]
    lines.append(_row(["---", *("---:" for _ in wheels)]))
    for path in paths:
        cells = [wheel.files[path].share if path in wheel.files else "–" for wheel in wheels]
        lines.append(_row([f"[{path}]({page_name(path)})", *cells]))
    lines += ["", "## Kernels", "", _row(["", *(wheel.version for wheel in wheels)])]
    lines.append(_row(["---", *("---:" for _ in wheels)]))
    lines.append(_row(["in the modules that were loaded", *(str(len(wheel.kernels)) for wheel in wheels)]))
    lines.append(_row(["executed", *(str(sum(map(bool, wheel.kernels.values()))) for wheel in wheels)]))
    never = sorted(
        {name for wheel in wheels for name in wheel.kernels}
        - {name for wheel in wheels for name, executed in wheel.kernels.items() if executed}
    )
    lines += ["", f"In no release executed, of these modules ({len(never)}):", ""]
    lines += [f"- `{name}`" for name in never] or ["- none"]
    return "\n".join(lines) + "\n"


def _file_page(path: str, wheels: Sequence[WheelCoverage]) -> str:
    lines = [
        f"# {path}",
        "",
        f"[All files]({INDEX}). Releases in which the same lines are not executed stand together.",
        "",
    ]
    groups: dict[FileCoverage, list[str]] = defaultdict(list)
    for wheel in wheels:
        if path in wheel.files:
            groups[wheel.files[path]].append(wheel.version)
    for file, versions in groups.items():
        lines += [f"## {', '.join(versions)}", "", f"{file.executed} of {file.lines} lines executed.", ""]
        if file.never:
            lines += ["Never executed:", ""]
            lines += [f"- `{function.name}` (line {function.line})" for function in file.never]
            lines.append("")
        if file.ranges:
            lines += [_row(["function", "lines not executed"]), _row(["---", "---"])]
            lines += [_row([f"`{name}`" if name else "", text]) for name, text in _by_function(file)]
            lines.append("")
    return "\n".join(lines)


def _by_function(file: FileCoverage) -> list[tuple[str, str]]:
    """The ranges under the function whose code begins last before them."""
    found: dict[str, list[str]] = {}
    for first, last in file.ranges:
        holder = next((item.name for item in reversed(file.functions) if item.line and item.line <= first), "")
        found.setdefault(holder, []).append(str(first) if first == last else f"{first}–{last}")
    return [(name, ", ".join(parts)) for name, parts in found.items()]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
