# SPDX-License-Identifier: MIT
"""The suite catches every broken implementation, and finds nothing in the correct one.

The ranks need torch: the interpreter that runs the tests if it has it, or the one that CONFORMANCE_RANK_PYTHON names.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys

import pytest

from conformance.catalogue import load_catalogue
from conformance.consumers import SITUATIONS
from conformance.suite.case_list import CASES
from conformance.suite.judges import CHECKS
from conformance.suite.lanes import REFERENCE, plain_lane
from conformance.suite.witnesses import ALONE, LENIENT, WITNESSES, run_witnesses

PYTHON = os.environ.get("CONFORMANCE_RANK_PYTHON") or (sys.executable if importlib.util.find_spec("torch") else None)
needs_torch = pytest.mark.skipif(PYTHON is None, reason="no torch: set CONFORMANCE_RANK_PYTHON to a Python that has it")


def test_each_requirement_of_a_running_lane_has_a_check_and_each_check_a_requirement() -> None:
    assert {item.id for item in load_catalogue() if {"virtual", "rocm"} & set(item.lanes)} == CHECKS.keys()


def test_each_check_names_cases_that_exist_and_each_case_is_needed() -> None:
    assert {name for check in CHECKS.values() for name in check.cases} == CASES.keys()


def test_each_requirement_is_broken_by_a_witness() -> None:
    # One judge serves all situations of consumers; test_consumers.py breaks each of them.
    consumers = {item.requirement for item in SITUATIONS}
    # CFG-18 is about pruning, which is no part of mori: that file breaks it too.
    assert set(WITNESSES.values()) == CHECKS.keys() - consumers - {"CFG-18"}


def test_the_table_names_each_broken_implementation() -> None:
    source = "".join(
        (REFERENCE / "mori" / f"{name}.py").read_text(encoding="utf-8") for name in ("witnesses", "kernel_witnesses")
    )
    guards = (REFERENCE.parent / "guarding.py").read_text(encoding="utf-8")
    classes = re.findall(r"^class ([A-Z]\w+)\(", source, re.MULTILINE)
    classes += re.findall(r"^class ([A-Z]\w+)\(OverflowGuard\)", guards, re.MULTILINE)
    names = {re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower() for name in classes}
    assert names == WITNESSES.keys() | {LENIENT}


def test_ranks_import_nothing_but_torch_numpy_and_the_suite() -> None:
    """What runs in the wheel's environment must do without the driver's packages."""
    folder = REFERENCE.parent
    modules = (
        *(
            "allocations",
            "calling",
            "calls",
            "captured",
            "cases",
            "dispatch_tensors",
            "encoding",
            "experts",
            "observations",
        ),
        *("device", "guarding", "playing", "rank_program", "rank_server", "second_op", "waiting"),
    )
    for name in modules:
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
        found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        found |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        # moriep needs nothing but the standard library itself.
        allowed = {"torch", "numpy", "mori", "moriep", "__future__", *sys.stdlib_module_names}
        outside = {item for item in found if item.split(".")[0] not in allowed}
        assert outside <= {f"conformance.suite.{other}" for other in modules}, name


@needs_torch
@pytest.mark.timeout(900)
def test_the_correct_implementation_passes_everything() -> None:
    (result,) = run_witnesses(plain_lane(PYTHON), ["correct"], deadline=600)
    assert result.caught_by == (), result.message


@needs_torch
@pytest.mark.timeout(900)
def test_every_broken_implementation_is_caught_by_its_requirement() -> None:
    results = run_witnesses(plain_lane(PYTHON), [name for name in WITNESSES if name not in ALONE], deadline=600)
    assert [item for item in results if not item.good] == []


@needs_torch
@pytest.mark.timeout(300)
@pytest.mark.parametrize("witness", sorted(ALONE))
def test_an_implementation_that_ends_its_ranks_is_caught(witness: str) -> None:
    (result,) = run_witnesses(plain_lane(PYTHON), [witness], deadline=60)
    assert result.good, result


def test_the_page_holds_the_table() -> None:
    page = (REFERENCE.parents[2] / "docs" / "suite.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z0-9 ]+) \| ([A-Z]{3}-\d+) \|$", page, re.MULTILINE)
    assert {name.replace(" ", "-"): requirement for name, requirement in rows} == WITNESSES
