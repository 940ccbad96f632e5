# SPDX-License-Identifier: MIT
"""Files with measured routings.

A routing trace is JSON Lines, one line for each batch that one rank dispatched:

    {"ids": [[3, 17], [200, 5]], "step": 0}

`ids` has one list for each token, the global expert ids that the router chose for it (what is passed to `dispatch` as indices).
`step` is optional, on all lines or on none: batches with the same number went into the same dispatch, one for each rank.

An expert histogram is JSON: a list of one number for each expert in the order of ids, how often the expert was chosen. Counts of
choices are not quite the weights of draws without replacement: a token chooses a popular expert once at most, so its count is
flattened, and a plan made from counts is a little more even than what was measured. A trace has no such bias.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from moriep.errors import ConfigurationError
from moriep.planner.routing import Trace, Weighted

__all__ = ["load_histogram", "load_trace"]


def load_trace(file: Path) -> Trace:
    """Read a routing trace.

    Raises:
        ConfigurationError: the file cannot be read or a line is not as described; names the line.
    """
    batches: list[tuple[tuple[int, ...], ...]] = []
    steps: list[int] = []
    for number, line in enumerate(_text(file).splitlines(), 1):
        if not line.strip():
            continue
        record = _json(line, f"{file}:{number}")
        ids = record.get("ids") if isinstance(record, dict) else None
        if not isinstance(ids, list) or not all(_ids(token) for token in ids):
            raise ConfigurationError(
                f'{file}:{number}: not a batch; a line must be like {{"ids": [[3, 17], [200, 5]]}}, a list of expert ids for '
                "each token"
            )
        batches.append(tuple(tuple(token) for token in ids))
        if "step" in record:
            if not isinstance(record["step"], int):
                raise ConfigurationError(f"{file}:{number}: step is {record['step']!r}; it must be an integer")
            steps.append(record["step"])
    if not batches:
        raise ConfigurationError(f"{file}: holds no batch")
    if steps and len(steps) != len(batches):
        raise ConfigurationError(
            f"{file}: {len(steps)} of {len(batches)} lines have a step; give it on all lines or on none"
        )
    return Trace(tuple(batches), tuple(steps) or None, f"trace {file.name}")


def load_histogram(file: Path) -> Weighted:
    """Read an expert histogram as weights.

    Raises:
        ConfigurationError: the file cannot be read or holds something else.
    """
    values = _json(_text(file), str(file))
    if not isinstance(values, list) or not all(
        isinstance(item, (int, float)) and not isinstance(item, bool) for item in values
    ):
        raise ConfigurationError(f"{file}: must be a JSON list with one number for each expert")
    return Weighted(tuple(float(item) for item in values), f"histogram {file.name}")


def _ids(token: object) -> bool:
    return isinstance(token, list) and all(isinstance(item, int) and not isinstance(item, bool) for item in token)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{where}: not JSON: {error}") from error
