# SPDX-License-Identifier: MIT
"""The names that MORI-EP and its callers use for kernels, data types and quantisations.

All of them are strings as well as enum members, so that a configuration can be built, compared and written as
JSON with neither torch nor mori installed. `moriep.configuration.materialise` turns them into the real
objects.
"""

from __future__ import annotations

from enum import Enum
from fractions import Fraction

__all__ = [
    "CombineDtype",
    "DType",
    "DispatchDtype",
    "KernelType",
    "QuantType",
    "WeightQuantization",
    "name_of",
    "quant_type_string",
]


class _Name(str, Enum):
    """A string enum that prints as its value (`enum.StrEnum` needs Python 3.11)."""

    def __str__(self) -> str:
        return str(self.value)


class KernelType(_Name):
    """Members of `mori.ops.EpDispatchCombineKernelType`, by name."""

    INTRA_NODE = "IntraNode"
    INTER_NODE = "InterNode"
    INTER_NODE_V1 = "InterNodeV1"
    INTER_NODE_V1_LL = "InterNodeV1LL"
    ASYNC_LL = "AsyncLL"
    INTRA_NODE_LL = "IntraNodeLL"


class QuantType(_Name):
    """The strings that `quant_type` takes: how combine encodes what it sends."""

    NONE = "none"
    FP8_DIRECT_CAST = "fp8_direct_cast"
    FP8_BLOCKWISE = "fp8_blockwise"
    FP4_BLOCKWISE = "fp4_blockwise"


class DType(_Name):
    """Names of the torch data types that appear in a configuration."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT8_E4M3FN = "float8_e4m3fn"
    FLOAT8_E4M3FNUZ = "float8_e4m3fnuz"
    FLOAT4_E2M1FN_X2 = "float4_e2m1fn_x2"

    @property
    def itemsize(self) -> int:
        """Bytes of one torch element. `float4_e2m1fn_x2` holds two values in its one byte."""
        return _ITEM_SIZE[self]

    @property
    def bytes_per_value(self) -> Fraction:
        """Bytes of one value of the hidden dimension: a half for fp4."""
        return Fraction(1, 2) if self is DType.FLOAT4_E2M1FN_X2 else Fraction(self.itemsize)


_ITEM_SIZE = {
    DType.FLOAT32: 4,
    DType.FLOAT16: 2,
    DType.BFLOAT16: 2,
    DType.FLOAT8_E4M3FN: 1,
    DType.FLOAT8_E4M3FNUZ: 1,
    DType.FLOAT4_E2M1FN_X2: 1,
}


class DispatchDtype(_Name):
    """Values of SGLANG_MORI_DISPATCH_DTYPE."""

    AUTO = "auto"
    BF16 = "bf16"
    FP8 = "fp8"
    FP4 = "fp4"
    MXFP8 = "mxfp8"


class CombineDtype(_Name):
    """Values of SGLANG_MORI_COMBINE_DTYPE."""

    AUTO = "auto"
    BF16 = "bf16"
    FP8 = "fp8"
    FP4 = "fp4"
    FP8_DIRECT_CAST = "fp8_direct_cast"


class WeightQuantization(_Name):
    """How the expert weights of the model are stored; decides what `auto` means."""

    NONE = "none"
    FP8 = "fp8"
    FP4 = "fp4"


def name_of(value: object) -> str:
    """The bare name of a data type, kernel type or quant type, whoever made it.

    Takes our own names, plain strings, torch data types (`torch.bfloat16` → `bfloat16`) and mori's pybind11
    enum members (`EpDispatchCombineKernelType.IntraNode` → `IntraNode`).
    """
    if isinstance(value, Enum) and isinstance(value.value, str):
        return value.value
    if isinstance(value, str):
        return value
    name = getattr(value, "name", None)
    if isinstance(name, str):
        return name
    return str(value).rpartition(".")[2]


_QUANT_MEMBERS = {
    "none_": QuantType.NONE,
    "fp8directcast": QuantType.FP8_DIRECT_CAST,
    "fp8blockwisequant": QuantType.FP8_BLOCKWISE,
    "fp4blockwisequant": QuantType.FP4_BLOCKWISE,
}


def quant_type_string(value: object) -> str:
    """The string form of a `quant_type`, read as mori reads it: blanks and case do not matter.

    Takes the members of mori's own enum too (`EpDispatchCombineQuantType.Fp8DirectCast` → `fp8_direct_cast`).
    A value that means nothing comes back in lower case.
    """
    name = name_of(value).strip().lower()
    return str(_QUANT_MEMBERS.get(name, name))
