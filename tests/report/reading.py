# SPDX-License-Identifier: MIT
"""Readers of generated pages, so that tests look at what a reader sees and not at strings."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from markdown_it import MarkdownIt

__all__ = ["Page", "markdown_anchors", "markdown_links", "markdown_plain", "read_page"]

_VOID = frozenset({"meta", "link", "input", "br", "hr", "img"})


@dataclass
class Page(HTMLParser):
    """An HTML page: elements with attributes, text outside of scripts and styles, and faults in its structure."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""
    faults: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.faults.append(f"<{tag}> has an attribute twice: {names}")
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self._open[-1:] or 'nothing'}")
            return
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self._open[-1:] != ["style"]:
            self.text += data

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


def read_page(content: bytes) -> Page:
    page = Page()
    page.feed(content.decode())
    page.close()
    page.faults += [f"<{tag}> is never closed" for tag in page._open]
    return page


def _tokens(text: str) -> list[Any]:
    return MarkdownIt("commonmark").enable("table").enable("strikethrough").parse(text)


def markdown_plain(text: str) -> str:
    """What a reader of Markdown sees: text and code, without any markup."""
    children = [child for token in _tokens(text) for child in token.children or ()]
    shown = ("text", "code_inline")
    return "".join(child.content if child.type in shown else f"<{child.type}>" for child in children)


def markdown_links(text: str) -> list[str]:
    return [
        str(child.attrGet("href"))
        for token in _tokens(text)
        for child in token.children or ()
        if child.type == "link_open"
    ]


def markdown_anchors(text: str) -> set[str]:
    """Anchors of headings, as the usual hosts make them."""
    tokens = _tokens(text)
    titles = [tokens[index + 1].content for index, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.replace("\\", "").lower()).replace(" ", "-") for title in titles}
