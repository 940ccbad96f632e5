# SPDX-License-Identifier: MIT
"""`mori.cco`, as far as the second op needs it."""

from __future__ import annotations


class Communicator:
    @staticmethod
    def get_unique_id() -> str:
        return "reference"

    @classmethod
    def init(cls, world_size: int, rank: int, unique_id: str, per_rank_vmm: int) -> Communicator:
        return cls()
