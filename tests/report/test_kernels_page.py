# SPDX-License-Identifier: MIT
"""Kernel types × releases: every verdict stands under its kernel type, and every failure in words."""

from __future__ import annotations

from dataclasses import replace

from conformance.catalogue import load_catalogue
from conformance.report.grid import build_grid
from conformance.report.inputs import ReportInputs
from conformance.report.kernels import kernel_failures, kernel_tables, kernel_wheels, render_kernels_page
from conformance.results import Results, new_header
from conformance.verdicts import Evidence, Record, Verdict
from tests.report.builders import WHEELS

WHEEL = WHEELS[0]


def inputs(*found: tuple[str, str, Verdict, str]) -> ReportInputs:
    records = [
        Record(
            requirement, WHEEL.label, WHEEL.sha256, "virtual", verdict, message, Evidence("c"), kernel_type=kernel_type
        )
        for requirement, kernel_type, verdict, message in found
    ]
    names = list(dict.fromkeys(item.requirement for item in records))
    requirements = tuple(item for item in load_catalogue() if item.id in names)
    return ReportInputs(Results(new_header([WHEEL], ["virtual"], names, {}), tuple(records)), {}, requirements)


MIXED = (
    ("DSP-1", "IntraNode", Verdict.PASS, "right"),
    ("DSP-1", "AsyncLL", Verdict.EXPECTED_FAIL, "wrong at 0x12"),
    ("DSP-1", "InterNodeV1", Verdict.FAIL, "lost"),
    ("DSP-9", "", Verdict.PASS, "right"),
    ("CON-1", "", Verdict.PASS, "works"),
    ("CFG-10", "", Verdict.PASS, "kept"),
)


def test_each_verdict_stands_in_the_table_of_its_kernel_type() -> None:
    tables = {table.kernel_type: table for table in kernel_tables(build_grid(inputs(*MIXED)))}
    # DSP-9 is about IntraNodeLL alone, CON-1 about IntraNode; CFG-10 about none.
    assert {name: [row.requirement.id for row in table.rows] for name, table in tables.items()} == {
        "IntraNode": ["DSP-1", "CON-1"],
        "InterNodeV1": ["DSP-1"],
        "AsyncLL": ["DSP-1"],
        "IntraNodeLL": ["DSP-9"],
    }
    assert kernel_wheels(build_grid(inputs(*MIXED))) == (WHEEL,)


def test_failures_are_told_with_their_kernel_type_and_the_others_are_not() -> None:
    failures = kernel_failures(kernel_tables(build_grid(inputs(*MIXED))))
    assert [(item.kernel_type, item.records[0].message) for item in failures] == [
        ("InterNodeV1", "lost"),
        ("AsyncLL", "wrong at 0x12"),
    ]
    page = render_kernels_page(build_grid(inputs(*MIXED))).decode()
    assert "**DSP-1** (MUST), AsyncLL" in page
    assert "the release's" in page


def test_the_grid_shows_the_first_kernel_type_unless_another_fails_unexpectedly() -> None:
    (requirement,) = [item for item in load_catalogue() if item.id == "DSP-1"]
    assert build_grid(inputs(*MIXED)).cell(requirement, WHEEL).verdict is Verdict.FAIL
    calm = [item for item in MIXED if item[2] is not Verdict.FAIL]
    cell = build_grid(inputs(*calm)).cell(requirement, WHEEL)
    assert cell.verdict is Verdict.PASS
    assert [record.kernel_type for record in cell.others] == ["AsyncLL"]


def test_a_fault_of_ours_is_judged_as_ours() -> None:
    (failure,) = kernel_failures(
        kernel_tables(build_grid(inputs(("DSP-1", "AsyncLL", Verdict.ENGINE_ERROR, "launcher"))))
    )
    assert failure.judgement.startswith("ours")
    released = replace(failure, records=(replace(failure.records[0], verdict=Verdict.FAIL),))
    assert released.judgement == "the release's"
