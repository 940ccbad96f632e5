# SPDX-License-Identifier: MIT
"""The plan: for each receive cap its bytes, its saving and its odds of overflow, and the smallest one that is safe enough."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from moriep.buffers import BufferPlan, DispatchShape, plan_buffers
from moriep.capacity import Capacity
from moriep.errors import ConfigurationError
from moriep.layouts import LAYOUTS, layout_for_release
from moriep.planner.combine_rows import rows_for_combine
from moriep.planner.laws import Odds, ReceiveLaw, receive_law
from moriep.planner.routing import RoutingModel, RoutingShape, Uniform
from moriep.vocabulary import KernelType, QuantType

__all__ = ["Plan", "PlannedCap", "asserts_overflow", "known_releases", "plan"]

# Releases whose IntraNode dispatch writes past the buffer without a message; docs/measured.md has the runs.
_INTRA_NODE_SILENT = ("1.2.3", "1.2.3.post1", "1.2.4", "1.2.5.dev20261026")
_STEPS = 16


def known_releases() -> tuple[str, ...]:
    """Releases that can be planned for, oldest first; `version@tag` where the tags differ."""
    return tuple(name for layout in LAYOUTS for name in layout.releases)


def asserts_overflow(release: str, kernel_type: KernelType) -> bool:
    """True if dispatch of this release stops with an assertion when a rank receives more than its capacity."""
    if kernel_type is KernelType.INTER_NODE:
        return False
    return kernel_type is not KernelType.INTRA_NODE or release.partition("@")[0] not in _INTRA_NODE_SILENT


@dataclass(frozen=True)
class PlannedCap:
    """What one value of `max_total_recv_tokens` means.

    Attributes:
        max_total_recv_tokens: the value to set; 0 is the maximum.
        rows: receive rows that it gives, after MORI's rounding.
        symmetric_bytes, total_bytes: on each rank, of the symmetric heap and of all memory.
        saved_bytes: of all memory, against the maximum.
        overflow: that in the planned number of dispatches any rank receives more than `rows`.
        combine: whether combine stays inside its buffer whatever the routing; None where that is not known.
        notes: what else there is to know.
    """

    max_total_recv_tokens: int
    rows: int
    symmetric_bytes: int
    total_bytes: int
    saved_bytes: int
    overflow: Odds
    combine: bool | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The answer for one configuration on one release.

    Attributes:
        release: the wheel planned for. shape: its configuration, without a cap.
        tokens_per_rank: the most that one rank sends in one dispatch.
        routing: label of the routing model. method: how its odds are found, and how far they can be trusted.
        dispatches: over how many dispatches the odds are taken. risk: the probability that was called acceptable.
        mean_rows: what the busiest rank receives on average.
        caps: from the smallest to the maximum, without the two below unless they are among them.
        for_dispatch: the smallest cap whose odds of overflow are within the risk; combine is not looked at.
        recommended: the smallest cap that is safe in dispatch and in combine.
        warnings: about the release and the setting.
    """

    release: str
    shape: DispatchShape
    tokens_per_rank: int
    routing: str
    method: str
    dispatches: int
    risk: float
    mean_rows: float
    caps: tuple[PlannedCap, ...]
    for_dispatch: PlannedCap
    recommended: PlannedCap
    warnings: tuple[str, ...]

    @property
    def maximum(self) -> PlannedCap:
        """What 0 gives."""
        return self.caps[-1]

    def buffers(self, cap: PlannedCap) -> BufferPlan:
        """Every allocation of one rank under that cap."""
        shape = replace(self.shape, max_total_recv_tokens=cap.max_total_recv_tokens)
        return plan_buffers(shape, layout_for_release(self.release))

    def to_json(self) -> dict[str, Any]:
        """For programs: plain dictionaries, lists, numbers and strings."""
        buffers = [
            {"name": item.name, "bytes": item.size, "memory": item.memory, "formula": item.formula}
            for item in self.buffers(self.recommended).allocations
        ]
        return {**asdict(self), "buffers_of_recommended": buffers}


