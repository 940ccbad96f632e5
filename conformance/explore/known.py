# SPDX-License-Identifier: MIT
"""What is known to go wrong, and when: from the inputs of a case alone, which requirement will not hold on which release.

A failure of the exploration that one of these foretells is explained; every other one is a finding. Where it is certain that
something goes wrong, a case that comes out right is a finding too: then this table is out of date.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from conformance.explore.playing import Trial
from conformance.explore.schedules import PLAIN
from conformance.suite.cases import Case
from conformance.suite.encoding import DTYPE_SIZES
from conformance.suite.oracle import World
from moriep.buffers import DispatchShape, plan_buffers
from moriep.capacity import Capacity
from moriep.errors import CapacityError
from moriep.layouts import LAYOUTS, BufferLayout, layout_for_release
from moriep.staging import combine_staging, weight_sums_fit
from moriep.vocabulary import KernelType, QuantType

__all__ = ["KNOWN", "REFERENCE_RELEASE", "Known", "explaining", "foretold"]

# The reference implementation, as a release: it does everything right, and refuses what does not fit.
REFERENCE_RELEASE = "reference"

_FLOAT = 4
# Experts of a token that IntraNodeLL looks at: as many as a node has GPUs at most.
_ROUTED_EXPERTS = 8
_LANES = 64

_ANY_END = ("asserted", "out_of_bounds", "hang", "crash", "finished", "refused")


def _always(_: Trial) -> bool:
    return True


@dataclass(frozen=True)
class Known:
    """One thing that goes wrong.

    Attributes:
        requirement: that says so, with its evidence; or the finding's id in regressions.toml.
        releases: PEP 440 specifiers, or REFERENCE_RELEASE.
        kernel_types: that it happens with.
        foretells: of a case's world and the release's sizes, whether it happens.
        outcomes: how it shows with one allocation for each buffer.
        kinds: if the case finishes, what may be wrong; empty for anything.
        certain: it cannot come out right with one allocation for each buffer.
        when: of a trial, whether its schedule or heap let it happen.
        writes_outside: on a shared heap, where a write past a buffer lands in the next one, anything may follow.
    """

    requirement: str
    releases: str
    kernel_types: tuple[str, ...]
    foretells: Callable[[World, BufferLayout], bool]
    outcomes: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    certain: bool = False
    writes_outside: bool = True
    when: Callable[[Trial], bool] = _always

    def speaks_about(self, version: str, kernel_type: str) -> bool:
        if kernel_type not in self.kernel_types:
            return False
        if REFERENCE_RELEASE in (version, self.releases):
            return version == self.releases
        return Version(version) in SpecifierSet(self.releases, prereleases=True)

    def allows(self, trial: Trial, outcome: str) -> bool:
        """Whether a trial may end like this because of it."""
        if not self.when(trial):
            return False
        if self.writes_outside and trial.heap != "isolation":
            return outcome in _ANY_END
        return outcome in self.outcomes


def explaining(known: Sequence[Known], trial: Trial, outcome: str, kinds: frozenset[str]) -> tuple[str, ...]:
    """The requirements that together explain what became of a trial; none if something is left unexplained.

    Args:
        outcome: its kind; kinds: of the discrepancies, if it finished.
    """
    allowing = [item for item in known if item.allows(trial, outcome)]
    if outcome == "finished":
        for kind in kinds:
            if not any(not item.kinds or kind in item.kinds for item in allowing):
                return ()
        allowing = [item for item in allowing if not item.kinds or kinds & set(item.kinds)]
    return tuple(dict.fromkeys(item.requirement for item in allowing))


def _capacity(case: Case) -> Capacity:
    return Capacity(case.world_size, case.most_tokens, case.cap or 0)


def _overflows(world: World, _: BufferLayout) -> bool:
    case, rows = world.case, _capacity(world.case).rows
    return any(
        len(world.expected(data, rank)) > rows for data in range(case.data_sets) for rank in range(case.world_size)
    )


def _shape(case: Case, hidden: int) -> DispatchShape:
    return DispatchShape(
        world_size=case.world_size,
        hidden_dim=hidden,
        scale_dim=case.scale_dim,
        scale_type_size=case.scale_type_size,
        max_token_type_size=max(DTYPE_SIZES[case.dtype], DTYPE_SIZES[case.combine_dtype]),
        max_num_inp_token_per_rank=case.most_tokens,
        num_experts_per_rank=case.experts_per_rank,
        num_experts_per_token=case.top_k,
        max_total_recv_tokens=case.cap or 0,
        kernel_type=KernelType(case.kernel_type),
        gpu_per_node=case.gpus_per_node or case.world_size,
        quant_type=QuantType(case.quant_type),
    )


def _stages_outside(world: World, layout: BufferLayout) -> bool:
    """Combine from an external buffer writes row receiver × M + token of the sender's staging buffer."""
    case = world.case
    buffer, moved = (
        combine_staging(_shape(case, hidden), layout, external_input=case.external_input, weights=True)
        for hidden in (case.hidden, case.width)
    )
    if buffer is None or moved is None:
        return False
    # Calls may bring fewer values than the configuration has: rows are then closer together.
    staging = replace(buffer, row_bytes=moved.row_bytes)
    for data, ranks in enumerate(world.inputs):
        for rank, inputs in enumerate(ranks):
            last = [0] * case.world_size
            for token in range(inputs.tokens):
                for receiver in world.destinations(data, rank, token):
                    last[receiver] = token + 1
            if staging.needed_rows(last) > staging.rows:
                return True
    return False


