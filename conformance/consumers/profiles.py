# SPDX-License-Identifier: MIT
"""The consumers, as read in their public sources. W: world size, M: most tokens of a rank.

Arguments stand in each consumer's own order. Geometry is that of one node on gfx942 where a consumer distinguishes.
"""

from __future__ import annotations

from dataclasses import replace

from conformance.consumers.profile import Consumer, Deployment, Situation, played
from conformance.suite.calls import Calls
from conformance.suite.cases import Case

__all__ = ["CONSUMERS", "SITUATIONS"]

_Arguments = dict[str, int | bool | str]
_RECEIVED_IDS = (
    "passes the ids of the received rows to combine, which wants those of the rows that this rank dispatched"
)
_NO_NODE = "leaves gpu_per_node at 8, which a smaller world size is no multiple of"


def _sizes(deployment: Deployment) -> _Arguments:
    return {
        "max_num_inp_token_per_rank": deployment.most_tokens,
        "num_experts_per_rank": deployment.experts_per_rank,
        "num_experts_per_token": deployment.top_k,
    }


def _place(deployment: Deployment) -> _Arguments:
    return {"rank": 0, "world_size": deployment.world_size}


def _sglang(deployment: Deployment) -> _Arguments:
    intra = deployment.one_node and not deployment.low_latency
    # SGLANG_MORI_DISPATCH_INTER_KERNEL_SWITCH_THRESHOLD is 256 unless it is set.
    across = "InterNodeV1LL" if deployment.most_tokens <= 256 else "InterNodeV1"
    kernel = "AsyncLL" if deployment.low_latency else "IntraNode" if intra else across
    warps, blocks, rdma = (16, 80, 0) if intra else (8, 64, 32)
    return {
        "data_type": deployment.dtype,
        **_place(deployment),
        "hidden_dim": deployment.hidden,
        "scale_dim": deployment.hidden // 128 if deployment.quantised else 0,
        "scale_type_size": 4,
        "max_token_type_size": deployment.item_size,
        **_sizes(deployment),
        "warp_num_per_block": warps,
        "block_num": blocks,
        "max_total_recv_tokens": deployment.cap,
        "use_external_inp_buf": True,
        "kernel_type": kernel,
        "gpu_per_node": deployment.gpus_per_node,
        "rdma_block_num": rdma,
        "num_qp_per_pe": 2,
        "quant_type": "none",
    }


def _vllm(deployment: Deployment) -> _Arguments:
    intra = deployment.one_node
    warps, blocks, rdma = (16, 80, 0) if intra else (16, 32, 16)
    return {
        **_place(deployment),
        "data_type": deployment.dtype,
        "hidden_dim": deployment.hidden,
        "scale_dim": deployment.hidden // 128 if deployment.quantised else 0,
        "scale_type_size": 4 if deployment.quantised else 0,
        "max_token_type_size": deployment.item_size,
        **_sizes(deployment),
        "warp_num_per_block": warps,
        "block_num": blocks,
        "kernel_type": "IntraNode" if intra else "InterNodeV1",
        "rdma_block_num": rdma,
        "gpu_per_node": deployment.gpus_per_node,
    }


def _aiter(deployment: Deployment) -> _Arguments:
    low_latency: _Arguments = {
        "warp_num_per_block": 8,
        "block_num": 96,
        "kernel_type": "AsyncLL",
        "rdma_block_num": 64,
        "num_qp_per_pe": 2,
    }
    return {**_vllm(deployment), "quant_type": "none", **(low_latency if deployment.low_latency else {})}


def _atom(deployment: Deployment) -> _Arguments:
    # Its op comes from aiter's manager, with a geometry of its own in low latency.
    own: _Arguments = {"block_num": 64, "rdma_block_num": 32} if deployment.low_latency else {}
    return {**_aiter(deployment), **own}


def _rtp_llm(deployment: Deployment) -> _Arguments:
    intra = deployment.one_node
    return {
        "data_type": deployment.dtype,
        **_place(deployment),
        "hidden_dim": deployment.hidden,
        "scale_dim": 0,
        "scale_type_size": 0,
        "max_token_type_size": deployment.item_size,
        **_sizes(deployment),
        "warp_num_per_block": 16,
        "block_num": 80 if intra else 32,
        "use_external_inp_buf": True,
        "kernel_type": "IntraNode" if intra else "InterNodeV1",
        "gpu_per_node": deployment.gpus_per_node,
        "rdma_block_num": 0 if intra else 16,
        "num_qp_per_pe": 1,
        "quant_type": "none",
    }


