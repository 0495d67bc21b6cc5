"""What is worth running of a cell that fails: its imports, definitions and constants, line for line."""

from __future__ import annotations

import ast
import re

from grader.submission.editing import Edit, edit_for, edited
from grader.submission.syntax import dotted, parse

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
_PURE_CALLS = frozenset(
    {"torch.device", "torch.cuda.is_available", "Path", "pathlib.Path", "dict", "list", "set"}
)
_BLOCK_START = re.compile(r"(?!(?:else|elif|except|finally)\b)[^\s#)\]}]")
_MOST_STRETCHES = 12


def rescue_of(source: str, tree: ast.Module) -> str:
    """Only the imports, definitions and constants of a source; empty if there are none."""
    edits: list[Edit] = []
    kept = False
    for statement in tree.body:
        if _is_kept(statement):
            kept = True
            continue
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring may stand before a `from __future__` import, where `pass` may not
        within = only_definitions(statement)
        kept = kept or within is not None
        edits += [edit_for(statement)] if within is None else within
    if not kept:
        return ""
    if not edits:
        return source
    rescue = edited(source, edits)
    return rescue if parse(rescue) is not None else ""


def rescue_of_broken(source: str) -> str:
    """The rescue of a cell that does not parse, made of the blocks that parse on their own."""
    lines = source.split("\n")
    starts = [number for number, line in enumerate(lines) if _BLOCK_START.match(line)]
    starts.append(len(lines))
    kept = [""] * len(lines)
    place = 0
    while place < len(starts) - 1:
        # More than one stretch: decorators stand before a block, and a string may go on at the margin.
        for after in range(place + 1, min(place + _MOST_STRETCHES, len(starts))):
            block = "\n".join(lines[starts[place] : starts[after]])
            tree = parse(block)
            if tree is not None:
                rescue = rescue_of(block, tree)
                if rescue:
                    kept[starts[place] : starts[after]] = rescue.split("\n")
                place = after
                break
        else:
            place += 1
    return "\n".join(kept) if any(kept) else ""


def only_definitions(statement: ast.stmt) -> list[Edit] | None:
    """Edits that leave of a block its definitions, behind a header that cannot fail; None if it has none."""
    if not holds_definition(statement):
        return None
    edits: list[Edit] = []
    if isinstance(statement, ast.If):
        edits.append(edit_for(statement.test, "True"))
    elif isinstance(statement, ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith):
        body_line = edit_for(statement.body[0]).line
        if body_line == statement.lineno:
            return None
        edits.append(Edit(statement.lineno, statement.col_offset, body_line - 1, 1 << 30, "if True:"))
    elif not isinstance(statement, ast.Try):
        return None
    for body in bodies_of(statement):
        for inner in body:
            if not isinstance(inner, (*DEFINITIONS, *IMPORTS)):
                within = only_definitions(inner)
                edits += [edit_for(inner)] if within is None else within
    return edits


def bodies_of(statement: ast.AST) -> list[list[ast.stmt]]:
    """The blocks of a compound statement, in the order of the source."""
    fields = [getattr(statement, name, None) for name in ("body", "orelse", "finalbody")]
    bodies = [body for body in fields if isinstance(body, list)]
    handlers = [handler.body for handler in getattr(statement, "handlers", [])]
    cases = [case.body for case in getattr(statement, "cases", [])]
    return bodies[:1] + handlers + cases + bodies[1:]


def holds_definition(statement: ast.stmt) -> bool:
    """Whether a class or function is defined somewhere within the blocks of a statement."""
    waiting = [inner for body in bodies_of(statement) for inner in body]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, DEFINITIONS):
            return True
        waiting.extend(deeper for body in bodies_of(inner) for deeper in body)
    return False


def _is_kept(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Try):  # an import that copes with failure
        return all(isinstance(inner, (*IMPORTS, ast.Pass)) for inner in statement.body)
    return isinstance(statement, (*DEFINITIONS, *IMPORTS)) or is_constant(statement)


def is_constant(statement: ast.stmt) -> bool:
    """A simple assignment whose value costs nothing, such as ``device`` or a learning rate."""
    if isinstance(statement, ast.Assign):
        targets, value = statement.targets, statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets, value = [statement.target], statement.value
    else:
        return False
    if not all(isinstance(node, ast.Name | ast.Tuple | ast.List) for node in targets):
        return False
    allowed = (
        ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.UnaryOp, ast.unaryop, ast.BinOp,
        ast.operator, ast.IfExp, ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop, ast.expr_context,
        ast.Name, ast.Attribute, ast.keyword,
    )  # fmt: skip
    return all(
        isinstance(node, allowed) or (isinstance(node, ast.Call) and dotted(node.func) in _PURE_CALLS)
        for node in ast.walk(value)
    )
