# SPDX-License-Identifier: MIT
"""What is known of one consumer of MORI-EP: its arguments as functions of the deployment, and the situations worth playing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from conformance.suite.calls import Calls
from conformance.suite.cases import Case

__all__ = ["Arguments", "Consumer", "Deployment", "Situation"]

ITEM_SIZES = {"bfloat16": 2, "float32": 4, "float8_e4m3fnuz": 1, "float8_e4m3fn": 1}


@dataclass(frozen=True)
class Deployment:
    """What a consumer computes its arguments from.

    Attributes:
        world_size: ranks (W). most_tokens: tokens that one rank sends at most (M). hidden: elements of a token.
        top_k: experts of a token. experts_per_rank: experts that live on one rank.
        dtype: of the dispatched payload; params_dtype: of the model's activations; names of torch.
        cap: SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS, which only SGLang has.
        low_latency: the consumer's low-latency mode.
        node_size: GPUs of a node. Consumers ask for eight; with fewer, what they do across nodes is played on fewer ranks.
    """

    world_size: int
    most_tokens: int
    hidden: int
    top_k: int
    experts_per_rank: int
    dtype: str = "bfloat16"
    params_dtype: str = "bfloat16"
    cap: int = 0
    low_latency: bool = False
    node_size: int = 8

    @property
    def one_node(self) -> bool:
        """Whether all ranks share a node, by which consumers choose the kernels."""
        return self.world_size <= self.node_size

    @property
    def gpus_per_node(self) -> int:
        """What consumers pass as `gpu_per_node`."""
        return min(self.node_size, self.world_size)

    @property
    def item_size(self) -> int:
        """Bytes of one element of the model's activations."""
        return ITEM_SIZES[self.params_dtype]

    @property
    def quantised(self) -> bool:
        return ITEM_SIZES[self.dtype] == 1


Arguments = Callable[[Deployment], Mapping[str, int | bool | str]]


@dataclass(frozen=True)
class Situation:
    """One way in which a consumer uses the op, small enough to be played.

    Attributes:
        requirement: the id under which its outcome is a verdict.
        title: what a reader of the report calls it.
        case: what the ranks play; its `calls` are the consumer's.
        meant: the names that the consumer means by its arguments without a name, of dispatch and of combine.
        right_answer: what a correct release does: it works, or it refuses because the consumer is at fault.
        fault: the consumer's, where it has one.
        weights_return: whether the consumer uses the weights that combine returns.
    """

    requirement: str
    title: str
    case: Case
    meant: tuple[str, ...] = ()
    right_answer: Literal["works", "refuses"] = "works"
    fault: str = ""
    weights_return: bool = False


@dataclass(frozen=True)
class Consumer:
    """A framework at one commit.

    Attributes:
        name: the framework's. source: file and commit that the facts were read in, links that concern them.
        arguments: of EpDispatchCombineConfig, in its order.
        prunes: removes what the installed release does not have before it constructs.
        requirement: the id under which its arguments are judged statically; CFG-1 for SGLang.
        pins: releases or commits that it was shipped with, the latest last, where known.
        remarks: what the arguments do not show.
    """

    name: str
    source: str
    arguments: Arguments
    requirement: str
    prunes: bool = False
    pins: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    situations: tuple[Situation, ...] = field(default=())

    def kwargs(self, deployment: Deployment) -> dict[str, Any]:
        return dict(self.arguments(deployment))


def played(consumer_arguments: Arguments, deployment: Deployment, case: Case, calls: Calls) -> Case:
    """The case with the consumer's arguments, and its own fields as these arguments say."""
    arguments = consumer_arguments(deployment)
    return case.with_(
        world_size=deployment.world_size,
        most_tokens=deployment.most_tokens,
        hidden=deployment.hidden,
        top_k=deployment.top_k,
        experts_per_rank=deployment.experts_per_rank,
        dtype=deployment.dtype,
        cap=arguments.get("max_total_recv_tokens"),
        scale_dim=arguments["scale_dim"],
        scale_type_size=arguments["scale_type_size"],
        kernel_type=arguments.get("kernel_type", "IntraNode"),
        external_input=arguments.get("use_external_inp_buf", True),
        quant_type=arguments.get("quant_type", "none"),
        calls=Calls(**{**vars(calls), "arguments": tuple(arguments.items())}),
    )
