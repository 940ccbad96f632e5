# SPDX-License-Identifier: MIT
"""Which `mori` is installed, and whether it is AMD's.

Two distributions provide the module `mori`: `amd-mori` and `amd-mori-nightly`. The distribution that is
itself called `mori` is another project. All three write to the same directory, so that installing two of them
leaves a mixture that imports but is neither.
"""

from __future__ import annotations

import importlib
from typing import Any

from moriep.errors import MoriNotInstalledError

__all__ = ["DISTRIBUTIONS", "find_mori", "installed_release"]

DISTRIBUTIONS = ("amd-mori", "amd-mori-nightly")
_FOREIGN = "mori"


def _versions() -> dict[str, str]:
    # Imported here: it loads the email parser, which costs more than all of moriep, and few calls need it.
    from importlib import metadata

    found = {}
    for name in (*DISTRIBUTIONS, _FOREIGN):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def installed_release() -> str:
    """What messages call the installed mori: its distribution and version, if there is exactly one.

    Raises:
        MoriNotInstalledError: if several distributions claim the module.
    """
    versions = _versions()
    if len(versions) > 1:
        names = ", ".join(f"{name} {version}" for name, version in versions.items())
        raise MoriNotInstalledError(
            f"{names} are installed together and overwrite each other's files. "
            f"Remedy: pip uninstall {' '.join(versions)}, then install one of {' or '.join(DISTRIBUTIONS)}"
        )
    return "".join(f"{name} {version}" for name, version in versions.items()) or "mori of unknown origin"


def find_mori() -> Any:
    """The module `mori` with `mori.ops` loaded.

    Raises:
        MoriNotInstalledError: if there is none, if it cannot be loaded, or if it is not AMD's.
    """
    try:
        module = importlib.import_module("mori")
        importlib.import_module("mori.ops")
    except ImportError as error:
        if _versions().get(_FOREIGN) is not None:
            raise MoriNotInstalledError(
                "the distribution `mori` that is installed is not AMD's. "
                "Remedy: pip uninstall mori, then pip install amd-mori"
            ) from error
        raise MoriNotInstalledError(f"mori.ops cannot be imported: {error}. Remedy: pip install amd-mori") from error
    return module
