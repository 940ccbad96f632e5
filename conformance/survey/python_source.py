# SPDX-License-Identifier: MIT
"""Reads the Python of a wheel: signatures by griffe, the rest from the syntax tree. Nothing is imported or executed."""

from __future__ import annotations

import ast
import hashlib
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

import griffe

from conformance.errors import WheelError
from conformance.survey.pieces import OpsModule
from moriep.surface import ClassSurface, Field, Method, Parameter, ParameterKind

__all__ = ["environment_variables", "exported_names", "parse_ops_module", "string_constants"]

_ENVIRONMENT = re.compile(r"""(MORI_[A-Z0-9_]+)["']""")  # begins with plain text, which `re` finds ten times as fast
_COMMENT_OR_STRING = re.compile(
    r"""#[^\n]*|(\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""", re.DOTALL
)
_CONFIG = "EpDispatchCombineConfig"
_OP = "EpDispatchCombineOp"
_PARAMETER_KINDS: dict[griffe.ParameterKind, ParameterKind] = {
    griffe.ParameterKind.positional_only: "positional_only",
    griffe.ParameterKind.positional_or_keyword: "positional_or_keyword",
    griffe.ParameterKind.var_positional: "var_positional",
    griffe.ParameterKind.keyword_only: "keyword_only",
    griffe.ParameterKind.var_keyword: "var_keyword",
}


def environment_variables(code: str) -> set[str]:
    """MORI_* names that occur as string literals: every way of reading the environment needs one."""
    found = _ENVIRONMENT.finditer(code) if "MORI_" in code else ()
    return {match.group(1) for match in found if code[match.start() - 1 : match.start()] in ('"', "'")}


def _parse(path: str, code: str) -> ast.Module:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError) as error:
        raise WheelError(f"{path}: not valid Python: {error}") from error


def string_constants(path: str, code: str) -> dict[str, str]:
    """Module-level `NAME = "text"` assignments."""
    return {
        target.id: node.value.value
        for node in _parse(path, code).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }


def exported_names(path: str, code: str) -> tuple[str, ...]:
    """Public names of a package's `__init__`: what it imports, what it defines, and its lazy submodules."""
    names: set[str] = set()
    for node in _parse(path, code).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            lazy = any(isinstance(target, ast.Name) and target.id == "_LAZY_SUBMODULES" for target in node.targets)
            if lazy and isinstance(node.value, (ast.Set, ast.List, ast.Tuple)):
                names.update(text for item in node.value.elts if (text := _text(item)) is not None)
    return tuple(sorted(name for name in names if not name.startswith("_")))


def _text(node: ast.expr) -> str | None:
    """The value of a string literal, None for any other expression."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@dataclass(frozen=True)
class _MethodFacts:
    """One walk over a method: what it raises itself, and which private helpers of its class it uses."""

    raised: tuple[str, ...]
    helpers: tuple[str, ...]


def _methods(owner: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in owner.body if isinstance(node, ast.FunctionDef)}


def _raise_statements(method: ast.FunctionDef) -> Iterator[ast.Raise]:
    """Level by level, as `ast.walk` goes, but without the expressions, which are nine nodes in ten and raise nothing."""
    pending: deque[ast.AST] = deque([method])
    while pending:
        node = pending.popleft()
        if isinstance(node, ast.Raise):
            yield node
        for part in ("body", "handlers", "orelse", "finalbody", "cases"):
            pending.extend(getattr(node, part, ()))


def _method_facts(lines: list[str], owner: ast.ClassDef, method: ast.FunctionDef) -> _MethodFacts:
    text = "\n".join(lines[method.lineno - 1 : method.end_lineno])
    helpers = re.findall(rf"\b(?:self|cls|{owner.name})\.(_\w+)", text) if "._" in text else []
    raised = (
        [ast.unparse(node.exc) for node in _raise_statements(method) if node.exc is not None]
        if "raise " in text
        else []
    )
    return _MethodFacts(tuple(dict.fromkeys(raised)), tuple(dict.fromkeys(helpers)))


def _raised(facts: dict[str, _MethodFacts], name: str) -> tuple[str, ...]:
    """What a method raises, private helpers of its own class included: a caller meets those just the same."""
    found: dict[str, None] = {}
    pending, seen = [name], {name, "__init__"}
    while pending:
        current = facts[pending.pop(0)]
        found.update(dict.fromkeys(current.raised))
        for helper in current.helpers:
            if helper in facts and helper not in seen:
                seen.add(helper)
                pending.append(helper)
    return tuple(found)


def _first_code_line(node: ast.FunctionDef) -> int:
    """The line where the code behind signature and docstring begins."""
    body = node.body
    if isinstance(body[0], ast.Expr) and _text(body[0].value) is not None:
        return (body[0].end_lineno or body[0].lineno) + 1
    return body[0].lineno


def _digest(lines: list[str], node: ast.FunctionDef) -> str:
    """Covers signature and code, not comments, docstring or layout."""
    signature = "\n".join(lines[node.lineno - 1 : node.body[0].lineno - 1])
    code = "\n".join(lines[_first_code_line(node) - 1 : node.end_lineno])
    return _text_digest(signature + "\n" + code)


@lru_cache(maxsize=4096)  # from one release to the next most methods stay as they were
def _text_digest(code: str) -> str:
    text = _COMMENT_OR_STRING.sub(lambda match: match.group(1) or " ", code)
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:16]


def _skeleton(lines: list[str], classes: Iterable[ast.ClassDef]) -> str:
    """The classes with their methods' bodies left out: griffe reads signatures, and need not read the rest."""
    kept: list[str] = []
    for owner in classes:
        kept += lines[_start(owner) - 1 : owner.body[0].lineno - 1]
        for node in owner.body:
            if isinstance(node, ast.FunctionDef):
                kept += lines[_start(node) - 1 : node.body[0].lineno - 1]
                if node.body[0].lineno == node.lineno:
                    kept.append(lines[node.lineno - 1])
                else:
                    kept.append(" " * node.body[0].col_offset + "...")
            elif isinstance(node, ast.AnnAssign):
                kept += lines[node.lineno - 1 : node.end_lineno]
        kept.append(" " * owner.body[0].col_offset + "...")
    return "\n".join(kept) + "\n"


