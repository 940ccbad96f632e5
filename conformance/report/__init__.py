# SPDX-License-Identifier: MIT
"""The report: what the results say, as a page, as Markdown, and for machines.

Two committed files are the inputs, `results.jsonl` and `surveys.json`; everything else in the folder follows from them, byte for
byte, without a network.
"""

from conformance.report.inputs import (
    RESULTS_FILE,
    SURVEYS_FILE,
    ReportInputs,
    build_report_inputs,
    read_report_inputs,
    write_report_inputs,
)
from conformance.report.rejudging import stale_results
from conformance.report.render import check_report, render_report, write_report

__all__ = [
    "RESULTS_FILE",
    "SURVEYS_FILE",
    "ReportInputs",
    "build_report_inputs",
    "check_report",
    "read_report_inputs",
    "render_report",
    "stale_results",
    "write_report",
    "write_report_inputs",
]
