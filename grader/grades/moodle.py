"""Fills a grading worksheet that Moodle exported, scores and feedback, so that Moodle imports it.

Moodle finds a student by the number in ``Identifier`` (``Participant 123``). It takes feedback for HTML.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from grader.errors import UsageError
from grader.grades.cells import Sheet, read_sheet
from grader.grades.filling import Filled, Filling, number_in
from grader.grades.final import FinalGrade
from grader.grades.matching import Column, Listed, match
from grader.report.terminal import points as shown
from grader.scoring.rubric import Rubric
from grader.text.safe_text import LONG, for_csv, for_html, one_line

_IDS = (
    Column("Identifier", "moodle"),
    Column("ID number"),
    Column("Username"),
    Column("Email address"),
)
_REQUIRED = (("Identifier",), ("Grade",))
_FEEDBACK = "Feedback comments"
_LOCKED = "Moodle says that the grade cannot be changed"
_MOST = 100_000
"""Characters of feedback on one student."""


def fill_moodle(path: Path, grades: Sequence[FinalGrade], rubric: Rubric, *, scale: bool = False) -> Filled:
    """Fill scores into an exported worksheet, and feedback where there is a column for it; raises `UsageError`.

    Feedback that a person wrote into Moodle stays. Points are converted with ``scale`` where Moodle's maximum differs.
    """
    sheet = read_sheet(path, _REQUIRED)
    column = sheet.column("Grade")
    assert column is not None
    feedback = sheet.column(_FEEDBACK)
    factor = _factor(sheet, rubric, scale=scale)
    matches = match({grade.submission: grade.student for grade in grades}, _students(sheet), _IDS)
    filling, kept = Filling("Moodle", sheet, column, matches), 0
    for grade in grades:
        row = matches.found.get(grade.submission)
        if row is None:
            continue
        is_locked = _value(sheet, row, "Grade can be changed").casefold() == "no"
        if not filling.put(grade, row, factor, _LOCKED if is_locked else None):
            continue
        text = _value(sheet, row, _FEEDBACK)
        if feedback is not None and (not text or text.startswith(_opening(rubric))):
            filling.values[row.record, feedback] = feedback_on(grade, rubric)
        elif feedback is not None:
            kept += 1
    return filling.finished(*((f"feedback kept that somebody else wrote: {kept}",) if kept else ()))


def feedback_on(grade: FinalGrade, rubric: Rubric) -> str:
    """What a student reads in Moodle: the total, then each item with its reasons and comment, as HTML in one line."""
    assert grade.total is not None
    lines = [f"{_opening(rubric)}{shown(grade.total)} / {shown(rubric.total)}"]
    for item in grade.items:
        lines.append(f"<b>{item.id}</b> {_html(item.title)}: {shown(item.points or 0)} / {shown(item.available)}")
        lines += [f"&nbsp;&nbsp;{_html(text)}" for text in (*item.reasons, item.comment) if text.strip()]
    for deduction in grade.deductions:
        taken = f"-{shown(deduction.points or 0)}"
        lines.append(f"{_html(deduction.title)} ({shown(deduction.percent)}%): {taken} {_html(deduction.reason)}".rstrip())
    lines += map(_html, grade.notes)
    return for_csv("<br>".join(lines), _MOST)


def _opening(rubric: Rubric) -> str:
    """How our feedback begins, by which it is told from a person's when grades are exported again."""
    return f"{_html(one_line(rubric.title))}: "


def _html(text: str) -> str:
    return for_html(text, LONG).strip().replace("\n", "<br>")


def _factor(sheet: Sheet, rubric: Rubric, *, scale: bool) -> float:
    """By what a total is multiplied, as the worksheet's maximum asks."""
    place = sheet.column("Maximum Grade", "Maximum grade")
    told = {sheet.records[n].value(place).strip() for n in range(1, len(sheet.records))} if place is not None else set()
    most = {number for text in told if (number := number_in(text)) is not None}
    if not most:
        return 1.0
    if len(most) > 1:
        raise UsageError(f"{sheet.name}: the maximum grade is not the same in all rows")
    worth = most.pop()
    if worth != rubric.total and not scale:
        raise UsageError(
            f"{sheet.name}: the maximum grade is {shown(worth)} in Moodle and {shown(rubric.total)} in the rubric; "
            "change it in Moodle and export again, or pass --scale"
        )
    return worth / rubric.total


def _students(sheet: Sheet) -> list[Listed]:
    name = sheet.column("Full name")
    places = [sheet.column(column.title) for column in _IDS]
    rows = []
    for number, record in enumerate(sheet.records):
        if number == 0 or record.is_blank:
            continue
        ids = ["" if place is None else record.value(place).strip() for place in places]
        ids[0] = re.sub(r"^\D*(?=\d+$)", "", ids[0])
        rows.append(Listed(number, record.line, "" if name is None else record.value(name).strip(), tuple(ids)))
    return rows


def _value(sheet: Sheet, row: Listed, title: str) -> str:
    place = sheet.column(title)
    return "" if place is None else sheet.records[row.record].value(place).strip()
