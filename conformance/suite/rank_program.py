# SPDX-License-Identifier: MIT
"""What each rank runs: plays cases through whatever `mori` its interpreter imports, and writes down what it saw.

Started by any launcher that sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, with a file of jobs and a folder for the
observations. It does not know its lane: it asks torch for a device, and the installed release for its arguments.

With `--serve` it starts ranks itself, as often as it is asked to: see `rank_server`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path


def _make_importable() -> None:
    """Let `conformance.suite`, and `moriep` beside it, be imported from where this file is.

    The folder above must not come onto the module path: it may be the driver's site-packages, with packages for another Python.
    """
    package = Path(__file__).resolve().parent.parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != package / "suite"]
    for name in ("conformance", "moriep"):
        folder = package.parent / name
        if name in sys.modules or not folder.is_dir():
            continue
        spec = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "__main__":
    _make_importable()
    if sys.argv[1:] == ["--serve"]:
        from conformance.suite.rank_server import serve

        sys.exit(serve())
    from conformance.suite.playing import main
    from conformance.suite.rank_server import die_with_parent

    die_with_parent()
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])))
