# SPDX-License-Identifier: MIT
"""torch, imported at its first use and kept: a dispatch has no time to look it up again."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

__all__ = ["load_distributed", "load_torch"]


@lru_cache(maxsize=1)
def load_torch() -> Any:
    """The module `torch`."""
    return importlib.import_module("torch")


@lru_cache(maxsize=1)
def load_distributed() -> Any:
    """The module `torch.distributed`."""
    return importlib.import_module("torch.distributed")
