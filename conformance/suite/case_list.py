# SPDX-License-Identifier: MIT
"""The cases that the requirements are judged on. W: world size, M: most tokens, T: the cap."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.consumers import SITUATIONS
from conformance.suite.cases import Case

__all__ = ["CASES"]

_ROUND = Case("uniform", tokens=((7, 5), (3, 6)), scale_dim=4, scale_type_size=4)
# Seconds: longer than a launch of so few tokens takes.
_LATE = 0.3
_LATE_BLOCKS = (0, "EpDispatch", 1, 0.1)
# W·M = 32; arrivals at rank 0 are what all ranks send.
_TO_ONE = Case("to-one", pattern="all_to_one", tokens=((16, 16),), rounds=1, dirty=False)
_OVERFLOW = _TO_ONE.with_(alone=True, play="round_trip", rounds=2)

# With scales, so that no buffer is empty; from the registered buffer, because combine is not what this is about.
_MEASURED = Case(
    "allocations",
    tokens=((7, 5),),
    scale_dim=4,
    scale_type_size=4,
    rounds=1,
    external_input=False,
    allocations=True,
)


def _guarded(name: str, *, seed: int, rounds: int = 16, **values: Any) -> Case:
    """Random numbers of tokens, the whole range, through moriep's dispatcher."""
    world_size, most = values.get("world_size", 2), values.get("most_tokens", 16)
    counts = np.random.default_rng(seed).integers(0, most + 1, (rounds, world_size)).tolist()
    tokens = tuple(tuple(row) for row in counts)
    return Case(name, play="guarded", rounds=rounds, seed=seed, tokens=tokens, **values)