def _primus(deployment: Deployment) -> _Arguments:
    return {
        "data_type": deployment.dtype,
        **_place(deployment),
        "hidden_dim": deployment.hidden,
        "scale_dim": 0,
        "scale_type_size": 0,
        "max_token_type_size": deployment.item_size,
        **_sizes(deployment),
        "warp_num_per_block": 16,
        "block_num": 80,
        "max_total_recv_tokens": 0,
        "use_external_inp_buf": True,
        "kernel_type": "IntraNode",
        # The number of GPUs that torch sees: all of the node's ranks here.
        "gpu_per_node": deployment.gpus_per_node,
        "rdma_block_num": 0,
        "num_qp_per_pe": 2,
        "quant_type": "none",
    }


def _megatron(deployment: Deployment) -> _Arguments:
    return {
        "data_type": deployment.dtype,
        **_place(deployment),
        "hidden_dim": deployment.hidden,
        "scale_dim": deployment.hidden // 128 if deployment.quantised else 0,
        "scale_type_size": 1,
        "max_token_type_size": 4,
        **_sizes(deployment),
        "kernel_type": "IntraNode" if deployment.one_node else "InterNodeV1",
    }


def _inferencex(deployment: Deployment) -> _Arguments:
    return {
        "data_type": deployment.dtype,
        **_place(deployment),
        "hidden_dim": deployment.hidden,
        "scale_dim": 0,
        "scale_type_size": 1,
        "max_token_type_size": 4,
        **_sizes(deployment),
        "use_external_inp_buf": False,
        "quant_type": "none",
    }


def _inferencex_low_latency(deployment: Deployment) -> _Arguments:
    return {**_inferencex(deployment), "kernel_type": "IntraNodeLL"}


# What is played: small, and with unequal numbers of tokens, so that no two ranks agree by accident.
_TWO = Deployment(world_size=2, most_tokens=16, hidden=64, top_k=3, experts_per_rank=4)
_EIGHT = Deployment(world_size=8, most_tokens=4, hidden=64, top_k=3, experts_per_rank=2)
_FP8 = replace(_TWO, hidden=256, dtype="float8_e4m3fnuz")
_LOW_LATENCY = replace(_TWO, low_latency=True)
# Two nodes of two GPUs, where a consumer has two of eight: the same kernels, with fewer ranks to wait for.
_NODES = Deployment(world_size=4, most_tokens=16, hidden=64, top_k=3, experts_per_rank=4, node_size=2)
_TWO_RANKS = Case("-", tokens=((7, 5), (3, 6)), alone=True)
_FOUR_RANKS = _TWO_RANKS.with_(world_size=4, tokens=((7, 5, 0, 6), (3, 6, 4, 1)))
_EIGHT_RANKS = Case("-", world_size=8, tokens=((3, 1, 4, 1, 0, 2, 4, 3),), rounds=1, alone=True)
# Each rank receives 16 of at most 32.
_CAPPED = _TWO_RANKS.with_(pattern="same_rank", tokens=((16, 16),))

_NOTHING = Calls(arguments=())
_COUNTING = replace(_NOTHING, prunes=True, dispatch_keywords=(("call_local_expert_count", True),))
# In low latency the counting comes with the second half.
_COUNTING_LATE = replace(_NOTHING, prunes=True, receive_keywords=(("call_local_expert_count", True),))
_RECEIVED = replace(_NOTHING, combine_ids="received")
# Prefill: 128 blocks of 16 warps, meant as (block_num, warp_per_block).
_POSITIONAL = replace(_NOTHING, dispatch_positional=(128, 16), combine_positional=(128, 16))
_NAMED = (("block_num", 80), ("rdma_block_num", 0))
_ZERO_COPY = replace(
    _RECEIVED,
    scales="empty",
    dispatch_keywords=(*_NAMED, ("warp_per_block", 16)),
    combine_keywords=(*_NAMED, ("warp_per_block", 8)),
)


