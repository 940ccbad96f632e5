# SPDX-License-Identifier: MIT
"""A caller's own arguments on one rank: made, pruned as the caller does, and what the installed classes make of them."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import logging
from collections.abc import Callable
from typing import Any

from conformance.suite.calls import Calls

__all__ = ["config_arguments", "landed", "prune"]


def config_arguments(calls: Calls, rank: int, ops: Any) -> dict[str, Any]:
    """The caller's arguments, with torch's and mori's own objects in place of names."""
    import torch

    made: dict[str, Any] = dict(calls.arguments)
    made["rank"] = rank
    made["data_type"] = getattr(torch, str(made["data_type"]))
    if "kernel_type" in made:
        made["kernel_type"] = getattr(ops.EpDispatchCombineKernelType, str(made["kernel_type"]))
    return made


class _Counting(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def prune(wanted: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """(what is left for the installed class, what pruning did that it must not do).

    Pruning must name each argument that it removes in one warning, leave every other value the same object in the same order,
    and find nothing more the second time.
    """
    # Here, because a case without a caller needs nothing of it.
    from moriep.compatibility import check_mori_compatibility

    logger, counting = logging.getLogger("moriep"), _Counting()
    logger.addHandler(counting)
    try:
        kept = dict(wanted)
        check_mori_compatibility(kept)
        first = len(counting.messages)
        again = dict(kept)
        check_mori_compatibility(again)
    finally:
        logger.removeHandler(counting)
    removed = [name for name in wanted if name not in kept]
    wrong: dict[str, str] = {}
    unnamed = [name for name in removed if sum(f" {name} " in f" {text} " for text in counting.messages) != 1]
    if unnamed or first != len(removed):
        wrong["warnings"] = f"{first} warnings for {len(removed)} removed arguments: {counting.messages}"
    if list(kept) != [name for name in wanted if name in kept] or any(kept[name] is not wanted[name] for name in kept):
        wrong["values"] = f"{list(wanted)} became {list(kept)}"
    if list(again) != list(kept) or len(counting.messages) != first:
        wrong["second"] = f"pruning again removed {[name for name in kept if name not in again]}"
    ops = importlib.import_module("mori.ops")
    fields = {field.name for field in dataclasses.fields(ops.EpDispatchCombineConfig)}
    left = [name for name in kept if name not in fields]
    if left:
        wrong["left"] = f"left in place though the class has no such field: {left}"
    return kept, wrong


def landed(method: Callable[..., Any], tensors: int, positional: tuple[int, ...]) -> str:
    """Where arguments without a name land behind the tensors: `block_num=80, rdma_block_num=16`."""
    names = [name for name, item in inspect.signature(method).parameters.items() if item.kind is not item.KEYWORD_ONLY]
    return ", ".join(f"{name}={value}" for name, value in zip(names[tensors:], positional, strict=False))
