# SPDX-License-Identifier: MIT
"""What a caller can see of one MORI-EP release: names, signatures, values.

A `Surface` is a plain value. `conformance.survey` reads one out of a wheel without importing it, and
`moriep.compatibility.installed_surface` builds one from the installed module. Everything that compares a call with a
release (pruning, explanations, differences) works on this type, so that a wheel on an index and a module in memory are
judged by the same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "ClassSurface",
    "Field",
    "Method",
    "Parameter",
    "ParameterKind",
    "Surface",
]

ParameterKind = Literal["positional_only", "positional_or_keyword", "var_positional", "keyword_only", "var_keyword"]


@dataclass(frozen=True)
class Field:
    """One field of a configuration dataclass.

    `annotation` and `default` are source text (`"int"`, `"EpDispatchCombineKernelType.IntraNode"`); `default` is None
    for a field that must be given.
    """

    name: str
    annotation: str
    default: str | None = None

    @property
    def required(self) -> bool:
        return self.default is None


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method, `self` left out. `annotation` and `default` are source text or None."""

    name: str
    kind: ParameterKind = "positional_or_keyword"
    annotation: str | None = None
    default: str | None = None

    @property
    def required(self) -> bool:
        return self.default is None and self.kind not in ("var_positional", "var_keyword")


@dataclass(frozen=True)
class Method:
    """One public method. `raises` holds the source text of what its own body raises, in order."""

    name: str
    parameters: tuple[Parameter, ...] = ()
    raises: tuple[str, ...] = ()

    def parameter(self, name: str) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    def accepts_keyword(self, name: str) -> bool:
        """True if a call may pass `name=`."""
        for parameter in self.parameters:
            if parameter.kind == "var_keyword":
                return True
            if parameter.name == name and parameter.kind in ("positional_or_keyword", "keyword_only"):
                return True
        return False


@dataclass(frozen=True)
class ClassSurface:
    """A class as its callers see it: dataclass fields in order, public methods by name."""

    name: str
    fields: tuple[Field, ...] = ()
    methods: tuple[Method, ...] = ()

    def field(self, name: str) -> Field | None:
        return next((item for item in self.fields if item.name == name), None)

    def method(self, name: str) -> Method | None:
        return next((item for item in self.methods if item.name == name), None)

    @property
    def field_names(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.fields)


@dataclass(frozen=True)
class Surface:
    """The MORI-EP surface of one release.

    Attributes:
        release: what messages call it, for example `amd-mori 1.2.4 (cp310)` or `installed mori 1.2.4`.
        config: `mori.ops.EpDispatchCombineConfig` (v1).
        op: `mori.ops.EpDispatchCombineOp` (v1).
        config_v2, op_v2: the same of `mori.ops.dispatch_combine_v2`; None where a release has no v2.
        quant_types: accepted `quant_type` strings, in the release's order; empty if they could not be read.
        kernel_types: `EpDispatchCombineKernelType` members and their values; empty if they could not be read.
        exports: public names of `mori.ops`.
    """

    release: str
    config: ClassSurface
    op: ClassSurface
    config_v2: ClassSurface | None = None
    op_v2: ClassSurface | None = None
    quant_types: tuple[str, ...] = ()
    kernel_types: Mapping[str, int] = field(default_factory=dict)
    exports: tuple[str, ...] = ()

    def unknown_fields(self, names: Iterable[str]) -> tuple[str, ...]:
        """The given names that are not fields of the v1 configuration, in the given order."""
        known = set(self.config.field_names)
        return tuple(name for name in names if name not in known)
