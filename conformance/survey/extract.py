# SPDX-License-Identifier: MIT
"""Turns one file's bytes into a small value.

Runs in worker processes, so it imports little: equal files of different wheels (most of them, from one nightly to the next)
are read and parsed once, and the parsers are imported where they are used, not in the process that waits for the network.
"""

from __future__ import annotations

import gc

from conformance.errors import WheelError
from conformance.survey.members import CONSTANTS, EXPORTS, MAIN_MODULE, V2_MODULE, source_path
from conformance.survey.pieces import Extract

__all__ = ["extract", "extract_all", "import_python_parser", "import_source_parser"]


def import_python_parser() -> None:
    """First work of the process that reads Python."""
    gc.disable()  # a short life full of syntax trees: looking for cycles in them costs more than their memory
    import conformance.survey.python_source  # noqa: F401


def import_source_parser() -> None:
    """First work of the process that reads C++."""
    gc.disable()
    import conformance.survey.kernel_source  # noqa: F401


def extract_all(files: list[tuple[str, bytes]]) -> list[Extract]:
    """What each of the files says, in their order."""
    return [extract(name, data) for name, data in files]


def extract(name: str, data: bytes) -> Extract:
    """What the file says. A file that cannot be parsed gives a `problem`, and what can be had without parsing."""
    path = source_path(name)
    text = data.decode("utf-8", "replace")
    if path is not None:
        from conformance.survey.kernel_source import parse_kernel_source

        source = parse_kernel_source(path, data)
        return Extract(variables=source.variables, source=source)
    from conformance.survey.python_source import (
        environment_variables,
        exported_names,
        parse_ops_module,
        string_constants,
    )

    variables = tuple(sorted(environment_variables(text)))
    try:
        if name in (MAIN_MODULE, V2_MODULE):
            return Extract(variables=variables, ops=parse_ops_module(name, text))
        if name == EXPORTS:
            return Extract(variables=variables, exports=exported_names(name, text))
        if name in CONSTANTS:
            return Extract(variables=variables, constants=string_constants(name, text))
    except WheelError as error:
        return Extract(variables=variables, problem=str(error))
    return Extract(variables=variables)
