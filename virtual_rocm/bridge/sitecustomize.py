# SPDX-License-Identifier: MIT
"""Runs at the start of every Python of the program (its folder is first on PYTHONPATH): bridges torch when it comes.

This folder stands alone: the program's Python need not have virtual_rocm installed.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

_HERE = str(Path(__file__).resolve().parent)


class _Loader(importlib.abc.Loader):
    """Loads a module as always, then bridges it."""

    def __init__(self, loader: importlib.abc.Loader, function: str) -> None:
        self._loader, self._function = loader, function

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> "ModuleType | None":
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # The module's own loader again: code that asks for resources finds it as it expects.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        import virtual_rocm_torch

        getattr(virtual_rocm_torch, self._function)(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Sees the imports of the modules to bridge; every other import passes by."""

    bridged: ClassVar[dict[str, str]] = {
        "torch": "bridge_torch",
        "torch.distributed.distributed_c10d": "bridge_collectives",
    }

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        function = self.bridged.get(name)
        if function is None:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, function)
                return spec
        return None


def _run_the_one_we_hide() -> None:
    """A sitecustomize of the program's own, which ours would otherwise replace."""
    elsewhere = [entry for entry in sys.path if entry and str(Path(entry).resolve()) != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.meta_path.insert(0, _Finder())
_run_the_one_we_hide()
