# SPDX-License-Identifier: MIT
"""Finds calls of MORI-EP in Python source, without running or importing it.

Followed: imports under any name, aliases, names assigned once to a literal, keyword dictionaries (`dict(...)`, `{...}`,
`d[k] = v`, `d.update(...)`) passed as `**d`, ops kept in variables, attributes of `self`, annotated parameters, and functions of
the same file that return one. Not followed: values that come from other files or from the environment; they count as unknown,
not as wrong.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from conformance.callsites.calls import CONFIG, OP, UNKNOWN, Call, Value
from conformance.errors import SelectionError

__all__ = ["scan_files", "scan_source"]

# Position of the received indices among what dispatch returns.
_RECEIVED_INDICES = 3
_DISPATCHES = ("dispatch", "dispatch_send")
_PRUNING = "check_mori_compatibility"
# Names that say nothing on a value that is not known to be an op.
_ENUMS = ("EpDispatchCombineKernelType", "EpDispatchCombineQuantType")
_SAME_TENSOR = ("contiguous", "to", "view", "reshape", "detach", "clone", "cuda", "flatten")


@dataclass
class _Arguments:
    """A dictionary of keyword arguments under construction."""

    items: dict[str, Value] = field(default_factory=dict)
    open_ended: bool = False
    pruned: bool = False


@dataclass(frozen=True)
class _Marker:
    """What a name means besides a plain value: an op, a class of mori, or what a dispatch returned."""

    kind: str
    name: str = ""


_Meaning = Value | _Arguments | _Marker
_AN_OP = _Marker("op")
_A_RESULT = _Marker("result")


def scan_source(text: str, file: str) -> tuple[Call, ...]:
    """The calls in one source text, in order of lines.

    Raises:
        SelectionError: it is not Python; names file and line.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise SelectionError(f"{file}{f':{line}' if line else ''}: not Python source: {error}") from error
    scanner = _Scanner(file)
    # Twice: what a later method keeps in `self`, or a later function returns, is known the second time.
    scanner.read(tree)
    scanner.calls.clear()
    scanner.read(tree)
    return tuple(sorted(scanner.calls, key=lambda call: (call.line, call.column)))


def scan_files(paths: Iterable[Path]) -> tuple[int, tuple[Call, ...]]:
    """How many files were read (folders are searched for .py), and the calls in them.

    Raises:
        SelectionError: a path that does not exist or is not Python source.
    """
    calls: list[Call] = []
    number = 0
    for path in dict.fromkeys(file for item in paths for file in _python_files(item)):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SelectionError(f"{path}: cannot be read: {error}") from error
        number += 1
        calls += scan_source(text, str(path))
    return number, tuple(calls)


def _python_files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(path.rglob("*.py"))
    else:
        yield path


