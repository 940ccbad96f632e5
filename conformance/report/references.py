# SPDX-License-Identifier: MIT
"""Turns the references of the catalogue (`ROCm/mori#245, #315`) and plain addresses into links."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Piece", "link_target", "pieces"]

_REFERENCE = re.compile(r"(?P<address>https://[^\s;,]+)|(?:(?P<repository>[\w.-]+/[\w.-]+))?#(?P<number>\d+)\b")
_GITHUB = "https://github.com/"


@dataclass(frozen=True)
class Piece:
    """A stretch of text, with an address if it is a link."""

    text: str
    address: str = ""


def pieces(text: str) -> tuple[Piece, ...]:
    """The text cut into links and what is between. `#315` belongs to the repository that was named last."""
    found: list[Piece] = []
    position, repository = 0, ""
    for match in _REFERENCE.finditer(text):
        repository = match["repository"] or repository
        address = match["address"] or (f"{_GITHUB}{repository}/issues/{match['number']}" if repository else "")
        if match.start() > position:
            found.append(Piece(text[position : match.start()]))
        shown = match.group()
        if match["address"]:
            shown = re.sub(r"^https://github\.com/([\w.-]+/[\w.-]+)/(?:pull|issues)/(\d+)$", r"\1#\2", shown)
            shown = shown.removeprefix("https://")
        found.append(Piece(shown, address))
        position = match.end()
    if position < len(text):
        found.append(Piece(text[position:]))
    return tuple(found)


def link_target(text: str) -> str:
    """The text if it is an address that a page may link to, else nothing: never `javascript:`."""
    return text if re.fullmatch(r"https://[^\s\"'<>]+", text) else ""
