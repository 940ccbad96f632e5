# SPDX-License-Identifier: MIT
"""matrix.toml: what is accepted, what is refused, and with which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.catalogue import KERNEL_TYPES
from conformance.errors import LockError, MatrixError, SelectionError, WheelError
from conformance.lock import refresh_lock
from conformance.matrix import Expectation, Matrix, load_matrix
from conformance.wheels import wheel_from_filename
from tests.conformance.fake_wheels import FakeIndex, pack, serving, wheel_files, wheel_of

ROOT = Path(__file__).resolve().parents[2]


def entry(version: str, digit: str = "a", tag: str = "cp310-cp310-manylinux_2_35_x86_64", **changed: object) -> str:
    values: dict[str, object] = {
        "distribution": "amd-mori",
        "version": version,
        "tag": tag,
        "sha256": digit * 64,
        "size": 10,
        "uploaded": "2026-01-01T00:00:00Z",
    }
    values.update(changed)
    return "{" + ", ".join(f"{key} = {_toml(value)}" for key, value in values.items()) + "}"


def _toml(value: object) -> str:
    return str(value) if isinstance(value, int) else f'"{value}"'


NIGHTLY = "amd-mori-nightly"
SOUND = f"""\
schema = 1
wheels = [{entry("1.0.0", "a")}, {entry("1.1.1", "b")}, {entry("1.1.1", "c", "cp312-cp312-manylinux_2_39_x86_64")}]
[nightlies]
rule = "all"
[[lanes]]
name = "survey"
shows = "what files say"
"""
EXPECTATION = """
[[expectations]]
requirement = "CFG-2"
versions = "==1.0.0"
lane = "survey"
message = "no field"
link = "somewhere"
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Matrix]:
    def run(text: str = SOUND, nightlies: str | None = None) -> Matrix:
        (tmp_path / "matrix.toml").write_text(text)
        if nightlies is not None:
            (tmp_path / "matrix.nightlies.toml").write_text(nightlies)
        return load_matrix(tmp_path / "matrix.toml")

    return run


def nightly(version: str, digit: str) -> str:
    return entry(version, digit, distribution=NIGHTLY)


def test_the_project_s_own_matrix_is_sound_and_holds_what_was_published() -> None:
    matrix = load_matrix(ROOT / "matrix.toml")
    assert len(matrix.stable) >= 15
    assert len([wheel for wheel in matrix.wheels if wheel.python == "cp310"]) >= 111
    assert [wheel.built for wheel in matrix.wheels] == sorted(wheel.built for wheel in matrix.wheels)


def test_nightlies_are_ordered_by_date_and_not_by_version(load: Callable[..., Matrix]) -> None:
    matrix = load(nightlies=f"wheels = [{nightly('1.2.3.1.dev20260916', 'd')}, {nightly('1.2.4.dev20260909', 'e')}]")
    assert [wheel.version for wheel in matrix.nightlies] == ["1.2.4.dev20260909", "1.2.3.1.dev20260916"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('rule = "all"', ["01", "02", "03", "04", "05"]),
        ('rule = "sample"\nevery = 2', ["01", "03", "05"]),
        ('rule = "sample"\nevery = 3', ["02", "05"]),
        ('rule = "range"\nfirst = 2026-06-02\nlast = 2026-06-04', ["02", "03", "04"]),
        ('rule = "range"\nfirst = 2026-06-04', ["04", "05"]),
        ('rule = "all"\npythons = ["cp312"]', []),
    ],
)
def test_nightlies_take_part_by_rule(load: Callable[..., Matrix], rule: str, expected: list[str]) -> None:
    rows = ", ".join(nightly(f"1.2.1.dev2026060{day}", "def01"[day - 1]) for day in range(1, 6))
    matrix = load(SOUND.replace('rule = "all"', rule), f"wheels = [{rows}]")
    assert [wheel.version[-2:] for wheel in matrix.selected_nightlies()] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1.0.0", "1.0.0@cp310"),
        ("1.1.1", "1.1.1@cp310"),
        ("1.1.1@cp312", "1.1.1@cp312"),
        ("20260603", "1.2.1.dev20260603@cp310"),
        ("1.2.1.dev20260603", "1.2.1.dev20260603@cp310"),
        ("cccccccc", "1.1.1@cp312"),
    ],
)
def test_a_wheel_is_found_by_what_people_call_it(load: Callable[..., Matrix], name: str, expected: str) -> None:
    matrix = load(nightlies=f"wheels = [{nightly('1.2.1.dev20260603', 'd')}]")
    assert matrix.find(name).label == expected


