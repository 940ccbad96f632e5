# SPDX-License-Identifier: MIT
"""What a release of MORI-EP does to a configuration, explained argument by argument.

Judged from the release's surface alone, so it works for a wheel that is not installed and on a machine with
no GPU. What only running the kernels shows (an overflow that no assertion catches, for one) is the
conformance suite's part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from moriep.buffers import DispatchShape, plan_buffers
from moriep.capacity import Capacity
from moriep.errors import CapacityError, ConfigurationError
from moriep.kernel_notes import kernel_notes
from moriep.layouts import LAYOUTS, BufferLayout, layout_for_surface
from moriep.staging import combine_staging
from moriep.surface import Surface
from moriep.vocabulary import DType, KernelType, QuantType, name_of, quant_type_string

__all__ = ["DroppedArgument", "Explanation", "LackingArgument", "Refusal", "UnknownValue", "explain"]

# What each optional field is when nobody gives it. The same in every release that has the field.
DEFAULTS: Mapping[str, object] = {
    "warp_num_per_block": 8,
    "block_num": 80,
    "max_total_recv_tokens": 0,
    "use_external_inp_buf": True,
    "kernel_type": "IntraNode",
    "gpu_per_node": 8,
    "rdma_block_num": 0,
    "num_qp_per_pe": 1,
    "quant_type": "none",
}

# The data types for which the kernels exist, in every release.
_KERNEL_DTYPES = tuple(item.value for item in DType if item is not DType.FLOAT16)

_CHANGES: Mapping[str, str] = {
    "warp_num_per_block": "launches with 8 warps per block, whatever was tuned",
    "block_num": "launches 80 blocks, whatever was tuned; more blocks than compute units can deadlock",
    "rdma_block_num": "no blocks are set aside for RDMA between nodes",
    "num_qp_per_pe": "one RDMA queue pair per peer: less bandwidth between nodes",
    "use_external_inp_buf": "combine copies its input into MORI's own buffer first, so zero copy is lost",
    "kernel_type": "runs the IntraNode kernel, which cannot reach another node",
}

_LACKS: Mapping[str, str] = {
    "call_local_expert_count": "dispatch cannot count tokens per local expert; count received ids instead",
    "routing": "a dispatch cannot be replayed, so a backward pass cannot reuse the forward routing",
    "return_routing": "dispatch cannot hand out the routing that a later combine or replay needs",
    "call_reset": "combine cannot be asked to reset",
    "use_external_inp_buf": "the buffer mode cannot be chosen per call, only in the configuration",
}


@dataclass(frozen=True)
class DroppedArgument:
    """An argument that pruning removes, and what is different without it."""

    name: str
    value: str
    change: str

    def __str__(self) -> str:
        return f"{self.name}={self.value} is dropped: {self.change}"


@dataclass(frozen=True)
class UnknownValue:
    """An argument whose name the release has, with a value that it does not."""

    name: str
    value: str
    known: tuple[str, ...]
    failure: str

    def __str__(self) -> str:
        return f"{self.name}={self.value} is unknown here (known: {', '.join(self.known)}): {self.failure}"


@dataclass(frozen=True)
class Refusal:
    """Arguments that the release takes one by one but not together."""

    arguments: tuple[str, ...]
    failure: str

    def __str__(self) -> str:
        return f"{', '.join(self.arguments)}: {self.failure}"


@dataclass(frozen=True)
class LackingArgument:
    """A method that a call needs and the release lacks, or an argument of one (`argument` is then set)."""

    method: str
    argument: str | None
    failure: str

    @property
    def call(self) -> str:
        return f"{self.method}({self.argument}=)" if self.argument else f"{self.method}()"

    def __str__(self) -> str:
        return f"{self.call} does not exist: {self.failure}"


@dataclass(frozen=True)
class Explanation:
    """Everything that one release does to one configuration.

    Attributes:
        release: the release's name.
        dropped: what pruning removes. The call goes on without it.
        unknown_values, refused, missing, lacking: each of these is an exception, in the constructor or later.
        notes: what holds though nothing fails.
    """

    release: str
    dropped: tuple[DroppedArgument, ...] = ()
    unknown_values: tuple[UnknownValue, ...] = ()
    refused: tuple[Refusal, ...] = ()
    missing: tuple[str, ...] = ()
    lacking: tuple[LackingArgument, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        """True if nothing raises once the dropped arguments are gone."""
        return not (self.unknown_values or self.refused or self.missing or self.lacking)

    @property
    def faithful(self) -> bool:
        """True if it works and every argument is taken as given."""
        return self.works and not self.dropped

    def text(self) -> str:
        """For people: one line per finding."""
        if self.faithful:
            verdict = "takes every argument as given"
        elif self.works:
            verdict = "works, but not as asked"
        else:
            verdict = "fails"
        missing = (f"{name} is required and not given: TypeError in the constructor" for name in self.missing)
        findings = (*missing, *self.unknown_values, *self.refused, *self.lacking, *self.dropped, *self.notes)
        return "\n".join([f"{self.release}: {verdict}", *(f"  {finding}" for finding in findings)])

    def to_json(self) -> dict[str, Any]:
        """For programs: plain dictionaries, lists, strings and booleans."""
        values = asdict(self)
        return {**values, "works": self.works, "faithful": self.faithful}


def explain(
    kwargs: Mapping[str, Any],
    surface: Surface,
    *,
    method_calls: Mapping[str, Iterable[str]] | None = None,
    layout: BufferLayout | None = None,
) -> Explanation:
    """Say what a release does to a configuration, after pruning as `check_mori_compatibility` does it.

    Args:
        kwargs: the arguments meant for `EpDispatchCombineConfig`; names or real objects. Not changed.
        surface: the release.
        method_calls: op method → keyword arguments that the caller passes to it.
        layout: how the release sizes its buffers; taken from the surface's features if None.
    """
    layout = layout or layout_for_surface(surface)
    unknown = surface.unknown_fields(kwargs)
    kept = {name: value for name, value in kwargs.items() if name not in unknown}
    return Explanation(
        release=surface.release,
        dropped=tuple(
            DroppedArgument(name, name_of_value(kwargs[name]), _change(name, kwargs, layout)) for name in unknown
        ),
        unknown_values=tuple(_unknown_values(kept, surface)),
        refused=tuple(_refusals(kept, surface)),
        missing=tuple(item.name for item in surface.config.fields if item.required and item.name not in kwargs),
        lacking=tuple(_lacking(surface, method_calls or {})),
        notes=tuple(_notes(kept, surface)),
    )


def name_of_value(value: object) -> str:
    """A value as text: numbers and flags as they are, everything else by its bare name."""
    return str(value) if isinstance(value, (bool, int, float)) or value is None else name_of(value)


def _change(name: str, kwargs: Mapping[str, Any], layout: BufferLayout) -> str:
    value = kwargs[name]
    if name in DEFAULTS and name_of_value(value).lower() == name_of_value(DEFAULTS[name]).lower():
        return "nothing changes, because this is what the release does anyway"
    if name == "max_total_recv_tokens":
        return _change_of_cap(kwargs, layout)
    if name == "quant_type":
        return _change_of_quant_type(kwargs)
    if name == "gpu_per_node":
        world_size = kwargs.get("world_size")
        aborts = isinstance(world_size, int) and world_size % 8 != 0
        return "8 GPUs per node are assumed" + (
            f", and the constructor aborts, because world_size {world_size} is not a multiple of 8" if aborts else ""
        )
    return _CHANGES.get(name, "this release has nothing that it would set")


def _change_of_cap(kwargs: Mapping[str, Any], layout: BufferLayout) -> str:
    """The worst case in rows, and in bytes where the other arguments allow it."""
    try:
        shape = DispatchShape.from_kwargs(kwargs)
    except (ConfigurationError, TypeError):
        return "receive buffers are allocated for the worst case, world_size × max_num_inp_token_per_rank rows"
    capacity = shape.capacity
    rows = f"receive buffers hold the worst case of {capacity.worst_case} rows instead of {capacity.rows}"
    try:
        full = plan_buffers(replace(shape, max_total_recv_tokens=0), layout).total("symmetric")
        capable = next(
            item
            for item in LAYOUTS
            if item.receive_cap and shape.quant_type in item.quant_types and shape.kernel_type in item.kernel_types
        )
        capped = plan_buffers(shape, capable).total("symmetric")
    except (CapacityError, StopIteration):
        return rows
    return (
        f"{rows}: {full} bytes ({_gibibytes(full)}) of symmetric memory on each rank, "
        f"against {capped} bytes ({_gibibytes(capped)}) with the cap on {capable.line}"
    )


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def _change_of_quant_type(kwargs: Mapping[str, Any]) -> str:
    text = "combine sends values as they are: other numerics than with quantisation"
    hidden, width = kwargs.get("hidden_dim"), kwargs.get("max_token_type_size")
    if not isinstance(hidden, int) or not isinstance(width, int):
        return text + ", and more bytes per token"
    payload = {
        QuantType.FP8_DIRECT_CAST.value: hidden,
        QuantType.FP8_BLOCKWISE.value: hidden + 56 * 4,
        QuantType.FP4_BLOCKWISE.value: (hidden + 1) // 2 + 56 * 4,
    }.get(quant_type_string(kwargs["quant_type"]))
    return text if payload is None else f"{text}, and {hidden * width} bytes per token instead of {payload}"


def _unknown_values(kept: Mapping[str, Any], surface: Surface) -> Iterable[UnknownValue]:
    # An empty list means that the surface could not be read, not that the release knows no value.
    if "quant_type" in kept and surface.quant_types:
        value = quant_type_string(kept["quant_type"])
        if value not in surface.quant_types:
            yield UnknownValue(
                "quant_type",
                value,
                surface.quant_types,
                "ValueError in the constructor of EpDispatchCombineOp",
            )
    if "kernel_type" in kept and surface.kernel_types:
        value = name_of(kept["kernel_type"])
        if value not in surface.kernel_types:
            yield UnknownValue(
                "kernel_type",
                value,
                tuple(surface.kernel_types),
                "AttributeError on EpDispatchCombineKernelType",
            )
    if "data_type" in kept:
        value = name_of(kept["data_type"])
        if value not in _KERNEL_DTYPES:
            yield UnknownValue(
                "data_type",
                value,
                _KERNEL_DTYPES,
                "the configuration takes it, and the first dispatch of such a tensor raises KeyError",
            )


def _refusals(kept: Mapping[str, Any], surface: Surface) -> Iterable[Refusal]:
    """Combinations that every release refuses, judged with the defaults for what is not given."""
    values = {**DEFAULTS, **kept}
    world_size, gpu_per_node = values.get("world_size"), values["gpu_per_node"]
    if isinstance(world_size, int) and isinstance(gpu_per_node, int):
        power_of_two = gpu_per_node > 0 and gpu_per_node & (gpu_per_node - 1) == 0
        if not power_of_two or world_size % gpu_per_node:
            yield Refusal(
                ("world_size", "gpu_per_node"),
                f"the constructor aborts the process: gpu_per_node {gpu_per_node} must be a power of two "
                f"that divides world_size {world_size}",
            )
    quant, kernel = quant_type_string(values["quant_type"]), name_of(values["kernel_type"])
    blockwise = {QuantType.FP8_BLOCKWISE.value, QuantType.FP4_BLOCKWISE.value}
    if quant not in blockwise or (surface.quant_types and quant not in surface.quant_types):
        return
    allowed = [KernelType.INTRA_NODE.value, KernelType.INTRA_NODE_LL.value]
    # AsyncLL learnt fp8_blockwise one day after fp4_blockwise appeared; every stable release has both or
    # neither.
    if quant == QuantType.FP8_BLOCKWISE.value and QuantType.FP4_BLOCKWISE.value in surface.quant_types:
        allowed.append(KernelType.ASYNC_LL.value)
    if kernel not in allowed:
        failure = f"combine raises ValueError, because {quant} exists for {', '.join(allowed)} only"
        yield Refusal(("quant_type", "kernel_type"), failure)
    elif values["use_external_inp_buf"] is False:
        yield Refusal(
            ("quant_type", "use_external_inp_buf"),
            f"combine raises ValueError, because {quant} needs use_external_inp_buf=True",
        )


def _lacking(surface: Surface, calls: Mapping[str, Iterable[str]]) -> Iterable[LackingArgument]:
    for name, arguments in calls.items():
        method = surface.op.method(name)
        if method is None:
            yield LackingArgument(name, None, "AttributeError")
            continue
        for argument in arguments:
            if not method.accepts_keyword(argument):
                effect = _LACKS.get(argument)
                yield LackingArgument(name, argument, "TypeError" + (f"; {effect}" if effect else ""))


def _notes(kept: Mapping[str, Any], surface: Surface) -> Iterable[str]:
    if quant_type_string(kept.get("quant_type", "")) == QuantType.FP4_BLOCKWISE.value:
        yield "quant_type=fp4_blockwise: the constructor raises ValueError on any GPU other than gfx950"
    if not surface.quant_types:
        yield "the quant types of this release could not be read, so quant_type is not judged"
    if not surface.kernel_types:
        yield "the kernel types of this release could not be read, so kernel_type is not judged"
    yield from kernel_notes({**DEFAULTS, **kept}, surface)
    sizes = [kept.get(name) for name in ("world_size", "max_num_inp_token_per_rank", "max_total_recv_tokens")]
    if not all(isinstance(size, int) for size in sizes):
        return
    try:
        capacity = Capacity(*sizes)  # type: ignore[arg-type]
    except CapacityError as error:
        yield str(error)
        return
    cap = capacity.max_total_recv_tokens
    if capacity.clamped:
        yield f"max_total_recv_tokens={cap} is lowered to the worst case of {capacity.worst_case} rows"
    elif not capacity.safe:
        rounded = "" if capacity.rows == cap else f", rounded up from {cap}"
        yield (
            f"the receive buffer of a rank holds {capacity.rows} rows{rounded}; the worst case is "
            f"{capacity.worst_case}, so a routing can overflow it"
        )
        yield from _staging_note(kept, surface)


def _staging_note(kept: Mapping[str, Any], surface: Surface) -> Iterable[str]:
    """What a cap does to IntraNode combine, beside dispatch."""
    try:
        staging = combine_staging(
            DispatchShape.from_kwargs(kept),
            layout_for_surface(surface),
            external_input=bool(kept.get("use_external_inp_buf", True)),
        )
    except (ConfigurationError, TypeError):
        return
    if staging is not None and not staging.safe:
        yield (
            f"IntraNode combine with use_external_inp_buf=True stages by sender and writes past its {staging.rows} rows "
            f"once a rank dispatches more than {staging.safe_tokens} tokens, even if everything that arrives fits "
            "(requirement CAP-7); "
            "use_external_inp_buf=False, or no cap, avoids it"
        )
