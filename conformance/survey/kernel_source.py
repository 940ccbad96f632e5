# SPDX-License-Identifier: MIT
"""Reads the C++ and HIP sources that a wheel carries for its just-in-time compiler.

The sources are parsed by tree-sitter, whose grammar recovers from HIP's attributes and from macros, so that a finding
belongs to a function and not to a line that happens to look like one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache

import tree_sitter
import tree_sitter_cpp

from conformance.survey.facts import Capacity, Guard
from conformance.survey.pieces import KernelSource, SourceFunction

__all__ = ["parse_enumerators", "parse_kernel_source", "strip_comments"]

# What bounds a receive buffer in every release: the accessor of the configuration that the assertion tests against.
_CAPACITY_ACCESSOR = "MaxNumTokensToRecv"
# Bodies for gfx125x, which no gfx9 device runs: half of all source text, compared as a whole and not function by function.
_OTHER_ARCHITECTURE = re.compile(r"_1250x\.")
_CAPACITY_FUNCTION = re.compile(r"^MaxNumTokens")
_ENVIRONMENT = re.compile(r'"(MORI_[A-Z0-9_]+)"')
_WORD = re.compile(r"[A-Za-z_]\w*")
_COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\])*")', re.DOTALL)


_QUERY = """
(function_definition) @function
((call_expression function: (identifier) @callee) @call (#eq? @callee "assert"))
"""


@lru_cache(maxsize=1)
def _grammar() -> tuple[tree_sitter.Parser, tree_sitter.Query]:
    language = tree_sitter.Language(tree_sitter_cpp.language())
    return tree_sitter.Parser(language), tree_sitter.Query(language, _QUERY)


def _in_order(nodes: list[tree_sitter.Node] | None) -> list[tree_sitter.Node]:
    return sorted(nodes or (), key=lambda item: item.start_byte)


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


@lru_cache(maxsize=4096)  # from one release to the next most functions stay as they were
def strip_comments(code: str) -> str:
    """The code without comments, all whitespace collapsed to single blanks. String literals stay as they are."""
    without = _COMMENT_OR_STRING.sub(lambda match: match.group(1) or " ", code)
    return " ".join(without.split())


def _function_name(node: tree_sitter.Node) -> str | None:
    declarator = node.child_by_field_name("declarator")
    while declarator is not None:
        if declarator.type in ("identifier", "field_identifier", "qualified_identifier", "operator_name"):
            return _text(declarator)
        declarator = declarator.child_by_field_name("declarator") or next(
            (child for child in declarator.named_children if child.type.endswith("declarator")), None
        )
    return None


def _enclosing_function(node: tree_sitter.Node) -> tree_sitter.Node | None:
    parent = node.parent
    while parent is not None and parent.type != "function_definition":
        parent = parent.parent
    return parent


def _assertion(call: tree_sitter.Node) -> tuple[str, str]:
    """Condition and message of `assert(condition && "message")`."""
    arguments = call.child_by_field_name("arguments")
    text = strip_comments(_text(arguments) if arguments is not None else "")
    text = text[1:-1].strip() if text.startswith("(") else text
    match = re.fullmatch(r'(.*?)\s*&&\s*((?:"(?:\\.|[^"\\])*"\s*)+)', text, re.DOTALL)
    if match is None:
        return text, ""
    message = "".join(re.findall(r'"((?:\\.|[^"\\])*)"', match.group(2)))
    return match.group(1), message


@lru_cache(maxsize=4096)
def _source_function(name: str, code: str) -> SourceFunction:
    return SourceFunction(name, hashlib.sha256(code.encode()).hexdigest()[:16], frozenset(_WORD.findall(code)))


def _functions(nodes: list[tree_sitter.Node]) -> Iterator[tuple[SourceFunction, tree_sitter.Node]]:
    for node in nodes:
        name = _function_name(node)
        if name is None:
            continue
        yield _source_function(name.rsplit("::", 1)[-1], strip_comments(_text(node))), node


def parse_enumerators(code: str) -> dict[str, dict[str, int]]:
    """Members of every `enum` with a name, numbered by C++'s rule where no value is given."""
    found: dict[str, dict[str, int]] = {}
    for match in re.finditer(r"\benum\s+(?:class\s+|struct\s+)?(\w+)\s*(?::[^{]*)?\{([^}]*)\}", code):
        members: dict[str, int] = {}
        upcoming = 0
        for item in strip_comments(match.group(2)).split(","):
            name, _, value = (part.strip() for part in item.partition("="))
            if not name:
                continue
            try:
                upcoming = int(value, 0) if value else upcoming
            except ValueError:
                break  # an expression; nothing that MORI's enumerations use, and a guess would be worse than a gap
            members[name] = upcoming
            upcoming += 1
        found[match.group(1)] = members
    return found


def parse_kernel_source(file: str, data: bytes) -> KernelSource:
    """Parse one source file. `file` is the path that findings carry."""
    code = data.decode("utf-8", "replace")
    if _OTHER_ARCHITECTURE.search(file):
        digest = hashlib.sha256(strip_comments(code).encode()).hexdigest()[:16]
        return KernelSource(file, (), 0, (SourceFunction("(whole file)", digest, frozenset()),), (), {}, ())
    parser, query = _grammar()
    found = tree_sitter.QueryCursor(query).captures(parser.parse(data).root_node)
    functions: list[SourceFunction] = []
    capacity: list[Capacity] = []
    for function, node in _functions(_in_order(found.get("function"))):
        functions.append(function)
        body = node.child_by_field_name("body")
        if _CAPACITY_FUNCTION.match(function.name) and body is not None:
            capacity.append(Capacity(function.name, strip_comments(_text(body))))
    guards: list[Guard] = []
    other_asserts = 0
    for call in _in_order(found.get("call")):
        condition, message = _assertion(call)
        if _CAPACITY_ACCESSOR not in condition:
            other_asserts += 1
            continue
        holder = _enclosing_function(call)
        name = (_function_name(holder) if holder is not None else None) or "?"
        guards.append(
            Guard(file, name.rsplit("::", 1)[-1], call.start_point[0] + 1, condition, message, kernel_types=())
        )
    return KernelSource(
        file=file,
        guards=tuple(guards),
        device_asserts=other_asserts,
        functions=tuple(functions),
        capacity=tuple(capacity),
        enumerators=parse_enumerators(code) if "enum" in code else {},
        variables=tuple(sorted(set(_ENVIRONMENT.findall(code)))),
    )
