"""Decides, statement by statement, what of a submission runs. Nothing is executed here.

Definitions always run. What is left out are downloads, training and whatever needs their results: grading
measures the student's parts, and has neither the data nor the hours.
"""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from grader.submission.analysis import Notebook
from grader.submission.causes import TRAINS
from grader.submission.editing import Edit, anchored, edit_for, edited
from grader.submission.facts import (
    ScratchUse,
    add_imports,
    asks_for_accelerator,
    names_accelerator,
    scratch_uses,
)
from grader.submission.magics import DOWNLOADS, Dropped, without_magics
from grader.submission.names import Names, names_of
from grader.submission.newer_syntax import Newer, newer_syntax
from grader.submission.reading import CodeCell, Submission
from grader.submission.rescue import (
    DEFINITIONS,
    IMPORTS,
    bodies_of,
    is_constant,
    only_definitions,
    rescue_of,
    rescue_of_broken,
)
from grader.submission.syntax import parse
from grader.submission.template import (
    Altered,
    Template,
    TemplateCell,
    altered_provided,
    load_template,
    template_of,
)
from grader.submission.written import WrittenFile, written_file

__all__ = [
    "Altered",
    "Plan",
    "PlannedCell",
    "ScratchUse",
    "SkippedStatement",
    "Template",
    "TemplateCell",
    "altered_provided",
    "load_template",
    "make_plan",
    "template_of",
]

MAX_SPLITS = 6
"""Levels of nested blocks of which some statements run and others do not."""
Decision = Literal["run", "skip", "partly"]

DRAWS = "plots the results of a skipped cell"
_ROLE_REASONS = {
    "train": "same as the template's training cell",
    "visualize": DRAWS,
    "download": DOWNLOADS,
}


@dataclass(frozen=True)
class SkippedStatement:
    """Lines of a cell (1-based, inclusive) that are not run, and why."""

    line: int
    end_line: int
    reason: str


@dataclass(frozen=True)
class PlannedCell:
    """What is run of a cell. ``source`` and ``rescue`` have the line numbers of the cell.

    ``rescue`` holds only imports, definitions and constants: what to run if ``source`` costs the kernel. ``needs`` are names
    that only skipped statements make and that definitions of the cell use when they are made, each with the reason.
    """

    cell: CodeCell
    source: str
    decision: Decision
    reason: str
    skipped: tuple[SkippedStatement, ...]
    rescue: str
    needs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Plan:
    """What of a submission runs.

    ``import_places`` gives the top-level modules that it cannot do without, with code cell and line of their first import.
    """

    cells: tuple[PlannedCell, ...]
    import_places: dict[str, tuple[int, int]]
    mentions_accelerator: bool
    from_scratch_flags: tuple[ScratchUse, ...]

    @property
    def imports(self) -> tuple[str, ...]:
        """Those modules."""
        return tuple(self.import_places)


@dataclass
class _Cell:
    """A cell with IPython's syntax taken out; ``tree`` is None if what is left does not parse.

    A cell that writes a Python file is the text of that file. ``newer`` says what of a newer Python was put otherwise.
    """

    cell: CodeCell
    source: str
    dropped: tuple[Dropped, ...]
    tree: ast.Module | None
    newer: Newer | None = None
    file: WrittenFile | None = None


def make_plan(submission: Submission, template: Template) -> Plan:
    """Decide what runs of each code cell."""
    cells = [_neutral(cell) for cell in submission.cells]
    notebook = Notebook(cell.tree for cell in cells if cell.tree)
    planner = _Planner(notebook, template)
    planned = tuple(planner.plan(cell) for cell in cells)
    trees = [(cell.cell.number, cell.tree) for cell in cells if cell.tree]
    for file in (cell.file for cell in cells if cell.file):
        for module in file.modules:
            planner.imports.pop(module, None)
    accelerator = any(
        asks_for_accelerator(cell.tree) if cell.tree else names_accelerator(cell.source) for cell in cells
    )
    return Plan(planned, planner.imports, accelerator, scratch_uses(trees, notebook))


def _neutral(cell: CodeCell) -> _Cell:
    """The cell as plain Python, read as IPython would: commands may be bare, lines indented or prompted."""
    file = written_file(cell.source)
    if file is not None:
        return _Cell(cell, file.text, (), parse(file.text) if file.is_python else None, file=file)
    source, dropped = without_magics(cell.source)
    tree = parse(source)
    if tree is not None:
        return _Cell(cell, source, dropped, tree)
    dedented = _dedented(cell.source)
    for text, bare in ((cell.source, True), (dedented, False), (dedented, True)):
        other_source, other_dropped = without_magics(text, bare_commands=bare)
        tree = parse(other_source)
        if tree is not None:
            return _Cell(cell, other_source, other_dropped, tree)
    newer = newer_syntax(source)
    if newer is not None and newer.source is not None:
        return _Cell(cell, newer.source, dropped, parse(newer.source), newer)
    return _Cell(cell, source, dropped, None, newer)


