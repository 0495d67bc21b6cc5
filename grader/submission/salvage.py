"""What of a cell can still run after one of its statements failed, and what the failure cost.

A cell is run as it is. When a statement raises, the statements after it run all the same; an import is taken apart by names; a
class or function goes without the decorator, annotation, default or class attribute that raised. Nothing is executed here: the
caller runs what `Salvage.rest` gives, and reports how that went.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from grader.submission.editing import Edit, anchored, edit_for, edited
from grader.submission.names import names_of
from grader.submission.rescue import DEFINITIONS, IMPORTS, only_definitions
from grader.submission.syntax import parse

MOST_FAILURES = 60
"""Of one cell; the rest of it is given up."""
_UNDEFINED = re.compile(r"name '(\w+)' is not defined")
_UNAVAILABLE = re.compile(r"`(\w+)[^`]*` is not available")
_IDENTITY = "(lambda decorated: decorated)"


@dataclass(frozen=True)
class Failure:
    """What a run raised: the exception's class name and message, and the lines of the cell that it passed, outermost first."""

    ename: str
    message: str
    lines: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.ename}: {self.message}" if self.message else self.ename

    @property
    def undefined(self) -> str:
        """The name that is not defined, if that is what was wrong."""
        found = _UNDEFINED.search(self.message) if self.ename == "NameError" else None
        return found[1] if found else ""

    @property
    def unavailable(self) -> str:
        """The name that has no value, if that is what was wrong."""
        found = _UNAVAILABLE.search(self.message)
        return found[1] if found else ""


