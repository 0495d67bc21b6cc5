"""Canvas' gradebook: one column is filled, by the importer's rules, and nothing else changes."""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from grader.errors import UsageError
from grader.grades.canvas import fill_canvas
from grader.grades.filling import Filled
from grader.grades.students import Student
from grader.homework3 import HOMEWORK
from grader.report.terminal import points as shown
from grader.scoring.rubric import load_rubric
from tests.grades.made import RUBRIC, class_of, final, students

HOMEWORK3 = load_rubric(HOMEWORK.rubric)
HEAD = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Notes")
TITLES = ("Quiz, the first (8)", "Homework 3 (77)", "Homework 30 (78)")
COMPUTED = ("Assignments Current Score", "Final Score")


def gradebook(
    people: Sequence[dict[str, str]],
    *,
    delimiter: str = ",",
    ending: str = "\r\n",
    mark: str = "\ufeff",
    quoting: int = csv.QUOTE_MINIMAL,
    hidden: bool = True,
) -> bytes:
    """A gradebook as Canvas exports it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow([*HEAD, *TITLES, *COMPUTED])
    if hidden:
        writer.writerow([*[""] * 6, "", "Manual Posting", "", "", ""])
    writer.writerow(["    Points Possible", *[""] * 5, "10.00", "35.00", "5.00", "(read only)", "(read only)"])
    for number, one in enumerate(people):
        note = ['said "hi",\nand left', "", "=1+1", "07"][number % 4]
        known = [one["sortable"], one["canvas"], one["sid"], one["login"], "Section 1 and Section 2"]
        writer.writerow([*known, note, f"{number % 11}.00", "", "4.50", "81.23", "80"])
    writer.writerow(["Student, Test", "99999", "", "c1b4f0", "Section 1", "", "", "", "", "", ""])
    return (mark + text.getvalue()).encode()


def imported(data: bytes, assignment: int, known: Sequence[dict[str, str]]) -> tuple[dict[str, str], list[str]]:
    """What Canvas' importer takes from a file for an assignment, by Canvas' id, and rows of whom it does not know."""
    text = data.decode("utf-8-sig")
    delimiter = max(",;", key=text.partition("\n")[0].count)
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    assert "Student" in header[0] and "ID" in header[1] and header[2:5] == list(HEAD[2:5])
    (column,) = [n for n, name in enumerate(header) if (m := re.search(r"\((\d+)\)$", name)) and int(m[1]) == assignment]
    ids = {one["canvas"] for one in known}
    scores, strange = {}, []
    for row in rows:
        if not any(cell.strip() for cell in row) or "Points Possible" in row[0]:
            continue
        if all(re.fullmatch(r"\s*(Muted|Manual Posting.*)?\s*", cell, re.I) for cell in row):
            continue
        if row[1] in ids:
            scores[row[1]] = re.sub(r"^(-?\d+),(\d+)$", r"\1.\2", row[column].strip())
        else:
            strange.append(row[0])
    return scores, strange


def cells(data: bytes) -> list[list[str]]:
    text = data.decode("utf-8-sig")
    delimiter = max(",;", key=text.partition("\n")[0].count)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def fill(tmp_path: Path, data: bytes, grades: Sequence[object], assignment: str = "77", **options: bool) -> Filled:
    path = tmp_path / "gradebook.csv"
    path.write_bytes(data)
    return fill_canvas(path, grades, HOMEWORK3, assignment, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["canvas", "gradescope", "login", "email"])
@pytest.mark.parametrize("form", [{}, {"delimiter": ";", "mark": "", "ending": "\n"}, {"quoting": csv.QUOTE_ALL}])
def test_a_class_of_300_gets_its_scores_and_no_other_cell_changes(
    tmp_path: Path, kind: str, form: dict[str, object]
) -> None:
    people = class_of(300)
    if kind == "email":  # some institutions log in with the address
        people = [{**one, "login": one["email"]} for one in people]
    before = gradebook(people, **form)  # type: ignore[arg-type]
    draw = random.Random(2)
    totals = [None if draw.random() < 0.1 else draw.randrange(0, 3501) / 100 for _ in people]
    by_key = students(people, kind)
    order = list(by_key)
    draw.shuffle(order)
    grades = [final(key, totals[int(key[4:])], by_key[key]) for key in order]
    filled = fill(tmp_path, before, grades)
    assert (len(filled.written) + len(filled.pending), filled.matches.missing, filled.matches.strange) == (300, {}, ())
    scores, strange = imported(filled.data, 77, people)
    expected = {
        one["canvas"]: "" if total is None else shown(total) for one, total in zip(people, totals, strict=True)
    }
    assert scores == expected
    assert strange == ["Student, Test"]
    old, new = cells(before), cells(filled.data)
    assert [row[:7] + row[8:] for row in old] == [row[:7] + row[8:] for row in new]
    assert old[:3] == new[:3]
    # Byte for byte: taking the scores out again gives back the export.
    is_quoted = form.get("quoting") == csv.QUOTE_ALL
    assert emptied(filled.data, quoted=is_quoted, delimiter=str(form.get("delimiter", ","))) == before


def emptied(data: bytes, *, quoted: bool, delimiter: str) -> bytes:
    """The file with the column emptied again: what stands before the last three cells of each student's row."""
    tail = f'{delimiter}"4.50"' if quoted else f"{delimiter}4.50"
    head = rf'(?<={delimiter})("?)[\d.]*("?)(?={re.escape(tail)})'
    return re.sub(head, r"\1\2", data.decode("utf-8")).encode()


