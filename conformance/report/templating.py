# SPDX-License-Identifier: MIT
"""The template environment: package files, nothing undefined, and text that can only ever be text."""

from __future__ import annotations

import re
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from conformance.report.references import link_target, pieces
from conformance.report.wording import (
    VERDICTS,
    WEIGHTS,
    markdown_code,
    markdown_text,
    page_name,
    printable,
    short_sha256,
)
from conformance.traits import Weight

__all__ = ["environment"]

_CODE = re.compile(r"`([^`]+)`")


def _html_prose(text: str) -> Markup:
    """A sentence of the catalogue: `code` between backticks, the rest as it is."""
    parts = _CODE.split(printable(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )


def _markdown_prose(text: str) -> str:
    parts = _CODE.split(text)
    shown = []
    for index, part in enumerate(parts):
        if index % 2:
            shown.append(markdown_code(part))
            continue
        # markdown_text strips, but blanks beside a code span separate words.
        core = markdown_text(part)
        shown.append((" " if part[:1].isspace() else "") + core + (" " if core and part[-1:].isspace() else ""))
    return "".join(shown).strip()


def _html_references(text: str) -> Markup:
    return Markup("").join(
        Markup('<a href="{}">{}</a>').format(piece.address, piece.text)
        if piece.address
        else escape(printable(piece.text))
        for piece in pieces(text)
    )


def _markdown_references(text: str) -> str:
    shown = []
    for piece in pieces(text):
        if piece.address:
            shown.append(f"[{markdown_text(piece.text)}]({piece.address})")
        else:
            plain = markdown_text(piece.text)
            shown.append(
                (" " if piece.text[:1].isspace() else "") + plain + (" " if plain and piece.text[-1:].isspace() else "")
            )
    return "".join(shown).strip()


@lru_cache(maxsize=1)
def environment() -> Environment:
    """One environment for all pages. HTML is escaped unless marked; Markdown goes through `md` and `code`."""
    made = Environment(
        loader=PackageLoader("conformance.report", "templates"),
        autoescape=lambda name: bool(name) and ".html" in str(name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    made.globals.update(VERDICTS=VERDICTS, WEIGHTS=WEIGHTS, Weight=Weight)
    made.filters.update(
        md=markdown_text,
        code=markdown_code,
        page_name=page_name,
        short=short_sha256,
        prose=_html_prose,
        md_prose=_markdown_prose,
        references=_html_references,
        md_references=_markdown_references,
        link_target=link_target,
    )
    return made
