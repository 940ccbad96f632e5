# SPDX-License-Identifier: MIT
"""`python -m conformance explore`: play situations that nobody listed, judge them, make what fails small, keep it."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.commands.output import print_json
from conformance.explore.assessment import Judgement
from conformance.explore.dimensions import ExplorationError, offered, space_for
from conformance.explore.exploring import Explorer, Finding, Planned, Played, plan_schedules, plan_trials
from conformance.explore.journal import ExploredJournal
from conformance.explore.lane import Unpacked, wheel_lanes
from conformance.explore.playing import Player, Trial, trial_from_json, trial_to_json
from conformance.explore.regressions import Regression, identity_of, read_regressions, write_regressions
from conformance.explore.schedules import make_schedule
from conformance.matrix import load_matrix
from conformance.selection import Chosen, choose_wheels, find_matrix

__all__ = ["Asked", "explore", "replay", "seconds_of"]

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
# Situations that each schedule is tried on, if --cases does not say.
_CASES_OF_A_SCHEDULE = 12


@dataclass(frozen=True)
class Asked:
    """The command's options.

    Attributes:
        budget: seconds for playing on one wheel; cases: trials at most. Both None: everything.
        schedules: numbers of schedules to try besides the plain one; none: only that.
        keep: write findings, or a replay's outcomes, to regressions.toml.
        shrink: trials to play at most for making one finding small; 0 leaves it as it is.
    """

    matrix: Path | None
    wheels: tuple[str, ...] = ()
    kernel_types: tuple[str, ...] = ()
    seed: int = 1
    budget: float | None = None
    cases: int | None = None
    schedules: tuple[int, ...] = ()
    record: Path = Path("results") / "explored"
    base: Path | None = None
    unpacked: Unpacked | None = None
    deadline: float = 400.0
    shrink: int = 300
    keep: bool = False
    fresh: bool = False
    json_output: bool = False

    def chosen(self) -> tuple[Chosen, ...]:
        return choose_wheels(load_matrix(find_matrix(self.matrix)), self.wheels or ("1.2.4",))


def seconds_of(text: str) -> float:
    """`5m` → 300.

    Raises:
        ValueError: it is no duration.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no duration such as 300, 90s, 5m or 1h")
    return float(found[1]) * _UNITS[found[2]]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _plan(asked: Asked, kernel_type: str, version: str) -> tuple[Planned, ...]:
    planned = plan_trials(space_for(kernel_type, version), kernel_type, asked.seed)
    if not asked.schedules:
        return planned if asked.cases is None else planned[: asked.cases]
    schedules = [make_schedule(number) for number in asked.schedules]
    return plan_schedules(planned, schedules, asked.cases or _CASES_OF_A_SCHEDULE)


def explore(asked: Asked) -> int:
    """Explore; print what was found. Returns 0 if everything is right or known, 1 if there are findings or faults of our own."""
    findings: list[tuple[Chosen, str, Finding]] = []
    summaries: list[dict[str, Any]] = []
    for chosen, lane in wheel_lanes(asked.chosen(), base=asked.base, unpacked=asked.unpacked, say=_say):
        with Player(lane, deadline=asked.deadline) as player:
            for kernel_type in asked.kernel_types or ("IntraNode",):
                explorer = Explorer(player, chosen.wheel.version, chosen.wheel.label)
                played, summary = _explore(asked, chosen, kernel_type, explorer)
                summaries.append(summary)
                for finding in explorer.minimise(played, most=asked.shrink, say=_say):
                    findings.append((chosen, kernel_type, finding))
                    if not asked.json_output:
                        _print_finding(chosen, finding)
    if asked.keep:
        _keep(asked, findings)
    if asked.json_output:
        print_json({"explored": summaries, "findings": [_finding_json(*item) for item in findings]})
    else:
        for summary in summaries:
            print(_summary_line(summary))
    failed = any(summary["judgements"].get(Judgement.ENGINE_ERROR.value) for summary in summaries)
    return 1 if findings or failed else 0


def _explore(asked: Asked, chosen: Chosen, kernel_type: str, explorer: Explorer) -> tuple[list[Played], dict[str, Any]]:
    planned = _plan(asked, kernel_type, chosen.wheel.version)
    journal = ExploredJournal(asked.record, chosen.wheel, kernel_type, asked.seed, fresh=asked.fresh)
    counts: Counter[str] = Counter()
    todo = []
    for item in planned:
        entry = journal.known.get((item.trial.schedule.number, item.number))
        # What was a finding is played again, so that it can be told about.
        if entry is None or entry.judgement in ("finding", "stale"):
            todo.append(item)
        else:
            counts[entry.judgement] += 1
    label = f"{chosen.wheel.label} {kernel_type} seed {asked.seed}"
    _say(f"{label}: {len(planned)} trials, {len(planned) - len(todo)} played before")
    played: list[Played] = []
    begun = time.monotonic()
    try:
        for seen in explorer.explore(todo, budget=asked.budget):
            journal.append(seen)
            played.append(seen)
            found, trial = seen.assessment, seen.planned.trial
            counts[found.judgement.value] += 1
            if found.judgement is not Judgement.RIGHT:
                words = f"{' '.join(found.requirements)} {found.symptom}".strip()
                _say(
                    f"  {time.monotonic() - begun:6.1f} s  {trial.case.name} [{trial.schedule.number}]: "
                    f"{found.judgement}: {words}"
                )
    finally:
        journal.close()
    summary = {
        "wheel": chosen.wheel.label,
        "sha256": chosen.wheel.sha256,
        "kernel_type": kernel_type,
        "seed": asked.seed,
        "planned": len(planned),
        "judgements": dict(sorted(counts.items())),
    }
    return played, summary


