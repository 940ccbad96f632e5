# SPDX-License-Identifier: MIT
"""`moriep plan`: memory against risk for the receive cap. Works with the core alone for uniform routing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from moriep.configuration import Configuration, ModelDescription, configure
from moriep.environment import Environment
from moriep.errors import ConfigurationError
from moriep.planner import (
    Plan,
    PlannedCap,
    RoutingShape,
    Simulation,
    Trace,
    Uniform,
    load_histogram,
    load_trace,
    plan,
    simulate_counts,
    simulate_tokens,
    zipf_weights,
)
from moriep.planner.planning import known_releases
from moriep.planner.routing import Placement, RoutingModel
from moriep.variables import PREFIX
from moriep.vocabulary import KernelType, QuantType, WeightQuantization

__all__ = ["PlanQuestion", "plan_command"]


@dataclass(frozen=True)
class PlanQuestion:
    """What `moriep plan` was asked; every field is an option of the command."""

    release: str
    world_size: int
    hidden_size: int
    experts: int
    top_k: int
    weights: Literal["none", "fp8", "fp4"]
    low_latency: bool
    architecture: str
    tokens: int | None
    send_tokens: int | None
    kernel: str | None
    quant_type: str | None
    routing: str
    placement: Placement
    risk: float
    dispatches: int
    prealloc: tuple[int, ...]
    zero_copy: bool
    simulate: int
    seed: int
    plot: Path | None


def plan_command(question: PlanQuestion, variables: Mapping[str, str] | None = None, *, json_output: bool) -> int:
    """Print the plan. Returns 1 if the cap that the environment asks for is not safe enough, in dispatch or in combine."""
    configuration = _configuration(question, dict(os.environ if variables is None else variables))
    shape = configuration.shape()
    routing_shape = RoutingShape(shape.world_size, shape.num_experts_per_rank, shape.num_experts_per_token)
    model = _routing(question, routing_shape)
    answer = plan(
        shape,
        _release(question.release),
        routing=model,
        tokens_per_rank=question.send_tokens,
        risk=question.risk,
        dispatches=question.dispatches,
        caps=question.prealloc,
        external_input=not question.zero_copy,
    )
    simulated = [
        _simulate(model, routing_shape, answer, cap, question) for cap in _to_simulate(answer) if question.simulate
    ]
    asked = configuration.max_total_recv_tokens
    current = next((cap for cap in answer.caps if cap.max_total_recv_tokens == asked), answer.maximum)
    safe = current.overflow.upper <= answer.risk and current.combine is not False
    if question.plot is not None:
        from conformance.commands.plan_plot import draw_plan

        draw_plan(_denser(answer, question, model), question.plot)
    if json_output:
        value = {
            **answer.to_json(),
            "current": asked,
            "current_is_safe": safe,
            "simulated": [_as_json(s) for s in simulated],
        }
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        _print(answer, current, safe, simulated, question)
    return 0 if safe else 1


def _denser(answer: Plan, question: PlanQuestion, model: RoutingModel) -> Plan:
    """The same plan with enough caps for a smooth curve where the odds fall."""
    mean, chosen = int(answer.mean_rows), answer.for_dispatch.rows
    first, last = int(mean * 0.985), chosen + (chosen - mean)
    step = max(answer.shape.world_size, (last - first) // 48)
    most = answer.shape.capacity.worst_case
    return plan(
        answer.shape,
        answer.release,
        routing=model,
        tokens_per_rank=answer.tokens_per_rank,
        risk=answer.risk,
        dispatches=answer.dispatches,
        caps=(value for value in range(max(first, 1), min(last, most), step)),
        external_input=not question.zero_copy,
    )


def _configuration(question: PlanQuestion, variables: dict[str, str]) -> Configuration:
    """What SGLang would configure, with the command's options over the environment."""
    if question.tokens is not None:
        variables[f"{PREFIX}NUM_MAX_DISPATCH_TOKENS_PER_RANK"] = str(question.tokens)
    environment = Environment.from_mapping(variables, question.world_size)
    for problem in environment.warnings:
        print(f"warning: {problem}", file=sys.stderr)
    model = ModelDescription(
        hidden_size=question.hidden_size,
        num_experts=question.experts,
        num_local_experts=-(-question.experts // max(question.world_size, 1)),
        top_k=question.top_k,
        weight_quantization=WeightQuantization(question.weights),
    )
    found = configure(
        model,
        environment,
        rank=0,
        world_size=question.world_size,
        low_latency=question.low_latency,
        architecture=question.architecture,
    )
    if question.kernel is not None:
        found = replace(found, kernel_type=KernelType(question.kernel))
    if question.quant_type is not None:
        found = replace(found, quant_type=QuantType(question.quant_type))
    return found


def _release(name: str) -> str:
    """A release that the planner knows; a version that means one wheel there may leave out the tag."""
    known = known_releases()
    if name in known or name.partition("@")[0] in known:
        return name
    tagged = [item for item in known if item.startswith(f"{name}@")]
    # The report's default: a version without a tag is its cp310 wheel.
    return next((item for item in tagged if item.endswith("@cp310")), name)


def _routing(question: PlanQuestion, shape: RoutingShape) -> RoutingModel:
    kind, _, argument = question.routing.partition(":")
    if kind == "uniform" and not argument:
        return Uniform()
    if kind == "zipf":
        try:
            exponent = float(argument or "1")
        except ValueError:
            raise ConfigurationError(
                f"--routing {question.routing}: {argument!r} is no number; write zipf:1.0"
            ) from None
        return zipf_weights(shape, exponent, question.placement)
    if kind == "histogram" and argument:
        return load_histogram(Path(argument))
    if kind == "trace" and argument:
        return load_trace(Path(argument))
    raise ConfigurationError(
        f"--routing {question.routing}: unknown; write uniform, zipf:EXPONENT, histogram:FILE or trace:FILE"
    )


def _to_simulate(answer: Plan) -> list[PlannedCap]:
    """Caps where a simulation sees something: odds that are neither certain nor too rare, at most three."""
    open_ones = [cap for cap in answer.caps if cap.overflow.upper > 1e-5 and cap.overflow.lower < 1.0 - 1e-5]
    return open_ones[-3:]


def _simulate(
    model: RoutingModel, shape: RoutingShape, answer: Plan, cap: PlannedCap, question: PlanQuestion
) -> Simulation:
    run = simulate_tokens if isinstance(model, Trace) else simulate_counts
    return run(model, shape, answer.tokens_per_rank, cap.rows, batches=question.simulate, seed=question.seed)


def _as_json(item: Simulation) -> dict[str, object]:
    low, high = item.interval()
    return {
        "rows": item.rows,
        "overflows": item.overflows,
        "batches": item.batches,
        "seed": item.seed,
        "interval_95": [low, high],
        "assumption": item.assumption,
    }


def _print(answer: Plan, current: PlannedCap, safe: bool, simulated: list[Simulation], question: PlanQuestion) -> None:
    shape = answer.shape
    print(
        f"amd-mori {answer.release}, {shape.kernel_type}, world_size {shape.world_size}, "
        f"{shape.max_num_inp_token_per_rank} tokens per rank at most, {answer.tokens_per_rank} sent, hidden {shape.hidden_dim}, "
        f"top-{shape.num_experts_per_token} of {shape.world_size * shape.num_experts_per_rank} experts, "
        f"quant_type {shape.quant_type}"
    )
    times = "one dispatch" if answer.dispatches == 1 else f"{answer.dispatches} dispatches"
    print(f"routing: {answer.routing}; the busiest rank receives {answer.mean_rows:.0f} rows on average")
    print(f"odds: that any rank overflows in {times}. {answer.method}")
    for warning in answer.warnings:
        print(f"WARNING: {warning}")
    print()
    print(f"{'prealloc':>10} {'rows':>8} {'GiB per rank':>13} {'saved':>7}  {'odds of overflow':<22} combine")
    full = answer.maximum.total_bytes
    for cap in answer.caps:
        mark = {True: "fits", False: "WRITES OUTSIDE", None: "not known"}[cap.combine]
        signs = [
            text
            for text, one in (
                ("recommended", answer.recommended),
                ("smallest for dispatch", answer.for_dispatch),
                ("set now", current),
            )
            if one.max_total_recv_tokens == cap.max_total_recv_tokens
        ]
        print(
            f"{cap.max_total_recv_tokens:>10} {cap.rows:>8} {cap.total_bytes / 2**30:>13.3f} {cap.saved_bytes / full:>7.1%}  "
            f"{_odds(cap):<22} {mark}{'   ← ' + ', '.join(signs) if signs else ''}"
        )
    for cap in answer.caps:
        for note in cap.notes:
            print(f"  {cap.max_total_recv_tokens}: {note}")
    for item in simulated:
        low, high = item.interval()
        print(
            f"simulated, {item.rows} rows: {item.overflows} of {item.batches} dispatches overflow, 95% interval {low:.2e} … "
            f"{high:.2e} (seed {item.seed}; assumed: {item.assumption})"
        )
    print()
    best = answer.recommended
    print(
        f"recommended: {PREFIX}PREALLOC_MAX_RECV_TOKENS={best.max_total_recv_tokens}"
        f"{' (the maximum)' if best.max_total_recv_tokens == 0 else ''}: {best.total_bytes / 2**30:.3f} GiB on each rank, "
        f"{best.saved_bytes / 2**20:.1f} MiB saved, odds {_odds(best)} (accepted: {answer.risk:g})"
    )
    if question.plot is not None:
        print(f"plot: {question.plot}")
    if not safe:
        print(f"set now: {current.max_total_recv_tokens} is NOT safe")


def _odds(cap: PlannedCap) -> str:
    low, high = cap.overflow.lower, cap.overflow.upper
    if high == 0.0:
        return "impossible"
    if low >= 1.0 - 1e-6:
        return "certain"
    if high < 1e-99:
        return "below 1e-99"
    return f"{low:.1e} … {high:.1e}"
