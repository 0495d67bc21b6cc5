"""How late submissions are, by a CSV file with a column such as Gradescope's ``Lateness (H:M:S)``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from grader.errors import UsageError
from grader.grades.cells import Sheet, read_sheet
from grader.grades.matching import Column, Listed, match
from grader.grades.students import Student

_COLUMN = re.compile(r"(?:(?P<title>.+) - )?Lateness(?: \(H:M:S\))?", re.I)
_SPAN = re.compile(r"(\d{1,6}):(\d{1,2}):(\d{1,2})")
_IDS = ("SID", "Student ID", "ID", "Email", "Email Address", "Login", "Username")


def lateness_of(
    path: Path, students: Mapping[str, Student], title: str
) -> tuple[dict[str, timedelta], tuple[str, ...]]:
    """How late each student was, by key, and what the file says of nobody in the class. Raises `UsageError`.

    In a file on several assignments, the column of the one called ``title`` counts.
    """
    sheet = read_sheet(path, [])
    column = _column(sheet, title)
    places = [(name, place) for name in _IDS if (place := sheet.column(name)) is not None]
    rows = [
        Listed(number, record.line, _name(sheet, number), tuple(record.value(place) for _, place in places))
        for number, record in enumerate(sheet.records)
        if number and record.value(column).strip()
    ]
    matches = match(students, rows, [Column(name) for name, _ in places])
    late = {key: _span(sheet, row, column) for key, row in matches.found.items()}
    notes = tuple(
        f"{sheet.name}: {row.shown}: is not in the class, but was late"
        for row in matches.strange
        if _span(sheet, row, column)
    )
    return late, notes


def _column(sheet: Sheet, title: str) -> int:
    named = [(number, match) for number, name in enumerate(sheet.header) if (match := _COLUMN.fullmatch(name))]
    own = [number for number, match in named if (match["title"] or "").casefold() == title.casefold()]
    found = own or [number for number, _ in named]
    if len(found) != 1:
        what = "no column" if not found else "several columns"
        raise UsageError(
            f'{sheet.name}: line 1 has {what} called "Lateness (H:M:S)"; download the grades of this assignment alone'
        )
    return found[0]


def _name(sheet: Sheet, number: int) -> str:
    record = sheet.records[number]
    for names in (("Name", "Student", "Full name"), ("First Name",)):
        place = sheet.column(*names)
        if place is not None:
            last = sheet.column("Last Name") if names == ("First Name",) else None
            return f"{record.value(place)} {record.value(last) if last is not None else ''}".strip()
    return ""


def _span(sheet: Sheet, row: Listed, column: int) -> timedelta:
    text = sheet.records[row.record].value(column).strip()
    found = _SPAN.fullmatch(text)
    if found is None:
        raise UsageError(f"{sheet.name}:{row.line}: {text}: is not a time such as 26:03:15")
    hours, minutes, seconds = map(int, found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)
