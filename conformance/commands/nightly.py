# SPDX-License-Identifier: MIT
"""`python -m conformance nightly`: what the nightly workflow does between the calls of `gh`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from conformance.errors import ResultsError
from conformance.lock import refresh_lock
from conformance.matrix import load_matrix
from conformance.nightly import OpenIssue, plan_issue, to_judge, verdict_changes
from conformance.results import read_results
from conformance.selection import find_matrix

__all__ = ["issue", "wheels"]


def wheels(matrix_file: Path | None, output: Path, *, most: int) -> int:
    """Lock what is new, and write the names of the nightlies to judge, one a line; an empty file where nothing is new."""
    path = find_matrix(matrix_file)
    change = refresh_lock(path)
    new = [wheel for wheel in change.added if wheel.nightly]
    chosen = to_judge(new, load_matrix(path).nightlies, most)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("".join(f"{wheel.label}\n" for wheel in chosen), encoding="utf-8")
    for wheel in new:
        print(f"new: {wheel}, built {wheel.built}, sha256 {wheel.sha256}")
    print(f"to judge: {', '.join(wheel.label for wheel in chosen) or 'nothing'}")
    return 0


def issue(results_file: Path, open_file: Path, folder: Path) -> int:
    """Write what is to be done about the issue: `action` (none, create, update), `number`, `title` and `body.md`.

    Every nightly of the results is compared with the one before it.
    """
    results = read_results(results_file)
    try:
        known = msgspec.json.decode(open_file.read_bytes(), type=list[OpenIssue])
    except (OSError, msgspec.MsgspecError) as error:
        raise ResultsError(
            f"{open_file}: {error}; make it with `gh issue list --state open --json number,title,body`"
        ) from error
    judged = {record.sha256 for record in results.records}
    nightlies = [wheel for wheel in results.header.wheels if wheel.nightly and wheel.sha256 in judged]
    changes = verdict_changes(results, nightlies)
    action = plan_issue(changes, known)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("action", action.kind),
        ("number", str(action.number)),
        ("title", action.title),
        ("body.md", action.body),
    ):
        (folder / name).write_text(f"{text}\n", encoding="utf-8")
    print(
        f"{len(changes)} verdicts changed on {len({change.wheel.sha256 for change in changes})} nightlies: {action.kind}"
    )
    return 0
