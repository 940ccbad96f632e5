# SPDX-License-Identifier: MIT
"""The environment variables that SGLang's MoRI dispatcher reads: one table, one parser.

SGLang falls back to the default, without a word, when a number cannot be parsed, and takes any flag value
other than `true` or `1` for false. On a server that shows as memory or numerics, hours later. Here the same
values are errors that name the variable, its value, the allowed range and the remedy, and all of them are
reported at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from moriep.errors import ConfigurationError, EnvironmentVariableError, VariableProblem
from moriep.variables import PREFIX, VARIABLES, Variable, describe, markdown_reference, nearest_name
from moriep.vocabulary import CombineDtype, DispatchDtype

__all__ = [
    "PREFIX",
    "VARIABLES",
    "Environment",
    "Row",
    "Variable",
    "describe",
    "markdown_reference",
    "table",
]

_TRUE = ("true", "1")
_FALSE = ("false", "0")
_BY_NAME = {variable.name: variable for variable in VARIABLES}
_BY_ATTRIBUTE = {variable.attribute: variable for variable in VARIABLES}


def _parse(variable: Variable, raw: str) -> int | bool | str | None:
    """The typed value of a non-empty string, not yet checked against a range; None if it has none.

    SGLang strips blanks around numbers, but not around words: `"1 "` is no flag there, so it is none here.
    """
    text = raw.lower()
    if variable.kind == "integer":
        try:
            return int(text)
        except ValueError:
            return None
    if variable.kind == "boolean":
        return True if text in _TRUE else False if text in _FALSE else None
    return text if text in variable.choices else None


@dataclass(frozen=True)
class Environment:
    """The parsed environment. Defaults are SGLang's.

    `given` holds the names that the mapping really had: an explicit `auto` outranks the deprecated switches,
    an absent one does not. `warnings` holds what deserves attention but does not stop anything.
    """

    num_max_dispatch_tokens_per_rank: int = 4096
    prealloc_max_recv_tokens: int = 0
    dispatch_dtype: DispatchDtype = DispatchDtype.AUTO
    combine_dtype: CombineDtype = CombineDtype.AUTO
    dispatch_inter_kernel_switch_threshold: int = 256
    moe_max_input_tokens: int = 0
    recv_bound: bool = False
    fp8_disp: bool = False
    fp4_disp: bool = False
    fp8_comb: bool = False
    qp_per_transfer: int = 1
    post_batch_size: int = -1
    num_workers: int = 1
    enable_sdma: bool = False
    given: frozenset[str] = frozenset()
    warnings: tuple[VariableProblem, ...] = field(default=(), compare=False)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, str], world_size: int | None = None) -> Environment:
        """Parse a mapping such as `os.environ`.

        Args:
            mapping: environment variables; others than ours are ignored.
            world_size: number of ranks in the expert-parallel group. Without it, ranges that depend on it are
            checked
                only as far as possible; call `check` once it is known.

        Raises:
            EnvironmentVariableError: with every problem found.
        """
        if world_size is not None and world_size < 1:
            raise ConfigurationError(f"world_size is {world_size}; it must be at least 1")
        values, problems = _read(mapping, world_size)
        environment = cls(**values, given=frozenset(name for name in _BY_NAME if name in mapping))
        bad = {problem.variable for problem in problems}
        contradictions, warnings = _contradictions(environment, mapping, world_size, bad)
        problems += contradictions
        if problems:
            raise EnvironmentVariableError(problems)
        return cls(**values, given=environment.given, warnings=(*warnings, *_unknown_names(mapping)))

    def to_mapping(self) -> dict[str, str]:
        """The variables that reproduce this value: those given, and those that differ from the default."""
        mapping = {}
        for variable in VARIABLES:
            value = getattr(self, variable.attribute)
            if variable.name in self.given or value != variable.default:
                mapping[variable.name] = str(value).lower() if isinstance(value, bool) else str(value)
        return mapping

    def check(self, world_size: int) -> Environment:
        """The same environment, judged again with the world size known. Raises like `from_mapping`."""
        checked = type(self).from_mapping(self.to_mapping(), world_size)
        # Unknown names are no part of the value, so the mapping cannot bring their warnings back.
        unknown = tuple(item for item in self.warnings if item.variable not in _BY_NAME)
        return replace(checked, warnings=(*checked.warnings, *unknown))

    @property
    def requested_dispatch_dtype(self) -> DispatchDtype:
        """What the environment asks of dispatch: DISPATCH_DTYPE, if set at all, hides the old switches."""
        if self.dispatch_dtype is not DispatchDtype.AUTO or f"{PREFIX}DISPATCH_DTYPE" in self.given:
            return self.dispatch_dtype
        if self.fp4_disp:
            return DispatchDtype.FP4
        return DispatchDtype.FP8 if self.fp8_disp else DispatchDtype.AUTO

    @property
    def requested_combine_dtype(self) -> CombineDtype:
        """What the environment asks of combine; an FP8_COMB that is set but false asks for nothing."""
        if self.combine_dtype is not CombineDtype.AUTO or f"{PREFIX}COMBINE_DTYPE" in self.given:
            return self.combine_dtype
        return CombineDtype.FP8 if self.fp8_comb else CombineDtype.AUTO


def _read(mapping: Mapping[str, str], world_size: int | None) -> tuple[dict[str, Any], list[VariableProblem]]:
    """Parse and range-check each variable on its own. A bad one keeps its default in the values."""
    values: dict[str, Any] = {variable.attribute: variable.default for variable in VARIABLES}
    problems = []
    tokens: int | None = None
    # The table lists NUM_MAX_DISPATCH_TOKENS_PER_RANK first: the bound of PREALLOC_MAX_RECV_TOKENS needs it.
    for variable in VARIABLES:
        raw = mapping.get(variable.name)
        if raw is None:
            reason, value = None, variable.default
        elif not raw.strip():
            reason, value = "set but empty", None
        else:
            value = _parse(variable, raw)
            reason = _fault(variable, value, world_size, tokens)
        if reason is not None and raw is not None:
            problems.append(_problem(variable, raw, reason, world_size, tokens))
            continue
        values[variable.attribute] = value
        if variable.attribute == "num_max_dispatch_tokens_per_rank":
            tokens = int(value) if value is not None else None
    values["dispatch_dtype"] = DispatchDtype(values["dispatch_dtype"])
    values["combine_dtype"] = CombineDtype(values["combine_dtype"])
    return values, problems


def _fault(variable: Variable, value: object, world_size: int | None, tokens: int | None) -> str | None:
    if value is None:
        return {"integer": "not an integer", "boolean": "not a flag", "choice": "not one of the choices"}[variable.kind]
    if variable.kind != "integer" or not isinstance(value, int) or value in variable.also:
        return None
    if value < variable.minimum:
        return "negative" if value < 0 else "below the range"
    if value > variable.upper_bound(world_size, tokens):
        return "above the range"
    return None


def _problem(
    variable: Variable, raw: str, reason: str, world_size: int | None, tokens: int | None, remedy: str = ""
) -> VariableProblem:
    remedy = remedy or f"set an allowed value, or unset it for the default {variable.default_text}"
    return VariableProblem(variable.name, raw, reason, variable.allowed(world_size, tokens), remedy)


def _contradictions(
    environment: Environment, mapping: Mapping[str, str], world_size: int | None, bad: Iterable[str]
) -> tuple[list[VariableProblem], list[VariableProblem]]:
    """Errors and warnings that only several variables together show. Names in `bad` are reported already."""
    errors: list[VariableProblem] = []
    warnings: list[VariableProblem] = []
    skip = set(bad)
    tokens = environment.num_max_dispatch_tokens_per_rank

    def report(target: list[VariableProblem], attribute: str, reason: str, remedy: str) -> None:
        variable = _BY_ATTRIBUTE[attribute]
        if variable.name not in skip:
            target.append(_problem(variable, mapping[variable.name], reason, world_size, tokens, remedy))

    explicit_dispatch = f"{PREFIX}DISPATCH_DTYPE" in environment.given
    if environment.fp8_disp and environment.fp4_disp and not explicit_dispatch:
        # SGLang lets fp4 win, silently. Nobody who sets both can have meant that.
        report(
            errors,
            "fp8_disp",
            f"contradicts {PREFIX}FP4_DISP, which is true as well",
            f"set {PREFIX}DISPATCH_DTYPE to fp8 or fp4 and unset both switches",
        )
    for attribute, replacement in (
        ("fp8_disp", "DISPATCH_DTYPE"),
        ("fp4_disp", "DISPATCH_DTYPE"),
        ("fp8_comb", "COMBINE_DTYPE"),
    ):
        variable = _BY_ATTRIBUTE[attribute]
        if variable.name not in environment.given:
            continue
        if PREFIX + replacement in environment.given and getattr(environment, attribute):
            current = mapping[PREFIX + replacement]
            reason = f"without effect, because {PREFIX}{replacement}={current} is set and outranks it"
        else:
            reason = "deprecated"
        instead = variable.deprecated_by if getattr(environment, attribute) else f"{PREFIX}{replacement}"
        report(warnings, attribute, reason, f"unset it and use {instead}")

    cap, cut = environment.prealloc_max_recv_tokens, environment.moe_max_input_tokens
    if f"{PREFIX}NUM_MAX_DISPATCH_TOKENS_PER_RANK" in skip:
        return errors, warnings  # nothing below can be judged without it
    if 0 < cap < tokens:
        report(
            warnings,
            "prealloc_max_recv_tokens",
            f"fewer rows than the {tokens} tokens that one rank may send: a single sender can overflow it",
            f"set at least {PREFIX}NUM_MAX_DISPATCH_TOKENS_PER_RANK, or 0 for the maximum",
        )
    rows = _rows(world_size, tokens, cap)
    if cut and rows is not None and cut < rows:
        report(
            warnings,
            "moe_max_input_tokens",
            f"below the {rows} rows that the receive buffer holds: what arrives beyond {cut} is dropped "
            "before the experts, and the result is wrong",
            "set 0, or make sure that no rank ever receives more tokens than this",
        )
    elif cut and rows is not None:
        report(
            warnings,
            "moe_max_input_tokens",
            f"without effect: the receive buffer has only {rows} rows",
            "unset it",
        )
    return errors, warnings


def _rows(world_size: int | None, tokens: int, cap: int) -> int | None:
    """Receive rows as MORI rounds them, or a lower bound without the world size; None if nothing is known."""
    if world_size is None:
        return cap or None
    per_rank = min(-(-cap // world_size), tokens) if cap else tokens
    return world_size * per_rank


def _unknown_names(mapping: Mapping[str, str]) -> tuple[VariableProblem, ...]:
    warnings = []
    for name in sorted(mapping):
        if not name.startswith(PREFIX) or name in _BY_NAME:
            continue
        near = nearest_name(name)
        remedy = f"set {near} if that was meant" if near else "unset it, or see the list of known names"
        warnings.append(
            VariableProblem(
                name,
                mapping[name],
                "not a variable that the dispatcher is known to read",
                "the names in the table",
                remedy,
            )
        )
    return tuple(warnings)


@dataclass(frozen=True)
class Row:
    """One line of what `moriep env` prints. All fields are JSON values."""

    name: str
    type: str
    default: str
    allowed: str
    value: str | None
    state: Literal["default", "set", "invalid"]
    meaning: str
    source: str
    deprecated_by: str | None


def table(mapping: Mapping[str, str] | None = None, world_size: int | None = None) -> tuple[Row, ...]:
    """The table with what `mapping` holds beside each row. A bad value is shown as `invalid`, not raised."""
    mapping = mapping or {}
    invalid: set[str] = set()
    try:
        tokens = Environment.from_mapping(mapping, world_size).num_max_dispatch_tokens_per_rank
    except EnvironmentVariableError as error:
        invalid = {problem.variable for problem in error.problems}
        values, _ = _read(mapping, world_size)
        tokens = values["num_max_dispatch_tokens_per_rank"]
    return tuple(
        Row(
            variable.name,
            variable.kind,
            variable.default_text,
            variable.allowed(world_size, tokens if world_size else None),
            mapping.get(variable.name),
            "invalid" if variable.name in invalid else "set" if variable.name in mapping else "default",
            variable.meaning,
            variable.source,
            variable.deprecated_by,
        )
        for variable in VARIABLES
    )
