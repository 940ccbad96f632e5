# SPDX-License-Identifier: MIT
"""The decoder against llvm: real code objects, and an instruction of every opcode in the table."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from machine import ASSEMBLE, Disassembler, assemble


def code_objects() -> list[Path]:
    """VIRTUAL_ROCM_CODE_OBJECTS names a folder of code objects: what the compiler made of the wheels' kernels."""
    folder = os.environ.get("VIRTUAL_ROCM_CODE_OBJECTS")
    return sorted(Path(folder).rglob("*.hsaco")) if folder else []


@pytest.mark.parametrize("path", code_objects(), ids=lambda path: "/".join(path.parts[-2:]))
def test_decodes_code_object_as_objdump_does(disassembler: Disassembler, path: Path) -> None:
    comparison = disassembler.compare(path)
    assert comparison.instructions, f"llvm-objdump found no code in {path}"
    assert not comparison.different, "\n".join(comparison.different[:20])
    assert not comparison.refused


def registers(kind: str, first: int, count: int) -> str:
    return f"{kind}{first}" if count == 1 else f"{kind}[{first}:{first + count - 1}]"


# Type numbers of the table, as widths in registers.
WIDTHS = [0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4, 8, 16, 32, 1, 1, 2, 2]
ENCODINGS = [
    "sop2",
    "sopk",
    "sop1",
    "sopc",
    "sopp",
    "smem",
    "vop2",
    "vop1",
    "vopc",
    "vop3",
    "vop3p",
    "vop3p_mai",
    "ds",
    "flat",
    "global",
    "scratch",
    "mubuf",
    "mtbuf",
]
CARRY_OUT, CARRY_IN, SCALAR_DESTINATION = 1, 2, 4
LITERAL_MIDDLE, LITERAL_LAST, NO_SUFFIX, ACCUMULATOR_ONLY, TWO_OFFSETS, SHORT_ONLY = (
    32,
    64,
    128,
    256,
    1024,
    8192,
)


def vector_texts(name: str, encoding: str, widths: list[int], traits: int) -> list[str]:
    """The forms in which a vector instruction is written."""
    if encoding == "vop3p_mai" and "accvgpr" not in name:
        return [
            f"{name} {registers('a', 0, widths[0])}, {registers('v', 64, widths[1])}, "
            f"{registers('v', 80, widths[2])}, " + (f"v{100}" if "smfmac" in name else registers("a", 0, widths[3]))
        ]
    if "accvgpr" in name:
        target, source = ("v", "a") if "read" in name else ("a", "v")
        return [f"{name} {'a' if 'mov' in name else target}4, {'a' if 'mov' in name else source}8"]
    scalar = bool(traits & SCALAR_DESTINATION)
    target = registers("s" if scalar else "v", 4, widths[0]) if widths[0] else ""
    sources = [registers("v", first, width) for first, width in zip((8, 10, 12), widths[1:], strict=False) if width]
    if name in ("v_readlane_b32", "v_writelane_b32"):
        sources = ["v8", "s10"] if "read" in name else ["s8", "m0"]
    short = ["vcc"] if encoding == "vopc" else [target] if target else []
    long = [target] if target else []
    if traits & CARRY_OUT:
        short.append("vcc")
        long.append("s[20:21]")
    carry = ["vcc"] if traits & CARRY_IN else []
    long_carry = ["s[22:23]"] if traits & CARRY_IN else []
    if traits & LITERAL_MIDDLE:
        return [f"{name} v4, v8, 0x1234, v10"]
    if traits & LITERAL_LAST:
        return [f"{name} v4, v8, v10, 0x1234"]
    if traits & NO_SUFFIX or encoding in ("vop3", "vop3p"):
        return [f"{name} {', '.join(long + sources)}"]
    texts = [f"{name}_e32 {', '.join(short + sources + carry)}"]
    if sources:
        with_constant = ["s7" if widths[1] == 1 else "s[6:7]", *sources[1:]]
        texts.append(f"{name}_e32 {', '.join(short + with_constant + carry)}")
        texts.append(f"{name}_e32 {', '.join([*short, '-5', *sources[1:], *carry])}")
        if widths[1] == 1:
            texts.append(f"{name}_e32 {', '.join([*short, '0x1234', *sources[1:], *carry])}")
    if not traits & SHORT_ONLY:
        texts.append(f"{name}_e64 {', '.join(long + sources + long_carry)}")
    return texts


