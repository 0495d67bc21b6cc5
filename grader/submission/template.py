"""The template notebook: which cell plays which role, and what it provides ready-made."""

from __future__ import annotations

import ast
import difflib
import functools
import io
import tokenize
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from grader.submission.magics import without_magics
from grader.submission.reading import Submission, read_submission
from grader.submission.syntax import parse, tree_of

ALIKE = 0.9
_MAX_TOKENS = 3_000


@dataclass(frozen=True)
class TemplateCell:
    """A code cell of the template."""

    source: str
    role: str | None
    part: str | None
    id: str

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The cell's tokens, without comments and layout."""
        return tokens_of(self.source)


@dataclass(frozen=True)
class Template:
    """The template's code cells, the source of its provided classes and functions by name, and its imports.

    ``imports`` are statements by the name that each binds.
    """

    cells: tuple[TemplateCell, ...] = ()
    classes: tuple[tuple[str, str], ...] = ()
    functions: tuple[tuple[str, str], ...] = ()
    name: str = "homework.ipynb"
    """What a submission is expected to be called."""
    imports: tuple[tuple[str, str], ...] = ()

    def with_imports(self, source: str) -> str:
        """Provided code after the imports that it uses, so that it runs in a notebook that lacks them."""
        used = {node.id for node in ast.walk(tree_of(source)) if isinstance(node, ast.Name)}
        return "\n".join([*(text for name, text in self.imports if name in used), source])

    def most_alike(self, source: str) -> TemplateCell | None:
        """The template cell whose tokens agree with the source's to at least 90 %, if there is one."""
        tokens = tokens_of(source)
        if not tokens:
            return None
        best, best_ratio = None, ALIKE
        for cell in self.cells:
            if cell.tokens == tokens:
                return cell
            if not cell.tokens or abs(len(cell.tokens) - len(tokens)) > 0.25 * max(
                len(cell.tokens), len(tokens)
            ):
                continue
            matcher = difflib.SequenceMatcher(None, cell.tokens, tokens, autojunk=False)
            if matcher.real_quick_ratio() < best_ratio or matcher.quick_ratio() < best_ratio:
                continue
            ratio = matcher.ratio()
            if ratio >= best_ratio:
                best, best_ratio = cell, ratio
        return best


@dataclass(frozen=True)
class Altered:
    """A provided class or function that a submission changed, in code cell ``number``."""

    name: str
    number: int


def load_template(path: Path, provided: Collection[str] = ()) -> Template:
    """Read the template notebook; raises NothingToGrade if it cannot be read.

    In a template that marks no cell as provided, ``provided`` are the classes that students do not write.
    """
    return template_of(read_submission(path), provided)


def template_of(notebook: Submission, provided: Collection[str] = ()) -> Template:
    """The template that a notebook is."""
    cells = tuple(TemplateCell(cell.source, cell.role, cell.part, cell.id) for cell in notebook.cells)
    marked = any(cell.role == "provided" for cell in cells)
    classes: dict[str, str] = {}
    functions: dict[str, str] = {}
    for cell in cells:
        for node in _definitions(cell.source):
            if isinstance(node, ast.ClassDef):
                if cell.role == "provided" or (not marked and node.name in provided):
                    classes[node.name] = ast.unparse(node)
            elif cell.role in ("provided", "setup") or not marked:
                functions[node.name] = ast.unparse(node)
    imports = tuple(_imports(cells).items())
    return Template(cells, tuple(classes.items()), tuple(functions.items()), notebook.name, imports)


def _imports(cells: Iterable[TemplateCell]) -> dict[str, str]:
    """The imports of cells at top level, each name by itself."""
    found: dict[str, str] = {}
    for cell in cells:
        tree = parse(without_magics(cell.source)[0])
        for node in tree.body if tree else []:
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            for alias in node.names:
                one = ast.Import([alias]) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, [alias], node.level)
                bound = alias.asname or (alias.name.partition(".")[0] if isinstance(node, ast.Import) else alias.name)
                found[bound] = ast.unparse(one)
    return found


def altered_provided(submission: Submission, template: Template) -> tuple[Altered, ...]:
    """Provided classes whose last definition differs in more than docstrings and annotations."""
    last: dict[str, tuple[ast.AST, int]] = {}
    for cell in submission.cells:
        for node in _definitions(cell.source):
            last[node.name] = (node, cell.number)
    altered = []
    for name, source in template.classes:
        if name in last and _normal(ast.unparse(last[name][0])) != _normal(source):
            altered.append(Altered(name, last[name][1]))
    return tuple(altered)


def tokens_of(source: str) -> tuple[str, ...]:
    """A cell's tokens without comments, line ends and indentation; split at spaces if it is no Python."""
    ignored = (
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    )
    found: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(without_magics(source)[0]).readline):
            if token.type not in ignored:
                found.append(token.string)
            if len(found) == _MAX_TOKENS:
                break
    except (tokenize.TokenError, SyntaxError, ValueError, RecursionError):
        found = source.split()[:_MAX_TOKENS]
    return tuple(found)


def _definitions(source: str) -> list[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = parse(without_magics(source)[0])
    if tree is None:
        return []
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in tree.body if isinstance(node, kinds)]


class _Strip(ast.NodeTransformer):
    """Removes what does not change behaviour: docstrings, annotations, `pass` beside other statements."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [item for item in body if not _is_idle(item)] or [ast.Pass()]  # type: ignore[attr-defined]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        return ast.Assign([node.target], node.value) if node.value else ast.Pass()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def _is_idle(node: ast.AST) -> bool:
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


@functools.lru_cache(maxsize=32)
def _normal(source: str) -> str:
    tree = parse(source)
    return ast.dump(_Strip().visit(tree)) if tree else ""
