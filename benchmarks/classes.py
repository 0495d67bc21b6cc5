"""Classes of submissions to measure with: right ones, such as people hand in, and those in which everything fails."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable
from pathlib import Path

import nbformat

from grader.assignment import load_assignment
from grader.audit.corpus import Case, class_source, edited, load_all
from grader.homework3 import HOMEWORK
from tests.conftest import handwritten

_RAISES = ast.parse('raise RuntimeError("this does not work")').body


def right(number: int) -> list[str]:
    """The cells of a right submission; each differs by a comment, so that nothing known of one serves the next."""
    return [f"{cell}\n# submission {number}" for cell in handwritten()]


def mixed(number: int) -> list[str]:
    """A submission with one to three faults of the audit's corpus; every fourth has another right answer in one part."""
    lots, cells = random.Random(number), right(number)
    kind = "variant" if number % 4 == 3 else "mutant"
    cases = [
        case for case in _cases() if case.entry.kind == kind and not (case.entry.before or case.entry.after)
    ]
    parts = sorted({case.part for case in cases})
    for part in lots.sample(parts, 1 if kind == "variant" else 1 + number % 4):
        case = lots.choice([case for case in cases if case.part == part])
        cells = [_with(cell, case) for cell in cells]
    return cells


def template(number: int) -> list[str]:
    """The template as students get it."""
    notebook = nbformat.read(HOMEWORK.template, as_version=4)
    code = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [*code, f"# submission {number}"]


def raising(number: int) -> list[str]:
    """A submission whose every method raises an exception as its first act."""
    cells = []
    for cell in right(number):
        tree = ast.parse(cell)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node.body = copy.deepcopy(_RAISES)
        cells.append(f"{ast.unparse(tree)}\n# submission {number}")
    return cells


KINDS: dict[str, Callable[[int], list[str]]] = {
    "right": right,
    "mixed": mixed,
    "template": template,
    "raising": raising,
}


def make_class(folder: Path, count: int, kind: str = "right") -> list[Path]:
    """Write a class of one kind and return its notebooks."""
    folder.mkdir(parents=True)
    paths = []
    for number in range(count):
        notebook = nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_code_cell(source, id=f"cell-{place}")
                for place, source in enumerate(KINDS[kind](number))
            ],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        path = folder / f"student{number:04}.ipynb"
        nbformat.write(notebook, path)
        paths.append(path)
    return paths


def _cases() -> list[Case]:
    criteria = [criterion.id for item in load_assignment().rubric.automatic for criterion in item.criteria]
    return load_all(criteria)


def _with(cell: str, case: Case) -> str:
    source = class_source(cell, case.class_name)
    if source is None:
        return cell
    new = case.entry.code if case.entry.code is not None else edited(source, case.entry.edits)
    return cell.replace(source, new)
