"""Builds the notebooks from the reference: the master, with all answers, and the template that students get.

The outline in ``reference/`` says which cell shows what; an import from ``reference`` in it stands for the source of what
it names. Sources are read as text and never imported. Every function takes the homework, by default the one that
`load_homework` finds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from grader.errors import GraderError, UsageError
from grader.homework import Homework, load_homework

ROLES = ("setup", "provided", "solution", "test", "train", "visualize", "download", "text-answer")

START = re.compile(r"^\s*# =+ *answer start *=+\s*$", re.IGNORECASE)
END = re.compile(r"^\s*# =+ *answer end *=+\s*$", re.IGNORECASE)
TASK = "# Task:"
TODO = "# TODO:"

_LINTER_COMMENT = re.compile(r"  # (noqa|type: ignore)\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class OutlineCell:
    """A cell of the outline: what it is called, what it is for, and its text before anything is put in."""

    id: str
    part: str
    role: str
    is_code: bool
    text: str
    master_only: bool


# The outline and the modules it shows.


def read_outline(homework: Homework | None = None) -> list[OutlineCell]:
    """Every cell of the outline, checked for an id of its own, a part and a known role."""
    homework = homework or load_homework()
    text = _read(homework, homework.outline)
    # What comes before the first cell speaks to whoever edits the outline.
    notebook = jupytext.reads(text[text.index("# %%") :], fmt="py:percent")
    cells = [_outline_cell(cell, homework.outline) for cell in notebook.cells]
    ids = [cell.id for cell in cells]
    for name in ids:
        if ids.count(name) > 1:
            raise GraderError(f"reference/{homework.outline}: two cells have the id {name!r}; rename one")
    return cells


def _outline_cell(cell: NotebookNode, outline: str) -> OutlineCell:
    metadata: dict[str, Any] = dict(cell.metadata)
    try:
        name, part, role = (str(metadata[key]) for key in ("id", "part", "role"))
    except KeyError as missing:
        raise GraderError(f"reference/{outline}: a cell has no {missing}: {cell.source[:40]!r}") from None
    if role not in ROLES:
        raise GraderError(f"reference/{outline}: cell {name!r} has the unknown role {role!r}")
    return OutlineCell(
        id=name,
        part=part,
        role=role,
        is_code=cell.cell_type == "code",
        text=cell.source,
        master_only=metadata.get("only") == "master",
    )


def _read(homework: Homework, name: str) -> str:
    path = homework.reference / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise GraderError(f"the reference is incomplete, reinstall the grader: {error}") from error


def _module_source(homework: Homework, module: str) -> str:
    return _read(homework, module.removeprefix("reference.").replace(".", "/") + ".py")


def sources_of(homework: Homework, module: str, names: list[str]) -> list[str]:
    """The texts of top-level classes, functions and constants, in the module's order, with their comments."""
    lines = _module_source(homework, module).splitlines()
    found: dict[str, str] = {}
    for node in ast.parse("\n".join(lines)).body:
        for name in set(names).intersection(_names_bound(node)):
            found[name] = _text_of(node, lines)
    if missing := sorted(set(names) - set(found)):
        raise GraderError(
            f"reference/{homework.outline} imports {missing[0]!r} from {module}, which has no such thing"
        )
    return list(found.values())


def _text_of(node: ast.stmt, lines: list[str]) -> str:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    while first and lines[first - 1].startswith("#"):
        first -= 1
    # An end marker may be a body's last line, and comments are no part of the syntax tree.
    last = node.end_lineno or node.lineno
    while last < len(lines) and (not lines[last].strip() or lines[last].startswith(" ")):
        last += 1
    return _LINTER_COMMENT.sub("", "\n".join(lines[first:last]).rstrip())


