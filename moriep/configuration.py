# SPDX-License-Identifier: MIT
"""From a model and an environment to the arguments of `mori.ops.EpDispatchCombineConfig`.

The rules are those of SGLang's MoRI dispatcher (`moriep.py` of its token dispatchers): which kernel, which
launch geometry, which data types and scales. Everything stays a name (see `moriep.vocabulary`) until
`materialise`, so that a configuration can be made, compared and judged on a machine with neither torch nor
mori.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moriep.buffers import DispatchShape, check_nodes
from moriep.capacity import Capacity
from moriep.environment import Environment
from moriep.errors import CompatibilityError, ConfigurationError
from moriep.installation import find_mori
from moriep.variables import PREFIX
from moriep.vocabulary import (
    CombineDtype,
    DispatchDtype,
    DType,
    KernelType,
    QuantType,
    WeightQuantization,
)

__all__ = [
    "Configuration",
    "Geometry",
    "ModelDescription",
    "choose_kernel",
    "configure",
    "launch_geometry",
    "materialise",
    "platform_fp8",
    "resolve_dtypes",
    "torch_dtype",
]

# One node of the platforms that MORI-EP runs on has at most eight GPUs.
GPUS_PER_NODE = 8
QUEUE_PAIRS_PER_PEER = 2
# The kernels unroll over top-k and keep nine pointers per token (MAX_EXPERTS_PER_TOKEN in
# dispatch_combine.hpp).
MAX_TOP_K = 9
# Values that share one scale: float32 for fp8, e8m0 for the two microscaling formats.
_BLOCK = {DispatchDtype.FP8: (128, 4), DispatchDtype.MXFP8: (32, 1), DispatchDtype.FP4: (32, 1)}


@dataclass(frozen=True)
class ModelDescription:
    """What the expert-parallel dispatch needs to know of a model.

    Attributes:
        hidden_size: values per token.
        num_experts: routed experts of one layer, over all ranks, redundant and fused shared ones included.
        num_local_experts: experts that live on one rank.
        top_k: experts per token, as the router gives them.
        params_dtype: data type of the activations.
        weight_quantization: how the expert weights are stored.
    """

    hidden_size: int
    num_experts: int
    num_local_experts: int
    top_k: int
    params_dtype: DType = DType.BFLOAT16
    weight_quantization: WeightQuantization = WeightQuantization.NONE

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_experts", "num_local_experts", "top_k"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.top_k > MAX_TOP_K:
            raise ConfigurationError(f"top_k is {self.top_k}; MORI-EP's kernels take at most {MAX_TOP_K}")
        if self.top_k > self.num_experts:
            raise ConfigurationError(f"top_k is {self.top_k}, but the model has {self.num_experts} experts")


@dataclass(frozen=True)
class Geometry:
    """Launch geometry: warps per block, blocks, and how many of the blocks do RDMA."""

    warp_num_per_block: int
    block_num: int
    rdma_block_num: int


def resolve_dtypes(environment: Environment, weights: WeightQuantization) -> tuple[DispatchDtype, CombineDtype]:
    """The data types that dispatch and combine really use. The environment wins over the model."""
    automatic = {
        WeightQuantization.NONE: (DispatchDtype.BF16, CombineDtype.BF16),
        WeightQuantization.FP8: (DispatchDtype.FP8, CombineDtype.BF16),
        WeightQuantization.FP4: (DispatchDtype.FP4, CombineDtype.FP8),
    }
    dispatch, combine = automatic[weights]
    if environment.requested_dispatch_dtype is not DispatchDtype.AUTO:
        dispatch = environment.requested_dispatch_dtype
    if environment.requested_combine_dtype is not CombineDtype.AUTO:
        combine = environment.requested_combine_dtype
    return dispatch, combine


def choose_kernel(
    environment: Environment, world_size: int, low_latency: bool = False, gpus_per_node: int = GPUS_PER_NODE
) -> KernelType:
    """The kernel type: low latency or copy engines first, then one node, then the message size decides."""
    if low_latency or environment.enable_sdma:
        return KernelType.ASYNC_LL
    if world_size <= gpus_per_node:
        return KernelType.INTRA_NODE
    small = environment.num_max_dispatch_tokens_per_rank <= environment.dispatch_inter_kernel_switch_threshold
    return KernelType.INTER_NODE_V1_LL if small else KernelType.INTER_NODE_V1


def launch_geometry(kernel_type: KernelType, dispatch: DispatchDtype, tokens: int) -> Geometry:
    """The launch geometry of a kernel type; fp4 on IntraNode has its own, by the tokens per rank."""
    if kernel_type is not KernelType.INTRA_NODE:
        return Geometry(8, 64, 32)
    if dispatch is DispatchDtype.FP4:
        return Geometry(5, 225, 0) if tokens < 128 else Geometry(16, 256, 0)
    return Geometry(16, 80, 0)


def platform_fp8(architecture: str) -> DType:
    """The e4m3 type that a GPU computes in: fnuz on gfx94x (MI300), the OCP type on everything newer."""
    return DType.FLOAT8_E4M3FNUZ if architecture.startswith("gfx94") else DType.FLOAT8_E4M3FN


_QUANT_TYPE = {
    CombineDtype.BF16: QuantType.NONE,
    CombineDtype.FP8: QuantType.FP8_BLOCKWISE,
    CombineDtype.FP8_DIRECT_CAST: QuantType.FP8_DIRECT_CAST,
    CombineDtype.FP4: QuantType.FP4_BLOCKWISE,
}


@dataclass(frozen=True)
class Configuration:
    """One rank's configuration, with every rule applied; fields as in `EpDispatchCombineConfig`."""

    data_type: DType
    rank: int
    world_size: int
    hidden_dim: int
    scale_dim: int
    scale_type_size: int
    max_token_type_size: int
    max_num_inp_token_per_rank: int
    num_experts_per_rank: int
    num_experts_per_token: int
    warp_num_per_block: int
    block_num: int
    max_total_recv_tokens: int
    use_external_inp_buf: bool
    kernel_type: KernelType
    gpu_per_node: int
    rdma_block_num: int
    num_qp_per_pe: int
    quant_type: QuantType
    dispatch_dtype: DispatchDtype = field(metadata={"kwarg": False})
    combine_dtype: CombineDtype = field(metadata={"kwarg": False})

    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments in SGLang's order. Data, kernel and quant types are names, not objects."""
        return {
            name: getattr(self, name)
            for name, item in self.__dataclass_fields__.items()
            if item.metadata.get("kwarg", True)
        }

    @property
    def capacity(self) -> Capacity:
        return Capacity(self.world_size, self.max_num_inp_token_per_rank, self.max_total_recv_tokens)

    def shape(self, combine_scale_dim: int = 56) -> DispatchShape:
        """What decides the bytes of the buffers, for `moriep.buffers.plan_buffers`."""
        return DispatchShape.from_kwargs(self.kwargs(), combine_scale_dim)


