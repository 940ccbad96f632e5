# SPDX-License-Identifier: MIT
"""How many bytes MORI-EP allocates on each rank, buffer by buffer, for each kernel type and release line.

Every size is written from the constructor chain of `EpDispatchCombineHandle` in
`src/ops/dispatch_combine/dispatch_combine.cpp` of the wheels (under `mori/_jit-sources`; `mori/_jit_sources`
in 1.0.0): `InitializeShmemBuf`, `InitializeTokenNumSignalBuf`, `InitializeOrderMapBuf`, `InitializeBarrier`,
in that order. What differs between releases is data (`BufferLayout`), so the arithmetic exists once.

With each symmetric buffer come four small allocations on the device, whichever heap it lies in: a copy of its descriptor
and three arrays with an entry for each rank (`RegisterSymmMemObj` and `RegisterStaticHeapSubRegion` in
`src/application/memory/symmetric_memory.cpp` of ROCm/mori, which the wheels ship compiled). They add up to a few kilobytes,
but to four pages each where every allocation takes a page.

Not counted: queues for SDMA, kernels and their code, tensors that a caller owns (routing handles), and the profiler and
standard-MoE buffers, which no published wheel is built with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

from moriep.capacity import Capacity
from moriep.errors import CapacityError, ConfigurationError
from moriep.layouts import BufferLayout
from moriep.variables import INT32_MAX
from moriep.vocabulary import KernelType, QuantType, name_of, quant_type_string

__all__ = ["Buffer", "BufferPlan", "DispatchShape", "plan_buffers"]

Memory = Literal["symmetric", "device", "torch"]

_INDEX = _FLOAT = _UINT32 = 4
_INT64 = _UINT64 = _POINTER = 8
_REGISTRATION = "SymmMemManager::RegisterSymmMemObj (symmetric_memory.cpp)"


@dataclass(frozen=True)
class DispatchShape:
    """The fields of `EpDispatchCombineConfig` that decide sizes, with its names and its defaults.

    Attributes:
        world_size, gpu_per_node: ranks in the group and on each node.
        max_num_inp_token_per_rank, max_total_recv_tokens: tokens, see `Capacity`.
        hidden_dim: values per token; scale_dim: scales per token.
        scale_type_size, max_token_type_size: bytes of one scale and of one value.
        num_experts_per_rank: experts that live on one rank; num_experts_per_token: top-k.
        num_qp_per_pe: RDMA queue pairs per peer. The constructor lowers it to what the symmetric heap has;
            give the value after that.
        combine_scale_dim: scales per token of a blockwise combine (MORI_FP8_COMBINE_SCALE_DIM, 56 by
            default).
    """

    world_size: int
    hidden_dim: int
    scale_dim: int
    scale_type_size: int
    max_token_type_size: int
    max_num_inp_token_per_rank: int
    num_experts_per_rank: int
    num_experts_per_token: int
    max_total_recv_tokens: int = 0
    kernel_type: KernelType = KernelType.INTRA_NODE
    gpu_per_node: int = 8
    num_qp_per_pe: int = 1
    quant_type: QuantType = QuantType.NONE
    combine_scale_dim: int = 56

    def __post_init__(self) -> None:
        positive = ("hidden_dim", "max_token_type_size", "num_experts_per_rank", "num_experts_per_token")
        for name in (*positive, "combine_scale_dim"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("scale_dim", "scale_type_size", "num_qp_per_pe"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must not be negative")
        check_nodes(self.world_size, self.gpu_per_node)
        _ = self.capacity  # raises for sizes that MORI cannot represent

    @classmethod
    def from_kwargs(cls, kwargs: Mapping[str, Any], combine_scale_dim: int = 56) -> DispatchShape:
        """The shape of a call `EpDispatchCombineConfig(**kwargs)`; fields that decide no size are ignored."""
        names = [item.name for item in fields(cls) if item.name != "combine_scale_dim"]
        values: dict[str, Any] = {name: kwargs[name] for name in names if name in kwargs}
        missing = [item.name for item in fields(cls) if item.default is MISSING and item.name not in values]
        if missing:
            raise ConfigurationError(f"cannot size the buffers without {', '.join(missing)}")
        try:
            if "kernel_type" in values:
                values["kernel_type"] = KernelType(name_of(values["kernel_type"]))
            if "quant_type" in values:
                values["quant_type"] = QuantType(quant_type_string(values["quant_type"]))
        except ValueError as error:
            raise ConfigurationError(f"cannot size the buffers: {error}") from error
        return cls(**values, combine_scale_dim=combine_scale_dim)

    @property
    def capacity(self) -> Capacity:
        return Capacity(self.world_size, self.max_num_inp_token_per_rank, self.max_total_recv_tokens)

    @property
    def nodes(self) -> int:
        return self.world_size // self.gpu_per_node


def check_nodes(world_size: int, gpu_per_node: int) -> None:
    """Raise for what the constructor aborts on: it asserts a power of two that divides the world size."""
    power_of_two = gpu_per_node > 0 and gpu_per_node & (gpu_per_node - 1) == 0
    if not power_of_two or world_size % gpu_per_node:
        raise CapacityError(
            f"gpu_per_node {gpu_per_node} with world_size {world_size}: MORI aborts in its constructor "
            "unless gpu_per_node is a power of two that divides world_size"
        )


@dataclass(frozen=True)
class Buffer:
    """One allocation on one rank.

    Attributes:
        name: the member of `EpDispatchCombineHandle`.
        size: bytes asked for, before the allocator rounds.
        memory: `symmetric` (the shmem heap, visible to peers), `device` (hipMalloc) or `torch` (torch's
            allocator).
        formula: the size in the letters W world size, M tokens per rank, R receive rows, N nodes, H
            hidden_dim, t max_token_type_size, K top-k, E experts per rank, S scale bytes per token, B
            blockwise scale bytes per token, X bytes of one transferred token, Q queue pairs per peer.
        source: the function that allocates it, in dispatch_combine.cpp unless said otherwise.
    """

    name: str
    size: int
    memory: Memory
    formula: str
    source: str


@dataclass(frozen=True)
class BufferPlan:
    """All allocations of one rank.

    Attributes:
        buffers: those of the op, in the order in which the constructor makes them.
    """

    shape: DispatchShape
    layout: BufferLayout
    buffers: tuple[Buffer, ...]

    @property
    def registrations(self) -> tuple[Buffer, ...]:
        """What registering the symmetric buffers allocates besides, four for each, in their order."""
        world, found = self.shape.world_size, []
        parts = (
            ("", self.layout.descriptor_bytes, str(self.layout.descriptor_bytes)),
            (".peerPtrs", world * _POINTER, "8·W"),
            (".p2pPeerPtrs", world * _POINTER, "8·W"),
            (".peerRkeys", world * _UINT32, "4·W"),
        )
        for item in self.buffers:
            if item.memory == "symmetric":
                found += [
                    Buffer(f"SymmMemObj of {item.name}{part}", size, "device", formula, _REGISTRATION)
                    for part, size, formula in parts
                ]
        return tuple(found)

    @property
    def allocations(self) -> tuple[Buffer, ...]:
        """Buffers and registrations: everything that making the op takes."""
        return (*self.buffers, *self.registrations)

    def buffer(self, name: str) -> Buffer | None:
        """The allocation of that name; None if this kernel type or release has none."""
        return next((item for item in self.buffers if item.name == name), None)

    def total(self, memory: Memory | None = None) -> int:
        """Bytes of all allocations, or of those in one kind of memory, before the allocator rounds."""
        return sum(item.size for item in self.allocations if memory in (None, item.memory))

    def heap_bytes(self, alignment: int = 256) -> int:
        """Bytes that the symmetric heap hands out, each buffer rounded up to `alignment`.

        256 is the default of `HeapVAManager::Allocate` (`include/mori/application/memory/va_manager.hpp`). A
        VMM heap or `MORI_SHMEM_MODE=ISOLATION` rounds further, to the granularity of the device.
        """
        return sum(-(-item.size // alignment) * alignment for item in self.buffers if item.memory == "symmetric")


class _Planner:
    """Collects the buffers of one shape under one layout; its methods follow the C++ functions one to one."""

    def __init__(self, shape: DispatchShape, layout: BufferLayout) -> None:
        self.shape, self.layout = shape, layout
        self.buffers: list[Buffer] = []
        self.rows = shape.capacity.rows if layout.receive_cap else shape.capacity.worst_case

    def add(self, name: str, size: int, memory: Memory, formula: str, source: str) -> None:
        self.buffers.append(Buffer(name, size, memory, formula, source))

    def int_product(self, group: str, *factors: int) -> int:
        """A product that some releases compute in a 32-bit int before they widen it."""
        product = 1
        for factor in factors:
            product *= factor
        if group in self.layout.int32_products and product > INT32_MAX:
            raise CapacityError(
                f"MORI {self.layout.line} computes the size of its {group} in a 32-bit int, and "
                f"{' × '.join(map(str, factors))} = {product} does not fit"
            )
        return product

    @property
    def blockwise_scale_bytes(self) -> int:
        """Bytes of the float32 scales that a blockwise combine stores per token; 0 for other quant types."""
        blockwise = (QuantType.FP8_BLOCKWISE, QuantType.FP4_BLOCKWISE)
        return self.shape.combine_scale_dim * _FLOAT if self.shape.quant_type in blockwise else 0

    @property
    def transfer_bytes(self) -> int:
        """X: bytes of one token with its indices, weights, source id and scales. `MaxXferBytesPerToken`."""
        shape = self.shape
        source_id = _INDEX if self.layout.source_token_in_transfer else 0
        return (
            shape.hidden_dim * shape.max_token_type_size
            + shape.num_experts_per_token * (_INDEX + _FLOAT)
            + source_id
            + shape.scale_dim * shape.scale_type_size
        )

    @property
    def staging_row(self) -> tuple[int, str]:
        """Bytes of one row of combineInp, and the formula."""
        shape = self.shape
        if shape.kernel_type is not KernelType.INTRA_NODE or not self.blockwise_scale_bytes:
            return self.transfer_bytes, "X"
        # IntraNode stages the quantised payload: its own scales take the place of the caller's, and fp4 packs
        # two values to the byte. fp8 keeps full-width slots.
        fp4 = shape.quant_type is QuantType.FP4_BLOCKWISE
        payload = (shape.hidden_dim + 1) // 2 if fp4 else shape.hidden_dim * shape.max_token_type_size
        formula = "(ceil(H/2) + 8K + 4 + B)" if fp4 else "(Ht + 8K + 4 + B)"
        metadata = shape.num_experts_per_token * (_INDEX + _FLOAT) + _INDEX
        return payload + metadata + self.blockwise_scale_bytes, formula

    def token_buffers(self) -> None:
        shape, rows, transfer = self.shape, self.rows, self.transfer_bytes
        tokens, nodes = shape.max_num_inp_token_per_rank, shape.nodes
        token_bytes = shape.hidden_dim * shape.max_token_type_size

        def symmetric(name: str, size: int, formula: str) -> None:
            self.add(name, size, "symmetric", formula, "InitializeShmemBuf")

        if not self.layout.buffers_by_kernel_type:
            # 1.0.0 allocates the same five buffers, at the worst case, whatever the kernel type.
            symmetric("shmemDispatchInpTokMemObj", rows * transfer, "R·X")
            symmetric("shmemCombineInpTokMemObj", rows * transfer, "R·X")
            symmetric("shmemDispatchOutTokMemObj", rows * token_bytes, "R·H·t")
            symmetric("shmemCombineOutTokMemObj", rows * token_bytes, "R·H·t")
            symmetric("shmemStagingTokMemObj", rows * transfer, "R·X")
            return
        row, formula = self.staging_row
        if shape.kernel_type in (KernelType.INTRA_NODE, KernelType.INTRA_NODE_LL):
            symmetric("combineInp", rows * row, f"R·{formula}")
            symmetric("dispatchOut", rows * token_bytes, "R·H·t")
            symmetric("combineOut", tokens * token_bytes, "M·H·t")
        elif shape.kernel_type in (KernelType.INTER_NODE_V1, KernelType.INTER_NODE_V1_LL):
            symmetric("dispatchInp", nodes * tokens * transfer, "N·M·X")
            symmetric("combineInp", rows * row, f"R·{formula}")
            symmetric("staging", 2 * nodes * tokens * transfer, "2·N·M·X")
            symmetric("dispatchOut", rows * token_bytes, "R·H·t")
            symmetric("combineOut", tokens * token_bytes, "M·H·t")
            if self.layout.v1_dispatch_staging:
                symmetric("dispatchStaging", tokens * transfer, "M·X")
        else:
            # No cap here: upstream's own comment says that these kernels have no overflow protection for
            # them.
            worst = shape.capacity.worst_case
            for name in ("dispatchInp", "combineInp", "staging"):
                symmetric(name, worst * transfer, "W·M·X")
            symmetric("dispatchOut", rows * token_bytes, "R·H·t")
            symmetric("combineOut", tokens * token_bytes, "M·H·t")
            if self.layout.async_dispatch_staging and shape.kernel_type is KernelType.ASYNC_LL:
                symmetric("dispatchStaging", worst * transfer, "W·M·X")

    def metadata_buffers(self) -> None:
        shape, rows, top_k = self.shape, self.rows, self.shape.num_experts_per_token
        source = "InitializeShmemBuf"
        weights = self.int_product("weights", rows, top_k) * _FLOAT
        for name in (
            "shmemInpWeightsMemObj",
            "shmemDispatchOutWeightsMemObj",
            "shmemCombineOutWeightsMemObj",
        ):
            self.add(name, weights, "symmetric", "R·K·4", source)
        scales = self.int_product("scales", rows, shape.scale_dim, shape.scale_type_size)
        blockwise = rows * self.blockwise_scale_bytes
        if max(scales, blockwise) > 0:
            formula = "R·max(S, B)" if blockwise else "R·S"
            self.add("shmemInpScalesMemObj", max(scales, blockwise), "symmetric", formula, source)
        if scales > 0:
            self.add("shmemOutScalesMemObj", scales, "symmetric", "R·S", source)
        indices = self.int_product("indices", rows, top_k) * _INDEX
        for name in ("shmemInpIndicesMemObj", "shmemOutIndicesMemObj"):
            self.add(name, indices, "symmetric", "R·K·4", source)

    def signal_buffers(self) -> None:
        world, source = self.shape.world_size, "InitializeTokenNumSignalBuf"
        signals = world * _INDEX * 2 * self.shape.num_qp_per_pe
        self.add("recvTokenNumMemObj", signals, "symmetric", "8·W·Q", source)
        self.add("sendTokenNumMemObj", signals, "symmetric", "8·W·Q", source)
        self.add("sendAtomicSignalMemObj", world * 2 * _INT64 * 2, "symmetric", "32·W", source)
        self.add("totalRecvTokenNum", _INDEX, "device", "4", source)
        self.add("nodeRecvTokenNumMemObj", self.shape.nodes * _UINT64, "symmetric", "8·N", source)

    def order_maps(self) -> None:
        shape, source = self.shape, "InitializeOrderMapBuf"
        world, nodes, tokens = shape.world_size, shape.nodes, shape.max_num_inp_token_per_rank
        slots = self.int_product("maps", world, tokens, shape.num_experts_per_rank) * _INDEX
        for name in ("dispReceiverIdxMap", "dispSenderIdxMap", "destPeTokenIdxMap", "srcPeTokenIdxMap"):
            self.add(name, slots, "device", "W·M·E·4", source)
        self.add("destPeTokenCounter", world * _INDEX, "device", "4·W", source)
        self.add("destNodeTokenCounter", nodes * _INDEX, "device", "4·N", source)
        self.add("localPeTokenCounter", world * _INDEX, "device", "4·W", source)
        self.add("dispTokOffsetMemObj", _INDEX, "symmetric", "4", source)
        self.add("dispTokIdToSrcTokIdMemObj", slots, "symmetric", "W·M·E·4", source)
        self.add("dispDestTokIdMap", slots, "device", "W·M·E·4", source)
        between = self.int_product("maps", nodes, tokens, shape.num_experts_per_token) * _INDEX
        self.add("interNodeDispDestTokIdMap", between, "device", "N·M·K·4", source)
        self.add("blockFlagCounter", nodes * _INDEX, "device", "4·N", source)
        self.add("interNodeDispSendMap", nodes * tokens * _INDEX, "device", "N·M·4", source)

    def barriers(self) -> None:
        shape, source = self.shape, "InitializeBarrier"
        barrier = shape.world_size * _UINT32
        self.add("dispatchGridBarrier", barrier, "device", "4·W", source)
        self.add("combineGridBarrier", barrier, "device", "4·W", source)
        self.add("crossDeviceBarrierFlag", _UINT64, "device", "8", source)
        # The source multiplies by both element sizes; 64·W is what is really allocated.
        self.add("crossDeviceBarrierMemObj", barrier * 2 * _UINT64, "symmetric", "64·W", source)
        flags = shape.nodes * shape.max_num_inp_token_per_rank * _UINT64
        self.add("interNodeChunkFlagMemObj", flags, "symmetric", "N·M·8", source)
        self.add("interNodeChunkFlagCombine", flags, "device", "N·M·8", source)
        self.add("interNodeBlocksBarrier", 4 * _INDEX, "device", "16", source)

    def python_side(self) -> None:
        if self.layout.local_expert_count:
            size = self.shape.num_experts_per_rank * _INDEX
            self.add("local_expert_count", size, "torch", "4·E", "EpDispatchCombineOp.__init__ (Python)")


def plan_buffers(shape: DispatchShape, layout: BufferLayout) -> BufferPlan:
    """What one rank allocates for this shape under this release's layout.

    Raises:
        CapacityError: if that release lacks the kernel type or the quant type, or if one of its own size
            computations would overflow.
    """
    if shape.kernel_type not in layout.kernel_types:
        raise CapacityError(f"MORI {layout.line} has no kernel type {shape.kernel_type}")
    if shape.quant_type not in layout.quant_types:
        raise CapacityError(f"MORI {layout.line} has no quant_type {shape.quant_type}")
    planner = _Planner(shape, layout)
    planner.token_buffers()
    planner.metadata_buffers()
    planner.signal_buffers()
    planner.order_maps()
    planner.barriers()
    planner.python_side()
    return BufferPlan(shape, layout, tuple(planner.buffers))
