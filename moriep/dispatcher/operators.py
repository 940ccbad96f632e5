# SPDX-License-Identifier: MIT
"""Ops, kept by everything that makes one what it is.

SGLang keeps four ops by shapes, types and mode, and reads the environment inside the function that is kept: a variable that
changes afterwards is not seen. Here the environment is part of the key, and a dispatcher notices when it is no longer what the
op was built in.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from moriep.errors import ConfigurationError, EnvironmentChangedError
from moriep.variables import PREFIX, VARIABLES

__all__ = ["CACHE", "EnvironmentSnapshot", "OperatorCache", "OperatorKey", "relevant_variables"]

_MORI = "MORI_"
# These change nothing of an op once it is built, and launchers set them late.
_INERT = frozenset({"MORI_SHMEM_LOG_LEVEL", "MORI_APP_LOG_LEVEL", "MORI_GLOBAL_LOG_LEVEL", "MORI_OPS_LOG_LEVEL"})


def relevant_variables(mapping: Mapping[str, str]) -> dict[str, str]:
    """What of an environment may change an op: all of SGLANG_MORI_ and MORI_, without log levels."""
    return {
        name: mapping[name]
        for name in sorted(mapping)
        if name.startswith((PREFIX, _MORI)) and name not in _INERT and not name.endswith("_LOG_LEVEL")
    }


class EnvironmentSnapshot:
    """The environment in which an op was built, and a check that costs about a microsecond.

    The check compares the variables of the dispatcher's table and those of `MORI_` that were set when the op was built. A new
    variable of MORI's own, set only afterwards, is seen by the key of the next dispatcher.
    """

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self.values = relevant_variables(mapping)
        names = dict.fromkeys((*(variable.name for variable in VARIABLES), *self.values))
        self._read: Callable[[Any], Any]
        # Behind os.environ is a dictionary of bytes. Through os.environ itself each absent variable costs an exception.
        store = getattr(os.environ, "_data", None)
        if mapping is os.environ and isinstance(store, dict) and os.supports_bytes_environ:
            self._read = store.get
            self._names: tuple[Any, ...] = tuple(os.fsencode(name) for name in names)
        else:
            self._read = mapping.get
            self._names = tuple(names)
        self._before = tuple(map(self._read, self._names))

    def check(self) -> None:
        """Raise if a variable is not what it was.

        Raises:
            EnvironmentChangedError: names every one that changed.
        """
        now = tuple(map(self._read, self._names))
        if now == self._before:
            return
        changed = [
            (os.fsdecode(name), before, after)
            for name, before, after in zip(self._names, self._before, now, strict=True)
            if before != after
        ]
        lines = ", ".join(f"{name} was {_show(before)} and is {_show(after)}" for name, before, after in changed)
        raise EnvironmentChangedError(
            f"the environment changed after the op was built, which does not follow: {lines}. Remedy: set it back, or make a new "
            "dispatcher (on every rank)",
            [name for name, _, _ in changed],
        )


def _show(value: Any) -> str:
    return "unset" if value is None else repr(os.fsdecode(value))


@dataclass(frozen=True)
class OperatorKey:
    """Two dispatchers may share an op only if all of this is the same.

    Attributes:
        release: of mori. group: name and ranks. device: of the tensors. instance: the caller's own number.
        arguments: of the configuration, sorted by name. environment: see `relevant_variables`.
    """

    release: str
    group: tuple[Any, ...]
    device: str
    instance: int
    low_latency: bool
    arguments: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]


class OperatorCache:
    """The ops used last, four unless told otherwise, as SGLang keeps them.

    Making an op is a collective, so every rank must make and drop the same ones in the same order.
    """

    def __init__(self, size: int = 4) -> None:
        if size < 1:
            raise ConfigurationError(f"an op cache of {size} entries cannot hold an op; at least 1")
        self._size = size
        self._ops: OrderedDict[OperatorKey, Any] = OrderedDict()

    def get(self, key: OperatorKey, make: Callable[[], Any]) -> Any:
        """The op of that key, made if there is none."""
        if key in self._ops:
            self._ops.move_to_end(key)
            return self._ops[key]
        op = make()
        self._ops[key] = op
        if len(self._ops) > self._size:
            self._ops.popitem(last=False)
        return op

    def clear(self) -> None:
        """Forget all ops; their memory is freed once no dispatcher holds them."""
        self._ops.clear()

    def __len__(self) -> int:
        return len(self._ops)


CACHE = OperatorCache()
