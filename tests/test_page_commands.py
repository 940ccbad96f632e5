# SPDX-License-Identifier: MIT
"""Every command and snippet of every written page: run where it can be, parsed where it cannot. `tests/pages.py` has the rules.

- `moriep …` runs, unless it has a placeholder; then its options are parsed.
- `python -m conformance…` and `python -m virtual_rocm …` judge for minutes or need a compiler: their options are parsed by asking
  the real parser for help on that action.
- `./nox.sh -s …`: the sessions must exist. `pip install …`: what is installed must be this project, or a folder of it, and its
  extras. `pytest …` collects, and has to find something. `torchrun … FILE` starts a file that the page made before
  (tests/moriep/test_dispatcher_ranks.py runs it). `python FILE`: the file exists and knows every option named.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.command_line import build_parser
from tests.pages import Block, Command, blocks, commands, inline_commands, shows

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / "README.md", *(page for page in (ROOT / "docs").rglob("*.md") if not {"report", "api"} & set(page.parts))]
)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SGLANG_", "MORI_"))}
    return {**kept, "PYTHONPATH": str(ROOT)}


def run_moriep(command: Command, folder: Path, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conformance.command_line", *shlex.split(command.text)[1:]],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=280,
    )
    where = f"line {command.line}: {command.text}"
    assert done.returncode == code, f"{where}\n{done.stdout}{done.stderr}"
    if command.output is not None:
        lacking = shows(done.stdout, command.output)
        assert lacking is None, f"{where}: does not print {lacking!r}\n{done.stdout}"


def parse_moriep(command: Command) -> None:
    words = shlex.split(command.text.replace("…", "WORD"))[1:]
    # Numbers and choices are the reader's to fill in; everything else must parse.
    code: int | str | None = 0
    with contextlib.redirect_stderr(io.StringIO()) as complaint:
        try:
            build_parser().parse_args(words)
        except SystemExit as stop:
            code = stop.code
    assert code == 0, f"line {command.line}: {command.text}: {complaint.getvalue()}"


def check_sessions(command: Command) -> None:
    sessions = set(re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE))
    words = shlex.split(command.text.partition(" -- ")[0])
    named = words[words.index("-s") + 1 :] if "-s" in words else []
    # A session made for each wheel has the wheel behind a dash.
    unknown = [name for name in named if re.split(r"[-@]", name)[0] not in sessions]
    assert not unknown, f"line {command.line}: no session {', '.join(unknown)}"


def check_install(command: Command) -> None:
    extras = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE))
    for word in shlex.split(command.text)[2:]:
        if word.startswith("-"):
            continue
        name, _, asked = word.partition("[")
        known = name in ("moriep", ".") or (ROOT / name).is_dir() or name.startswith("amd-mori")
        assert known, f"line {command.line}: what is {name}?"
        assert set(filter(None, asked.rstrip("]").split(","))) <= extras, f"line {command.line}: {word}"


def check_module(command: Command) -> None:
    """The module exists and its parser knows the action and every option named."""
    words = shlex.split(command.text)
    module = words[2]
    rest = words[3 : words.index("--")] if "--" in words else words[3:]
    actions = [word for word in rest[:1] if not word.startswith("-")]
    shown = subprocess.run(
        [sys.executable, "-m", module, *actions, "--help"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert shown.returncode == 0, f"line {command.line}: {command.text}\n{shown.stderr}"
    for option in (word.partition("=")[0] for word in rest if word.startswith("--")):
        assert re.search(rf"{option}\b", shown.stdout), f"line {command.line}: {module} has no {option}"


def check_file(command: Command) -> None:
    """A program of the project: some need torch or minutes, so it is read, not run."""
    words = shlex.split(command.text)
    source = (ROOT / words[1]).read_text(encoding="utf-8")
    ast.parse(source)
    for option in (word.partition("=")[0] for word in words[2:] if word.startswith("--")):
        assert f'"{option}"' in source, f"line {command.line}: {words[1]} has no {option}"


def check_ranks(command: Command, folder: Path) -> None:
    (program,) = [word for word in shlex.split(command.text) if word.endswith(".py")]
    assert (folder / program).exists(), f"line {command.line}: the page does not make {program} before"


def check_collection(command: Command) -> None:
    """pytest finds what the command would run."""
    words = [sys.executable, "-m", *shlex.split(command.text), "--collect-only", "-q"]
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"line {command.line}: {command.text}\n{done.stdout[-2000:]}{done.stderr}"
    assert "::" in done.stdout, f"line {command.line}: {command.text}: nothing is collected\n{done.stdout[-2000:]}"


def play(block: Block, folder: Path) -> None:
    code = int(block.remark("exits with") or 0)
    for command in commands(block):
        if command.text.startswith("moriep "):
            if command.has_placeholder:
                parse_moriep(command)
            else:
                run_moriep(command, folder, code)
        elif command.text.startswith("./nox.sh"):
            check_sessions(command)
        elif command.text.startswith("pip install"):
            check_install(command)
        elif command.text.startswith("python -m "):
            check_module(command)
        elif command.text.startswith("python "):
            check_file(command)
        elif command.text.startswith("torchrun "):
            check_ranks(command, folder)
        elif command.text.startswith("pytest "):
            check_collection(command)
        else:
            pytest.fail(
                f"line {command.line}: {command.text}: no rule says how to run this; mark the block as not run, with the reason"
            )
    if block.language == "python":
        target = block.remark("file")
        if target is not None:
            ast.parse(block.text)
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            (folder / target).write_text(block.text + "\n", encoding="utf-8")
        else:
            done = subprocess.run(
                [sys.executable, "-c", block.text],
                cwd=folder,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, f"line {block.line}:\n{done.stderr}"
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "toml" and sys.version_info >= (3, 11):
        import tomllib

        tomllib.loads(block.text)


@pytest.mark.network
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_snippets_of_the_page_work(page: Path, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    pytest.importorskip("matplotlib")
    for block in blocks(page):
        if block.remark("not run") is None:
            play(block, tmp_path)


NOT_RUN = [
    pytest.param(page, block, id=f"{name_of(page)}:{block.line}")
    for page in PAGES
    for block in blocks(page)
    if block.remark("not run") is not None
]


@pytest.mark.parametrize(("page", "block"), NOT_RUN)
def test_what_is_not_run_has_a_reason(page: Path, block: Block) -> None:
    reason = block.remark("not run")
    assert reason, f"{name_of(page)}:{block.line}: say why it is not run"
    pytest.skip(f"not run: {reason}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_sentences_and_tables_parse(page: Path) -> None:
    for command in inline_commands(page):
        parse_moriep(command)


def test_the_plot_of_the_page_is_what_its_command_draws(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    committed = (ROOT / "docs" / "prealloc.svg").read_text(encoding="utf-8")
    if f"Matplotlib v{matplotlib.__version__}," not in committed:
        pytest.skip("drawn with another version of matplotlib")
    (command,) = (
        command
        for block in blocks(ROOT / "docs" / "prealloc.md")
        for command in commands(block)
        if "prealloc.svg" in command.text
    )
    run_moriep(command, tmp_path, 0)
    assert (tmp_path / "prealloc.svg").read_text(encoding="utf-8") == committed


def test_the_api_pages_are_what_the_docstrings_say() -> None:
    griffe = pytest.importorskip("griffe")
    assert griffe
    from conformance.api_pages import api_pages

    found = {file.name: file.read_text(encoding="utf-8") for file in (ROOT / "docs" / "api").glob("*.md")}
    pages = api_pages()
    drifted = sorted(name for name in {*pages, *found} if pages.get(name) != found.get(name))
    assert drifted == [], "run: python -m conformance.api_pages"


class TestReading:
    """The reader of pages itself: what it must catch."""

    def test_kinds_of_blocks(self, tmp_path: Path) -> None:
        page = tmp_path / "page.md"
        page.write_text(
            "Words.\n\n    $ moriep env\n    some output\n    …\n    more\n\n<!-- exits with 1 -->\n\n"
            "    moriep diff A B  # a comment\n    moriep env\n\n<!-- file: a.py -->\n```python\nx = 1\n```\n\n    just output\n"
        )
        first, second, third, fourth = blocks(page)
        assert commands(first) == (Command(3, "moriep env", ("some output", "…", "more")),)
        assert [command.text for command in commands(second)] == ["moriep diff A B", "moriep env"]
        assert [command.has_placeholder for command in commands(second)] == [True, False]
        assert second.remark("exits with") == "1"
        assert (third.language, third.remark("file"), third.text) == ("python", "a.py", "x = 1")
        assert commands(fourth) == ()

    @pytest.mark.parametrize(
        ("output", "expected", "lacking"),
        [
            ("a\nb\nc", ("a", "b"), None),
            ("a\nb\nc", ("a", "c"), "c"),
            ("a\nb\nc", ("a", "…", "c"), None),
            ("a\nb\nc", ("…", "d"), "d"),
            ("a long line", ("a … line",), None),
            ("b\na", ("…", "a", "…", "b"), "b"),
        ],
    )
    def test_output_is_compared_in_order(self, output: str, expected: tuple[str, ...], lacking: str | None) -> None:
        assert shows(output, expected) == lacking

    def test_a_wrong_option_and_a_wrong_session_are_caught(self) -> None:
        with pytest.raises(AssertionError, match="unrecognized arguments"):
            parse_moriep(Command(1, "moriep diff A B --nonsense"))
        with pytest.raises(AssertionError, match="no session brew"):
            check_sessions(Command(1, "./nox.sh -s tests brew -- --x"))
        with pytest.raises(AssertionError, match="has no --nonsense"):
            check_file(Command(1, "python benchmarks/dispatcher.py --nonsense"))
        with pytest.raises(AssertionError, match="does not make layer"):
            check_ranks(Command(1, "torchrun --nproc-per-node 2 layer.py"), Path("nowhere"))
        with pytest.raises(AssertionError, match="nonsense"):
            check_collection(Command(1, "pytest tests/test_documents.py -k nonsense"))
        with pytest.raises(AssertionError, match=r"moriep\[nothing\]"):
            check_install(Command(1, "pip install 'moriep[nothing]'"))