def _names_bound(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _is_ours(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "reference"


def _library_imports(source: str) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom) and not _is_ours(node):
            yield node


def expand(homework: Homework, text: str) -> str:
    """A code cell with sources instead of imports from ``reference``, and without library imports."""
    lines = text.splitlines()
    pieces: list[str] = []
    kept: list[str] = []
    done = 0
    for node in ast.parse(text).body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        kept += lines[done : node.lineno - 1]
        done = node.end_lineno or node.lineno
        if isinstance(node, ast.ImportFrom) and _is_ours(node):
            pieces.append("\n".join(kept))
            sources = sources_of(homework, node.module or "", [alias.name for alias in node.names])
            # One-line constants stand together; classes and functions stand apart.
            pieces += [
                "\n".join(group) if together else "\n\n\n".join(group)
                for together, group in groupby(sources, key=lambda source: "\n" not in source)
            ]
            kept = []
    pieces.append("\n".join([*kept, *lines[done:]]))
    return "\n\n\n".join(piece.strip("\n") for piece in pieces if piece.strip())


def imports_for(homework: Homework, cells: list[OutlineCell]) -> str:
    """The library imports that the cells need, standard library first, sorted."""
    modules = {
        node.module
        for cell in cells
        if cell.is_code
        for node in ast.parse(cell.text).body
        if isinstance(node, ast.ImportFrom) and node.module and _is_ours(node)
    }
    texts = [cell.text for cell in cells if cell.is_code]
    shown = ast.parse("\n".join(expand(homework, text) for text in texts))
    used = {node.id for node in ast.walk(shown) if isinstance(node, ast.Name)}
    plain: set[str] = set()
    members: dict[str, set[str]] = {}
    for source in [*texts, *(_module_source(homework, module) for module in sorted(modules))]:
        for node in _library_imports(source):
            for alias in node.names:
                if (alias.asname or alias.name.split(".")[0]) not in used:
                    continue
                name = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
                if isinstance(node, ast.ImportFrom):
                    members.setdefault(node.module or "", set()).add(name)
                else:
                    plain.add(name)
    lines = [(module, f"import {module}") for module in sorted(plain)]
    lines += [
        (module, f"from {module} import {', '.join(sorted(members[module]))}") for module in sorted(members)
    ]
    standard = [line for module, line in lines if module.split(".")[0] in _STANDARD_LIBRARY]
    others = [line for module, line in lines if module.split(".")[0] not in _STANDARD_LIBRARY]
    return "\n".join([*standard, "", *others])


# Only what the reference uses: sys.stdlib_module_names differs between Pythons, and the notebook must not.
_STANDARD_LIBRARY = {"collections", "contextlib", "dataclasses", "math", "pathlib", "typing", "urllib"}


# Answers, and what stands in their place.


def strip_answers(source: str) -> str:
    """Replace every answer between the markers by hints and a ``raise NotImplementedError``."""
    lines = source.splitlines()
    out: list[str] = []
    start: int | None = None
    for number, line in enumerate(lines):
        if START.match(line):
            if start is not None:
                raise GraderError(f"an answer begins within another: line {number + 1} of {lines[0]!r}")
            start = number
            out.append(line)
        elif END.match(line):
            if start is None:
                raise GraderError(f"an answer ends that did not begin: line {number + 1} of {lines[0]!r}")
            out += _blank(lines[start + 1 : number], _place(source, start + 1))
            start = None
            out.append(line)
        elif start is None:
            out.append(line)
    if start is not None:
        raise GraderError(f"an answer does not end: line {start + 1} of {lines[0]!r}")
    return "\n".join(out)


def _blank(answer: list[str], place: str) -> list[str]:
    hints: list[str] = []
    for line in answer:
        if not line.lstrip().startswith("#"):
            break
        hints.append(line)
    if not hints or not hints[0].lstrip().startswith(TASK):
        raise GraderError(f"the answer of {place} does not begin with a '{TASK}' comment")
    indent = hints[0][: len(hints[0]) - len(hints[0].lstrip())]
    hints[0] = hints[0].replace(TASK, TODO, 1)
    return [*hints, f'{indent}raise NotImplementedError("{place} is not implemented yet")']


def _place(source: str, line: int) -> str:
    """The qualified name of the innermost function or class around a line, such as ``Softmax.forward``."""
    names: list[str] = []
    nodes: list[ast.stmt] = ast.parse(source).body
    while nodes:
        inside = [
            node
            for node in nodes
            if isinstance(node, ast.ClassDef | ast.FunctionDef)
            and node.lineno <= line <= (node.end_lineno or 0)
        ]
        names += [node.name for node in inside]
        nodes = inside[0].body if inside else []
    return ".".join(names)


def model_answers(homework: Homework | None = None) -> dict[str, str]:
    """The written answers by part, without their grading notes."""
    text = _read(homework or load_homework(), "written_answers.md")
    sections = re.split(r"^## +(\w+)\s*$", text, flags=re.MULTILINE)[1:]
    answers = zip(sections[::2], sections[1::2], strict=True)
    return {part: text.split("**Grading notes.**")[0].strip() for part, text in answers}


# Notebooks.


def build_master(homework: Homework | None = None) -> NotebookNode:
    """The notebook with every answer, and with the demonstrations that only teachers see."""
    chosen = homework or load_homework()
    answers = model_answers(chosen)

    def text(cell: OutlineCell) -> str:
        if cell.role == "text-answer":
            return f"{cell.text}\n\n**Answer.** {answers.get(cell.part, '')}".rstrip()
        return expand(chosen, cell.text) if cell.is_code else cell.text

    return _notebook(chosen, read_outline(chosen), text)


def build_template(homework: Homework | None = None) -> NotebookNode:
    """The notebook that students get."""
    chosen = homework or load_homework()

    def text(cell: OutlineCell) -> str:
        if cell.role == "text-answer":
            return f"{cell.text}\n\n**Answer.** *your answer here*"
        return strip_answers(expand(chosen, cell.text)) if cell.is_code else cell.text

    return _notebook(chosen, [cell for cell in read_outline(chosen) if not cell.master_only], text)


def _notebook(
    homework: Homework, cells: list[OutlineCell], text: Callable[[OutlineCell], str]
) -> NotebookNode:
    """A notebook of these cells, each showing its ``text``; the set-up cell imports what all of them need."""
    nodes = []
    for cell in cells:
        source = f"{imports_for(homework, cells)}\n\n{text(cell)}" if cell.role == "setup" else text(cell)
        metadata = {"tags": [f"hw3-{cell.role}"], "hw3": {"part": cell.part, "role": cell.role}}
        node: dict[str, Any] = {
            "cell_type": "markdown",
            "id": cell.id,
            "metadata": metadata,
            "source": source,
        }
        if cell.is_code:
            node |= {"cell_type": "code", "execution_count": None, "outputs": []}
        nodes.append(node)
    metadata = {
        "accelerator": "GPU",
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    content = {"cells": nodes, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    notebook: NotebookNode = nbformat.from_dict(content)
    nbformat.validate(notebook)
    return notebook


def to_text(notebook: NotebookNode) -> str:
    """The notebook as a file's content, the same for the same notebook."""
    text: str = nbformat.writes(notebook, version=nbformat.NO_CONVERT)
    return text.rstrip("\n") + "\n"


def write(notebook: NotebookNode, path: Path) -> Path:
    """Write a notebook, making folders as needed, and return where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_text(notebook), encoding="utf-8", newline="\n")
    return path


def build(out: Path | None = None, homework: Homework | None = None) -> list[Path]:
    """Write the template to the folder ``out``, or to its place in the checkout, and return its path."""
    place = (homework or load_homework()).template
    if out is None and place.parent.parent.name == "_shipped":
        raise UsageError("an installed grader does not change its own template; pass --out")
    return [write(build_template(homework), place if out is None else out / place.name)]


def write_master(out: Path, homework: Homework | None = None) -> Path:
    """Write the master notebook, which holds all answers, into the folder ``out``."""
    chosen = homework or load_homework()
    return write(build_master(chosen), out / f"{chosen.name}_master.ipynb")


def check(homework: Homework | None = None) -> list[str]:
    """How the template that students get differs from the reference, a line each; none if it does not."""
    place = (homework or load_homework()).template
    if not place.is_file():
        return [f"{place.name} is missing: run `grader template build`"]
    kept, wanted = place.read_text(encoding="utf-8"), build_template(homework)
    if kept == to_text(wanted):
        return []
    try:
        old = nbformat.reads(kept, as_version=nbformat.NO_CONVERT)
        have = {cell.id: cell for cell in old.cells}
    except Exception as error:  # nbformat raises many kinds on a broken file
        return [f"{place.name} is not a notebook: {error}"]
    want = {cell.id: cell for cell in wanted.cells}
    differences = [f"cell {name!r} is missing" for name in want if name not in have]
    differences += [f"cell {name!r} is not in the outline" for name in have if name not in want]
    differences += [f"cell {name!r} differs" for name in want if name in have and have[name] != want[name]]
    return differences or ["the cells agree; their order, the metadata or the layout of the file does not"]
