# SPDX-License-Identifier: MIT
"""The space of situations: dimensions with their values, and the constraints between them, as data.

A situation gives each dimension one of its values. Values are what people say (`tokens` = "one_sender"); `make_case` turns them
into the numbers of a case. W: world size, M: most tokens, E: experts per rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from conformance.errors import ConformanceError
from conformance.suite.cases import Case
from conformance.suite.encoding import DTYPE_SIZES
from conformance.suite.oracle import make_world

__all__ = [
    "HEAPS",
    "KERNEL_TYPES",
    "Constraint",
    "Dimension",
    "ExplorationError",
    "Situation",
    "Space",
    "Value",
    "make_case",
    "offered",
    "space_for",
]

Value = str | int
Situation = Mapping[str, Value]

# What MORI_SHMEM_MODE is set to: an allocation for each buffer, one heap for all, one heap that grows by chunks.
HEAPS = {"isolation": "ISOLATION", "static": "STATIC_HEAP", "vmm": "VMM_HEAP"}

KERNEL_TYPES = ("IntraNode", "IntraNodeLL", "InterNodeV1", "InterNodeV1LL", "AsyncLL", "InterNode")
_ACROSS_NODES = ("InterNodeV1", "InterNodeV1LL", "InterNode")


class ExplorationError(ConformanceError):
    """What was asked cannot be explored: an unknown dimension or kernel type, a broken file of regressions."""


@dataclass(frozen=True)
class Dimension:
    """Attributes:
    values: the simplest first; shrinking goes there.
    """

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Constraint:
    """Values that do not go together.

    Attributes:
        about: the dimensions that it looks at. reason: why, in words.
        admits: of a situation that has at least these dimensions.
    """

    about: tuple[str, ...]
    reason: str
    admits: Callable[[Situation], bool]


@dataclass(frozen=True)
class Space:
    """The situations of one kernel type on one release."""

    dimensions: tuple[Dimension, ...]
    constraints: tuple[Constraint, ...]

    def admits(self, situation: Situation) -> bool:
        return all(constraint.admits(situation) for constraint in self.constraints)

    @property
    def factors(self) -> dict[str, tuple[Value, ...]]:
        return {dimension.name: dimension.values for dimension in self.dimensions}


_SCALES = {"none": (0, 0), "4x4": (4, 4), "32x1": (32, 1), "3x1": (3, 1), "32x4": (32, 4), "56x4": (56, 4)}
_FOCUSED = ("all_to_one", "same_rank")

_DIMENSIONS = (
    Dimension("world_size", (2, 3, 4, 8)),
    Dimension("gpus_per_node", ("all", "half", "one")),
    Dimension("most_tokens", (16, 1, 5, 64, 128)),
    Dimension("tokens", ("most", "one", "odd", "ramp", "one_sender", "drawn", "none")),
    Dimension("top_k", (1, 2, 3, 4, 5, 6, 7, 8, 9)),
    Dimension("experts_per_rank", (4, 1, 2, 8, 32)),
    Dimension("pattern", ("uniform", "skewed", "all_to_one", "same_rank", "dropped", "out_of_range")),
    # 33 and 100 are not whole 16-byte vectors of any dtype, 72 is an odd multiple of one.
    Dimension("hidden", (64, 72, 100, 33, 512, 2048, 7168)),
    Dimension("hidden_in_use", ("all", "half")),
    # float8_e4m3fn has kernels on gfx950 only; the virtual GPU is a gfx942.
    Dimension("dtype", ("bfloat16", "float32", "float8_e4m3fnuz", "float4_e2m1fn_x2")),
    Dimension("quant_type", ("none", "fp8_direct_cast", "fp8_blockwise")),
    Dimension("scales", tuple(_SCALES)),
    Dimension("cap", ("zero", "absent", "exact", "spare", "below", "above")),
    Dimension("block_num", (8, 1, 2, 5, 80, 256)),
    Dimension("warps_per_block", (4, 1, 2, 3, 8, 16)),
    Dimension("rdma_blocks", ("half", "one", "most")),
    Dimension("input", ("external", "registered")),
    Dimension("play", ("round_trip", "routing", "replay")),
    Dimension("rounds", (1, 2, 3)),
    Dimension("meetings", ("each_step", "none")),
    Dimension("heap", tuple(HEAPS)),
)

# What the kernels take, per wave: beyond this a case takes minutes on the virtual GPU.
_MOST_BYTES = 12_000_000


def _gpus(situation: Situation) -> int:
    world_size = int(situation["world_size"])
    return {"all": world_size, "half": world_size // 2, "one": 1}[str(situation["gpus_per_node"])]


def _whole_nodes(situation: Situation) -> bool:
    gpus = _gpus(situation)
    return gpus > 0 and gpus & (gpus - 1) == 0 and int(situation["world_size"]) % gpus == 0


def _enough_experts(situation: Situation) -> bool:
    experts, top_k = int(situation["experts_per_rank"]), int(situation["top_k"])
    return top_k <= experts * (1 if situation["pattern"] in _FOCUSED else int(situation["world_size"]))


def _short_enough(situation: Situation) -> bool:
    tokens = int(situation["world_size"]) * int(situation["most_tokens"])
    row = int(situation["hidden"]) * DTYPE_SIZES[str(situation["dtype"])]
    return tokens * row * min(int(situation["top_k"]), int(situation["world_size"])) <= _MOST_BYTES


def _can_overflow(situation: Situation) -> bool:
    """A cap below what arrives: needs more than W tokens at some rank, whatever is drawn."""
    if situation["cap"] != "below":
        return True
    return (
        int(situation["most_tokens"]) >= 16
        and situation["tokens"] == "most"
        and situation["pattern"] not in ("dropped", "out_of_range")
    )


def _many_are_few(situation: Situation) -> bool:
    """M = 1 has no odd, drawn or ramp of its own."""
    return int(situation["most_tokens"]) > 1 or situation["tokens"] in ("most", "one_sender", "none")


def _quantises(situation: Situation) -> bool:
    if situation["quant_type"] == "none":
        return True
    # Blocks of a wide row take minutes to compile and to run here.
    short = situation["quant_type"] != "fp8_blockwise" or int(situation["hidden"]) <= 512
    return situation["dtype"] != "float32" and situation["input"] == "external" and short


_CONSTRAINTS = (
    Constraint(
        ("world_size", "gpus_per_node"),
        "the constructor aborts unless gpu_per_node is a power of two that divides the world size",
        _whole_nodes,
    ),
    Constraint(
        ("world_size", "top_k", "experts_per_rank", "pattern"),
        "a token has K different experts: of one rank for all_to_one and same_rank, of all ranks otherwise",
        _enough_experts,
    ),
    Constraint(
        ("world_size", "most_tokens", "top_k", "hidden", "dtype"),
        f"more than {_MOST_BYTES} bytes on the move take minutes on the virtual GPU",
        _short_enough,
    ),
    Constraint(
        ("quant_type", "dtype", "input", "hidden"),
        "what is quantised is combined in bfloat16, from an external buffer",
        _quantises,
    ),
    Constraint(
        ("dtype", "hidden", "hidden_in_use"),
        "two fp4 values share a byte; a call brings at least 8 values",
        lambda situation: (
            situation["dtype"] != "float4_e2m1fn_x2"
            or int(situation["hidden"]) % (4 if situation["hidden_in_use"] == "half" else 2) == 0
        ),
    ),
    Constraint(("cap", "most_tokens", "tokens", "pattern"), "not enough arrives for a cap below it", _can_overflow),
    Constraint(("most_tokens", "tokens"), "with M = 1 the other numbers of tokens are the same", _many_are_few),
    Constraint(
        ("play", "tokens"),
        "a rank that dispatched nothing cannot replay (RTE-4)",
        lambda situation: (
            situation["play"] == "round_trip" or situation["tokens"] not in ("none", "one_sender", "drawn")
        ),
    ),
)


def space_for(kernel_type: str, version: str) -> Space:
    """What is explored of a kernel type on a release: what the host refuses by design is left out.

    Raises:
        ExplorationError: there is no such kernel type, or the release does not have it.
    """
    if kernel_type not in KERNEL_TYPES:
        raise ExplorationError(f"no kernel type {kernel_type!r}; there are {', '.join(KERNEL_TYPES)}")
    known = Version(version)
    if kernel_type == "IntraNodeLL" and known not in SpecifierSet(">=1.2.0.dev0", prereleases=True):
        raise ExplorationError(f"{version} has no IntraNodeLL: it came with 1.2.0; take another kernel type")
    factors = {dimension.name: dimension.values for dimension in _DIMENSIONS}
    constraints = list(_CONSTRAINTS)
    if kernel_type not in ("IntraNode", "InterNodeV1") or known not in SpecifierSet(
        ">=1.2.1.dev20260609", prereleases=True
    ):
        factors["play"] = ("round_trip",)
    quant_types = ["none"]
    if kernel_type in ("IntraNode", "IntraNodeLL"):
        quant_types.append("fp8_direct_cast")
    if (kernel_type in ("IntraNode", "IntraNodeLL") and known >= Version("1.2.0")) or (
        kernel_type == "AsyncLL" and known >= Version("1.2.2")
    ):
        quant_types.append("fp8_blockwise")
    factors["quant_type"] = tuple(quant_types)
    if kernel_type not in _ACROSS_NODES:
        factors["rdma_blocks"] = ("half",)
    if kernel_type in _ACROSS_NODES:
        constraints += [
            Constraint(
                ("world_size", "gpus_per_node"),
                "an inter-node kernel on one node is another's work",
                lambda situation: _gpus(situation) < int(situation["world_size"]),
            ),
            Constraint(
                ("block_num", "rdma_blocks"),
                "some of the blocks serve other nodes, so there are at least two",
                lambda situation: int(situation["block_num"]) >= 2,
            ),
            Constraint(
                ("world_size", "gpus_per_node", "top_k"),
                "combine has room for as many nodes as a token has experts, and does not look (NOD-5)",
                lambda situation: int(situation["top_k"]) * _gpus(situation) >= int(situation["world_size"]),
            ),
        ]
    if kernel_type == "IntraNodeLL" and known in SpecifierSet("<1.2.2", prereleases=True):
        constraints.append(
            Constraint(
                ("warps_per_block",),
                "IntraNodeLL of 1.2.0 and 1.2.1 asserts an even number of warps (LNC-3)",
                lambda situation: int(situation["warps_per_block"]) % 2 == 0,
            )
        )
    return Space(tuple(Dimension(name, values) for name, values in factors.items()), tuple(constraints))


def offered(case: Case, version: str) -> bool:
    """Whether a release has a case's kernel type, and its quantisation for it: what came later says nothing about it."""
    try:
        factors = space_for(case.kernel_type, version).factors
    except ExplorationError:
        return False
    return case.quant_type in factors["quant_type"]


