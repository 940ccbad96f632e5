# SPDX-License-Identifier: MIT
"""What a framework that uses MORI-EP imports: environment, capacity, configuration and compatibility.

Nothing here imports torch or mori until a function that needs them is called.
"""

from __future__ import annotations

from moriep.environment import Environment
from moriep.errors import (
    CapacityError,
    CompatibilityError,
    ConfigurationError,
    EnvironmentVariableError,
    MoriEPError,
)

__all__ = [
    "CapacityError",
    "CompatibilityError",
    "ConfigurationError",
    "Environment",
    "EnvironmentVariableError",
    "MoriEPError",
    "__version__",
]

__version__ = "0.1.0"
