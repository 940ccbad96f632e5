# SPDX-License-Identifier: MIT
"""The survey over an index: what it reads, what it says, and how one bad wheel leaves the others alone."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.survey.cache import SurveyCache
from conformance.survey.collect import SurveyOutcome, survey_wheels
from conformance.survey.facts import WheelFacts
from conformance.wheels import Wheel
from tests.conformance.fake_wheels import CONFIG, HEADER, MAIN, FakeIndex, pack, serving, wheel_files, wheel_of


@pytest.fixture
def index() -> Iterator[FakeIndex]:
    with serving(FakeIndex()) as running:
        yield running


@pytest.fixture
def survey(index: FakeIndex, tmp_path: Path) -> Callable[..., SurveyOutcome]:
    def run(*wheels: Wheel, timeout: float = 5.0, attempts: int = 2) -> SurveyOutcome:
        return survey_wheels(
            wheels, cache=SurveyCache(tmp_path / "cache"), index_url=index.url, timeout=timeout, attempts=attempts
        )

    return run


def sound(index: FakeIndex, version: str = "9.0.0", **changed: str | None) -> Wheel:
    data = pack(wheel_files(version=version, **changed), third_party=600)
    wheel = wheel_of(data, version)
    index.add(wheel, data)
    return wheel


def only(outcome: SurveyOutcome) -> WheelFacts:
    assert outcome.failures == {}
    (facts,) = outcome.facts.values()
    return facts


def test_a_survey_says_what_the_files_say(index: FakeIndex, survey: Callable[..., SurveyOutcome]) -> None:
    facts = only(survey(sound(index)))
    config = facts.surface.config
    assert config.field_names == (
        "rank", "world_size", "hidden_dim", "block_num", "max_total_recv_tokens", "kernel_type",
    )  # fmt: skip
    assert [field.name for field in config.fields if field.required] == ["rank", "world_size", "hidden_dim"]
    assert config.field("block_num").default == "80"
    dispatch = facts.surface.op.method("dispatch")
    assert [(item.name, item.kind, item.default) for item in dispatch.parameters][-2:] == [
        ("block_num", "positional_or_keyword", "-1"),
        ("routing", "keyword_only", "None"),
    ]
    assert dispatch.raises == ("ValueError('indices are needed')",)
    assert facts.surface.quant_types == ("none", "fp8_direct_cast")
    assert facts.surface.kernel_types == {"IntraNode": 0, "InterNode": 1, "InterNodeV1": 2}
    assert facts.python_variables == ("MORI_VERBOSE",)
    (guard,) = facts.guards
    assert guard.function == "EpDispatchIntraNodeKernel_body"
    assert guard.kernel_types == ("IntraNode",)
    assert guard.line == 5
    assert guard.condition == "destTokId < config.MaxNumTokensToRecv()"
    assert guard.message == "Total recv token overflow: increase maxTotalRecvTokens"
    assert facts.capacity[0].body == "{ return maxNumInpTokenPerRank; }"


def test_third_parties_are_not_read(index: FakeIndex, survey: Callable[..., SurveyOutcome]) -> None:
    wheel = sound(index)
    outcome = survey(wheel)
    assert outcome.meter.bytes_read < wheel.size / 2


def test_equal_files_of_many_wheels_are_read_once(index: FakeIndex, survey: Callable[..., SurveyOutcome]) -> None:
    wheels = [sound(index, f"9.0.{number}") for number in range(8)]
    outcome = survey(*wheels)
    assert len(outcome.facts) == 8
    reads = [asked for path, asked in index.requests if "/files/" in path]
    # Two requests for each directory; the shared files once; each wheel's own `_version.py` once.
    assert len(reads) <= 2 * 8 + 8 + 8


def test_a_cached_survey_needs_no_index(index: FakeIndex, survey: Callable[..., SurveyOutcome]) -> None:
    wheel = sound(index)
    first = only(survey(wheel))
    index.status = 500
    again = survey(wheel)
    assert only(again) == first
    assert again.from_cache == 1
    assert again.meter.requests == 0


def test_a_damaged_cache_file_is_read_anew(
    index: FakeIndex, survey: Callable[..., SurveyOutcome], tmp_path: Path
) -> None:
    wheel = sound(index)
    first = only(survey(wheel))
    (cached,) = tmp_path.glob("cache/surveys/*/*.msgpack")
    cached.write_bytes(cached.read_bytes()[:100])
    again = survey(wheel)
    assert only(again) == first
    assert again.from_cache == 0


def test_where_ranges_are_refused_the_file_is_downloaded_once_and_its_hash_checked(
    index: FakeIndex, survey: Callable[..., SurveyOutcome]
) -> None:
    ranged = only(survey(sound(index)))
    index.ranges = False
    other = sound(index, "9.0.1")
    facts = only(survey(other))
    assert facts.guards == ranged.guards
    assert len([path for path, _ in index.requests if other.filename in path]) == 1


def test_passing_failures_of_the_index_are_retried(index: FakeIndex, survey: Callable[..., SurveyOutcome]) -> None:
    wheel = sound(index)
    index.failures = 1
    only(survey(wheel, attempts=3))


def replaced(data: bytes) -> bytes:
    return pack(wheel_files(version="9.0.0", main=CONFIG.replace("80", "81")), third_party=600)


def wrong_checksum(data: bytes) -> bytes:
    """Flip one bit in the packed bytes of the main module."""
    name = MAIN.encode()
    at = data.index(name) + len(name) + 40
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def bomb(data: bytes) -> bytes:
    """Claim in the zip directory that the main module unpacks to 60 MB."""
    at = data.rindex(MAIN.encode()) - 46
    return data[: at + 24] + struct.pack("<I", 60_000_000) + data[at + 28 :]


def traversal(data: bytes) -> bytes:
    return data.replace(b"mori/ops/__init__.py", b"mori/../__init__..py")


BAD_BYTES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda data: data[: len(data) // 2], "truncated"),
    "empty": (lambda data: b"", "shorter than listed"),
    "no zip": (lambda data: bytes(len(data)), "no zip directory"),
    "damaged directory": (lambda data: data[:-10] + b"\xff\xff" + data[-8:], "damaged"),
    "damaged member": (wrong_checksum, MAIN),
    "zip bomb": (bomb, "zip bomb"),
    "unsafe name": (traversal, "unsafe file name"),
}


@pytest.mark.parametrize("kind", BAD_BYTES)
def test_a_bad_wheel_gets_one_message_and_the_others_are_reported(
    index: FakeIndex, survey: Callable[..., SurveyOutcome], kind: str
) -> None:
    spoil, expected = BAD_BYTES[kind]
    data = pack(wheel_files(version="9.0.0"), third_party=600)
    bad = wheel_of(data, "9.0.0", day="2026-10-01")
    index.add(bad, data, served=spoil(data))
    good = [sound(index, "9.0.1"), sound(index, "9.0.2")]
    outcome = survey(bad, *good)
    assert set(outcome.facts) == {wheel.sha256 for wheel in good}
    (message,) = outcome.failures.values()
    assert "amd-mori 9.0.0 (cp310)" in message
    assert expected in message


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"main": None}, "holds no mori/ops/dispatch_combine.py"),
        ({"main": "def broken(:\n"}, "not valid Python"),
        ({"main": "x = 1\n"}, "defines no EpDispatchCombineConfig"),
    ],
)
def test_a_wheel_without_a_usable_main_module_gets_one_message(
    index: FakeIndex, survey: Callable[..., SurveyOutcome], changed: dict[str, str | None], expected: str
) -> None:
    outcome = survey(sound(index, "9.0.0", **changed), sound(index, "9.0.1"))
    assert len(outcome.facts) == 1
    (message,) = outcome.failures.values()
    assert "amd-mori 9.0.0 (cp310)" in message
    assert expected in message


def test_a_wheel_without_a_header_is_surveyed_and_the_gap_is_said(
    index: FakeIndex, survey: Callable[..., SurveyOutcome]
) -> None:
    facts = only(survey(sound(index, header=None)))
    assert facts.surface.kernel_types == {}
    assert "kernel types unknown" in facts.problems[0]


def test_a_wheel_that_describes_itself_otherwise_is_refused(
    index: FakeIndex, survey: Callable[..., SurveyOutcome]
) -> None:
    data = pack(wheel_files("mori", "9.0.0"))
    wheel = wheel_of(data)
    index.add(wheel, data)
    (message,) = survey(wheel).failures.values()
    assert "describes itself as mori 9.0.0" in message


def test_a_foreign_mori_is_named_as_such(index: FakeIndex, survey: Callable[..., SurveyOutcome]) -> None:
    (message,) = survey(sound(index, main=None)).failures.values()
    assert "another project" in message


def test_a_file_replaced_on_the_index_is_refused(index: FakeIndex, survey: Callable[..., SurveyOutcome]) -> None:
    locked = sound(index)
    data = replaced(b"")
    index.add(wheel_of(data), data)
    (message,) = survey(locked).failures.values()
    assert locked.sha256 in message
    assert "replaced" in message


def test_a_whole_download_with_another_hash_is_refused(index: FakeIndex, survey: Callable[..., SurveyOutcome]) -> None:
    wheel = sound(index)
    index.ranges = False
    index.files[wheel.filename] = replaced(b"")
    (message,) = survey(wheel).failures.values()
    assert "not the wheel that was locked" in message


def test_a_wheel_that_the_index_dropped_is_named(index: FakeIndex, survey: Callable[..., SurveyOutcome]) -> None:
    wheel = sound(index)
    index.listed.clear()
    (message,) = survey(wheel).failures.values()
    assert "no longer offers" in message


@pytest.mark.parametrize(
    ("misbehave", "expected"),
    [
        ({"status": 404}, "HTTP 404"),
        ({"status": 503}, "HTTP 503"),
        ({"listing": "<html>not what was asked for</html>"}, "not a PEP 691 index page"),
        ({"listing": '{"files": [{"filename": "amd_mori-1-cp310-cp310-any.whl"}]}'}, "not a PEP 691 index page"),
        ({"delay": 2.0}, "no answer"),
    ],
)
def test_an_index_that_misbehaves_is_an_error_with_a_remedy(
    index: FakeIndex, survey: Callable[..., SurveyOutcome], misbehave: dict[str, object], expected: str
) -> None:
    wheels = [sound(index), sound(index, "9.0.1")]
    for name, value in misbehave.items():
        setattr(index, name, value)
    outcome = survey(*wheels, timeout=0.5)
    assert outcome.facts == {}
    assert set(outcome.failures) == set(wheels)
    assert all(expected in message for message in outcome.failures.values())


def test_a_file_that_is_gone_is_an_error_of_its_own_wheel(
    index: FakeIndex, survey: Callable[..., SurveyOutcome]
) -> None:
    gone, good = sound(index), sound(index, "9.0.1")
    del index.files[gone.filename]
    outcome = survey(gone, good)
    assert set(outcome.facts) == {good.sha256}
    assert "HTTP 404" in outcome.failures[gone]


def test_no_index_at_all_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    data = pack(wheel_files())
    outcome = survey_wheels(
        [wheel_of(data)], cache=SurveyCache(tmp_path), index_url="http://127.0.0.1:9", timeout=1.0, attempts=1
    )
    (message,) = outcome.failures.values()
    assert "cannot be read" in message
    assert "cached surveys work offline" in message


def test_an_enumeration_without_values_is_numbered_as_cpp_does() -> None:
    from conformance.survey.kernel_source import parse_enumerators

    assert parse_enumerators(HEADER)["KernelType"] == {"IntraNode": 0, "InterNode": 1, "InterNodeV1": 2}
