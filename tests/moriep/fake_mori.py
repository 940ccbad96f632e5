# SPDX-License-Identifier: MIT
"""Modules and surfaces that stand in for releases of mori, made from one description of each."""

from __future__ import annotations

import sys
from dataclasses import MISSING, field, make_dataclass
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any, cast

from moriep.surface import ClassSurface, Field, Method, Parameter, Surface
from tests.mori_fields import OPTIONAL, REQUIRED

FIVE = ("IntraNode", "InterNode", "InterNodeV1", "InterNodeV1LL", "AsyncLL")

RELEASES: dict[str, dict[str, Any]] = {
    "1.0.0": {
        "lacks": ("max_total_recv_tokens",),
        "quant": ("none", "fp8_direct_cast"),
        "kernels": FIVE,
        "dispatch": (),
    },
    "1.1.1": {
        "quant": ("none", "fp8_direct_cast"),
        "kernels": FIVE,
        "dispatch": ("call_local_expert_count",),
    },
    "1.2.4": {
        "quant": ("none", "fp8_direct_cast", "fp8_blockwise", "fp4_blockwise"),
        "kernels": (*FIVE, "IntraNodeLL"),
        "dispatch": ("call_local_expert_count", "routing", "return_routing"),
    },
}


def surface(release: str) -> Surface:
    """What `moriep` may know of that release."""
    facts = RELEASES[release]
    optional = {name: value for name, value in OPTIONAL.items() if name not in facts.get("lacks", ())}
    fields = [Field(name, "int") for name in REQUIRED]
    fields += [Field(name, "int", repr(value)) for name, value in optional.items()]
    inputs = tuple(Parameter(name) for name in ("input", "weights", "scales", "indices"))
    extra = tuple(Parameter(name, "keyword_only", default="None") for name in facts["dispatch"])
    counting = tuple(item for item in extra if item.name == "call_local_expert_count")
    methods = (
        Method("dispatch", (*inputs, *extra)),
        Method("combine", inputs),
        Method("dispatch_send", (*inputs, *counting)),
        Method("combine_send", inputs),
        Method("dispatch_recv"),
        Method("combine_recv"),
    )
    return Surface(
        f"amd-mori {release}",
        ClassSurface("EpDispatchCombineConfig", tuple(fields)),
        ClassSurface("EpDispatchCombineOp", methods=methods),
        quant_types=facts["quant"],
        kernel_types={name: index for index, name in enumerate(facts["kernels"])},
    )


def module(release: str) -> Any:
    """A module with the live classes of that release, registered in sys.modules under a private name."""
    facts = RELEASES[release]
    name = f"fake_mori_{release.replace('.', '_')}"
    found = ModuleType(name)
    members = {item: index for index, item in enumerate(facts["kernels"])}
    kernel_type = cast(Any, IntEnum)("EpDispatchCombineKernelType", members)
    optional = {key: value for key, value in OPTIONAL.items() if key not in facts.get("lacks", ())}
    optional["kernel_type"] = kernel_type.IntraNode
    fields: list[Any] = [(key, int, field(default=MISSING)) for key in REQUIRED]
    fields += [(key, type(value), field(default=value)) for key, value in optional.items()]
    config = make_dataclass("EpDispatchCombineConfig", fields)
    config.__module__ = name
    vars(found)["_QUANT_TYPE_MAP"] = dict.fromkeys(facts["quant"])

    class EpDispatchCombineOp:
        def dispatch(
            self,
            tokens: Any,
            weights: Any,
            scales: Any,
            indices: Any,
            block_num: int = -1,
            *,
            routing: Any = None,
        ) -> None:
            return None

        def _private(self) -> None:
            return None

    found.ops = SimpleNamespace(  # type: ignore[attr-defined]
        EpDispatchCombineConfig=config,
        EpDispatchCombineOp=EpDispatchCombineOp,
        EpDispatchCombineKernelType=kernel_type,
    )
    found.__version__ = release  # type: ignore[attr-defined]
    sys.modules[name] = found
    return found
