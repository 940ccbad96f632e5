# SPDX-License-Identifier: MIT
"""Lanes of a run: which are taken, and what a lane says that this machine does not have."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance import lanes
from conformance.catalogue import aspects
from conformance.environments import EnvironmentFailure
from conformance.errors import SelectionError
from conformance.matrix import Lane, Matrix, NightlyRule
from conformance.run import select_requirements
from conformance.suite import measuring
from conformance.suite.cases import Case
from conformance.suite.lanes import FREELY, LaneError, device_variables, plain_lane, rocm_lane
from conformance.suite.lanes import Lane as RankLane
from conformance.suite.measuring import Measurement, Setup
from conformance.suite.rocm import find_gpus
from conformance.verdicts import Record, Verdict
from conformance.wheels import Wheel

PROJECT = Path(__file__).resolve().parent.parent.parent
WHEEL = Wheel("amd-mori", "1.2.4", "cp310-cp310-manylinux2014_x86_64", "a" * 64, 1, "2026-01-01T00:00:00Z")
no_gpu = pytest.mark.skipif(find_gpus().count > 0, reason="this machine has AMD GPUs")


def matrix(**enabled: bool) -> Matrix:
    return Matrix((), (), NightlyRule("all"), tuple(Lane(name, "it", on) for name, on in enabled.items()), ())  # type: ignore[arg-type]


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "why_no_virtual_lane", lambda: "no clang: apt-get install clang-19")


def test_a_run_takes_the_lanes_that_are_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "why_no_virtual_lane", lambda: "")
    assert lanes.choose_lanes(matrix(survey=True, virtual=True, rocm=False), ()) == ("survey", "virtual")
    assert lanes.choose_lanes(matrix(survey=True), ("rocm", "virtual")) == ("virtual", "rocm")
    assert lanes.choose_lanes(matrix(survey=True), ("all",)) == ("survey", "virtual", "rocm")


def test_a_lane_that_this_machine_does_not_have_is_left_out_and_said(
    lacking: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lanes.choose_lanes(matrix(survey=True, virtual=True), ()) == ("survey",)
    assert capsys.readouterr().err == "lane virtual is left out: no clang: apt-get install clang-19\n"


def test_a_lane_that_was_named_and_cannot_run_is_an_error(lacking: None) -> None:
    with pytest.raises(SelectionError, match="apt-get install clang-19"):
        lanes.choose_lanes(matrix(survey=True), ("virtual",))


@pytest.mark.parametrize("enabled", [{}, {"survey": False}, {"survey": False, "virtual": True}])
def test_a_run_with_no_lane_at_all_is_an_error_with_the_remedy(lacking: None, enabled: dict[str, bool]) -> None:
    with pytest.raises(SelectionError, match="name one: --lane survey"):
        lanes.choose_lanes(matrix(**enabled), ())


def test_a_machine_without_the_driver_has_no_gpus(tmp_path: Path) -> None:
    found = find_gpus(tmp_path / "kfd")
    assert found.count == 0
    assert "is not there: the AMD GPU driver is not loaded" in found.reason


def test_a_driver_without_hip_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "kfd"
    driver.touch()
    monkeypatch.setattr("conformance.suite.rocm._libraries", lambda: [str(tmp_path / "libamdhip64.so")])
    assert find_gpus(driver).reason == "no libamdhip64.so: install ROCm, or set ROCM_PATH"


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "MORIEP_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "conformance", "--matrix", str(PROJECT / "matrix.toml"), "run", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@no_gpu
def test_every_verdict_of_a_lane_without_its_device_is_not_run_with_the_reason(tmp_path: Path) -> None:
    done = run(tmp_path, "--lane", "rocm", "--wheel", "1.2.3@cp310", "--wheel", "1.2.4@cp310", "--requirement", "OVF")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "results" / "results.jsonl").read_text().splitlines()]
    records = [line["record"] for line in lines if line["kind"] == "verdict"]
    assert {record["verdict"] for record in records} == {"not_run"}
    assert all("no AMD GPU" in record["message"] for record in records)
    assert {record["wheel"] for record in records} == {"1.2.3@cp310", "1.2.4@cp310"}
    wanted = aspects([item for item in select_requirements(["OVF"], "rocm") if "rocm" in item.lanes], "standard")
    assert len(records) == 2 * len(wanted)
    command = records[0]["evidence"]["command"]
    assert (
        command
        == "python -m conformance run --lane rocm --wheel 1.2.3@cp310 --requirement OVF-7 --kernel-type IntraNode --fresh"
    )


@no_gpu
def test_a_run_that_was_cut_short_names_what_is_missing_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "results" / "measured" / "rocm").mkdir(parents=True)
    blocked = tmp_path / "results" / "measured" / "rocm" / "amd-mori-1.2.4-cp310-cp310-manylinux_2_35_x86_64.jsonl"
    blocked.mkdir()
    done = run(tmp_path, "--lane", "rocm", "--wheel", "1.2.3@cp310", "--wheel", "1.2.4@cp310", "--requirement", "OVF-9")
    assert done.returncode == 2
    assert "1 of 2 verdicts are missing" in done.stderr
    assert not (tmp_path / "results" / "results.jsonl").exists()
    assert len(list(blocked.parent.glob("amd-mori-1.2.3-*.jsonl"))) == 1


def measured(folder: Path, *names: str) -> list[Record]:
    found = aspects(select_requirements(names, "virtual"), "quick")
    with Measurement(WHEEL, "virtual", found, Setup(folder)) as measurement:
        return [measurement.record(*item.key) for item in found]


@pytest.mark.parametrize(("machine", "verdict"), [(True, Verdict.NOT_RUN), (False, Verdict.ENGINE_ERROR)])
def test_a_wheel_without_an_environment_is_a_record_with_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: bool, verdict: Verdict
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise EnvironmentFailure("it cannot be installed", machine=machine, lines=["what pip said"])

    monkeypatch.setattr(measuring, "wheel_environment", fail)
    records = measured(tmp_path, "OVF-7", "CAP-7")
    assert [(item.verdict, item.message) for item in records] == [(verdict, "it cannot be installed")] * 2
    assert records[0].evidence.observed == ("what pip said",)


@pytest.mark.parametrize(
    ("printed", "verdict", "message"),
    [
        ("torch", Verdict.CRASH, "mori cannot be imported: ImportError: no such symbol"),
        ("", Verdict.ENGINE_ERROR, "torch cannot be imported: ImportError: no such symbol"),
    ],
)
def test_a_wheel_that_cannot_be_imported_is_told_from_a_torch_that_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, verdict: Verdict, message: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho {printed}\necho 'ImportError: no such symbol' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(Measurement, "_lane", lambda self: self._import(RankLane("virtual", str(python))))
    (record,) = measured(tmp_path, "OVF-7")
    assert (record.verdict, record.message) == (verdict, message)


def test_what_a_requirement_does_not_speak_about_starts_nothing(tmp_path: Path) -> None:
    old = Wheel("amd-mori", "1.0.0", "cp310-cp310-any", "b" * 64, 1, "2026-01-01T00:00:00Z")
    found = aspects(select_requirements(["MEM-1"], "virtual"), "quick")
    with Measurement(old, "virtual", found, Setup(tmp_path)) as measurement:
        assert measurement.record("MEM-1").verdict is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"  at {PROJECT}/virtual_rocm/include/hip/sync.h:58 in f", "  at virtual_rocm/include/hip/sync.h:58 in f"),
        ("  at /another/project/virtual_rocm/include/hip/sync.h:58", "  at virtual_rocm/include/hip/sync.h:58"),
        ('File "/a/base/lib/python3.10/site-packages/torch/x.py", line 1', 'File "torch/x.py", line 1'),
        ('File "/b/lib/python3.12/asyncio/base.py", line 1', 'File "asyncio/base.py", line 1'),
        ("cached: /c/kernels/gfx942/ep.hsaco", "cached: gfx942/ep.hsaco"),
        ("/c/wheel/mori/ops.py:3", "mori/ops.py:3"),
        ("Connection closed by peer [127.0.0.1]:4711. GLHF!", "Connection closed by peer [127.0.0.1]. GLHF!"),
        ("waits for [127.0.0.1]:80 of 90", "waits for [127.0.0.1] of 90"),
        ("the wheel's own: /build/mori/src/x.cpp:101", "the wheel's own: /build/mori/src/x.cpp:101"),
    ],
)
def test_what_ranks_say_names_no_folder_of_this_machine(line: str, told: str) -> None:
    lane = RankLane("virtual", "python", (Path("/c/wheel"),), {"MORI_JIT_CACHE_DIR": "/c/kernels"})
    assert lane.readable(line) == told


def test_a_case_about_another_gpu_gets_it_from_the_virtual_lane() -> None:
    try:
        found = device_variables(Case("about-another", architecture="gfx950"), (), PROJECT)
    except LaneError as error:
        pytest.skip(str(error))
    assert (found["VIRTUAL_ROCM_ARCHITECTURE"], found["MORI_GPU_ARCHS"]) == ("gfx950", "gfx950")
    assert set(found) <= {"VIRTUAL_ROCM_ARCHITECTURE", "VIRTUAL_ROCM_CLANG", "MORI_GPU_ARCHS"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {}),
        ({"late": ((1, "combine", 0.2),)}, FREELY),
        (
            {"late_blocks": (1, "EpDispatch", 2, 0.5)},
            {**FREELY, "VIRTUAL_ROCM_LATE_BLOCKS": "1/EpDispatch/2/0.5"},
        ),
    ],
)
def test_a_case_with_late_ranks_or_blocks_is_the_only_one_whose_ranks_do_not_take_turns(
    values: dict[str, Any], expected: Mapping[str, str]
) -> None:
    assert device_variables(Case("late", **values), (), PROJECT) == expected


def test_each_group_of_ranks_takes_turns_of_its_own_and_only_on_the_virtual_lane(tmp_path: Path) -> None:
    lane = RankLane("virtual", "python", turns=True)
    assert lane.group_variables(tmp_path) == {"VIRTUAL_ROCM_LOCKSTEP": str(tmp_path / "turns")}
    assert (
        plain_lane("python").group_variables(tmp_path)
        == rocm_lane("python", packages=(tmp_path,)).group_variables(tmp_path)
        == {}
    )


def test_a_case_about_a_gpu_that_no_compiler_here_knows_is_not_run_with_the_remedy(tmp_path: Path) -> None:
    """A real one: clang of LLVM 19 does not know gfx950."""
    clang = shutil.which("clang-19")
    if clang is None:
        pytest.skip("no clang-19 on this machine")
    program = (
        "from pathlib import Path\n"
        "from conformance.suite.cases import Case\n"
        "from conformance.suite.lanes import LaneError, device_variables\n"
        "try:\n"
        f"    device_variables(Case('', architecture='gfx950'), (), Path({str(PROJECT)!r}))\n"
        "except LaneError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "VIRTUAL_ROCM_CLANG": clang, "VIRTUAL_ROCM_REAL_HIPCC": "", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    if "not built" in done.stdout:
        pytest.skip(done.stdout)
    assert done.stdout.startswith("for gfx950: ")
    assert "20 or newer is needed" in done.stdout
    assert "`python -m virtual_rocm doctor --architecture gfx950 --fix` gets it" in done.stdout
