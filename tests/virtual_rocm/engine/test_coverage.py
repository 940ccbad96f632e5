# SPDX-License-Identifier: MIT
"""Lines of kernels that were executed: branches, inlined and called functions, processes together, faults."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import FOLDER, ROOT, Device, Run

from tests.virtual_rocm.native_build import build
from virtual_rocm.coverage import Coverage, FileCoverage, in_words, read_coverage, without_template_arguments
from virtual_rocm.errors import CoverageError

SOURCE = FOLDER / "kernels" / "covered.hip"


def line_of(words: str) -> int:
    """The line with these words."""
    (number,) = (number for number, line in enumerate(SOURCE.read_text().splitlines(), 1) if words in line)
    return number


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command reads debug information with."""
    folder = build("amdhip64", "hsa-runtime64", "virtual_rocm_tensors") / "lib"
    monkeypatch.setenv("VIRTUAL_ROCM_LIBRARIES", str(folder))


@pytest.fixture
def launch(device: Device, tmp_path: Path) -> Callable[..., Run]:
    """Launches `kernel` with `which`, in a process of its own, and notes what is executed."""

    def run(kernel: str, which: int, folder: Path = tmp_path, **knobs: float) -> Run:
        return device.run(
            "covered",
            "buffer out 4096",
            f"launch {kernel} 2 128 0 @out i32:{which}",
            "wait",
            coverage=str(folder),
            **knobs,
        )

    return run


def covered(coverage: Coverage) -> FileCoverage:
    """Of the source file with the kernels."""
    (file,) = coverage.below("kernels/covered.hip").files
    return file


def test_a_branch_is_executed_and_the_others_are_not(launch: Callable[..., Run], tmp_path: Path) -> None:
    assert launch("branches", 1).endings[0].completed
    lines = covered(read_coverage([tmp_path])).lines
    assert lines[line_of("only with 1")]
    assert lines[line_of("in the inlined function")]
    assert lines[line_of("// always")]
    assert not lines[line_of("only with 0")]
    assert not lines[line_of("in the called function")]
    assert line_of("line numbers".capitalize()) not in lines  # a comment


def test_an_instruction_that_no_lane_executes_is_not_executed(launch: Callable[..., Run], tmp_path: Path) -> None:
    launch("branches", 3)
    assert not covered(read_coverage([tmp_path])).lines[line_of("no lane has this number")]


def test_processes_are_put_together(launch: Callable[..., Run], tmp_path: Path) -> None:
    launch("branches", 0)
    launch("branches", 1)
    file = covered(read_coverage([tmp_path]))
    assert file.lines[line_of("only with 0")]
    assert file.lines[line_of("only with 1")]
    assert file.lines[line_of("in the called function")]
    assert not file.lines[line_of("only with 2")]


def test_folders_are_put_together(launch: Callable[..., Run], tmp_path: Path) -> None:
    launch("branches", 0, tmp_path / "one")
    launch("branches", 1, tmp_path / "two" / "deeper")
    assert not covered(read_coverage([tmp_path / "one"])).lines[line_of("only with 1")]
    lines = covered(read_coverage([tmp_path / "one", tmp_path / "two" / "deeper"])).lines
    assert lines[line_of("only with 0")]
    assert lines[line_of("only with 1")]


def test_functions_that_were_never_executed_are_named(launch: Callable[..., Run], tmp_path: Path) -> None:
    launch("branches", 1)
    file = covered(read_coverage([tmp_path]))
    assert {function.name for function in file.never_executed} == {
        "called", "never_called", "fault_after_branch", "never_launched"
    }  # fmt: skip
    inlined = next(function for function in file.functions if function.name == "inlined")
    assert (inlined.line, inlined.instances, inlined.executed) == (line_of("in the inlined function"), 2, 1)


def test_a_launch_that_faults_is_counted_up_to_the_fault(launch: Callable[..., Run], tmp_path: Path) -> None:
    assert launch("fault_after_branch", 1).endings[0].kind == "out-of-bounds access"
    lines = covered(read_coverage([tmp_path])).lines
    assert lines[line_of("// faults")]
    assert not lines[line_of("not after the fault")]


def test_a_process_that_is_killed_is_counted(device: Device, tmp_path: Path) -> None:
    script = f"load {device.compile('covered')}\nbuffer out 4096\nlaunch branches 2 128 0 @out i32:1\nwait\n"
    with subprocess.Popen(
        [device.driver],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"VIRTUAL_ROCM_COVERAGE": str(tmp_path)},
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(script)
        process.stdin.flush()
        assert process.stdout.readline().startswith("launch 1 completed")
        process.kill()
    assert covered(read_coverage([tmp_path])).lines[line_of("only with 1")]


def test_nothing_is_written_without_a_folder(device: Device, tmp_path: Path) -> None:
    device.run("covered", "buffer out 4096", "launch branches 2 128 0 @out i32:1", "wait", coverage="")
    with pytest.raises(CoverageError, match="no kernel was loaded with coverage on"):
        read_coverage([tmp_path])


def test_a_folder_that_cannot_be_written_is_named(launch: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = launch("branches", 1, tmp_path / "file" / "below")
    assert "VIRTUAL_ROCM_COVERAGE: cannot write" in run.errors[0]


def test_a_damaged_file_is_named(launch: Callable[..., Run], tmp_path: Path) -> None:
    launch("branches", 1)
    (path,) = tmp_path.glob("*.executed")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CoverageError, match=path.name):
        read_coverage([tmp_path])


def command(*arguments: str | Path) -> str:
    return subprocess.run(
        [sys.executable, "-m", "virtual_rocm", "coverage", *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout


def test_the_command_writes_text_and_json_of_the_same(launch: Callable[..., Run], tmp_path: Path) -> None:
    launch("branches", 1)
    coverage = read_coverage([tmp_path]).below("kernels/covered.hip")
    assert command(tmp_path, "--source", "kernels/covered.hip") == in_words(coverage)
    values = json.loads(command(tmp_path, "--source", "kernels/covered.hip", "--json"))
    assert values["files"][0]["unexecuted_ranges"] == [list(pair) for pair in coverage.files[0].unexecuted_ranges]
    assert "never executed: never_launched" in in_words(coverage)
    assert "1 of 3 kernels of the loaded modules were executed" in in_words(coverage)


def test_ranges_run_over_lines_without_code() -> None:
    file = FileCoverage("a.hip", {3: True, 5: False, 9: False, 10: True, 12: False, 20: True, 21: False}, ())
    assert file.unexecuted_ranges == ((5, 9), (12, 12), (21, 21))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("WarpCopy<float, 1>", "WarpCopy"),
        ("void mori::copy<float, (Kind)1>(float*, unsigned int)", "mori::copy"),
        ("kernel_bf16", "kernel_bf16"),
        ("A<B<int> >::get() const", "A::get"),
        ("mori::(anonymous namespace)::f(int)", "mori::(anonymous namespace)::f"),
        ("Value::operator()(int)", "Value::operator()"),
        ("Value<int>::operator<(int)", "Value::operator<"),
    ],
)
def test_instantiations_of_a_template_are_one_function(name: str, plain: str) -> None:
    assert without_template_arguments(name) == plain
