# SPDX-License-Identifier: MIT
"""Payloads that say where they come from, as raw bytes.

Everything that crosses ranks is compared bit by bit, so the oracle's currency is bytes. The values are small whole numbers,
which every dtype here holds exactly. Four columns in turn hold: the source rank, the token's low part, the token's high part,
and a mark that depends on rank, token, column and round. So no two rows are equal, over all ranks and rounds, and a block of
columns that was copied from another place names its source rank and token.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "DTYPE_SIZES",
    "PACKED",
    "bfloat16_bits",
    "encode_payload",
    "encode_scales",
    "encode_weights",
    "numeric",
    "to_bytes",
]

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]

# Bytes of one element.
DTYPE_SIZES = {"bfloat16": 2, "float32": 4, "float8_e4m3fnuz": 1, "float8_e4m3fn": 1, "float4_e2m1fn_x2": 1}
# Values in one element.
PACKED = {"float4_e2m1fn_x2": 2}

# Values are 1 … 125: exact in bfloat16 (8 significant bits), and as raw fp8 bytes neither NaN (0x7F, 0x80, 0xFF) nor zero.
_RADIX = 125
MOST_TOKENS = _RADIX * _RADIX


def bfloat16_bits(values: Floats) -> npt.NDArray[np.uint16]:
    """float32 to bfloat16, round to nearest even, as raw bits. For finite values."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype(np.uint16)


def to_bytes(values: Floats, dtype: str) -> Bytes:
    """The raw bytes of a float32 array as `dtype`: shape [rows, columns × size of the dtype].

    For fp8 and fp4 the values are the raw bytes themselves.
    """
    rows = values.shape[0]
    if dtype == "bfloat16":
        raw: Any = bfloat16_bits(values)
    elif dtype == "float32":
        raw = np.ascontiguousarray(values, dtype=np.float32)
    else:
        raw = values.astype(np.uint8)
    return np.ascontiguousarray(raw).view(np.uint8).reshape(rows, values.shape[1] * DTYPE_SIZES[dtype])


def numeric(raw: Bytes, dtype: str) -> Floats:
    """What experts compute with: the values of rows of raw bytes, [rows, columns] float32.

    fp8 bytes count as whole numbers; so do the halves of a byte of fp4, of which each row has two columns, the low half first.
    """
    rows = raw.shape[0]
    data = np.ascontiguousarray(raw)
    columns = raw.shape[1] // DTYPE_SIZES[dtype]
    if dtype == "bfloat16":
        return (data.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32).reshape(rows, columns)
    if dtype == "float32":
        return data.view(np.float32).reshape(rows, columns).copy()
    if dtype in PACKED:
        halves = np.stack([data & 15, data >> 4], axis=2)
        return halves.reshape(rows, 2 * columns).astype(np.float32)
    return data.astype(np.float32)


def encode_payload(rank: int, tokens: int, hidden: int, dtype: str, round_number: int) -> Bytes:
    """The payload of all tokens of one rank in one round: [tokens, hidden × size] bytes."""
    if tokens > MOST_TOKENS or rank >= _RADIX:
        raise ValueError(
            f"{tokens} tokens of rank {rank}: the encoding tells {MOST_TOKENS} tokens of {_RADIX} ranks apart"
        )
    token = np.arange(tokens)[:, None]
    column = np.arange(hidden)[None, :]
    group = column // 4
    mark = 1 + (group * 3 + rank * 7 + token * 11 + round_number * 37) % _RADIX
    fields = np.where(
        column % 4 == 0,
        1 + rank + 0 * token,
        np.where(
            column % 4 == 1, 1 + token % _RADIX, np.where(column % 4 == 2, 1 + token // _RADIX + 0 * column, mark)
        ),
    )
    return to_bytes(fields.astype(np.float32).reshape(tokens, hidden), dtype)


def encode_weights(rank: int, tokens: int, top_k: int, round_number: int) -> Floats:
    """Router weights [tokens, top_k] float32 in [0.5, 1), every one different over ranks, tokens, slots and 8 rounds."""
    token = np.arange(tokens)[:, None]
    slot = np.arange(top_k)[None, :]
    code = ((round_number % 8 * 64 + rank) * 1024 + token % 1024) * 16 + slot
    return (0.5 + code / 2.0**24).astype(np.float32).reshape(tokens, top_k)


def encode_scales(rank: int, tokens: int, scale_bytes: int, round_number: int) -> Bytes:
    """Scales as raw bytes [tokens, scale_bytes], never all equal between two tokens. As float32 they are finite."""
    token = np.arange(tokens)[:, None]
    byte = np.arange(scale_bytes)[None, :]
    fields = np.where(
        byte % 4 == 0,
        token % 251,
        np.where(
            byte % 4 == 1, rank * 4 + round_number % 4, np.where(byte % 4 == 2, token // 251, 64 - byte // 4 % 32)
        ),
    )
    return fields.astype(np.uint8).reshape(tokens, scale_bytes)
