# SPDX-License-Identifier: MIT
"""The reference of what frameworks import: docs/api, one page for each public module of `moriep`, from its docstrings.

    python -m conformance.api_pages            # write docs/api anew
    python -m conformance.api_pages --check    # write nothing; exit with 1 if a page drifted

The source is read, not imported, so the pages do not depend on what is installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import griffe

__all__ = ["api_pages", "main"]

ROOT = Path(__file__).resolve().parent.parent
_FOLDER = ROOT / "docs" / "api"
_NOTE = "Generated from the docstrings by `python -m conformance.api_pages`; do not edit."


def api_pages(root: Path = ROOT) -> dict[str, str]:
    """File name → text of every page."""
    package = griffe.load("moriep", search_paths=[root], allow_inspection=False)
    assert isinstance(package, griffe.Module)
    modules = sorted(_modules(package), key=lambda module: module.path)
    pages = {f"{module.path}.md": _page(module) for module in modules if _exports(module)}
    lines = ["# The API of `moriep`", "", _NOTE, "", "| module | what it is for |", "| --- | --- |"]
    shown = (module for module in modules if f"{module.path}.md" in pages)
    lines += (f"| [{module.path}]({module.path}.md) | {_summary(module)} |" for module in shown)
    pages["README.md"] = "\n".join(lines) + "\n"
    return pages


def _modules(package: griffe.Module) -> Iterator[griffe.Module]:
    yield package
    for module in package.modules.values():
        if not module.is_alias and not module.name.startswith("_"):
            yield from _modules(module)


def _exports(module: griffe.Module) -> list[str]:
    return [str(name) for name in module.exports or ()]


def _summary(item: griffe.Object | griffe.Alias) -> str:
    """The first sentence or paragraph of a docstring, on one line."""
    text = item.docstring.value if item.docstring else ""
    return " ".join(text.split("\n\n")[0].split())


def _page(module: griffe.Module) -> str:
    lines = [f"# `{module.path}`", "", _NOTE, "", *_docstring(module), ""]
    for name in sorted(_exports(module)):
        member = module.members.get(name)
        if member is None:
            continue
        if member.is_alias:
            target = member.target_path if isinstance(member, griffe.Alias) else ""
            lines += [f"## `{name}`", "", f"[`{target}`]({target.rpartition('.')[0]}.md)", ""]
        elif isinstance(member, griffe.Class):
            lines += _class(member)
        elif isinstance(member, griffe.Function):
            lines += [f"## `{name}`", "", *_signature(member), *_docstring(member), ""]
        elif isinstance(member, griffe.Attribute):
            lines += [f"## `{name}`", "", *_attribute(member), *_docstring(member), ""]
    return "\n".join(lines).rstrip() + "\n"


def _class(item: griffe.Class) -> list[str]:
    bases = ", ".join(str(base) for base in item.bases)
    lines = [
        f"## `{item.name}`",
        "",
        *_fenced(f"class {item.name}{f'({bases})' if bases else ''}"),
        *_docstring(item),
        "",
    ]
    fields = [
        member
        for member in item.members.values()
        if isinstance(member, griffe.Attribute) and not member.name.startswith("_") and "property" not in member.labels
    ]
    if fields:
        declared = "\n".join(f"{field.name}{_annotated(field)}" for field in fields)
        lines += [*_fenced(declared)]
    for member in item.members.values():
        if member.name.startswith("_") and member.name != "__init__":
            continue
        if isinstance(member, griffe.Function) and member.docstring:
            lines += [f"### `{item.name}.{member.name}`", "", *_signature(member), *_docstring(member), ""]
        elif isinstance(member, griffe.Attribute) and "property" in member.labels:
            lines += [f"### `{item.name}.{member.name}`", "", *_fenced(f"{member.name}: {member.annotation}")]
            lines += [*_docstring(member), ""]
    return lines


def _annotated(item: griffe.Attribute) -> str:
    annotation = f": {item.annotation}" if item.annotation is not None else ""
    return annotation + (f" = {item.value}" if item.value is not None else "")


def _attribute(item: griffe.Attribute) -> list[str]:
    text = f"{item.name}{_annotated(item)}"
    # A table of data is not read here; its type says what it is.
    return _fenced(text if len(text) < 120 else f"{item.name}: {item.annotation}")


def _signature(item: griffe.Function) -> list[str]:
    parameters, kind = [], None
    for parameter in item.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and kind is not parameter.kind:
            parameters.append("*")
        kind = parameter.kind
        sign = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(
            parameter.kind, ""
        )
        text = sign + parameter.name
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and not sign:
            text += f" = {parameter.default}"
        parameters.append(text)
    returns = f" -> {item.returns}" if item.returns is not None else ""
    one_line = f"def {item.name}({', '.join(parameters)}){returns}"
    if len(one_line) <= 100:
        return _fenced(one_line)
    return _fenced(f"def {item.name}(\n" + "".join(f"    {text},\n" for text in parameters) + f"){returns}")


def _fenced(text: str) -> list[str]:
    return ["```text", text, "```", ""]


def _docstring(item: griffe.Object) -> list[str]:
    """A docstring as Markdown: its sections become bold words, what is indented under them a list."""
    if item.docstring is None:
        return []
    lines: list[str] = []
    section = False
    for line in item.docstring.value.splitlines():
        if line in ("Args:", "Attributes:", "Returns:", "Raises:"):
            lines += ["", f"**{line[:-1]}**", ""]
            section = True
        elif section and line.startswith("    ") and not line.startswith("     "):
            lines.append(f"- {line.strip()}")
        elif section and line.startswith("     "):
            lines.append(f"  {line.strip()}")
        else:
            section = section and not line.strip()
            lines.append(line)
    return [line for number, line in enumerate(lines) if line or (number and lines[number - 1])]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or compare the pages. Returns 1 if `--check` finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m conformance.api_pages", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page drifted")
    check = parser.parse_args(arguments).check
    pages = api_pages()
    old = {file.name: file.read_text(encoding="utf-8") for file in sorted(_FOLDER.glob("*.md"))}
    drifted = sorted(name for name in {*pages, *old} if pages.get(name) != old.get(name))
    if check:
        print("\n".join(f"docs/api/{name} drifted" for name in drifted), end="\n" if drifted else "")
        return 1 if drifted else 0
    _FOLDER.mkdir(parents=True, exist_ok=True)
    for name in old.keys() - pages.keys():
        (_FOLDER / name).unlink()
    for name, text in pages.items():
        (_FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