def test_names_are_enough_where_they_are_unique_and_never_wrong(tmp_path: Path) -> None:
    people = class_of(300)
    by_key = students(people, "name")
    filled = fill(tmp_path, gradebook(people), [final(key, 30, one) for key, one in by_key.items()])
    names = [one["name"] for one in people]
    for key, row in filled.matches.found.items():
        assert row.ids[0] == people[int(key[4:])]["canvas"]
    unique = {key for key, one in by_key.items() if names.count(one.name) == 1}
    assert set(filled.matches.found) == unique
    assert len(filled.matches.missing) == len(filled.matches.strange) == 300 - len(unique) > 0


def test_an_exported_gradebook_without_changes_stays_the_same_file(tmp_path: Path) -> None:
    people = class_of(20)
    before = gradebook(people)
    nothing = [final(key, None, one) for key, one in students(people, "canvas").items()]
    assert fill(tmp_path, before, nothing).data == before
    scored = [final(key, 31.5, one) for key, one in students(people, "canvas").items()]
    once = fill(tmp_path, before, scored)
    again = fill(tmp_path, once.data.replace(b",31.5,", b",31.50,"), scored)
    assert again.data == once.data.replace(b",31.5,", b",31.50,")  # the same number, as Canvas writes it


def test_a_pending_score_leaves_what_stands_there(tmp_path: Path) -> None:
    people = class_of(2)
    ada, bob = students(people, "canvas").values()
    before = gradebook(people).replace(b",4.50,", b"12.25,4.50,", 0)
    before = re.sub(rb",,4\.50,", b",12.25,4.50,", before)
    filled = fill(tmp_path, before, [final("ada", None, ada), final("bob", 0, bob)])
    scores, _ = imported(filled.data, 77, people)
    assert list(scores.values()) == ["12.25", "0"]
    assert (filled.pending, filled.written) == (("ada",), ("bob",))
    assert filled.notes == ("scores replaced that the file had: 1",)


def test_excused_and_unassigned_students_keep_their_cells(tmp_path: Path) -> None:
    people = class_of(3)
    data = gradebook(people)
    for mark in (b"EX", b"N/A"):
        data = re.sub(rb",,4\.50,", b"," + mark + b",4.50,", data, count=1)
    grades = [final(key, 20, one) for key, one in students(people, "canvas").items()]
    filled = fill(tmp_path, data, grades)
    assert list(imported(filled.data, 77, people)[0].values()) == ["EX", "N/A", "20"]
    assert filled.left == {
        "row-0": "excused in Canvas",
        "row-1": "the assignment is not assigned to this student in Canvas",
    }


