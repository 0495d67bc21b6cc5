"""How late students were, by a file such as Gradescope exports."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from grader.errors import UsageError
from grader.grades.lateness import lateness_of
from grader.grades.students import Student

STUDENTS = {
    "ada": Student("Ada Lovelace", "0042", "ada@uni.example", platform="gradescope"),
    "bob": Student("Bob Babbage", "43", "bob@uni.example", platform="gradescope"),
}
HEADER = "First Name,Last Name,SID,Email,Sections,Total Score,Max Points,Status,Submission ID,Submission Time,"


def late(tmp_path: Path, text: str) -> tuple[dict[str, timedelta], tuple[str, ...]]:
    path = tmp_path / "scores.csv"
    path.write_text(text, encoding="utf-8")
    return lateness_of(path, STUDENTS, "Homework 3")


def test_the_grades_of_an_assignment_say_how_late_each_student_was(tmp_path: Path) -> None:
    text = (
        f"{HEADER}Lateness (H:M:S),View Count\n"
        "Ada,Lovelace,0042,ada@uni.example,S,,35,Ungraded,1,2025-10-23 01:00:00,26:03:15,1\n"
        "Bob,Babbage,43,,S,,35,Ungraded,2,2025-10-22 01:00:00,00:00:00,1\n"
        "Cyd,Else,44,,S,,35,Missing,,,,0\n"
        "Dan,Else,45,,S,,35,Ungraded,3,2025-10-22 01:00:00,00:00:01,1\n"
    )
    found, notes = late(tmp_path, text)
    assert found == {"ada": timedelta(hours=26, minutes=3, seconds=15), "bob": timedelta(0)}
    assert notes == (f"{tmp_path}/scores.csv: Dan Else (45), line 5: is not in the class, but was late",)


def test_in_a_file_on_several_assignments_the_one_called_like_the_homework_counts(tmp_path: Path) -> None:
    text = "Name,SID,Homework 2 - Lateness (H:M:S),Homework 3 - Lateness (H:M:S)\nx,43,1:00:00,2:00:00\n"
    assert late(tmp_path, text)[0] == {"bob": timedelta(hours=2)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Name,SID\nx,43\n", 'line 1 has no column called "Lateness'),
        ("SID,A - Lateness (H:M:S),B - Lateness (H:M:S)\n43,1:0:0,1:0:0\n", 'line 1 has several columns called "Lateness'),
        ("SID,Lateness\n43,two days\n", "scores.csv:2: two days: is not a time such as 26:03:15"),
    ],
)
def test_a_file_that_does_not_say_it_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        late(tmp_path, text)
