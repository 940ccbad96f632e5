# SPDX-License-Identifier: MIT
"""What a process does once: its group gets a name that MORI can find, and MORI's symmetric memory starts over that group.

And what a group does once for each dispatcher: compare its ranks' configurations. MORI-EP does not; ranks that disagree on a size
read and write at each other's offsets.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from moriep.dispatcher.lazy import load_distributed
from moriep.errors import ConfigurationError, GroupMismatchError

__all__ = ["GROUP_NAME", "compare_over_group", "digest", "start_shared_memory"]

# SGLang's name; a process that SGLang has started up already is left as it is.
GROUP_NAME = "mori"

_lock = threading.Lock()
_started: dict[str, Any] = {}


def start_shared_memory(group: Any, module: Any, name: str = GROUP_NAME) -> None:
    """Register the group under the name and start MORI's symmetric memory over it; once per process, then nothing.

    Args:
        group: the expert-parallel process group, with a backend for host tensors.
        module: `mori`.

    Raises:
        ConfigurationError: MORI was started over another group before, which it cannot undo.
    """
    distributed = load_distributed()
    ranks = tuple(distributed.get_process_group_ranks(group))
    with _lock:
        if name in _started:
            if _started[name] != ranks:
                raise ConfigurationError(
                    f"MORI's symmetric memory was started over ranks {list(_started[name])}, a dispatcher for "
                    f"ranks {list(ranks)} cannot have another in the same process. Remedy: one expert-parallel group per process"
                )
            return
        # Whoever registered the name before has started the memory as well: SGLang does both together. Asking MORI would not
        # help: `shmem_npes` before the start ends the process.
        if _register(group, name):
            module.shmem.shmem_torch_process_group_init(name)
        _started[name] = ranks


def _register(group: Any, name: str) -> bool:
    """False if the name is taken already."""
    bindings = importlib.import_module("torch._C._distributed_c10d")
    try:
        bindings._register_process_group(name, group)
    except RuntimeError as error:
        if "already" not in str(error):
            raise
        return False
    return True


def digest(facts: Mapping[str, Any]) -> str:
    """Names a configuration: the same on every rank, or the group is not one."""
    text = json.dumps({name: str(value) for name, value in facts.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def compare_over_group(facts: Mapping[str, Any], group: Any) -> None:
    """Raise on every rank if two ranks differ. A collective over the group; digests first, the facts only if they differ.

    Raises:
        GroupMismatchError: names every fact that differs, and each rank's value.
    """
    digests = gather_objects(digest(facts), group)
    if len(set(digests)) == 1:
        return
    everything: list[dict[str, str]] = gather_objects({name: str(value) for name, value in facts.items()}, group)
    names = sorted({name for item in everything for name in item})
    differing = [name for name in names if len({item.get(name, "(absent)") for item in everything}) > 1]
    lines = [f"  {name}: {', '.join(_by_value(name, everything))}" for name in differing]
    raise GroupMismatchError(
        "the ranks of the group are configured differently, and MORI-EP would read and write at each other's offsets:\n"
        + "\n".join(lines)
        + "\nRemedy: start every rank with the same settings and the same release",
        differing,
    )


def gather_objects(value: Any, group: Any) -> list[Any]:
    """One value of every rank, in the group's order."""
    distributed = load_distributed()
    found: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(found, value, group=group)
    return found


def _by_value(name: str, everything: Sequence[Mapping[str, str]]) -> list[str]:
    ranks: dict[str, list[int]] = {}
    for rank, item in enumerate(everything):
        ranks.setdefault(item.get(name, "(absent)"), []).append(rank)
    return [
        f"{value} on rank{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
        for value, numbers in ranks.items()
    ]
