# SPDX-License-Identifier: MIT
"""The environment: what is accepted, what is refused, and what the refusal says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moriep.environment import PREFIX, VARIABLES, Environment, describe, markdown_reference, table
from moriep.errors import ConfigurationError, EnvironmentVariableError
from moriep.variables import INT32_MAX, Maximum
from moriep.vocabulary import CombineDtype, DispatchDtype

TOKENS = f"{PREFIX}NUM_MAX_DISPATCH_TOKENS_PER_RANK"
PREALLOC = f"{PREFIX}PREALLOC_MAX_RECV_TOKENS"
DISPATCH = f"{PREFIX}DISPATCH_DTYPE"
COMBINE = f"{PREFIX}COMBINE_DTYPE"


def problems(mapping: dict[str, str], world_size: int | None = None) -> dict[str, str]:
    """Variable → message of every problem that parsing reports."""
    with pytest.raises(EnvironmentVariableError) as caught:
        Environment.from_mapping(mapping, world_size)
    return {problem.variable: str(problem) for problem in caught.value.problems}


def warnings(mapping: dict[str, str], world_size: int | None = None) -> dict[str, str]:
    return {item.variable: str(item) for item in Environment.from_mapping(mapping, world_size).warnings}


@st.composite
def valid_mappings(draw: st.DrawFn) -> tuple[dict[str, str], int]:
    """A world size, and an environment in which nothing is wrong for it."""
    world_size = draw(st.sampled_from([1, 2, 3, 4, 8, 16, 64]))
    tokens = draw(st.integers(1, 70000))
    mapping = {TOKENS: str(tokens)}
    for variable in VARIABLES:
        if variable.name == TOKENS or not draw(st.booleans()):
            continue
        if variable.kind == "boolean":
            mapping[variable.name] = draw(st.sampled_from(["true", "False", "1", "0", "TRUE"]))
        elif variable.kind == "choice":
            mapping[variable.name] = draw(st.sampled_from([*variable.choices, variable.choices[1].upper()]))
        else:
            upper = world_size * tokens if variable.maximum is Maximum.WORST_CASE else 100000
            numbers = st.one_of(st.integers(variable.minimum, upper), st.sampled_from([variable.default]))
            mapping[variable.name] = str(draw(numbers))
    if mapping.get(f"{PREFIX}FP8_DISP", "0").lower() in ("true", "1"):
        mapping.pop(f"{PREFIX}FP4_DISP", None)
    return mapping, world_size


def test_the_empty_environment_has_sglangs_defaults() -> None:
    environment = Environment.from_mapping({}, world_size=8)
    assert environment == Environment()
    for variable in VARIABLES:
        assert getattr(environment, variable.attribute) == variable.default
    assert (environment.num_max_dispatch_tokens_per_rank, environment.prealloc_max_recv_tokens) == (4096, 0)
    assert environment.dispatch_inter_kernel_switch_threshold == 256
    assert environment.warnings == ()


@given(valid_mappings())
def test_a_parsed_environment_survives_the_round_trip(case: tuple[dict[str, str], int]) -> None:
    mapping, world_size = case
    environment = Environment.from_mapping(mapping, world_size)
    again = environment.to_mapping()
    assert set(again) >= set(mapping)
    assert Environment.from_mapping(again, world_size) == environment
    assert environment.check(world_size) == environment


@given(
    st.fixed_dictionaries(
        {}, optional={variable.name: st.text(max_size=8) | st.integers().map(str) for variable in VARIABLES}
    ),
    st.none() | st.integers(1, 64),
)
def test_any_values_parse_or_fail_with_a_message_that_names_the_variable(
    mapping: dict[str, str], world_size: int | None
) -> None:
    error: EnvironmentVariableError | None = None
    try:
        environment = Environment.from_mapping(mapping, world_size)
    except EnvironmentVariableError as caught:
        error = caught
    if error is not None:
        assert error.problems
        for problem in error.problems:
            assert problem.variable in mapping
            assert problem.value == mapping[problem.variable]
            for part in (problem.variable, repr(problem.value), problem.allowed, problem.remedy):
                assert part
                assert part in str(error)
        invalid = {row.name for row in table(mapping, world_size) if row.state == "invalid"}
        assert invalid == {problem.variable for problem in error.problems}
    else:
        assert environment.given == frozenset(mapping)
        assert "invalid" not in {row.state for row in table(mapping, world_size)}


@given(st.sampled_from([item for item in VARIABLES if item.kind == "integer"]), st.integers(-(2**40), 2**40))
def test_an_integer_is_refused_exactly_when_it_is_outside_of_its_range(variable: object, number: int) -> None:
    assert isinstance(variable, type(VARIABLES[0]))
    bound = {Maximum.INT32: INT32_MAX, Maximum.TOKENS: INT32_MAX // 8, Maximum.WORST_CASE: 8 * 4096}
    accepted = number in variable.also or variable.minimum <= number <= bound[variable.maximum]
    if accepted:
        assert getattr(Environment.from_mapping({variable.name: str(number)}, 8), variable.attribute) == number
    else:
        assert set(problems({variable.name: str(number)}, 8)) == {variable.name}


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
@pytest.mark.parametrize("raw", ["", "   ", "many", "1.5", "yes", "on"])
def test_empty_and_unreadable_values_are_refused(variable: object, raw: str) -> None:
    assert isinstance(variable, type(VARIABLES[0]))
    message = problems({variable.name: raw})[variable.name]
    assert ("set but empty" in message) == (not raw.strip())
    assert f"default {variable.default_text}" in message


def test_all_problems_are_reported_at_once_in_table_order() -> None:
    mapping = {f"{PREFIX}NUM_WORKERS": "-3", PREALLOC: "x", "MORI_ENABLE_SDMA": "on"}
    assert list(problems(mapping)) == [PREALLOC, f"{PREFIX}NUM_WORKERS", "MORI_ENABLE_SDMA"]


@pytest.mark.parametrize(
    ("cap", "world_size", "accepted"),
    [
        ("32768", 8, True),
        ("32769", 8, False),
        ("32769", None, True),
        ("1", 8, True),
        ("0", 8, True),
        ("-1", 8, False),
    ],
)
def test_the_cap_may_not_exceed_the_worst_case_once_the_world_size_is_known(
    cap: str, world_size: int | None, accepted: bool
) -> None:
    if accepted:
        assert Environment.from_mapping({PREALLOC: cap}, world_size).prealloc_max_recv_tokens == int(cap)
    else:
        message = problems({PREALLOC: cap}, world_size)[PREALLOC]
        assert "0 (the maximum) or 1 … 32768" in message
        assert "8 × 4096" in message


@pytest.mark.parametrize(
    ("name", "number", "world_size", "accepted"),
    [
        (TOKENS, INT32_MAX // 8, 8, True),
        (TOKENS, INT32_MAX // 8 + 1, 8, False),
        (TOKENS, INT32_MAX // 8 + 1, None, True),
        (TOKENS, 0, 8, False),
        (f"{PREFIX}MOE_MAX_INPUT_TOKENS", INT32_MAX, 8, True),
        (f"{PREFIX}MOE_MAX_INPUT_TOKENS", INT32_MAX + 1, 8, False),
        (f"{PREFIX}POST_BATCH_SIZE", -1, None, True),
        (f"{PREFIX}POST_BATCH_SIZE", 0, None, False),
        (f"{PREFIX}POST_BATCH_SIZE", -2, None, False),
        (f"{PREFIX}DISPATCH_INTER_KERNEL_SWITCH_THRESHOLD", 0, None, True),
    ],
)
def test_the_edges_of_each_range(name: str, number: int, world_size: int | None, accepted: bool) -> None:
    if accepted:
        assert Environment.from_mapping({name: str(number)}, world_size).to_mapping() == {name: str(number)}
    else:
        assert set(problems({name: str(number)}, world_size)) == {name}


def test_check_finds_what_could_not_be_judged_without_the_world_size() -> None:
    environment = Environment.from_mapping({PREALLOC: "40000"})
    assert environment.check(16) == environment
    with pytest.raises(EnvironmentVariableError, match=PREALLOC):
        environment.check(8)


def test_check_keeps_the_warning_about_an_unknown_name() -> None:
    environment = Environment.from_mapping({f"{PREFIX}NOTHING": "1"})
    assert [item.variable for item in environment.check(8).warnings] == [f"{PREFIX}NOTHING"]


def test_a_bad_token_number_does_not_cause_a_second_complaint_about_the_cap() -> None:
    assert set(problems({TOKENS: "-1", PREALLOC: "99999"}, 8)) == {TOKENS}


def test_both_deprecated_dispatch_switches_contradict_each_other() -> None:
    switches = {f"{PREFIX}FP8_DISP": "1", f"{PREFIX}FP4_DISP": "true"}
    assert f"{PREFIX}FP4_DISP" in problems(switches)[f"{PREFIX}FP8_DISP"]
    # An explicit DISPATCH_DTYPE hides both, so that nothing contradicts: two warnings, no error.
    hidden = warnings({**switches, DISPATCH: "bf16"})
    assert all("outranks it" in hidden[name] for name in switches)


@pytest.mark.parametrize(
    ("mapping", "dispatch", "combine"),
    [
        ({}, DispatchDtype.AUTO, CombineDtype.AUTO),
        ({f"{PREFIX}FP8_DISP": "1"}, DispatchDtype.FP8, CombineDtype.AUTO),
        ({f"{PREFIX}FP4_DISP": "1", f"{PREFIX}FP8_COMB": "1"}, DispatchDtype.FP4, CombineDtype.FP8),
        ({f"{PREFIX}FP8_DISP": "0", f"{PREFIX}FP8_COMB": "0"}, DispatchDtype.AUTO, CombineDtype.AUTO),
        ({DISPATCH: "auto", f"{PREFIX}FP8_DISP": "1"}, DispatchDtype.AUTO, CombineDtype.AUTO),
        ({DISPATCH: "MXFP8"}, DispatchDtype.MXFP8, CombineDtype.AUTO),
        ({COMBINE: "auto", f"{PREFIX}FP8_COMB": "1"}, DispatchDtype.AUTO, CombineDtype.AUTO),
        ({COMBINE: "fp8_direct_cast"}, DispatchDtype.AUTO, CombineDtype.FP8_DIRECT_CAST),
    ],
)
def test_the_new_variable_outranks_the_deprecated_switch_even_when_it_says_auto(
    mapping: dict[str, str], dispatch: DispatchDtype, combine: CombineDtype
) -> None:
    environment = Environment.from_mapping(mapping)
    assert environment.requested_dispatch_dtype is dispatch
    assert environment.requested_combine_dtype is combine


@pytest.mark.parametrize(
    ("mapping", "variable", "words"),
    [
        ({f"{PREFIX}FP8_DISP": "1"}, f"{PREFIX}FP8_DISP", f"{DISPATCH}=fp8"),
        ({f"{PREFIX}FP8_COMB": "1"}, f"{PREFIX}FP8_COMB", f"{COMBINE}=fp8"),
        ({f"{PREFIX}PREALOC_MAX_RECV_TOKENS": "9"}, f"{PREFIX}PREALOC_MAX_RECV_TOKENS", PREALLOC),
        ({PREALLOC: "100"}, PREALLOC, "single sender"),
        ({f"{PREFIX}MOE_MAX_INPUT_TOKENS": "100"}, f"{PREFIX}MOE_MAX_INPUT_TOKENS", "32768 rows"),
        ({f"{PREFIX}MOE_MAX_INPUT_TOKENS": "32768"}, f"{PREFIX}MOE_MAX_INPUT_TOKENS", "without effect"),
        (
            {PREALLOC: "4097", f"{PREFIX}MOE_MAX_INPUT_TOKENS": "4100"},
            f"{PREFIX}MOE_MAX_INPUT_TOKENS",
            "4104 rows",
        ),
    ],
)
def test_what_is_suspect_but_legal_gives_one_warning(mapping: dict[str, str], variable: str, words: str) -> None:
    found = warnings(mapping, 8)
    assert list(found) == [variable]
    assert words in found[variable]


@pytest.mark.parametrize(
    "mapping", [{PREALLOC: "4096"}, {PREALLOC: "0"}, {"SGLANG_USE_AITER": "x"}, {"MORI_SHMEM_MODE": ""}]
)
def test_what_is_fine_or_not_ours_gives_no_warning(mapping: dict[str, str]) -> None:
    assert warnings(mapping, 8) == {}


@pytest.mark.parametrize("world_size", [0, -8])
def test_an_impossible_world_size_is_the_callers_error(world_size: int) -> None:
    with pytest.raises(ConfigurationError, match="world_size"):
        Environment.from_mapping({}, world_size)


def test_the_table_shows_value_and_state_of_each_variable() -> None:
    rows = {row.name: row for row in table({PREALLOC: "99999", DISPATCH: "fp8"}, 8)}
    assert list(rows) == [variable.name for variable in VARIABLES]
    assert (rows[PREALLOC].state, rows[PREALLOC].value) == ("invalid", "99999")
    assert (rows[DISPATCH].state, rows[DISPATCH].value) == ("set", "fp8")
    assert (rows[COMBINE].state, rows[COMBINE].value) == ("default", None)
    assert rows[f"{PREFIX}FP8_COMB"].deprecated_by == f"{COMBINE}=fp8"


def test_the_reference_page_has_a_section_with_the_facts_of_each_variable() -> None:
    page = markdown_reference()
    for variable in VARIABLES:
        section = page.split(f"## `{variable.name}`")[1].split("\n## ")[0]
        for fact in (variable.meaning, variable.default_text, variable.allowed(), variable.source):
            assert fact in section
        assert ("Deprecated" in section) == (variable.deprecated_by is not None)


def test_describe_takes_both_forms_of_the_name_and_suggests_one_otherwise() -> None:
    assert describe("PREALLOC_MAX_RECV_TOKENS") is describe(PREALLOC)
    with pytest.raises(KeyError, match=PREALLOC):
        describe("SGLANG_MORI_PREALLOC")
