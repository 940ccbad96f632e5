# SPDX-License-Identifier: MIT
"""`moriep check PATH` and `moriep plan` as people run them: output, exit codes, files, and never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.matrix import load_matrix
from conformance.report.surveys import read_surveys
from moriep.planner.planning import asserts_overflow
from moriep.vocabulary import KernelType
from tests.conformance.fake_wheels import CONFIG, FakeIndex, pack, serving, wheel_files, wheel_of

ROOT = Path(__file__).resolve().parents[2]
HEADER = 'schema = 1\n[nightlies]\nrule = "all"\n[[lanes]]\nname = "survey"\nshows = "files"\n'
SOURCE = """\
import mori

config = mori.ops.EpDispatchCombineConfig(rank=0, world_size=8, hidden_dim=64, novel=2)
op = mori.ops.EpDispatchCombineOp(config)
op.dispatch(x, None, None, ids)
"""


def run(*arguments: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SGLANG_", "MORI"))}
    done = subprocess.run(
        [sys.executable, "-m", "conformance.command_line", *arguments],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


class TestCheck:
    """9.0.1 gained the field `novel`, which the source passes."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        old = pack(wheel_files(version="9.0.0"))
        new = pack(
            wheel_files(
                version="9.0.1", main=CONFIG.replace("block_num: int = 80", "block_num: int = 80\n    novel: int = 1")
            )
        )
        rows = []
        for version, data in (("9.0.0", old), ("9.0.1", new)):
            wheel = wheel_of(data, version)
            rows.append(
                f'{{distribution = "amd-mori", version = "{version}", tag = "{wheel.tag}", sha256 = "{wheel.sha256}", '
                f'size = {wheel.size}, uploaded = "2026-11-0{1 + int(version[-1])}T00:00:00Z"}}'
            )
            (tmp_path / wheel.filename).write_bytes(data)
        (tmp_path / "matrix.toml").write_text(f"wheels = [{', '.join(rows)}]\n{HEADER}")
        (tmp_path / "serving").mkdir()
        (tmp_path / "serving" / "moe.py").write_text(SOURCE)
        return tmp_path

    @pytest.fixture
    def check(self, folder: Path):  # type: ignore[no-untyped-def]
        index = FakeIndex()
        for file in sorted(folder.glob("*.whl")):
            data = file.read_bytes()
            index.add(wheel_of(data, file.name.split("-")[1]), data)
        with serving(index):
            yield lambda *arguments: run(
                "check",
                *arguments,
                cwd=folder,
                MORIEP_CACHE=str(folder / "cache"),
                MORIEP_INDEX_URL=index.url,
            )

    def test_says_line_release_and_reason(self, check) -> None:  # type: ignore[no-untyped-def]
        done = check("serving/moe.py")
        assert done.returncode == 1
        assert "serving/moe.py:3: EpDispatchCombineConfig(…)" in done.stdout
        assert "✗ 9.0.0: TypeError: unknown argument novel" in done.stdout
        assert "serving/moe.py:5: ….dispatch(…)\n    taken as written by all" in done.stdout

    def test_a_release_that_takes_it_gives_exit_code_0(self, check) -> None:  # type: ignore[no-untyped-def]
        assert check("serving", "--release", "9.0.1").returncode == 0
        assert check("serving", "--wheel", "9.0.0").returncode == 1

    def test_a_module_name_is_found_without_importing_it(self, check, folder: Path) -> None:  # type: ignore[no-untyped-def]
        (folder / "serving" / "moe.py").write_text(SOURCE + "raise SystemExit('imported')\n")
        assert "moe.py:3" in check("serving.moe").stdout

    def test_annotations_are_those_of_github(self, check) -> None:  # type: ignore[no-untyped-def]
        (line,) = check("serving", "--github").stdout.splitlines()
        assert line.startswith("::error file=serving/moe.py,line=3,endLine=3,col=10,title=amd-mori 9.0.0::TypeError")

    def test_json_has_everything(self, check) -> None:  # type: ignore[no-untyped-def]
        found = json.loads(check("serving", "--json").stdout)
        assert found["releases"] == ["9.0.0@cp310", "9.0.1@cp310"]
        assert found["breaks"] is True
        assert found["calls"][0]["findings"][0]["releases"] == ["9.0.0@cp310"]

    @pytest.mark.parametrize(
        ("source", "message"),
        [("x = 1\n", "there is nothing to judge"), ("def (:\n", "not Python source")],
    )
    def test_what_cannot_be_judged_is_a_wrong_command(self, check, folder: Path, source: str, message: str) -> None:  # type: ignore[no-untyped-def]
        (folder / "serving" / "moe.py").write_text(source)
        done = check("serving/moe.py")
        assert done.returncode == 2
        assert message in done.stderr

    def test_a_path_that_leads_nowhere_is_a_wrong_command(self, check) -> None:  # type: ignore[no-untyped-def]
        done = check("no.such.module")
        assert done.returncode == 2
        assert "no such file, folder or module" in done.stderr

    def test_two_wheels_need_a_path(self, check) -> None:  # type: ignore[no-untyped-def]
        done = check("--wheel", "9.0.0", "--wheel", "9.0.1")
        assert done.returncode == 2
        assert "name one wheel" in done.stderr


