# SPDX-License-Identifier: MIT
"""One build of the native part for all tests: libraries and test programs in build/native.

Test processes run beside each other, so the build is locked; what is up to date costs a look.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("VIRTUAL_ROCM_TEST_BUILD") or ROOT / "build" / "native")


def build(*targets: str) -> Path:
    """The build folder with these targets (CMake's names) up to date."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        configure = [
            "cmake",
            "-S",
            ROOT / "virtual_rocm" / "native",
            "-B",
            FOLDER,
            "-G",
            "Ninja",
            "-DVIRTUAL_ROCM_TESTS=ON",
        ]
        for command in (configure, ["cmake", "--build", FOLDER, "-j", "2", "--target", *targets]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"the native part cannot be built:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return FOLDER
