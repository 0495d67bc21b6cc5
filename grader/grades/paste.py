"""Texts to paste into Gradescope, which has no import: a file for each student and one for each item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from grader.grades.final import FinalGrade, ItemGrade, shown_signed
from grader.report.terminal import points as shown
from grader.scoring.rubric import Rubric, RubricEntry
from grader.text.safe_text import clean, one_line


def by_student(grade: FinalGrade, rubric: Rubric) -> str:
    """One student: each item with its points, the rubric entries and the comment."""
    return "\n".join(_of_student(grade, rubric)) + "\n"


def by_item(
    item: str, grades: Sequence[FinalGrade], rubric: Rubric, entries: Mapping[str, Sequence[RubricEntry]]
) -> str:
    """One item: its rubric entries to enter once, then points and comment for each student."""
    return "\n".join(_of_item(item, grades, rubric, entries)) + "\n"


def _of_student(grade: FinalGrade, rubric: Rubric) -> Iterator[str]:
    total = "pending" if grade.total is None else shown(grade.total)
    yield one_line(grade.student.shown)
    yield f"{one_line(rubric.title)}: {total} / {shown(rubric.total)}"
    for item in grade.items:
        yield ""
        yield f"{item.id} {one_line(item.title)}: {_points(item)} / {shown(item.available)}"
        yield from _reasons(item)
    for deduction in grade.deductions:
        yield ""
        taken = "" if deduction.points is None else f": -{shown(deduction.points)}"
        yield f"{one_line(deduction.title)} ({shown(deduction.percent)}%){taken}"
        if deduction.reason:
            yield f"  {one_line(deduction.reason)}"
    if grade.notes:
        yield ""
        yield from map(clean, grade.notes)


def _of_item(
    name: str, grades: Sequence[FinalGrade], rubric: Rubric, entries: Mapping[str, Sequence[RubricEntry]]
) -> Iterator[str]:
    item = next(item for item in rubric.items if item.id == name)
    yield f"{item.id} {one_line(item.title)}, worth {shown(item.points)}"
    if entries.get(name):
        yield ""
        yield "Rubric"
        for entry in entries[name]:
            yield f"  {shown_signed(entry.points)}: {one_line(entry.text)}"
    for grade in grades:
        own = next(each for each in grade.items if each.id == name)
        yield ""
        yield f"{one_line(grade.student.shown)}: {_points(own)} / {shown(own.available)}"
        yield from _reasons(own)


def _points(item: ItemGrade) -> str:
    return "pending" if item.points is None else shown(item.points)


def _reasons(item: ItemGrade) -> Iterator[str]:
    """Why, and what the student is told, indented so that the next student or item stands out."""
    for text in (*item.reasons, item.comment):
        yield from (f"  {line}" for line in clean(text).split("\n") if line.strip())
