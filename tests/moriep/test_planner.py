# SPDX-License-Identifier: MIT
"""The planner: odds against exact arithmetic and brute force, bytes against the buffer model, and what it recommends."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from math import comb
from pathlib import Path

import pytest

from moriep.buffers import DispatchShape, plan_buffers
from moriep.errors import CapacityError, ConfigurationError
from moriep.layouts import layout_for_release
from moriep.planner import (
    RoutingShape,
    Trace,
    Uniform,
    Weighted,
    load_histogram,
    load_trace,
    plan,
    receive_law,
    zipf_weights,
)
from moriep.planner.binomial import RELATIVE_ERROR, clopper_pearson, tail_above
from moriep.planner.combine_rows import rows_for_combine
from moriep.planner.routing import placed
from moriep.vocabulary import KernelType, QuantType

# What SGLang configures for DeepSeek-V3 on one node, bf16 combine.
EP8 = DispatchShape(8, 7168, 56, 4, 2, 4096, 32, 8)
SMALL = RoutingShape(world_size=3, experts_per_rank=2, top_k=2)


def exact_tail(count: int, trials: int, probability: Fraction) -> Fraction:
    terms = (
        comb(trials, k) * probability**k * (1 - probability) ** (trials - k)
        for k in range(max(count + 1, 0), trials + 1)
    )
    return sum(terms, Fraction(0))


@pytest.mark.parametrize("trials", [1, 7, 60, 400])
@pytest.mark.parametrize("probability", [Fraction(1, 1000), Fraction(1, 3), Fraction(7, 8)])
def test_tails_are_those_of_rational_arithmetic(trials: int, probability: Fraction) -> None:
    for count in {-1, 0, trials // 3, trials // 2, trials - 1, trials}:
        exact = float(exact_tail(count, trials, probability))
        assert tail_above(count, trials, float(probability)) == pytest.approx(exact, rel=RELATIVE_ERROR, abs=1e-15)


def test_a_tail_of_a_quarter_of_a_million_tokens_is_that_of_exact_integers() -> None:
    # p = 1/2 keeps the exact sum affordable: only the terms that matter, in integers.
    trials, count = 262_144, 133_500
    term = comb(trials, count + 1)
    total = 0
    for k in range(count + 1, count + 3000):
        total += term
        term = term * (trials - k) // (k + 1)
    exact = Fraction(total, 2**trials)
    assert tail_above(count, trials, 0.5) == pytest.approx(float(exact), rel=RELATIVE_ERROR)


def test_the_interval_of_clopper_and_pearson_has_its_published_values() -> None:
    # Zero of n: the upper end is 1 − (α/2)^(1/n). The others solve the defining equations.
    assert clopper_pearson(0, 10) == (0.0, pytest.approx(1 - 0.025 ** (1 / 10)))
    low, high = clopper_pearson(3, 20)
    assert tail_above(2, 20, low) == pytest.approx(0.025)
    assert 1 - tail_above(3, 20, high) == pytest.approx(0.025)
    assert clopper_pearson(20, 20)[1] == 1.0
    with pytest.raises(ValueError, match="mean nothing"):
        clopper_pearson(3, 2)


def hit_by_enumeration(weights: list[Fraction], shape: RoutingShape) -> list[Fraction]:
    """Every ordered draw without replacement, with its probability."""
    found = [Fraction(0)] * shape.world_size
    for draw in itertools.permutations(range(shape.experts), shape.top_k):
        left, probability = sum(weights), Fraction(1)
        for expert in draw:
            if not weights[expert]:
                probability = Fraction(0)
                break
            probability *= weights[expert] / left
            left -= weights[expert]
        for rank in {expert // shape.experts_per_rank for expert in draw}:
            found[rank] += probability
    return found


@pytest.mark.parametrize(
    ("shape", "weights"),
    [
        (SMALL, [1, 1, 1, 1, 1, 1]),
        (SMALL, [5, 1, 1, 3, 1, 2]),
        (SMALL, [0, 0, 1, 3, 1, 2]),
        (RoutingShape(2, 3, 3), [100, 1, 1, 1, 50, 1]),
        (RoutingShape(4, 1, 3), [1, 2, 3, 1000]),
        (RoutingShape(2, 2, 4), [1, 2, 3, 4]),
    ],
    ids=str,
)
def test_hit_probabilities_are_those_of_enumeration(shape: RoutingShape, weights: list[int]) -> None:
    pytest.importorskip("numpy")
    from moriep.planner.inclusion import hit_probabilities

    exact = hit_by_enumeration([Fraction(item) for item in weights], shape)
    found, error = hit_probabilities(Weighted(tuple(map(float, weights))), shape)
    assert error < 1e-9
    for ours, theirs in zip(found, exact, strict=True):
        assert abs(ours - float(theirs)) <= max(error, 1e-12)


def test_uniform_is_the_hypergeometric_probability() -> None:
    exact = hit_by_enumeration([Fraction(1)] * SMALL.experts, SMALL)
    assert Uniform().hit_probability(SMALL) == pytest.approx(float(exact[0]), rel=1e-15)


def odds_by_enumeration(shape: RoutingShape, tokens: int, rows: int) -> float:
    """P(any rank receives more than rows), over every routing of every token of a group."""
    sets = list(itertools.combinations(range(shape.experts), shape.top_k))
    reached = [frozenset(expert // shape.experts_per_rank for expert in one) for one in sets]
    bad = 0
    for batch in itertools.product(reached, repeat=tokens * shape.world_size):
        bad += any(sum(rank in one for one in batch) > rows for rank in range(shape.world_size))
    return bad / len(sets) ** (tokens * shape.world_size)


@pytest.mark.parametrize("rows", range(7))
def test_bounds_of_the_odds_hold_against_every_possible_batch(rows: int) -> None:
    shape = RoutingShape(world_size=3, experts_per_rank=1, top_k=2)
    exact = odds_by_enumeration(shape, 2, rows)
    odds = receive_law(Uniform(), shape, 2).any_above(rows)
    assert odds.lower <= exact <= odds.upper
    assert odds.upper <= shape.world_size * odds.lower * (1 + 1e-5)


def test_what_cannot_happen_is_zero_and_what_can_is_not() -> None:
    law = receive_law(Uniform(), RoutingShape(8, 32, 8), 4096)
    assert law.any_above(8 * 4096).upper == 0.0
    assert 0.0 < law.any_above(8 * 4096 - 1).upper < 1e-200


def test_odds_over_many_dispatches_are_added() -> None:
    once, often = (plan(EP8, "1.2.4", dispatches=number, caps=[22128]) for number in (1, 1000))
    cap = next(item for item in once.caps if item.max_total_recv_tokens == 22128)
    repeated = next(item for item in often.caps if item.max_total_recv_tokens == 22128)
    assert repeated.overflow.upper == pytest.approx(1000 * cap.overflow.upper)
    assert often.for_dispatch.rows > once.for_dispatch.rows


@pytest.mark.parametrize("release", ["1.1.1@cp310", "1.2.0", "1.2.2", "1.2.4"])
def test_bytes_are_those_of_the_buffer_model(release: str) -> None:
    from dataclasses import replace

    for cap in plan(EP8, release, caps=[5001]).caps:
        buffers = plan_buffers(
            replace(EP8, max_total_recv_tokens=cap.max_total_recv_tokens), layout_for_release(release)
        )
        assert (cap.symmetric_bytes, cap.total_bytes) == (buffers.total("symmetric"), buffers.total())
        assert cap.rows == buffers.shape.capacity.rows


def test_the_smallest_cap_is_the_smallest() -> None:
    answer = plan(EP8, "1.2.4", risk=1e-4, external_input=False)
    best = answer.recommended
    assert best == answer.for_dispatch
    below = best.max_total_recv_tokens - EP8.world_size
    smaller = next(c for c in plan(EP8, "1.2.4", caps=[below]).caps if c.max_total_recv_tokens == below)
    assert best.overflow.upper <= 1e-4 < smaller.overflow.upper


@pytest.mark.parametrize("release", ["1.1.1@cp310", "1.2.0", "1.2.1", "1.2.2", "1.2.3", "1.2.3.post1", "1.2.4"])
def test_intranode_combine_forbids_what_dispatch_would_allow(release: str) -> None:
    answer = plan(EP8, release)
    assert answer.for_dispatch.combine is False
    assert answer.recommended.combine is True
    assert answer.recommended.rows > 32_000
    assert any("COMBINE WRITES PAST" in warning for warning in answer.warnings)
    zero_copy = plan(EP8, release, external_input=False)
    assert zero_copy.recommended.rows < 23_000
    assert not any("COMBINE" in warning for warning in zero_copy.warnings)


# World size 2, 16 tokens at most, 12 sent, hidden 64, top-3: what the virtual GPU shows, docs/measured.md.
@pytest.mark.parametrize(("quant_type", "rows"), [(QuantType.NONE, 26), (QuantType.FP8_DIRECT_CAST, 14)])
def test_rows_for_combine_are_where_the_kernels_stop_writing_outside(quant_type: QuantType, rows: int) -> None:
    shape = DispatchShape(2, 64, 0, 0, 2, 16, 4, 3, gpu_per_node=2, quant_type=quant_type)
    assert rows_for_combine(shape, layout_for_release("1.2.4"), 12) == rows


def test_weights_in_combine_need_a_row_for_each_token_sent() -> None:
    # Also with a registered buffer: the sums of the weights have a buffer of their own.
    layout = layout_for_release("1.2.4")
    assert rows_for_combine(EP8, layout, 3000, external_input=False) == 3000
    assert rows_for_combine(EP8, layout, 3000, external_input=False, weights=False) == 0


@pytest.mark.parametrize(("quant_type", "told"), [(QuantType.FP8_BLOCKWISE, True), (QuantType.FP8_DIRECT_CAST, False)])
def test_a_limit_that_was_only_read_is_told(quant_type: QuantType, told: bool) -> None:
    from dataclasses import replace

    warnings = plan(replace(EP8, quant_type=quant_type), "1.2.4").warnings
    assert any("not seen on a device" in warning for warning in warnings) is told


def test_only_the_maximum_is_recommended_where_combine_was_not_measured() -> None:
    from dataclasses import replace

    shape = replace(EP8, world_size=16, num_experts_per_rank=16, kernel_type=KernelType.INTER_NODE_V1)
    answer = plan(shape, "1.2.4")
    assert answer.recommended.max_total_recv_tokens == 0
    assert answer.for_dispatch.combine is None


def test_a_release_without_a_cap_has_one_answer() -> None:
    answer = plan(EP8, "1.0.0")
    assert [cap.max_total_recv_tokens for cap in answer.caps] == [0]
    # Any value has the same effect, none; the one to set is none.
    assert answer.recommended == answer.for_dispatch == answer.maximum
    assert "no max_total_recv_tokens" in answer.warnings[0]


def test_a_value_is_rounded_and_one_below_a_single_sender_is_told() -> None:
    answer = plan(EP8, "1.2.2", caps=[1001])
    (cap,) = (cap for cap in answer.caps if cap.max_total_recv_tokens == 1001)
    assert cap.rows == 1008
    assert "rounds up" in cap.notes[0]
    assert "single sender" in cap.notes[1]


@pytest.mark.parametrize(("release", "silent"), [("1.2.2", False), ("1.2.3", True), ("1.2.4@cp312", True)])
def test_a_release_without_the_assertion_is_told(release: str, silent: bool) -> None:
    assert any("does not notice" in warning for warning in plan(EP8, release).warnings) is silent


def test_legacy_internode_is_planned_by_the_quota_of_a_pair() -> None:
    from dataclasses import replace

    shape = replace(EP8, world_size=16, num_experts_per_rank=16, kernel_type=KernelType.INTER_NODE)
    quota = next(cap for cap in plan(shape, "1.2.4").caps if 0 < cap.overflow.upper < 1)
    shared = receive_law(Uniform(), RoutingShape(16, 16, 8), 4096).any_above(quota.rows)
    assert quota.overflow.upper > shared.upper


def test_batches_of_a_trace_are_summed_exactly() -> None:
    pytest.importorskip("numpy")
    # Two batches on two ranks of one expert: four tokens to rank 0, or two to each.
    trace = Trace((((0,),) * 4, ((0,), (0,), (1,), (1,))))
    law = receive_law(trace, RoutingShape(2, 1, 1), 4)
    # Rank 0 gets 8, 6, 6 or 4; rank 1 gets 0, 2, 2 or 4.
    for rows, exact in ((3, 1.0), (4, 0.75), (6, 0.25), (8, 0.0)):
        odds = law.any_above(rows)
        assert odds.lower - 1e-9 <= exact <= odds.upper + 1e-9
    assert law.any_above(6).upper == pytest.approx(0.25, abs=1e-9)
    assert law.mean == pytest.approx(6.0)


def test_steps_of_a_trace_are_taken_as_they_were() -> None:
    trace = Trace((((0,),) * 4, ((0,),) * 4, ((1,),), ((1,),)), steps=(0, 0, 1, 1))
    law = receive_law(trace, RoutingShape(2, 1, 1), 4)
    odds = law.any_above(7)
    assert (odds.lower, odds.upper) == clopper_pearson(1, 2)
    with pytest.raises(ConfigurationError, match="must have one for each rank"):
        receive_law(Trace((((0,),),), steps=(0,)), RoutingShape(2, 1, 1), 4)


def test_dealing_spreads_the_popular_experts_and_keeps_all() -> None:
    shape = RoutingShape(4, 2, 2)
    dealt = placed([8, 7, 6, 5, 4, 3, 2, 1], shape, "dealt")
    assert [sum(dealt[rank * 2 : rank * 2 + 2]) for rank in range(4)] == [9, 9, 9, 9]
    contiguous = zipf_weights(shape, 1.0)
    assert contiguous.weights[0] > contiguous.weights[1] > contiguous.weights[7]


def test_a_trace_file_and_a_histogram_file_are_read(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"ids": [[3, 1], [2, 5]], "step": 0}\n\n{"ids": [], "step": 0}\n')
    loaded = load_trace(trace)
    assert loaded.batches == (((3, 1), (2, 5)), ())
    assert loaded.steps == (0, 0)
    assert loaded.receive_counts(SMALL, 2) == ((1, 2, 1), (0, 0, 0))
    histogram = tmp_path / "histogram.json"
    histogram.write_text("[1, 2, 3.5]")
    assert load_histogram(histogram).weights == (1.0, 2.0, 3.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no batch"),
        ("{", r"t\.jsonl:1: not JSON"),
        ('{"ids": [3]}', "not a batch"),
        ('{"ids": [[true]]}', "not a batch"),
        ('{"ids": [[1]]}\n{"ids": [[1]], "step": 1}', "1 of 2 lines have a step"),
        ('{"ids": [[1]], "step": "one"}', "must be an integer"),
    ],
)
def test_a_bad_trace_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_trace(file)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: plan(EP8, "1.2.4", risk=1.0), "risk is 1.0"),
        (lambda: plan(EP8, "1.2.4", dispatches=0), "dispatches is 0"),
        (lambda: plan(EP8, "1.2.4", tokens_per_rank=5000), "allowed: 1 … 4096"),
        (lambda: plan(EP8, "1.1.1"), "say which of"),
        (lambda: RoutingShape(2, 2, 5), "top-k 5 of 4"),
        (lambda: Weighted((1.0, -1.0)), "not negative"),
        (lambda: Weighted((1.0,)).check(SMALL), "1 routing weights for 6 experts"),
        (lambda: Weighted((1.0, 0, 0, 0, 0, 0)).check(SMALL), "only 1 experts"),
        (lambda: Trace((((9,),),)).receive_counts(SMALL, 4), "allowed: 0 … 5"),
        (lambda: Trace((((0,),) * 5,)).receive_counts(SMALL, 4), "more than the 4"),
        (lambda: zipf_weights(SMALL, -1), "must be 0 or more"),
    ],
)
def test_bad_questions_are_refused(ask: Callable[[], object], message: str) -> None:
    with pytest.raises((ConfigurationError, CapacityError), match=message):
        ask()


class TestSimulation:
    """Seeds are fixed: what is compared holds for all but one seed in thousands, and for these."""

    @pytest.fixture(autouse=True)
    def _numpy(self) -> None:
        pytest.importorskip("numpy")

    @pytest.mark.parametrize("rows", [3, 4, 5])
    def test_drawn_tokens_agree_with_every_possible_batch(self, rows: int) -> None:
        from moriep.planner import simulate_tokens

        shape = RoutingShape(3, 1, 2)
        low, high = simulate_tokens(Uniform(), shape, 2, rows, batches=20_000, seed=1).interval(0.999)
        assert low <= odds_by_enumeration(shape, 2, rows) <= high

    @pytest.mark.parametrize(
        "model", [Uniform(), zipf_weights(RoutingShape(8, 4, 4), 0.6, "dealt")], ids=lambda m: m.label
    )
    def test_drawn_counts_agree_with_drawn_tokens_and_with_the_bounds(self, model: Uniform | Weighted) -> None:
        from moriep.planner import simulate_counts, simulate_tokens

        shape, tokens = RoutingShape(8, 4, 4), 64
        law = receive_law(model, shape, tokens)
        rows = next(rows for rows in range(int(law.mean), 512) if law.any_above(rows).upper < 0.2)
        exact = simulate_tokens(model, shape, tokens, rows, batches=4_000, seed=2).interval(0.999)
        fast = simulate_counts(model, shape, tokens, rows, batches=100_000, seed=3).interval(0.999)
        odds = law.any_above(rows)
        assert max(exact[0], fast[0], odds.lower) <= min(exact[1], fast[1], odds.upper)

    def test_the_same_seed_gives_the_same_answer(self) -> None:
        from moriep.planner import simulate_counts

        shape = RoutingShape(8, 4, 4)
        runs = [simulate_counts(Uniform(), shape, 64, 230, batches=5_000, seed=7) for _ in range(2)]
        assert runs[0] == runs[1]
        assert 0 < runs[0].overflows < 5_000
