"""Finds the names that a statement reads, binds and fills, from its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_FILLS = frozenset({"append", "extend", "add", "update", "insert", "setdefault", "appendleft"})


@dataclass
class Names:
    """Names that a statement reads from outside of it, binds, or fills (a list that it appends to)."""

    reads: dict[str, None] = field(default_factory=dict)
    binds: dict[str, None] = field(default_factory=dict)
    fills: dict[str, None] = field(default_factory=dict)


def names_of(*nodes: ast.AST) -> Names:
    """What the nodes read and bind when they run in order at top level; bodies of functions do not count."""
    found = Names()
    for node in nodes:
        _Names(found).visit(node)
    return found


class _Names(ast.NodeVisitor):
    """Visits a statement in the order in which it runs, as far as syntax tells."""

    def __init__(self, found: Names, local: frozenset[str] = frozenset()) -> None:
        self.found, self.local = found, local

    def _read(self, name: str) -> None:
        if name not in self.local and name not in self.found.binds:
            self.found.reads.setdefault(name)

    def _visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._read(node.id)
        elif isinstance(node.ctx, ast.Store) and node.id not in self.local:
            self.found.binds.setdefault(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._visit_all([node.value, *node.targets])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._visit_all([node.annotation, node.value])
        if node.value is not None:
            self.visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self._read(node.target.id)
        self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._visit_all([node.value, node.target])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._visit_all([node.iter, node.target, *node.body, *node.orelse])

    visit_AsyncFor = visit_For

    def visit_withitem(self, node: ast.withitem) -> None:
        self._visit_all([node.context_expr, node.optional_vars])

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._visit_all([node.type])
        if node.name:
            self.found.binds.setdefault(node.name)
        self._visit_all(node.body)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self.found.binds.setdefault(alias.asname or alias.name.partition(".")[0])

    visit_ImportFrom = visit_Import

    def _visit_header(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        arguments = node.args
        every = [
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            arguments.vararg,
            arguments.kwarg,
        ]
        self._visit_all(node.decorator_list)
        self._visit_all([*arguments.defaults, *arguments.kw_defaults])
        self._visit_all([*(argument.annotation for argument in every if argument), node.returns])

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_header(node)
        if node.name not in self.local:
            self.found.binds.setdefault(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_all([*node.args.defaults, *node.args.kw_defaults])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all([*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)])
        inside = Names()
        _Names(inside).visit_body(node.body)
        for name in inside.reads:
            self._read(name)
        if node.name not in self.local:
            self.found.binds.setdefault(node.name)

    def visit_body(self, body: Sequence[ast.stmt]) -> None:
        self._visit_all(body)

    def _visit_comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> None:
        bound = {
            name.id
            for generator in node.generators
            for name in ast.walk(generator.target)
            if isinstance(name, ast.Name)
        }
        self.visit(node.generators[0].iter)
        inner = _Names(self.found, self.local | bound)
        for place, generator in enumerate(node.generators):
            inner._visit_all([*([generator.iter] if place else []), *generator.ifs])
        inner._visit_all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _visit_comprehension

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self._visit_all([node.pattern])
        if node.name:
            self.found.binds.setdefault(node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self.found.binds.setdefault(node.name)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if (
            isinstance(function, ast.Attribute)
            and function.attr in _FILLS
            and isinstance(function.value, ast.Name)
        ):
            self.found.fills.setdefault(function.value.id)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
            self.found.fills.setdefault(node.value.id)
        self.generic_visit(node)
