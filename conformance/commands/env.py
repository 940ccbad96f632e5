# SPDX-License-Identifier: MIT
"""`moriep env`: works with the core alone."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping

from moriep.environment import Environment, table
from moriep.errors import EnvironmentVariableError, VariableProblem
from moriep.variables import markdown_reference

__all__ = ["env"]


def env(environment: Mapping[str, str], world_size: int | None, *, markdown: bool, json_output: bool) -> int:
    """Print the table and every problem. Returns 1 if a value cannot be used."""
    if markdown:
        print(markdown_reference(), end="")
        return 0
    errors: tuple[VariableProblem, ...] = ()
    warnings: tuple[VariableProblem, ...] = ()
    try:
        warnings = Environment.from_mapping(environment, world_size).warnings
    except EnvironmentVariableError as error:
        errors = error.problems
    rows = table(environment, world_size)
    if json_output:
        value = {
            "variables": [dataclasses.asdict(row) for row in rows],
            "errors": [dataclasses.asdict(problem) for problem in errors],
            "warnings": [dataclasses.asdict(problem) for problem in warnings],
        }
        print(json.dumps(value, indent=2, ensure_ascii=False))
        return 1 if errors else 0
    width = max(len(row.name) for row in rows)
    for row in rows:
        value_text = {
            "default": f"{row.default} (default)",
            "set": f"{row.value}",
            "invalid": f"{row.value!r} (INVALID)",
        }
        print(f"{row.name:{width}}  {value_text[row.state]}")
        print(f"{'':{width}}    {row.type}, allowed: {row.allowed}")
        print(
            f"{'':{width}}    {row.meaning}" + (f" Deprecated: use {row.deprecated_by}." if row.deprecated_by else "")
        )
    for problem in warnings:
        print(f"warning: {problem}", file=sys.stderr)
    for problem in errors:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if errors else 0