def _too_many_weights(world: World, _: BufferLayout) -> bool:
    capacity = _capacity(world.case)
    return any(not weight_sums_fit(capacity, inputs.tokens, weights=True) for ranks in world.inputs for inputs in ranks)


def _has_tokens(world: World) -> bool:
    return any(inputs.tokens for ranks in world.inputs for inputs in ranks)


def _drops(world: World, _: BufferLayout) -> bool:
    return world.case.pattern == "dropped" and _has_tokens(world)


def _names_nobody(world: World, _: BufferLayout) -> bool:
    return world.case.pattern == "out_of_range" and _has_tokens(world)


def _replays(world: World, _: BufferLayout) -> bool:
    return world.case.play == "replay" and _has_tokens(world)


def _capped(world: World, _: BufferLayout) -> bool:
    """A cap below the maximum."""
    capacity = _capacity(world.case)
    return capacity.rows < capacity.worst_case and _has_tokens(world)


def _capped_from_outside(world: World, layout: BufferLayout) -> bool:
    return world.case.external_input and _capped(world, layout)


def _odd_network_blocks(world: World, _: BufferLayout) -> bool:
    """Blocks of the network that are no multiple of 8, and more than one node."""
    return world.case.nodes > 1 and world.case.rdma_blocks % 8 != 0 and _has_tokens(world)


def _odd_blocks(world: World, _: BufferLayout) -> bool:
    return world.case.block_num % world.case.world_size != 0


def _few_warps(world: World, _: BufferLayout) -> bool:
    return world.case.warps_per_block < 3 and _has_tokens(world)


def _wide_slots(world: World, layout: BufferLayout) -> bool:
    """Blockwise combine writes a row and its scales into a slot that was allocated without scales: a narrow row does not fit.

    AsyncLL numbers slots by sender and place among what that one sent, IntraNodeLL by receiver and token, M for each rank.
    """
    case = world.case
    if not case.quant_type.endswith("blockwise"):
        return False
    shape = _shape(case, case.width)
    buffers = plan_buffers(_shape(case, case.hidden), layout)
    buffer = buffers.buffer("staging" if case.kernel_type == "AsyncLL" else "combineInp")
    if buffer is None:
        return False
    slot = case.width + shape.combine_scale_dim * _FLOAT
    if case.kernel_type == "IntraNodeLL":
        slot += case.top_k * _FLOAT
    ranks = range(case.world_size)
    for data, senders in enumerate(world.inputs):
        for sender, inputs in enumerate(senders):
            sent = [
                [token for token in range(inputs.tokens) if to in world.destinations(data, sender, token)]
                for to in ranks
            ]
            for receiver, tokens in enumerate(sent):
                if not tokens:
                    continue
                if case.kernel_type == "AsyncLL":
                    last = max(sender, receiver) * case.most_tokens + len(tokens)
                else:
                    last = receiver * case.most_tokens + tokens[-1] + 1
                if last * slot > buffer.size:
                    return True
    return False


