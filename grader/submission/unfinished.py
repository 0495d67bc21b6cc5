"""Finds functions that can only raise an exception, as the template's do where an answer is missing."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

from grader.scoring.record import CodeLine
from grader.submission.planning import Plan
from grader.submission.syntax import parse

_PLAIN = (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Assert, ast.Pass)
"""Statements that go on to the next one or raise an exception."""
_PAUSES = (ast.Yield, ast.YieldFrom, ast.Await)


class Unfinished:
    """The functions of a notebook that can only raise an exception: whatever ran before, a call never returns."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def ends_at(self, line: CodeLine) -> bool:
        """Whether such a function ends there."""
        return line.line in self._ends.get(line.cell, ())

    @functools.cached_property
    def _ends(self) -> dict[int, frozenset[int]]:
        return {cell.cell.number: frozenset(_ends_in(cell.source)) for cell in self._plan.cells}


def _ends_in(source: str) -> Iterator[int]:
    """The lines of ``raise`` statements that every call of their function reaches, unless it raises an exception before."""
    tree = parse(source)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.FunctionDef):
            for statement in node.body:
                if isinstance(statement, ast.Raise):
                    yield statement.lineno
                if not isinstance(statement, _PLAIN) or _pauses(statement):
                    break


def _pauses(statement: ast.stmt) -> bool:
    return any(isinstance(node, _PAUSES) for node in ast.walk(statement))
