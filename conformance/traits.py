# SPDX-License-Identifier: MIT
"""A wheel as a flat table of traits, so that differences and timelines need no code for each kind of fact.

A trait is an area, a name and a value: (config field, `max_total_recv_tokens`, `int = 0`), (overflow assertion,
`IntraNode`, where and on what). Two wheels differ where their tables differ. `AREAS` says what a difference in each area means
to a caller: a vanished assertion weighs as much as a vanished argument.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from conformance.survey.facts import WheelFacts
from moriep.surface import ClassSurface, Method, Parameter

__all__ = ["AREAS", "Area", "TraitKey", "Weight", "plain_soname", "trait_table", "unread_libraries"]

TraitKey = tuple[str, str]


class Weight(IntEnum):
    """What a difference means to a caller who changes nothing.

    `breaks`: a call that worked raises, is misread, or loses a protection. `behaviour`: the same call does something else.
    `addition`: nothing, until the caller uses it. `internal`: code changed, and the survey cannot say more.
    """

    breaks = 0
    behaviour = 1
    addition = 2
    internal = 3


@dataclass(frozen=True)
class Area:
    """One kind of trait, what its appearing, vanishing and changing weigh, and what its vanishing means."""

    title: str
    added: Weight
    removed: Weight
    changed: Weight
    if_removed: str = ""
    if_added: str = ""
    if_changed: str = ""


_CONTENT_HASH = re.compile(r"-[0-9a-f]{8}(?=\.)")
_B, _H, _A, _I = Weight.breaks, Weight.behaviour, Weight.addition, Weight.internal

AREAS: dict[str, Area] = {
    area.title: area
    for area in (
        Area(
            "config field", _A, _B, _H,
            if_removed="passing it raises TypeError; check_mori_compatibility drops it instead",
            if_changed="callers that leave it out get another value",
        ),
        Area(
            "overflow assertion", _H, _B, _H,
            if_removed="more tokens than the capacity no longer stop the kernel: it writes past the receive buffers",
            if_added="more tokens than the capacity now abort the process with this message",
        ),
        Area("overflow assertion site", _I, _I, _I),
        Area(
            "capacity formula", _A, _B, _B,
            if_changed="receive buffers have another size for the same configuration",
        ),
        Area(
            "launch default", _H, _H, _H,
            if_removed="the configuration's block_num and warp_num_per_block decide again",
            if_added="used instead of the configuration's block_num and warp_num_per_block unless the call passes its own",
            if_changed="the kernel is launched with another geometry",
        ),
        Area("op method", _A, _B, _H, if_removed="calling it raises AttributeError"),
        Area("op parameter", _A, _B, _H, if_removed="passing it raises TypeError"),
        Area("op raises", _B, _H, _H, if_added="the method refuses calls that it took before"),
        Area("quant_type value", _A, _B, _H, if_removed="the constructor raises ValueError for it"),
        Area(
            "kernel type", _A, _B, _B,
            if_removed="naming it raises AttributeError",
            if_changed="code that passes the number instead of the name gets another kernel",
        ),
        Area("export of mori.ops", _A, _B, _H, if_removed="importing it raises ImportError"),
        Area("config v2 field", _A, _B, _H, if_removed="passing it raises TypeError"),
        Area("op v2 method", _A, _B, _H, if_removed="calling it raises AttributeError"),
        Area("op v2 parameter", _A, _B, _H, if_removed="passing it raises TypeError"),
        Area("op v2 raises", _B, _H, _H),
        Area(
            "library needed", _B, _A, _H,
            if_added="importing mori.cpp fails on machines without it",
            if_removed="one library less to have on the machine",
        ),
        Area("library bundled", _A, _B, _H, if_removed="the machine must provide it"),
        Area("ROCm", _H, _H, _H, if_changed="built for another ROCm release"),
        Area("variable read by Python", _A, _H, _H, if_removed="setting it has no effect"),
        Area("variable read by C++ sources", _A, _H, _H, if_removed="setting it has no effect"),
        Area("Python code", _I, _I, _I),
        Area("kernel code", _I, _I, _I),
        Area("device assertions", _I, _I, _I),
    )
}  # fmt: skip


def _signature(parameter: Parameter) -> str:
    kind = "" if parameter.kind == "positional_or_keyword" else f"{parameter.kind.replace('_', ' ')}, "
    return kind + ("required" if parameter.required else f"default {parameter.default}")


def _class_traits(prefix: str, owner: ClassSurface) -> Iterator[tuple[TraitKey, str]]:
    for method in owner.methods:
        if method.name != "__init__":
            yield (f"{prefix} method", method.name), ""
        for parameter in method.parameters:
            yield (f"{prefix} parameter", f"{method.name}({parameter.name})"), _signature(parameter)
        for text in _raised(method):
            yield (f"{prefix} raises", text), ""


def _raised(method: Method) -> Iterator[str]:
    for text in method.raises:
        yield f"{method.name}: {text}"


def _field_traits(area: str, owner: ClassSurface) -> Iterator[tuple[TraitKey, str]]:
    for field in owner.fields:
        yield (area, field.name), field.annotation + (" (required)" if field.required else f" = {field.default}")


def _guard_traits(facts: WheelFacts) -> Iterator[tuple[TraitKey, str]]:
    by_kernel: dict[str, set[str]] = defaultdict(set)
    sites: dict[str, set[str]] = defaultdict(set)
    for guard in facts.guards:
        text = f'{guard.condition}: "{guard.message}"'
        sites[f"{guard.file}: {guard.function}"].add(text)
        for kind in guard.kernel_types:
            by_kernel[kind].add(text)
    for kind, texts in by_kernel.items():
        yield ("overflow assertion", kind), "; ".join(sorted(texts))
    for site, texts in sites.items():
        yield ("overflow assertion site", site), "; ".join(sorted(texts))


def plain_soname(name: str) -> str:
    """A bundled library's name without the content hash that `auditwheel` puts into it."""
    return _CONTENT_HASH.sub("", name)


