# SPDX-License-Identifier: MIT
"""Very large kernels are cut into functions, and only those."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_rocm.compiler.container import Container
from virtual_rocm.compiler.kernel_compiler import compile_kernel
from virtual_rocm.compiler.llvm import Module, load_llvm
from virtual_rocm.compiler.outline import Size, functions_to_call, outline
from virtual_rocm.compiler.toolchain import Toolchain

from .conftest import PROGRAMS, Hipcc


def expanded(sizes: Mapping[str, Size], name: str, called: set[str]) -> int:
    """The size of a function when all but `called` became part of it."""
    size = sizes[name]
    inner = sum(count * expanded(sizes, callee, called) for callee, count in size.calls.items() if callee not in called)
    return size.instructions + inner


def uses_lds(sizes: Mapping[str, Size], name: str) -> bool:
    """Whether a function uses LDS, or something that it calls does."""
    return sizes[name].fixed or any(uses_lds(sizes, callee) for callee in sizes[name].calls)


TREE = {
    "kernel": Size(10, {"left": 2, "right": 1}),
    "left": Size(100, {"leaf": 3}),
    "right": Size(5, {}),
    "leaf": Size(40, {}),
}


@pytest.mark.parametrize(
    ("large_kernel", "large_function", "called"),
    [
        (10_000, 1, []),
        (455, 1_000, []),  # 10 + 2 × (100 + 3 × 40) + 5
        (455, 100, ["left"]),
        (455, 39, ["leaf", "left"]),
        (456, 1, []),
    ],
)
def test_what_is_called(large_kernel: int, large_function: int, called: list[str]) -> None:
    assert functions_to_call(TREE, "kernel", large_kernel, large_function) == called


def test_a_function_that_uses_lds_becomes_part_of_what_calls_it() -> None:
    fixed = {**TREE, "left": Size(100, {"leaf": 3}, fixed=True)}
    assert functions_to_call(fixed, "kernel", 0, 50) == []


def test_nor_is_called_what_a_function_that_uses_lds_becomes_part_of() -> None:
    fixed = {**TREE, "leaf": Size(40, {}, fixed=True)}
    assert functions_to_call(fixed, "kernel", 0, 4) == ["right"]


def test_a_recursion_comes_to_an_end() -> None:
    sizes = {"kernel": Size(1, {"even": 1}), "even": Size(50, {"odd": 1}), "odd": Size(50, {"even": 1})}
    assert functions_to_call(sizes, "kernel", 0, 10) == ["odd", "even"]


@st.composite
def call_graphs(draw: st.DrawFn) -> dict[str, Size]:
    """Graphs without recursion, with the kernel first."""
    names = ["kernel", *(f"f{number}" for number in range(draw(st.integers(0, 7))))]
    return {
        name: Size(
            draw(st.integers(1, 100)),
            draw(st.dictionaries(st.sampled_from(names[number + 1 :]), st.integers(1, 3), max_size=3))
            if number + 1 < len(names)
            else {},
            fixed=number > 0 and draw(st.booleans()),
        )
        for number, name in enumerate(names)
    }


@given(call_graphs(), st.integers(0, 500), st.integers(1, 200))
def test_no_function_that_can_be_called_stays_large(
    sizes: dict[str, Size], large_kernel: int, large_function: int
) -> None:
    chosen = functions_to_call(sizes, "kernel", large_kernel, large_function)
    called = set(chosen)
    assert len(chosen) == len(called)
    assert not any(uses_lds(sizes, name) for name in called)
    if expanded(sizes, "kernel", set()) < large_kernel:
        assert not called
    for name in called:
        assert expanded(sizes, name, called - {name}) > large_function
    if called:
        reached = {"kernel"}
        while more := {callee for name in reached for callee in sizes[name].calls} - reached:
            reached |= more
        for name in reached - called - {"kernel"}:
            assert uses_lds(sizes, name) or expanded(sizes, name, called) <= large_function


@pytest.fixture(scope="module")
def container(hipcc: Hipcc, tmp_path_factory: pytest.TempPathFactory) -> Container:
    file = tmp_path_factory.mktemp("outline") / "it.hsaco"
    hipcc("--genco", "--offload-arch=gfx942", "-O2", PROGRAMS / "outlined.hip", "-o", file)
    return Container.read(file)


def module_of(toolchain: Toolchain, container: Container, kernel: str) -> Module:
    module = Module.parse(load_llvm(toolchain.library), container.bitcode, "it")
    module.share_variables(define=False)
    module.keep_only(kernel)
    return module


def test_the_call_graph_of_a_module(toolchain: Toolchain, container: Container) -> None:
    module = module_of(toolchain, container, "sum_of_squares")
    graph = module.call_graph()
    assert graph["sum_of_squares"][1]["_Z5totalPKii"] == 2
    assert graph["_Z5totalPKii"][1]["_Z6squarei"] == 1
    assert module.functions_with_lds() == {"_Z11through_ldsi"}


def test_a_module_without_its_lines_has_the_same_call_graph(toolchain: Toolchain, container: Container) -> None:
    module = module_of(toolchain, container, "sum_of_squares")
    functions = {name: calls for name, (_, calls) in module.call_graph().items()}
    size = len(module.bitcode())
    module.strip()
    assert {name: calls for name, (_, calls) in module.call_graph().items()} == functions
    assert len(module.bitcode()) < size


def test_an_ordinary_kernel_is_left_alone(toolchain: Toolchain, container: Container) -> None:
    assert outline(module_of(toolchain, container, "sum_of_squares"), "sum_of_squares") == []


def test_a_large_kernel_calls_its_functions_and_keeps_lds_to_itself(
    toolchain: Toolchain,
    container: Container,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    llvm_tool: Callable[[str], str],
) -> None:
    monkeypatch.setattr("virtual_rocm.compiler.outline.LARGE_KERNEL", 0)
    monkeypatch.setattr("virtual_rocm.compiler.outline.LARGE_FUNCTION", 1)
    file = tmp_path / "it.hsaco"
    file.write_bytes(compile_kernel(toolchain, container, "sum_of_squares"))
    text = subprocess.run(
        [llvm_tool("llvm-objdump"), "-d", str(file)], capture_output=True, text=True, check=True
    ).stdout
    assert "s_swappc_b64" in text
    assert "<_Z5totalPKii>:" in text
    assert "<_Z11through_ldsi>:" not in text
    assert "<_Z8exchangei>:" not in text
