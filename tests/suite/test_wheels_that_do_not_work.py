# SPDX-License-Identifier: MIT
"""A wheel that cannot be imported, and one whose kernels cannot be compiled: each is a verdict with its reason.

The first needs torch (see test_witnesses). The second runs on the virtual GPU where MORIEP_TEST_RANKS_PYTHON and
MORIEP_TEST_PACKAGES name an interpreter and an unpacked wheel (see test_planned_odds). A wheel that cannot be installed is in
tests/conformance/test_environments.py.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from conformance.catalogue import aspects
from conformance.run import select_requirements
from conformance.suite.case_list import CASES
from conformance.suite.judges import judge
from conformance.suite.lanes import Lane, virtual_lane
from conformance.suite.launch import Job, run_jobs
from conformance.suite.measuring import Measurement, Setup
from conformance.verdicts import Verdict
from conformance.wheels import Wheel
from tests.suite.test_witnesses import PYTHON, needs_torch

ROOT = Path(__file__).resolve().parents[2]
WHEEL = Wheel("amd-mori", "1.2.4", "cp310-cp310-any", "a" * 64, 1, "2026-10-12T00:00:00Z")


@needs_torch
def test_a_wheel_that_cannot_be_imported_is_a_crash_that_names_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "packages" / "mori"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import ctypes\nctypes.CDLL('libmori_that_is_not_there.so')\n")
    lane = Lane("virtual", str(PYTHON), (package.parent,), {"CUDA_VISIBLE_DEVICES": ""})
    monkeypatch.setattr(Measurement, "_lane", lambda self: self._import(lane))
    asked = aspects(select_requirements(["OVF-7", "CAP-7"], "virtual"), "quick")
    with Measurement(WHEEL, "virtual", asked, Setup(tmp_path / "measured")) as measurement:
        records = [measurement.record(*item.key) for item in asked]
    assert len(records) == 2
    for record in records:
        assert record.verdict is Verdict.CRASH
        assert record.message.startswith("mori cannot be imported: OSError: libmori_that_is_not_there.so")
        assert any("Traceback" in line for line in record.evidence.observed)


@pytest.mark.timeout(600)
def test_a_wheel_whose_kernels_cannot_be_compiled_fails_with_what_the_compiler_said(tmp_path: Path) -> None:
    python, packages = os.environ.get("MORIEP_TEST_RANKS_PYTHON"), os.environ.get("MORIEP_TEST_PACKAGES")
    if not python or not packages:
        pytest.skip("MORIEP_TEST_RANKS_PYTHON and MORIEP_TEST_PACKAGES are not set")
    folder = tmp_path / "packages"
    shutil.copytree(Path(packages.partition("=")[2]) / "mori", folder / "mori")
    kernel = next(folder.glob("mori/_jit*sources/src/ops/kernels/ep_intranode.hip"))
    kernel.write_text(
        "#error this kernel is broken on purpose\n" + kernel.read_text(encoding="utf-8"), encoding="utf-8"
    )
    lane = virtual_lane(python, packages=(folder,), launcher_path=ROOT, jit_cache=tmp_path / "compiled")
    (outcome,) = run_jobs([Job(CASES["registered-buffer"], {})], lane, deadline=240)
    assert outcome.kind == "refused", (outcome.message, *outcome.evidence)
    found = judge("CMB-4", {"registered-buffer": outcome})
    assert found.verdict is Verdict.FAIL
    assert "this kernel is broken on purpose" in "\n".join([found.message, *found.observed])
