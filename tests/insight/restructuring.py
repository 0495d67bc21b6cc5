"""Copies disguised by another structure: loops and comprehensions, statements in a helper function."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator, Sequence

Function = ast.FunctionDef


def loops(source: str, rng: random.Random) -> str:
    """Loops that append as comprehensions, and comprehensions as loops."""
    tree = ast.parse(source)
    for node in [*ast.walk(tree)]:
        if isinstance(node, Function):
            node.body = list(_looped(node.body, rng))
    return ast.unparse(ast.fix_missing_locations(tree))


def _looped(body: list[ast.stmt], rng: random.Random) -> Iterator[ast.stmt]:
    place = 0
    while place < len(body):
        made = _as_comprehension(body, place)
        if made is not None:
            yield made[0]
            place = made[1]
            continue
        statement = body[place]
        place += 1
        value = getattr(statement, "value", None)
        compound = next(
            (node for node in ast.walk(value) if isinstance(node, ast.ListComp) and len(node.generators) == 1), None
        ) if value is not None and isinstance(statement, ast.Assign | ast.Return) else None  # fmt: skip
        inner_scopes = ast.Lambda | ast.ListComp | ast.GeneratorExp
        if compound is None or sum(isinstance(node, inner_scopes) for node in ast.walk(value)) > 1:
            yield statement
            continue
        name = f"gathered_{rng.randrange(1000)}"
        generator = compound.generators[0]
        append = ast.parse(f"{name}.append(0)").body[0]
        append.value.args = [compound.elt]
        inner: list[ast.stmt] = [append]
        for test in generator.ifs[::-1]:
            inner = [ast.If(test, inner, [])]
        yield ast.parse(f"{name} = []").body[0]
        yield ast.For(generator.target, generator.iter, inner, [])
        yield _Replace(compound, ast.Name(name, ast.Load())).visit(statement)


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def _as_comprehension(body: list[ast.stmt], place: int) -> tuple[ast.stmt, int] | None:
    """``name = []`` and the loop after it that only appends to it."""
    if place + 1 >= len(body):
        return None
    first, loop = body[place], body[place + 1]
    if not isinstance(first, ast.Assign) or not isinstance(first.targets[0], ast.Name):
        return None
    if (
        ast.unparse(first.value) not in ("[]", "list()")
        or not isinstance(loop, ast.For)
        or len(loop.body) != 1
        or loop.orelse
    ):
        return None
    inner, tests = loop.body[0], []
    if isinstance(inner, ast.If) and len(inner.body) == 1 and not inner.orelse:
        tests, inner = [inner.test], inner.body[0]
    if not isinstance(inner, ast.Expr) or not isinstance(inner.value, ast.Call):
        return None
    if ast.unparse(inner.value.func) != f"{first.targets[0].id}.append":
        return None
    made = ast.ListComp(inner.value.args[0], [ast.comprehension(loop.target, loop.iter, tests, 0)])
    return ast.Assign(first.targets, made), place + 2


def helper(source: str, rng: random.Random) -> str:
    """Some statements of a method in a function of their own."""
    tree = ast.parse(source)
    for node in [item for item in tree.body if isinstance(item, ast.ClassDef)]:
        for method in [item for item in node.body if isinstance(item, Function) and item.name != "__init__"]:
            made = _extracted(method, rng)
            if made is not None:
                tree.body.insert(tree.body.index(node), made)
    return ast.unparse(ast.fix_missing_locations(tree))


def _extracted(method: Function, rng: random.Random) -> Function | None:
    body = method.body
    places = range(len(body) + 1)
    runs = [
        (start, stop)
        for start in places
        for stop in places[start + 1 :]
        if all(map(_is_movable, body[start:stop]))
    ]
    rng.shuffle(runs)
    for start, stop in runs:
        moved, rest = body[start:stop], body[stop:]
        written = names_in(moved, ast.Store) - names_in(_comprehension_targets(moved), ast.Store)
        results = sorted(written & names_in(rest, ast.Load))
        before = names_in(body[:start], ast.Store) | {one.arg for one in method.args.args}
        needed = sorted(before & names_in(moved, ast.Load) | (before & set(results)))
        if not results or len(results) > 3:
            continue
        name = f"helper_{method.name.strip('_')}_{rng.randrange(1000)}"
        made = ast.parse(f"def {name}({', '.join(needed)}):\n    return {', '.join(results)}").body[0]
        assert isinstance(made, Function)
        made.body = [*copy.deepcopy(moved), made.body[0]]
        call = ast.parse(f"{', '.join(results)} = {name}({', '.join(needed)})").body
        method.body = [*body[:start], *call, *rest]
        return made
    return None


def _comprehension_targets(nodes: Sequence[ast.AST]) -> list[ast.AST]:
    """They exist within the comprehension alone."""
    return [one.target for node in nodes for one in ast.walk(node) if isinstance(one, ast.comprehension)]


def _is_movable(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Assign | ast.AugAssign | ast.For | ast.If):
        return False
    return not any(
        isinstance(node, ast.Return | ast.FunctionDef | ast.Lambda)
        or (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
        for node in ast.walk(statement)
    )


def names_in(nodes: Sequence[ast.AST], context: type[ast.expr_context]) -> set[str]:
    found = {
        one.id
        for node in nodes
        for one in ast.walk(node)
        if isinstance(one, ast.Name) and isinstance(one.ctx, context)
    }
    if context is ast.Load:
        found |= {
            ast.unparse(one.target)
            for node in nodes
            for one in ast.walk(node)
            if isinstance(one, ast.AugAssign)
        }
    return found
