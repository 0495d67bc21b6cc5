"""Finds the places of a class's syntax tree that can be changed, and replaces what stands there."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator, Sequence

from grader.audit.operators import Scope

Path = tuple[tuple[str, int | None], ...]
"""The way from the class to a node: names of fields, each with an index if the field is a list."""


def _scope(function: ast.FunctionDef, attributes: tuple[str, ...]) -> Scope:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    parameters = tuple(a.arg for a in arguments if a.arg != "self")
    numbers = tuple(a.arg for a in arguments if isinstance(a.annotation, ast.Name) and a.annotation.id == "int")
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    reads = Counter(node.id for node in names if isinstance(node.ctx, ast.Load))
    made: dict[str, int] = {}
    for node in names:
        if isinstance(node.ctx, ast.Store):
            made[node.id] = min(node.lineno, made.get(node.id, node.lineno))
    loops = [node for node in ast.walk(function) if isinstance(node, ast.comprehension | ast.For)]
    iterated = frozenset(
        node.id for loop in loops for node in ast.walk(loop.target) if isinstance(node, ast.Name)
    )
    variables = tuple(name for name in made if name not in iterated and name not in parameters)
    once = frozenset(name for name in variables if reads[name] == 1)
    return Scope(parameters, numbers, variables, made, once, attributes, function.name == "__init__", iterated)


def _attributes(tree: ast.Module) -> tuple[str, ...]:
    found = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    ]
    return tuple(dict.fromkeys(found))


def nodes_within(tree: ast.Module, regions: Sequence[range]) -> Iterator[tuple[Path, ast.AST, Scope]]:
    """The expressions and statements in lines that ``regions`` hold, each with its path and its function's names."""
    attributes = _attributes(tree)

    def walk(node: ast.AST, path: Path, scope: Scope) -> Iterator[tuple[Path, ast.AST, Scope]]:
        if isinstance(node, ast.FunctionDef):
            scope = _scope(node, attributes)
        line = getattr(node, "lineno", None)
        inside = line is not None and any(line in lines for lines in regions)
        if inside and isinstance(node, ast.expr | ast.stmt):
            yield path, node, scope
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "args") and not isinstance(node, ast.Call):
                continue  # types change nothing, and signatures are given
            if isinstance(value, ast.AST):
                yield from walk(value, (*path, (name, None)), scope)
            elif isinstance(value, list):
                for place, child in enumerate(value):
                    if isinstance(child, ast.AST):
                        yield from walk(child, (*path, (name, place)), scope)

    yield from walk(tree, (), Scope())


def node_at(tree: ast.AST, path: Path) -> ast.AST:
    """The node at the end of a path."""
    node = tree
    for name, place in path:
        value = getattr(node, name)
        node = value if place is None else value[place]
    return node


def replaced(tree: ast.Module, path: Path, replacement: Sequence[ast.AST], width: int = 1) -> ast.Module:
    """A copy in which ``replacement`` stands at ``path``: one expression, or statements in place of ``width``."""
    changed = copy.deepcopy(tree)
    parent, (name, place) = node_at(changed, path[:-1]), path[-1]
    new = [copy.deepcopy(part) for part in replacement]
    if place is None:
        setattr(parent, name, new[0])
    else:
        body = getattr(parent, name)
        body[place : place + width] = new
        if name == "body" and not body:
            body.append(ast.Pass())
    return changed