def test_unmatched_students_are_listed_on_both_sides(tmp_path: Path) -> None:
    people = class_of(4)
    by_key = students(people, "gradescope")
    del by_key["row-2"]
    by_key["new"] = Student("Grace Hopper", "00000001", platform="gradescope")
    filled = fill(tmp_path, gradebook(people), [final(key, 20, one) for key, one in by_key.items()])
    assert filled.matches.missing == {"new": "no row has such an id or name"}
    assert [row.name for row in filled.matches.strange] == [people[2]["sortable"]]
    assert imported(filled.data, 77, people)[0][people[2]["canvas"]] == ""


def test_a_gradebook_with_first_and_last_names_and_few_columns(tmp_path: Path) -> None:
    data = b"LastName,FirstName,ID,SIS Login ID,Section,Homework 3 (77)\nLovelace,Ada,5,ada,S,\n    Points Possible,,,,,35\n"
    filled = fill(tmp_path, data, [final("a", 34.25, Student("Ada Lovelace"))])
    assert filled.data == data.replace(b"ada,S,", b"ada,S,34.25")


@pytest.mark.parametrize("wanted", ["77", "Homework 3", "homework 3 (77)", ""])
def test_the_assignment_is_named_by_number_title_or_not_at_all(tmp_path: Path, wanted: str) -> None:
    people = class_of(1)
    filled = fill(tmp_path, gradebook(people), [final("a", 3, students(people, "canvas")["row-0"])], wanted)
    assert filled.column == "Homework 3 (77)"


@pytest.mark.parametrize(
    ("wanted", "edit", "message"),
    [
        (
            "Homework 4",
            (b"", b""),
            "has no assignment Homework 4; its assignments are Quiz, the first (8), Homework 3 (77), Homework 30 (78)",
        ),
        (
            "",
            (b"Homework 3 (77)", b"HW3 (77)"),
            "has no assignment Homework 3; name one with --assignment: Quiz, the first (8), HW3 (77), Homework 30 (78)",
        ),
        (
            "Homework 3",
            (b"Homework 30 (78)", b"Homework 3 (78)"),
            "several assignments match Homework 3: Homework 3 (77), Homework 3 (78); name the number",
        ),
        ("77", (b",35.00,", b",(read only),"), "Homework 3 (77) is read-only in Canvas"),
        (
            "77",
            (b",35.00,", b",100.00,"),
            "Homework 3 (77) is worth 100 points in Canvas and 35 in the rubric; change the points in Canvas and export "
            "again, or pass --scale",
        ),
        (
            "77",
            (b"Student,ID", b"Name,ID"),
            'line 1 has no column "Student"; export the file again and leave its header as it is',
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, wanted: str, edit: tuple[bytes, bytes], message: str
) -> None:
    data = gradebook(class_of(2)).replace(*edit)
    with pytest.raises(UsageError) as caught:
        fill(tmp_path, data, [], wanted)
    assert str(caught.value) == f"{tmp_path}/gradebook.csv: {message}"


def test_totals_are_converted_on_request(tmp_path: Path) -> None:
    people = class_of(1)
    data = gradebook(people).replace(b",35.00,", b",100.00,")
    filled = fill(tmp_path, data, [final("a", 31.5, students(people, "canvas")["row-0"])], scale=True)
    assert list(imported(filled.data, 77, people)[0].values()) == ["90"]


def test_computed_columns_are_no_assignments(tmp_path: Path) -> None:
    data = gradebook(class_of(1)).replace(b"Final Score", b"Final Score (2025)")
    with pytest.raises(UsageError, match="has no assignment 2025"):
        fill(tmp_path, data, [], "2025")


def test_a_gradebook_of_another_homework_goes_by_the_rubrics_title(tmp_path: Path) -> None:
    path = tmp_path / "gradebook.csv"
    path.write_bytes(b"Student,ID,SIS Login ID,Section,Small homework (3)\nB,5,b,S,\n")
    assert fill_canvas(path, [final("a", 9, Student("B", "5", platform="canvas"))], RUBRIC).data.endswith(b"B,5,b,S,9\n")
