"""Where a notebook defines a class: in code, in a cell that is not code, in one that does not parse, or more than once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from grader.submission.planning import Plan
from grader.submission.reading import Submission
from grader.submission.syntax import parse, syntax_error

_CLASS = re.compile(r"^(?:>>> ?|[ \t]*)class[ \t]+([A-Za-z_]\w*)[ \t]*[(:]", re.MULTILINE)
_METHODS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Definition:
    """One definition of a class. ``place`` names its cell as people find it.

    ``error`` says why a cell does not parse; ``unfinished`` names a method that is not written yet.
    """

    kind: Literal["code", "broken", "text"]
    place: str
    line: int
    error: str = ""
    unfinished: str = ""
    execution_count: int | None = None
    number: int | None = None


def definitions_of(submission: Submission, plan: Plan) -> dict[str, list[Definition]]:
    """All definitions of classes at top level, by name, in the order of the notebook."""
    found: list[tuple[int, str, Definition]] = []
    for planned in plan.cells:
        cell = planned.cell
        place = f"code cell {cell.number}"
        tree = parse(planned.source)
        if tree is None:
            newer = planned.reason.startswith("uses syntax of Python")
            error = planned.reason if newer else syntax_error(planned.source)
            for name, line in _classes_in(cell.source):
                found.append((cell.index, name, Definition("broken", place, line, error, number=cell.number)))
            continue
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                found.append(
                    (
                        cell.index,
                        node.name,
                        Definition(
                            "code",
                            place,
                            node.lineno,
                            unfinished=_unfinished(node),
                            execution_count=cell.execution_count,
                            number=cell.number,
                        ),
                    )
                )
    for text in submission.markdown:
        before = sum(cell.index < text.index for cell in submission.cells)
        where = f"after code cell {before}" if before else "before the first code cell"
        place = f"the {'raw' if text.kind == 'raw' else 'Markdown'} cell {where}"
        found += [(text.index, name, Definition("text", place, line)) for name, line in _classes_in(text.source)]
    by_name: dict[str, list[Definition]] = {}
    for _, name, definition in sorted(found, key=lambda row: row[0]):
        by_name.setdefault(name, []).append(definition)
    return by_name


def why_not_defined(definitions: Iterable[Definition]) -> str:
    """Why none of these definitions took effect; empty if one of them is code that runs."""
    reason = ""
    for definition in definitions:
        if definition.kind == "code":
            return ""
        if definition.kind == "broken":
            reason = f"{definition.place} does not parse ({definition.error})"
        elif not reason:
            reason = f"it is in {definition.place}, which does not run; change it to a code cell"
    return reason


def which_one_counted(name: str, definitions: Iterable[Definition]) -> str:
    """A sentence about a class that is defined more than once, if the last may not be the intended one; else empty."""
    parsed = [definition for definition in definitions if definition.kind == "code"]
    if len(parsed) < 2:
        return ""
    last = parsed[-1]
    meant = [definition for definition in parsed[:-1] if not definition.unfinished]
    ran = [definition for definition in parsed if definition.execution_count is not None]
    ran_last = max(ran, key=lambda definition: definition.execution_count or 0, default=last)
    other_ran_last = last.execution_count is not None and ran_last is not last
    if not other_ran_last and not (last.unfinished and meant):
        return ""
    places = ", ".join(dict.fromkeys(definition.place for definition in parsed[:-1]))
    text = f"{name} is defined in {places} and again in {last.place}; the last definition is graded"
    if last.unfinished:
        text += f", and its `{last.unfinished}` is not implemented"
    if other_ran_last:
        text += (
            f". By the notebook's execution counts, {ran_last.place} ran last "
            f"(In [{ran_last.execution_count}], after In [{last.execution_count}])"
        )
    return text + "."


def _classes_in(text: str) -> list[tuple[str, int]]:
    return [(found[1], text.count("\n", 0, found.start()) + 1) for found in _CLASS.finditer(text[:100_000])][:100]


def _unfinished(node: ast.ClassDef) -> str:
    """The first method that is not written yet."""
    for method in node.body:
        if isinstance(method, _METHODS) and _is_stub(method.body):
            return method.name
    return ""


def _is_stub(body: list[ast.stmt]) -> bool:
    idle = (ast.Pass, ast.Expr)
    if any(isinstance(statement, ast.Raise) and _raises_todo(statement) for statement in body):
        return True
    return all(
        isinstance(statement, idle)
        and (isinstance(statement, ast.Pass) or isinstance(statement.value, ast.Constant))
        for statement in body
    )


def _raises_todo(statement: ast.Raise) -> bool:
    raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
