"""The syntax tree of a cell, and why there is none."""

from __future__ import annotations

import ast
import warnings

MAX_DEPTH = 200


def parse(source: str) -> ast.Module | None:
    """The tree of a cell, which may await at top level; None if it does not parse or is nested too deeply."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            tree = compile(source, "<cell>", "exec", flags=flags, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            return None
    return tree if isinstance(tree, ast.Module) and _is_shallow(tree) else None


def syntax_error(source: str) -> str:
    """Why a source does not parse, with the line; empty if it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(source, "<cell>", "exec", flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
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