class _Question:
    def __init__(
        self, shape: DispatchShape, release: str, law: ReceiveLaw, dispatches: int, combine_rows: int | None
    ) -> None:
        self.shape, self.release, self.law = replace(shape, max_total_recv_tokens=0), release, law
        self.layout = layout_for_release(release)
        self.dispatches = dispatches
        self.full = plan_buffers(self.shape, self.layout)
        self.combine_rows = combine_rows

    def capacity(self, cap: int) -> Capacity:
        return Capacity(self.shape.world_size, self.shape.max_num_inp_token_per_rank, cap)

    def odds(self, capacity: Capacity) -> Odds:
        if capacity.safe or not self.layout.receive_cap:
            return Odds(0.0, 0.0)
        if self.shape.kernel_type is KernelType.INTER_NODE:
            return self.law.any_pair_above(capacity.per_rank).repeated(self.dispatches)
        return self.law.any_above(capacity.rows).repeated(self.dispatches)

    def cap(self, value: int) -> PlannedCap:
        capacity = self.capacity(value)
        buffers = plan_buffers(replace(self.shape, max_total_recv_tokens=value), self.layout)
        rows = capacity.rows if self.layout.receive_cap else capacity.worst_case
        notes = []
        if value and rows != value:
            notes.append(
                f"gives {rows} rows: MORI rounds up to a multiple of world_size {capacity.world_size}, W·M at most"
            )
        if value and rows < capacity.max_num_inp_token_per_rank:
            notes.append(
                f"less than the {capacity.max_num_inp_token_per_rank} tokens of a single sender: one rank alone can overflow it"
            )
        combine = None if self.combine_rows is None else rows >= self.combine_rows
        if capacity.safe or not self.layout.receive_cap:
            combine = True
        return PlannedCap(
            max_total_recv_tokens=value,
            rows=rows,
            symmetric_bytes=buffers.total("symmetric"),
            total_bytes=buffers.total(),
            saved_bytes=self.full.total() - buffers.total(),
            overflow=self.odds(capacity),
            combine=combine,
            notes=tuple(notes),
        )

    def smallest(self, risk: float, least_rows: int = 0) -> PlannedCap:
        """The smallest cap with at least so many rows and odds within the risk; 0 if only the maximum is."""
        if not self.layout.receive_cap:
            return self.cap(0)  # whatever is set is dropped
        world, low, high = self.shape.world_size, 1, self.shape.max_num_inp_token_per_rank
        while low < high:
            middle = (low + high) // 2
            capacity = self.capacity(middle * world)
            if capacity.rows >= least_rows and self.odds(capacity).upper <= risk:
                high = middle
            else:
                low = middle + 1
        return self.cap(0 if low == self.shape.max_num_inp_token_per_rank else low * world)


