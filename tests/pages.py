# SPDX-License-Identifier: MIT
"""The commands and snippets of a written page, as a test runs them.

How a page says what a block is:

- An indented or unmarked fenced block whose lines begin with `$ ` or with a command of this project is a list of commands. With
  `$ `, the lines after it are its output; `…` stands for any number of lines.
- A fenced `python` block is a program; after `<!-- file: NAME -->` it is a file of that name instead.
- Fenced `json`, `toml` and `yaml` blocks are data.
- `<!-- exits with N -->` before a block: its commands end with that code.
- `<!-- not run: REASON -->` before a block: it needs a GPU, the network beyond the wheels, or minutes. Tests list them as
  skipped.
- Everything else is output or a diagram.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "Command", "blocks", "commands", "inline_commands", "shows"]

# A whole argument in capitals or an ellipsis stands for something that the reader fills in.
PLACEHOLDER = re.compile(r"(?:^|[\s=@:/])(?:[A-Z][A-Z_]*|…|\.\.\.)(?=$|[\s@/])")
_PROGRAMS = (
    *("moriep ", "python -m conformance", "python -m virtual_rocm", "./nox.sh", "pip install"),
    *("python benchmarks/", "python tests/", "pytest ", "torchrun "),
)


@dataclass(frozen=True)
class Block:
    """One block of a page.

    Attributes:
        line: of its first line, from 1.
        language: of a fenced block, "" for the others.
        text: without fence and indentation.
        remarks: the HTML comments right before it.
    """

    line: int
    language: str
    text: str
    remarks: tuple[str, ...] = ()

    def remark(self, kind: str) -> str | None:
        """What follows `kind` in a remark."""
        return next((item[len(kind) :].strip(" :") for item in self.remarks if item.startswith(kind)), None)


@dataclass(frozen=True)
class Command:
    """A command, its line in the page, and the output shown (None if none is)."""

    line: int
    text: str
    output: tuple[str, ...] | None = None

    @property
    def has_placeholder(self) -> bool:
        return PLACEHOLDER.search(self.text) is not None


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    remarks: list[str] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        start = position
        found = re.fullmatch(r"<!-- (.*) -->", line.strip())
        if found:
            remarks.append(found[1])
            position += 1
        elif line.startswith("```"):
            position += 1
            while position < len(lines) and not lines[position].startswith("```"):
                position += 1
            yield Block(start + 2, line[3:].strip(), "\n".join(lines[start + 1 : position]), tuple(remarks))
            position, remarks = position + 1, []
        elif line.startswith("    ") and (start == 0 or not lines[start - 1].strip()):
            while position < len(lines) and (lines[position].startswith("    ") or not lines[position].strip()):
                position += 1
            text = "\n".join(item[4:] for item in lines[start:position]).rstrip()
            yield Block(start + 1, "", text, tuple(remarks))
            remarks = []
        else:
            if line.strip():
                remarks = []
            position += 1


def commands(block: Block) -> tuple[Command, ...]:
    """The commands of a block, without comments; continued lines are joined."""
    if block.language not in ("", "sh", "console", "bash"):
        return ()
    found: list[Command] = []
    lines = re.sub(r" \\\n\s*", " ", block.text).splitlines()
    shown: list[str] | None = None
    for number, line in enumerate(lines):
        dollar = line.startswith("$ ")
        plain = line[2:] if dollar else line
        if dollar or (shown is None and plain.startswith(_PROGRAMS)):
            shown = [] if dollar else None
            found.append(Command(block.line + number, re.sub(r"\s+#.*", "", plain).strip(), () if dollar else None))
        elif shown is not None:
            shown.append(line)
            found[-1] = Command(found[-1].line, found[-1].text, tuple(shown))
    return tuple(found)


def inline_commands(page: Path) -> Iterator[Command]:
    """`moriep …` inside a sentence or a table."""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("    "):
            for text in re.findall(r"`(moriep [a-z][^`]*)`", line):
                yield Command(number, text)


def shows(output: str, expected: tuple[str, ...]) -> str | None:
    """The first shown line that the output lacks, in order and with nothing between; None if all are there.

    `…` stands for anything, in a line and as a line. How the terminal broke and filled lines does not matter.
    """
    text = " ".join(output.split())
    pattern = ""
    for line in expected:
        words = " ".join(line.split())
        if not words:
            continue
        parts = ".*?".join(re.escape(part.strip()) + (r"\s*" if part.strip() else "") for part in words.split("…"))
        pattern += (r"\s*" if pattern else "") + parts
        if re.search(pattern, text) is None:
            return line
    return None
