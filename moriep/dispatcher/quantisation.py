# SPDX-License-Identifier: MIT
"""What dispatch sends: payload and scales of each dtype, through torch alone.

Blocks lie along the hidden dimension. Let F be the largest value of the element type (448 for `float8_e4m3fn`, 240 for
`float8_e4m3fnuz`, 6 for e2m1) and a the largest magnitude of a block:

- bf16: the values as they are, no scales.
- fp8: blocks of 128, one float32 scale s = max(a, 2⁻¹⁰⁰) / F each.
- mxfp8: blocks of 32, one e8m0 byte b each; s = 2^(b − 127) is the smallest power of two with a ≤ F · s, so nothing saturates.
- fp4: as mxfp8 with e2m1 elements, two to the byte, the one with the even number in the low half.

An element is x / s, rounded to the nearest, ties to even. So with x̂ the value that comes back:

    e4m3: |x̂ − x| ≤ max(2⁻⁴ · |x|, u · s) · (1 + 2⁻²⁰),  u = 2⁻¹⁰ for fn and 2⁻¹¹ for fnuz
    e2m1: |x̂ − x| ≤ max(|x| / 4, s / 4)

(2⁻⁴ is half a step of a 3-bit fraction, u half a step of the subnormals; the last factor is for the float32 arithmetic of s.)
Blocks with a NaN or an infinity come back as NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moriep.dispatcher.lazy import load_torch
from moriep.errors import ConfigurationError, InputError
from moriep.vocabulary import DispatchDtype, DType, name_of

__all__ = ["Quantised", "block_size", "dequantise", "error_bound", "quantise"]

_LARGEST = {DType.FLOAT8_E4M3FN: 448.0, DType.FLOAT8_E4M3FNUZ: 240.0, DType.FLOAT4_E2M1FN_X2: 6.0}
_SUBNORMAL_HALF_STEP = {DType.FLOAT8_E4M3FN: 2.0**-10, DType.FLOAT8_E4M3FNUZ: 2.0**-11}
_BLOCK = {DispatchDtype.FP8: 128, DispatchDtype.MXFP8: 32, DispatchDtype.FP4: 32}
_TINY = 2.0**-100
_E8M0_BIAS, _E8M0_NAN = 127, 255
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


@dataclass(frozen=True)
class Quantised:
    """What goes into dispatch.

    Attributes:
        payload: [tokens, hidden] of bf16, float32 or fp8, or [tokens, hidden / 2] of float4_e2m1fn_x2.
        scales: [tokens, hidden / 128] float32 (fp8), [tokens, hidden / 32] uint8 in e8m0 (mxfp8, fp4), None (bf16).
    """

    payload: Any
    scales: Any


def block_size(dtype: DispatchDtype) -> int:
    """Values that share a scale; 0 where there is none."""
    return _BLOCK.get(dtype, 0)


def quantise(values: Any, dtype: DispatchDtype, element: DType) -> Quantised:
    """Quantise live tokens; none give tensors with no rows.

    Args:
        values: [tokens, hidden] bf16 or float32.
        dtype: one of the dispatch dtypes, not auto.
        element: the element type, see `moriep.configuration.platform_fp8`; ignored for bf16.

    Raises:
        InputError: the hidden size is not a multiple of the block.
        ConfigurationError: torch lacks the element type.
    """
    if dtype is DispatchDtype.BF16:
        return Quantised(values, None)
    torch = load_torch()
    block = _block(dtype, int(values.shape[1]))
    largest = _LARGEST[element]
    blocks = values.float().unflatten(1, (-1, block))
    amax = blocks.abs().amax(2)
    if dtype is DispatchDtype.FP8:
        scales = amax.clamp_min(_TINY) / largest
        scaled = blocks / scales.unsqueeze(2)
        # The division can end one step above; the conversion would make a NaN of it.
        payload = scaled.clamp(-largest, largest).flatten(1).to(_element(element))
        return Quantised(payload, scales)
    mantissa, exponent = torch.frexp(amax.clamp_min(_TINY) / largest)
    power = torch.where(mantissa > 0.5, exponent, exponent - 1)
    finite = torch.isfinite(amax)
    power = torch.where(finite, power, torch.zeros_like(power))
    scaled = torch.ldexp(blocks, -power.unsqueeze(2)).clamp(-largest, largest).flatten(1)
    scales = torch.where(finite, power + _E8M0_BIAS, torch.full_like(power, _E8M0_NAN)).to(torch.uint8)
    if dtype is DispatchDtype.MXFP8:
        return Quantised(scaled.to(_element(element)), scales)
    return Quantised(_pack_e2m1(torch, scaled).view(_element(element)), scales)


def dequantise(payload: Any, scales: Any, dtype: DispatchDtype) -> Any:
    """The values of received rows as float32: [rows, hidden].

    Args:
        payload, scales: as `quantise` made them, or rows of what dispatch returned; scales may be uint8 or float8_e8m0fnu.
    """
    torch = load_torch()
    if dtype is DispatchDtype.BF16:
        return payload.float()
    values = _unpack_e2m1(torch, payload.view(torch.uint8)) if dtype is DispatchDtype.FP4 else payload.float()
    block = _block(dtype, int(values.shape[1]))
    blocks = values.unflatten(1, (-1, block))
    if dtype is DispatchDtype.FP8:
        return (blocks * scales.unsqueeze(2)).flatten(1)
    bits = scales.view(torch.uint8)
    power = bits.to(torch.int32) - _E8M0_BIAS
    found = torch.ldexp(blocks, power.unsqueeze(2))
    return torch.where((bits == _E8M0_NAN).unsqueeze(2), torch.nan, found).flatten(1)


def error_bound(values: Any, quantised: Quantised, dtype: DispatchDtype) -> Any:
    """The most that each value can be off after dequantisation: [tokens, hidden] float32, as the module's text says."""
    torch = load_torch()
    magnitude = values.float().abs()
    if dtype is DispatchDtype.BF16:
        return torch.zeros_like(magnitude)
    block = _block(dtype, int(values.shape[1]))
    scales = quantised.scales
    if dtype is not DispatchDtype.FP8:
        scales = torch.ldexp(torch.ones_like(scales, dtype=torch.float32), scales.to(torch.int32) - _E8M0_BIAS)
    wide = scales.repeat_interleave(block, dim=1)
    if dtype is DispatchDtype.FP4:
        return torch.maximum(magnitude / 4, wide / 4)
    half_step = _SUBNORMAL_HALF_STEP[DType(name_of(quantised.payload.dtype))]
    return torch.maximum(magnitude * 2.0**-4, wide * half_step) * (1 + 2.0**-20)


