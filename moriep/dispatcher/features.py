# SPDX-License-Identifier: MIT
"""What the installed release can do of what a dispatcher needs, asked of its surface before anything is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from moriep.capacity import Capacity
from moriep.configuration import Configuration
from moriep.consequences import explain
from moriep.dispatcher.inputs import drops_negative_ids
from moriep.errors import CompatibilityError, ConfigurationError
from moriep.layouts import BufferLayout, layout_for_surface
from moriep.staging import CombineStaging, combine_staging
from moriep.surface import Surface
from moriep.vocabulary import KernelType, QuantType

__all__ = ["CombineInput", "Features", "resolve_features"]

CombineInput = Literal["auto", "external", "registered"]

_COUNT = "call_local_expert_count"
_NORMAL = ("dispatch", "combine")
_LOW_LATENCY = ("dispatch_send", "dispatch_recv", "combine_send", "combine_recv")
_REGISTERED = "get_registered_combine_input_buffer"


@dataclass(frozen=True)
class Features:
    """One configuration on one release.

    Attributes:
        arguments: for `EpDispatchCombineConfig`, as names, without those that the release lacks.
        capacity: of the receive buffer; the worst case where the release has no cap.
        external_input: combine takes any tensor; False: it reads its registered buffer.
        staging: of combine, None where its rows are the received ones.
        negative_ids: −1 goes nowhere.
        dropped: what the release lacks, and what that changes; empty unless this was allowed.
    """

    release: str
    arguments: dict[str, Any]
    capacity: Capacity
    external_input: bool
    staging: CombineStaging | None
    negative_ids: bool
    dropped: tuple[str, ...] = ()


def resolve_features(
    configuration: Configuration,
    surface: Surface,
    *,
    low_latency: bool = False,
    expert_counts: bool = False,
    combine_input: CombineInput = "auto",
    combine_scale_dim: int = 56,
    architecture: str = "gfx942",
    allow_degraded: bool = False,
    layout: BufferLayout | None = None,
) -> Features:
    """Judge a configuration on a release.

    Args:
        combine_input: `auto` takes the registered buffer only where an external one is not safe under the cap and the release
            has a registered one for this quant type.
        allow_degraded: go on, with a note, without arguments that the release lacks; the default is to raise.
        layout: how the release sizes its buffers, taken from the surface if None.

    Raises:
        CompatibilityError: the release cannot do it; names all of what it cannot.
        ConfigurationError: no such choice of `combine_input`.
    """
    if combine_input not in ("auto", "external", "registered"):
        raise ConfigurationError(f"combine_input is {combine_input!r}; allowed: auto, external, registered")
    layout = layout or layout_for_surface(surface)
    low_latency = low_latency or configuration.kernel_type is KernelType.ASYNC_LL
    wanted = configuration.kwargs()
    external, staging = _combine_input(configuration, surface, layout, combine_input, combine_scale_dim)
    wanted["use_external_inp_buf"] = external
    calls: dict[str, tuple[str, ...]] = dict.fromkeys(_LOW_LATENCY if low_latency else _NORMAL, ())
    if expert_counts:
        calls["dispatch_recv" if low_latency else "dispatch"] = (_COUNT,)
    if not external:
        calls[_REGISTERED] = ()
    found = explain(wanted, surface, method_calls=calls, layout=layout)
    problems = [str(item) for item in (*found.unknown_values, *found.refused, *found.lacking)]
    problems += [f"{name} is required, and not given" for name in found.missing]
    if configuration.quant_type is QuantType.FP4_BLOCKWISE and not architecture.startswith("gfx950"):
        problems.append(
            f"quant_type=fp4_blockwise: the constructor raises ValueError on {architecture}; it needs gfx950"
        )
    changed = tuple(str(item) for item in found.dropped if not item.change.startswith("nothing changes"))
    if changed and not allow_degraded:
        problems += changed
    if problems:
        raise CompatibilityError(
            f"{surface.release} cannot do what is asked:\n"
            + "\n".join(f"  {item}" for item in problems)
            + "\nRemedy: another release (`moriep check` tells which), other settings"
            + (", or allow_degraded=True for what is only dropped" if changed else ""),
            [*(item.name for item in found.dropped)],
        )
    dispatch = surface.op.method("dispatch")
    unknown = surface.unknown_fields(wanted)
    return Features(
        release=surface.release,
        arguments={name: value for name, value in wanted.items() if name not in unknown},
        capacity=configuration.capacity
        if layout.receive_cap
        else Capacity(configuration.world_size, configuration.max_num_inp_token_per_rank),
        external_input=external,
        staging=staging,
        negative_ids=drops_negative_ids(
            configuration.kernel_type,
            routing_handles=dispatch is not None and dispatch.accepts_keyword("routing"),
            fp4_blockwise=QuantType.FP4_BLOCKWISE.value in surface.quant_types,
        ),
        dropped=changed,
    )


def _combine_input(
    configuration: Configuration, surface: Surface, layout: BufferLayout, choice: CombineInput, scale_dim: int
) -> tuple[bool, CombineStaging | None]:
    if choice == "registered":
        return False, None
    shape = configuration.shape(scale_dim)
    # What the release cannot build is reported by the explanation; here it only must not get in the way.
    if shape.kernel_type not in layout.kernel_types or shape.quant_type not in layout.quant_types:
        return True, None
    staging = combine_staging(shape, layout)
    if choice == "external" or staging is None or staging.safe:
        return True, staging
    if surface.op.method(_REGISTERED) is None or configuration.quant_type is not QuantType.NONE:
        return True, staging
    return False, None
