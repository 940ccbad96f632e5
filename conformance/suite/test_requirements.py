# SPDX-License-Identifier: MIT
"""The one test of the suite; `plugin` gives it its wheels, lanes and requirements."""

from __future__ import annotations

from conformance.suite.plugin import tell
from conformance.verdicts import Record


def test_requirement(measured: Record) -> None:
    tell(measured)