@pytest.mark.parametrize("name", ["1.1", "9.9.9", "1.1.1@cp313", "ccc", "", "20260604"])
def test_an_unknown_wheel_is_answered_with_those_that_there_are(load: Callable[..., Matrix], name: str) -> None:
    with pytest.raises(SelectionError, match=r"1\.0\.0@cp310, 1\.1\.1@cp310, 1\.1\.1@cp312"):
        load().find(name)


BAD_MATRICES = {
    "not TOML": (SOUND + "x = = 1", "not valid TOML"),
    "unknown key": (SOUND + "colour = 1", "unknown field `colour`"),
    "unknown key of a wheel": (SOUND.replace("size = 10", "size = 10, weight = 3"), "unknown field `weight`"),
    "wrong type": (SOUND.replace("size = 10", 'size = "10"'), "Expected `int`, got `str`"),
    "missing key": (SOUND.replace('rule = "all"', ""), "missing required field `rule`"),
    "another schema": (SOUND.replace("schema = 1", "schema = 2"), "schema"),
    "a wheel twice": (SOUND.replace(entry("1.1.1", "b"), entry("1.0.0", "b")), "listed twice"),
    "a hash twice": (SOUND.replace("b" * 64, "a" * 64), "listed twice"),
    "a short hash": (SOUND.replace("b" * 64, "b" * 63), "64 lower-case hexadecimal digits"),
    "a foreign distribution": (SOUND.replace('"amd-mori"', '"mori"', 1), "distribution"),
    "a nightly among the stable": (SOUND.replace('"amd-mori"', f'"{NIGHTLY}"', 1), "never mixed"),
    "a malformed version": (SOUND.replace('"1.0.0"', '"one"'), "wheels[0]"),
    "a malformed date": (SOUND.replace("2026-01-01T00:00:00Z", "yesterday"), "uploaded is malformed"),
    "no date": (SOUND.replace("2026-01-01T00:00:00Z", ""), "uploaded"),
    "a size of nothing": (SOUND.replace("size = 10", "size = 0"), "positive number of bytes"),
    "an unknown rule": (SOUND.replace('rule = "all"', 'rule = "some"'), "nightlies.rule"),
    "a sample of nothing": (SOUND.replace('rule = "all"', 'rule = "sample"'), "`every`"),
    "a range backwards": (
        SOUND.replace('rule = "all"', 'rule = "range"\nfirst = 2026-06-04\nlast = 2026-06-01'),
        "after `last`",
    ),
    "an unknown lane": (SOUND.replace('"survey"', '"guess"'), "lanes"),
    "a lane twice": (SOUND + '[[lanes]]\nname = "survey"\nshows = "again"\n', "listed twice"),
    "an expectation about nothing": (SOUND + EXPECTATION.replace("==1.0.0", ">=7"), "covers no wheel"),
    "an expectation with a malformed version": (
        SOUND + EXPECTATION.replace("==1.0.0", "newest"),
        "no PEP 440 specifier",
    ),
    "an expectation without words": (SOUND + EXPECTATION.replace("no field", ""), "must say something"),
}


@pytest.mark.parametrize("kind", BAD_MATRICES)
def test_a_malformed_matrix_is_one_error_that_names_the_file_and_the_key(
    load: Callable[..., Matrix], kind: str
) -> None:
    text, expected = BAD_MATRICES[kind]
    with pytest.raises(MatrixError) as caught:
        load(text)
    assert str(caught.value).startswith("matrix.toml: ")
    assert expected in str(caught.value)


