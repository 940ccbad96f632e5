# SPDX-License-Identifier: MIT
"""`python -m conformance explore`: what is typed, and what is said when it means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.__main__ import main
from conformance.commands.explore import seconds_of
from conformance.commands.explore_options import numbers_of


@pytest.mark.parametrize(("text", "seconds"), [("300", 300), ("90s", 90), ("5m", 300), ("1.5h", 5400)])
def test_a_budget_is_a_duration(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(("text", "numbers"), [(None, ()), ("3", (1, 2, 3)), ("4-6", (4, 5, 6))])
def test_schedules_are_a_number_or_a_range(text: str | None, numbers: tuple[int, ...]) -> None:
    assert numbers_of(text) == numbers


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "soon"], "'soon' is no duration"),
        (["--schedules", "a-b"], "--schedules"),
        (["--replay", "no-such-thing"], "no such regression, and no such file"),
        (["--wheel", "1.2.4", "--unpacked", "nowhere"], "--unpacked needs --base-python"),
        (["--wheel", "1.2.4", "--unpacked", "nowhere", "--base-python", "python3"], "holds no unpacked wheel"),
    ],
)
def test_what_means_nothing_is_told(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["explore", "--record", str(tmp_path), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_trial_in_a_file_has_to_be_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "trial.json"
    for text, words in (("{", "no JSON"), ('{"case": {"tokens": 3}}', "no trial that could be replayed")):
        path.write_text(text, encoding="utf-8")
        assert main(["explore", "--replay", str(path)]) == 2
        assert words in capsys.readouterr().err


def test_the_page_is_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["explore", "--page", "--record", str(tmp_path)]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# The space of situations, explored")
    assert "| world_size | 2, 3, 4, 8 |" in page
