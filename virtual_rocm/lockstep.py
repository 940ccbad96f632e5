# SPDX-License-Identifier: MIT
"""The memory by which the kernels of several ranks take turns (native/engine/scheduler/lockstep.hpp says how)."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import LaunchError

MOST_RANKS = 256
_SIZE = 4096
_RANKS = 4  # where the number of ranks is
_RANK_STATES = 1072  # where each rank's state is, 32 bits each
_ENDED = 3


@dataclass(frozen=True)
class Lockstep:
    """The launcher's side: ranks that have ended are not waited for, also those that never used the device."""

    descriptor: int
    ranks: int

    def environment(self) -> dict[str, str]:
        """What the ranks get. The file has no name of its own, and goes with the processes that have it open."""
        return {"VIRTUAL_ROCM_LOCKSTEP": f"/proc/{os.getpid()}/fd/{self.descriptor}"}

    def mark_ended(self, rank: int) -> None:
        """Tell the other ranks that this one's process is no more."""
        os.pwrite(self.descriptor, struct.pack("<I", _ENDED), _RANK_STATES + 4 * rank)


@contextlib.contextmanager
def lockstep(ranks: int) -> Iterator[Lockstep]:
    """Memory for the turns of so many ranks.

    Raises:
        LaunchError: more ranks than it has room for.
    """
    if ranks > MOST_RANKS:
        raise LaunchError(f"--lockstep: {ranks} ranks; it has room for {MOST_RANKS}")
    descriptor = os.memfd_create("virtual_rocm lockstep", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, _SIZE)
        os.pwrite(descriptor, struct.pack("<I", ranks), _RANKS)
        yield Lockstep(descriptor, ranks)
    finally:
        os.close(descriptor)
