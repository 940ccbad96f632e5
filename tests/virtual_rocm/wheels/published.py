# SPDX-License-Identifier: MIT
"""The round trips of run_cases.py on published wheels: python tests/virtual_rocm/wheels/published.py [VERSION ...]

Each wheel is installed by its hash from the matrix, in an environment of its own with torch beside it, so nothing has to be
there before but a Python for the wheel (or uv, which gets one). Without versions: every stable cp310 wheel and the last nightly.
Prints the table release × case, then the overflow case's reports. Exit code 1: a round trip is wrong, or an overflow goes
unnoticed.
"""

import argparse
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(REPOSITORY), str(Path(__file__).parent)]

from run_cases import add_options, play  # noqa: E402

from conformance.environments import EnvironmentFailure, add_base, wheel_environment  # noqa: E402
from conformance.matrix import load_matrix  # noqa: E402


def chosen(versions):
    matrix = load_matrix(REPOSITORY / "matrix.toml")
    if versions:
        return [matrix.find(version) for version in versions]
    stable = [wheel for wheel in matrix.stable if wheel.python == "cp310"]
    return [*stable, *[wheel for wheel in matrix.nightlies if wheel.python == "cp310"][-1:]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*")
    parser.add_argument("--python", type=Path, help="an interpreter that has torch; default: an environment is made")
    add_options(parser)
    options = parser.parse_args()
    only_overflow = options.overflow
    good = True
    for wheel in chosen(options.versions):
        try:
            environment = wheel_environment(wheel)
            add_base(environment, wheel, base=options.python)
        except EnvironmentFailure as failure:
            print(f"| {wheel.label} | – | not run: {failure} |", flush=True)
            good &= failure.machine  # what this machine can never run is said, and is no failure
            continue
        for overflow in (False, True):
            if overflow or not only_overflow:
                options.overflow = overflow
                good &= play(wheel.label, str(environment.python), environment.packages, options)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
