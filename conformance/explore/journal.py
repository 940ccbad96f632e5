# SPDX-License-Identifier: MIT
"""What an exploration saw, a line for each trial: enough to say what was covered, as situations are made again from the seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from conformance.errors import ResultsError
from conformance.explore.exploring import Played
from conformance.wheels import Wheel

__all__ = ["Entry", "Exploration", "ExploredJournal", "read_journals"]


@dataclass(frozen=True)
class Entry:
    """One trial: its number in the covering array, the schedule's number, and what was said of it."""

    number: int
    schedule: int
    judgement: str
    requirements: tuple[str, ...] = ()
    symptom: str = ""


@dataclass(frozen=True)
class Exploration:
    """One kernel type of one wheel from one seed, with its entries by (schedule, number)."""

    wheel: str
    version: str
    sha256: str
    kernel_type: str
    seed: int
    entries: tuple[Entry, ...]


class ExploredJournal:
    """Appends to `WHEEL-KERNELTYPE-SEED.jsonl` in a folder, and knows what is there already."""

    def __init__(self, folder: Path, wheel: Wheel, kernel_type: str, seed: int, *, fresh: bool = False) -> None:
        self.path = folder / f"{wheel.label.replace('@', '-')}-{kernel_type}-{seed}.jsonl"
        self._head = {
            "wheel": wheel.label,
            "version": wheel.version,
            "sha256": wheel.sha256,
            "kernel_type": kernel_type,
            "seed": seed,
        }
        if fresh:
            self.path.unlink(missing_ok=True)
        self.known: dict[tuple[int, int], Entry] = {}
        if self.path.is_file():
            explored = _read(self.path)
            if explored.sha256 != wheel.sha256:
                raise ResultsError(f"{self.path}: of a wheel with another sha256; remove it, or give --fresh")
            self.known = {
                (entry.schedule, entry.number): entry for entry in explored.entries if entry.judgement != "engine_error"
            }
        self._file: TextIO | None = None

    def append(self, played: Played) -> None:
        """Write one trial; on disk when this returns."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.is_file()
            self._file = self.path.open("a", encoding="utf-8")
            if new:
                self._write(self._head)
        found = played.assessment
        line: dict[str, object] = {
            "number": played.planned.number,
            "schedule": played.planned.trial.schedule.number,
            "judgement": found.judgement.value,
        }
        if found.requirements:
            line["requirements"] = list(found.requirements)
        if found.symptom is not None:
            line["symptom"] = str(found.symptom)
        self._write(line)

    def _write(self, line: dict[str, object]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _read(path: Path) -> Exploration:
    entries: dict[tuple[int, int], Entry] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        head = json.loads(lines[0])
        for text in lines[1:]:
            line = json.loads(text)
            line["requirements"] = tuple(line.get("requirements", ()))
            entry = Entry(**line)
            # The last word on a trial counts: our own faults are tried again.
            entries[entry.schedule, entry.number] = entry
        return Exploration(**head, entries=tuple(entries[key] for key in sorted(entries)))
    except (OSError, ValueError, IndexError, TypeError) as error:
        raise ResultsError(f"{path}: not a journal of an exploration ({error}); remove it, or give --fresh") from error


def read_journals(folder: Path) -> Iterator[Exploration]:
    """Every exploration of a folder, in the order of the files' names.

    Raises:
        ResultsError: a file is none.
    """
    for path in sorted(folder.glob("*.jsonl")):
        yield _read(path)