class TestPlan:
    def test_the_value_of_the_environment_decides_the_exit_code(self) -> None:
        safe = run("plan", "--release", "1.2.4")
        assert safe.returncode == 0
        assert "COMBINE WRITES PAST ITS BUFFER" in safe.stdout
        unsafe = run("plan", "--release", "1.2.4", SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS="16384")
        assert unsafe.returncode == 1
        assert "set now: 16384 is NOT safe" in unsafe.stdout

    def test_json_holds_the_plan_and_every_buffer(self) -> None:
        found = json.loads(run("plan", "--json", "--zero-copy", "--prealloc", "24576").stdout)
        cap = next(item for item in found["caps"] if item["max_total_recv_tokens"] == 24576)
        assert cap["overflow"]["upper"] < 1e-100
        assert sum(item["bytes"] for item in found["buffers_of_recommended"]) == found["recommended"]["total_bytes"]

    def test_a_simulation_prints_its_seed_and_repeats(self) -> None:
        pytest.importorskip("numpy")
        command = ("plan", "--world-size", "4", "--tokens", "64", "--zero-copy", "--simulate", "2000", "--seed", "5")
        first = run(*command)
        assert "seed 5" in first.stdout
        assert first.stdout == run(*command).stdout

    @pytest.mark.parametrize("suffix", ["svg", "png"])
    def test_a_plot_is_the_same_from_run_to_run(self, tmp_path: Path, suffix: str) -> None:
        pytest.importorskip("matplotlib")
        files = [tmp_path / f"{number}.{suffix}" for number in range(2)]
        for file in files:
            assert run("plan", "--zero-copy", "--plot", str(file)).returncode == 0
        assert files[0].read_bytes() == files[1].read_bytes()
        assert len(files[0].read_bytes()) > 5_000

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--release", "0.9"), "no buffer layout"),
            (("--routing", "poisson"), "write uniform"),
            (("--routing", "zipf:x"), "is no number"),
            (("--routing", "trace:absent.jsonl"), "cannot be read"),
            (("--release", "1.1.1", "--kernel", "IntraNodeLL"), "has no kernel type"),
            (("--risk", "2"), "risk is 2.0"),
        ],
    )
    def test_a_wrong_question_is_one_message(self, arguments: tuple[str, ...], message: str) -> None:
        done = run("plan", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1

    def test_uniform_routing_needs_no_extra(self) -> None:
        program = (
            "import sys; sys.modules.update(dict.fromkeys(['numpy', 'msgspec', 'rich', 'matplotlib']));"
            "from conformance.command_line import main; sys.exit(main(['plan', *sys.argv[1:]]))"
        )
        for arguments, code, text in (
            ([], 0, ""),
            (["--routing", "zipf:1"], 2, "pip install 'moriep[planner]'"),
            (["--plot", "x.svg"], 2, "pip install 'moriep[plot]'"),
        ):
            done = subprocess.run(
                [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
            )
            assert (done.returncode, text in done.stderr) == (code, True), done.stderr

    def test_which_kernels_assert_is_what_the_wheels_say(self) -> None:
        surveys = read_surveys(ROOT / "docs" / "report" / "surveys.json")
        judged = 0
        for wheel in load_matrix(ROOT / "matrix.toml").stable:
            facts = surveys[wheel.sha256]
            if "max_total_recv_tokens" not in facts.surface.config.field_names:
                continue
            for kernel in facts.surface.kernel_types:
                expected = kernel in facts.guarded_kernel_types()
                assert asserts_overflow(wheel.version, KernelType(kernel)) is expected, (wheel.label, kernel)
                judged += 1
        assert judged > 70
