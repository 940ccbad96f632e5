# SPDX-License-Identifier: MIT
"""The report follows from its inputs alone, shows every verdict, and drift is noticed."""

from __future__ import annotations

import dataclasses
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest

from conformance.catalogue import load_catalogue
from conformance.errors import ResultsError
from conformance.matrix import load_matrix
from conformance.report import (
    ReportInputs,
    check_report,
    read_report_inputs,
    render_report,
    stale_results,
    write_report,
    write_report_inputs,
)
from conformance.report.grid import build_grid
from conformance.report.wording import VERDICTS
from conformance.verdicts import Verdict
from tests.report.builders import REQUIREMENTS, WHEELS, make_inputs
from tests.report.reading import markdown_anchors, markdown_links, read_page

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "docs" / "report"


def _each(number: int) -> Verdict:
    return list(Verdict)[number % len(Verdict)]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return render_report(make_inputs(_each))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_report_inputs(make_inputs(_each), tmp_path)
    write_report(tmp_path)
    return tmp_path


def test_the_committed_report_is_what_the_committed_results_give() -> None:
    assert check_report(COMMITTED) == (), "run: nox -s report -- --render-only"


def test_the_committed_results_are_what_the_judges_find_in_the_committed_surveys() -> None:
    assert stale_results(read_report_inputs(COMMITTED), load_matrix(ROOT / "matrix.toml")) == (), "run: nox -s report"


def test_the_committed_results_name_no_folder_of_the_machine_that_ran_them() -> None:
    """Paths of the machines that built the wheels stay: they are what the wheels print. They end in the wheel's own sources."""
    text = (COMMITTED / "results.jsonl").read_text(encoding="utf-8")
    paths = set(re.findall(r"(?<![\w.…])/(?:tmp|home|root|var|work)/[^\s\"'\\,:\]]+", text))
    assert {path for path in paths if "/src/" not in path} == set()


def test_inputs_survive_the_files(tmp_path: Path) -> None:
    inputs = make_inputs(_each)
    write_report_inputs(inputs, tmp_path)
    again = read_report_inputs(tmp_path)
    second = tmp_path / "again"
    second.mkdir()
    write_report_inputs(again, second)
    assert again.results == inputs.results
    assert (second / "surveys.json").read_bytes() == (tmp_path / "surveys.json").read_bytes()
    stable = {wheel.sha256 for wheel in inputs.stable}
    assert {key: value for key, value in again.facts.items() if key in stable} == {
        key: value for key, value in inputs.facts.items() if key in stable
    }
    assert render_report(again) == render_report(inputs)


def test_when_and_where_a_run_was_made_changes_nothing(folder: Path) -> None:
    inputs = make_inputs(_each)
    header = msgspec.structs.replace(
        inputs.results.header, made="1999-01-01T00:00:00+00:00", host="host-of-the-run", python="0"
    )
    other = dataclasses.replace(inputs, results=dataclasses.replace(inputs.results, header=header))
    assert render_report(other) == render_report(inputs)
    write_report_inputs(other, folder)
    assert check_report(folder) == ()
    assert not any(b"host-of-the-run" in content or b"1999" in content for content in render_report(other).values())


