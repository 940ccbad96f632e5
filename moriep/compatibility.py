# SPDX-License-Identifier: MIT
"""Whether a release of MORI-EP accepts a call: the pruning that SGLang does, and what it leaves in the dark.

SGLang removes every keyword argument that is not a field of the installed `EpDispatchCombineConfig`, with a
warning, and goes on. That looks at names only. `explain` adds what removing an argument changes, which values
the release does not know, and which method arguments it lacks.
"""

from __future__ import annotations

import dataclasses
import inspect
import logging
from collections.abc import Mapping, MutableMapping
from typing import Any, get_args

from moriep.consequences import Explanation, explain
from moriep.errors import CompatibilityError, MoriNotInstalledError
from moriep.installation import find_mori, installed_release
from moriep.surface import ClassSurface, Field, Method, Parameter, ParameterKind, Surface

__all__ = [
    "SGLANG_METHOD_CALLS",
    "Explanation",
    "check_mori_compatibility",
    "explain",
    "installed_surface",
]

logger = logging.getLogger(__name__)

# The methods that SGLang's dispatcher calls, with the keyword arguments that it passes by name.
SGLANG_METHOD_CALLS: Mapping[str, tuple[str, ...]] = {
    "dispatch": ("call_local_expert_count",),
    "dispatch_send": ("call_local_expert_count",),
    "dispatch_recv": (),
    "combine": (),
    "combine_send": (),
    "combine_recv": (),
}


def check_mori_compatibility(
    kwargs: MutableMapping[str, Any],
    *,
    surface: Surface | None = None,
    strict: bool = False,
    module: Any = None,
) -> None:
    """Remove, in place, every argument that `EpDispatchCombineConfig` lacks. Returns None, like SGLang's.

    One warning per argument, in the order of the arguments. Values, and the order of what stays, are not
    touched.

    Args:
        kwargs: the keyword arguments meant for `mori.ops.EpDispatchCombineConfig`.
        surface: judge against this release and not against the installed one.
        strict: raise instead of removing; `kwargs` is left as it was.
        module: the `mori` module to judge against, for tests.

    Raises:
        CompatibilityError: if `strict` and any argument is unknown; names all of them.
        MoriNotInstalledError: if no surface is given and there is no usable mori.
    """
    known = _installed_field_names(module) if surface is None else surface.config.field_names
    unknown = tuple(name for name in kwargs if name not in known)
    if unknown and strict:
        release = surface.release if surface is not None else "the installed mori"
        raise CompatibilityError(
            f"{release} does not accept {', '.join(unknown)} in EpDispatchCombineConfig. Remedy: install a "
            "release that does, or leave it out on purpose; `moriep check` says what that changes",
            unknown,
        )
    for name in unknown:
        # The text, trailing blank included, is SGLang's: logs and dashboards search for it.
        logger.warning(f"[MORI compat] Removing incompatible argument {name} ")
        del kwargs[name]


def _config_class(module: Any) -> Any:
    found = getattr(getattr(module or find_mori(), "ops", None), "EpDispatchCombineConfig", None)
    if not dataclasses.is_dataclass(found):
        raise MoriNotInstalledError(
            "the installed mori has no dataclass mori.ops.EpDispatchCombineConfig: it is not AMD's, or not a "
            "release that moriep knows. Remedy: pip install amd-mori"
        )
    return found


def _installed_field_names(module: Any) -> tuple[str, ...]:
    return tuple(item.name for item in dataclasses.fields(_config_class(module)))


def installed_surface(module: Any = None) -> Surface:
    """The surface of the installed mori, read from the live classes.

    v2 is left out: importing it loads its compiler back ends.

    Args:
        module: the `mori` module to read, for tests; imported if None.

    Raises:
        MoriNotInstalledError: if there is no usable mori.
    """
    if module is None:
        release, module = installed_release(), find_mori()
    else:
        release = f"mori {getattr(module, '__version__', 'of unknown version')}"
    config = _config_class(module)
    ops = module.ops
    return Surface(
        release=f"installed {release}",
        config=ClassSurface(
            config.__name__, tuple(_field(item, config.__module__) for item in dataclasses.fields(config))
        ),
        op=_methods(ops.EpDispatchCombineOp),
        quant_types=_quant_types(config),
        kernel_types=_kernel_types(getattr(ops, "EpDispatchCombineKernelType", None)),
        exports=_exports(ops),
    )


def _field(item: dataclasses.Field[Any], module_name: str) -> Field:
    default: str | None = None
    if item.default is not dataclasses.MISSING:
        default = _source_text(item.default)
    elif item.default_factory is not dataclasses.MISSING:
        default = f"{getattr(item.default_factory, '__name__', 'factory')}()"
    return Field(item.name, _annotation_text(item.type, module_name), default)


def _source_text(value: object) -> str:
    """A default as source text, as the survey of a wheel has it: an enum member with its class."""
    name = getattr(value, "name", None)
    if isinstance(name, str) and not isinstance(value, str):
        return f"{type(value).__name__}.{name}"
    return repr(value)


def _methods(op: Any) -> ClassSurface:
    functions = {
        name: item
        for name, item in vars(op).items()
        if inspect.isfunction(item) and (name == "__init__" or not name.startswith("_"))
    }
    methods = (Method(name, _parameters(function, op.__module__)) for name, function in functions.items())
    return ClassSurface(op.__name__, methods=tuple(methods))


def _parameters(function: Any, module_name: str) -> tuple[Parameter, ...]:
    kinds: tuple[ParameterKind, ...] = get_args(ParameterKind)
    parameters = []
    for item in list(inspect.signature(function).parameters.values())[1:]:
        empty = inspect.Parameter.empty
        annotation = None if item.annotation is empty else _annotation_text(item.annotation, module_name)
        default = None if item.default is empty else _source_text(item.default)
        parameters.append(Parameter(item.name, kinds[item.kind], annotation, default))
    return tuple(parameters)


def _annotation_text(annotation: object, module_name: str) -> str:
    """An annotation as its module writes it: its own classes without a prefix."""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation, module_name)


def _exports(ops: Any) -> tuple[str, ...]:
    """Public names of `mori.ops`, without the submodules and helpers that an import leaves behind."""
    names = getattr(ops, "__all__", None)
    if names is None:
        names = [name for name, item in vars(ops).items() if not inspect.ismodule(item)]
        names += getattr(ops, "_LAZY_SUBMODULES", ())
    return tuple(sorted(name for name in names if not name.startswith("_")))


def _quant_types(config: Any) -> tuple[str, ...]:
    """The accepted strings, from the map that every release keeps beside the configuration class."""
    mapping = getattr(inspect.getmodule(config), "_QUANT_TYPE_MAP", None)
    return tuple(mapping) if isinstance(mapping, Mapping) else ()


def _kernel_types(kernel_types: Any) -> dict[str, int]:
    members = getattr(kernel_types, "__members__", None)
    if not isinstance(members, Mapping):
        return {}
    values = {str(name): getattr(member, "value", None) for name, member in members.items()}
    return {name: value for name, value in values.items() if isinstance(value, int)}
