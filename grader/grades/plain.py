"""The final grades as a CSV file for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from grader.grades.final import FinalGrade
from grader.report.terminal import points as shown
from grader.scoring.rubric import Rubric
from grader.text.safe_text import for_csv


def plain_csv(grades: Sequence[FinalGrade], rubric: Rubric) -> str:
    """A line for each student: identifiers, total, points by item (empty while they are pending), and why."""
    text = io.StringIO()
    text.write("\ufeff")  # by which Excel knows that this is UTF-8
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *("key", "name", "id", "login", "email", "section"),
            *("total", "of", "earned", "penalties", "lateness", "pending"),
            *(item.id for item in rubric.items),
            *("overrides", "deductions", "comments"),
        ]
    )
    for grade in grades:
        student = grade.student
        identifiers = (grade.submission, student.name, student.sid, student.login, student.email, student.section)
        writer.writerow(
            [
                *map(for_csv, identifiers),
                "" if grade.total is None else shown(grade.total),
                shown(rubric.total),
                shown(grade.earned),
                *_taken(grade),
                for_csv("; ".join(f"{name}: {grade.why(name)}" for name in grade.pending)),
                *("" if item.points is None else shown(item.points) for item in grade.items),
                for_csv("; ".join(_overrides(grade))),
                for_csv("; ".join(_deductions(grade))),
                for_csv("; ".join(_comments(grade))),
            ]
        )
    return text.getvalue()


def _taken(grade: FinalGrade) -> Iterator[str]:
    """Points taken off by penalties and by lateness; empty while that is not known."""
    for deductions in (grade.penalties, [grade.lateness] if grade.lateness else []):
        is_known = grade.total is not None
        yield shown(sum(each.points or 0.0 for each in deductions)) if is_known else ""


def _overrides(grade: FinalGrade) -> Iterator[str]:
    for item in grade.items:
        if item.by == "override":
            yield f"{item.id}: {', '.join(item.reasons)}"


def _deductions(grade: FinalGrade) -> Iterator[str]:
    for each in grade.deductions:
        yield f"{each.title.rstrip('.')} ({shown(each.percent)}%){f': {each.reason}' if each.reason else ''}"


def _comments(grade: FinalGrade) -> Iterator[str]:
    yield from (f"{item.id}: {item.comment}" for item in grade.items if item.comment)
    yield from grade.notes
