"""Moodle's grading worksheet: grades and feedback are filled, and nothing else changes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from grader.errors import UsageError
from grader.grades.filling import Filled
from grader.grades.final import FinalGrade, ItemGrade
from grader.grades.moodle import feedback_on, fill_moodle
from grader.grades.students import Student
from tests.grades.made import RUBRIC, class_of, final

HEADER = (
    *("Identifier", "Full name", "ID number", "Email address", "Status", "Grade", "Maximum Grade"),
    *("Grade can be changed", "Last modified (submission)", "Last modified (grade)", "Feedback comments"),
)


def worksheet(people: Sequence[dict[str, str]], *, changeable: str = "Yes", feedback: str = "", most: str = "10.00") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for number, one in enumerate(people):
        status = "Submitted for grading - " if number % 2 else "No submission - Assignment is overdue by: 2 days"
        known = [f"Participant {300 + number}", one["name"], one["sid"], one["email"], status]
        writer.writerow([*known, "", most, changeable, "Wednesday, 22 October 2025, 11:58 PM", "-", feedback])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def fill(tmp_path: Path, data: bytes, grades: Sequence[FinalGrade], **options: bool) -> Filled:
    path = tmp_path / "grades.csv"
    path.write_bytes(data)
    return fill_moodle(path, grades, RUBRIC, **options)


def rows(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("kind", ["participant", "number", "email"])
def test_a_class_of_300_gets_grades_and_feedback_and_no_other_cell_changes(tmp_path: Path, kind: str) -> None:
    people = class_of(300)
    totals = [None if number % 9 == 0 else number % 41 / 4 for number in range(300)]
    grades = []
    for number, (one, total) in enumerate(zip(people, totals, strict=True)):
        known = {
            "participant": Student(one["name"], str(300 + number), platform="moodle"),
            "number": Student(one["name"], one["sid"]),
            "email": Student(one["name"], email=one["email"]),
        }[kind]
        grades.append(final(f"row-{number}", total, known))
    before = worksheet(people)
    filled = fill(tmp_path, before, grades[::-1])
    assert (filled.matches.missing, filled.matches.strange, len(filled.pending)) == ({}, (), 34)
    old, new = rows(before), rows(filled.data)
    assert [row[:5] + row[6:10] for row in old] == [row[:5] + row[6:10] for row in new]
    assert new[0] == old[0]
    for row, total in zip(new[1:], totals, strict=True):
        assert row[5] == ("" if total is None else f"{total:g}")
        assert bool(row[10]) == (total is not None)
    assert filled.data.startswith(b"\xef\xbb\xbfIdentifier,")


def test_feedback_is_html_in_one_line_and_nothing_in_it_is_markup_or_a_formula(tmp_path: Path) -> None:
    grade = final("a", 7.5)
    nasty = ItemGrade("1a", "<script>", 10, 7.5, "manual", ("+2: a < b & c",), '=HYPERLINK("x")\n<img src=x>')
    text = feedback_on(replace(grade, items=(nasty,), notes=("See & me",)), RUBRIC)
    assert text == (
        "Small homework: 7.5 / 10<br><b>1a</b> &lt;script&gt;: 7.5 / 10<br>&nbsp;&nbsp;+2: a &lt; b &amp; c<br>"
        "&nbsp;&nbsp;=HYPERLINK(&quot;x&quot;)<br>&lt;img src=x&gt;<br>See &amp; me"
    )
    formula = RUBRIC.model_copy(update={"title": "=1+1"})
    assert feedback_on(grade, formula).startswith("'=1+1: 7.5")


def test_feedback_of_a_person_stays_and_our_own_is_replaced(tmp_path: Path) -> None:
    people = class_of(1)
    student = Student("x", "300", platform="moodle")
    filled = fill(tmp_path, worksheet(people, feedback="Please see me"), [final("a", 3, student)])
    assert rows(filled.data)[1][10] == "Please see me"
    assert filled.notes == ("feedback kept that somebody else wrote: 1",)
    again = fill(tmp_path, fill(tmp_path, worksheet(people), [final("a", 3, student)]).data, [final("a", 4, student)])
    assert rows(again.data)[1][10].startswith("Small homework: 4 / 10<br>")
    assert again.notes == ("scores replaced that the file had: 1",)


def test_a_locked_grade_is_left_and_named(tmp_path: Path) -> None:
    before = worksheet(class_of(1), changeable="No")
    filled = fill(tmp_path, before, [final("a", 3, Student("x", "300", platform="moodle"))])
    assert filled.data == before
    assert filled.left == {"a": "Moodle says that the grade cannot be changed"}


def test_a_worksheet_without_feedback_gets_grades_alone(tmp_path: Path) -> None:
    filled = fill(tmp_path, b"Identifier,Grade\r\nParticipant 4,\r\n", [final("a", 3, Student("x", "4", platform="moodle"))])
    assert filled.data == b"Identifier,Grade\r\nParticipant 4,3\r\n"


def test_another_maximum_is_refused_or_converted(tmp_path: Path) -> None:
    grades = [final("a", 3, Student("x", "300", platform="moodle"))]
    data = worksheet(class_of(1), most="100,00")
    with pytest.raises(UsageError, match=r"the maximum grade is 100 in Moodle and 10 in the rubric; .* or pass --scale"):
        fill(tmp_path, data, grades)
    assert rows(fill(tmp_path, data, grades, scale=True).data)[1][5] == "30"


def test_the_participants_number_is_no_other_id(tmp_path: Path) -> None:
    filled = fill(tmp_path, worksheet(class_of(1)), [final("a", 3, Student("Somebody Else", "300"))])
    assert filled.matches.missing == {"a": "no row has such an id or name"}
    assert [row.ids[0] for row in filled.matches.strange] == ["300"]
