"""The lines of a notebook that a report shows: the classes that were judged, and where exceptions passed."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

from grader.judging.property import Property
from grader.scoring.result import LONGEST_EXCERPT, Excerpt
from grader.scoring.verdict import Verdict
from grader.submission.definitions import Definition
from grader.submission.reading import CodeCell, Submission
from grader.submission.syntax import parse
from grader.text.safe_text import clean

MOST_LINES_OF_BROKEN = 60
AROUND = 6
"""Lines before and after one where an exception passed."""
MOST_PLACES = 20
LONG_DOCSTRING = 4
"""Lines of a docstring, at least, that a report leaves out."""


def excerpts(
    submission: Submission,
    definitions: Mapping[str, Sequence[Definition]],
    properties: Iterable[Property],
    verdicts: Iterable[Verdict],
) -> list[Excerpt]:
    """Each class that was judged, in the order of items, and what lies around further lines where exceptions passed."""
    cells = {cell.number: cell for cell in submission.cells}
    found: list[Excerpt] = []
    for item, name in sorted({(prop.part.item, prop.part.name) for prop in properties}):
        definition = _judged(definitions.get(name, ()))
        if definition is not None and definition.number in cells:
            found.append(_of_class(cells[definition.number], name, definition, item))
    places = {(place.cell, place.line) for verdict in verdicts for place in verdict.places}
    for number, line in sorted(places)[:MOST_PLACES]:
        is_shown = any(_holds(excerpt, number, line) for excerpt in found)
        if not is_shown and number in cells:
            last = line + AROUND
            found.append(_excerpt(cells[number], max(1, line - AROUND), last))
    return found


def _judged(definitions: Sequence[Definition]) -> Definition | None:
    """The definition that counts: the last one that runs, else one that does not parse."""
    code = [each for each in definitions if each.kind == "code"]
    broken = [each for each in definitions if each.kind == "broken"]
    return next(reversed(code or broken), None)


def _of_class(cell: CodeCell, name: str, definition: Definition, item: str) -> Excerpt:
    first, last, folded = definition.line, definition.line + MOST_LINES_OF_BROKEN, None
    for node in _classes(cell.source):
        if node.name == name and node.lineno == definition.line:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            last, folded = node.end_lineno or last, _docstring(node)
    return _excerpt(cell, first, last).model_copy(update={"items": (item,), "folded": folded})


def _docstring(node: ast.ClassDef) -> tuple[int, int] | None:
    """The lines of a docstring that is long."""
    start = node.body[0]
    if ast.get_docstring(node) is None or start.end_lineno is None:
        return None
    return (start.lineno, start.end_lineno) if start.end_lineno - start.lineno >= LONG_DOCSTRING else None


def _classes(source: str) -> Iterator[ast.ClassDef]:
    tree = parse(source)
    yield from (node for node in (tree.body if tree else ()) if isinstance(node, ast.ClassDef))


def _excerpt(cell: CodeCell, first: int, last: int) -> Excerpt:
    """Lines of a cell, as many as may be kept."""
    kept: list[str] = []
    room = LONGEST_EXCERPT
    for line in cell.source.split("\n")[first - 1 : last]:
        # Cleaned here, line by line, as a cut in the middle would shift what follows.
        text = clean(line, LONGEST_EXCERPT)
        room -= len(text) + 1
        if room < 0:
            break
        kept.append(text)
    return Excerpt(cell=cell.number, first=first, text="\n".join(kept))


def _holds(excerpt: Excerpt, cell: int, line: int) -> bool:
    return excerpt.cell == cell and 0 <= line - excerpt.first <= excerpt.text.count("\n")