def memory_texts(name: str, encoding: str, widths: list[int], traits: int) -> list[str]:
    """The forms in which a memory instruction is written."""
    data = registers("v", 4, widths[0])
    if encoding == "ds":
        operands = [registers("v", first, width) for first, width in zip((4, 8, 10, 12), widths, strict=False) if width]
        offset = " offset0:1 offset1:2" if traits & TWO_OFFSETS else " offset:16" if "swizzle" not in name else ""
        return [f"{name} {', '.join(operands)}{offset}{' gds' if 'gws' in name else ''}"]
    if encoding in ("flat", "global"):
        tail = ", off" if encoding == "global" else ""
        stored = f", {registers('v', 10, widths[2])}" if widths[2] else ""
        loaded = f"{data}, " if widths[0] and "atomic" not in name else ""
        texts = [f"{name} {loaded}v[8:9]{stored}{tail} offset:16 nt sc1"]
        if "atomic" in name:
            texts.append(f"{name} {data}, v[8:9]{stored}{tail} offset:16 sc0")
        if encoding == "global":
            texts.append(f"{name} {loaded}v8{stored}, s[2:3] offset:-16")
        return texts
    if encoding == "scratch":
        if "lds" in name:
            return [f"{name} v8, off offset:16", f"{name} off, s2"]
        if widths[2]:
            stored = registers("v", 10, widths[2])
            return [f"{name} {a}, {stored}, {b} offset:16" for a, b in (("off", "s2"), ("v8", "off"), ("v8", "s2"))]
        return [f"{name} {data}, {a}, {b} offset:16" for a, b in (("off", "s2"), ("v8", "off"), ("v8", "s2"))]
    if encoding == "mubuf":
        if not widths[0]:
            return [name, f"{name} sc1", f"{name} sc0 sc1"] if name in ("buffer_wbl2", "buffer_inv") else [name]
        return [
            f"{name} {data}, off, s[8:11], s12 offset:16",
            f"{name} {data}, v8, s[8:11], 0 offen",
            f"{name} {data}, v[8:9], s[8:11], 4 idxen offen offset:16",
        ]
    return []


def scalar_texts(name: str, encoding: str, widths: list[int]) -> list[str]:
    """The forms in which a scalar instruction is written."""
    target = [registers("s", 4, widths[0])] if widths[0] else []
    if encoding == "smem":
        if "probe" in name or "discard" in name or not (widths[0] or widths[1]):
            return [] if widths[1] or widths[0] else [name]
        if not widths[1]:
            return [f"{name} {target[0]}"]
        base = registers("s", 8, widths[1])
        return [f"{name} {target[0]}, {base}, {offset}" for offset in ("0x10", "s12", "s12 offset:0x10")]
    if name in ("s_set_gpr_idx_on", "s_set_gpr_idx_mode"):
        return [f"{name} s4, gpr_idx(SRC0,DST)" if "on" in name else f"{name} gpr_idx(SRC0)"]
    if name in ("s_getreg_b32", "s_setreg_b32", "s_setreg_imm32_b32"):
        register = "hwreg(HW_REG_MODE, 4, 2)"
        return [f"{name} {'s4, ' + register if 'get' in name else register + (', 3' if 'imm' in name else ', s4')}"]
    if encoding == "sopp":
        special = {
            "s_waitcnt": "vmcnt(3) lgkmcnt(0)",
            "s_sendmsg": "sendmsg(MSG_INTERRUPT)",
            "s_sendmsghalt": "1",
        }
        no_operand = ["barrier", "icache", "wakeup", "saved", "ttracedata", "idx_off", "ordered_ps"]
        if any(word in name for word in no_operand):
            return [name]
        return [f"{name} {special.get(name, '3')}"]
    if encoding == "sopk":
        return [
            f"{name} {target[0]}, 0x1234" if "call" not in name and "fork" not in name else f"{name} {target[0]}, 3"
        ]
    sources = [registers("s", first, width) for first, width in zip((8, 12), widths[1:], strict=False) if width]
    texts = [f"{name} {', '.join(target + sources)}".strip()]
    if sources and name not in ("s_cbranch_join", "s_rfe_b64", "s_setpc_b64", "s_swappc_b64") and "movrel" not in name:
        texts += [f"{name} {', '.join([*target, constant, *sources[1:]])}" for constant in ("-7", "0.5")]
        texts.append(f"{name} {', '.join([*target, '0x12345', *sources[1:]])}")
    return texts


