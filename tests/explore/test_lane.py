# SPDX-License-Identifier: MIT
"""Which wheels this machine can explore: one that is too new for it does not stop the others of a group."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conformance.explore.lane import NotHereError, Unpacked, wheel_lanes
from conformance.selection import Chosen
from conformance.suite.lanes import LaneError, virtual_variables
from conformance.suite.measuring import project_folder
from conformance.wheels import Wheel
from tests.virtual_rocm.runtime.test_libraries_and_stubs import build
from virtual_rocm.stubs import find_c_compiler

OLD, NEW = (
    Chosen(Wheel("amd-mori", version, f"{tag}-{tag}-manylinux_2_35_x86_64", "0" * 64, 1, ""))
    for version, tag in (("1.2.4", "cp310"), ("1.0.0", "cp312"))
)


def _can_run() -> bool:
    try:
        find_c_compiler()
        virtual_variables((), project_folder())
    except (LaneError, OSError, RuntimeError):
        return False
    return True


pytestmark = pytest.mark.skipif(not _can_run(), reason="needs a C compiler and the native part of the virtual GPU")


@pytest.fixture
def unpacked(tmp_path: Path) -> Unpacked:
    """Two wheels; the second one wants a C library that no system has."""
    later = tmp_path / "later"
    build(
        later,
        "libc.so.6",
        "int later(void) { return 1; }",
        "-nostdlib",
        version_script="GLIBC_2.99 { global: later; };",
    )
    hip = build(
        tmp_path / "hip",
        "libamdhip64.so.7",
        "int hipInit(unsigned f) { return f; }",
        version_script="hip_4.2 { global: hipInit; };",
    )
    source = "int hipInit(unsigned); int start(void) { return hipInit(0); }"
    wheels = tmp_path / "wheels"
    build(wheels / "1.2.4" / "mori", "libold.so", source, str(hip))
    newer = source.replace("{", "{ extern int later(void); later();", 1)
    build(wheels / "1.0.0" / "mori", "libnew.so", newer, str(hip), str(later / "libc.so.6"))
    return Unpacked(wheels)


def test_a_wheel_that_is_too_new_for_this_system_is_left_out_of_a_group(unpacked: Unpacked) -> None:
    said: list[str] = []
    lanes = wheel_lanes((NEW, OLD), base=Path(sys.executable), unpacked=unpacked, say=said.append)
    assert [chosen for chosen, _ in lanes] == [OLD]
    (text,) = said
    assert text.startswith("left out: 1.0.0@cp312: the packages want GLIBC_2.99 of libc.so.6")


def test_a_wheel_that_is_too_new_is_refused_if_nothing_else_was_asked_for(unpacked: Unpacked) -> None:
    with pytest.raises(NotHereError, match=r"1\.0\.0@cp312: the packages want GLIBC_2\.99"):
        list(wheel_lanes((NEW,), base=Path(sys.executable), unpacked=unpacked, say=pytest.fail))


def test_a_wheel_whose_tag_says_that_it_is_too_new_is_told_in_the_same_way() -> None:
    """Before it is fetched, so no folder of unpacked wheels is needed."""
    wheel = Chosen(Wheel("amd-mori", "1.2.4", "cp310-cp310-manylinux_2_99_x86_64", "0" * 64, 1, ""))
    with pytest.raises(NotHereError, match=r"C library \(glibc\) of version 2\.99"):
        list(wheel_lanes((wheel,), base=Path(sys.executable), say=pytest.fail))
