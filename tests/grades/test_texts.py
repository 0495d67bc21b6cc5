"""The plain CSV file, and the texts to paste into Gradescope."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

from grader.gradebook.events import Kind
from grader.grades.final import compose
from grader.grades.paste import by_item, by_student
from grader.grades.plain import plain_csv
from grader.grades.students import Student
from tests.grades.made import RUBRIC, graded, result, state

ADA = Student("Ada Lovelace", "007", "ada@uni.example", "ada7", "Section 2", late_by=timedelta(days=1))
EVE = Student("=cmd|' /C calc'!A0", "0042")
BOOK = state(
    graded("ada", "1a", "first", adjustment=0.5, comment="See $W_h$ & <b>me</b>"),
    (Kind.override, "ada", "2a", {"points": 4.0, "criterion": None, "reason": "-1 too much"}),
    (Kind.penalty, "ada", None, {"id": "page-assignment", "on": True, "reason": ""}),
    (Kind.note, "ada", None, {"text": "@all well done"}),
    (Kind.request, "eve", "1a", {"text": "?"}),
)
GRADES = compose(RUBRIC, {"ada": result("2a.values"), "eve": result()}, BOOK, {"ada": ADA, "eve": EVE})


def table() -> list[dict[str, str]]:
    text = plain_csv(GRADES, RUBRIC)
    assert text.startswith("\ufeffkey,name,id,login,email,section,total,")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def test_each_student_has_a_line_with_identifiers_as_they_are_and_empty_cells_where_points_wait() -> None:
    ada, eve = table()
    assert (ada["key"], ada["id"], ada["login"], ada["email"], ada["section"]) == (
        *("ada", "007", "ada7", "ada@uni.example", "Section 2"),
    )
    assert (ada["1a"], ada["2a"], ada["3a"], ada["earned"]) == ("2.5", "4", "1", "7.5")
    assert (ada["penalties"], ada["lateness"], ada["total"], ada["of"]) == ("0.225", "0.75", "6.53", "10")
    assert (eve["id"], eve["total"], eve["1a"], eve["2a"], eve["penalties"]) == ("0042", "", "", "5", "")
    assert eve["pending"] == "1a: regrade requested"
    assert ada["comments"] == "1a: See $W_h$ & <b>me</b>; @all well done"
    assert ada["overrides"] == "2a: -1 too much"
    assert ada["deductions"] == (
        "The pages are not assigned (3%); Late submission (10%): handed in 1 d late"
    )


def test_no_cell_begins_a_formula() -> None:
    for row in table():
        for value in row.values():
            assert not value.startswith(("=", "+", "-", "@", "|", "%"))
    assert table()[1]["name"] == "'=cmd|' /C calc'!A0"


def test_a_students_text_has_points_entries_and_comment_of_each_item() -> None:
    assert by_student(GRADES[0], RUBRIC) == (
        "Ada Lovelace (007)\n"
        "Small homework: 6.53 / 10\n"
        "\n1a A formula: 2.5 / 4\n  +2: The first formula is right.\n  +0.5: adjustment\n  See $W_h$ & <b>me</b>\n"
        "\n2a A class: 4 / 5\n  -1 too much\n"
        "\n3a A model: 1 / 1\n"
        "\nThe pages are not assigned. (3%): -0.225\n"
        "\nLate submission (10%): -0.75\n  handed in 1 d late\n"
        "\n@all well done\n"
    )


def test_an_items_text_has_its_rubric_once_and_each_student() -> None:
    entries = {item.id: BOOK.entries(item.id) for item in RUBRIC.by_hand}
    assert by_item("1a", GRADES, RUBRIC, entries) == (
        "1a A formula, worth 4\n"
        "\nRubric\n  +2: The first formula is right.\n  +2: The second formula is right.\n  +0: Nothing is right.\n"
        "\nAda Lovelace (007): 2.5 / 4\n  +2: The first formula is right.\n  +0.5: adjustment\n  See $W_h$ & <b>me</b>\n"
        "\n=cmd|' /C calc'!A0 (0042): pending / 4\n  regrade requested\n"
    )
    assert "\nRubric\n" not in by_item("2a", GRADES, RUBRIC, entries)


def test_what_cannot_be_seen_is_written_out() -> None:
    hostile = compose(RUBRIC, {"x": result()}, state(graded("x", comment="a\x1b[2Jb")), {"x": Student("x\u202ey")})
    assert "a\\x1b[2Jb" in by_student(hostile[0], RUBRIC)
    assert by_student(hostile[0], RUBRIC).startswith("x\\u202ey\n")
