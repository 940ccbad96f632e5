# SPDX-License-Identifier: MIT
"""Cases as data: who sends how many tokens where, reproducible from the seed, and small.

A case is played in rounds. In each round every rank dispatches other data; what follows in the round is the case's `play`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from conformance.suite.calls import Calls, calls_from_json
from conformance.suite.encoding import (
    DTYPE_SIZES,
    PACKED,
    Bytes,
    Floats,
    Integers,
    encode_payload,
    encode_scales,
    encode_weights,
)

__all__ = ["PATTERNS", "PLAYS", "Case", "Inputs", "case_from_json", "case_to_json", "make_inputs"]

# Where the tokens go.
PATTERNS = (
    "uniform",  # different experts at random
    "skewed",  # most slots at the experts of the last rank
    "all_to_one",  # every slot at an expert of rank `target`
    "same_rank",  # all slots of one token at one rank, the rank changes from token to token
    "dropped",  # some slots, and all slots of some tokens, are −1
    "out_of_range",  # some slots hold ids of W·E and above
)

# What happens in a round, step by step.
PLAYS = {
    "dispatch": ("dispatch",),
    "round_trip": ("dispatch", "combine"),
    # Two dispatches in a round use different data.
    "twice": ("dispatch", "dispatch"),
    # Two ops of the same configuration; what belongs to the second ends with its name.
    "two_ops": ("dispatch", "dispatch_other", "combine", "combine_other"),
    "routing": ("dispatch_routing", "combine_routing"),
    "replay": ("dispatch_routing", "combine_routing", "replay", "combine_routing"),
    "construct": (),
    # Through moriep's dispatcher and its overflow guard: what does not fit is refused, and the round has no combine.
    "guarded": ("guarded_dispatch", "guarded_combine"),
}


@dataclass(frozen=True)
class Case:
    """One situation.

    Attributes:
        name: unique.
        world_size: ranks (W).
        most_tokens: `max_num_inp_token_per_rank` (M).
        tokens: tokens of each rank in each round; of a single number of rounds, or repeated in turn.
        hidden: elements of a token.
        top_k: experts of a token (K).
        experts_per_rank: E.
        dtype: of the payload, torch's name.
        cap: `max_total_recv_tokens` (T); None leaves the argument out.
        scale_dim, scale_type_size: scales of a token, and the bytes of each.
        pattern: one of PATTERNS; target: the rank that `all_to_one` means.
        play: one of PLAYS; rounds: how often.
        kernel_type, block_num, warps_per_block, gpus_per_node, rdma_block_num, external_input, quant_type: as the config's
            fields are called; gpus_per_node None means the world size, rdma_block_num None half of the blocks for the inter-node
            kernels (their blocks are shared by two paths) and 0 for the others.
        guard, combine_input: of moriep's dispatcher, for the play `guarded`.
        hidden_in_use: elements of a token that the calls bring, where these are fewer than the configuration's.
        same_inputs: every round brings the tensors of the first, with what they held then.
        captured: the first round calls as always; in the second dispatch and combine are captured as graphs, and replayed from
            then on, with other data in the same tensors.
        barriers: ranks meet between steps. Without, a rank goes on as soon as its own call is through.
        overlap: between the halves of a send and a receive ranks take different times, launch other work, and overwrite what
            they sent.
        architecture: the GPU that the case is about, where only one has what it needs: a virtual GPU becomes it. "": any.
        second_op: the op of `dispatch_combine_v2`, with its HIP back end.
        late: (rank, first words of a step, seconds) of ranks that come late to steps, so that a race has the same winner always.
            Here and with late blocks ranks run freely, else their kernels take turns.
        late_blocks: (rank, how a kernel's name begins, block, seconds), for a race inside of a launch: on the virtual GPU blocks
            from that one on start late, as if another kernel had the compute units until then.
        count_experts: dispatch also counts received rows by local expert.
        dirty: fill the output views between rounds.
        alone: may end the ranks: run it in processes of its own.
        seed: of everything random.
        calls: a framework's own way of calling; None for the suite's.
        allocations: after combine, ask the device for the bytes of what the op returned.
    """

    name: str
    world_size: int = 2
    most_tokens: int = 16
    tokens: tuple[tuple[int, ...], ...] = ((7, 5),)
    hidden: int = 64
    top_k: int = 3
    experts_per_rank: int = 4
    dtype: str = "bfloat16"
    cap: int | None = 0
    scale_dim: int = 0
    scale_type_size: int = 0
    pattern: str = "uniform"
    target: int = 0
    play: str = "round_trip"
    rounds: int = 2
    kernel_type: str = "IntraNode"
    block_num: int = 8
    warps_per_block: int = 4
    gpus_per_node: int | None = None
    rdma_block_num: int | None = None
    external_input: bool = True
    quant_type: str = "none"
    guard: str = "exact"
    combine_input: str = "auto"
    hidden_in_use: int | None = None
    same_inputs: bool = False
    captured: bool = False
    barriers: bool = True
    overlap: bool = False
    late: tuple[tuple[int, str, float], ...] = ()
    late_blocks: tuple[int, str, int, float] | None = None
    count_experts: bool = False
    architecture: str = ""
    second_op: bool = False
    dirty: bool = True
    alone: bool = False
    seed: int = 1
    calls: Calls | None = None
    allocations: bool = False

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS or self.play not in PLAYS or self.dtype not in DTYPE_SIZES:
            raise ValueError(
                f"case {self.name}: pattern {self.pattern}, play {self.play} or dtype {self.dtype} is unknown"
            )
        if any(len(counts) != self.world_size for counts in self.tokens):
            raise ValueError(f"case {self.name}: {self.tokens} is not one number for each of {self.world_size} ranks")
        if self.pattern in ("all_to_one", "same_rank") and self.top_k > self.experts_per_rank:
            raise ValueError(f"case {self.name}: {self.top_k} different experts do not fit on one rank")
        if self.same_inputs and self.play not in ("dispatch", "round_trip"):
            raise ValueError(f"case {self.name}: the same inputs in every round do not go with the play {self.play}")
        if self.captured and (self.play != "round_trip" or len(self.tokens) != 1):
            raise ValueError(f"case {self.name}: a graph is captured of round trips with as many tokens in every round")

    @property
    def experts(self) -> int:
        """W·E."""
        return self.world_size * self.experts_per_rank

    @property
    def scale_bytes(self) -> int:
        return self.scale_dim * self.scale_type_size

    @property
    def width(self) -> int:
        """Values of a token: the columns of what comes back from combine."""
        return self.hidden_in_use or self.hidden

    @property
    def columns(self) -> int:
        """Elements of a row of dispatch's input, fewer than its values where one element holds several."""
        return self.width // PACKED.get(self.dtype, 1)

    @property
    def expert_factor(self) -> float:
        """What experts' output is multiplied by: without a scale, fp8 holds up to 240 only."""
        return 0.125 if self.quant_type == "fp8_direct_cast" else 1.0

    @property
    def nodes(self) -> int:
        return self.world_size // (self.gpus_per_node or self.world_size)

    @property
    def combine_dtype(self) -> str:
        """fp8 and fp4 payloads are combined in bfloat16, as frameworks do."""
        return self.dtype if self.dtype in ("bfloat16", "float32") else "bfloat16"

    @property
    def rdma_blocks(self) -> int:
        if self.rdma_block_num is not None:
            return self.rdma_block_num
        return self.block_num // 2 if self.kernel_type.startswith("InterNode") else 0

    @property
    def steps(self) -> tuple[tuple[int, str], ...]:
        """(number of the data set, step), in order. A combine uses the data set of the dispatch before it, of the same op."""
        found: list[tuple[int, str]] = []
        made, current = -1, {False: -1, True: -1}
        for _ in range(self.rounds):
            for step in PLAYS[self.play]:
                other = step.endswith("_other")
                if "combine" not in step:
                    made += 1
                    current[other] = 0 if self.same_inputs else made
                found.append((current[other], step))
        return tuple(found)

    @property
    def data_sets(self) -> int:
        return 1 + max((data for data, _ in self.steps), default=0)

    def routing_of(self, data: int) -> int:
        """The data set whose expert ids count: a replay repeats the routing of the dispatch before it."""
        if self.play == "replay" and data % 2 == 1:
            return data - 1
        return data

    def counts(self, data: int) -> tuple[int, ...]:
        """Tokens of each rank in one data set. A replay sends as many as the dispatch that it repeats."""
        return self.tokens[self.routing_of(data) % len(self.tokens)]

    def with_(self, **values: Any) -> Case:
        return replace(self, **values)


@dataclass(frozen=True)
class Inputs:
    """What one rank hands to one dispatch.

    Attributes:
        payload: [tokens, hidden × size] raw bytes; weights: [tokens, top_k] float32; ids: [tokens, top_k] int32;
        scales: [tokens, scale bytes] raw bytes, no columns where the case has none.
    """

    payload: Bytes
    weights: Floats
    ids: Integers
    scales: Bytes

    @property
    def tokens(self) -> int:
        return int(self.payload.shape[0])


@dataclass(frozen=True)
class _Draw:
    case: Case
    rank: int
    generator: np.random.Generator = field(repr=False)

    def distinct(self, low: int, high: int) -> list[int]:
        return [int(low + item) for item in self.generator.permutation(high - low)[: self.case.top_k]]

    def token(self, token: int) -> list[int]:
        case, per_rank = self.case, self.case.experts_per_rank
        if case.pattern == "all_to_one":
            return self.distinct(case.target * per_rank, (case.target + 1) * per_rank)
        if case.pattern == "same_rank":
            home = (token + self.rank) % case.world_size
            return self.distinct(home * per_rank, (home + 1) * per_rank)
        ids = self.distinct(0, case.experts)
        if case.pattern == "skewed":
            last = self.distinct((case.world_size - 1) * per_rank, case.experts)
            ids = list(dict.fromkeys([*last, *ids]))[: case.top_k] if token % 4 else ids
        elif case.pattern == "dropped":
            # The first slot, the last, all of them, none: each kernel treats the first slot apart.
            lost = {0: {0}, 1: {case.top_k - 1}, 2: set(range(case.top_k)), 3: set[int]()}[token % 4]
            ids = [-1 if slot in lost else expert for slot, expert in enumerate(ids)]
        elif case.pattern == "out_of_range":
            beyond = {0: 0, 1: case.experts_per_rank, 2: 3 * case.experts}.get(token % 4)
            if beyond is not None:
                ids[token % case.top_k] = case.experts + beyond
        return ids


def make_inputs(case: Case, rank: int, data: int) -> Inputs:
    """The inputs of one rank for one data set. Every rank, and the oracle, makes the same ones."""
    tokens = case.counts(data)[rank]
    source = case.routing_of(data)
    draw = _Draw(case, rank, np.random.default_rng([case.seed, rank, source]))
    ids = [draw.token(token) for token in range(tokens)]
    return Inputs(
        payload=encode_payload(rank, tokens, case.columns, case.dtype, data),
        weights=encode_weights(rank, tokens, case.top_k, data),
        ids=np.array(ids, dtype=np.int32).reshape(tokens, case.top_k),
        scales=encode_scales(rank, tokens, case.scale_bytes, data),
    )


def case_to_json(case: Case) -> str:
    return json.dumps(asdict(case))


def case_from_json(text: str) -> Case:
    values = json.loads(text)
    values["tokens"] = tuple(tuple(counts) for counts in values["tokens"])
    values["late"] = tuple(tuple(wait) for wait in values.get("late", ()))
    values["late_blocks"] = tuple(values["late_blocks"]) if values.get("late_blocks") else None
    values["calls"] = calls_from_json(values["calls"])
    return Case(**values)
