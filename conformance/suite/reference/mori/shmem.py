# SPDX-License-Identifier: MIT
"""The part of `mori.shmem` that callers of dispatch and combine use."""

from __future__ import annotations

import torch.distributed as dist

_heap_in_use = 0


def shmem_torch_process_group_init(name: str) -> int:
    return 0


def shmem_mype() -> int:
    return int(dist.get_rank())


def shmem_npes() -> int:
    return int(dist.get_world_size())


def shmem_finalize() -> int:
    return 0


def reference_heap_in_use() -> int:
    """Bytes of symmetric memory that live ops hold; on a device the driver tells."""
    return _heap_in_use


def account(number: int) -> None:
    """An op takes (or, below zero, gives back) symmetric memory."""
    global _heap_in_use
    _heap_in_use += number
