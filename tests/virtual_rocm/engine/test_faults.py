# SPDX-License-Identifier: MIT
"""Each class of fault: a launch that must trigger it, and a twin that must not."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

import pytest
from conftest import FOLDER, Device


@dataclass(frozen=True)
class Case:
    """A kernel of faults.hip; `bad` and `good` are its last argument."""

    kernel: str
    launch: str
    bad: str
    good: str
    kind: str
    report: tuple[str, ...]
    buffers: tuple[str, ...] = ("buffer data 1024", "buffer out 1024")


INDICES = b"".join(place.to_bytes(4, "little") for place in range(64)).hex()

CASES = [
    Case(
        "write_past_end",
        "1 512 0 @data i32:256",
        "i32:1",
        "i32:0",
        "out-of-bounds access",
        (
            "write of 4 bytes",
            "the first byte past the end of data",
            "1024 bytes",
            "rank 0",
            r"lane 0\b",
            r"wave 4\b",
        ),
    ),
    Case(
        "write_past_end",
        "1 512 0 @data i32:256",
        "i32:200",
        "i32:0",
        "out-of-bounds access",
        ("and 63 more lanes",),
    ),
    Case(
        "read_before_begin",
        "1 64 0 @data @out",
        "i32:3",
        "i32:0",
        "out-of-bounds access",
        ("read of 4 bytes", "12 bytes before the start of data", "and 2 more lanes"),
    ),
    Case(
        "narrow_write_past_end",
        "5 256 0 @data i32:1024",
        "i32:1",
        "i32:0",
        "out-of-bounds access",
        ("write of 1 bytes", r"block \(4,0,0\), wave 0, lane 0, thread \(0,0,0\)"),
    ),
    Case(
        "wide_write_past_end",
        "1 128 0 @data i32:64",
        "i32:3",
        "i32:0",
        "out-of-bounds access",
        ("write of 16 bytes", "and 2 more lanes"),
    ),
    Case(
        "one_lane_scattered",
        "1 64 0 @data @index",
        "i32:1000",
        "i32:5",
        "out-of-bounds access",
        ("lane 37, thread \\(37,0,0\\)", "3124 bytes past the end of data"),
        ("buffer data 1024", "buffer index 256", f"fill index {INDICES}"),
    ),
    Case(
        "null_pointer",
        "1 64 0 @data",
        "i32:1",
        "i32:0",
        "out-of-bounds access",
        ("no allocation is near", "at 0x0"),
    ),
    Case(
        "atomic_past_end",
        "1 64 0 @data i32:256",
        "i32:1",
        "i32:0",
        "out-of-bounds access",
        ("atomic of 4 bytes", "the first byte past the end of data"),
    ),
    Case("misaligned_atomic", "1 64 0 @data", "i32:2", "i32:4", "misaligned atomic", ("atomic of 4 bytes",)),
    Case(
        "write_constant",
        "1 64 0 @data",
        "i32:1",
        "i32:0",
        "write to read-only memory",
        (r"constants of faults-\d+\.hsaco",),
    ),
    Case(
        "scalar_read_past_end",
        "1 64 0 @data @out",
        "i32:256",
        "i32:255",
        "out-of-bounds access",
        ("read of 4 bytes", "s_load_dword"),
    ),
    Case(
        "lds_past_end",
        "1 64 256 @out",
        "i32:1",
        "i32:0",
        "out-of-bounds LDS access",
        ("the block has 256 bytes of LDS", "lane 63"),
    ),
    Case(
        "private_past_end",
        "1 64 0 @out",
        "i32:100000",
        "i32:7",
        "out-of-bounds private memory access",
        ("a lane has",),
    ),
    Case(
        "traps",
        "1 128 0 @out",
        "i32:1",
        "i32:0",
        "device trap",
        ("wave 1, lane 1, thread \\(65,0,0\\)", "s_trap 2"),
    ),
    Case("jumps_away", "1 64 0 @out", "i64:4096", "i64:0", "bad branch", ("0x1000", "not an instruction")),
    Case(
        "fault_in_function",
        "1 64 0 @data",
        "i32:193",
        "i32:192",
        "out-of-bounds access",
        (r"faults\.hip:\d+ in helper",),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kernel)
def test_a_fault_is_reported_with_place_and_cause(device: Device, case: Case) -> None:
    run = device.run("faults", *case.buffers, f"launch {case.kernel} {case.launch} {case.bad}", "wait")
    ending = run.endings[0]
    assert ending.kind == case.kind, run.output
    for text in (*case.report, rf"kernel {case.kernel}, block", r"faults\.hip:\d+"):
        assert re.search(text, ending.report), f"no {text!r} in:\n{ending.report}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kernel)
def test_its_twin_is_in_order(device: Device, case: Case) -> None:
    run = device.run("faults", *case.buffers, f"launch {case.kernel} {case.launch} {case.good}", "wait")
    assert run.endings[0].completed, run.output


WAITS = [
    ("load_not_waited_for", "@data @out", "vmcnt", "written|read"),
    ("second_load_not_waited_for", "@data @out", "vmcnt", "read"),
    ("lds_read_not_waited_for", "@out", "lgkmcnt", "read"),
    ("scalar_load_not_waited_for", "@data @out", "lgkmcnt", "read"),
]


@pytest.mark.parametrize("bad", [0, 1])
@pytest.mark.parametrize(("kernel", "arguments", "counter", "use"), WAITS, ids=[case[0] for case in WAITS])
def test_a_register_used_before_its_load_was_waited_for(
    device: Device, kernel: str, arguments: str, counter: str, use: str, bad: int
) -> None:
    commands = ("buffer data 1024", "buffer out 1024", f"launch {kernel} 1 64 0 {arguments} i32:{bad}", "wait")
    assert device.run("faults", *commands).endings[0].completed  # nothing is looked at unless it is asked for
    ending = device.run("faults", *commands, check_waits=1).endings[0]
    assert ending.completed != bool(bad), ending.report
    if bad:
        text = rf"[vs]\d+ is ({use}) while `(.*load|ds_read).*` may be under way: no s_waitcnt {counter}"
        assert re.search(text, ending.report), ending.report
        assert "faults.hip:" in ending.report


@pytest.mark.parametrize("kernel", ["relay", "grid_barrier"])
def test_what_the_compiler_makes_waits_where_it_must(device: Device, kernel: str) -> None:
    run = device.run(
        "scheduling",
        "buffer counter 4",
        "buffer out 400",
        f"launch {kernel} 20 256 0 @counter @out i32:20 i32:1",
        "wait",
        check_waits=1,
    )
    assert run.endings[0].completed, run.output


def test_the_source_line_is_that_of_the_access(device: Device) -> None:
    run = device.run("faults", "buffer data 1024", "launch write_past_end 1 512 0 @data i32:256 i32:1", "wait")
    lines = (FOLDER / "kernels" / "faults.hip").read_text().splitlines()
    found = re.search(r"faults\.hip:(\d+) in write_past_end", run.endings[0].report)
    assert found is not None
    assert "data[i] = i;" in lines[int(found[1]) - 1]


def test_memory_that_was_freed_is_named(device: Device) -> None:
    run = device.run(
        "faults", "buffer data 1024", "free data", "launch write_past_end 1 64 0 @data i32:256 i32:0", "wait"
    )
    assert run.endings[0].kind == "out-of-bounds access"
    assert "which has been freed" in run.endings[0].report


def test_nothing_is_written_by_the_access_that_is_out_of_bounds(device: Device) -> None:
    run = device.run(
        "faults",
        "buffer data 1000",
        "launch write_past_end 1 256 0 @data i32:256 i32:0",
        "wait",
        "read data 768 232",
    )
    assert run.endings[0].kind == "out-of-bounds access"
    assert run.data[0] == bytes(232)


def test_without_the_bounds_check_an_inaccessible_page_still_ends_the_launch(device: Device) -> None:
    run = device.run(
        "faults",
        "buffer data 4096",
        "launch write_past_end 1 1024 0 @data i32:1024 i32:0",
        "wait",
        "launch write_past_end 2 1024 0 @data i32:1024 i32:1",
        "wait",
        "launch write_past_end 1 1024 0 @data i32:1024 i32:0",
        "wait",
        check_bounds=False,
    )
    assert [ending.kind for ending in run.endings] == ["completed", "memory violation", "completed"]
    assert "write" in run.endings[1].report
    assert "global_store_dword" in run.endings[1].report


def test_a_kernel_with_an_instruction_that_is_not_executed_is_refused_by_name(
    device: Device, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = """
    .amdgcn_target "amdgcn-amd-amdhsa--gfx942"
    .text
    .globl refused
    .p2align 8
    .type refused,@function
    refused:
      v_mfma_f32_4x4x1_16b_f32 a[0:3], v0, v1, a[0:3]
      s_endpgm
    .Lend: .size refused, .Lend-refused
    .rodata
    .p2align 6
    .amdhsa_kernel refused
      .amdhsa_next_free_vgpr 8
      .amdhsa_next_free_sgpr 8
      .amdhsa_accum_offset 4
    .end_amdhsa_kernel
    .amdgpu_metadata
    amdhsa.version: [1, 2]
    amdhsa.kernels:
      - .name: refused
        .symbol: refused.kd
        .kernarg_segment_size: 0
        .group_segment_fixed_size: 0
        .private_segment_fixed_size: 0
        .kernarg_segment_align: 8
        .wavefront_size: 64
        .sgpr_count: 8
        .vgpr_count: 8
        .max_flat_workgroup_size: 256
    .end_amdgpu_metadata
    """
    folder = tmp_path_factory.mktemp("refused")
    (folder / "refused.s").write_text(source)
    subprocess.run(
        [device.clang, "--target=amdgcn-amd-amdhsa", "-mcpu=gfx942", "-nogpulib", folder / "refused.s", "-o",
         folder / "refused.hsaco"],
        check=True,
    )  # fmt: skip
    run = device.run(folder / "refused.hsaco", "launch refused 1 64 0", "wait")
    assert not run.endings
    assert "refused uses instructions that the virtual device does not execute" in run.errors[0]
    assert "v_mfma_f32_4x4x1_16b_f32" in run.output


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "neither an ELF code object nor a clang offload bundle"),
        (b"hello", "neither an ELF code object nor a clang offload bundle"),
        (b"CCOB\2\0\0\0", "compressed"),
        (b"__CLANG_OFFLOAD_BUNDLE__\1", "cut short"),
        (b"\x7fELF" + bytes(20), "cut short"),
        (b"\x7fELF\2\1\1" + bytes(80), "not an AMDGPU code object"),
    ],
    ids=["empty", "text", "compressed", "short bundle", "short ELF", "other machine"],
)
def test_what_is_no_code_object_is_refused_with_the_reason(
    device: Device, tmp_path_factory: pytest.TempPathFactory, contents: bytes, message: str
) -> None:
    path = tmp_path_factory.mktemp("bad") / "bad.hsaco"
    path.write_bytes(contents)
    run = device.run(path)
    assert run.errors
    assert message in run.errors[0]


@pytest.mark.parametrize("length", [100, 1000, 3000, 5000])
def test_a_code_object_that_is_cut_short_is_refused(
    device: Device, tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    path = tmp_path_factory.mktemp("short") / "short.hsaco"
    path.write_bytes(device.compile("faults").read_bytes()[:length])
    run = device.run(path)
    assert run.errors
    assert "cut short" in run.errors[0]