def _summary_line(summary: dict[str, Any]) -> str:
    counts = ", ".join(f"{number} {name}" for name, number in summary["judgements"].items())
    total = sum(summary["judgements"].values())
    return f"{summary['wheel']} {summary['kernel_type']} seed {summary['seed']}: {total} of {summary['planned']} trials: {counts}"


def _print_finding(chosen: Chosen, finding: Finding) -> None:
    head = f"{chosen.wheel.label} {finding.smallest.case.kernel_type}: {finding.first.assessment.symptom}"
    print(f"\n{head} ({finding.times} trials, made small by playing {finding.shrunk})")
    if not finding.repeats:
        print(
            "  did not fail again in processes of its own: it fails now and then, or what ranks had played before spoilt it"
        )
    print(f"  first seen: {finding.first.planned.trial.case.name}, {finding.first.planned.trial.schedule}")
    print(f"  {finding.first.assessment.text}")
    print(f"  smallest: {json.dumps(trial_to_json(finding.smallest))}")
    print(f"  {finding.assessment.judgement}: {finding.assessment.text}")
    for line in finding.assessment.evidence[:12]:
        print(f"    | {line}")


def _finding_json(chosen: Chosen, kernel_type: str, finding: Finding) -> dict[str, Any]:
    return {
        "wheel": chosen.wheel.label,
        "sha256": chosen.wheel.sha256,
        "kernel_type": kernel_type,
        "seed": finding.first.planned.trial.case.seed,
        "number": finding.first.planned.number,
        "schedule": finding.first.planned.trial.schedule.number,
        "symptom": str(finding.first.assessment.symptom),
        "text": finding.assessment.text,
        "times": finding.times,
        "repeats": finding.repeats,
        "trial": trial_to_json(finding.smallest),
        "evidence": list(finding.assessment.evidence),
    }


def _keep(asked: Asked, findings: Sequence[tuple[Chosen, str, Finding]]) -> None:
    kept = {item.id: item for item in read_regressions()}
    for chosen, _, finding in findings:
        if not finding.repeats:
            continue
        name = identity_of(finding.smallest)
        known = kept.get(name) or Regression(
            id=name,
            title="not described yet",
            trial=finding.smallest,
            symptom=str(finding.assessment.symptom),
            wheel=chosen.wheel.label,
            sha256=chosen.wheel.sha256,
            seed=asked.seed,
            number=finding.first.planned.number,
            schedule=finding.first.planned.trial.schedule.number,
        )
        kept[name] = known.with_outcome(chosen.wheel, str(finding.assessment.symptom))
    write_regressions(tuple(kept.values()))


def _replayed(name: str) -> dict[str, tuple[Trial, Regression | None]]:
    """The trials that a name means: of regressions.toml, all of them, or of a file with one trial in JSON."""
    kept = {item.id: item for item in read_regressions()}
    if name == "all":
        return {key: (item.trial, item) for key, item in kept.items()}
    if name in kept:
        return {name: (kept[name].trial, kept[name])}
    path = Path(name)
    if not path.is_file():
        raise ExplorationError(f"--replay {name}: no such regression, and no such file; known: {', '.join(kept)}, all")
    try:
        return {path.stem: (trial_from_json(json.loads(path.read_text(encoding="utf-8")), path.stem), None)}
    except ValueError as error:
        raise ExplorationError(f"--replay {name}: no JSON: {error}") from error


def replay(asked: Asked, name: str) -> int:
    """Play kept or given trials again on the chosen wheels. Returns 1 if one goes wrong that regressions.toml does not say.

    With `keep`, what became of each is written to regressions.toml.
    """
    trials = _replayed(name)
    kept = {item.id: item for item in read_regressions()}
    surprises = 0
    answers: list[dict[str, Any]] = []
    for chosen, lane in wheel_lanes(asked.chosen(), base=asked.base, unpacked=asked.unpacked, say=_say):
        with Player(lane, deadline=asked.deadline) as player:
            explorer = Explorer(player, chosen.wheel.version, chosen.wheel.label)
            for key, (trial, regression) in trials.items():
                if not offered(trial.case, chosen.wheel.version):
                    _say(f"{key} on {chosen.wheel.label}: not played, the release has no such kernel")
                    continue
                ((_, assessment),) = explorer.judge([trial])
                outcome = "right" if assessment.judgement is Judgement.RIGHT else str(assessment.symptom)
                expected = None if regression is None else regression.outcomes.get(chosen.wheel.label)
                surprise = outcome != (expected or "right")
                surprises += surprise
                answers.append({"id": key, "wheel": chosen.wheel.label, "outcome": outcome, "expected": expected})
                if not asked.json_output:
                    mark = "unlike before" if surprise and expected else "as before" if expected else "new"
                    print(f"{key} on {chosen.wheel.label}: {outcome} ({mark})", flush=True)
                    if surprise:
                        print(f"  {assessment.text}")
                        for line in assessment.evidence[:16]:
                            print(f"    | {line}")
                if asked.keep and key in kept:
                    kept[key] = kept[key].with_outcome(chosen.wheel, outcome)
                    write_regressions(tuple(kept.values()))
    if asked.json_output:
        print_json(answers)
    return 1 if surprises and not asked.keep else 0