def _block(dtype: DispatchDtype, hidden: int) -> int:
    block = _BLOCK.get(dtype)
    if block is None:
        raise ConfigurationError(f"dispatch dtype {dtype} is not one that can be sent; allowed: bf16, fp8, mxfp8, fp4")
    if hidden % block:
        raise InputError(
            f"hidden size {hidden} is not a multiple of {block}, the block of a {dtype} scale. Remedy: dispatch dtype bf16"
        )
    return block


def _element(element: DType) -> Any:
    torch = load_torch()
    found = getattr(torch, str(element), None)
    if found is None:
        raise ConfigurationError(
            f"torch {torch.__version__} has no data type {element}. Remedy: a newer torch, or bf16"
        )
    return found


def _pack_e2m1(torch: Any, scaled: Any) -> Any:
    """[tokens, hidden] float32 within ±6 → [tokens, hidden / 2] uint8."""
    magnitude = scaled.abs()
    code = torch.zeros_like(scaled, dtype=torch.uint8)
    # A tie goes to the neighbour with an even code, so every second threshold is itself rounded up.
    for above, limit in (
        (True, 0.25),
        (False, 0.75),
        (True, 1.25),
        (False, 1.75),
        (True, 2.5),
        (False, 3.5),
        (True, 5.0),
    ):
        code += (magnitude > limit) if above else (magnitude >= limit)
    code |= (torch.signbit(scaled)).to(torch.uint8) << 3
    return code[:, 0::2] | (code[:, 1::2] << 4)


def _unpack_e2m1(torch: Any, packed: Any) -> Any:
    table = torch.tensor([*_E2M1, *(-value for value in _E2M1)], dtype=torch.float32, device=packed.device)
    codes = torch.stack((packed & 15, packed >> 4), dim=2).flatten(1)
    return table[codes.long()]
