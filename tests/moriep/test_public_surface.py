# SPDX-License-Identifier: MIT
"""What `import moriep` gives, and what it must not load."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys

import pytest

import moriep
from moriep import errors

MODULES = [item.name for item in pkgutil.iter_modules(moriep.__path__, "moriep.")]


def test_importing_every_module_loads_neither_torch_nor_mori() -> None:
    # A child, because this process may have loaded anything; None makes an import of either name fail.
    program = "import sys; sys.modules['torch'] = sys.modules['mori'] = None\n"
    program += "".join(f"import {name}\n" for name in MODULES)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", ["moriep", *MODULES])
def test_every_name_in_all_exists(name: str) -> None:
    module = importlib.import_module(name)
    assert [item for item in module.__all__ if not hasattr(module, item)] == []
    assert list(module.__all__) == sorted(set(module.__all__), key=module.__all__.index)


def test_every_exception_of_ours_is_in_the_one_tree() -> None:
    classes = [item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, BaseException)]
    assert len(classes) >= 6
    assert all(issubclass(item, errors.MoriEPError) for item in classes)
    # And each can be caught as what a caller without moriep would expect.
    for ours, builtin in (
        (errors.EnvironmentVariableError, ValueError),
        (errors.CapacityError, errors.ConfigurationError),
        (errors.CompatibilityError, TypeError),
        (errors.MoriNotInstalledError, ImportError),
    ):
        assert issubclass(ours, builtin)


@pytest.mark.parametrize(
    "error",
    [
        errors.EnvironmentVariableError([errors.VariableProblem("A", "b", "c", "d", "e")]),
        errors.CompatibilityError("no", ["one", "two"]),
        errors.MoriNotInstalledError("none"),
        errors.CapacityError("full"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_exceptions_survive_the_way_from_a_rank_to_its_launcher(error: Exception) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)
