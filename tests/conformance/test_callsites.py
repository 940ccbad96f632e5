# SPDX-License-Identifier: MIT
"""A user's own calls: what is found in source text, and what the published releases do to it.

The releases are those of the committed surveys in docs/report, so nothing is read from the index.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from conformance.callsites.calls import CONFIG, OP, Call
from conformance.callsites.judging import CallFinding, Severity, judge_call
from conformance.callsites.scanning import scan_files, scan_source
from conformance.errors import SelectionError
from conformance.matrix import load_matrix
from conformance.report.surveys import read_surveys
from conformance.survey.facts import WheelFacts
from conformance.wheels import Wheel

ROOT = Path(__file__).resolve().parents[2]
STABLE = ("1.0.0", "1.1.1", "1.2.0", "1.2.1", "1.2.2", "1.2.3", "1.2.3.post1", "1.2.4")
ALL_BUT_1_0_0 = set(STABLE[1:])


@pytest.fixture(scope="module")
def releases() -> dict[str, tuple[Wheel, WheelFacts]]:
    """Label → wheel: the stable releases (cp310 where there is one) and nightlies."""
    surveys = read_surveys(ROOT / "docs" / "report" / "surveys.json")
    return {
        wheel.version: (wheel, surveys[wheel.sha256])
        for wheel in load_matrix(ROOT / "matrix.toml").every_wheel
        if wheel.sha256 in surveys and (wheel.python == "cp310" or wheel.version == "1.0.0")
    }


def scan(text: str) -> tuple[Call, ...]:
    return scan_source(textwrap.dedent(text), "user.py")


def judge(text: str, releases: dict[str, tuple[Wheel, WheelFacts]], target: str) -> dict[str, list[CallFinding]]:
    """Findings for the one call of that target, per stable release."""
    (call,) = (call for call in scan(text) if call.target == target)
    reference = releases["1.2.4"][1]
    return {version: list(judge_call(call, *releases[version], reference)) for version in STABLE}


def breaking(found: dict[str, list[CallFinding]], text: str, severity: Severity = Severity.breaks) -> set[str]:
    return {
        version for version, items in found.items() if any(text in i.text and i.severity is severity for i in items)
    }


GOOD = """
    import torch
    from mori.ops import EpDispatchCombineConfig, EpDispatchCombineOp

    config = EpDispatchCombineConfig(
        data_type=torch.bfloat16, rank=0, world_size=8, hidden_dim=7168, scale_dim=0, scale_type_size=0, max_token_type_size=2,
        max_num_inp_token_per_rank=4096, num_experts_per_rank=32, num_experts_per_token=8{more}
    )
    op = EpDispatchCombineOp(config)
    {calls}
