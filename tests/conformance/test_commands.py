# SPDX-License-Identifier: MIT
"""The commands as people run them: another process, its output, its exit code, and never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.fake_wheels import CONFIG, FakeIndex, pack, serving, wheel_files, wheel_of

Run = Callable[..., subprocess.CompletedProcess[str]]
HEADER = 'schema = 1\n[nightlies]\nrule = "all"\n[[lanes]]\nname = "survey"\nshows = "files"\n'


@pytest.fixture
def project(tmp_path: Path) -> Iterator[tuple[Path, FakeIndex]]:
    """A folder with a matrix of two wheels: 9.0.1 lost the assertion and gained a field in the middle."""
    index = FakeIndex()
    old = pack(wheel_files(version="9.0.0"))
    moved = CONFIG.replace("block_num: int = 80", "novel: int = 1\n    block_num: int = 80")
    new = pack(wheel_files(version="9.0.1", main=moved, kernel="// nothing\n"))
    with serving(index):
        rows = []
        for version, data in (("9.0.0", old), ("9.0.1", new)):
            wheel = wheel_of(data, version, day=f"2026-11-0{version[-1]}".replace("00", "02"))
            index.add(wheel, data)
            rows.append(
                f'{{distribution = "amd-mori", version = "{version}", tag = "{wheel.tag}", sha256 = "{wheel.sha256}", '
                f'size = {wheel.size}, uploaded = "2026-11-0{1 + int(version[-1])}T00:00:00Z"}}'
            )
            (tmp_path / wheel.filename).write_bytes(data)
        (tmp_path / "matrix.toml").write_text(f"wheels = [{', '.join(rows)}]\n{HEADER}")
        yield tmp_path, index


@pytest.fixture
def run(project: tuple[Path, FakeIndex]) -> Run:
    folder, index = project

    def command(
        *arguments: str, module: str = "conformance.command_line", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SGLANG_", "MORI"))}
        environment = {
            **kept,
            "MORIEP_CACHE": str(folder / "cache"),
            "MORIEP_INDEX_URL": index.url,
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            **variables,
        }
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return command


def test_diff_names_the_vanished_assertion_and_the_moved_fields(run: Run) -> None:
    done = run("diff", "9.0.0", "9.0.1")
    assert done.returncode == 0
    assert "− overflow assertion: IntraNode" in done.stdout
    assert "block_num 4→5" in done.stdout
    assert "writes past the receive buffers" in done.stdout


def test_diff_is_json_on_request_and_an_exit_code_on_request(run: Run) -> None:
    done = run("diff", "9.0.0", "9.0.1", "--json", "--exit-code")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["before"]["version"] == "9.0.0"
    assert {"overflow assertion", "config field"} <= {item["area"] for item in found["differences"]}
    assert {item["weight"] for item in found["differences"]} >= {"breaks", "addition"}
    assert run("diff", "9.0.0", "9.0.0", "--exit-code").returncode == 0


def test_survey_prints_one_wheel_whole_and_several_as_a_table(run: Run) -> None:
    one = run("survey", "9.0.0")
    assert "max_total_recv_tokens: int = 0" in one.stdout
    assert "EpDispatchIntraNodeKernel_body [IntraNode]" in one.stdout
    several = run("survey")
    assert "9.0.0@cp310" in several.stdout
    assert "9.0.1@cp310" in several.stdout
    assert len(json.loads(run("survey", "--json").stdout)["wheels"]) == 2


def test_a_wheel_file_is_surveyed_like_any_other(run: Run, project: tuple[Path, FakeIndex]) -> None:
    index = project[1]
    index.status = 500
    done = run("survey", "amd_mori-9.0.0-cp310-cp310-manylinux_2_35_x86_64.whl")
    assert done.returncode == 0
    assert "max_total_recv_tokens: int = 0" in done.stdout


def test_a_truncated_wheel_file_is_one_error(run: Run, project: tuple[Path, FakeIndex]) -> None:
    (file,) = project[0].glob("amd_mori-9.0.0-*.whl")
    file.write_bytes(file.read_bytes()[:500])
    done = run("survey", file.name)
    assert done.returncode == 2
    assert "not the published wheel" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_one_unreadable_wheel_is_said_and_the_other_reported(run: Run, project: tuple[Path, FakeIndex]) -> None:
    index = project[1]
    index.files["amd_mori-9.0.1-cp310-cp310-manylinux_2_35_x86_64.whl"] = b"x" * 100
    done = run("survey", "all")
    assert done.returncode == 3
    assert "9.0.0 (cp310)" in done.stdout
    assert "not read: amd-mori 9.0.1 (cp310)" in done.stderr


def test_check_explains_what_a_release_does_to_the_arguments(run: Run) -> None:
    done = run("check", "--wheel", "9.0.0")
    assert done.returncode == 1
    assert "call_local_expert_count" in done.stdout
    found = json.loads(run("check", "--wheel", "9.0.0", "--json").stdout)
    assert "quant_type" in [item["name"] for item in found["dropped"]]


def test_check_without_mori_says_what_to_do(run: Run) -> None:
    done = run("check")
    assert done.returncode == 2
    assert "pip install amd-mori" in done.stderr


def test_env_shows_the_table_and_a_bad_value(run: Run) -> None:
    good = run("env")
    assert good.returncode == 0
    assert "SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS" in good.stdout
    bad = run("env", SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS="-1")
    assert bad.returncode == 1
    assert "SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS='-1'" in bad.stderr
    assert "Remedy" in bad.stderr
    as_json = json.loads(run("env", "--json", SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS="-1").stdout)
    assert as_json["errors"][0]["variable"] == "SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS"


def test_the_environment_needs_no_extra(run: Run) -> None:
    blocked = "import sys; sys.modules.update(dict.fromkeys(['msgspec', 'rich', 'aiohttp', 'griffe']));"
    done = subprocess.run(
        [sys.executable, "-c", f"{blocked} from conformance.command_line import main; sys.exit(main(['env']))"],
        cwd=Path(__file__).resolve().parents[2],
        env={name: value for name, value in os.environ.items() if not name.startswith("SGLANG_")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_extra_is_said_with_the_command_that_gets_it() -> None:
    blocked = "import sys; sys.modules['msgspec'] = None;"
    done = subprocess.run(
        [sys.executable, "-c", f"{blocked} from conformance.command_line import main; sys.exit(main(['survey']))"],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "pip install 'moriep[conformance]'" in done.stderr


def test_timeline_over_stable_wheels_only_is_empty(run: Run) -> None:
    assert json.loads(run("timeline", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["diff", "9.0.0", "7"], "no wheel '7' in the matrix"),
        (["diff", "all", "9.0.0"], "means 2 wheels"),
        (["survey", "absent.whl"], "absent.whl: cannot be read"),
        (["survey", "--matrix", "absent.toml"], "absent.toml: not found"),
        (["timeline", "--python", "cp399"], "no wheels for 'cp399'"),
        (["check", "--wheel", "9.0.0", "--top-k", "99"], "top_k is 99"),
        (["check", "--wheel", "9.0.0", "--world-size", "0"], "world"),
    ],
)
def test_a_wrong_question_is_one_message_and_exit_code_two(run: Run, arguments: list[str], expected: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert expected in done.stderr


def test_a_malformed_matrix_is_one_message(run: Run, project: tuple[Path, FakeIndex]) -> None:
    (project[0] / "matrix.toml").write_text("schema = 9")
    done = run("survey")
    assert done.returncode == 2
    assert done.stderr.startswith("moriep: error: matrix.toml: ")


def test_a_run_judges_writes_and_exits_by_what_it_found(run: Run, project: tuple[Path, FakeIndex]) -> None:
    folder = project[0]
    good = run("run", "--wheel", "9.0.0", "--requirement", "OVF-1", module="conformance")
    assert good.returncode == 0, good.stderr
    bad = run("run", "--requirement", "OVF-1", module="conformance")
    assert bad.returncode == 1
    assert "fail: OVF-1 on 9.0.1@cp310" in bad.stdout
    assert "repeat: python -m conformance run --wheel 9.0.1@cp310 --requirement OVF-1" in bad.stdout
    with (folder / "matrix.toml").open("a") as file:
        file.write(
            '[[expectations]]\nrequirement = "OVF-1"\nversions = "==9.0.1"\nlane = "survey"\n'
            'message = "no overflow assertion"\nlink = "here"\n'
        )
    assert run("run", "--requirement", "OVF-1", module="conformance").returncode == 0
    last = (folder / "results" / "results.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["counts"] == {"pass": 1, "expected_fail": 1}


def test_two_runs_write_the_same_but_for_the_header(run: Run, project: tuple[Path, FakeIndex]) -> None:
    for name in ("one", "two"):
        run("run", "--results", name, module="conformance")
    one, two = ((project[0] / name).read_bytes().split(b"\n")[1:] for name in ("one", "two"))
    assert one == two


def test_a_run_that_cannot_judge_a_wheel_keeps_the_others(run: Run, project: tuple[Path, FakeIndex]) -> None:
    index = project[1]
    index.files["amd_mori-9.0.1-cp310-cp310-manylinux_2_35_x86_64.whl"] = b"x" * 100
    done = run("run", "--requirement", "OVF-1", module="conformance")
    assert done.returncode == 3
    assert "not judged: amd-mori 9.0.1 (cp310)" in done.stderr
    header = json.loads((project[0] / "results" / "results.jsonl").read_text().splitlines()[0])
    assert list(header["failures"]) == ["9.0.1@cp310"]


def test_lock_reports_and_check_fails_on_news(run: Run, project: tuple[Path, FakeIndex]) -> None:
    assert "holds every wheel" in run("lock", module="conformance").stdout
    data = pack(wheel_files(version="9.0.2"))
    project[1].add(wheel_of(data, "9.0.2"), data)
    assert run("lock", "--check", module="conformance").returncode == 1
    assert "new: amd-mori 9.0.2 (cp310)" in run("lock", module="conformance").stdout
    assert run("lock", "--check", module="conformance").returncode == 0


@pytest.mark.parametrize("module", ["conformance.command_line", "conformance"])
def test_help_teaches_by_example(run: Run, module: str) -> None:
    done = run("--help", module=module)
    assert done.returncode == 0
    assert "examples:" in done.stdout
    assert "exit codes:" in done.stdout
