"""Students are found in a platform's list where that is certain, and named where it is not."""

from __future__ import annotations

import pytest

from grader.grades.matching import Column, Listed, Matches, match, names_agree
from grader.grades.students import Student

COLUMNS = (Column("ID", "canvas"), Column("SIS User ID"), Column("SIS Login ID"))


def row(number: int, name: str, *ids: str) -> Listed:
    return Listed(number, number + 1, name, (*ids, "", "", "")[:3])


def matched(students: dict[str, Student], *rows: Listed) -> tuple[dict[str, int], Matches]:
    found = match(students, rows, COLUMNS)
    return {key: row.record for key, row in found.found.items()}, found


def test_each_column_of_identifiers_is_tried() -> None:
    students = {
        "a": Student("Ada", "51", platform="canvas"),
        "b": Student("Bob", "0042"),
        "c": Student("Cyd", login="CYD1"),
        "d": Student("Dan", email="Dan@uni.example"),
        "e": Student("Eve", ids=("x", "77")),
    }
    found, whole = matched(
        students,
        row(1, "Lovelace, Ada", "51"),
        row(2, "Other, B", "52", "0042"),
        row(3, "Other, C", "53", "", "cyd1"),
        row(4, "Other, D", "54", "", "dan@uni.example"),
        row(5, "Other, E", "55", "77"),
    )
    assert found == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    assert (whole.missing, whole.strange) == ({}, ())


def test_leading_zeros_tell_students_apart() -> None:
    students = {"a": Student("A B", "0042"), "b": Student("C D", "42")}
    found, _ = matched(students, row(1, "x", "1", "42"), row(2, "y", "2", "0042"))
    assert found == {"a": 2, "b": 1}


def test_a_number_that_only_canvas_gives_out_is_no_other_number() -> None:
    students = {"a": Student("Ada Lovelace", "51", platform="gradescope")}
    found, whole = matched(students, row(1, "Babbage, Charles", "51"), row(2, "Lovelace, Ada", "52", "51"))
    assert found == {"a": 2}
    assert [each.name for each in whole.strange] == ["Babbage, Charles"]
    found, whole = matched(students, row(1, "Babbage, Charles", "51"))
    assert (found, whole.missing) == ({}, {"a": "no row has such an id or name"})


def test_the_beginning_of_an_address_counts_only_with_the_name() -> None:
    students = {"a": Student("Ada Lovelace", email="ada@mail.example")}
    assert matched(students, row(1, "Meyer, Ada Maria", "1", "", "ada"))[0] == {}
    assert matched(students, row(1, "Lovelace, Ada", "1", "", "ada"))[0] == {"a": 1}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Ada Lovelace", "Lovelace, Ada"),
        ("lovelaceada", "Lovelace, Ada"),
        ("José García Márquez", "Garcia Marquez, Jose"),
        ("Nguyễn Văn Trần", "Trần, Nguyễn Văn"),
        ("王小明", "王小明"),
        ("Anne-Marie O'Neil", "ONeil, AnneMarie"),
    ],
)
def test_a_name_that_nobody_else_has_is_enough(ours: str, theirs: str) -> None:
    assert matched({"a": Student(ours)}, row(1, theirs, "7"), row(2, "Else, Somebody", "8"))[0] == {"a": 1}


def test_a_name_that_two_have_is_not_enough() -> None:
    twins = [row(1, "Wei, Li", "1"), row(2, "Wei, Li", "2")]
    found, whole = matched({"a": Student("Li Wei")}, *twins)
    assert (found, whole.missing) == ({}, {"a": "the name is not unique: line 2, 3"})
    assert len(whole.strange) == 2
    found, whole = matched({"a": Student("Li Wei"), "b": Student("Wei Li")}, twins[0])
    assert found == {}
    assert set(whole.missing) == {"a", "b"}


def test_a_namesake_with_another_id_is_somebody_else() -> None:
    students = {"a": Student("Li Wei", "100"), "b": Student("Ada Lovelace", "200")}
    found, whole = matched(students, row(1, "Wei, Li", "1", "999"), row(2, "Lovelace, Ada", "2", "200"))
    assert found == {"b": 2}
    assert whole.missing == {"a": "line 2 has the same name, but another SIS User ID"}
    assert [each.record for each in whole.strange] == [1]


def test_a_spreadsheet_that_lost_leading_zeros_makes_nobody_somebody_else() -> None:
    students = {"a": Student("Li Wei", "0100"), "b": Student("Ada Lovelace", "200")}
    found, _ = matched(students, row(1, "Wei, Li", "1", "100"), row(2, "Lovelace, Ada", "2", "200"))
    assert found == {"a": 1, "b": 2}


def test_two_students_in_one_row_are_both_named_and_neither_matched() -> None:
    students = {"a": Student("Ada", "5", platform="canvas"), "b": Student("Ada L", "5", platform="canvas")}
    found, whole = matched(students, row(1, "Lovelace, Ada", "5"))
    assert found == {}
    assert whole.missing == {"a": "line 2 is b's as well", "b": "line 2 is a's as well"}
    assert len(whole.strange) == 1


def test_an_id_in_two_rows_is_decided_by_the_name_or_not_at_all() -> None:
    rows = [row(1, "Lovelace, Ada", "1", "9"), row(2, "Babbage, Charles", "2", "9")]
    assert matched({"a": Student("Ada Lovelace", "9")}, *rows)[0] == {"a": 1}
    found, whole = matched({"a": Student("Someone", "9")}, *rows)
    assert (found, whole.missing) == ({}, {"a": "2 rows have the same SIS User ID: line 2, 3"})


def test_empty_identifiers_match_nobody() -> None:
    found, _ = matched({"a": Student("A B"), "b": Student("")}, row(1, "", "", ""), row(2, "C D", "", ""))
    assert found == {}


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("Ada Lovelace", "Lovelace, Ada", True),
        ("Ada King Lovelace", "Lovelace, Ada", True),
        ("Li Wei", "Li Zhang", False),
        ("", "Ada", False),
        ("", "", False),
    ],
)
def test_names_agree_as_far_as_one_holds_the_other(one: str, other: str, agree: bool) -> None:
    assert names_agree(one, other) is agree
