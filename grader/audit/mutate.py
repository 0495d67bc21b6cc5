"""Makes wrong answers out of a right one: small changes of a class's syntax tree within given lines.

An operator looks at one expression or one statement and yields what could stand in its place. `mutations` applies every
operator everywhere, keeps what compiles, and drops what another change has made already. Nothing here knows the homework.
"""

from __future__ import annotations

import ast
import copy
import difflib
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from grader.audit.operators import EXPRESSIONS, STATEMENTS, Scope
from grader.audit.places import Path, node_at, nodes_within, replaced
from grader.authoring.digests import syntax_digest

_WRAPS: dict[str, str] = {
    "detached": "({}).detach()",
    "negated": "-({})",
    "inverted": "1 - ({})",
    "doubled": "({}) * 2",
    "zeroed": "({}) * 0",
    "rectified": "({}).relu()",
    "reversed": "({}).flip(1)",
    "shifted": "({}).roll(1, 1)",
    "shared in the batch": "({0}) + 0.1 * ({0}).mean(0, keepdim=True)",
    "dropped at random": "torch.nn.functional.dropout({}, 0.1)",
    "rounded": "({}).round()",
}


@dataclass(frozen=True)
class Mutation:
    """A changed class. Its `id` depends only on the changed code, so it stays the same when operators or comments change."""

    id: str
    operator: str
    line: int
    """The line of the change within the class, from 1."""
    before: str
    after: str
    """The code that stood there and the code that stands there now; empty for nothing."""
    change: str
    """The lines that differ, before and after, in one line."""
    source: str


def mutations(source: str, regions: Sequence[range]) -> list[Mutation]:
    """All mutations of a class's source within lines (from 1) that ``regions`` hold, in the order of the source."""
    tree = ast.parse(source)
    original = ast.unparse(tree)
    seen = {_fingerprint(tree)}
    found = []
    for path, node, scope in nodes_within(tree, regions):
        for operator, replacement, width in [
            *((name, new, 1) for name, new in _replacements(node, path, tree, scope)),
            *((name, new, 2) for name, new in _exchanged(node, path, tree, regions)),
        ]:
            changed = replaced(tree, path, replacement, width)
            text = _compiled(changed)
            if text is None or (mark := _fingerprint(changed)) in seen:
                continue
            seen.add(mark)
            after = "\n".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(part))) for part in replacement)
            change = _difference(original, text)
            found.append(Mutation(mark, operator, getattr(node, "lineno", 1), ast.unparse(node), after, change, text))
    return found


def _difference(before: str, after: str) -> str:
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    old, new = (" / ".join(line[2:].strip() for line in lines if line[0] == mark) for mark in "-+")
    return f"{old or '(nothing)'} -> {new or '(nothing)'}"


def _compiled(tree: ast.Module) -> str | None:
    try:
        text = ast.unparse(ast.fix_missing_locations(tree))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "mutant", "exec")
    except (SyntaxError, ValueError):
        return None
    return text


def _fingerprint(tree: ast.Module) -> str:
    """The id of code: a digest of its syntax, without docstrings, which every Python writes alike."""
    return "m" + syntax_digest(tree)[:8]


def _replacements(
    node: ast.AST, path: Path, tree: ast.Module, scope: Scope
) -> Iterator[tuple[str, list[ast.AST]]]:
    if isinstance(node, ast.stmt):
        for name, statements in STATEMENTS.items():
            for changed in statements(node, scope):
                yield name, list(changed)
        return
    assert isinstance(node, ast.expr)
    if isinstance(getattr(node, "ctx", None), ast.Store) and not isinstance(node, ast.Tuple):
        return
    parent = node_at(tree, path[:-1])
    if isinstance(parent, ast.Call) and path[-1][0] == "func":
        operators: Collection[str] = ("another name", "another attribute")
    else:
        operators = EXPRESSIONS
    for name in operators:
        for expression in EXPRESSIONS[name](node, scope):
            yield name, [expression]
    if _is_value(node, parent, path, scope):
        for name, pattern in _WRAPS.items():
            yield name, [ast.parse(pattern.format(ast.unparse(node)), mode="eval").body]


def _exchanged(
    node: ast.AST, path: Path, tree: ast.Module, regions: Sequence[range]
) -> Iterator[tuple[str, list[ast.AST]]]:
    """A statement and the one after it, in reverse order."""
    if not isinstance(node, ast.stmt) or isinstance(node, ast.Return):
        return
    name, place = path[-1]
    body = getattr(node_at(tree, path[:-1]), name)
    if place is not None and place + 1 < len(body):
        following = body[place + 1]
        if any(following.lineno in lines for lines in regions):
            yield "order of statements", [following, node]


def _is_value(node: ast.expr, parent: ast.AST, path: Path, scope: Scope) -> bool:
    """Whether a node may be a tensor: assigned, returned or given to a call, and no size, text or constant."""
    if scope.constructs or not isinstance(node, ast.Name | ast.BinOp | ast.Call | ast.Subscript | ast.Attribute):
        return False
    if isinstance(node, ast.Name) and node.id in scope.read_once:
        return False  # as good as changing what is assigned to it
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    if names <= {"math", "torch", "nn", "F", *scope.numbers} or names & {"zip", "range", "len"}:
        return False
    if isinstance(parent, ast.Call):
        return path[-1][0] == "args" and not isinstance(parent.func, ast.Attribute)
    return isinstance(parent, ast.Assign | ast.AnnAssign | ast.Return | ast.Tuple | ast.BinOp)
