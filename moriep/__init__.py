# SPDX-License-Identifier: MIT
"""What a framework that uses MORI-EP imports: environment, capacity, configuration, compatibility and dispatcher.

Nothing here imports torch or mori until a function that needs them is called.
"""

from __future__ import annotations

from moriep.capacity import Capacity
from moriep.compatibility import check_mori_compatibility, explain, installed_surface
from moriep.configuration import Configuration, ModelDescription, configure, materialise
from moriep.dispatcher import DispatchOutput, GuardMode, MoriEPDispatcher
from moriep.environment import Environment
from moriep.errors import (
    CapacityError,
    CompatibilityError,
    ConfigurationError,
    EnvironmentChangedError,
    EnvironmentVariableError,
    GroupMismatchError,
    InputError,
    MoriEPError,
    MoriNotInstalledError,
    ReceiveOverflowError,
    StageError,
)

__all__ = [
    "Capacity",
    "CapacityError",
    "CompatibilityError",
    "Configuration",
    "ConfigurationError",
    "DispatchOutput",
    "Environment",
    "EnvironmentChangedError",
    "EnvironmentVariableError",
    "GroupMismatchError",
    "GuardMode",
    "InputError",
    "ModelDescription",
    "MoriEPDispatcher",
    "MoriEPError",
    "MoriNotInstalledError",
    "ReceiveOverflowError",
    "StageError",
    "__version__",
    "check_mori_compatibility",
    "configure",
    "explain",
    "installed_surface",
    "materialise",
]

__version__ = "0.1.0"