def configure(
    model: ModelDescription,
    environment: Environment,
    *,
    rank: int,
    world_size: int,
    low_latency: bool = False,
    architecture: str = "gfx942",
    chunked_prefill_size: int | None = None,
    gpus_per_node: int = GPUS_PER_NODE,
) -> Configuration:
    """Apply every rule to one rank.

    Args:
        model: the model.
        environment: the parsed environment; it is checked again, because the world size is known now.
        rank: rank in the expert-parallel group.
        world_size: number of ranks in that group.
        low_latency: whether the server runs its low-latency mode.
        architecture: the GPU, `gfx942` or `gfx950` for example; decides which e4m3 type fp8 means.
        chunked_prefill_size: the server's; must fit into one dispatch.
        gpus_per_node: ranks that share a node. SGLang knows nodes of 8 only; more ranks than that go between nodes.

    Raises:
        EnvironmentVariableError: for a variable that is out of range for this world size.
        ConfigurationError: for a model, rank or world size that does not fit together. CapacityError, which
            is one, for what MORI's constructor would abort on.
    """
    if world_size < 1:
        raise ConfigurationError(f"world_size is {world_size}; it must be at least 1")
    if not 0 <= rank < world_size:
        raise ConfigurationError(f"rank is {rank}; allowed: 0 … {world_size - 1} for world_size {world_size}")
    if model.num_local_experts * world_size < model.num_experts:
        raise ConfigurationError(
            f"{model.num_local_experts} local experts on each of {world_size} ranks cannot hold the model's "
            f"{model.num_experts}"
        )
    environment = environment.check(world_size)
    tokens = environment.num_max_dispatch_tokens_per_rank
    if chunked_prefill_size is not None and chunked_prefill_size > tokens:
        raise ConfigurationError(
            f"chunked_prefill_size {chunked_prefill_size} exceeds "
            f"{PREFIX}NUM_MAX_DISPATCH_TOKENS_PER_RANK={tokens}: one prefill chunk must fit into one "
            "dispatch. Raise the variable or lower the chunk size"
        )
    gpu_per_node = min(gpus_per_node, world_size)
    check_nodes(world_size, gpu_per_node)

    dispatch, combine = resolve_dtypes(environment, model.weight_quantization)
    kernel_type = choose_kernel(environment, world_size, low_latency, gpus_per_node)
    geometry = launch_geometry(kernel_type, dispatch, tokens)
    data_type = {
        DispatchDtype.BF16: model.params_dtype,
        DispatchDtype.FP8: platform_fp8(architecture),
        DispatchDtype.MXFP8: platform_fp8(architecture),
        DispatchDtype.FP4: DType.FLOAT4_E2M1FN_X2,
    }[dispatch]
    scale_dim, scale_type_size = _scales(model.hidden_size, dispatch)
    return Configuration(
        data_type=data_type,
        rank=rank,
        world_size=world_size,
        # Not halved for fp4, though two values share a byte: the kernels count values.
        hidden_dim=model.hidden_size,
        scale_dim=scale_dim,
        scale_type_size=scale_type_size,
        max_token_type_size=model.params_dtype.itemsize,
        max_num_inp_token_per_rank=tokens,
        num_experts_per_rank=model.num_local_experts,
        num_experts_per_token=model.top_k,
        warp_num_per_block=geometry.warp_num_per_block,
        block_num=geometry.block_num,
        max_total_recv_tokens=environment.prealloc_max_recv_tokens,
        use_external_inp_buf=True,
        kernel_type=kernel_type,
        gpu_per_node=gpu_per_node,
        rdma_block_num=geometry.rdma_block_num,
        num_qp_per_pe=QUEUE_PAIRS_PER_PEER,
        quant_type=_QUANT_TYPE[combine],
        dispatch_dtype=dispatch,
        combine_dtype=combine,
    )


