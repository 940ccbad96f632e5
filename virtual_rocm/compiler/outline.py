# SPDX-License-Identifier: MIT
"""Which functions of a very large kernel stay functions.

Normally everything becomes part of the kernel, as AMD's hipcc has it. But LLVM's time grows with the square of a kernel's
size: loop passes, the structurizer and the register coalescer each go through the whole function for each of its loops and
regions. A kernel that is an instance of twenty templates for each of ten counts takes minutes. Such a kernel is cut into
functions that are called, each of which is small enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from virtual_rocm.compiler.llvm import Module

__all__ = [
    "LARGE_FUNCTION",
    "LARGE_KERNEL",
    "Size",
    "call_everything",
    "functions_to_call",
    "outline",
    "with_what_is_inlined",
]

# In instructions of the module before optimisation, everything that is called counted where it is called.
LARGE_KERNEL = 60_000
LARGE_FUNCTION = 4_000


@dataclass(frozen=True)
class Size:
    """What decides whether a function stays one.

    Attributes:
        instructions: how many it has itself, before optimisation.
        calls: for each function that it calls, how often.
        fixed: whether it has to become part of the kernel whatever its size, and with it all that call it.
    """

    instructions: int
    calls: Mapping[str, int]
    fixed: bool = False


def functions_to_call(sizes: Mapping[str, Size], kernel: str, large_kernel: int, large_function: int) -> list[str]:
    """The functions of a kernel that are to be called, from the innermost outwards; none if the kernel is not large.

    Args:
        sizes: of all functions that the kernel needs, itself included.
        kernel: the name of the kernel.
        large_kernel: a kernel of fewer instructions than that, calls expanded, is left alone.
        large_function: a function that has more, after what it calls itself is taken out, is called.
    """
    order = _innermost_first(sizes, kernel)
    inlined: dict[str, int] = {}
    for name in order:
        inlined[name] = _with_calls(sizes[name], inlined)
    if inlined[kernel] < large_kernel:
        return []
    fixed = with_what_is_inlined(sizes)
    left: dict[str, int] = {}
    called = []
    for name in order:
        left[name] = _with_calls(sizes[name], left)
        if left[name] > large_function and name != kernel and name not in fixed:
            called.append(name)
            left[name] = 0
    return called


def _with_calls(size: Size, callees: Mapping[str, int]) -> int:
    """The instructions of a function together with those of what it calls; of a recursion once."""
    return size.instructions + sum(count * callees.get(name, 0) for name, count in size.calls.items())


def with_what_is_inlined(sizes: Mapping[str, Size]) -> set[str]:
    """The fixed functions, and those that get one of them inlined, for which the same then holds."""
    fixed = {name for name, size in sizes.items() if size.fixed}
    while more := {name for name, size in sizes.items() if name not in fixed and fixed & size.calls.keys()}:
        fixed |= more
    return fixed


def _innermost_first(sizes: Mapping[str, Size], kernel: str) -> list[str]:
    """The functions that a kernel reaches, each behind those that it calls; of a recursion the first that was met is last."""
    order: list[str] = []
    seen = {kernel}
    stack = [(kernel, iter(sizes[kernel].calls))]
    while stack:
        name, callees = stack[-1]
        callee = next((c for c in callees if c in sizes and c not in seen), None)
        if callee is None:
            order.append(name)
            stack.pop()
        else:
            seen.add(callee)
            stack.append((callee, iter(sizes[callee].calls)))
    return order


def outline(module: Module, kernel: str) -> list[str]:
    """Cuts a kernel's module, if it is large, and returns the names of the functions that are called from now on.

    All others are marked so that they become part of what calls them. Functions that use LDS do so always, and what they
    become part of as well: in a function that is called, clang 19 loses the address of dynamic LDS.
    """
    called = functions_to_call(_sizes(module), kernel, LARGE_KERNEL, LARGE_FUNCTION)
    if called:
        module.inline_all_but(called, [kernel])
    return called


def call_everything(module: Module) -> None:
    """Lets every function be called but those that use LDS, in all kernels of a module."""
    sizes = _sizes(module)
    module.inline_all_but(sizes.keys() - with_what_is_inlined(sizes), module.kernels())


def _sizes(module: Module) -> dict[str, Size]:
    in_lds = module.functions_with_lds()
    return {
        name: Size(instructions, calls, fixed=name in in_lds)
        for name, (instructions, calls) in module.call_graph().items()
    }
