"""The syntax tree of a cell, and why there is none."""

from __future__ import annotations

import ast
import contextlib
import warnings

MAX_DEPTH = 200
_ATTEMPTS = 20


def tree_of(source: str) -> ast.Module:
    """The tree of a source, as `ast.parse` gives it, from any thread; raises what ``ast.parse`` raises.

    Before CPython 3.11.9 and 3.12.3, threads that build trees at the same time disturb each other's count of recursion and
    get a `SystemError` (https://github.com/python/cpython/issues/106905). Hypothesis builds trees too, so no lock of ours
    would do.
    """
    return _built(source, ast.PyCF_ONLY_AST)


def _built(source: str, flags: int) -> ast.Module:
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(SystemError):
            return _compiled(source, flags)
    return _compiled(source, flags)


def _compiled(source: str, flags: int) -> ast.Module:
    tree = compile(source, "<cell>", "exec", flags=flags, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


def parse(source: str) -> ast.Module | None:
    """The tree of a cell, which may await at top level; None if it does not parse or is nested too deeply."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = _built(source, ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            return None
    return tree if _is_shallow(tree) else None


def syntax_error(source: str) -> str:
    """Why a source does not parse, with the line; empty if it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _built(source, ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError as error:
            return f"line {error.lineno}: {error.msg}"
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            return str(error)[:200] or type(error).__name__
    return ""


def _is_shallow(tree: ast.AST) -> bool:
    """Whether visitors, which recurse, can go through the tree."""
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return True
    return False


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for such an expression, else an empty string."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])
