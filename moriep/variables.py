# SPDX-License-Identifier: MIT
"""The environment variables that SGLang's MoRI dispatcher reads, as one table, and the page made from it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from moriep.vocabulary import CombineDtype, DispatchDtype

__all__ = [
    "INT32_MAX",
    "PREFIX",
    "VARIABLES",
    "Maximum",
    "Variable",
    "describe",
    "markdown_reference",
    "nearest_name",
]

PREFIX = "SGLANG_MORI_"
INT32_MAX = 2**31 - 1

Kind = Literal["integer", "boolean", "choice"]


class Maximum(Enum):
    """Upper bounds that are not plain numbers. All exist because MORI keeps row counts in a 32-bit int."""

    INT32 = "int32"
    TOKENS = "int32 / world_size"
    WORST_CASE = "world_size × NUM_MAX_DISPATCH_TOKENS_PER_RANK"


@dataclass(frozen=True)
class Variable:
    """One row of the table.

    Attributes:
        name: full name in the environment.
        attribute: the field of `Environment` that holds the parsed value.
        kind: `integer`, `boolean` or `choice`.
        default: what holds when the variable is not set.
        meaning: one sentence for the reference page.
        source: where SGLang reads it.
        choices: accepted words, for a choice.
        minimum, maximum: for an integer, both inclusive.
        also: integers outside of the range with a meaning of their own, and that meaning.
        deprecated_by: what to set instead; None if current.
        sglang_on_garbage: what SGLang itself does with a value that it cannot read.
    """

    name: str
    attribute: str
    kind: Kind
    default: int | bool | str
    meaning: str
    source: str
    choices: tuple[str, ...] = ()
    minimum: int = 0
    maximum: Maximum = Maximum.INT32
    also: Mapping[int, str] = field(default_factory=dict)
    deprecated_by: str | None = None
    sglang_on_garbage: str = ""

    def upper_bound(self, world_size: int | None, tokens: int | None) -> int:
        """The largest accepted integer, as far as it can be told from what is known."""
        if self.maximum is Maximum.TOKENS and world_size:
            return INT32_MAX // world_size
        if self.maximum is Maximum.WORST_CASE and world_size and tokens:
            return world_size * tokens
        return INT32_MAX

    def allowed(self, world_size: int | None = None, tokens: int | None = None) -> str:
        """The accepted values in words; precise once the world size and the token number are known."""
        if self.kind == "boolean":
            return "true, 1, false or 0"
        if self.kind == "choice":
            return ", ".join(self.choices[:-1]) + " or " + self.choices[-1]
        specials = "".join(f"{value} ({meaning}) or " for value, meaning in self.also.items())
        if self.maximum is Maximum.WORST_CASE:
            product = f"world_size × {PREFIX}NUM_MAX_DISPATCH_TOKENS_PER_RANK"
            if world_size and tokens:
                return f"{specials}{self.minimum} … {world_size * tokens} ({product} = {world_size} × {tokens})"
            return f"{specials}{self.minimum} … {product}"
        if self.maximum is Maximum.TOKENS and not world_size:
            return f"{specials}{self.minimum} … {INT32_MAX} / world_size"
        return f"{specials}{self.minimum} … {self.upper_bound(world_size, tokens)}"

    @property
    def default_text(self) -> str:
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)


_DISPATCHER = "sglang moriep.py (token dispatcher)"
_INT_GARBAGE = "uses the default, silently"
_FLAG_GARBAGE = "logs a warning and takes it for false"
_CHOICE_GARBAGE = "behaves as for auto, silently"


def _integer(name: str, default: int, meaning: str, source: str, **rest: Any) -> Variable:
    return Variable(
        PREFIX + name,
        name.lower(),
        "integer",
        default,
        meaning,
        source,
        sglang_on_garbage=_INT_GARBAGE,
        **rest,
    )


def _flag(name: str, meaning: str, source: str = _DISPATCHER, **rest: Any) -> Variable:
    return Variable(
        PREFIX + name,
        name.lower(),
        "boolean",
        False,
        meaning,
        source,
        sglang_on_garbage=_FLAG_GARBAGE,
        **rest,
    )


VARIABLES: tuple[Variable, ...] = (
    _integer(
        "NUM_MAX_DISPATCH_TOKENS_PER_RANK",
        4096,
        "Largest number of tokens that one rank may send in one dispatch. Sizes every buffer, and every "
        "receive buffer world_size times. The server's chunked_prefill_size must not be larger.",
        f"{_DISPATCHER}; sglang server_args.py",
        minimum=1,
        maximum=Maximum.TOKENS,
    ),
    _integer(
        "PREALLOC_MAX_RECV_TOKENS",
        0,
        "Number of receive rows to preallocate on each rank (`max_total_recv_tokens`). The default, 0, is the "
        "maximum: world_size × NUM_MAX_DISPATCH_TOKENS_PER_RANK, which nothing can overflow. MORI rounds it up to "
        "a multiple of the world size. A smaller number saves memory; too small a one overflows the receive "
        "buffer, and some releases then write past its end without a message. IntraNode combine can write past a "
        "buffer of its own even where dispatch fits. `moriep plan` says which values are safe.",
        f"{_DISPATCHER}, since sglang PR 22329",
        minimum=1,
        maximum=Maximum.WORST_CASE,
        also={0: "the maximum"},
    ),
    Variable(
        PREFIX + "DISPATCH_DTYPE",
        "dispatch_dtype",
        "choice",
        "auto",
        "Data type in which dispatch sends tokens. `auto` follows the expert weights: fp8 weights → fp8, "
        "fp4 weights → fp4, else bf16.",
        _DISPATCHER,
        choices=tuple(item.value for item in DispatchDtype),
        sglang_on_garbage=_CHOICE_GARBAGE,
    ),
    Variable(
        PREFIX + "COMBINE_DTYPE",
        "combine_dtype",
        "choice",
        "auto",
        "Data type in which combine sends expert outputs. `auto` follows the expert weights: fp4 weights → "
        "fp8 (blockwise), else bf16.",
        f"{_DISPATCHER}; fp4 since sglang PR 30706",
        choices=tuple(item.value for item in CombineDtype),
        sglang_on_garbage=_CHOICE_GARBAGE,
    ),
    _integer(
        "DISPATCH_INTER_KERNEL_SWITCH_THRESHOLD",
        256,
        "Between nodes: InterNodeV1LL if NUM_MAX_DISPATCH_TOKENS_PER_RANK is at most this, else InterNodeV1.",
        f"{_DISPATCHER}, since sglang PR 18437",
    ),
    _integer(
        "MOE_MAX_INPUT_TOKENS",
        0,
        "Cut the padded receive buffer to this many rows before the experts run. Rows that arrived beyond "
        "it are lost, and the result is wrong.",
        "sglang aiter MoE runner",
        minimum=1,
        also={0: "no cut"},
    ),
    _flag(
        "RECV_BOUND",
        "Bound the receive buffer during decode by the tokens that can arrive.",
        "sglang aiter MoE runner",
    ),
    _flag("FP8_DISP", "Dispatch in fp8.", deprecated_by=f"{PREFIX}DISPATCH_DTYPE=fp8"),
    _flag("FP4_DISP", "Dispatch in fp4.", deprecated_by=f"{PREFIX}DISPATCH_DTYPE=fp4"),
    _flag("FP8_COMB", "Combine in fp8 (blockwise).", deprecated_by=f"{PREFIX}COMBINE_DTYPE=fp8"),
    _integer(
        "QP_PER_TRANSFER",
        1,
        "RDMA queue pairs per transfer. MORI-IO only: the dispatcher does not read it.",
        "sglang MORI-IO transfer backend",
        minimum=1,
    ),
    _integer(
        "POST_BATCH_SIZE",
        -1,
        "RDMA work requests posted at once to a queue pair. MORI-IO only: the dispatcher does not read it.",
        "sglang MORI-IO transfer backend",
        minimum=1,
        also={-1: "left to MORI-IO"},
    ),
    _integer(
        "NUM_WORKERS",
        1,
        "Threads of the RDMA executor. MORI-IO only: the dispatcher does not read it.",
        "sglang MORI-IO transfer backend",
        minimum=1,
    ),
    Variable(
        "MORI_ENABLE_SDMA",
        "enable_sdma",
        "boolean",
        False,
        "Move tokens with the copy engines: SGLang then takes the AsyncLL kernel, in normal mode too. MORI "
        "reads the same variable by other rules (on, yes and any unknown word are true there), so use one of "
        "the values that both understand.",
        f"{_DISPATCHER}; MORI: include/mori/utils/env_utils.hpp, IsEnvVarEnabled",
        sglang_on_garbage=_FLAG_GARBAGE + ", while MORI may take it for true",
    ),
)

_BY_NAME = {variable.name: variable for variable in VARIABLES}


def nearest_name(name: str) -> str | None:
    """The known variable that an unknown name most likely means, or None.

    The prefix is left out of the comparison: it is shared by nearly all names and would make any two look
    alike.
    """
    short = name.removeprefix(PREFIX)
    full = {known.removeprefix(PREFIX): known for known in _BY_NAME}
    containing = [known for known in full if len(short) > 3 and (short in known or known in short)]
    close = containing or difflib.get_close_matches(short, full, n=1, cutoff=0.6)
    return full[close[0]] if close else None


def describe(name: str) -> Variable:
    """The entry for a variable, by full name or without the prefix; KeyError, with the nearest name."""
    found = _BY_NAME.get(name) or _BY_NAME.get(PREFIX + name)
    if found is None:
        near = nearest_name(name)
        raise KeyError(f"no variable {name}" + (f"; the nearest is {near}" if near else ""))
    return found


def markdown_reference() -> str:
    """The text of the environment reference page, generated from the table."""
    lines = [
        "# Environment variables",
        "",
        "Generated from `moriep.environment.VARIABLES`; do not edit. `moriep env` prints the same table with",
        "the values of the current environment, and checks them.",
        "",
    ]
    for variable in VARIABLES:
        lines += [f"## `{variable.name}`", ""]
        if variable.deprecated_by:
            lines += [f"**Deprecated**: use `{variable.deprecated_by}`.", ""]
        cells = (
            variable.kind,
            f"`{variable.default_text}`",
            variable.allowed(),
            variable.source,
            variable.sglang_on_garbage,
        )
        lines += [
            variable.meaning,
            "",
            "| type | default | allowed | read by | on a value that it cannot read, SGLang |",
            "| --- | --- | --- | --- | --- |",
            "| " + " | ".join(cells) + " |",
            "",
        ]
    lines += [
        "## Rules between variables",
        "",
        f"- `{PREFIX}DISPATCH_DTYPE`, if set at all (even to `auto`), hides `{PREFIX}FP8_DISP` and",
        f"  `{PREFIX}FP4_DISP`; `{PREFIX}COMBINE_DTYPE` hides `{PREFIX}FP8_COMB`.",
        "  A hidden switch that is true gives a warning.",
        "- Both deprecated dispatch switches true: an error here. SGLang itself would take fp4.",
        f"- `{PREFIX}PREALLOC_MAX_RECV_TOKENS` above the worst case: an error here. MORI would clamp it.",
        "- A value that is set but empty is an error here. SGLang would use the default.",
        f"- An unknown `{PREFIX}` name gives a warning with the nearest known one.",
    ]
    return "\n".join(lines) + "\n"
