# SPDX-License-Identifier: MIT
"""docs/explored.md: what was explored on which release, what came of it, and everything that was found."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from conformance.explore.covering import Pairs, count_pairs, covering_array
from conformance.explore.dimensions import Value, space_for
from conformance.explore.journal import Exploration, read_journals
from conformance.explore.playing import trial_to_json
from conformance.explore.regressions import JUDGEMENTS, Regression, read_regressions
from conformance.explore.schedules import make_schedule

__all__ = ["explored_page"]

_HEAD = """\
# The space of situations, explored

Generated from `docs/explored/*.jsonl` (a line for each trial) and `conformance/explore/regressions.toml` by
`python -m conformance explore --page --record docs/explored`; do not edit.

The requirements are judged on cases that somebody chose. Here nobody chose: a covering array holds every two values of any two
dimensions that can occur together, each situation is played by a wheel's own kernels on the virtual GPU, and the requirements'
oracle compares everything that every rank saw. A trial is **right**; or it goes wrong as a requirement says that it does on this
release (**known**); or it is a **finding**, which is made small by changing one thing after another while it still fails in the
same way, and kept below with the releases that it was played on. What is known is foretold from the inputs alone; if it is
foretold for certain and does not happen, that is a finding too (**stale**).

    python -m conformance explore --wheel 1.2.4                          # the whole covering array of IntraNode
    python -m conformance explore --wheel 1.2.4 --kernel-type AsyncLL --budget 5m --seed 7
    python -m conformance explore --wheel 1.2.4 --schedules 1-20         # small situations under twenty schedules
    python -m conformance explore --replay all --wheel stable            # everything below, played again