def _case(name: str, case: Case) -> Case:
    return case.with_(name=f"consumer-{name}")


CONSUMERS: tuple[Consumer, ...] = (
    Consumer(
        name="SGLang",
        source="sgl-project/sglang python/sglang/srt/layers/moe/token_dispatcher/moriep.py (0202c267); #22329",
        arguments=_sglang,
        requirement="CFG-1",
        prunes=True,
        pins=("v0.1.0", "v1.1.0", "v1.1.1", "v1.2.0", "v1.2.1", "v1.2.3", "v1.2.3.post1"),
        remarks=("combine with the ids that it dispatched", "dispatch with call_local_expert_count"),
        situations=(
            Situation("CON-1", "bf16, normal mode", played(_sglang, _TWO, _case("sglang-bf16", _TWO_RANKS), _COUNTING)),
            Situation(
                "CON-2",
                "fp8 with block scales, normal mode",
                played(_sglang, _FP8, _case("sglang-fp8", _TWO_RANKS), _COUNTING),
            ),
            Situation(
                "CON-3",
                "SGLANG_MORI_PREALLOC_MAX_RECV_TOKENS below the maximum, and no less than what arrives",
                played(_sglang, replace(_TWO, cap=24), _case("sglang-cap", _CAPPED), _COUNTING),
            ),
            Situation(
                "CON-13",
                "bf16, low latency, AsyncLL",
                played(_sglang, _LOW_LATENCY, _case("sglang-low-latency", _TWO_RANKS), _COUNTING_LATE),
            ),
            Situation(
                "CON-14",
                "bf16, two nodes, at most 256 tokens per rank, InterNodeV1LL",
                played(_sglang, _NODES, _case("sglang-nodes-few", _FOUR_RANKS), _COUNTING),
            ),
            Situation(
                "CON-15",
                "bf16, two nodes, more than 256 tokens per rank, InterNodeV1",
                played(_sglang, replace(_NODES, most_tokens=264), _case("sglang-nodes-many", _FOUR_RANKS), _COUNTING),
            ),
        ),
    ),
    Consumer(
        name="vLLM",
        source="vllm-project/vllm vllm/distributed/device_communicators/all2all.py (00143004); #28664, #52639",
        arguments=_vllm,
        requirement="CFG-11",
        remarks=("keeps one op for each set of arguments",),
        situations=(
            Situation(
                "CON-4",
                "bf16",
                played(_vllm, _TWO, _case("vllm", _TWO_RANKS), _RECEIVED),
                right_answer="refuses",
                fault=_RECEIVED_IDS,
            ),
            Situation(
                "CON-16",
                "bf16, two nodes, InterNodeV1",
                played(_vllm, _NODES, _case("vllm-nodes", _FOUR_RANKS), _RECEIVED),
                right_answer="refuses",
                fault=_RECEIVED_IDS,
            ),
        ),
    ),
    Consumer(
        name="aiter",
        source="ROCm/aiter aiter/dist/device_communicators/all2all.py (e4048607); #4746",
        arguments=_aiter,
        requirement="CFG-12",
        remarks=(
            "its own test hands the weights that it dispatched to combine, not those that it received",
            "so where more rows arrive than it sent, the kernel reads past them, and the weights that come back mean nothing",
        ),
        situations=(
            Situation(
                "CON-5",
                "bf16",
                played(_aiter, _TWO, _case("aiter", _TWO_RANKS), replace(_NOTHING, combine_weights="own")),
            ),
            Situation(
                "CON-17",
                "bf16, low latency, AsyncLL",
                played(_aiter, _LOW_LATENCY, _case("aiter-low-latency", _TWO_RANKS), _NOTHING),
            ),
            Situation(
                "CON-18",
                "bf16, two nodes, InterNodeV1",
                played(_aiter, _NODES, _case("aiter-nodes", _FOUR_RANKS), _NOTHING),
            ),
        ),
    ),
    Consumer(
        name="ATOM",
        source="ROCm/ATOM atom/model_ops/fused_moe/mori_prepare_finalize.py (ffdf3bb5)",
        arguments=_atom,
        requirement="CFG-13",
        remarks=("its image installs whatever nightly is the latest", "combine with the ids that it dispatched"),
        situations=(
            Situation(
                "CON-6",
                "bf16, prefill",
                played(_atom, _TWO, _case("atom", _TWO_RANKS), _POSITIONAL),
                meant=("block_num", "warp_per_block"),
                fault="passes (block_num, warp_per_block) by position, where the op has (block_num, rdma_block_num)",
            ),
            Situation(
                "CON-19",
                "bf16, decode in two batches, AsyncLL",
                played(_atom, _LOW_LATENCY, _case("atom-low-latency", _TWO_RANKS), _NOTHING),
            ),
        ),
    ),
    Consumer(
        name="rtp-llm",
        source="alibaba/rtp-llm rtp_llm/models_py/distributed/moriep_wrapper.py (4b8d39cd); #1325",
        arguments=_rtp_llm,
        requirement="CFG-14",
        remarks=("combine with the ids that it dispatched since #1325",),
        situations=(
            Situation(
                "CON-7",
                "bf16, before #1325",
                played(_rtp_llm, _TWO, _case("rtp-llm", _TWO_RANKS), _RECEIVED),
                right_answer="refuses",
                fault=_RECEIVED_IDS,
            ),
            Situation(
                "CON-20",
                "bf16, two nodes, InterNodeV1, before #1325",
                played(_rtp_llm, _NODES, _case("rtp-llm-nodes", _FOUR_RANKS), _RECEIVED),
                right_answer="refuses",
                fault=_RECEIVED_IDS,
            ),
        ),
    ),
    Consumer(
        name="Primus-Turbo",
        source="AMD-AGI/Primus-Turbo _backend/mori.py (177c2451)",
        arguments=_primus,
        requirement="CFG-15",
        prunes=True,
        remarks=("gpu_per_node is torch.cuda.device_count(): with fewer ranks than GPUs the constructor aborts",),
        situations=(
            Situation(
                "CON-8",
                "bf16",
                played(_primus, _TWO, _case("primus-turbo", _TWO_RANKS), replace(_RECEIVED, prunes=True)),
                right_answer="refuses",
                fault=_RECEIVED_IDS,
            ),
        ),
    ),
    Consumer(
        name="Megatron-LM",
        source="ROCm/Megatron-LM megatron/core/transformer/moe/fused_a2a.py; #135",
        arguments=_megatron,
        requirement="CFG-16",
        remarks=("its backward pass repeats the dispatch of the forward pass through the routing handle",),
        situations=(
            Situation(
                "CON-9",
                "bf16, 2 ranks",
                played(_megatron, _TWO, _case("megatron-two-ranks", _TWO_RANKS), _NOTHING),
                right_answer="refuses",
                fault=_NO_NODE,
            ),
            Situation(
                "CON-10",
                "bf16, 8 ranks, forward and backward",
                played(
                    _megatron,
                    _EIGHT,
                    _case("megatron-backward", _EIGHT_RANKS.with_(play="replay", tokens=((3, 1, 4, 1, 2, 2, 4, 3),))),
                    replace(_NOTHING, combine_weights="received"),
                ),
                weights_return=True,
            ),
        ),
    ),
    Consumer(
        name="InferenceX",
        source="SemiAnalysisAI/InferenceX bench/ep_mori.py (029c357a)",
        arguments=_inferencex,
        requirement="CFG-17",
        remarks=("sets MORI_EP_LAUNCH_CONFIG_MODE=MANUAL, which is the default", _NO_NODE),
        situations=(
            Situation(
                "CON-11",
                "bf16, zero copy, IntraNode, 8 ranks",
                played(_inferencex, _EIGHT, _case("inferencex", _EIGHT_RANKS), _ZERO_COPY),
                right_answer="refuses",
                fault=_RECEIVED_IDS,
            ),
            Situation(
                "CON-12",
                "bf16, zero copy, IntraNodeLL, 8 ranks, combine with the ids that it dispatched",
                played(
                    _inferencex_low_latency,
                    _EIGHT,
                    _case("inferencex-ll", _EIGHT_RANKS),
                    replace(_ZERO_COPY, combine_ids="own"),
                ),
            ),
        ),
    ),
)

SITUATIONS: tuple[Situation, ...] = tuple(item for consumer in CONSUMERS for item in consumer.situations)