def texts_of(row: list[str]) -> list[str]:
    name, encoding = row[0], ENCODINGS[int(row[1])]
    widths = [WIDTHS[int(number)] for number in row[3:7]]
    traits = int(row[7])
    if encoding.startswith("s") and encoding != "scratch":
        return scalar_texts(name, encoding, widths)
    if encoding.startswith("v"):
        return vector_texts(name, encoding, widths, traits)
    return memory_texts(name, encoding, widths, traits)


# The assembler does not write these, though the disassembler reads them.
GFX950 = 1 << 14  # the trait of rows that gfx942 has not: see test_isa_gfx950.py
NOT_ASSEMBLED = re.compile(r"tbuffer|s_atc|s_dcache_discard|v_screen|_xf32|v_cvt_off_f32_i4_e64$")


def test_every_opcode_of_the_table_survives_assembly_and_back(disassembler: Disassembler, tmp_path: Path) -> None:
    """Each row, in each form: what llvm-mc assembles, our decoder prints as llvm-objdump does, and by its own name."""
    wanted: list[tuple[str, str]] = []
    rows = [row for row in disassembler.table() if not int(row[7]) & GFX950]
    for row in rows:
        if not NOT_ASSEMBLED.search(row[0]):
            wanted += [(row[0], text) for text in texts_of(row)]
    source = tmp_path / "all.s"
    source.write_text("".join(f"{text}\n" for _, text in wanted))
    path = tmp_path / "all.o"
    # Forms that do not exist are errors with line numbers: these are struck out, but no opcode may lose all its forms.
    command = [str(disassembler.assembler), *ASSEMBLE, "--mcpu=gfx942", "-o", str(path), str(source)]
    errors = subprocess.run(command, capture_output=True, check=False, text=True).stderr
    bad = {int(number) for number in re.findall(r"all\.s:(\d+):\d+: error", errors)}
    wanted = [item for line, item in enumerate(wanted, 1) if line not in bad]
    source.write_text("".join(f"{text}\n" for _, text in wanted))
    subprocess.run(command, check=True)
    expected = disassembler.theirs(path)
    actual = disassembler.ours([slot for _, slot in expected])
    assert len(expected) == len(wanted)
    different = [
        f"{text}: llvm {line.text!r}, ours {ours.text!r}"
        for (_, text), (line, _), ours in zip(wanted, expected, actual, strict=True)
        if (line.words, line.text) != (ours.words, ours.text)
    ]
    assert not different, "\n".join(different)
    covered = {name for name, _ in wanted}
    names = {row[0] for row in rows if not NOT_ASSEMBLED.search(row[0])}
    assert sorted(names - covered) == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((0xBEFE3F00, 0), "SOP1 has no opcode 0x3f"),
        ((0xD7FF0000, 0), "0xd7ff0000"),
        ((0xF8000000, 0), "in no encoding"),
        ((0x7E00A600, 0), "VOP1 has no opcode 0x53"),
        ((0xD1010000, 0x000002FF), "v_add_f32 with operands"),  # VOP3 has no literal on gfx9
    ],
)
def test_refuses_what_is_no_instruction_by_name_and_bits(
    disassembler: Disassembler, words: tuple[int, int], reason: str
) -> None:
    (line,) = disassembler.ours([words])
    assert line.words == 0
    assert reason in line.text


def test_assembles_text_sections(disassembler: Disassembler) -> None:
    assert assemble(disassembler.assembler, "s_mov_b32 s0, 1\ns_endpgm\n") == [0xBE800081, 0xBF810000]