class _Scanner:
    def __init__(self, file: str) -> None:
        self.file = file
        self.calls: list[Call] = []
        self.module: dict[str, _Meaning] = {}
        self.classes: dict[str, dict[str, _Meaning]] = {}
        self.factories: set[str] = set()
        self.scopes: list[dict[str, _Meaning]] = []
        self.changing: list[set[str]] = []
        self.functions: list[str] = []

    def read(self, tree: ast.Module) -> None:
        self.scopes, self.changing = [self.module], [_changing_names(tree.body)]
        self.block(tree.body)

    # Names

    def look_up(self, name: str) -> _Meaning | None:
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)

    def bind(self, target: ast.expr, meaning: _Meaning | None) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for position, item in enumerate(target.elts):
                received = meaning == _A_RESULT and position == _RECEIVED_INDICES
                self.bind(item, Value(ast.unparse(item), received=True) if received else self.part(meaning, position))
            return
        name = _dotted(target)
        if name is None:
            if isinstance(target, ast.Subscript):
                self.store(target, meaning)
            return
        scope = self.scopes[-1]
        if name.startswith("self.") and len(self.scopes) > 1:
            scope = self.scopes[1]
        if isinstance(meaning, Value) and meaning.known and name in self.changing[-1]:
            meaning = replace(meaning, known=False)
        if meaning is not None:
            scope[name] = meaning
        elif isinstance(scope.get(name), (Value, _Arguments)):
            scope[name] = Value(name)

    def part(self, meaning: _Meaning | None, position: int) -> _Meaning | None:
        # Of a tuple that torch.topk returned, the second is the indices, in 64 bits.
        return Value("?", int64=True) if meaning == _Marker("topk") and position == 1 else None

    def store(self, target: ast.Subscript, meaning: _Meaning | None) -> None:
        """`d["name"] = value`."""
        owner = self.meaning(target.value)
        if not isinstance(owner, _Arguments):
            return
        if isinstance(target.slice, ast.Constant) and isinstance(target.slice.value, str):
            owner.items[target.slice.value] = meaning if isinstance(meaning, Value) else UNKNOWN
        else:
            owner.open_ended = True

    # Statements

    def block(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self.imports(node)
        elif isinstance(node, ast.ClassDef):
            self.enter(node.body, self.classes.setdefault(node.name, {}))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.function(node)
        elif isinstance(node, ast.Assign):
            meaning = self.meaning(node.value)
            for target in node.targets:
                self.bind(target, meaning)
        elif isinstance(node, ast.AnnAssign):
            found = self.meaning(node.value) if node.value else None
            self.bind(node.target, _AN_OP if _names_op(node.annotation) else found)
        elif isinstance(node, ast.Return) and node.value is not None:
            if self.meaning(node.value) == _AN_OP and self.functions:
                self.factories.add(self.functions[-1])
        else:
            for child in ast.iter_child_nodes(node):
                self.node(child)

    def node(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            self.statement(node)
        elif isinstance(node, ast.expr):
            self.meaning(node)
        else:
            for child in ast.iter_child_nodes(node):
                self.node(child)

    def enter(self, body: list[ast.stmt], scope: dict[str, _Meaning]) -> None:
        self.scopes.append(scope)
        self.changing.append(_changing_names(body))
        self.block(body)
        self.scopes.pop()
        self.changing.pop()

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        scope: dict[str, _Meaning] = {}
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for item in every:
            # A parameter hides what the name means outside.
            scope[item.arg] = _AN_OP if item.annotation and _names_op(item.annotation) else Value(item.arg)
        scope.pop("self", None)
        if node.args.kwarg is not None:
            scope[node.args.kwarg.arg] = _Arguments(open_ended=True)
        if node.returns is not None and _names_op(node.returns):
            self.factories.add(node.name)
        self.functions = [*self.functions, node.name]
        for default in [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.decorator_list]:
            self.meaning(default)
        self.enter(node.body, scope)
        self.functions = self.functions[:-1]

    def imports(self, node: ast.Import | ast.ImportFrom) -> None:
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        for item in node.names:
            if isinstance(node, ast.ImportFrom):
                full, name = f"{module}.{item.name}", item.asname or item.name
            else:
                full, name = (item.name, item.asname) if item.asname else (item.name.partition(".")[0],) * 2
            self.scopes[-1][name or full] = _Marker("import", full)

    # Expressions

    def meaning(self, node: ast.expr) -> _Meaning:
        """What an expression means; records every call inside it on the way."""
        if isinstance(node, ast.Await):
            return self.meaning(node.value)
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.Dict):
            return self.dictionary(node)
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self.reference(node)
        if isinstance(node, ast.Subscript):
            owner = self.meaning(node.value)
            self.meaning(node.slice)
            index = node.slice.value if isinstance(node.slice, ast.Constant) else None
            if owner == _A_RESULT and index == _RECEIVED_INDICES:
                return Value(ast.unparse(node), received=True)
            if owner == _Marker("topk") and index == 1:
                return Value(ast.unparse(node), int64=True)
            if isinstance(owner, Value) and isinstance(node.slice, ast.Slice):
                return replace(owner, text=ast.unparse(node), known=False)
            return Value(ast.unparse(node))
        if isinstance(node, ast.NamedExpr):
            found = self.meaning(node.value)
            self.bind(node.target, found)
            return found
        if isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            for child in ast.iter_child_nodes(node):
                self.node(child)
            return Value(ast.unparse(node))
        for child in ast.iter_child_nodes(node):
            self.node(child)
        try:
            return Value(ast.unparse(node), True, ast.literal_eval(node))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return Value(ast.unparse(node))

    def reference(self, node: ast.Name | ast.Attribute) -> _Meaning:
        name = _dotted(node)
        if name is None:
            if isinstance(node, ast.Attribute):
                self.meaning(node.value)
            return Value(ast.unparse(node))
        full = self.full_name(name)
        last = full.rpartition(".")[2]
        parent = full.rpartition(".")[0].rpartition(".")[2]
        if last in (CONFIG, OP):
            return _Marker("v2" if "dispatch_combine_v2" in full else "class", last)
        if parent in _ENUMS or full.startswith("torch."):
            return Value(name, True, last)
        found = self.look_up(name)
        if found is None or (isinstance(found, _Marker) and found.kind == "import"):
            return Value(name)
        return replace(found, text=name) if isinstance(found, Value) else found

    def full_name(self, name: str) -> str:
        """A dotted name with its first part as it was imported or assigned."""
        head, dot, rest = name.partition(".")
        found = self.look_up(head)
        if isinstance(found, _Marker) and found.kind == "import":
            return found.name + dot + rest
        if isinstance(found, _Marker) and found.kind in ("class", "v2") and not rest:
            return f"dispatch_combine_v2.{found.name}" if found.kind == "v2" else found.name
        return name

    def dictionary(self, node: ast.Dict) -> _Meaning:
        result = _Arguments()
        for key, item in zip(node.keys, node.values, strict=True):
            meaning = self.meaning(item)
            if key is None:
                self.merge(result, meaning)
            elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                result.items[key.value] = meaning if isinstance(meaning, Value) else UNKNOWN
            else:
                result.open_ended = True
        return result

    def merge(self, into: _Arguments, meaning: _Meaning | None) -> None:
        if isinstance(meaning, _Arguments):
            into.items.update(meaning.items)
            into.open_ended = into.open_ended or meaning.open_ended
            into.pruned = into.pruned or meaning.pruned
        else:
            into.open_ended = True

    def call(self, node: ast.Call) -> _Meaning:
        owner = self.meaning(node.func.value) if isinstance(node.func, ast.Attribute) else None
        function = self.meaning(node.func)
        positional = [self.meaning(item.value if isinstance(item, ast.Starred) else item) for item in node.args]
        named = _Arguments(open_ended=any(isinstance(item, ast.Starred) for item in node.args))
        for keyword in node.keywords:
            meaning = self.meaning(keyword.value)
            if keyword.arg is None:
                self.merge(named, meaning)
            else:
                named.items[keyword.arg] = meaning if isinstance(meaning, Value) else UNKNOWN
        name = ast.unparse(node.func).rpartition(".")[2]
        if isinstance(function, _Marker) and function.kind == "class":
            self.record(node, function.name, positional, named)
            return _AN_OP if function.name == OP else Value(ast.unparse(node))
        if owner == _AN_OP:
            self.record(node, name, positional, named)
            return _A_RESULT if name in _DISPATCHES else Value(ast.unparse(node))
        return self.other_call(node, name, owner, positional, named)

    def other_call(
        self, node: ast.Call, name: str, owner: _Meaning | None, positional: list[_Meaning], named: _Arguments
    ) -> _Meaning:
        """Calls that are not MORI's, as far as they say what a value is."""
        if name == _PRUNING and positional and isinstance(positional[0], _Arguments):
            positional[0].pruned = True
        if name == "dict" and owner is None:
            for meaning in positional:
                self.merge(named, meaning)
            return named
        if isinstance(owner, _Arguments):
            if name == "update":
                for meaning in positional:
                    self.merge(owner, meaning)
                self.merge(owner, named)
            elif name == "copy":
                return _Arguments(dict(owner.items), owner.open_ended, owner.pruned)
        if name in self.factories:
            return _AN_OP
        if name == "topk":
            return _Marker("topk")
        text = ast.unparse(node)
        wanted = [item.value for item in (*positional, *named.items.values()) if isinstance(item, Value) and item.known]
        if name in ("int", "long") and owner is not None and not positional:
            received = isinstance(owner, Value) and owner.received
            return Value(text, int64=name == "long", received=received)
        wide = "int64" in wanted or "long" in wanted
        if isinstance(owner, Value) and name in _SAME_TENSOR:
            narrow = "int32" in wanted or "int" in wanted
            return Value(text, int64=wide or (owner.int64 and not narrow), received=owner.received)
        return Value(text, int64=wide)

    def record(self, node: ast.Call, target: str, positional: list[_Meaning], named: _Arguments) -> None:
        self.calls.append(
            Call(
                file=self.file,
                line=node.lineno,
                column=node.col_offset + 1,
                end_line=node.end_lineno or node.lineno,
                target=target,
                arguments=tuple(item if isinstance(item, Value) else UNKNOWN for item in positional),
                keywords=tuple(named.items.items()),
                open_ended=named.open_ended,
                pruned=named.pruned,
            )
        )


def _dotted(node: ast.expr) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


def _names_op(annotation: ast.expr) -> bool:
    """True for an annotation that names the op, also as text and in unions."""
    text = ast.unparse(annotation)
    return OP in text and "dispatch_combine_v2" not in text


def _changing_names(body: list[ast.stmt]) -> set[str]:
    """Names that a scope assigns more than once, so that no single value is theirs."""
    found: Counter[str] = Counter()
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            found[_dotted(node) or ""] += 1
        if isinstance(node, ast.AugAssign):
            found[_dotted(node.target) or ""] += 1
        stack.extend(ast.iter_child_nodes(node))
    return {name for name, number in found.items() if number > 1}
