# SPDX-License-Identifier: MIT
"""Whether this machine has AMD GPUs: the driver's file, then HIP's own count."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["Gpus", "find_gpus"]

_DRIVER = Path("/dev/kfd")
# In a process of its own: a HIP runtime that was started once does not survive the forks of its process.
_COUNT = """\
import ctypes, sys
hip = ctypes.CDLL(sys.argv[1])
count = ctypes.c_int()
error = hip.hipGetDeviceCount(ctypes.byref(count))
print(count.value if error == 0 else -error)
"""


@dataclass(frozen=True)
class Gpus:
    """How many there are, and why there are none."""

    count: int
    reason: str = ""


def _libraries() -> list[str]:
    roots = [os.environ[name] for name in ("ROCM_PATH", "HIP_PATH") if os.environ.get(name)]
    return [*(str(Path(root) / "lib" / "libamdhip64.so") for root in [*roots, "/opt/rocm"]), "libamdhip64.so"]


@lru_cache(maxsize=4)
def find_gpus(driver: Path = _DRIVER) -> Gpus:
    """Count the GPUs that HIP offers; never raises."""
    if not driver.exists():
        return Gpus(0, f"{driver} is not there: the AMD GPU driver is not loaded")
    if not os.access(driver, os.R_OK | os.W_OK):
        return Gpus(0, f"{driver} cannot be opened: add this user to the groups render and video")
    reason = "no libamdhip64.so: install ROCm, or set ROCM_PATH"
    for library in _libraries():
        try:
            done = subprocess.run(
                [sys.executable, "-c", _COUNT, library], capture_output=True, text=True, timeout=120, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Gpus(0, f"HIP does not answer: {error}")
        if done.returncode == 0:
            count = int(done.stdout)
            return (
                Gpus(count)
                if count > 0
                else Gpus(0, f"hipGetDeviceCount: {'no device' if not count else f'error {-count}'}")
            )
    return Gpus(0, reason)
