"""Fills one column of a gradebook that Canvas exported, so that Canvas imports the scores.

Canvas' importer finds the assignment by the number at the end of its title and a student by ``ID``, ``SIS User ID``,
``SIS Login ID`` or the name. It takes every cell that differs from what it knows as a change, so no other cell may change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from grader.batch.roster import is_no_student
from grader.errors import UsageError
from grader.grades.cells import Record, Sheet, read_sheet
from grader.grades.filling import Filled, Filling, number_in, titles
from grader.grades.final import FinalGrade
from grader.grades.matching import Column, Listed, match
from grader.report.terminal import points as shown
from grader.scoring.rubric import Rubric
from grader.text.safe_text import one_line

_IDS = (Column("ID", "canvas"), Column("SIS User ID"), Column("SIS Login ID"))
_REQUIRED = (("Student", "LastName"), ("ID",), ("Section",))
_ASSIGNMENT = re.compile(r"(?P<title>.*\S)\s*\((?P<id>\d+)\)", re.S)
_COMPUTED = re.compile(r"(Current|Final) (Score|Points|Grade)|Override (Score|Grade|Status)")
"""In the titles of columns that Canvas computes, or does not import."""
_HIDDEN = re.compile(r"\s*(Muted|Manual Posting.*)?\s*", re.I)
_KEPT = {"ex": "excused in Canvas", "n/a": "the assignment is not assigned to this student in Canvas"}


def fill_canvas(
    path: Path, grades: Sequence[FinalGrade], rubric: Rubric, assignment: str = "", *, scale: bool = False
) -> Filled:
    """Fill the column of an assignment, named by title or number, in an exported gradebook; raises `UsageError`.

    Without ``assignment`` it is the one that is called like the homework. Points are converted with ``scale`` where the
    assignment is worth something else than the homework.
    """
    sheet = read_sheet(path, _REQUIRED)
    possible = _points_possible(sheet)
    column = _column(sheet, possible, assignment or rubric.title, is_chosen=bool(assignment))
    title = sheet.header[column]
    worth = _worth(sheet, possible, column)
    if worth is not None and worth != rubric.total and not scale:
        raise UsageError(
            f"{sheet.name}: {one_line(title)} is worth {shown(worth)} points in Canvas and {shown(rubric.total)} in the "
            "rubric; change the points in Canvas and export again, or pass --scale"
        )
    factor = worth / rubric.total if worth and scale else 1.0
    rows = list(_students(sheet))
    matches = match({grade.submission: grade.student for grade in grades}, rows, _IDS)
    filling = Filling("Canvas", sheet, column, matches)
    for grade in grades:
        row = matches.found.get(grade.submission)
        if row is not None:
            before = sheet.records[row.record].value(column)
            filling.put(grade, row, factor, _KEPT.get(before.strip().casefold()))
    return filling.finished()


def _points_possible(sheet: Sheet) -> Record | None:
    """The row that says what assignments are worth, and which columns are read-only."""
    return next((record for record in sheet.records[1:] if "Points Possible" in record.value(0)), None)


def _column(sheet: Sheet, possible: Record | None, wanted: str, *, is_chosen: bool) -> int:
    """The column of the assignment that is wanted, by its number, its whole heading or its title."""
    section = sheet.column("Section")
    assert section is not None
    found: dict[int, re.Match[str]] = {}
    for number, name in enumerate(sheet.header):
        heading = _ASSIGNMENT.fullmatch(name)
        if number > section and heading is not None and not _COMPUTED.search(name):
            found[number] = heading
    plain = wanted.strip().casefold()
    for chosen in (
        [number for number, heading in found.items() if heading["id"] == plain],
        [number for number, heading in found.items() if heading[0].casefold() == plain],
        [number for number, heading in found.items() if heading["title"].casefold() == plain],
    ):
        if len(chosen) > 1:
            names = titles([one_line(sheet.header[number]) for number in chosen])
            raise UsageError(f"{sheet.name}: several assignments match {one_line(wanted)}: {names}; name the number")
        if chosen:
            if _is_read_only(possible, chosen[0]):
                raise UsageError(f"{sheet.name}: {one_line(sheet.header[chosen[0]])} is read-only in Canvas")
            return chosen[0]
    names = titles([one_line(heading[0]) for heading in found.values()])
    remedy = f"its assignments are {names}" if is_chosen else f"name one with --assignment: {names}"
    raise UsageError(f"{sheet.name}: has no assignment {one_line(wanted)}; {remedy}")


def _is_read_only(possible: Record | None, column: int) -> bool:
    return possible is not None and re.search(r"read\s+only", possible.value(column)) is not None


def _worth(sheet: Sheet, possible: Record | None, column: int) -> float | None:
    """What the assignment is worth in Canvas; None where the file does not say."""
    text = possible.value(column).strip() if possible is not None else ""
    if not text:
        return None
    worth = number_in(text)
    if worth is None:
        assert possible is not None
        raise UsageError(f"{sheet.name}:{possible.line}: {one_line(text)}: is not a number of points")
    return worth


def _students(sheet: Sheet) -> list[Listed]:
    """The rows of students: neither the header, nor points possible, nor how grades are posted, nor Canvas' test student."""
    names = [place for name in ("FirstName", "Student", "LastName") if (place := sheet.column(name)) is not None]
    places = [sheet.column(column.title) for column in _IDS]
    rows = []
    for number, record in enumerate(sheet.records):
        is_note = all(_HIDDEN.fullmatch(cell.value) for cell in record.cells)
        name = " ".join(record.value(place).strip() for place in names).strip()
        if number == 0 or is_note or "Points Possible" in record.value(0) or is_no_student(name):
            continue
        ids = tuple("" if place is None else record.value(place).strip() for place in places)
        rows.append(Listed(number, record.line, name, ids))
    return rows