def _on_nodes(world_size: int, gpus: int) -> Case:
    """Ranks that share nodes, one of them without tokens; as many experts of a token as there are nodes, or more."""
    counts = tuple((3 * rank + 4) % 9 for rank in range(world_size))
    other = tuple((5 * rank + 3) % 9 for rank in range(world_size))
    return Case(
        f"{world_size}-ranks-nodes-of-{gpus}",
        world_size=world_size,
        gpus_per_node=gpus,
        most_tokens=8,
        tokens=(tuple(min(number, 8) for number in counts), tuple(min(number, 8) for number in other)),
        experts_per_rank=2,
        top_k=max(4, world_size // gpus),
    )


_LIST = (
    _ROUND,
    Case("skewed", pattern="skewed", tokens=((9, 11), (12, 4))),
    Case("same-rank", pattern="same_rank", tokens=((6, 7), (8, 3))),
    Case("one-sender", tokens=((8, 0), (0, 8))),
    Case("nobody", tokens=((0, 0), (5, 5), (0, 0)), rounds=3),
    Case("full", tokens=((16, 16),), top_k=8, pattern="uniform"),
    # 4 experts on each of 4 ranks: now and then the ninth is a token's only one on its rank.
    Case(
        "nine-experts",
        world_size=4,
        top_k=9,
        most_tokens=16,
        tokens=((16, 16, 16, 16), (9, 0, 16, 7)),
        pattern="uniform",
    ),
    Case("three-tokens-four-ranks", world_size=4, tokens=((3, 0, 2, 4), (0, 5, 1, 1)), most_tokens=8),
    Case("float32", dtype="float32", tokens=((7, 5), (3, 6))),
    Case("fp8", dtype="float8_e4m3fnuz", tokens=((7, 5), (3, 6)), scale_dim=2, scale_type_size=4),
    Case("odd-hidden", hidden=72, tokens=((7, 5), (3, 6))),
    # One rank sends its sums before the other has read its own: the buffer may be the one that they are sent into.
    Case(
        "registered-buffer",
        external_input=False,
        tokens=((7, 5), (3, 6)),
        late=((0, "call of combine of data set 0", _LATE), (1, "call of combine of data set 1", _LATE)),
    ),
    Case("dropped", pattern="dropped", tokens=((8, 8), (9, 7))),
    Case("out-of-range", pattern="out_of_range", tokens=((8, 8), (9, 7))),
    # What cannot be told from an id of rank 0 when it is divided.
    Case("all-dropped", pattern="dropped", top_k=1, tokens=((8, 8), (9, 7))),
    # A dispatch that does not wait for the late one has nothing but what the first left.
    Case(
        "twice",
        play="twice",
        tokens=((4, 3),),
        rounds=1,
        dirty=False,
        late=((1, "dispatch of data set 1", _LATE),),
    ),
    Case("routing", play="routing", tokens=((7, 5), (3, 6))),
    Case("replay", play="replay", tokens=((7, 5), (3, 6))),
    Case("replay-empty", play="replay", tokens=((6, 0),), rounds=1, alone=True),
    Case("cap-absent", cap=None, tokens=((16, 16),), pattern="all_to_one"),
    Case("cap-zero", cap=0, tokens=((16, 16),), pattern="all_to_one"),
    Case("cap-above", cap=40, tokens=((16, 16),), pattern="all_to_one"),
    Case("cap-odd", cap=19, tokens=((10, 10),), pattern="all_to_one"),
    Case("cap-exact", cap=20, tokens=((10, 10),), pattern="all_to_one"),
    Case("cap-exact-one-sender", cap=12, tokens=((0, 12), (12, 0)), pattern="all_to_one"),
    Case("cap-one-below", cap=20, tokens=((10, 9),), pattern="all_to_one"),
    # The last rank receives, or all do: combine sends back to where the tokens came from, with a layout of its own.
    Case("cap-last-rank", cap=24, pattern="all_to_one", target=1, tokens=((9, 15),), alone=True),
    Case("cap-small", cap=8, pattern="all_to_one", target=1, tokens=((4, 4),), alone=True),
    Case("cap-balanced", cap=24, pattern="same_rank", tokens=((16, 16),), alone=True),
    # Fewer rows than one rank sends, which is no overflow as long as it sends to several.
    Case(
        "cap-below-one-sender", cap=8, external_input=False, pattern="same_rank", tokens=((0, 16), (16, 0)), alone=True
    ),
    # Four ranks: rounded to a multiple of 4, and not only to an even number.
    Case("cap-odd-four-ranks", world_size=4, most_tokens=8, cap=13, pattern="all_to_one", tokens=((4, 4, 4, 4),)),
    # Wide rows: memory comes in pages.
    Case("cap-memory", cap=8, hidden=1024, play="construct", rounds=1),
    Case("cap-memory-none", cap=0, hidden=1024, play="construct", rounds=1),
    _MEASURED,
    _MEASURED.with_(name="allocations-capped", cap=17),
    _MEASURED.with_(name="allocations-above", cap=99),
    _OVERFLOW.with_(name="overflow-by-one", cap=20, tokens=((11, 10),)),
    _OVERFLOW.with_(name="overflow-far", cap=8),
    _OVERFLOW.with_(name="overflow-one-sender", cap=8, tokens=((0, 16),)),
    _OVERFLOW.with_(name="overflow-skewed", cap=8, pattern="skewed", tokens=((12, 12),)),
    _guarded("guard-uniform", seed=101, cap=18),
    _guarded("guard-skewed", seed=102, cap=12, pattern="skewed"),
    _guarded("guard-same-rank", seed=103, cap=9, pattern="same_rank"),
    _guarded("guard-full", seed=104, cap=0),
    _guarded("guard-four-ranks", seed=105, rounds=12, cap=14, world_size=4, most_tokens=8),
    # The edges: one below, exactly full, one above, the same for each rank as receiver.
    Case(
        "guard-edge",
        play="guarded",
        pattern="all_to_one",
        cap=20,
        tokens=((10, 9), (10, 10), (11, 10), (16, 4), (4, 16), (16, 5), (16, 16), (0, 16)),
        rounds=8,
    ),
    Case(
        "guard-edge-last",
        play="guarded",
        pattern="all_to_one",
        target=1,
        cap=20,
        tokens=((10, 9), (10, 10), (11, 10), (16, 4), (4, 16), (16, 5), (16, 16), (0, 16)),
        rounds=8,
    ),
    # Combine stages by sender: how many tokens a rank has decides, and where they go.
    _guarded("guard-external", seed=106, cap=26, combine_input="external"),
    _guarded("guard-external-skewed", seed=107, cap=24, combine_input="external", pattern="skewed"),
    Case(
        "guard-external-edge",
        play="guarded",
        pattern="all_to_one",
        target=1,
        cap=24,
        combine_input="external",
        # 24 rows of 156 bytes hold 29 rows of 128: 13 tokens are inside, 14 are not.
        tokens=((13, 11), (14, 10), (11, 13), (10, 14), (12, 12), (1, 14)),
        rounds=6,
    ),
    _guarded("guard-free", seed=108, cap=14, guard="free"),
    _guarded("guard-free-four-ranks", seed=109, rounds=12, cap=12, world_size=4, most_tokens=8, guard="free"),
    Case("one-block-one-warp", block_num=1, warps_per_block=1, tokens=((7, 5), (16, 16))),
    Case("sglang-geometry", block_num=80, warps_per_block=16, tokens=((7, 5), (3, 6))),
    Case("odd-warps", block_num=3, warps_per_block=5, tokens=((7, 5), (3, 6))),
    # IntraNodeLL, present from 1.2.0.
    Case("ll-uniform", kernel_type="IntraNodeLL", tokens=((7, 5), (3, 6)), alone=True),
    Case("ll-dropped", kernel_type="IntraNodeLL", pattern="dropped", tokens=((8, 8), (9, 7)), alone=True),
    Case("ll-out-of-range", kernel_type="IntraNodeLL", pattern="out_of_range", tokens=((8, 8), (9, 7)), alone=True),
    Case("ll-odd-warps", kernel_type="IntraNodeLL", block_num=4, warps_per_block=5, tokens=((7, 5),), alone=True),
    _OVERFLOW.with_(name="ll-overflow-by-one", kernel_type="IntraNodeLL", cap=20, tokens=((11, 10),)),
    # Payloads.
    Case(
        "fp8-ocp",
        dtype="float8_e4m3fn",
        tokens=((7, 5), (3, 6)),
        scale_dim=56,
        scale_type_size=4,
        architecture="gfx950",
    ),
    Case("fp4", dtype="float4_e2m1fn_x2", hidden=128, tokens=((7, 5), (3, 6)), scale_dim=32, scale_type_size=1),
    Case("scales-56x1", tokens=((7, 5), (3, 6)), scale_dim=56, scale_type_size=1),
    Case("scales-32x4", tokens=((7, 5), (3, 6)), scale_dim=32, scale_type_size=4),
    Case("hidden-below", hidden=128, hidden_in_use=64, tokens=((7, 5), (3, 6))),
    Case("expert-counts", count_experts=True, tokens=((7, 5), (3, 6))),
    # Combine in fp8. 448 columns are 56 blocks of 8.
    Case("direct-cast", quant_type="fp8_direct_cast", tokens=((7, 5), (3, 6))),
    Case("direct-cast-four-ranks", quant_type="fp8_direct_cast", world_size=4, most_tokens=8, tokens=((3, 0, 2, 4),)),
    Case("blockwise", quant_type="fp8_blockwise", hidden=448, tokens=((7, 5), (3, 6))),
    Case("fp4-blockwise", quant_type="fp4_blockwise", hidden=448, tokens=((7, 5), (3, 6)), architecture="gfx950"),
    # Many rounds.
    Case("many-rounds", tokens=((7, 5), (0, 16), (3, 6), (16, 1)), rounds=8),
    # Blocks of rank 0 come late, between what its first block sends and what all of them tell together.
    Case(
        "no-barriers",
        tokens=((7, 5), (0, 16), (3, 6), (16, 1)),
        rounds=8,
        barriers=False,
        dirty=False,
        late_blocks=_LATE_BLOCKS,
    ),
    Case(
        "same-call",
        tokens=((7, 5),),
        rounds=8,
        same_inputs=True,
        barriers=False,
        dirty=False,
        late_blocks=_LATE_BLOCKS,
    ),
    Case("captured", tokens=((7, 5),), rounds=4, captured=True),
    Case("two-ops", play="two_ops", tokens=((7, 5), (3, 6), (1, 9), (8, 8))),
    # The other op.
    Case("v2-uniform", second_op=True, tokens=((7, 5), (3, 6)), dirty=False),
    Case(
        "v2-four-ranks", second_op=True, world_size=4, tokens=((3, 0, 2, 4), (0, 5, 1, 1)), most_tokens=8, dirty=False
    ),
    Case("v2-dropped", second_op=True, pattern="dropped", tokens=((8, 8), (9, 7)), dirty=False),
    # AsyncLL in halves, with work between them.
    Case(
        "split", kernel_type="AsyncLL", overlap=True, tokens=((7, 5), (3, 6)), rounds=4, scale_dim=4, scale_type_size=4
    ),
    # Shapes of nodes: most and fewest ranks on one.
    *(_on_nodes(4, gpus) for gpus in (1, 2, 4)),
    *(_on_nodes(8, gpus) for gpus in (1, 2, 4, 8)),
    _on_nodes(16, 8),
    Case(
        "more-nodes-than-experts",
        kernel_type="InterNodeV1",
        block_num=16,
        world_size=4,
        gpus_per_node=1,
        most_tokens=8,
        tokens=((3, 0, 2, 4), (0, 5, 1, 1)),
        alone=True,
    ),
    # As frameworks call it.
    *(situation.case for situation in SITUATIONS),
)

CASES = {case.name: case for case in _LIST}
