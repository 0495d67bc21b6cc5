"""The code that a student wrote, as far as it can be read: what is compared with that of others."""

from __future__ import annotations

from grader.insight.similar_code import Cell
from grader.submission.magics import without_magics
from grader.submission.reading import Submission
from grader.submission.syntax import parse
from grader.submission.template import Template
from grader.submission.written import written_file

_PROVIDED = ("provided", "setup", "test", "train", "download", "visualize")


def own_cells(submission: Submission, template: Template) -> tuple[Cell, ...]:
    """The cells of a submission that parse, without those that the template has just so."""
    provided = {_squeezed(cell.source) for cell in template.cells if cell.role in _PROVIDED}
    found = (
        cell_of(cell.source, cell.number)
        for cell in submission.cells
        if _squeezed(cell.source) not in provided
    )
    return tuple(cell for cell in found if cell is not None)


def given_cells(template: Template) -> tuple[Cell, ...]:
    """The cells that students got."""
    found = (cell_of(cell.source, number) for number, cell in enumerate(template.cells, start=1))
    return tuple(cell for cell in found if cell is not None)


def parts_of(template: Template) -> dict[str, str]:
    """The item by the name of each class or function that students write."""
    found: dict[str, str] = {}
    for cell in template.cells:
        tree = parse(without_magics(cell.source)[0]) if cell.role == "solution" else None
        found |= {node.name: cell.part or "" for node in tree.body if hasattr(node, "name")} if tree else {}
    return found


def cell_of(source: str, number: int = 0) -> Cell | None:
    """A cell with its syntax tree; None if it is no Python. A cell that writes a file counts as that file."""
    written = written_file(source)
    text = "\n" * source[: len(source) - len(written.text)].count("\n") + written.text if written else source
    # Most cells hold no magics, and looking for them takes longer than parsing.
    tree = parse(text) or parse(without_magics(text)[0])
    return None if tree is None else Cell(source, tree, number)


def _squeezed(source: str) -> str:
    return "".join(source.split())
