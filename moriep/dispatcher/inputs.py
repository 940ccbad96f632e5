# SPDX-License-Identifier: MIT
"""Judges tensors before the kernels see them: MORI-EP takes their addresses and believes the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moriep.dispatcher.lazy import load_torch
from moriep.errors import InputError
from moriep.variables import PREFIX
from moriep.vocabulary import KernelType

__all__ = ["InputRules", "drops_negative_ids"]


def drops_negative_ids(kernel_type: KernelType, *, routing_handles: bool, fp4_blockwise: bool) -> bool:
    """Whether a release sends slots of −1 nowhere; if not, they go to rank 0.

    Args:
        routing_handles: `dispatch` knows `routing=`. The same change made IntraNode and InterNodeV1 drop −1 (1.2.1).
        fp4_blockwise: the release knows that quant type. IntraNodeLL drops −1 since the same release (1.2.2).
    """
    if kernel_type in (KernelType.INTRA_NODE, KernelType.INTER_NODE_V1):
        return routing_handles
    # InterNodeV1LL drops it on its own node only; AsyncLL and InterNode never do.
    return kernel_type is KernelType.INTRA_NODE_LL and fp4_blockwise


@dataclass(frozen=True)
class InputRules:
    """What one op takes.

    Attributes:
        hidden: values of a token; dtype: torch's data type of the activations; top_k, experts: of all ranks.
        most_tokens: M. negative_ids: whether −1 may stand for a slot that goes nowhere.
        release: for messages. device: torch's device of the op.
    """

    hidden: int
    dtype: Any
    top_k: int
    experts: int
    most_tokens: int
    negative_ids: bool
    release: str
    device: Any

    def check_tensors(self, hidden_states: Any, weights: Any, ids: Any) -> int:
        """Judge types, shapes, strides and devices, without reading a value; the number of tokens.

        Raises:
            InputError: names the tensor, what is wrong with it and the remedy.
        """
        torch = load_torch()
        tokens = hidden_states.shape[0]
        if hidden_states.dtype is not self.dtype or hidden_states.dim() != 2 or hidden_states.shape[1] != self.hidden:
            raise InputError(
                f"hidden_states is {_describe(hidden_states)}; the dispatcher was made for [tokens, {self.hidden}] {self.dtype}"
            )
        if tokens > self.most_tokens:
            raise InputError(
                f"{tokens} tokens, but the op was made for at most {self.most_tokens} per rank, and MORI-EP does not check it. "
                f"Remedy: raise {PREFIX}NUM_MAX_DISPATCH_TOKENS_PER_RANK on every rank, or dispatch in parts"
            )
        if ids.dtype is not torch.int32:
            raise InputError(f"topk_ids is {_describe(ids)}; the kernels read int32. Remedy: topk_ids.to(torch.int32)")
        if weights.dtype is not torch.float32:
            raise InputError(
                f"topk_weights is {_describe(weights)}; the kernels read float32. Remedy: topk_weights.float()"
            )
        for name, tensor in (("topk_ids", ids), ("topk_weights", weights)):
            if tensor.shape != (tokens, self.top_k):
                raise InputError(f"{name} is {_describe(tensor)}; [{tokens}, {self.top_k}] is expected")
        for name, tensor in (("hidden_states", hidden_states), ("topk_ids", ids), ("topk_weights", weights)):
            if not tensor.is_contiguous():
                raise InputError(
                    f"{name} is strided ({_describe(tensor)}, strides {tuple(tensor.stride())}); the kernels read dense rows. "
                    f"Remedy: {name}.contiguous()"
                )
            if tensor.device != hidden_states.device:
                raise InputError(f"{name} is on {tensor.device}, hidden_states on {hidden_states.device}")
        if hidden_states.device != self.device:
            raise InputError(
                f"the tensors are on {hidden_states.device}, the op works on {self.device}. Remedy: .to({str(self.device)!r})"
            )
        return int(tokens)

    def check_ids(self, ids: Any) -> None:
        """Judge the values. Synchronises with the device of `ids`.

        Raises:
            InputError: an id that names no expert, and that the release would send somewhere or misread.
        """
        if not ids.numel():
            return
        low, high = (int(item) for item in ids.aminmax())
        if high >= self.experts or low < -1:
            bad = high if high >= self.experts else low
            raise InputError(
                f"topk_ids holds {bad}; allowed: 0 … {self.experts - 1}"
                f"{', and -1 for a slot that goes nowhere' if self.negative_ids else ''}. Remedy: mend the router; rows of "
                "padding must not be dispatched"
            )
        if low < 0 and not self.negative_ids:
            raise InputError(
                f"topk_ids holds -1, which {self.release} would send to rank 0 as if it were expert 0. Remedy: leave such tokens "
                "out, or name an expert with weight 0"
            )


def _describe(tensor: Any) -> str:
    return f"{list(tensor.shape)} {tensor.dtype}"