def _scales(hidden_size: int, dispatch: DispatchDtype) -> tuple[int, int]:
    """Scales per token and bytes of one. bf16 sends none, yet SGLang passes the size of a float32."""
    if dispatch is DispatchDtype.BF16:
        return 0, 4
    block, size = _BLOCK[dispatch]
    if hidden_size % block:
        # SGLang divides and drops the rest, so the last values would go without a scale.
        raise ConfigurationError(
            f"hidden_size {hidden_size} is not a multiple of {block}, the block of a {dispatch} scale; "
            f"set {PREFIX}DISPATCH_DTYPE=bf16"
        )
    return hidden_size // block, size


def torch_dtype(name: DType | str) -> Any:
    """The torch data type of that name. Imports torch."""
    torch = importlib.import_module("torch")
    found = getattr(torch, str(name), None)
    if found is None:
        raise CompatibilityError(f"torch {torch.__version__} has no data type {name}", ["data_type"])
    return found


def materialise(kwargs: Mapping[str, Any], module: Any = None) -> dict[str, Any]:
    """The same arguments with torch's and mori's own objects in place of names. Imports both.

    `quant_type` stays a string: that is what every release takes. Absent arguments stay absent, so this works
    before and after pruning.

    Args:
        kwargs: as from `Configuration.kwargs`.
        module: the `mori` module, for tests; imported if None.

    Raises:
        CompatibilityError: if torch lacks the data type or this mori lacks the kernel type.
    """
    module = module or find_mori()
    result = dict(kwargs)
    if isinstance(result.get("data_type"), str):
        result["data_type"] = torch_dtype(result["data_type"])
    if isinstance(result.get("kernel_type"), str):
        kernel_types = module.ops.EpDispatchCombineKernelType
        name = str(result["kernel_type"])
        if not hasattr(kernel_types, name):
            raise CompatibilityError(f"the installed mori has no kernel type {name}", ["kernel_type"])
        result["kernel_type"] = getattr(kernel_types, name)
    if "quant_type" in result:
        result["quant_type"] = str(result["quant_type"])
    return result
