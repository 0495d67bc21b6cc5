"""Edits cells of a CSV file and leaves every other byte as it is: quotes, line endings, byte order mark, encoding."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.errors import UsageError
from grader.text.safe_text import one_line

MAX_BYTES = 32 << 20
_DELIMITERS = ",;\t"
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True)
class Cell:
    """A cell: what it says, and where it stands in the text, quotes included."""

    value: str
    start: int
    end: int


@dataclass(frozen=True)
class Record:
    """A record of the file, which may span lines, and the line on which it begins (from 1)."""

    cells: tuple[Cell, ...]
    line: int

    def value(self, column: int) -> str:
        """What a cell says; empty where the record is too short to have it."""
        return self.cells[column].value if column < len(self.cells) else ""

    @property
    def is_blank(self) -> bool:
        """Whether no cell says anything."""
        return not any(cell.value.strip() for cell in self.cells)


@dataclass(frozen=True)
class Sheet:
    """A CSV file as it was read. ``name`` stands in messages."""

    name: str
    text: str
    delimiter: str
    records: tuple[Record, ...]
    encoding: str = "utf-8"
    mark: bytes = b""

    @property
    def header(self) -> tuple[str, ...]:
        """The first record, without blanks around the names of columns."""
        return tuple(cell.value.strip() for cell in self.records[0].cells) if self.records else ()

    def column(self, *names: str) -> int | None:
        """The first column that has one of these names, which are tried in order."""
        plain = [name.casefold() for name in self.header]
        return next((plain.index(name.casefold()) for name in names if name.casefold() in plain), None)

    def edited(self, values: Mapping[tuple[int, int], str]) -> bytes:
        """The file's bytes with new values in some cells, by number of the record and of the column."""
        changes = sorted(
            self._change(self.records[record], column, value) for (record, column), value in values.items()
        )
        parts: list[str] = []
        at = 0
        for start, end, text in changes:
            parts += [self.text[at:start], text]
            at = end
        parts.append(self.text[at:])
        return self.mark + "".join(parts).encode(self.encoding, "replace")

    def _change(self, record: Record, column: int, value: str) -> tuple[int, int, str]:
        if column >= len(record.cells):
            end = record.cells[-1].end
            missing = column - len(record.cells) + 1
            return end, end, self.delimiter * missing + self._written(value, is_quoted=False)
        cell = record.cells[column]
        is_quoted = self.text[cell.start : cell.end].startswith('"')
        return cell.start, cell.end, self._written(value, is_quoted=is_quoted)

    def _written(self, value: str, *, is_quoted: bool) -> str:
        needs_quotes = any(character in value for character in (self.delimiter, '"', "\r", "\n"))
        return '"' + value.replace('"', '""') + '"' if is_quoted or needs_quotes else value


def read_sheet(path: Path, required: Sequence[Sequence[str]]) -> Sheet:
    """A CSV file with a column for each of the ``required`` lists of names; raises `UsageError`.

    Comma, semicolon and tab are tried as delimiters: the first that gives all of these columns is the file's.
    """
    name = one_line(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{name}: cannot be read ({reason})") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{name}: is larger than {MAX_BYTES >> 20} MB")
    return parse_sheet(data, name, required)


def parse_sheet(data: bytes, name: str, required: Sequence[Sequence[str]]) -> Sheet:
    """`read_sheet` for the bytes of a file."""
    mark, encoding = next(((mark, one) for mark, one in _MARKS if data.startswith(mark)), (b"", ""))
    body = data[len(mark) :]
    encoding = encoding or _encoding_of(body)
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        raise UsageError(f"{name}: is not text in {encoding}; export it again as CSV in UTF-8") from None
    problems = []
    for delimiter in sorted(_DELIMITERS, key=_first_line(text).count, reverse=True):
        try:
            sheet = Sheet(name, text, delimiter, tuple(_records(text, delimiter)), encoding, mark)
        except ValueError as error:
            problems.append(f"{name}:{error}")
            continue
        absent = next((names[0] for names in required if sheet.column(*names) is None), None)
        if absent is None:
            return sheet
        problems.append(
            f'{name}: line 1 has no column "{absent}"; export the file again and leave its header as it is'
        )
    raise UsageError(problems[0])


def _encoding_of(data: bytes) -> str:
    """An encoding that gives back the same bytes: UTF-8, Excel's in many countries, or one that takes any byte."""
    for encoding in ("utf-8", "cp1252"):
        try:
            if data.decode(encoding).encode(encoding) == data:
                return encoding
        except UnicodeError:
            continue
    return "latin-1"


def _first_line(text: str) -> str:
    return re.split(r"[\r\n]", text, maxsplit=1)[0]


def _records(text: str, delimiter: str) -> Iterator[Record]:
    """The records of a CSV text; raises ValueError with ``LINE: reason``."""
    plain = re.compile(rf"[^{re.escape(delimiter)}\r\n]*")
    quoted = re.compile(rf'"([^"]*(?:""[^"]*)*)"(?=[{re.escape(delimiter)}\r\n]|\Z)')
    at, line = 0, 1
    while at < len(text):
        first, cells = line, []
        while True:
            if text.startswith('"', at):
                match = quoted.match(text, at)
                if match is None:
                    raise ValueError(f"{line}: a quoted cell does not end as CSV asks; export the file again")
                value = match[1].replace('""', '"')
                line += len(re.findall(r"\r\n|\r|\n", match[1]))
            else:
                match = plain.match(text, at)
                assert match is not None  # it may be empty
                value = match[0]
            cells.append(Cell(value, match.start(), match.end()))
            at = match.end()
            if not text.startswith(delimiter, at):
                break
            at += 1
        at += 2 if text.startswith("\r\n", at) else 1
        line += 1
        yield Record(tuple(cells), first)