def _dedented(source: str) -> str:
    lines = source.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith(">>>"):
        return "\n".join(re.sub(r"^(>>>|\.\.\.) ?", "", line) for line in lines)
    indent = first[: len(first) - len(first.lstrip())]
    return "\n".join(line.removeprefix(indent) for line in lines)


class _Planner:
    """Goes through the cells in order and keeps track of names that only skipped statements make."""

    def __init__(self, notebook: Notebook, template: Template) -> None:
        self.notebook = notebook
        self.template = template
        self.available: set[str] = set()
        self.missing: dict[str, str] = {}
        self.needs: dict[str, str] = {}
        self.number = 0
        self.depth = 0
        self.imports: dict[str, tuple[int, int]] = {}
        self.edits: list[Edit] = []
        self.skipped: list[SkippedStatement] = []

    def plan(self, cell: _Cell) -> PlannedCell:
        self.edits, self.skipped, self.needs, self.number = [], [], {}, cell.cell.number
        quiet = [drop for drop in cell.dropped if not drop.quiet]
        self.skipped = [SkippedStatement(drop.line, drop.end_line, drop.reason) for drop in quiet]
        if cell.file is not None:
            return self._plan_file(cell, cell.file)
        if cell.tree is None:
            return self._plan_broken(cell)
        role = self._role(cell)
        drops = deque(sorted(cell.dropped, key=lambda drop: drop.line))
        for statement in cell.tree.body:
            while drops and drops[0].line < statement.lineno:
                self._lose_dropped(drops.popleft())
            self._plan_statement(statement, role)
        for drop in drops:
            self._lose_dropped(drop)
        source = anchored(edited(cell.source, self.edits))
        tree = cell.tree if source == cell.source else parse(source)
        if tree is None:  # a mistake of ours must not cost the student the cell
            source, tree, self.skipped = anchored(cell.source), cell.tree, []
        runs = bool(tree.body) and not all(_is_idle(statement) for statement in tree.body)
        decision: Decision = "run" if not self.skipped else ("partly" if runs else "skip")
        newer = str(cell.newer) if cell.newer else ""
        add_imports(tree, self.number, self.imports)
        rescue = anchored(rescue_of(source, tree))
        skipped = tuple(sorted(self.skipped, key=lambda skip: skip.line))
        needs = tuple(self.needs.items())
        reason = "; ".join(text for text in (newer, _main_reason(skipped)) if text)
        return PlannedCell(cell.cell, source, decision, reason, skipped, rescue, needs)

    def _plan_file(self, cell: _Cell, file: WrittenFile) -> PlannedCell:
        """A cell that writes a file; a Python file is written without what would be left out of a cell."""
        text = cell.source
        if cell.tree is not None:
            inside = _Planner(self.notebook, self.template)
            inside.imports = self.imports
            planned = inside.plan(_Cell(cell.cell, cell.source, (), cell.tree))
            text, self.skipped = planned.source, list(planned.skipped)
        source = file.statement(text)
        reason = f"writes {file.path}"
        skipped = tuple(self.skipped)
        return PlannedCell(cell.cell, source, "partly" if skipped else "run", reason, skipped, source)

    def _plan_broken(self, cell: _Cell) -> PlannedCell:
        """A cell that does not parse runs as it is and fails; then the definitions in it that do parse run."""
        rescue = anchored(rescue_of_broken(cell.source))
        tree = parse(rescue)
        if tree is not None:
            for statement in tree.body:
                self._gain(names_of(statement).binds)
            add_imports(tree, self.number, self.imports)
        reason = str(cell.newer) if cell.newer else ""
        return PlannedCell(cell.cell, anchored(cell.source), "run", reason, tuple(self.skipped), rescue)

    def _role(self, cell: _Cell) -> str | None:
        if cell.cell.role is not None:
            return cell.cell.role
        alike = self.template.most_alike(cell.cell.source)
        return alike.role if alike else None

    def _gain(self, names: dict[str, None]) -> None:
        self.available.update(names)
        for name in names:
            self.missing.pop(name, None)

    def _lose(self, names: Iterable[str], line: int, reason: str) -> None:
        why = f"line {line} of code cell {self.number}, which makes it, was not run ({reason})"
        self.missing.update((name, why) for name in names if name not in self.available)

    def _lose_dropped(self, drop: Dropped) -> None:
        self._lose(drop.names, drop.line, drop.reason)

    def _plan_statement(self, statement: ast.stmt, role: str | None) -> None:
        """Run a statement, leave it out, or do so with the statements within it."""
        if isinstance(statement, IMPORTS):
            self._gain(names_of(statement).binds)
            return
        names = names_of(statement)
        if isinstance(statement, DEFINITIONS):
            self._plan_definition(names)
            return
        reason = self._why_skip(statement, names, role)
        if not reason:
            self._gain(names.binds)
        elif self._can_split(statement):
            self._split(statement, role)
        else:
            self._skip(statement, names, reason)

    def _plan_definition(self, names: Names) -> None:
        """Keep a definition; what it needs of skipped statements will stand there without a value."""
        if self.missing:
            lacking = self.notebook.reads_through(names.reads)
            self.needs.update((name, self.missing[name]) for name in lacking if name in self.missing)
        self._gain(names.binds)

    def _why_skip(self, statement: ast.AST, names: Names, role: str | None) -> str:
        cause = self.notebook.why_skip(statement)
        if cause:
            return cause
        lacking = self._lacking(names)
        if lacking:
            return DRAWS if self._draws(statement) else _uses(lacking)
        if role in ("train", "visualize") and not (
            isinstance(statement, ast.stmt) and is_constant(statement)
        ):
            return _ROLE_REASONS[role]
        return ""

    def _lacking(self, names: Names) -> str:
        if not self.missing:
            return ""
        return next((name for name in self.notebook.reads_through(names.reads) if name in self.missing), "")

    def _draws(self, statement: ast.AST) -> bool:
        calls = (node for node in ast.walk(statement) if isinstance(node, ast.Call))
        return any(self.notebook.resolve(call.func).startswith(("matplotlib.", "seaborn.")) for call in calls)

    def _can_split(self, statement: ast.stmt) -> bool:
        """Whether the header of a compound statement may run, so that its body can be judged by itself.

        Not in a deep nest, where each level would go through all below it again.
        """
        if self.depth >= MAX_SPLITS:
            return False
        if isinstance(statement, ast.If):
            header: list[ast.expr] = [statement.test]
        elif isinstance(statement, ast.With | ast.AsyncWith):
            header = [item.context_expr for item in statement.items]
        else:
            return isinstance(statement, ast.Try)
        return not self.notebook.why_skip(*header) and not self._lacking(names_of(*header))

    def _split(self, statement: ast.stmt, role: str | None) -> None:
        if isinstance(statement, ast.With | ast.AsyncWith):
            for item in statement.items:
                if item.optional_vars is not None:
                    self._gain(names_of(item.optional_vars).binds)
        self.depth += 1
        for body in bodies_of(statement):
            for inner in body:
                self._plan_statement(inner, role)
        self.depth -= 1

    def _skip(self, statement: ast.stmt, names: Names, reason: str) -> None:
        """Leave a statement out, except for definitions within it."""
        whole = edit_for(statement)
        within = only_definitions(statement)
        self.edits += [whole] if within is None else within
        self.skipped.append(SkippedStatement(whole.line, whole.end_line, reason))
        kept = _defined_within(statement) if within is not None else {}
        self._lose([name for name in names.binds if name not in kept], whole.line, reason)
        self._gain(kept)
        # A list that only a skipped loop fills is as good as missing: reading its last item would fail.
        filled = f"line {whole.line} of code cell {self.number}, which fills it, was not run ({reason})"
        self.missing.update((name, filled) for name in names.fills if name in self.available)


def _uses(name: str) -> str:
    return f"uses `{name}`, which only a skipped cell defines"


def _defined_within(statement: ast.stmt) -> dict[str, None]:
    """Names that classes, functions and imports within the blocks of a statement bind."""
    found: dict[str, None] = {}
    for body in bodies_of(statement):
        for inner in body:
            kept = isinstance(inner, (*DEFINITIONS, *IMPORTS))
            found.update(names_of(inner).binds if kept else _defined_within(inner))
    return found


def _is_idle(statement: ast.stmt) -> bool:
    """Whether nothing is left of a statement but `pass`, strings, and blocks of them."""
    if isinstance(statement, ast.If | ast.With | ast.AsyncWith | ast.Try):
        return all(_is_idle(inner) for body in bodies_of(statement) for inner in body)
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, ast.Pass)


def _main_reason(skipped: Sequence[SkippedStatement]) -> str:
    """The reason that tells most: training before downloads before what follows from them."""
    reasons = list(dict.fromkeys(skip.reason for skip in skipped))
    for telling in (TRAINS, _ROLE_REASONS["train"], DOWNLOADS):
        if telling in reasons:
            return telling
    return reasons[0] if reasons else ""
