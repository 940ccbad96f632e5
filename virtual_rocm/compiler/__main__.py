# SPDX-License-Identifier: MIT
"""``python -m virtual_rocm.compiler``: hipcc, and the compiler of single kernels that the runtime calls.

Can be run by its path as well, with no environment: a container names it so.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from virtual_rocm.compiler.container import Container
from virtual_rocm.compiler.hipcc import main as hipcc
from virtual_rocm.compiler.kernel_compiler import obtain_kernel
from virtual_rocm.errors import VirtualRocmError


def main(arguments: list[str]) -> int:
    """Runs with the arguments of a command line and returns the exit code."""
    try:
        if arguments[:1] == ["--virtual-rocm-kernel"]:
            if len(arguments) != 3:
                print("usage: --virtual-rocm-kernel CONTAINER KERNEL", file=sys.stderr)
                return 2
            print(obtain_kernel(Container.read(Path(arguments[1])), arguments[2]))
            return 0
        return hipcc(arguments)
    except VirtualRocmError as error:
        print(f"hipcc: error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
