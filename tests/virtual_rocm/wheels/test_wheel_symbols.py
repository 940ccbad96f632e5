# SPDX-License-Identifier: MIT
"""Every symbol that a published wheel takes from the ROCm runtime is there, under the version that it asks for.

Computed from the wheels' own libraries: a release that starts to use another function fails here, by its name.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import NIGHTLIES, RELEASES, fetch

from virtual_rocm.elf import read_shared_object
from virtual_rocm.environment import runtime_folder
from virtual_rocm.libraries import SystemLibraries, find_consumers, plan_libraries, runtime_library
from virtual_rocm.stubs import build_stubs


@pytest.mark.parametrize("version", [*RELEASES, *NIGHTLIES])
def test_the_runtime_gives_every_symbol_that_the_wheel_takes(wheels: Path, version: str) -> None:
    given = {
        name: {(symbol.name, symbol.version) for symbol in read_shared_object(runtime_folder() / name).gives}
        for name in ("libamdhip64.so.7", "libhsa-runtime64.so.1")
    }
    taken: dict[str, set[tuple[str, str | None]]] = {name: set() for name in given}
    for library in find_consumers([fetch(version, wheels)]):
        for symbol in library.needs:
            if symbol.library and (ours := runtime_library(symbol.library)):
                taken[ours].add((symbol.name, symbol.version))
    assert len(taken["libamdhip64.so.7"]) > 20  # the survey saw something
    assert {name: sorted(taken[name] - given[name]) for name in given} == {name: [] for name in given}


@pytest.mark.parametrize("version", [*RELEASES, *NIGHTLIES])
def test_a_machine_with_no_library_at_all_needs_nothing_but_stubs(wheels: Path, version: str, tmp_path: Path) -> None:
    plan = plan_libraries(find_consumers([fetch(version, wheels)]), SystemLibraries([]))
    assert all(not stub.soname.startswith(("libc.", "libstdc++.", "libm.")) for stub in plan.stubs)
    build_stubs(plan.stubs, tmp_path)
    for stub in plan.stubs:
        given = {(symbol.name, symbol.version) for symbol in read_shared_object(tmp_path / stub.soname).gives}
        assert {(symbol.name, symbol.version) for symbol in stub.symbols} <= given
