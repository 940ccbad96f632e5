# SPDX-License-Identifier: MIT
"""The tests that need a published wheel and the virtual GPU, on one wheel after another.

    python tests/every_release.py [VERSION ...]

Each wheel is installed by its hash from the matrix, in an environment of its own with torch beside it. Without versions: every
stable cp310 wheel. Exit code 1: a test failed, or a wheel that this machine could run was not run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from conformance.environments import EnvironmentFailure, add_base, wheel_environment  # noqa: E402
from conformance.matrix import load_matrix  # noqa: E402
from conformance.suite.lanes import LaneError, device_compiler_digest, virtual_variables  # noqa: E402

TESTS = ("tests/moriep/test_dispatcher_on_wheels.py", "tests/suite/test_planned_odds.py")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*")
    parser.add_argument("--python", type=Path, help="an interpreter that has torch; default: an environment is made")
    options = parser.parse_args()
    matrix = load_matrix(REPOSITORY / "matrix.toml")
    wheels = [matrix.find(version) for version in options.versions] or [
        wheel for wheel in matrix.stable if wheel.python == "cp310"
    ]
    good = True
    for wheel in wheels:
        print(f"== {wheel.label}", flush=True)
        try:
            environment = wheel_environment(wheel)
            # Before torch is installed beside it, which is large: a wheel that this system cannot load needs none.
            if too_new := virtual_variables((environment.packages,), REPOSITORY).too_new:
                raise EnvironmentFailure(too_new, machine=True)
            add_base(environment, wheel, base=options.python)
        except (EnvironmentFailure, LaneError) as failure:
            print(f"not run: {failure}", flush=True)
            # What this machine can never run is said, and is no failure.
            good &= isinstance(failure, EnvironmentFailure) and failure.machine
            continue
        variables = {
            **os.environ,
            "MORIEP_TEST_RANKS_PYTHON": str(environment.python),
            "MORIEP_TEST_PACKAGES": f"{wheel.label}={environment.packages}",
            "MORIEP_TEST_JIT_CACHE": str(environment.jit_cache / device_compiler_digest(REPOSITORY)),
        }
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *TESTS], cwd=REPOSITORY, env=variables, check=False
        )
        good &= done.returncode == 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