def _start(node: ast.ClassDef | ast.FunctionDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _returned(node: ast.FunctionDef) -> tuple[str, ...]:
    """Every returned expression in order, each with the condition that leads to it: `(64, 8) if self._wide()`."""
    found: list[str] = []

    def visit(statements: list[ast.stmt], condition: str) -> None:
        for item in statements:
            if isinstance(item, ast.Return) and item.value is not None:
                found.append(ast.unparse(item.value) + (f" if {condition}" if condition else ""))
            elif isinstance(item, ast.If):
                test = ast.unparse(item.test)
                visit(item.body, f"{condition} and {test}" if condition else test)
                visit(item.orelse, f"{condition} and not ({test})" if condition else f"not ({test})")
            elif isinstance(item, (ast.With, ast.For, ast.While, ast.Try)):
                visit(item.body, condition)

    visit(node.body, "")
    return tuple(found)


def _default(value: object) -> str | None:
    return None if value is None else str(value)


def _parameters(function: griffe.Function) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(
            name=parameter.name,
            kind=_PARAMETER_KINDS[parameter.kind or griffe.ParameterKind.positional_or_keyword],
            annotation=_default(parameter.annotation),
            # griffe gives variadic parameters an empty default of their own; a caller cannot omit-or-pass those.
            default=None
            if parameter.kind in (griffe.ParameterKind.var_positional, griffe.ParameterKind.var_keyword)
            else _default(parameter.default),
        )
        for parameter in function.parameters
        if parameter.name not in ("self", "cls")
    )


def _class_surface(
    module: griffe.Module, tree: dict[str, ast.ClassDef], lines: list[str], name: str
) -> ClassSurface | None:
    if name not in module.members or name not in tree:
        return None
    owner = module.members[name]
    if not isinstance(owner, griffe.Class):
        return None
    annotated = [
        node.target.id
        for node in tree[name].body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    fields = tuple(
        Field(member.name, str(member.annotation), _default(member.value))
        for member in (owner.members[field] for field in annotated)
        if isinstance(member, griffe.Attribute)
    )
    facts = {method.name: _method_facts(lines, tree[name], method) for method in _methods(tree[name]).values()}
    methods = tuple(
        Method(member.name, _parameters(member), _raised(facts, member.name))
        for member in owner.members.values()
        if isinstance(member, griffe.Function) and (not member.name.startswith("_") or member.name == "__init__")
    )
    return ClassSurface(name, fields if _is_dataclass(tree[name]) else (), methods)


def _is_dataclass(owner: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in owner.decorator_list)


def _quant_types(tree: ast.Module) -> tuple[str, ...]:
    """Keys of the release's own table from `quant_type` strings to its enumeration."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            for target in node.targets:
                if isinstance(target, ast.Name) and re.search(r"quant_?type", target.id, re.IGNORECASE):
                    keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
                    if keys and all(isinstance(key, str) for key in keys):
                        return tuple(str(key) for key in keys)
    return ()


def parse_ops_module(path: str, code: str) -> OpsModule:
    """Read one ops module.

    Raises:
        WheelError: the file is not valid Python.
    """
    tree = _parse(path, code)
    lines = code.splitlines()
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in (_CONFIG, _OP)}
    module = griffe.visit(
        PurePosixPath(path).stem,
        filepath=PurePosixPath(path),  # type: ignore[arg-type]  # only used to name the module
        code=_skeleton(lines, classes.values()),
    )
    methods = _methods(classes[_OP]) if _OP in classes else {}
    return OpsModule(
        config=_class_surface(module, classes, lines, _CONFIG),
        op=_class_surface(module, classes, lines, _OP),
        quant_types=_quant_types(tree),
        launch_defaults={
            name: _returned(node) for name, node in sorted(methods.items()) if name.endswith("_default_launch")
        },
        method_digests={name: _digest(lines, node) for name, node in sorted(methods.items())},
    )
