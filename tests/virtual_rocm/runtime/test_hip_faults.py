# SPDX-License-Identifier: MIT
"""What a program sees when a kernel goes wrong; each fault with a twin that does not."""

from __future__ import annotations

import sys
from pathlib import Path

import hip_library as h
import pytest

from virtual_rocm.launcher import run_ranks

START = (
    "module = hip.make('hipModuleLoad', sys.argv[1].encode())\n"
    "def kernel(name): return hip.make('hipModuleGetFunction', module, name)\n"
)


@pytest.mark.parametrize(("size", "code"), [(16, h.SUCCESS), (17, h.ILLEGAL_ADDRESS)])
def test_a_write_past_the_end_becomes_an_error_that_stays(program, kernels: Path, size: int, code: int) -> None:  # type: ignore[no-untyped-def]
    result = program(
        START + "p = hip.malloc(64)\n"
        f"print(hip.launch(kernel(b'fill_to'), [c_void_p(p), c_int({size})]))\n"
        "print(hip.hipDeviceSynchronize(), hip.hipMemset(p, 0, 64), hip.hipGetLastError())",
        str(kernels),
    )
    assert result.stdout == f"0\n{code} {code} {code}\n", result.stderr
    assert result.returncode == 0
    if code:
        assert "write of 4 bytes" in result.stderr
        assert "past the end of hipMalloc #1" in result.stderr or "hipMalloc #" in result.stderr
        assert "kernel fill_to, block (0,0,0), wave 0, lane 16" in result.stderr
        assert "kernels.hip:" in result.stderr
    else:
        assert "past the end" not in result.stderr


def test_a_use_after_free_says_so(program, kernels: Path) -> None:  # type: ignore[no-untyped-def]
    result = program(
        START + "p = hip.malloc(256); hip.check(hip.hipFree(p))\n"
        "hip.check(hip.launch(kernel(b'fill_to'), [c_void_p(p), c_int(4)]))\n"
        "print(hip.hipDeviceSynchronize())",
        str(kernels),
    )
    assert result.stdout == f"{h.ILLEGAL_ADDRESS}\n", result.stderr
    assert "freed" in result.stderr


@pytest.mark.parametrize("registered", [True, False])
def test_a_kernel_may_touch_host_memory_only_if_it_is_registered(program, kernels: Path, registered: bool) -> None:  # type: ignore[no-untyped-def]
    register = "hip.check(hip.hipHostRegister(own, 256, 0))\n" if registered else ""
    result = program(
        START
        + "own = create_string_buffer(256)\n"
        + register
        + "hip.check(hip.launch(kernel(b'fill_to'), [c_void_p(addressof(own)), c_int(64)]))\n"
        "print(hip.hipDeviceSynchronize(), own.raw[4])",
        str(kernels),
    )
    assert result.stdout == ("0 1\n" if registered else f"{h.ILLEGAL_ADDRESS} 0\n"), result.stderr


@pytest.mark.parametrize("wanted", [0, 1])
def test_a_failed_assertion_ends_the_process_as_on_hardware(program, kernels: Path, wanted: int) -> None:  # type: ignore[no-untyped-def]
    source = (
        START + "p = hip.malloc(256)\n"
        f"hip.check(hip.launch(kernel(b'check'), [c_void_p(p), c_int({wanted})]))\n"
        "print(hip.hipDeviceSynchronize())"
    )
    result = program(source, str(kernels))
    if wanted == 0:
        assert (result.returncode, result.stdout) == (0, "0\n"), result.stderr
        return
    assert result.returncode == -6  # SIGABRT
    assert "the value that was asked for" in result.stderr
    assert "kernel check, block (0,0,0)" in result.stderr
    kept = program(source, str(kernels), variables={"VIRTUAL_ROCM_ON_FAULT": "error"})
    assert (kept.returncode, kept.stdout) == (0, "710\n"), kept.stderr


@pytest.mark.parametrize("wanted", [0, 1])
def test_an_assertion_speaks_although_others_wait_for_the_lane_that_failed(program, kernels: Path, wanted: int) -> None:  # type: ignore[no-untyped-def]
    result = program(
        START + "p = hip.malloc(256); hip.check(hip.hipMemset(p, 0, 256))\n"
        f"hip.write(p + 8, bytes([{wanted}]))\n"
        "hip.check(hip.launch(kernel(b'check_in_loop'), [c_void_p(p), c_int(4)], block=128))\n"
        "print(hip.hipDeviceSynchronize())",
        str(kernels),
        variables={"VIRTUAL_ROCM_STALL_SECONDS": "20"},
    )
    assert result.returncode == (-6 if wanted else 0), result.stderr
    assert ("before it is published" in result.stderr) == bool(wanted)


def test_a_fault_can_be_made_to_abort(program, kernels: Path) -> None:  # type: ignore[no-untyped-def]
    result = program(
        START + "p = hip.malloc(64)\n"
        "hip.check(hip.launch(kernel(b'fill_to'), [c_void_p(p), c_int(64)])); hip.hipDeviceSynchronize(); print('alive')",
        str(kernels),
        variables={"VIRTUAL_ROCM_ON_FAULT": "abort"},
    )
    assert result.returncode == -6
    assert result.stdout == ""


def test_work_after_a_fault_does_not_run(program, kernels: Path) -> None:  # type: ignore[no-untyped-def]
    result = program(
        START + "p, q = hip.malloc(64), hip.malloc(64)\n"
        "hip.launch(kernel(b'fill_to'), [c_void_p(p), c_int(64)])\n"
        "hip.launch(kernel(b'fill_to'), [c_void_p(q), c_int(16)])\n"
        "print(hip.hipDeviceSynchronize(), ctypes.string_at(q, 8))",
        str(kernels),
    )
    assert result.stdout == f"{h.ILLEGAL_ADDRESS} {bytes(8)!r}\n", result.stderr


def test_a_kernel_that_never_ends_ends_at_the_deadline_and_says_where(program, kernels: Path) -> None:  # type: ignore[no-untyped-def]
    result = program(
        START + "flag, done = hip.malloc(4), hip.malloc(4)\n"
        "hip.check(hip.launch(kernel(b'wait_for'), [c_void_p(flag), c_void_p(done)]))\n"
        "print(hip.hipDeviceSynchronize())",
        str(kernels),
        variables={"VIRTUAL_ROCM_DEADLINE_SECONDS": "1"},
    )
    assert result.stdout == "702\n", result.stderr
    assert "wait_for" in result.stderr
    assert "hipMalloc #" in result.stderr  # the flag that it waits on


def test_a_rank_that_is_ended_while_its_kernel_waits_says_who_waits_where(
    environment: dict[str, str], kernels: Path
) -> None:
    source = (
        "import ctypes, os, sys, time\nfrom ctypes import *\nfrom hip_library import *\nhip = Hip()\n"
        + START
        + "flag, done = hip.malloc(4), hip.malloc(4)\n"
        "if os.environ['RANK'] == '1': time.sleep(2); sys.exit(5)\n"
        "hip.check(hip.launch(kernel(b'wait_for'), [c_void_p(flag), c_void_p(done)]))\n"
        "hip.hipDeviceSynchronize()"
    )
    lines: list[bytes] = []
    result = run_ranks(
        [sys.executable, "-c", source, str(kernels)],
        ranks=2,
        environment=environment,
        deadline=60,
        output=lambda _, __, line: lines.append(line),
    )
    assert result.exit_code == 5
    text = b"".join(lines).decode()
    assert "rank 0 is ended while kernels run" in text
    assert "wait_for" in text
    assert "hipMalloc #1" in text
