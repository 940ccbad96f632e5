# SPDX-License-Identifier: MIT
"""The virtual device as a gfx950: what clang compiles for it runs, and the code of another device does not."""

from __future__ import annotations

import pytest
from conftest import Device

WORDS_OF_LDS = 160 * 1024 // 4


@pytest.mark.parametrize("count", [300, WORDS_OF_LDS])
def test_a_block_has_160_kilobytes_of_lds(gfx950: Device, count: int) -> None:
    run = gfx950.run(
        "memory",
        f"buffer out {4 * count}",
        f"launch dynamic_lds 1 256 {4 * count} @out i32:{count}",
        "wait",
        f"read out 0 {4 * count}",
    )
    assert run.words() == [index * index & 0xFFFFFFFF for index in reversed(range(count))]


def test_and_no_more(gfx950: Device) -> None:
    run = gfx950.run("memory", "buffer out 64", f"launch dynamic_lds 1 64 {4 * WORDS_OF_LDS + 1} @out i32:1", "wait")
    assert not run.endings
    assert "more than the device has (163840)" in run.errors[0]


def test_an_access_past_them_is_found(gfx950: Device) -> None:
    run = gfx950.run(
        "memory", "buffer out 4096", f"launch dynamic_lds 1 64 {4 * WORDS_OF_LDS} @out i32:{WORDS_OF_LDS + 1}", "wait"
    )
    assert "out-of-bounds LDS access" in run.endings[0].report


def test_code_of_the_other_device_is_refused(device: Device, gfx950: Device) -> None:
    for runs, compiles in ((device, gfx950), (gfx950, device)):
        run = runs.run(compiles.compile("memory"))
        assert f"the code is not for {runs.architecture}" in run.errors[0]
        assert "VIRTUAL_ROCM_ARCHITECTURE" in run.errors[0]


def test_a_device_that_the_engine_cannot_be_is_named(device: Device) -> None:
    code = device.compile("memory")
    run = Device(device.driver, device.clang, device.folder, "gfx1250").run(code)
    assert "VIRTUAL_ROCM_ARCHITECTURE" in run.output
    assert "gfx942 or gfx950" in run.output
