# SPDX-License-Identifier: MIT
"""What was found, in its smallest form: `regressions.toml`, read, written and replayed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import tomlkit
import tomllib
from packaging.version import Version

from conformance.explore.dimensions import ExplorationError
from conformance.explore.playing import Trial, trial_from_json, trial_to_json
from conformance.wheels import Wheel

__all__ = ["JUDGEMENTS", "REGRESSIONS_FILE", "Regression", "identity_of", "read_regressions", "write_regressions"]

REGRESSIONS_FILE = Path(__file__).resolve().parent / "regressions.toml"

JUDGEMENTS = {
    "release": "a fault of the release",
    "limit": "a limit of the release that nothing tells of",
    "ours": "a fault of this project, mended",
    "open": "not judged yet",
}
_HEAD = """\
# SPDX-License-Identifier: MIT
# What the exploration found, in its smallest form. `python -m conformance explore --replay ID --wheel WHEEL` plays one again;
# with `--keep` it writes here what became of it. docs/explored.md is made from this file.
"""
_RIGHT = "right"


@dataclass(frozen=True)
class Regression:
    """One failure.

    Attributes:
        id: names it; what findings begin with is made from the trial.
        title: one sentence.
        trial: the smallest trial that shows it.
        symptom: how it shows on the wheel that it was found on.
        wheel, sha256: that wheel. seed, number: the situation it was found in (−1: a trial was written for it); schedule: of that
            run.
        outcomes: label of a wheel → "right", or the symptom there.
        judgement: one of JUDGEMENTS; evidence: what it is judged by; reference: upstream's, if there is one.
        requirement: of the catalogue, which tells of it too.
    """

    id: str
    title: str
    trial: Trial
    symptom: str
    wheel: str
    sha256: str
    seed: int
    number: int
    schedule: int = 0
    outcomes: Mapping[str, str] = field(default_factory=dict)
    judgement: str = "open"
    evidence: str = ""
    reference: str = ""
    requirement: str = ""

    @property
    def command(self) -> str:
        """Plays it again."""
        return f"python -m conformance explore --replay {self.id} --wheel {self.wheel.partition('@')[0]}"

    @property
    def affected(self) -> tuple[str, ...]:
        """The wheels on which it goes wrong, in the order of the releases."""
        return tuple(label for label, outcome in self.outcomes.items() if outcome != _RIGHT)

    def with_outcome(self, wheel: Wheel, outcome: str) -> Regression:
        """With one more outcome, in the order of the releases."""
        outcomes = {**self.outcomes, wheel.label: outcome}
        return replace(self, outcomes=dict(sorted(outcomes.items(), key=lambda item: _release(item[0]))))


def _release(label: str) -> tuple[Version, str]:
    version, _, tag = label.partition("@")
    return Version(version), tag


def identity_of(trial: Trial) -> str:
    """An id made from the trial."""
    text = json.dumps(trial_to_json(trial), sort_keys=True)
    return f"found-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def read_regressions(path: Path = REGRESSIONS_FILE) -> tuple[Regression, ...]:
    """All regressions of a file; none if there is no file.

    Raises:
        ExplorationError: it is malformed: names the file and the regression.
    """
    if not path.is_file():
        return ()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))["regressions"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ExplorationError(f"{path}: no list of regressions: {error}") from error
    found: list[Regression] = []
    for item in values:
        given = dict(item)
        try:
            trial = trial_from_json(json.loads(given.pop("trial")), given["id"])
            regression = Regression(trial=trial, **given)
        except (KeyError, TypeError, ValueError) as error:
            raise ExplorationError(f"{path}: regression {item.get('id', '?')}: {error!r}") from error
        if regression.judgement not in JUDGEMENTS:
            raise ExplorationError(
                f"{path}: regression {regression.id}: judgement {regression.judgement!r} is none of {', '.join(JUDGEMENTS)}"
            )
        if any(other.id == regression.id for other in found):
            raise ExplorationError(f"{path}: two regressions are called {regression.id}; rename one")
        found.append(regression)
    return tuple(found)


def write_regressions(regressions: Sequence[Regression], path: Path = REGRESSIONS_FILE) -> None:
    """Write all of them: the file is theirs, comments in it are not kept."""
    document = tomlkit.document()
    tables = tomlkit.aot()
    for item in regressions:
        table = tomlkit.table()
        for name in ("id", "title"):
            table[name] = getattr(item, name)
        table["trial"] = tomlkit.string(json.dumps(trial_to_json(item.trial)), literal=True)
        for name in ("symptom", "wheel", "sha256", "seed", "number", "schedule", "judgement"):
            table[name] = getattr(item, name)
        for name in ("evidence", "reference", "requirement"):
            if getattr(item, name):
                table[name] = getattr(item, name)
        if item.outcomes:
            outcomes = tomlkit.table()
            for label, outcome in item.outcomes.items():
                outcomes[label] = outcome
            table["outcomes"] = outcomes
        tables.append(table)
    document["regressions"] = tables
    path.write_text(f"{_HEAD}\n{tomlkit.dumps(document)}", encoding="utf-8")