"""


def program(more: str = "", calls: str = "pass") -> str:
    return textwrap.dedent(GOOD).replace("{more}", f", {more}" if more else "").replace("{calls}", calls)


def test_a_plain_call_is_taken_by_every_release(releases: dict[str, tuple[Wheel, WheelFacts]]) -> None:
    text = program(calls="out = op.dispatch(x, w, None, ids)\nop.combine(y, None, ids)")
    for target in (CONFIG, OP, "dispatch", "combine"):
        assert not any(judge(text, releases, target).values()), target


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("import mori\nmori.ops.EpDispatchCombineConfig(1)", [CONFIG]),
        ("import mori.ops as m\nC = m.EpDispatchCombineConfig\nC(1)", [CONFIG]),
        ("from mori import ops\nops.EpDispatchCombineOp(c)", [OP]),
        ("from mori.ops import EpDispatchCombineOp as Op\nop = Op(c)\nalias = op\nalias.reset()", [OP, "reset"]),
        ("def f(op: 'EpDispatchCombineOp'):\n    return op.combine(x, None, ids)", ["combine"]),
        (
            "class A:\n def go(self):\n  self.op.dispatch(x)\n def __init__(self, op: ops.EpDispatchCombineOp):\n  self.op = op",
            ["dispatch"],
        ),
        (
            "from mori.ops import EpDispatchCombineOp as O\ndef make():\n  return O(c)\ndef use():\n  make().dispatch_send(x)",
            [OP, "dispatch_send"],
        ),
        ("def f(dist):\n    dist.dispatch(1)\n    combine(2)", []),
        ("from mori.ops.dispatch_combine_v2 import EpDispatchCombineConfig as V2\nV2(1)", []),
    ],
)
def test_calls_are_found_under_any_name(text: str, targets: list[str]) -> None:
    assert [call.target for call in scan(text)] == targets


def test_keyword_dictionaries_are_followed() -> None:
    (call,) = scan(
        """
        from mori.ops import EpDispatchCombineConfig
        BASE = {"rank": 0, "world_size": 8}
        def make(flag, **more):
            kwargs = dict(BASE, hidden_dim=64)
            kwargs["block_num"] = 16
            kwargs.update(gpu_per_node=4)
            check_mori_compatibility(kwargs)
            return EpDispatchCombineConfig(**kwargs, quant_type="none")
        """
    )
    values = {name: value.value for name, value in call.keywords}
    assert values == {
        "rank": 0, "world_size": 8, "hidden_dim": 64, "block_num": 16, "gpu_per_node": 4, "quant_type": "none"
    }  # fmt: skip
    assert call.pruned
    assert not call.open_ended


def test_arguments_that_cannot_be_seen_are_unknown_not_wrong(releases: dict[str, tuple[Wheel, WheelFacts]]) -> None:
    text = "from mori.ops import EpDispatchCombineConfig as C\ndef f(**kwargs):\n    return C(quant_type=kwargs['q'], **kwargs)"
    (call,) = scan(text)
    assert call.open_ended
    assert not any(judge(text, releases, CONFIG).values())


def test_a_name_with_two_values_has_none() -> None:
    (call,) = scan(
        """
        from mori.ops import EpDispatchCombineConfig
        quant = "none"
        if better:
            quant = "fp4_blockwise"
        EpDispatchCombineConfig(quant_type=quant, rank=RANK)
        """
    )
    assert [value.known for _, value in call.keywords] == [False, False]


@pytest.mark.parametrize(
    ("more", "text", "severity", "expected"),
    [
        ("max_total_recv_tokens=0", "unknown argument max_total_recv_tokens", "breaks", {"1.0.0"}),
        ("nonsense=1", "unknown argument nonsense", "breaks", set(STABLE)),
        ("quant_type='fp8_blockwise'", "quant_type=fp8_blockwise is unknown", "breaks", {"1.0.0", "1.1.1"}),
        ("quant_type='fp4_blockwise'", "fp4_blockwise is unknown", "breaks", {"1.0.0", "1.1.1", "1.2.0", "1.2.1"}),
        (
            "kernel_type=mori.ops.EpDispatchCombineKernelType.IntraNodeLL",
            "IntraNodeLL is unknown",
            "breaks",
            {"1.0.0", "1.1.1"},
        ),
        ("gpu_per_node=3", "aborts the process", "breaks", set(STABLE)),
        # The cap of CAP-7: below, at, and above what combine needs; with zero copy dispatch alone decides.
        ("max_total_recv_tokens=8192", "writes past its buffer", "breaks", ALL_BUT_1_0_0),
        ("max_total_recv_tokens=32768", "writes past its buffer", "breaks", set()),
        ("max_total_recv_tokens=8192, use_external_inp_buf=False", "writes past its buffer", "breaks", set()),
        ("max_total_recv_tokens=8192", "does not notice", "warning", {"1.2.3", "1.2.3.post1", "1.2.4"}),
        ("max_total_recv_tokens=int(os.environ['T'])", "writes past its buffer", "warning", ALL_BUT_1_0_0),
        ("block_num=80", "geometry of its own", "note", {"1.2.3", "1.2.3.post1", "1.2.4"}),
    ],
)
def test_what_releases_do_to_a_configuration(
    releases: dict[str, tuple[Wheel, WheelFacts]], more: str, text: str, severity: str, expected: set[str]
) -> None:
    assert breaking(judge(program(more), releases, CONFIG), text, Severity(severity)) == expected


@pytest.mark.parametrize(
    ("calls", "target", "text", "severity", "expected"),
    [
        (
            "op.dispatch(x, w, None, ids, call_local_expert_count=True)",
            "dispatch",
            "call_local_expert_count",
            "breaks",
            {"1.0.0"},
        ),
        (
            "op.dispatch(x, w, None, ids, return_routing=True)",
            "dispatch",
            "return_routing",
            "breaks",
            {"1.0.0", "1.1.1", "1.2.0"},
        ),
        ("op.dispatch(x, w, None, ids, routing=h)", "dispatch", "moves no payload", "breaks", {"1.2.3", "1.2.3.post1"}),
        ("op.dispatch(x, w)", "dispatch", "needs scales", "breaks", set(STABLE)),
        ("op.dispatch(x, w, None, ids.long())", "dispatch", "int64", "breaks", set(STABLE)),
        ("_, ids = torch.topk(s, 8)\nop.dispatch(x, w, None, ids)", "dispatch", "int64", "breaks", set(STABLE)),
        (
            "_, ids = torch.topk(s, 8)\nop.dispatch(x, w, None, ids.to(torch.int32))",
            "dispatch",
            "int64",
            "breaks",
            set(),
        ),
        (
            "a, b, c, got, n = op.dispatch(x, w, None, ids)\nop.combine(y, None, got)",
            "combine",
            "ValueError: combine gets",
            "breaks",
            {"1.2.3", "1.2.3.post1", "1.2.4"},
        ),
        (
            "r = op.dispatch(x, w, None, ids)\nop.combine(y, None, r[3].contiguous())",
            "combine",
            "accepted here",
            "warning",
            {"1.0.0", "1.1.1", "1.2.0", "1.2.1", "1.2.2"},
        ),
        ("op.brew_tea()", "brew_tea", "AttributeError", "breaks", set(STABLE)),
    ],
)
def test_what_releases_do_to_a_call_of_the_op(
    releases: dict[str, tuple[Wheel, WheelFacts]], calls: str, target: str, text: str, severity: str, expected: set[str]
) -> None:
    assert breaking(judge(program(calls=calls), releases, target), text, Severity(severity)) == expected


def test_positional_arguments_that_land_in_another_field_are_told(
    releases: dict[str, tuple[Wheel, WheelFacts]],
) -> None:
    # Written for 1.0.0: the thirteenth was use_external_inp_buf.
    text = "import mori\nmori.ops.EpDispatchCombineConfig(dtype, 0, 8, 7168, 0, 0, 2, 4096, 32, 8, 16, 80, True)"
    found = judge(text, releases, CONFIG)
    assert breaking(found, "argument 13 (True) is use_external_inp_buf here") == {"1.0.0"}
    assert breaking(found, "max_total_recv_tokens gets True, but is int") == ALL_BUT_1_0_0


def test_a_missing_gpu_per_node_is_judged_by_the_world_size(releases: dict[str, tuple[Wheel, WheelFacts]]) -> None:
    four = program().replace("world_size=8", "world_size=4")
    assert breaking(judge(four, releases, CONFIG), "aborts the process") == set(STABLE)
    unseen = program().replace("world_size=8", "world_size=group.size()")
    assert breaking(judge(unseen, releases, CONFIG), "is left at 8", Severity.warning) == set(STABLE)


def test_pruning_turns_an_exception_into_a_warning(releases: dict[str, tuple[Wheel, WheelFacts]]) -> None:
    text = """
        import mori
        kwargs = dict(rank=0, max_total_recv_tokens=0)
        check_mori_compatibility(kwargs)
        mori.ops.EpDispatchCombineConfig(**kwargs)
    """
    found = judge(text, releases, CONFIG)
    assert breaking(found, "max_total_recv_tokens") == set()
    assert breaking(found, "dropped by pruning", Severity.warning) == {"1.0.0"}


def test_a_file_that_is_not_python_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text("x = 1\ndef (:\n")
    with pytest.raises(SelectionError, match=r"bad\.py:2: not Python source"):
        scan_files([tmp_path])
    with pytest.raises(SelectionError, match="cannot be read"):
        scan_files([tmp_path / "absent.py"])


def test_every_file_of_a_folder_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.py").write_text("import mori\nmori.ops.EpDispatchCombineConfig(1)\n")
    (tmp_path / "b.py").write_text("pass\n")
    number, calls = scan_files([tmp_path, tmp_path / "b.py"])
    assert number == 2
    assert [call.line for call in calls] == [2]
