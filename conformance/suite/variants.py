# SPDX-License-Identifier: MIT
"""Each case with each kernel type: what has to be different for a kernel type, so that the case shows what it is about."""

from __future__ import annotations

from conformance.suite.case_list import CASES
from conformance.suite.cases import Case

__all__ = ["case_named", "variant", "variant_name"]

_TWO_PATHS = ("InterNodeV1", "InterNodeV1LL")
_USUAL_BLOCKS = Case("usual").block_num


def variant_name(name: str, kernel_type: str) -> str:
    """`uniform/InterNodeV1`; the case's own name for its own kernel type, and for ""."""
    return name if kernel_type in ("", CASES[name].kernel_type) else f"{name}/{kernel_type}"


def variant(case: Case, kernel_type: str) -> Case:
    """A case with another kernel type.

    The inter-node kernels treat a node's own ranks and others apart, so ranks are put on at least two nodes where the case does
    not say how many share one; they give some blocks to each path, so there are at least two, and eight for each where the case
    is not about geometry: releases up to 1.2.3 take no other number right (LNC-2 shows it); and they gather one partial sum of
    each node in a place for each expert of a token, so a token has as many experts as there are nodes (NOD-5 is about fewer).
    """
    if kernel_type in ("", case.kernel_type):
        return case
    name = f"{case.name}/{kernel_type}"
    if kernel_type not in _TWO_PATHS:
        return case.with_(name=name, kernel_type=kernel_type)
    per_node = case.gpus_per_node or max(1, case.world_size // 2)
    top_k = case.top_k
    if case.gpus_per_node is None:
        top_k = max(top_k, case.world_size // per_node)
    return case.with_(
        name=name,
        kernel_type=kernel_type,
        gpus_per_node=per_node,
        block_num=16 if case.block_num == _USUAL_BLOCKS else max(case.block_num, 2),
        top_k=top_k,
    )


def case_named(name: str) -> Case:
    """The case or variant of a name.

    Raises:
        KeyError: there is none.
    """
    base, _, kernel_type = name.partition("/")
    return variant(CASES[base], kernel_type)
