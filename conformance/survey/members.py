# SPDX-License-Identifier: MIT
"""Which files of a wheel a survey reads. (What it takes out of them: `conformance.survey.extract`.)"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["CONSTANTS", "EXPORTS", "MAIN_MODULE", "V2_MODULE", "is_library", "is_noticed", "is_wanted", "source_path"]

MAIN_MODULE = "mori/ops/dispatch_combine.py"
V2_MODULE = "mori/ops/dispatch_combine_v2/dispatch_combine_op.py"
EXPORTS = "mori/ops/__init__.py"
CONSTANTS = ("mori/_version.py", "mori/_rocm_build_info.py")
_SOURCES = re.compile(
    r"^mori/_jit[-_]sources/(?P<path>(?:src|include/mori)/ops/dispatch_combine/[^/]+\.(?:hpp|cpp|hip|h))$"
)
_LIBRARY = re.compile(r"^mori/.*\.so(?:\.[\w.]+)?$")


def is_noticed(name: str) -> bool:
    """True for the files that a survey reads or that tell it something by being there; one in ten of a wheel."""
    return is_wanted(name) or is_library(name) or ".libs/" in name or ".dist-info/" in name


@lru_cache(maxsize=4096)
def is_wanted(name: str) -> bool:
    """True for the Python of the package, and for the sources of its v1 dispatch and combine: kernels and host side."""
    if name.startswith("mori/_jit"):
        return source_path(name) is not None
    return name.startswith("mori/") and name.endswith(".py")


@lru_cache(maxsize=4096)
def is_library(name: str) -> bool:
    return ".so" in name and _LIBRARY.match(name) is not None


def source_path(name: str) -> str | None:
    """Path below the wheel's sources for its just-in-time compiler; None for other files."""
    match = _SOURCES.match(name) if "/ops/dispatch_combine/" in name else None
    return match.group("path") if match else None
