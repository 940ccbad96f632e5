# SPDX-License-Identifier: MIT
"""Whatever a wheel or a run says, a page shows it as text and never as markup."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from functools import lru_cache

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from conformance.report import render_report
from conformance.report.references import link_target, pieces
from conformance.report.surveys import decode_surveys, encode_surveys
from conformance.report.wording import markdown_code, markdown_text, printable
from conformance.verdicts import Verdict
from tests.conformance import strategies
from tests.report.builders import WHEELS, make_inputs
from tests.report.reading import Page, markdown_plain, read_page

_SPICE = (
    "<script>alert(1)</script>",
    "</script>",
    "<!--",
    "|",
    "`",
    "``",
    "**",
    "_",
    "]]>",
    "\\",
    "&amp;",
    "](x)",
    "\x00",
    "\u202e",
    "~~",
)
texts = st.text(max_size=40) | st.lists(st.sampled_from(_SPICE) | st.text(max_size=5), max_size=6).map("".join)


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", printable(text)).strip()


@given(texts)
@example("1. first")
@example("# head")
@example("- item")
@example("=== ---")
@example("a\n\n    code")
@example("[a]: b")
@example("+ x")
@example("~~~")
def test_markdown_text_reads_back(text: str) -> None:
    assert markdown_plain(markdown_text(text)) == _flat(text)
    assert markdown_plain(f"- {markdown_text(text)}") == _flat(text)


@given(texts)
def test_markdown_reads_back_in_a_table(text: str) -> None:
    table = f"| a | b |\n| --- | --- |\n| {markdown_text(text)} | {markdown_code(text)} |\n"
    plain = markdown_plain(table)
    assert plain == "ab" + _flat(text) + _flat(text)


@given(texts)
def test_printable_text_is_valid_xml_and_utf8(text: str) -> None:
    shown = printable(text)
    element = ElementTree.Element("a", b=shown)
    assert ElementTree.fromstring(ElementTree.tostring(element, encoding="utf-8")).get("b") is not None
    assert printable(shown) == shown


@lru_cache(maxsize=1)
def _plain_page() -> Page:
    inputs = make_inputs(lambda _: Verdict.FAIL, message="m", observed=("o",), link="l", text="t")
    return read_page(render_report(inputs)["index.html"])


@settings(max_examples=15, phases=(Phase.explicit, Phase.generate))
@given(texts, texts)
@example("</script><img src=x onerror=alert(1)>", "<!--<script>")
@example("{{ 7 * 7 }}{% raw %}", "\ud800")
def test_every_page_shows_hostile_text_as_text(message: str, other: str) -> None:
    inputs = make_inputs(lambda _: Verdict.FAIL, message=message, observed=(other,), link=other, text=other)
    files = render_report(inputs)
    page = read_page(files["index.html"])
    assert page.faults == []
    # Text adds no element, except that empty or long text shows in fewer or other ones.
    foreign = {tag for tag, _ in page.elements} - {tag for tag, _ in _plain_page().elements}
    assert foreign <= {"del", "ins"}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert {a["href"].split(":")[0] for t, a in page.elements if t == "a" and ":" in a["href"]} <= {"https"}
    assert page.data["findings"][0][2] == printable(message)
    assert printable(message) in page.text
    root = ElementTree.fromstring(files["junit.xml"])
    assert all(_flat(message) in _flat(item.get("message", "")) for item in root.iter("failure"))
    entry = json.loads(files["report.json"])["verdicts"]["OVF-1"][WHEELS[0].label]
    assert entry["message"] == message
    for name, content in files.items():
        if name.endswith(".md"):
            rows = [line for line in content.decode().splitlines() if line.startswith("|")]
            assert rows
            assert "<script" not in re.sub(r"\\<|`[^`]*`", "", content.decode())


@given(strategies.facts)
def test_surveys_survive_the_file(facts: strategies.WheelFacts) -> None:
    wheel = WHEELS[0]
    known = {wheel.sha256: strategies.WheelFacts(**{**vars(facts), "sha256": wheel.sha256})}
    content = encode_surveys([wheel], known)
    assert decode_surveys(content, "surveys.json") == known
    assert encode_surveys([wheel], decode_surveys(content, "surveys.json")) == content


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("ROCm/mori#311, #315", ["https://github.com/ROCm/mori/issues/311", "https://github.com/ROCm/mori/issues/315"]),
        ("a/b#1; c-d/e.f#22", ["https://github.com/a/b/issues/1", "https://github.com/c-d/e.f/issues/22"]),
        ("see #5 of nothing", []),
        ("https://github.com/ROCm/mori/pull/532", ["https://github.com/ROCm/mori/pull/532"]),
        ("javascript:alert(1)", []),
        ("PEP 427", []),
    ],
)
def test_references_become_links(text: str, links: list[str]) -> None:
    assert [piece.address for piece in pieces(text) if piece.address] == links


@given(texts)
def test_references_lose_no_text(text: str) -> None:
    found = pieces(text)
    if not any(piece.address.endswith(piece.text) or "/pull/" in piece.address for piece in found if piece.address):
        assert "".join(piece.text for piece in found).replace("https://", "") == text.replace("https://", "")


@pytest.mark.parametrize(
    "text", ["javascript:alert(1)", "http://a", 'https://a"b', "https://a b", "data:text/html,x", ""]
)
def test_only_plain_addresses_are_linked(text: str) -> None:
    assert link_target(text) == ""
    assert link_target("https://github.com/ROCm/mori") == "https://github.com/ROCm/mori"
