# SPDX-License-Identifier: MIT
"""`moriep check`: what a release does to SGLang's arguments under this environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from moriep.compatibility import installed_surface
from moriep.configuration import ModelDescription, configure
from moriep.consequences import explain
from moriep.environment import Environment
from moriep.errors import ConfigurationError
from moriep.surface import Surface
from moriep.vocabulary import WeightQuantization

__all__ = ["Question", "check", "one_name"]

# What SGLang passes to the op's methods besides tensors (facts of its dispatcher, normal and low-latency mode).
_NORMAL_CALLS = {"dispatch": ("call_local_expert_count",)}
_LOW_LATENCY_CALLS = {"dispatch_send": (), "dispatch_recv": (), "combine_send": (), "combine_recv": ()}


@dataclass(frozen=True)
class Question:
    """The model and the deployment that the check is about."""

    world_size: int
    hidden_size: int
    experts: int
    top_k: int
    weights: Literal["none", "fp8", "fp4"]
    low_latency: bool
    architecture: str


def one_name(names: Sequence[str]) -> str | None:
    """The wheel to ask about; None for the installed mori.

    Raises:
        ConfigurationError: several.
    """
    if len(names) > 1:
        raise ConfigurationError("--wheel: name one wheel, or give the PATH of the calls to judge against several")
    return names[0] if names else None


def check(matrix_file: Path | None, wheel: str | None, question: Question, *, strict: bool, json_output: bool) -> int:
    """Print the explanation. Returns 1 if the release refuses the call or, with `strict`, drops any of it."""
    surface = installed_surface() if wheel is None else _surface_of(matrix_file, wheel)
    if surface is None:
        return 3
    world_size = question.world_size
    model = ModelDescription(
        hidden_size=question.hidden_size,
        num_experts=question.experts,
        num_local_experts=-(-question.experts // max(world_size, 1)),
        top_k=question.top_k,
        weight_quantization=WeightQuantization(question.weights),
    )
    environment = Environment.from_mapping(os.environ, world_size)
    for problem in environment.warnings:
        print(f"warning: {problem}", file=sys.stderr)
    configuration = configure(
        model,
        environment,
        rank=0,
        world_size=world_size,
        low_latency=question.low_latency,
        architecture=question.architecture,
    )
    calls = _LOW_LATENCY_CALLS if question.low_latency else _NORMAL_CALLS
    explanation = explain(configuration.kwargs(), surface, method_calls=calls)
    if json_output:
        from conformance.commands.output import print_json

        print_json({"kwargs": {k: str(v) for k, v in configuration.kwargs().items()}, **explanation.to_json()})
    else:
        arguments = ", ".join(f"{name}={value}" for name, value in configuration.kwargs().items())
        print(f"EpDispatchCombineConfig({arguments})")
        print(explanation.text())
    good = explanation.faithful if strict else explanation.works
    return 0 if good else 1


def _surface_of(matrix_file: Path | None, name: str) -> Surface | None:
    """The surface of a wheel that is not installed; None, after saying why, if it cannot be read."""
    from conformance.commands.output import progress_display, tell_failures
    from conformance.selection import load_project_matrix, one_wheel, survey_choice

    chosen = one_wheel(load_project_matrix(matrix_file), name)
    with progress_display() as progress:
        facts, failures = survey_choice([chosen], progress=progress)
    if failures:
        tell_failures(failures)
        return None
    return facts[chosen.wheel].surface
