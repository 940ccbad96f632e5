# SPDX-License-Identifier: MIT
"""numpy, where it is installed: the planner needs it for everything but uniform routing."""

from __future__ import annotations

import importlib
from typing import Any

from moriep.errors import MissingLibraryError

__all__ = ["need_numpy"]


def need_numpy() -> Any:
    """The numpy module.

    Raises:
        MissingLibraryError: it is not installed.
    """
    try:
        return importlib.import_module("numpy")
    except ImportError as error:
        raise MissingLibraryError(
            "numpy is not installed; only uniform routing can be planned without it. Remedy: pip install 'moriep[planner]'"
        ) from error
