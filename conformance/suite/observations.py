# SPDX-License-Identifier: MIT
"""What a rank saw, as values, and the file that it writes: one `.npz` for each case and rank, appearing by a rename."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from conformance.suite.encoding import Bytes, Floats, Integers

__all__ = [
    "FAILED_HERE",
    "CombineObservation",
    "DispatchObservation",
    "GuardObservation",
    "Observation",
    "observation_name",
    "progress_name",
    "read_observation",
    "write_observation",
]

# In the note that a rank leaves about where it is: between the step and what went wrong in it.
FAILED_HERE = ", which failed here: "


def observation_name(job: int, rank: int) -> str:
    return f"{job:03}.{rank}.npz"


def progress_name(rank: int) -> str:
    return f"progress.{rank}"


@dataclass(frozen=True)
class DispatchObservation:
    """One dispatch, read back at once. Arrays hold all rows that the op returned, not only the valid ones.

    Attributes:
        data: number of the data set.
        step: dispatch, dispatch_routing or replay.
        count: total_recv as the op reports it.
        payload: [rows, bytes]; weights: [rows, top_k] float32; ids: [rows, top_k] int32; scales: [rows, bytes].
        sources: [rows reported, 2] int32, (source rank, token) by the op's own account; no rows where it has none.
        before: the same four arrays' bytes before the call, where they could be filled; else None.
        same_objects: whether the op returned the very tensor objects of the dispatch before; None for the first.
        expert_counts: [experts of a rank] int32, rows by local expert as the op counted them; empty where it was not asked to.
    """

    data: int
    step: str
    count: int
    payload: Bytes
    weights: Floats
    ids: Integers
    scales: Bytes
    sources: Integers
    before: dict[str, Bytes] | None = None
    same_objects: bool | None = None
    expert_counts: Integers = field(default_factory=lambda: np.zeros(0, np.int32))


@dataclass(frozen=True)
class CombineObservation:
    """One combine, read back at once.

    Attributes:
        data: number of the data set whose tokens come back.
        rows: [rows, hidden] float32 (exact for bfloat16); weights: [rows, top_k] float32, no rows where the op returned none.
        count_after: what the view of total_recv that dispatch returned shows after combine.
    """

    data: int
    step: str
    rows: Floats
    weights: Floats
    count_after: int


@dataclass(frozen=True)
class GuardObservation:
    """An input after all steps: bytes of it, and of the canaries before and behind it, that are not what they were."""

    name: str
    changed_inside: int
    changed_before: int
    changed_behind: int


@dataclass(frozen=True)
class Observation:
    """One case as one rank saw it.

    Attributes:
        outcome: finished, or refused (a Python exception; `message` tells which and where).
        step: the step that was refused.
        pruned: arguments that this release's config does not have.
        capacity, capacity_per_rank: what the op says (−1: it has no such method).
        memory: bytes of device memory in use before and after the op was made; (−1, −1) where the device does not tell.
        kept: config fields that do not hold what was passed, as text.
    """

    case: str
    rank: int
    outcome: str
    message: str = ""
    step: str = ""
    pruned: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    capacity: int = -1
    capacity_per_rank: int = -1
    memory: tuple[int, int] = (-1, -1)
    seconds: float = 0.0
    dispatches: tuple[DispatchObservation, ...] = ()
    combines: tuple[CombineObservation, ...] = ()
    guards: tuple[GuardObservation, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)


_DISPATCH_ARRAYS = ("payload", "weights", "ids", "scales", "sources", "expert_counts")
_COMBINE_ARRAYS = ("rows", "weights")


def write_observation(observation: Observation, path: Path) -> None:
    """Write aside, then rename: whoever reads sees all of it or nothing."""
    arrays: dict[str, Any] = {}
    head: dict[str, Any] = {
        name: getattr(observation, name)
        for name in ("case", "rank", "outcome", "message", "step", "pruned", "kept", "capacity", "capacity_per_rank")
    }
    head.update(memory=observation.memory, seconds=observation.seconds, notes=observation.notes)
    head["guards"] = [vars(guard) for guard in observation.guards]
    head["dispatches"] = []
    for index, dispatch in enumerate(observation.dispatches):
        arrays.update({f"d{index}.{name}": getattr(dispatch, name) for name in _DISPATCH_ARRAYS})
        arrays.update({f"d{index}.before.{name}": value for name, value in (dispatch.before or {}).items()})
        head["dispatches"].append(
            {"data": dispatch.data, "step": dispatch.step, "count": dispatch.count, "same": dispatch.same_objects}
        )
    head["combines"] = []
    for index, combine in enumerate(observation.combines):
        arrays.update({f"c{index}.{name}": getattr(combine, name) for name in _COMBINE_ARRAYS})
        head["combines"].append({"data": combine.data, "step": combine.step, "count_after": combine.count_after})
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            np.savez(file, **arrays)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def read_observation(path: Path) -> Observation:
    """Read what `write_observation` wrote.

    Raises:
        OSError, ValueError, KeyError: it is not there, cut in half, or something else.
    """
    try:
        return _read(path)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cut off or altered: {error}") from error


def _read(path: Path) -> Observation:
    with np.load(path, allow_pickle=False) as file:
        head = json.loads(file["head"].tobytes())
        dispatches = tuple(
            DispatchObservation(
                data=item["data"],
                step=item["step"],
                count=item["count"],
                same_objects=item["same"],
                before=_before(file, f"d{index}.before."),
                **{name: file[f"d{index}.{name}"] for name in _DISPATCH_ARRAYS},
            )
            for index, item in enumerate(head.pop("dispatches"))
        )
        combines = tuple(
            CombineObservation(**item, **{name: file[f"c{index}.{name}"] for name in _COMBINE_ARRAYS})
            for index, item in enumerate(head.pop("combines"))
        )
    guards = tuple(GuardObservation(**item) for item in head.pop("guards"))
    for name in ("pruned", "kept", "memory"):
        head[name] = tuple(head[name])
    return Observation(**head, dispatches=dispatches, combines=combines, guards=guards)


def _before(file: Any, prefix: str) -> dict[str, Bytes] | None:
    names: Sequence[str] = [name for name in file.files if name.startswith(prefix)]
    return {name[len(prefix) :]: file[name] for name in names} or None
