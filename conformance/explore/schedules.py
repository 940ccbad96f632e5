# SPDX-License-Identifier: MIT
"""Schedules: in which order waves and blocks get their turns, and which rank is late for what.

A schedule comes from its number alone, so that it is repeated by it. Number 0 is the engine's own round robin in each rank; ranks
run freely, and meet after each step. With odd numbers the kernels of all ranks take turns by a seed, which repeats exactly. With
even ones ranks run freely, never meet on the host, and one is late: for steps, for calls of HIP, or with blocks of launches.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass

from conformance.suite.waiting import MEETINGS, WAITS

__all__ = ["PLAIN", "Schedule", "make_schedule", "schedule_from_json"]

# Before what a rank may be late, and how long a late rank waits: longer than a launch takes, shorter than patience.
_LATE_FOR = ("construct", "dispatch", "combine")
_SECONDS = (0.05, 0.3, 1.0)


@dataclass(frozen=True)
class Schedule:
    """Attributes:
    number: it is made again from this; 0 for the engine's own order.
    seed: of the order of turns; lockstep: kernels of all ranks take turns in it.
    resident_blocks: blocks of a launch that start together (more follow when none can move).
    quantum: instructions of one turn of a wave.
    waits: (rank modulo the world size, step, seconds) of ranks that are late.
    slow: (rank modulo the world size, HIP function, seconds) of a rank that is late for each such call.
    late_blocks: (rank modulo the world size, block, seconds) of a rank whose blocks from that one on start late in each launch.
    meets: ranks meet on the host after each step.
    """

    number: int = 0
    seed: int = 0
    lockstep: bool = False
    resident_blocks: int | None = None
    quantum: int | None = None
    waits: tuple[tuple[int, str, float], ...] = ()
    slow: tuple[int, str, float] | None = None
    late_blocks: tuple[int, int, float] | None = None
    meets: bool = True

    def group_variables(self, world_size: int) -> dict[str, str]:
        """What the ranks' engines read when they start."""
        slow = None
        if self.slow is not None:
            rank, function, seconds = self.slow
            slow = f"{rank % world_size}/{function}/{seconds}"
        late_blocks = None
        if self.late_blocks is not None:
            rank, first, seconds = self.late_blocks
            late_blocks = f"{rank % world_size}/Ep/{first}/{seconds}"
        found = {
            "VIRTUAL_ROCM_LATE": slow,
            "VIRTUAL_ROCM_LATE_BLOCKS": late_blocks,
            "VIRTUAL_ROCM_SEED": self.seed or None,
            "VIRTUAL_ROCM_RESIDENT_BLOCKS": self.resident_blocks,
            "VIRTUAL_ROCM_QUANTUM": self.quantum,
        }
        return {name: str(value) for name, value in found.items() if value is not None}

    def case_variables(self, world_size: int) -> dict[str, str]:
        """What the ranks read for each case."""
        found: dict[str, str] = {}
        if self.waits:
            found[WAITS] = json.dumps([[rank % world_size, step, seconds] for rank, step, seconds in self.waits])
        if not self.meets:
            # Not even after the constructor.
            found[MEETINGS] = "none"
        return found

    def __str__(self) -> str:
        given = {"seed": self.seed or None, "resident blocks": self.resident_blocks, "quantum": self.quantum}
        parts = [f"{name} {value}" for name, value in given.items() if value is not None]
        parts += [f"rank {self.slow[0]} (mod W) {self.slow[2]} s late for each {self.slow[1]}"] if self.slow else []
        if self.late_blocks:
            rank, first, seconds = self.late_blocks
            parts += [f"rank {rank} (mod W) {seconds} s late with blocks from {first} on"]
        parts += [f"rank {rank} (mod W) {seconds} s late for {step}" for rank, step, seconds in self.waits]
        parts += ["kernels take turns"] if self.lockstep else []
        parts += [] if self.meets else ["ranks do not meet between steps"]
        return f"schedule {self.number}: {', '.join(parts) or 'round robin'}"


PLAIN = Schedule()


def make_schedule(number: int) -> Schedule:
    """The schedule of a number: odd ones take turns, even ones have late ranks, 0 is the plain one."""
    if number == 0:
        return PLAIN
    draw = random.Random(number)
    seed = draw.randrange(1, 2**31)
    resident = draw.choice((1, 2, 4, 16, 64))
    quantum = draw.choice((1, 7, 64, 512, 4096))
    if number % 2:
        return Schedule(number, seed, True, resident, quantum)
    if number % 4 == 2:
        # The constructor allocates together with all ranks, and clears what it got alone.
        slow = (draw.randrange(8), "hipMemset", 0.1)
        return Schedule(number, seed, False, resident, quantum, (), slow, meets=False)
    if number % 8 == 0:
        late_blocks = (draw.randrange(8), draw.choice((1, 2, 4)), draw.choice((0.05, 0.2)))
        return Schedule(number, seed, False, resident, quantum, late_blocks=late_blocks, meets=False)
    steps = draw.sample(_LATE_FOR, draw.choice((1, 1, 2)))
    waits = tuple((draw.randrange(8), step, draw.choice(_SECONDS)) for step in steps)
    return Schedule(number, seed, False, resident, quantum, waits, meets=False)


def schedule_from_json(values: Mapping[str, object]) -> Schedule:
    """As `asdict` has it."""
    given = dict(values)
    given["waits"] = tuple(tuple(item) for item in given.get("waits", ()))  # type: ignore[attr-defined]
    for name in ("slow", "late_blocks"):
        if given.get(name) is not None:
            given[name] = tuple(given[name])  # type: ignore[arg-type]
    return Schedule(**given)  # type: ignore[arg-type]
