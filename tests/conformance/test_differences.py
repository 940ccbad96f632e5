# SPDX-License-Identifier: MIT
"""Differences and timelines: properties that hold for any two wheels, and the cases that callers care about."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.differences import Comparison, Difference, compare
from conformance.survey.facts import Guard, Library, WheelFacts
from conformance.timeline import build_timeline
from conformance.traits import AREAS, Weight, trait_table
from conformance.wheels import Wheel
from moriep.surface import ClassSurface, Field, Method, Parameter, Surface
from tests.conformance import strategies

MIRROR = {"added": "removed", "removed": "added", "changed": "changed", "moved": "moved"}


def facts_with(**surface: object) -> WheelFacts:
    values: dict[str, object] = {
        "release": "amd-mori 9.0.0 (cp310)",
        "config": ClassSurface("EpDispatchCombineConfig"),
        "op": ClassSurface("EpDispatchCombineOp"),
    }
    own = {field.name for field in dataclasses.fields(Surface)}
    values.update({name: value for name, value in surface.items() if name in own})
    base = WheelFacts("0" * 64, Surface(**values), "9.0.0", None, None, (), (), (), (), (), {}, (), (), {}, {})  # type: ignore[arg-type]
    return dataclasses.replace(base, **{name: value for name, value in surface.items() if name not in own})


def only(comparison: Comparison) -> Difference:
    (found,) = comparison.differences
    return found


@given(strategies.facts)
def test_a_wheel_does_not_differ_from_itself(facts: WheelFacts) -> None:
    assert compare(facts, facts).identical


@given(strategies.facts, strategies.facts)
def test_the_way_back_mirrors_the_way_there(first: WheelFacts, second: WheelFacts) -> None:
    def seen(comparison: Comparison, *, back: bool) -> Counter[tuple[str, ...]]:
        return Counter(
            (
                item.area,
                MIRROR[item.change] if back else item.change,
                item.subject,
                item.after if back else item.before,
                item.before if back else item.after,
            )
            for item in comparison.differences
            if item.area not in ("kernel code", "Python code")
        )

    assert seen(compare(first, second), back=False) == seen(compare(second, first), back=True)


@given(strategies.facts, strategies.facts)
def test_differing_wheels_have_a_difference_or_an_unknown(first: WheelFacts, second: WheelFacts) -> None:
    comparison = compare(first, second)
    if comparison.identical and not comparison.unknown:
        assert trait_table(first) == trait_table(second)


@given(strategies.facts, strategies.facts)
def test_the_heaviest_difference_comes_first_and_the_order_is_fixed(first: WheelFacts, second: WheelFacts) -> None:
    comparison = compare(first, second)
    weights = [item.weight for item in comparison.differences]
    assert weights == sorted(weights)
    assert compare(first, second) == comparison


@given(strategies.facts)
def test_every_trait_belongs_to_a_described_area(facts: WheelFacts) -> None:
    assert {area for area, _ in trait_table(facts)} <= AREAS.keys()


def test_a_vanished_assertion_weighs_as_much_as_a_vanished_field() -> None:
    guard = Guard("a.hpp", "f", 1, "x < y", "overflow", ("IntraNode",))
    with_guard, without = facts_with(guards=(guard,)), facts_with()
    by_area = {item.area: item for item in compare(with_guard, without).differences}
    assert by_area["overflow assertion"].subject == "IntraNode"
    assert by_area["overflow assertion"].change == "removed"
    field = facts_with(config=ClassSurface("EpDispatchCombineConfig", (Field("cap", "int", "0"),)))
    assert by_area["overflow assertion"].weight == only(compare(field, facts_with())).weight == Weight.breaks


def test_a_moved_assertion_line_is_no_difference() -> None:
    guard = Guard("a.hpp", "f", 1, "x < y", "overflow", ("IntraNode",))
    assert compare(facts_with(guards=(guard,)), facts_with(guards=(dataclasses.replace(guard, line=9),))).identical


def test_a_field_inserted_in_the_middle_names_every_field_that_moves() -> None:
    old = ClassSurface("EpDispatchCombineConfig", (Field("a", "int"), Field("b", "int", "1"), Field("c", "int", "2")))
    new = dataclasses.replace(old, fields=(old.fields[0], Field("x", "int", "0"), *old.fields[1:]))
    moved, added = compare(facts_with(config=old), facts_with(config=new)).differences
    assert (moved.change, moved.subject, moved.weight) == ("moved", "EpDispatchCombineConfig", Weight.breaks)
    assert "b 2→3, c 3→4" in moved.consequence
    assert (added.change, added.subject, added.weight) == ("added", "x", Weight.addition)


def test_a_field_appended_moves_nothing() -> None:
    old = ClassSurface("EpDispatchCombineConfig", (Field("a", "int"),))
    new = dataclasses.replace(old, fields=(*old.fields, Field("x", "int", "0")))
    assert only(compare(facts_with(config=old), facts_with(config=new))).change == "added"


@pytest.mark.parametrize(("default", "weight"), [(None, Weight.breaks), ("0", Weight.addition)])
def test_a_new_argument_breaks_callers_only_if_it_is_required(default: str | None, weight: Weight) -> None:
    field = facts_with(config=ClassSurface("EpDispatchCombineConfig", (Field("x", "int", default),)))
    assert only(compare(facts_with(config=ClassSurface("EpDispatchCombineConfig")), field)).weight == weight
    before = ClassSurface("EpDispatchCombineOp", (), (Method("dispatch"),))
    after = ClassSurface("EpDispatchCombineOp", (), (Method("dispatch", (Parameter("x", default=default),)),))
    assert only(compare(facts_with(op=before), facts_with(op=after))).weight == weight


def test_a_new_method_is_one_difference_whatever_its_parameters() -> None:
    after = ClassSurface("EpDispatchCombineOp", (), (Method("reset", (Parameter("x"),), ("ValueError('no')",)),))
    found = only(compare(facts_with(), facts_with(op=after)))
    assert (found.area, found.subject, found.weight) == ("op method", "reset", Weight.addition)


def test_what_was_not_read_is_unknown_and_not_different() -> None:
    read = facts_with(libraries=(Library("a.so", ("libgrpc.so.10",)),))
    unread = facts_with(libraries=(Library("a.so", None),))
    comparison = compare(read, unread)
    assert comparison.identical
    assert "libraries needed" in comparison.unknown[0]
    assert only(compare(read, facts_with(libraries=(Library("a.so", ()),)))).subject == "libgrpc.so.10"


def nightly(day: int) -> Wheel:
    version = f"9.1.0.dev202606{day:02}"
    return Wheel("amd-mori-nightly", version, "cp310-cp310-any", f"{day:064}", 1, "2026-06-30T00:00:00Z")


def stable(version: str, day: int) -> Wheel:
    return Wheel("amd-mori", version, "cp310-cp310-any", f"{100 + day:064}", 1, f"2026-06-{day:02}T12:00:00Z")


GUARD = Guard("a.hpp", "f", 1, "x < y", "overflow", ("IntraNode",))
ASSERTED, BARE = facts_with(guards=(GUARD,)), facts_with()


def timeline_of(states: dict[Wheel, WheelFacts]) -> list[tuple[str, str, str, int, str | None]]:
    events = build_timeline(list(states), {wheel.sha256: item for wheel, item in states.items()})
    return [
        (event.change, event.last[-8 - 6 : -6], event.first[-8 - 6 : -6], event.unread, event.stable)
        for event in events
    ]


def test_a_timeline_gives_the_last_wheel_before_and_the_first_after_and_the_first_stable_one() -> None:
    states = {
        nightly(1): ASSERTED,
        nightly(3): ASSERTED,
        nightly(7): BARE,
        stable("9.0.0", 2): ASSERTED,
        stable("9.0.1", 5): ASSERTED,
        stable("9.1.0", 9): BARE,
    }
    assert timeline_of(states) == [("removed", "20260603", "20260607", 0, "9.1.0@cp310")]


def test_a_timeline_shows_every_coming_and_going() -> None:
    states = {nightly(1): BARE, nightly(2): ASSERTED, nightly(3): BARE, nightly(4): ASSERTED}
    assert [event[0] for event in timeline_of(states)] == ["added", "removed", "added"]


def test_a_timeline_counts_the_wheels_that_it_cannot_speak_about() -> None:
    needing = facts_with(libraries=(Library("a.so", ("libgrpc.so.10",)),))
    free = facts_with(libraries=(Library("a.so", ()),))
    unread = facts_with(libraries=(Library("a.so", None),))
    states = {nightly(1): free, nightly(2): unread, nightly(3): unread, nightly(4): needing}
    assert timeline_of(states) == [("added", "20260601", "20260604", 2, None)]


@given(st.lists(strategies.facts, min_size=1, max_size=5))
def test_the_events_of_a_timeline_lead_from_the_first_wheel_to_the_last(states: list[WheelFacts]) -> None:
    readable = [dataclasses.replace(item, libraries=()) for item in states]
    wheels = {nightly(day): item for day, item in enumerate(readable, start=1)}
    events = build_timeline(list(wheels), {wheel.sha256: item for wheel, item in wheels.items()})
    hidden = {"kernel code", "Python code", "device assertions", "overflow assertion site"}
    replayed = {key: value for key, value in trait_table(readable[0]).items() if key[0] not in hidden}
    for event in events:
        key = (event.area, event.subject)
        if event.change == "removed":
            assert replayed.pop(key) == event.before
        else:
            assert replayed.get(key, "") == event.before
            replayed[key] = event.after
    assert replayed == {key: value for key, value in trait_table(readable[-1]).items() if key[0] not in hidden}
