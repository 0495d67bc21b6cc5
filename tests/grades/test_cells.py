"""Cells of a CSV file change, and nothing else does."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.errors import UsageError
from grader.grades.cells import parse_sheet, read_sheet

CELL = st.text(st.sampled_from('ab0, ;"\n\r\té=\u2028\x85'), max_size=6)
TABLE = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=5)
)


def written(rows: list[list[str]], delimiter: str = ",", ending: str = "\r\n", quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=quoting).writerows([["id", *rows[0]], *rows])  # type: ignore[arg-type]
    return text.getvalue().encode()


@given(TABLE, st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_is_read_is_what_the_csv_module_reads(
    rows: list[list[str]], delimiter: str, ending: str, quoting: int
) -> None:
    data = written(rows, delimiter, ending, quoting)
    sheet = parse_sheet(data, "x.csv", [])
    if sheet.delimiter != delimiter:  # nothing tells them apart in such a file
        return
    expected = list(csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter))
    assert [[cell.value for cell in record.cells] or [""] for record in sheet.records] == [row or [""] for row in expected]


@given(TABLE, st.data(), CELL)
def test_one_cell_changes_and_every_other_byte_stays(rows: list[list[str]], data: st.DataObject, value: str) -> None:
    before = written(rows)
    sheet = parse_sheet(before, "x.csv", [["id"]])
    record = data.draw(st.integers(0, len(sheet.records) - 1))
    column = data.draw(st.integers(0, len(sheet.records[record].cells) - 1))
    cell = sheet.records[record].cells[column]
    after = sheet.edited({(record, column): value})
    head, tail = sheet.text[: cell.start].encode(), sheet.text[cell.end :].encode()
    assert after.startswith(head) and after.endswith(tail)
    assert len(after) >= len(head) + len(tail)
    if (record, column) != (0, 0):
        again = parse_sheet(after, "x.csv", [["id"]])
        assert again.records[record].cells[column].value == value


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "end"])
def test_marks_endings_and_a_missing_last_line_feed_stay(mark: bytes, ending: str, last: str) -> None:
    lines = ["id,n,x", '1,"O""Neil, Ada",', '2,"two\nlines","5"', "", "3,é,7"]
    data = mark + (ending.join(lines) + (ending if last else "")).encode()
    sheet = parse_sheet(data, "x.csv", [["id"], ["x"]])
    assert sheet.edited({}) == data
    assert [record.line for record in sheet.records] == [1, 2, 3, 5, 6]
    changed = sheet.edited({(1, 2): "4.5", (2, 2): "6", (4, 2): "8"})
    assert changed == data.replace(b'Ada",', b'Ada",4.5').replace(b'"5"', b'"6"').replace(b",7", b",8")


@pytest.mark.parametrize(
    ("text", "encoding", "mark"),
    [
        ("id,x\nŽižek,1\n", "cp1252", b""),
        ("id,x\nŁ,1\n", "utf-16-le", b"\xff\xfe"),
        ("id,x\nŁ,1\n", "utf-16-be", b"\xfe\xff"),
    ],
)
def test_other_encodings_are_kept(text: str, encoding: str, mark: bytes) -> None:
    data = mark + text.encode(encoding)
    sheet = parse_sheet(data, "x.csv", [["id"]])
    assert sheet.records[1].value(0) == text.removeprefix("id,x\n").removesuffix(",1\n")
    assert sheet.edited({(1, 1): "2"}) == mark + text.replace("1", "2").encode(encoding)


def test_bytes_of_no_encoding_are_kept() -> None:
    data = b"id,x\n\x81\xff,1\n"
    assert parse_sheet(data, "x.csv", [["id"]]).edited({(1, 1): "2"}) == b"id,x\n\x81\xff,2\n"


def test_a_short_record_gets_the_cells_that_it_lacks() -> None:
    sheet = parse_sheet(b"id;a;b\r\n7\r\n8;1;2\r\n", "x.csv", [["b"]])
    assert sheet.edited({(1, 2): "3"}) == b"id;a;b\r\n7;;3\r\n8;1;2\r\n"


def test_a_value_with_quotes_delimiters_or_line_feeds_is_quoted() -> None:
    sheet = parse_sheet(b"id,a\n1,\n2,\n", "x.csv", [["a"]])
    assert sheet.edited({(1, 1): 'a "b", c', (2, 1): "1\n2"}) == b'id,a\n1,"a ""b"", c"\n2,"1\n2"\n'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"name,x\n1,2\n", 'x.csv: line 1 has no column "id"; export the file again and leave its header as it is'),
        (b"", 'x.csv: line 1 has no column "id"; export the file again and leave its header as it is'),
        (b'id,x\n1,2\n"3,4\n5,6\n', "x.csv:3: a quoted cell does not end as CSV asks; export the file again"),
        (b'id,x\n1,"2" 3\n', "x.csv:2: a quoted cell does not end as CSV asks; export the file again"),
        (b"\xff\xfeid", "x.csv: is not text in utf-16-le; export it again as CSV in UTF-8"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(data: bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_sheet(data + (b"x" if data.startswith(b"\xff") else b""), "x.csv", [["id"]])
    assert str(caught.value) == message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.csv: cannot be read \(No such file or directory\)"):
        read_sheet(tmp_path / "gone.csv", [])