def unread_libraries(facts: WheelFacts) -> bool:
    """True if the survey left a library unread, so that an absent soname is unknown and not absent."""
    return any(library.needed is None for library in facts.libraries)


def trait_table(facts: WheelFacts) -> dict[TraitKey, str]:
    """Every trait of a wheel. The order is fixed: by area as in `AREAS`, then as the wheel has them."""
    surface = facts.surface
    table: dict[TraitKey, str] = dict(_field_traits("config field", surface.config))
    table.update(_guard_traits(facts))
    for item in facts.capacity:
        table["capacity formula", item.function] = item.body
    for name, values in facts.launch_defaults.items():
        table["launch default", name.strip("_")] = "; ".join(values)
    table.update(_class_traits("op", surface.op))
    table.update({("quant_type value", value): "" for value in surface.quant_types})
    table.update({("kernel type", name): str(value) for name, value in surface.kernel_types.items()})
    table.update({("export of mori.ops", name): "" for name in surface.exports})
    if surface.config_v2 is not None:
        table.update(_field_traits("config v2 field", surface.config_v2))
    if surface.op_v2 is not None:
        table.update(_class_traits("op v2", surface.op_v2))
    needed: dict[str, list[str]] = defaultdict(list)
    own = {library.path.rsplit("/", 1)[-1] for library in facts.libraries}
    for library in facts.libraries:
        for soname in library.needed or ():
            if soname not in own and soname not in facts.bundled_libraries:
                needed[soname].append(library.path)
    table.update({("library needed", soname): "" for soname in sorted(needed)})
    table.update({("library bundled", plain_soname(name)): "" for name in facts.bundled_libraries})
    for name, value in (("built with", facts.rocm_build), ("wants at run time", facts.rocm_pattern)):
        if value is not None:
            table["ROCm", name] = value
    table.update({("variable read by Python", name): "" for name in facts.python_variables})
    table.update({("variable read by C++ sources", name): "" for name in facts.native_variables})
    table.update({("Python code", name): digest for name, digest in facts.method_digests.items()})
    seen: dict[TraitKey, list[str]] = defaultdict(list)
    for function in facts.kernel_functions:
        seen["kernel code", f"{function.file}: {function.function}"].append(function.digest)
    table.update({key: " ".join(sorted(digests)) for key, digests in seen.items()})
    table.update({("device assertions", file): str(count) for file, count in facts.device_asserts.items()})
    order = {title: position for position, title in enumerate(AREAS)}
    return dict(sorted(table.items(), key=lambda item: order[item[0][0]]))
