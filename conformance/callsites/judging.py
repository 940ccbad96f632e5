# SPDX-License-Identifier: MIT
"""What one release does to one call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any

from conformance.callsites.calls import CONFIG, OP, Call, Value
from conformance.survey.facts import WheelFacts
from conformance.wheels import Wheel
from moriep.buffers import DispatchShape
from moriep.capacity import Capacity
from moriep.consequences import explain
from moriep.errors import ConfigurationError
from moriep.layouts import layout_for_surface
from moriep.planner.combine_rows import rows_for_combine
from moriep.surface import Method
from moriep.vocabulary import KernelType, name_of

__all__ = ["CallFinding", "Severity", "judge_call"]

# IntraNode replay of a routing handle sent nothing: docs/measured.md and the timeline.
_EMPTY_REPLAY = ("1.2.3", "1.2.3.post1")
_EMPTY_REPLAY_NIGHTLIES = (date(2026, 8, 10), date(2026, 10, 11))
_ROW_CHECK = "combine() indices has"


class Severity(str, Enum):
    """`breaks`: an exception, an abort, or wrong results. `warning`: one of these for some values. `note`: other behaviour."""

    breaks = "breaks"
    warning = "warning"
    note = "note"


@dataclass(frozen=True)
class CallFinding:
    """One thing that a release does to a call."""

    severity: Severity
    text: str


def judge_call(call: Call, wheel: Wheel, facts: WheelFacts, reference: WheelFacts) -> tuple[CallFinding, ...]:
    """Judge a call against a release.

    Args:
        call: from `conformance.callsites.scanning`.
        wheel, facts: the release, and what its files say.
        reference: the newest release that is judged; positional arguments are taken to mean what they mean there.
    """
    if call.target == CONFIG:
        return tuple(_configuration(call, facts, reference))
    if call.target == OP:
        return tuple(_constructor(call, facts))
    return tuple(_method(call, wheel, facts, reference))


def _breaks(text: str) -> CallFinding:
    return CallFinding(Severity.breaks, text)


def _warning(text: str) -> CallFinding:
    return CallFinding(Severity.warning, text)


def _shift(call: Call, here: tuple[str, ...], there: tuple[str, ...]) -> Iterator[CallFinding]:
    """Positional arguments that another parameter takes than in the reference."""
    moved = [
        f"argument {position} ({value.text}) is {ours} here and {theirs} in the newest release judged"
        for position, (value, ours, theirs) in enumerate(zip(call.arguments, here, there, strict=False), 1)
        if ours != theirs
    ]
    if moved:
        rest = f", and {len(moved) - 1} after it" if len(moved) > 1 else ""
        yield _breaks(f"{moved[0]}{rest}: pass it by keyword")
    if len(call.arguments) > len(here):
        yield _breaks(f"TypeError: {len(call.arguments)} positional arguments, {len(here)} are taken")


def _configuration(call: Call, facts: WheelFacts, reference: WheelFacts) -> Iterator[CallFinding]:
    surface = facts.surface
    yield from _shift(call, surface.config.field_names, reference.surface.config.field_names)
    given: dict[str, Value] = dict(zip(surface.config.field_names, call.arguments, strict=False))
    for name, value in call.keywords:
        if name in given:
            yield _breaks(f"TypeError: {name} is given by position and by name")
        given[name] = value
    known = {name: value.value for name, value in given.items() if value.known}
    found = explain(known, surface)
    for name in surface.unknown_fields(given):
        reason = next((str(item.change) for item in found.dropped if item.name == name), "")
        if call.pruned:
            yield _warning(f"{name}={given[name].text} is dropped by pruning" + (f": {reason}" if reason else ""))
        else:
            yield _breaks(f"TypeError: unknown argument {name}" + (f" (if it is dropped: {reason})" if reason else ""))
    if not call.open_ended:
        for item in surface.config.fields:
            if item.required and item.name not in given:
                yield _breaks(f"TypeError: {item.name} is required and not given")
    for unknown in found.unknown_values:
        yield _breaks(str(unknown))
    for refusal in found.refused:
        # The judge fills in defaults; for an argument that is given but not known they say nothing.
        if all(name in known or (name not in given and not call.open_ended) for name in refusal.arguments):
            yield _breaks(str(refusal))
    yield from _types(given, known, facts)
    yield from _nodes(call, given, known)
    yield from _cap(call, given, known, facts)
    yield from _geometry(given, known, facts)


def _types(given: Mapping[str, Value], known: Mapping[str, Any], facts: WheelFacts) -> Iterator[CallFinding]:
    """A flag where a number belongs, and the reverse: the trace of an argument list written for another release."""
    for name, value in known.items():
        item = facts.surface.config.field(name)
        annotation = item.annotation if item is not None else ""
        if (annotation == "int" and isinstance(value, bool)) or (
            annotation == "bool" and type(value) is int and value not in (0, 1)
        ):
            yield _breaks(
                f"{name} gets {given[name].text}, but is {annotation}: a positional list for another release? Pass by keyword"
            )


def _nodes(call: Call, given: Mapping[str, Value], known: Mapping[str, Any]) -> Iterator[CallFinding]:
    if "gpu_per_node" not in given and "world_size" in given and "world_size" not in known and not call.open_ended:
        yield _warning(
            "gpu_per_node is left at 8: the constructor aborts the process unless world_size is a multiple of 8. "
            "Pass gpu_per_node=min(8, world_size)"
        )


def _kernel(known: Mapping[str, Any], given: Mapping[str, Value]) -> str | None:
    """The kernel type, its default if it is not given, None if it cannot be seen."""
    if "kernel_type" in given:
        return name_of(known["kernel_type"]) if "kernel_type" in known else None
    return KernelType.INTRA_NODE.value


def _cap(call: Call, given: Mapping[str, Value], known: Mapping[str, Any], facts: WheelFacts) -> Iterator[CallFinding]:
    """A receive cap below the maximum: what combine and what an overflow do."""
    layout, name = layout_for_surface(facts.surface), "max_total_recv_tokens"
    if name not in given or not layout.receive_cap or known.get(name) == 0:
        return
    kernel = _kernel(known, given)
    external = known.get("use_external_inp_buf", True)
    capacity = _capacity(known)
    if capacity is not None and capacity.safe:
        return
    staged = kernel in (None, KernelType.INTRA_NODE.value, KernelType.INTRA_NODE_LL.value) and external is not False
    if staged:
        needed, rows = _combine_rows(known, facts), capacity.rows if capacity is not None else None
        if needed is not None and rows is not None and kernel is not None:
            if rows < needed:
                yield _breaks(
                    f"combine writes past its buffer: {rows} rows with {name}={known[name]}, {needed} are needed even if "
                    "dispatch fits (docs/measured.md). Use 0, or see `moriep plan`"
                )
        else:
            kind = _breaks if capacity is not None and kernel is not None else _warning
            yield kind(
                f"{name}={given[name].text}: IntraNode combine writes past its buffer with a cap below world_size × "
                "max_num_inp_token_per_rank, even if dispatch fits (docs/measured.md). Use 0, or see `moriep plan`"
            )
    if kernel in facts.surface.kernel_types and kernel not in facts.guarded_kernel_types():
        yield _warning(
            f"{name}={given[name].text}: {kernel} dispatch does not notice when more tokens arrive than the cap holds, and "
            "writes past the buffers"
        )


def _capacity(known: Mapping[str, Any]) -> Capacity | None:
    sizes = [known.get(name) for name in ("world_size", "max_num_inp_token_per_rank", "max_total_recv_tokens")]
    try:
        return Capacity(*sizes) if all(type(size) is int for size in sizes) else None  # type: ignore[arg-type]
    except ConfigurationError:
        return None


def _combine_rows(known: Mapping[str, Any], facts: WheelFacts) -> int | None:
    try:
        shape = DispatchShape.from_kwargs(known)
        return rows_for_combine(shape, layout_for_surface(facts.surface), shape.max_num_inp_token_per_rank)
    except (ConfigurationError, TypeError):
        return None


def _geometry(given: Mapping[str, Value], known: Mapping[str, Any], facts: WheelFacts) -> Iterator[CallFinding]:
    tuned = [name for name in ("block_num", "warp_num_per_block") if name in given]
    if tuned and _kernel(known, given) in (None, KernelType.INTRA_NODE.value):
        if any("dispatch" in name for name in facts.launch_defaults):
            yield CallFinding(
                Severity.note,
                f"{' and '.join(tuned)}: IntraNode dispatch uses a geometry of its own unless the call passes one",
            )


def _constructor(call: Call, facts: WheelFacts) -> Iterator[CallFinding]:
    method = facts.surface.op.method("__init__")
    if method is not None:
        yield from _call_shape(call, method)


def _method(call: Call, wheel: Wheel, facts: WheelFacts, reference: WheelFacts) -> Iterator[CallFinding]:
    surface = facts.surface
    method = surface.op.method(call.target)
    if method is None:
        yield _breaks(f"AttributeError: the op has no {call.target}")
        return
    newest = reference.surface.op.method(call.target)
    if newest is not None:
        yield from _shift(call, _positional(method), _positional(newest))
    lacking = explain({}, surface, method_calls={call.target: call.names}).lacking
    yield from (_breaks(f"{item.call}: {item.failure}") for item in lacking)
    yield from _missing(call, method)
    given: dict[str, Value] = {**dict(zip(_positional(method), call.arguments, strict=False)), **dict(call.keywords)}
    indices = given.get("indices")
    if indices is not None and indices.int64:
        outcome = (
            "the kernel reads them as 32-bit, so tokens go to wrong experts"
            if layout_for_surface(surface).receive_cap
            else "they are refused or misread"
        )
        yield _breaks(f"indices are int64: {outcome}. Pass {indices.text} as torch.int32, contiguous")
    if call.target in ("combine", "combine_send") and indices is not None and indices.received:
        if any(_ROW_CHECK in text for text in method.raises):
            yield _breaks(
                "ValueError: combine gets the indices that dispatch returned; this release wants those that it was given, one "
                "row for each token that this rank dispatched"
            )
        else:
            yield _warning(
                "combine gets the indices that dispatch returned: accepted here, wrong sums with InterNodeV1, and a ValueError "
                "from 1.2.3 on. Pass those that dispatch was given"
            )
    routing = given.get("routing")
    if (
        call.target in ("dispatch", "dispatch_send")
        and routing is not None
        and not (routing.known and routing.value is None)
    ):
        if method.accepts_keyword("routing") and _replays_nothing(wheel):
            yield _breaks(
                "a replayed dispatch moves no payload with IntraNode: what is received is left over from before"
            )


def _replays_nothing(wheel: Wheel) -> bool:
    if wheel.nightly:
        first, last = _EMPTY_REPLAY_NIGHTLIES
        return first <= wheel.built <= last
    return wheel.version in _EMPTY_REPLAY


def _positional(method: Method) -> tuple[str, ...]:
    return tuple(item.name for item in method.parameters if item.kind in ("positional_only", "positional_or_keyword"))


def _missing(call: Call, method: Method) -> Iterator[CallFinding]:
    if call.open_ended:
        return
    by_position = _positional(method)[: len(call.arguments)]
    for item in method.parameters:
        if item.required and item.name not in by_position and item.name not in call.names:
            yield _breaks(f"TypeError: {call.target} needs {item.name}, which is not given")


def _call_shape(call: Call, method: Method) -> Iterator[CallFinding]:
    names = _positional(method)
    if len(call.arguments) > len(names):
        yield _breaks(f"TypeError: {len(call.arguments)} positional arguments, {len(names)} are taken")
    for name in call.names:
        if not method.accepts_keyword(name):
            yield _breaks(f"TypeError: unknown argument {name}")
    yield from _missing(call, method)