def plan(
    shape: DispatchShape,
    release: str,
    *,
    routing: RoutingModel | None = None,
    tokens_per_rank: int | None = None,
    risk: float = 1e-6,
    dispatches: int = 1,
    caps: Iterable[int] = (),
    external_input: bool = True,
    combine_weights: bool = True,
) -> Plan:
    """Plan the receive cap of one configuration.

    Args:
        shape: sizes, kernel type and quant type, for example `Configuration.shape()`; its own cap is among those answered.
        release: one of `known_releases()`.
        routing: how tokens choose experts; uniform if None.
        tokens_per_rank: the most tokens that one rank really sends in one dispatch; M if None.
        risk: acceptable probability that any rank overflows in `dispatches` dispatches; 0 accepts only what is impossible.
        dispatches: how many dispatches the risk covers, for example MoE layers × steps. Their odds are added, which is right
            whatever they have in common.
        caps: further values to answer for.
        external_input: `use_external_inp_buf`; with False, combine needs far fewer rows.
        combine_weights: whether combine is given weights; then it needs a row for each token that a rank sends.

    Raises:
        CapacityError: the release is not known or lacks the kernel type or quant type.
        ConfigurationError: a figure that is out of range, or a routing model that does not fit.
        MissingLibraryError: the routing model needs numpy, and there is none.
    """
    tokens = shape.max_num_inp_token_per_rank if tokens_per_rank is None else tokens_per_rank
    if not 1 <= tokens <= shape.max_num_inp_token_per_rank:
        raise ConfigurationError(f"tokens_per_rank is {tokens}; allowed: 1 … {shape.max_num_inp_token_per_rank}")
    if not 0.0 <= risk < 1.0:
        raise ConfigurationError(f"risk is {risk}; it is a probability: 0 … 1, without 1")
    if dispatches < 1:
        raise ConfigurationError(f"dispatches is {dispatches}; it must be at least 1")
    model = routing or Uniform()
    routing_shape = RoutingShape(shape.world_size, shape.num_experts_per_rank, shape.num_experts_per_token)
    law = receive_law(model, routing_shape, tokens)
    combine_rows = rows_for_combine(
        shape, layout_for_release(release), tokens, external_input=external_input, weights=combine_weights
    )
    question = _Question(shape, release, law, dispatches, combine_rows)
    capacity = shape.capacity
    per_rank = {-(-capacity.max_num_inp_token_per_rank * step // _STEPS) for step in range(1, _STEPS)}
    wanted = {value * shape.world_size for value in per_rank} | set(caps) | {shape.max_total_recv_tokens}
    for_dispatch = question.smallest(risk)
    recommended = question.smallest(
        risk, capacity.worst_case if question.combine_rows is None else question.combine_rows
    )
    if combine_rows:
        wanted.add(min(-(-combine_rows // shape.world_size) * shape.world_size, capacity.worst_case))
    wanted |= {for_dispatch.max_total_recv_tokens, recommended.max_total_recv_tokens}
    answered = [question.cap(value) for value in sorted(wanted - {0})] if question.layout.receive_cap else []
    return Plan(
        release=release,
        shape=question.shape,
        tokens_per_rank=tokens,
        routing=model.label,
        method=law.method,
        dispatches=dispatches,
        risk=risk,
        mean_rows=law.mean,
        caps=(*answered, question.cap(0)),
        for_dispatch=for_dispatch,
        recommended=recommended,
        warnings=tuple(_warnings(model, question, for_dispatch, recommended)),
    )


def _warnings(
    model: RoutingModel, question: _Question, for_dispatch: PlannedCap, recommended: PlannedCap
) -> Iterable[str]:
    release, kernel = question.release, question.shape.kernel_type
    if not question.layout.receive_cap:
        yield f"{release} has no max_total_recv_tokens: it always allocates the maximum"
        return
    if not asserts_overflow(release, kernel):
        yield (
            f"{release} does not notice when {kernel} dispatch receives more than the capacity: it writes past the buffers, "
            "which corrupts memory or hangs. The odds given are the odds of that"
        )
    if isinstance(model, Uniform):
        yield "uniform routing is the kindest there is; real routers have favourites. Plan with a trace before you trust it"
    if kernel is KernelType.INTER_NODE:
        yield "legacy InterNode gives each sender its own quota of rows / world_size: the odds are those of any quota overflowing"
    if question.combine_rows is None:
        yield f"whether {kernel} combine stays inside its buffer under a cap was not measured: only the maximum is recommended"
    elif question.combine_rows > for_dispatch.rows:
        least = recommended.max_total_recv_tokens
        remedy = "Leave the cap at 0 (the maximum)" if least == 0 else f"Set no cap below {least}"
        yield (
            f"{release}: {kernel} COMBINE WRITES PAST ITS BUFFER below {question.combine_rows} rows, even if dispatch fits "
            f"(requirement CAP-7, docs/measured.md). {remedy}, whatever the odds of dispatch, or pass use_external_inp_buf=False"
        )
    blockwise = (QuantType.FP8_BLOCKWISE, QuantType.FP4_BLOCKWISE)
    if question.combine_rows and question.shape.quant_type in blockwise:
        yield (
            f"where {question.shape.quant_type} combine stops writing outside ({question.combine_rows} rows) was read from the "
            "source, not seen on a device"
        )
    if kernel not in (
        KernelType.INTRA_NODE,
        KernelType.INTRA_NODE_LL,
        KernelType.INTER_NODE_V1,
        KernelType.INTER_NODE_V1_LL,
    ):
        yield f"{kernel} keeps its send and combine buffers at the maximum: a cap shrinks only what dispatch gives back"
