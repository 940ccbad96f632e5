# SPDX-License-Identifier: MIT
"""What differs between releases in how MORI-EP sizes its buffers, as data.

Read from `src/ops/dispatch_combine/dispatch_combine.cpp` and
`include/mori/ops/dispatch_combine/dispatch_combine.hpp` of every stable wheel, cp310 and cp312, and of one
newest nightly. The two wheels of 1.1.1 are not the same code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from moriep.errors import CapacityError
from moriep.surface import Surface
from moriep.vocabulary import KernelType, QuantType

__all__ = ["LAYOUTS", "BufferLayout", "layout_for_release", "layout_for_surface"]


@dataclass(frozen=True)
class BufferLayout:
    """One line of releases whose allocations follow the same formulas.

    Attributes:
        line: what messages call it.
        releases: the wheels that it was read from, `version` or `version@tag` where the tags differ.
        kernel_types, quant_types: what these releases know.
        receive_cap: whether `max_total_recv_tokens` exists.
        buffers_by_kernel_type: False in 1.0.0, which allocates one set of five buffers for all kernel types.
        source_token_in_transfer: whether a transferred token carries the 4 bytes of its source id.
        v1_dispatch_staging: whether InterNodeV1 and V1LL send from a buffer apart from `staging`.
        async_dispatch_staging: the same for AsyncLL.
        local_expert_count: whether the Python op allocates the tensor of that name.
        int32_products: which element counts are multiplied in a 32-bit int, and wrap beyond 2³¹ − 1.
        descriptor_bytes: sizeof(SymmMemObj), of which a device copy goes with each symmetric buffer
            (`include/mori/application/application_device_types.hpp`).
    """

    line: str
    releases: tuple[str, ...]
    kernel_types: frozenset[KernelType]
    quant_types: frozenset[QuantType]
    receive_cap: bool = True
    buffers_by_kernel_type: bool = True
    source_token_in_transfer: bool = True
    v1_dispatch_staging: bool = False
    async_dispatch_staging: bool = False
    local_expert_count: bool = True
    int32_products: frozenset[str] = frozenset()
    descriptor_bytes: int = 136


_FIVE_KERNELS = frozenset(KernelType) - {KernelType.INTRA_NODE_LL}
_DIRECT = frozenset({QuantType.NONE, QuantType.FP8_DIRECT_CAST})
_FP8 = _DIRECT | {QuantType.FP8_BLOCKWISE}
_ALL_NARROW = frozenset({"weights", "scales", "indices", "maps"})

_LAYOUT_1_0_0 = BufferLayout(
    line="1.0.0",
    releases=("1.0.0",),
    kernel_types=_FIVE_KERNELS,
    quant_types=_DIRECT,
    receive_cap=False,
    buffers_by_kernel_type=False,
    source_token_in_transfer=False,
    local_expert_count=False,
    int32_products=_ALL_NARROW,
    descriptor_bytes=128,
)
_LAYOUT_1_1_1_CP310 = BufferLayout(
    line="1.1.1 (cp310)",
    releases=("1.1.1@cp310",),
    kernel_types=_FIVE_KERNELS,
    quant_types=_DIRECT,
    int32_products=_ALL_NARROW,
    descriptor_bytes=128,
)
_LAYOUT_1_1_1_CP312 = replace(
    _LAYOUT_1_1_1_CP310,
    line="1.1.1 (cp312)",
    # The first nightly is this code, byte for byte, in the two files that decide sizes.
    releases=("1.1.1@cp312", "1.1.1.dev20260520"),
    quant_types=_FP8,
    int32_products=_ALL_NARROW - {"scales"},
)
_LAYOUT_1_2_0 = replace(
    _LAYOUT_1_1_1_CP312,
    line="1.2.0",
    releases=("1.2.0",),
    kernel_types=frozenset(KernelType),
    v1_dispatch_staging=True,
    descriptor_bytes=136,
)
_LAYOUT_1_2_1 = replace(_LAYOUT_1_2_0, line="1.2.1", releases=("1.2.1",), int32_products=frozenset())
_LAYOUT_1_2_2 = replace(
    _LAYOUT_1_2_1,
    line="1.2.2 to 1.2.4",
    releases=("1.2.2", "1.2.3", "1.2.3.post1", "1.2.4"),
    quant_types=frozenset(QuantType),
)
_LAYOUT_NIGHTLY = replace(
    _LAYOUT_1_2_2,
    line="1.2.5 nightly",
    releases=("1.2.5.dev20261026",),
    async_dispatch_staging=True,
)

LAYOUTS: tuple[BufferLayout, ...] = (
    _LAYOUT_1_0_0,
    _LAYOUT_1_1_1_CP310,
    _LAYOUT_1_1_1_CP312,
    _LAYOUT_1_2_0,
    _LAYOUT_1_2_1,
    _LAYOUT_1_2_2,
    _LAYOUT_NIGHTLY,
)


def layout_for_release(release: str) -> BufferLayout:
    """The layout of a wheel that was read: `1.2.4`, `1.1.1@cp312`, `1.2.4@cp310`.

    Raises:
        CapacityError: for a release that was not read, and for `1.1.1` without a tag, whose two wheels
            differ.
    """
    by_release = {name: layout for layout in LAYOUTS for name in layout.releases}
    found = by_release.get(release) or by_release.get(release.partition("@")[0])
    if found is None:
        tagged = [name for name in by_release if name.startswith(f"{release}@")]
        hint = f"say which of {', '.join(tagged)}" if tagged else f"known: {', '.join(by_release)}"
        raise CapacityError(f"no buffer layout for MORI {release}; {hint}")
    return found


def layout_for_surface(surface: Surface) -> BufferLayout:
    """The layout that a surface's features imply, for a release that is not known by name.

    Exact for every stable wheel. A nightly may add a buffer that its surface does not show: those of
    2026-06-03 know IntraNodeLL but not yet the dispatch staging of V1, those since 2026-10-24 have one more
    for AsyncLL.
    """
    quant_types = set(surface.quant_types)
    if "max_total_recv_tokens" not in surface.config.field_names:
        return _LAYOUT_1_0_0
    if QuantType.FP4_BLOCKWISE.value in quant_types or not quant_types:
        return _LAYOUT_1_2_2
    dispatch = surface.op.method("dispatch")
    if dispatch is not None and dispatch.accepts_keyword("routing"):
        return _LAYOUT_1_2_1
    if KernelType.INTRA_NODE_LL.value in surface.kernel_types:
        return _LAYOUT_1_2_0
    return _LAYOUT_1_1_1_CP312 if QuantType.FP8_BLOCKWISE.value in quant_types else _LAYOUT_1_1_1_CP310