@pytest.mark.parametrize(
    "name", ["index.html", "report.md", "timeline.md", "report.json", "junit.xml", "wheels/1.2.0-cp310.md"]
)
def test_one_changed_byte_is_drift(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert check_report(folder) == (name,)
    assert write_report(folder) == (name,)
    assert check_report(folder) == ()


def test_a_missing_and_a_left_over_file_are_drift(folder: Path) -> None:
    (folder / "badge.json").unlink()
    (folder / "wheels" / "0.0.1-cp310.md").write_text("gone", encoding="utf-8")
    (folder / "notes.md").write_text("not ours, left alone", encoding="utf-8")
    assert check_report(folder) == ("badge.json", "wheels/0.0.1-cp310.md")
    write_report(folder)
    assert check_report(folder) == ()
    assert not (folder / "wheels" / "0.0.1-cp310.md").exists()
    assert (folder / "notes.md").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("results.jsonl", b"", "incomplete"),
        ("surveys.json", b"{", "not a file of surveys"),
        ("surveys.json", b'{"schema":1,"extractor":0,"parts":{},"wheels":{}}', "revision 0"),
        ("surveys.json", b'{"schema":1,"extractor":1e9,"parts":{},"wheels":{}}', "surveys"),
    ],
)
def test_damaged_inputs_are_one_message(folder: Path, name: str, content: bytes, says: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(ResultsError, match=says):
        check_report(folder)


def test_a_survey_that_is_missing_is_named(folder: Path) -> None:
    document = json.loads((folder / "surveys.json").read_bytes())
    del document["wheels"][WHEELS[0].sha256]
    (folder / "surveys.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ResultsError, match=r"no survey of 1\.1\.1@cp310"):
        read_report_inputs(folder)


def test_results_of_other_rules_are_refused(folder: Path) -> None:
    lines = (folder / "results.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    header = json.loads(lines[0])
    header["revision"] = "another"
    (folder / "results.jsonl").write_text("".join([json.dumps(header) + "\n", *lines[1:]]), encoding="utf-8")
    with pytest.raises(ResultsError, match=r"another.*run the suite again"):
        read_report_inputs(folder)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_a_word_a_symbol_and_a_drawing(verdict: Verdict, files: dict[str, bytes]) -> None:
    wording = VERDICTS[verdict]
    assert len(wording.word) <= 8
    page = read_page(files["index.html"])
    assert f"v-{verdict.value}" in {attributes.get("id") for tag, attributes in page.elements if tag == "symbol"}
    used = [
        attributes
        for tag, attributes in page.elements
        if tag == "a" and f"v-{verdict.value}" in attributes.get("class", "")
    ]
    assert used, "the verdict occurs in the results, so a cell must show it"
    assert wording.meaning in page.text
    assert wording.symbol in files["report.md"].decode()
    assert f"`{verdict.value}`" in files["report.md"].decode()
    assert f'"verdict":"{verdict.value}"' in files["report.json"].decode()


def test_words_and_symbols_tell_verdicts_apart_without_colour() -> None:
    assert len({item.word for item in VERDICTS.values()}) == len(Verdict)
    assert len({item.symbol for item in VERDICTS.values()}) == len(Verdict)
    assert len({item.rank for item in VERDICTS.values()}) == len(Verdict)


def test_of_several_lanes_the_worst_is_shown_and_all_can_be_read() -> None:
    inputs = make_inputs(lambda number: Verdict.PASS if number % 2 == 0 else Verdict.CRASH, lanes=("survey", "virtual"))
    cell = build_grid(inputs).cell(inputs.requirements[0], WHEELS[0])
    assert cell.verdict == Verdict.CRASH
    assert {record.lane for record in cell.records} == {"survey", "virtual"}
    files = render_report(inputs)
    entry = json.loads(files["report.json"])["verdicts"]["PKG-1"][WHEELS[0].label]
    assert entry["lanes"] == {"survey": "pass", "virtual": "crash"}
    data = read_page(files["index.html"]).data
    assert [data["findings"][index][0] for index in data["cells"][0][0]] == ["virtual", "survey"]


def test_a_change_is_marked_against_the_same_python_and_silence_is_none() -> None:
    def verdict(number: int) -> Verdict:
        wheel, requirement = WHEELS[number // len(REQUIREMENTS)], REQUIREMENTS[number % len(REQUIREMENTS)]
        if requirement == "CFG-2" and wheel.label == "1.1.1@cp310":
            return Verdict.UNSUPPORTED
        if requirement == "OVF-1" and wheel.label == "1.2.0@cp312":
            return Verdict.NOT_RUN
        return Verdict.PASS

    inputs = make_inputs(verdict)
    grid = build_grid(inputs)
    changed = {cell.anchor: cell.before for wheel in inputs.stable for cell in grid.column(wheel) if cell.before}
    assert changed == {"CFG-2/1.2.0@cp310": Verdict.UNSUPPORTED}


def test_what_a_lane_could_not_show_before_has_not_changed() -> None:
    def verdict(number: int) -> Verdict:
        wheel, requirement = WHEELS[number // len(REQUIREMENTS)], REQUIREMENTS[number % len(REQUIREMENTS)]
        return Verdict.NOT_RUN if (requirement, wheel.label) == ("OVF-1", "1.1.1@cp310") else Verdict.PASS

    grid = build_grid(make_inputs(verdict))
    assert [cell.anchor for wheel in grid.inputs.stable for cell in grid.column(wheel) if cell.before] == []


@pytest.mark.parametrize(("failing", "expected"), [("04", 2), ("never", 1)])
def test_nightlies_are_cut_where_a_verdict_changes_and_nowhere_else(failing: str, expected: int) -> None:
    def verdict(number: int) -> Verdict:
        wheel, requirement = WHEELS[number // len(REQUIREMENTS)], REQUIREMENTS[number % len(REQUIREMENTS)]
        if requirement == "PKG-1" and wheel.version.endswith("03"):
            return Verdict.NOT_RUN
        return Verdict.FAIL if requirement == "OVF-1" and wheel.version.endswith(failing) else Verdict.PASS

    segments = build_grid(make_inputs(verdict)).segments()
    assert len(segments) == expected
    assert segments[-1].changed == ({"OVF-1"} if expected == 2 else set())
    assert sum(len(segment.wheels) for segment in segments) == 2
    assert segments[-1].cells["PKG-1"].verdict == Verdict.PASS
    assert sum(segment.unseen["PKG-1"] for segment in segments) == (0 if expected == 2 else 1)


def test_every_cell_carries_what_repeats_it(files: dict[str, bytes]) -> None:
    inputs, data = make_inputs(_each), read_page(files["index.html"]).data
    by_key = {(record.wheel, record.requirement): record for record in inputs.results.records}
    for column, wheel in enumerate(data["wheels"]):
        assert wheel["sha256"] == next(item.sha256 for item in WHEELS if item.label == wheel["label"])
        for row, requirement in enumerate(data["requirements"]):
            (place,) = data["cells"][column][row]
            lane, verdict, message, observed, command, seed, _, address = data["findings"][place]
            record = by_key[wheel["label"], requirement["id"]]
            filled = command.replace("{wheel}", wheel["label"]).replace("{requirement}", requirement["id"])
            assert (lane, verdict, message, observed, filled, seed) == (
                record.lane,
                record.verdict.value,
                record.message,
                list(record.evidence.observed),
                record.evidence.command,
                record.evidence.seed,
            )
            assert address == record.link


def test_the_page_needs_nothing_from_elsewhere(files: dict[str, bytes]) -> None:
    page = read_page(files["index.html"])
    assert page.faults == []
    loading = {"src", "srcset", "poster", "data", "action", "background"}
    for tag, attributes in page.elements:
        assert not loading & attributes.keys(), f"<{tag} {attributes}>"
        if tag == "link":
            assert attributes["href"] == "data:,"
        if tag == "use":
            assert attributes["href"].startswith("#")
    assert not any(word in files["index.html"].lower() for word in (b"@import", b"url(", b"fetch(", b"xmlhttp"))
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_every_link_inside_the_report_leads_somewhere(folder: Path) -> None:
    page = read_page((folder / "index.html").read_bytes())
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    nightlies = {wheel.label for wheel in WHEELS if wheel.nightly}
    for tag, attributes in page.elements:
        if tag != "a" or attributes["href"].startswith("https://"):
            continue
        target = attributes["href"]
        if not target.startswith("#"):
            assert (folder / target).is_file(), target
        elif target.startswith("#compare/"):
            assert target.removeprefix("#compare/").replace("/", "|") in page.data["pairs"]
        elif target.rpartition("/")[2] not in nightlies:
            # A cell of a nightly opens by script only; without one its requirement's history stands in the page.
            assert target[1:] in ids, target
    for path in [folder / "report.md", folder / "timeline.md", *(folder / "wheels").iterdir()]:
        text = path.read_text(encoding="utf-8")
        for link in markdown_links(text):
            if link.startswith("https://"):
                continue
            name, _, anchor = link.partition("#")
            target = (path.parent / name) if name else path
            assert target.is_file(), f"{path.name}: {link}"
            assert not anchor or anchor in markdown_anchors(target.read_text(encoding="utf-8")), f"{path.name}: {link}"


def test_junit_is_what_readers_of_junit_expect(files: dict[str, bytes]) -> None:
    root = ElementTree.fromstring(files["junit.xml"])
    assert root.tag == "testsuites"
    assert [suite.get("name") for suite in root] == [wheel.label for wheel in WHEELS]
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in root:
        assert suite.tag == "testsuite"
        assert [child.tag for child in suite] == ["properties", *["testcase"] * len(REQUIREMENTS)]
        cases = suite.findall("testcase")
        assert [case.get("name") for case in cases] == list(REQUIREMENTS)
        found = {"tests": len(cases)}
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            found[name] = len(suite.findall(f"testcase/{tag}"))
        for name, number in found.items():
            assert suite.get(name) == str(number)
            totals[name] += number
        for case in cases:
            assert len(case) <= 1
            assert all(child.get("message") for child in case)
    assert {name: root.get(name) for name in totals} == {name: str(number) for name, number in totals.items()}
    skipped = [case.get("message", "").split(":")[0] for case in root.iter("skipped")]
    assert set(skipped) == {"expected_fail", "unsupported", "not_applicable", "not_run"}


def test_a_wheel_that_could_not_be_judged_turns_everything_red() -> None:
    inputs = make_inputs(wheels=WHEELS[:2])
    broken = WHEELS[4]
    header = msgspec.structs.replace(
        inputs.results.header, wheels=(*inputs.wheels, broken), failures={broken.label: "truncated"}
    )
    files = render_report(dataclasses.replace(inputs, results=dataclasses.replace(inputs.results, header=header)))
    root = ElementTree.fromstring(files["junit.xml"])
    assert root.get("errors") == "1"
    assert "truncated" in read_page(files["index.html"]).text
    assert "truncated" in files["report.md"].decode()
    assert json.loads(files["report.json"])["not_judged"] == {broken.label: "truncated"}
    assert f"wheels/{broken.version}-{broken.python}.md" not in files


@pytest.mark.parametrize(
    ("verdict", "colour", "message"),
    [
        (Verdict.PASS, "brightgreen", "3 pass"),
        (Verdict.EXPECTED_FAIL, "orange", "0 pass, 3 known failures"),
        (Verdict.FAIL, "red", "0 pass, 3 new"),
        (Verdict.CRASH, "red", "0 pass, 3 new"),
    ],
)
def test_badges_are_endpoints_of_shields_io(verdict: Verdict, colour: str, message: str) -> None:
    files = render_report(make_inputs(lambda _: verdict))
    for name in ("badge.json", "badges/1.2.0-cp310.json"):
        badge = json.loads(files[name])
        assert badge == {"schemaVersion": 1, "label": "MORI-EP 1.2.0 cp310", "message": message, "color": colour}


def test_an_empty_run_still_makes_pages() -> None:
    inputs = make_inputs(wheels=())
    files = render_report(ReportInputs(inputs.results, {}, inputs.requirements))
    assert read_page(files["index.html"]).faults == []
    assert "wheels" not in {name.split("/")[0] for name in files}


def test_the_catalogue_reaches_every_page(files: dict[str, bytes]) -> None:
    for requirement in load_catalogue():
        if requirement.id in REQUIREMENTS:
            plain = requirement.sentence.replace("`", "")
            assert plain in read_page(files["index.html"]).text
            assert json.loads(files["report.json"])["requirements"][requirement.id]["sentence"] == requirement.sentence
