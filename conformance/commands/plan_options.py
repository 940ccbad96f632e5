# SPDX-License-Identifier: MIT
"""The options of `moriep plan`, and the way from them to the question."""

from __future__ import annotations

import argparse
from pathlib import Path

from moriep.vocabulary import KernelType, QuantType

__all__ = ["add_plan_options", "run_plan"]

_EPILOG = """\
examples:
  moriep plan --release 1.2.4 --world-size 8
  moriep plan --release 1.2.4 --routing zipf:0.8 --placement dealt --risk 1e-9 --dispatches 1000000
  moriep plan --release 1.2.4 --zero-copy --prealloc 16384
  moriep plan --release 1.2.4 --world-size 64 --experts 256 --simulate 1000000 --seed 1

exit codes: 0 the value that the environment sets now is safe, 1 it is not, 2 the command was wrong"""


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """Declare them; defaults are those of `moriep check`."""
    parser.epilog, parser.formatter_class = _EPILOG, argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--release", default="1.2.4", metavar="VERSION", help="a stable release, or version@tag (default: 1.2.4)")
    add("--world-size", type=int, default=8, help="ranks of the expert-parallel group (default: 8)")
    add("--hidden-size", type=int, default=7168, help="values per token (default: 7168)")
    add("--experts", type=int, default=256, help="routed experts over all ranks (default: 256)")
    add("--top-k", type=int, default=8, help="experts per token (default: 8)")
    add(
        "--weights",
        choices=("none", "fp8", "fp4"),
        default="fp8",
        help="quantisation of the expert weights (default: fp8)",
    )
    add("--low-latency", action="store_true", help="the server runs its low-latency mode")
    add("--architecture", default="gfx942", help="the GPU (default: gfx942)")
    add(
        "--tokens",
        type=int,
        metavar="M",
        help="most tokens that a rank may send (default: SGLANG_MORI_NUM_MAX_DISPATCH_TOKENS_PER_RANK)",
    )
    add("--send-tokens", type=int, metavar="N", help="most tokens that a rank really sends (default: M)")
    add("--kernel", choices=[item.value for item in KernelType], help="kernel type (default: as SGLang chooses)")
    add("--quant-type", choices=[item.value for item in QuantType], help="of combine (default: as SGLang chooses)")
    add(
        "--routing",
        default="uniform",
        metavar="MODEL",
        help="uniform (default), zipf:EXPONENT, histogram:FILE or trace:FILE; docs/prealloc.md describes the files",
    )
    add(
        "--placement",
        choices=("contiguous", "dealt"),
        default="contiguous",
        help="where Zipf's popular experts live: all on the first ranks (default, the worst), or dealt out",
    )
    add("--risk", type=float, default=1e-6, help="acceptable probability of an overflow (default: 1e-6)")
    add("--dispatches", type=int, default=1, help="over so many dispatches (default: 1)")
    add(
        "--prealloc",
        type=int,
        action="append",
        default=[],
        metavar="T",
        help="answer for this value too; may be repeated",
    )
    add("--zero-copy", action="store_true", help="plan for use_external_inp_buf=False")
    add("--simulate", type=int, default=0, metavar="BATCHES", help="check the odds by simulated dispatches")
    add("--seed", type=int, default=0, help="of the simulation (default: 0)")
    add("--plot", type=Path, metavar="FILE", help="draw memory against risk (.svg, .png, .pdf)")


def run_plan(arguments: argparse.Namespace) -> int:
    """Answer."""
    from conformance.commands.plan import PlanQuestion, plan_command

    question = PlanQuestion(
        release=arguments.release,
        world_size=arguments.world_size,
        hidden_size=arguments.hidden_size,
        experts=arguments.experts,
        top_k=arguments.top_k,
        weights=arguments.weights,
        low_latency=arguments.low_latency,
        architecture=arguments.architecture,
        tokens=arguments.tokens,
        send_tokens=arguments.send_tokens,
        kernel=arguments.kernel,
        quant_type=arguments.quant_type,
        routing=arguments.routing,
        placement=arguments.placement,
        risk=arguments.risk,
        dispatches=arguments.dispatches,
        prealloc=tuple(arguments.prealloc),
        zero_copy=arguments.zero_copy,
        simulate=arguments.simulate,
        seed=arguments.seed,
        plot=arguments.plot,
    )
    return plan_command(question, json_output=arguments.json)