def _needs_the_ninth(world: World, _: BufferLayout) -> bool:
    """A token that goes to some rank for the sake of an expert behind its eighth."""
    case = world.case
    if case.top_k <= _ROUTED_EXPERTS:
        return False
    for data, ranks in enumerate(world.inputs):
        for rank, inputs in enumerate(ranks):
            for token in range(inputs.tokens):
                routed = {int(item) // case.experts_per_rank for item in inputs.ids[token][:_ROUTED_EXPERTS]}
                if not routed.issuperset(world.destinations(data, rank, token)):
                    return True
    return False


def _lanes_are_left_over(world: World, _: BufferLayout) -> bool:
    """A wave of 64 lanes numbers whole tokens; what is left of its lanes takes up the first token of the next wave too."""
    top_k = world.case.top_k
    return _LANES % top_k != 0 and any(item.tokens > _LANES // top_k for ranks in world.inputs for item in ranks)


def _scales_for_an_empty_rank(world: World, _: BufferLayout) -> bool:
    """A rank that sends nothing receives something with scales."""
    return world.case.scale_dim > 0 and any(
        inputs.tokens == 0 and bool(world.expected(data, rank))
        for data, ranks in enumerate(world.inputs)
        for rank, inputs in enumerate(ranks)
    )


def _several_blocks(world: World, _: BufferLayout) -> bool:
    return world.case.block_num > 1


def _one_warp_or_another_order(trial: Trial) -> bool:
    """With the engine's own order, waves of other blocks come too late for the barrier only if each block has one."""
    return trial.case.warps_per_block == 1 or trial.schedule != PLAIN


def _registered(world: World, _: BufferLayout) -> bool:
    return not world.case.external_input and _has_tokens(world)


def _several_nodes(world: World, _: BufferLayout) -> bool:
    return world.case.nodes > 1 and _has_tokens(world)


def _ranks_do_not_meet(trial: Trial) -> bool:
    """Between dispatch and combine."""
    return not (trial.case.barriers and trial.schedule.meets)


_ASSERTING = ("IntraNodeLL", "InterNodeV1", "InterNodeV1LL", "AsyncLL")

KNOWN: tuple[Known, ...] = (
    Known(
        "OVF-8",
        REFERENCE_RELEASE,
        ("IntraNode", "IntraNodeLL"),
        _overflows,
        ("refused",),
        certain=True,
        writes_outside=False,
    ),
    Known("OVF-8", "<1.2.3.dev0", ("IntraNode",), _overflows, ("asserted",), certain=True, writes_outside=False),
    Known("OVF-8", ">=1.2.3.dev0", ("IntraNode",), _overflows, ("out_of_bounds",), certain=True),
    Known("OVF-9", ">=1.1.1", _ASSERTING, _overflows, ("asserted",), certain=True, writes_outside=False),
    Known("OVF-8", ">=1.1.1", ("InterNode",), _overflows, _ANY_END),
    Known("CAP-7", ">=1.1.1", ("IntraNode",), _stages_outside, ("out_of_bounds",), certain=True),
    Known("CAP-8", ">=1.1.1", ("IntraNode",), _too_many_weights, ("out_of_bounds",), certain=True),
    Known("CAP-7", ">=1.2.0", ("IntraNodeLL",), _capped_from_outside, ("out_of_bounds",)),
    Known("CAP-8", ">=1.1.1", ("IntraNodeLL", "InterNodeV1", "InterNodeV1LL"), _too_many_weights, ("out_of_bounds",)),
    # A cap is a quota for each pair of ranks, which combine does not go beyond.
    Known("CAP-7", ">=1.1.1", ("InterNode",), _capped, _ANY_END),
    # −1 / E is 0: such a slot is sent to rank 0, and may overflow it.
    Known("IDS-1", "<=1.2.0", ("IntraNode", "IntraNodeLL", "InterNodeV1", "InterNodeV1LL"), _drops, _ANY_END),
    Known("IDS-4", "<=1.2.1", ("IntraNodeLL",), _drops, _ANY_END),
    Known("IDS-1", ">=1.1.1", ("InterNodeV1LL", "AsyncLL", "InterNode"), _drops, _ANY_END),
    Known("IDS-2", "<=1.1.1", ("IntraNode", "InterNodeV1", "AsyncLL", "InterNode"), _names_nobody, _ANY_END),
    # The guard stands behind an assertion that such an id breaks.
    Known("IDS-2", ">=1.2.0", ("InterNodeV1", "InterNodeV1LL", "AsyncLL"), _names_nobody, ("asserted", "crash")),
    Known("IDS-2", ">=1.1.1", ("InterNodeV1LL", "InterNode"), _names_nobody, _ANY_END),
    Known("IDS-5", "<=1.2.1", ("IntraNodeLL",), _names_nobody, _ANY_END),
    Known("LNC-2", "<1.2.4.dev0", ("InterNodeV1",), _odd_network_blocks, _ANY_END),
    Known("LNC-2", ">=1.1.1", ("InterNode",), _odd_blocks, _ANY_END),
    Known("LNC-2", ">=1.2.2", ("IntraNodeLL",), _few_warps, ("finished",), writes_outside=False),
    # Races: combine does not wait for the number of tokens that another node sent; peers send into the buffer that it reads.
    Known(
        "STA-5",
        ">=1.1.1",
        ("InterNodeV1LL",),
        _several_nodes,
        ("finished", "out_of_bounds", "hang"),
        # A combine that came too early also leaves the flag of a chunk, and the next dispatch takes what lies there for new.
        ("count", "foreign", "missing", "payload", "weights", "ids", "scales", "position", "sum", "weight_sum"),
        when=_ranks_do_not_meet,
    ),
    Known(
        "STA-5", ">=1.1.1", ("InterNodeV1",), _several_nodes, ("hang",), writes_outside=False, when=_ranks_do_not_meet
    ),
    Known("CMB-4", ">=1.1.1", ("AsyncLL",), _registered, ("finished",), ("sum",), writes_outside=False),
    Known("CMB-4", ">=1.1.1", ("InterNode",), _registered, ("finished",), ("sum", "weight_sum"), writes_outside=False),
    Known(
        "RTE-3",
        ">=1.2.3.dev0,<1.2.4",
        ("IntraNode",),
        _replays,
        ("finished",),
        ("payload", "weights", "ids", "scales", "foreign", "missing", "twice", "position", "sum", "weight_sum"),
        writes_outside=False,
    ),
    Known(
        "CMB-3",
        ">=1.1.1",
        ("AsyncLL",),
        lambda world, _: _has_tokens(world),
        ("finished",),
        ("weight_sum",),
        writes_outside=False,
    ),
    # Its positions have the stride M; and are refused where slots name nobody.
    Known(
        "DSP-6",
        ">=1.1.1",
        ("InterNode",),
        lambda world, _: _has_tokens(world),
        ("finished", "refused"),
        ("position",),
        writes_outside=False,
    ),
    # Slots are allocated without the scales that combine puts behind each row.
    Known("blockwise-slots-ll", ">=1.2.0", ("IntraNodeLL",), _wide_slots, ("out_of_bounds",), certain=True),
    Known("blockwise-slots", ">=1.2.2", ("AsyncLL",), _wide_slots, ("out_of_bounds",), certain=True),
    Known(
        "ninth-expert",
        ">=1.2.2",
        ("IntraNodeLL",),
        _needs_the_ninth,
        ("finished",),
        ("count", "missing", "sum", "weight_sum"),
        certain=True,
        writes_outside=False,
    ),
    # The row that nobody writes may lie behind the buffer, and count for a token that was received before.
    Known("orphan-row", ">=1.1.1,<=1.2.2", ("AsyncLL",), _lanes_are_left_over, _ANY_END),
    Known(
        "scales-of-an-empty-rank",
        ">=1.1.1",
        ("InterNode",),
        _scales_for_an_empty_rank,
        ("finished",),
        ("scales",),
        writes_outside=False,
    ),
    # A race: one block sets the counter back that the waves of the others still wait on.
    Known(
        "combine-barrier",
        ">=1.1.1",
        ("InterNode",),
        _several_blocks,
        ("hang",),
        writes_outside=False,
        when=_one_warp_or_another_order,
    ),
    # Until the constructor ends with a barrier. Ranks that meet behind it by themselves are spared.
    Known(
        "slow-constructor",
        "<1.2.3.dev0",
        ("IntraNode", "IntraNodeLL", "InterNodeV1", "InterNodeV1LL", "AsyncLL", "InterNode"),
        lambda world, _: _has_tokens(world),
        _ANY_END,
        writes_outside=False,
        when=lambda trial: not trial.schedule.meets,
    ),
)


def _layout(label: str) -> BufferLayout:
    try:
        return layout_for_release(label)
    except CapacityError:
        # A nightly, or the reference: sized as the newest that was read.
        return LAYOUTS[-1]


def foretold(world: World, version: str, label: str) -> tuple[Known, ...]:
    """All that is known to go wrong with a case on a release.

    Args:
        version, label: `1.2.4`, `1.2.4@cp310`; both REFERENCE_RELEASE for the reference implementation.
    """
    layout = _layout(label)
    kernel_type = world.case.kernel_type
    return tuple(item for item in KNOWN if item.speaks_about(version, kernel_type) and item.foretells(world, layout))