@dataclass(frozen=True)
class Remark:
    """What a failure in a line led to, in a sentence; ``kind`` is import, definition or statement."""

    kind: str
    line: int
    text: str
    subject: str = ""
    """The import, if it is one."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"[:300]


@dataclass
class Salvage:
    """The statements of one code cell that are still to run. ``number`` is the cell's.

    ``lost`` gives names without a value the reason, for whoever asks for them; ``remarks`` are for the student, by line.
    """

    number: int
    source: str
    lost: dict[str, str] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)

    def __post_init__(self) -> None:
        tree = parse(self.source)
        self._body: list[ast.stmt] = tree.body if tree is not None else []
        self._waiting = list(range(len(self._body)))
        self._edits: dict[int, list[Edit]] = {}
        self._aliases: list[tuple[ast.stmt, ast.alias]] = []
        self._current: tuple[ast.stmt, ast.alias] | None = None
        self._reduced: set[int] = set()
        self._failures = 0
        self._deferred: list[int] = []
        self._made = 0
        self._final = False

    # -- what to run -------------------------------------------------------------------------------------------------

    def rest(self) -> str | None:
        """What to run next, in the lines of the cell; None if nothing is left."""
        if self._failures > MOST_FAILURES:
            return None
        if self._aliases:
            statement, alias = self._current = self._aliases.pop(0)
            return anchored("\n" * (statement.lineno - 1) + _import_of(statement, alias))
        self._current = None
        if not self._waiting:
            return None
        waiting = set(self._waiting)
        edits = [edit_for(s) for index, s in enumerate(self._body) if index not in waiting]
        edits += [edit for index in self._waiting for edit in self._edits.get(index, [])]
        return anchored(edited(self.source, edits))

    def passed(self) -> None:
        """What `rest` gave has run."""
        if self._current is None:
            self._waiting = []

    @property
    def has_deferred(self) -> bool:
        """Whether statements wait for names that a later cell may define."""
        return bool(self._deferred)

    def retry(self, *, final: bool) -> None:
        """Run those statements again that lacked a name; if ``final``, the name will not come any more."""
        self._waiting, self._deferred, self._final = self._deferred, [], final
        self._failures = 0

    # -- what failed -------------------------------------------------------------------------------------------------

    def failed(self, failure: Failure) -> None:
        """What `rest` gave has raised: decide what becomes of the statement to blame, and go on after it."""
        self._failures += 1
        if self._current is not None:
            self._lose_alias(*self._current, failure)
            return
        index = self._blamed(failure)
        if index is None:
            self._waiting = []
            return
        self._waiting = [other for other in self._waiting if other >= index]
        statement = self._body[index]
        if self._enter_block(index, statement, failure):
            return
        if isinstance(statement, IMPORTS) and _aliases_of(statement):
            self._drop(index)
            aliases = _aliases_of(statement)
            if len(aliases) == 1:
                self._lose_alias(statement, aliases[0], failure)
            else:
                self._aliases = [(statement, alias) for alias in aliases]
            return
        if failure.undefined and not self._final and not isinstance(statement, ast.Expr | ast.Assert):
            self._deferred.append(index)
            self._drop(index)
            return
        if isinstance(statement, DEFINITIONS) and self._mend(index, statement, failure):
            return
        within = None if index in self._reduced else only_definitions(statement)
        if within is not None:
            self._reduced.add(index)
            self._edits[index] = within
            self._remark("statement", statement.lineno, f"{failure}; only the definitions in this block were run")
            return
        self._drop(index)
        self._lose(statement, failure)

    def _blamed(self, failure: Failure) -> int | None:
        for line in failure.lines:
            for index in self._waiting:
                statement = self._body[index]
                if edit_for(statement).line <= line <= (statement.end_lineno or line):
                    return index
        return None

    def _enter_block(self, index: int, statement: ast.stmt, failure: Failure) -> bool:
        """Go on within a block, behind the statement of it that raised; False if the block has to be given up.

        An import is taken apart by names, a definition goes without what raised.
        """
        if index in self._reduced or (failure.undefined and not self._final):
            return False
        found = _within(statement, failure.lines)
        header = _header_of(statement, found[0]) if found is not None else None
        if found is None or header is None:
            return False
        body, place = found
        inner = body[place]
        kept = [edit for edit in self._edits.get(index, []) if _holds(inner, edit)]
        self._edits[index] = [header, *(edit_for(other) for other in body[:place]), *kept]
        if isinstance(inner, DEFINITIONS) and self._mend(index, inner, failure):
            return True
        self._edits[index] = [header, *(edit_for(other) for other in body[: place + 1])]
        if isinstance(inner, IMPORTS):
            self._aliases = [(inner, alias) for alias in _aliases_of(inner)]
        else:
            self._lose(inner, failure)
        return True

    def _drop(self, index: int) -> None:
        self._waiting = [other for other in self._waiting if other != index]

    def _remark(self, kind: str, line: int, text: str, subject: str = "") -> None:
        remark = Remark(kind, line, text, subject)
        if remark not in self.remarks:
            self.remarks.append(remark)

    def _lose(self, statement: ast.stmt, failure: Failure) -> None:
        line = next((line for line in failure.lines), statement.lineno)
        bound = list(names_of(statement).binds)
        reason = f"code cell {self.number}, line {line}, raised {failure}"[:300]
        self.lost.update(dict.fromkeys(bound, reason))
        self._remark("statement", line, str(failure))

    def _lose_alias(self, statement: ast.stmt, alias: ast.alias, failure: Failure) -> None:
        name = alias.asname or alias.name.partition(".")[0]
        text = _import_of(statement, alias)
        if alias.asname is None and alias.name != name:
            self._aliases.insert(0, (statement, ast.alias(name)))  # the package may well be there
        elif name != "*":
            self.lost[name] = f"`{text}` in code cell {self.number} failed ({failure})"[:300]
        message = f"`{text}` failed ({failure}); only code that uses {_quoted(name)} fails"
        self._remark("import", statement.lineno, message, text)

    def _mend(self, index: int, statement: ast.stmt, failure: Failure) -> bool:
        """Leave out the part of a definition that raised; whether there is one."""
        name = failure.undefined
        if name and name not in self.lost:
            self.lost[name] = "it is not defined anywhere in the notebook"
            self._remark("definition", failure.lines[-1], f"{failure}; the definition was kept without it")
            return True
        edits = self._edits.setdefault(index, [])
        edited_already = {(edit.line, edit.column) for edit in edits}
        parts = [part for part in _parts_of(statement) if part.start not in edited_already]
        for line in reversed(failure.lines):
            here = [part for part in parts if part.node.lineno <= line <= (part.node.end_lineno or line)]
            # Several parts may share the line: one that reads the name in question, before others that may raise at all.
            suspects = [part for part in here if failure.unavailable in names_of(part.node).reads] or [
                part for part in here if not isinstance(part.node, ast.Constant)
            ]
            if suspects:
                self._leave_out(index, suspects[0], parts, failure)
                return True
        return False

    def _leave_out(self, index: int, part: _Part, parts: Sequence[_Part], failure: Failure) -> None:
        edits = self._edits[index]
        line = part.node.lineno
        if part.kind == "annotation":
            edits += [edit_for(other.node, "None") for other in parts if other.kind == "annotation"]
            self._remark("definition", line, f"{failure}; the annotations were left out")
        elif part.kind == "decorator":
            text = ast.unparse(part.node)
            edits.append(edit_for(part.node, _IDENTITY))
            for other in self._waiting:
                for same in _parts_of(self._body[other]):
                    if same.kind == "decorator" and same != part and ast.unparse(same.node) == text:
                        self._edits.setdefault(other, []).append(edit_for(same.node, _IDENTITY))
            self._remark("definition", line, f"{failure}; the decorator `@{text[:80]}` was left out")
        elif part.kind == "statement":
            edits.append(edit_for(part.node))
            self._remark("definition", line, f"{failure}; this line was left out")
        else:
            self._made += 1
            name = f"not_available_{self.number}_{self._made}"
            self.lost[name] = f"code cell {self.number}, line {line}, raised {failure}"[:300]
            edits.append(edit_for(part.node, name))
            what = {"default": "default", "base": "base class"}.get(part.kind, "value")
            self._remark("definition", line, f"{failure}; the {what} `{ast.unparse(part.node)[:80]}` is not available")


@dataclass(frozen=True)
class _Part:
    """A part of a definition that runs with it: annotation, decorator, default, base, value or statement of a class."""

    kind: str
    node: ast.expr | ast.stmt

    @property
    def start(self) -> tuple[int, int]:
        edit = edit_for(self.node)
        return edit.line, edit.column


def _parts_of(definition: ast.stmt) -> list[_Part]:
    """The parts of a definition that it can do without, in the order in which they are given up for a line."""
    return list(_parts(definition))


def _parts(definition: ast.stmt) -> Iterator[_Part]:
    if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        given = definition.args
        every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        annotations = [argument.annotation for argument in every if argument]
        yield from (_Part("annotation", node) for node in [*annotations, definition.returns] if node)
        yield from (_Part("decorator", node) for node in definition.decorator_list)
        yield from (_Part("default", node) for node in [*given.defaults, *given.kw_defaults] if node)
    elif isinstance(definition, ast.ClassDef):
        yield from (_Part("decorator", node) for node in definition.decorator_list)
        yield from (_Part("base", node) for node in definition.bases)
        for statement in definition.body:
            if isinstance(statement, DEFINITIONS):
                yield from _parts(statement)
            elif isinstance(statement, ast.AnnAssign):
                yield _Part("annotation", statement.annotation)
                if statement.value is not None:
                    yield _Part("value", statement.value)
            elif isinstance(statement, ast.Assign):
                yield _Part("value", statement.value)
            else:
                yield _Part("statement", statement)


def _within(statement: ast.stmt, lines: Sequence[int]) -> tuple[list[ast.stmt], int] | None:
    """The block of an `if` or `with` in which one of the lines lies, and the place of its statement there."""
    if not isinstance(statement, ast.If | ast.With):
        return None
    for body in (statement.body, statement.orelse if isinstance(statement, ast.If) else []):
        for place, inner in enumerate(body):
            if any(edit_for(inner).line <= line <= (inner.end_lineno or line) for line in lines):
                return body, place
    return None


def _header_of(statement: ast.stmt, body: list[ast.stmt]) -> Edit | None:
    """An edit after which a block runs without its header's condition or context; None where the line has no room for it."""
    if isinstance(statement, ast.If):
        return edit_for(statement.test, str(body is statement.body))
    body_line = edit_for(body[0]).line
    if body_line == statement.lineno:
        return None
    return Edit(statement.lineno, statement.col_offset, body_line - 1, 1 << 30, "if True:")


def _holds(statement: ast.stmt, edit: Edit) -> bool:
    return edit_for(statement).line <= edit.line and edit.end_line <= (statement.end_lineno or edit.line)


def _aliases_of(statement: ast.stmt) -> list[ast.alias]:
    return statement.names if isinstance(statement, ast.Import | ast.ImportFrom) else []


def _import_of(statement: ast.stmt, alias: ast.alias) -> str:
    """The import of one name alone."""
    text = alias.name if alias.asname is None else f"{alias.name} as {alias.asname}"
    if isinstance(statement, ast.ImportFrom):
        return f"from {'.' * statement.level}{statement.module or ''} import {text}"
    return f"import {text}"


def _quoted(name: str) -> str:
    return "it" if name == "*" else f"`{name}`"