def _tokens(situation: Situation, seed: int) -> tuple[tuple[int, ...], ...]:
    """Tokens of each rank, in turn for the data sets."""
    ranks, most = int(situation["world_size"]), int(situation["most_tokens"])
    profile = situation["tokens"]
    if profile == "one_sender":
        first = tuple(most if rank == ranks - 1 else 0 for rank in range(ranks))
        return first, first[::-1]
    if profile == "drawn":
        drawn = np.random.default_rng([seed, ranks, most]).integers(0, most + 1, (3, ranks))
        return tuple(tuple(int(count) for count in row) for row in drawn)
    if profile == "ramp":
        ramp = tuple(max(1, most * (rank + 1) // ranks) for rank in range(ranks))
        return ramp, ramp[::-1]
    count = {"none": 0, "one": 1, "most": most, "odd": max(1, (most - 1) | 1 if most % 2 else most - 1)}[str(profile)]
    return ((count,) * ranks,)


def _rdma_blocks(situation: Situation, kernel_type: str) -> int | None:
    """Of the blocks of an inter-node kernel, those that serve other nodes; None for what the suite takes by itself."""
    if kernel_type not in _ACROSS_NODES or situation["rdma_blocks"] == "half":
        return None
    return 1 if situation["rdma_blocks"] == "one" else int(situation["block_num"]) - 1


def _cap(situation: Situation, case: Case) -> int | None:
    """`max_total_recv_tokens`, from what arrives at the rank where most does."""
    choice, ranks = situation["cap"], case.world_size
    if choice in ("zero", "absent"):
        return 0 if choice == "zero" else None
    if choice == "above":
        return ranks * case.most_tokens + ranks + 1
    # Routing does not depend on the width of the payload.
    narrow = case.with_(hidden=4, hidden_in_use=None, dtype="float8_e4m3fn", scale_dim=0)
    world = make_world(narrow)
    need = max(len(world.expected(data, rank)) for data in range(case.data_sets) for rank in range(ranks))
    if choice == "below":
        return max(1, (-(-need // ranks) - 1) * ranks)
    return max(1, need + (1 if choice == "spare" else 0))


def make_case(situation: Situation, *, name: str, kernel_type: str, seed: int) -> Case:
    """The case of a situation. `heap` is not part of it: see `playing.Trial`."""
    scale_dim, scale_type_size = _SCALES[str(situation["scales"])]
    values: dict[str, Any] = {
        item: situation[item]
        for item in (
            *("world_size", "most_tokens", "hidden", "top_k", "experts_per_rank", "dtype", "pattern", "play", "rounds"),
            *("block_num", "warps_per_block", "quant_type"),
        )
    }
    case = Case(
        name,
        tokens=_tokens(situation, seed),
        target=seed % int(situation["world_size"]),
        gpus_per_node=_gpus(situation),
        rdma_block_num=_rdma_blocks(situation, kernel_type),
        hidden_in_use=int(situation["hidden"]) // 2 if situation["hidden_in_use"] == "half" else None,
        external_input=situation["input"] == "external",
        barriers=situation["meetings"] == "each_step",
        kernel_type=kernel_type,
        scale_dim=scale_dim,
        scale_type_size=scale_type_size,
        seed=seed,
        **values,
    )
    return case.with_(cap=_cap(situation, case))
