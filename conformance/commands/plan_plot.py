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
        fall = _fall(answer)
        figure = Figure(figsize=(10.5 if fall else 8.0, 4.8), layout="constrained")
        if fall:
            overview, closer = figure.subplots(1, 2, width_ratios=(3, 2), sharey=True)
            _draw_fall(closer, answer, fall)
        else:
            overview = figure.subplots()
        _draw_overview(overview, answer)
        _name(figure, overview, answer)
        metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
        figure.savefig(file, dpi=150, metadata=metadata)


def _name(figure: Any, axes: Any, answer: Plan) -> None:
    """What is planned, what the axis of odds means, and one legend for both drawings."""
    shape = answer.shape
    axes.set_yscale("log")
    axes.set_ylim(_FLOOR, 3.0)
    times = "one dispatch" if answer.dispatches == 1 else f"{_round(answer.dispatches)} dispatches"
    axes.set_ylabel(f"odds that any rank overflows in {times}")
    experts = shape.world_size * shape.num_experts_per_rank
    figure.suptitle(
        f"amd-mori {answer.release}, {shape.kernel_type}, EP{shape.world_size}, {answer.tokens_per_rank} tokens per rank, "
        f"hidden {shape.hidden_dim}\ntop-{shape.num_experts_per_token} of {experts} experts, "
        f"{answer.routing} routing, quant_type {shape.quant_type}",
        fontsize=10,
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)


def _draw_overview(axes: Any, answer: Plan) -> None:
    """All caps: what each takes, and where its odds are."""
    caps = [cap for cap in answer.caps if cap.overflow.upper > 0.0]
    size, unit = (2**30, "GiB") if answer.maximum.total_bytes >= 2**28 else (2**20, "MiB")
    _draw_odds(axes, caps, [cap.total_bytes / size for cap in caps])
    axes.axhline(answer.risk, color="#555555", linewidth=0.8, linestyle="--", label=f"accepted: {answer.risk:g}")
    left, right = answer.caps[0].total_bytes / size * 0.98, answer.maximum.total_bytes / size * 1.02
    if any(cap.combine is False for cap in answer.caps):
        # The first cap that combine fits in: caps come in order, and the recommended one is among them.
        edge = min(cap.total_bytes for cap in answer.caps if cap.combine) / size
        axes.axvspan(left, edge, color=_OUTSIDE, alpha=0.10, linewidth=0, label="combine writes past its buffer")
    full = answer.maximum.total_bytes
    for cap, text, color, height in _choices(answer):
        place = cap.total_bytes / size
        value = "0 (maximum)" if cap.max_total_recv_tokens == 0 else str(cap.max_total_recv_tokens)
        axes.axvline(place, color=color, linewidth=1.4)
        _note(
            axes,
            place,
            height,
            f"{text}\nprealloc {value}\n{place:.2f} {unit}, {cap.saved_bytes / full:.0%} saved",
            color,
            # On the side where there is room.
            on_the_right=place < left + 0.4 * (right - left),
        )
    axes.set_xlim(left, right)
    axes.set_xlabel(f"memory of MORI-EP on each rank, {unit}")
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.5)


def _draw_fall(axes: Any, answer: Plan, caps: list[PlannedCap]) -> None:
    """The few caps between certain and impossible: the choice lies here, and the overview shows a cliff."""
    rows = [cap.rows for cap in caps]
    _draw_odds(axes, caps, rows, marker=".")
    axes.axhline(answer.risk, color="#555555", linewidth=0.8, linestyle="--")
    middle = (rows[0] + rows[-1]) / 2
    for cap, text, color, height in _choices(answer):
        if rows[0] <= cap.rows <= rows[-1]:
            axes.axvline(cap.rows, color=color, linewidth=1.4)
            # Low: the odds come down from the left, so there is room below them.
            _note(axes, cap.rows, height - 0.2, f"{text}\n{cap.rows} rows", color, on_the_right=cap.rows < middle)
    axes.set_xlim(rows[0], rows[-1])
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("prealloc value, where the odds fall")
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.5)


def _draw_odds(axes: Any, caps: list[PlannedCap], places: list[Any], marker: str | None = None) -> None:
    if not caps:
        return
    low = [max(cap.overflow.lower, _FLOOR) for cap in caps]
    high = [max(cap.overflow.upper, _FLOOR) for cap in caps]
    axes.fill_between(places, low, high, color=_BAND, alpha=0.25, linewidth=0, label="bounds of the odds")
    axes.plot(places, high, color=_BAND, linewidth=1.2, marker=marker, markersize=4, label="upper bound, which decides")


def _fall(answer: Plan) -> list[PlannedCap]:
    """The caps from the last that surely overflows to the first that never does; empty if there is nothing between."""
    surely = [cap.overflow.lower > 0.99 or cap.rows < 0.99 * answer.mean_rows for cap in answer.caps]
    first = max((place for place, sure in enumerate(surely) if sure), default=0)
    last = next((place for place, cap in enumerate(answer.caps) if cap.overflow.upper < _FLOOR), len(answer.caps) - 1)
    found = list(answer.caps[first : last + 1])
    return found if len(found) > 3 else []


def _choices(answer: Plan) -> list[tuple[PlannedCap, str, str, float]]:
    """(cap, what it is, colour, height of its note)."""
    found = [(answer.recommended, "recommended", _SAFE, 0.32)]
    if answer.for_dispatch != answer.recommended:
        found.append((answer.for_dispatch, "smallest for dispatch", _BAND, 0.55))
    return found


def _note(axes: Any, place: float, height: float, text: str, color: str, *, on_the_right: bool) -> None:
    axes.annotate(
        text,
        (place, height),
        xycoords=("data", "axes fraction"),
        xytext=(6 if on_the_right else -6, 0),
        textcoords="offset points",
        color=color,
        ha="left" if on_the_right else "right",
        va="center",
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1},
    )


def _round(number: int) -> str:
    """1000000000 as 1e+09, and small numbers as they are."""
    return str(number) if number < 100_000 else f"{number:g}"
