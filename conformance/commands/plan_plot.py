# SPDX-License-Identifier: MIT
"""The plot of `moriep plan --plot`: memory on one axis, odds of overflow on the other. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moriep.errors import ConfigurationError, MissingLibraryError
from moriep.planner import Plan, PlannedCap

__all__ = ["draw_plan"]

_FLOOR = 1e-12
_OUTSIDE, _SAFE, _BAND = "#b3261e", "#1b6e3c", "#3b5b92"


def draw_plan(answer: Plan, file: Path) -> None:
    """Write the plot; the suffix of the file decides the format (.svg, .png, .pdf). The same plan gives the same bytes.

    Raises:
        MissingLibraryError: matplotlib is not installed. ConfigurationError: a suffix that it does not know.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingLibraryError(
            "matplotlib is not installed; the plot needs it. Remedy: pip install 'moriep[plot]'"
        ) from error
    kind = file.suffix.lower().lstrip(".")
    if kind not in ("svg", "png", "pdf"):
        raise ConfigurationError(f"--plot {file}: the suffix must be .svg, .png or .pdf")
    # Text as text keeps an SVG small and searchable; the salt and the missing date keep it the same from run to run.
    with matplotlib.rc_context({"svg.hashsalt": "moriep", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8.0, 4.8), layout="constrained")
        _draw(figure.add_subplot(), answer)
        metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
        figure.savefig(file, dpi=150, metadata=metadata)


def _draw(axes: Any, answer: Plan) -> None:
    caps = [cap for cap in answer.caps if cap.overflow.upper > 0.0]
    memory = [_gib(cap) for cap in caps]
    low = [max(cap.overflow.lower, _FLOOR) for cap in caps]
    high = [max(cap.overflow.upper, _FLOOR) for cap in caps]
    full = answer.maximum
    if caps:
        axes.fill_between(memory, low, high, color=_BAND, alpha=0.25, linewidth=0, label="bounds of the odds")
        axes.plot(memory, high, color=_BAND, linewidth=1.2, label="odds used for the choice (upper bound)")
    axes.axhline(answer.risk, color="#555555", linewidth=0.8, linestyle="--", label=f"accepted: {answer.risk:g}")
    if any(cap.combine is False for cap in answer.caps):
        # The first cap that combine fits in: caps come in order, and the recommended one is among them.
        edge = min(_gib(cap) for cap in answer.caps if cap.combine)
        axes.axvspan(0.0, edge, color=_OUTSIDE, alpha=0.10, linewidth=0, label="combine writes past its buffer")
    lines = [(answer.recommended, "recommended", _SAFE, 0.32)]
    if answer.for_dispatch != answer.recommended:
        lines.append((answer.for_dispatch, "smallest for dispatch", _BAND, 0.55))
    for cap, text, color, height in lines:
        place = _gib(cap)
        value = "0 (maximum)" if cap.max_total_recv_tokens == 0 else str(cap.max_total_recv_tokens)
        axes.axvline(place, color=color, linewidth=1.4)
        axes.annotate(
            f"{text}\nprealloc {value}\n{place:.2f} GiB, {cap.saved_bytes / full.total_bytes:.0%} saved",
            (place, height),
            xycoords=("data", "axes fraction"),
            xytext=(-6, 0),
            textcoords="offset points",
            color=color,
            ha="right",
            va="center",
        )
    axes.set_yscale("log")
    axes.set_ylim(_FLOOR, 3.0)
    axes.set_xlim(_gib(answer.caps[0]) * 0.98, _gib(full) * 1.02)
    axes.set_xlabel("memory of MORI-EP on each rank, GiB")
    times = "one dispatch" if answer.dispatches == 1 else f"{answer.dispatches} dispatches"
    axes.set_ylabel(f"odds that any rank overflows in {times}")
    shape = answer.shape
    axes.set_title(
        f"amd-mori {answer.release}, {shape.kernel_type}, EP{shape.world_size}, {answer.tokens_per_rank} tokens per rank, "
        f"top-{shape.num_experts_per_token} of {shape.world_size * shape.num_experts_per_rank}, {answer.routing} routing",
        fontsize=10,
    )
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.5)
    axes.legend(loc="lower left", fontsize=8, framealpha=0.9)


def _gib(cap: PlannedCap) -> float:
    return cap.total_bytes / 2**30