def test_an_error_in_the_list_of_nightlies_names_that_file(load: Callable[..., Matrix]) -> None:
    with pytest.raises(MatrixError, match=r"^matrix\.nightlies\.toml: wheels\[0\]"):
        load(nightlies=f"wheels = [{entry('1.0.0')}]")


def test_a_missing_matrix_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match="not found in"):
        load_matrix(tmp_path / "matrix.toml")


@pytest.mark.parametrize(
    "name", ["mori-1.0.tar.gz", "amd_mori-1.0.0-py3-none.whl", "amd_mori-1.0.0-cp310.cp312-abi3-any.whl"]
)
def test_only_a_wheel_of_one_tag_has_an_identity(name: str) -> None:
    with pytest.raises(WheelError, match=name.replace(".", r"\.")):
        wheel_from_filename(name, "a" * 64, 1, "")


def index_with(*versions: str) -> FakeIndex:
    index = FakeIndex()
    for version in versions:
        data = pack(wheel_files(version=version))
        index.add(wheel_of(data, version), data)
    return index


def test_a_refresh_adds_what_is_new_and_keeps_what_people_wrote(tmp_path: Path) -> None:
    matrix_file = tmp_path / "matrix.toml"
    matrix_file.write_text(SOUND.replace("schema = 1", "# a remark\nschema = 1"))
    index = index_with("9.0.0", "9.0.1")
    data = pack(wheel_files("amd_mori_nightly", "9.1.0.dev20261120"))
    index.add(wheel_of(data, "9.1.0.dev20261120", "amd_mori_nightly"), data)
    with serving(index):
        change = refresh_lock(matrix_file, index_url=index.url)
        again = refresh_lock(matrix_file, index_url=index.url)
    assert [wheel.version for wheel in change.added] == ["9.0.0", "9.0.1", "9.1.0.dev20261120"]
    assert [wheel.label for wheel in change.vanished] == ["1.0.0@cp310", "1.1.1@cp310", "1.1.1@cp312"]
    assert again.added == ()
    assert "# a remark" in matrix_file.read_text()
    assert [wheel.version for wheel in load_matrix(matrix_file).stable] == ["1.0.0", "1.1.1", "1.1.1", "9.0.0", "9.0.1"]
    assert [wheel.version for wheel in load_matrix(matrix_file).nightlies] == ["9.1.0.dev20261120"]


def test_a_refresh_that_only_looks_writes_nothing(tmp_path: Path) -> None:
    matrix_file = tmp_path / "matrix.toml"
    matrix_file.write_text(SOUND)
    with serving(index_with("9.0.0")) as index:
        change = refresh_lock(matrix_file, index_url=index.url, write=False)
    assert len(change.added) == 1
    assert matrix_file.read_text() == SOUND


def test_a_changed_hash_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    matrix_file = tmp_path / "matrix.toml"
    with serving(index_with("9.0.0")) as index:
        matrix_file.write_text(SOUND)
        refresh_lock(matrix_file, index_url=index.url)
        before = matrix_file.read_text()
        data = pack(wheel_files(version="9.0.0", kernel="// another\n"))
        index.add(wheel_of(data, "9.0.0"), data)
        with pytest.raises(LockError, match=r"amd-mori 9\.0\.0 \(cp310\): locked [0-9a-f]{64}, index [0-9a-f]{64}"):
            refresh_lock(matrix_file, index_url=index.url)
    assert matrix_file.read_text() == before


@pytest.mark.parametrize(
    ("kernel_types", "covered"),
    [
        ((), {"", "IntraNode"}),
        (("AsyncLL",), {"AsyncLL"}),
        (("InterNodeV1", "IntraNode"), {"InterNodeV1", "IntraNode"}),
    ],
)
def test_an_expectation_is_about_the_kernel_types_that_it_names_or_the_first(
    kernel_types: tuple[str, ...], covered: set[str]
) -> None:
    item = Expectation("DSP-1", "==1.2.4", "lost", "link", "virtual", kernel_types=kernel_types)
    assert {name for name in ("", *KERNEL_TYPES) if item.speaks_about(name)} == covered