Exit code 0: all is right or known; 1: there are findings, printed with the smallest trial and the evidence, or trials that could
not be played to their end because of this project or a deadline (they are played again by the next run). `--keep` writes findings
to `regressions.toml` with the judgement "open": whoever keeps one finds out what it is, names it, and changes the judgement. A
trial that is not wanted in the list is played from a file: `--replay FILE`, with the JSON that a finding prints.
"""

_CUT = """\
Where fewer situations were played than there are, a budget of time cut the run: trials that share ranks come first, in the order
of the array. The record has the numbers of those that were played, and the seed makes the same situations again; the same
command with the same `--record` plays the rest. A situation is counted once, with what was said of it last.
"""

_SCHEDULES = """\
The same small situations under other orders. A schedule comes from its number: with odd numbers the kernels of all ranks take
turns in an order that a seed gives, with other blocks at once and other lengths of turns; with even ones ranks run freely, never
meet on the host, and one comes late to the constructor, a dispatch or a combine, is slow in the constructor itself, or has blocks
that start late in each launch (multiples of 8).
"""


@lru_cache(maxsize=64)
def _array(kernel_type: str, version: str, seed: int) -> tuple[dict[str, Value], ...]:
    return covering_array(space_for(kernel_type, version), seed)


def _pairs(exploration: Exploration) -> Pairs:
    """What its trials under the plain schedule cover; our own faults cover nothing."""
    array = _array(exploration.kernel_type, exploration.version, exploration.seed)
    played = {entry.number for entry in exploration.entries if not entry.schedule and entry.judgement != "engine_error"}
    situations = [situation for number, situation in enumerate(array) if number in played]
    return count_pairs(space_for(exploration.kernel_type, exploration.version), situations)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items())) or "–"


def _covered(explorations: Sequence[Exploration]) -> str:
    rows = []
    for item in explorations:
        plain = [entry for entry in item.entries if not entry.schedule]
        if not plain:
            continue
        pairs = _pairs(item)
        counts = Counter(entry.judgement for entry in plain)
        known = Counter(name for entry in plain if entry.judgement == "known" for name in entry.requirements)
        rows.append(
            (
                item.wheel,
                item.kernel_type,
                str(item.seed),
                f"{len(plain)} of {len(_array(item.kernel_type, item.version, item.seed))}",
                f"{pairs.covered} of {pairs.possible}",
                str(counts["right"]),
                f"{counts['known']}: {_counted(known)}" if counts["known"] else "0",
                str(counts["finding"] + counts["stale"]),
                str(counts["engine_error"]),
            )
        )
    head = (
        *("wheel", "kernel type", "seed", "situations", "pairs covered", "right", "known, by requirement"),
        *("findings", "our own faults"),
    )
    return _table(head, rows)


def _scheduled(explorations: Sequence[Exploration]) -> str:
    rows = []
    for item in explorations:
        tried = [entry for entry in item.entries if entry.schedule]
        if not tried:
            continue
        schedules = sorted({entry.schedule for entry in tried})
        turns = sum(make_schedule(number).lockstep for number in schedules)
        counts = Counter(entry.judgement for entry in tried)
        wrong = Counter(
            f"{entry.symptom} ({'turns' if make_schedule(entry.schedule).lockstep else 'late'})"
            for entry in tried
            if entry.judgement in ("finding", "stale")
        )
        rows.append(
            (
                item.wheel,
                item.kernel_type,
                f"{len(schedules)}: {turns} with turns, {len(schedules) - turns} with late ranks",
                str(len(tried)),
                str(counts["right"]),
                str(counts["known"]),
                _counted(wrong),
            )
        )
    return _table(("wheel", "kernel type", "schedules", "trials", "right", "known", "findings, by symptom"), rows)


def _dimensions() -> str:
    space = space_for("InterNodeV1", "1.2.4")
    everything = {**space.factors, **space_for("IntraNode", "1.2.4").factors}
    everything["rdma_blocks"] = space.factors["rdma_blocks"]
    rows = [(name, ", ".join(str(value) for value in values)) for name, values in everything.items()]
    reasons = dict.fromkeys(
        constraint.reason
        for kernel_type in ("IntraNode", "InterNodeV1")
        for constraint in space_for(kernel_type, "1.2.4").constraints
    )
    return _table(("dimension", "values"), rows) + "\nLeft out:\n\n" + "".join(f"- {reason}\n" for reason in reasons)


def _regression(item: Regression) -> str:
    affected = item.affected
    right = [label for label in item.outcomes if label not in affected]
    lines = [f"### {item.id}", "", f"{item.title}", ""]
    lines += [f"- {JUDGEMENTS[item.judgement]}" + (f"; {item.evidence}" if item.evidence else "")]
    by_symptom: dict[str, list[str]] = {}
    for label in affected:
        by_symptom.setdefault(item.outcomes[label], []).append(label)
    lines += [f"- goes wrong on {', '.join(labels)}: {symptom}" for symptom, labels in by_symptom.items()]
    if right:
        lines.append(f"- right on {', '.join(right)}")
    if item.requirement:
        lines.append(f"- told by requirement {item.requirement}")
    if item.reference:
        lines.append(f"- upstream: {item.reference}")
    origin = f"- first seen on {item.wheel} (sha256 {item.sha256[:12]}…), "
    if item.number < 0:
        lines.append(f"{origin}by a trial written for it")
    else:
        origin += f"seed {item.seed}, situation {item.number}"
        lines.append(origin + (f", schedule {item.schedule}" if item.schedule else ""))
    lines += ["", f"    {item.command}", "", "```json", json.dumps(trial_to_json(item.trial)), "```", ""]
    return "\n".join(lines)


def explored_page(folder: Path) -> str:
    """The page, from the journals of a folder and the kept regressions."""
    explorations = sorted(read_journals(folder), key=lambda item: (item.kernel_type != "IntraNode", item.kernel_type))
    regressions = read_regressions()
    parts = [
        _HEAD,
        "## What was explored\n",
        _covered(explorations),
        _CUT,
        "## Schedules\n",
        _SCHEDULES,
        _scheduled(explorations),
        "## What was found\n",
        _table(
            ("", "finding", "judgement", "goes wrong on"),
            (
                (item.id, item.title, JUDGEMENTS[item.judgement], ", ".join(item.affected) or "–")
                for item in regressions
            ),
        ),
        *(_regression(item) for item in regressions),
        "## The space\n",
        "Kernel types differ: routing handles are for IntraNode and InterNodeV1, quantised combine for some, `rdma_blocks` for",
        "the inter-node ones.\n",
        _dimensions(),
    ]
    return "\n".join(parts)
