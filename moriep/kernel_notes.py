# SPDX-License-Identifier: MIT
"""What a release's kernels do that no signature tells, for a configuration: found by running them, see docs/measured.md.

Each note names the requirement that shows it. What is said holds on every release that has the kernel type, up to the last that
was run, unless a note looks at the surface for something that came with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from moriep.surface import Surface
from moriep.vocabulary import KernelType, QuantType, name_of

__all__ = ["kernel_notes"]

_INTER_NODE = KernelType.INTER_NODE.value
_V1, _V1_LL = KernelType.INTER_NODE_V1.value, KernelType.INTER_NODE_V1_LL.value
_ASYNC = KernelType.ASYNC_LL.value
_LANES = 64
"""Of a wave: a wave of AsyncLL's dispatch routes as many tokens at once as it has lanes for their experts."""


def kernel_notes(values: Mapping[str, Any], surface: Surface) -> Iterable[str]:
    """Notes on a configuration.

    Args:
        values: the configuration's fields, defaults included.
    """
    kernel = name_of(values.get("kernel_type", ""))
    top_k = values.get("num_experts_per_token")
    # The cooperative kernel of IntraNodeLL came to stable releases together with fp4_blockwise, in 1.2.2.
    cooperative = kernel == KernelType.INTRA_NODE_LL.value and QuantType.FP4_BLOCKWISE.value in surface.quant_types
    if cooperative and isinstance(top_k, int) and top_k > 8:
        yield (
            f"IntraNodeLL looks at the first 8 experts of a token: with num_experts_per_token={top_k} a rank that only a later "
            "one names gets nothing, combine leaves it out, and nothing is raised (requirement DSP-15); IntraNode has them all"
        )
    if kernel in (_V1, _V1_LL) and _several_nodes(values):
        shows = (
            "combine can lose what another node sent, or read past its map, and dispatch receive rows of the call before"
            if kernel == _V1_LL
            else "where blocks of one rank's dispatch start late, the next dispatch can hang"
        )
        yield (
            f"{kernel} on several nodes does not wait for how many tokens another node sent: {shows} (requirement STA-5); "
            "ranks that meet after each dispatch, before combine, avoid it"
        )
    if kernel in (_ASYNC, _INTER_NODE) and values.get("use_external_inp_buf") is False:
        yield (
            f"{kernel} combine with use_external_inp_buf=False reads the buffer that peers send into: a rank that is later than "
            "they are gets wrong sums, and nothing is raised (requirement CMB-4); use_external_inp_buf=True avoids it"
        )
    if kernel == _ASYNC:
        yield "AsyncLL combine returns zeros for the sums of weights (requirement CMB-3)"
        yield from _orphan_rows(top_k, values.get("max_num_inp_token_per_rank"))


def _orphan_rows(top_k: object, tokens: object) -> Iterable[str]:
    """The rows that dispatch of AsyncLL counts and does not write. `tokens`: the most that one rank dispatches."""
    if not (isinstance(top_k, int) and isinstance(tokens, int)) or not 0 < top_k <= _LANES or _LANES % top_k == 0:
        return
    held = _LANES // top_k
    if tokens > held:
        yield (
            f"AsyncLL up to 1.2.2 counts rows that nobody writes: num_experts_per_token={top_k} does not divide {_LANES}, and "
            f"with more than {held} tokens of a rank, receivers take old memory for tokens, and a full batch writes past the "
            "peer's buffer (requirement DSP-15); no signature tells 1.2.2 from 1.2.3, which mends it"
        )


def _several_nodes(values: Mapping[str, Any]) -> bool:
    world_size, gpu_per_node = values.get("world_size"), values.get("gpu_per_node")
    return isinstance(world_size, int) and isinstance(gpu_per_node, int) and 0 < gpu_per_node < world_size
