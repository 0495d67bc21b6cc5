"""Fills a column of a gradebook that a platform exported, and says what was filled and what was not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grader.grades.cells import Sheet
from grader.grades.final import FinalGrade, rounded
from grader.grades.matching import Listed, Matches
from grader.report.terminal import points as shown
from grader.text.safe_text import one_line


@dataclass(frozen=True)
class Filled:
    """A file to import, and what became of each student.

    Args:
        platform: whose file it is.
        source: the name of the exported file.
        data: the bytes of the file to import.
        column: the title of the column that was filled.
        written: keys of students whose score stands in it now.
        pending: keys of students whose cell was left, as their grade is pending.
        left: why the cells of other students were left, by key.
        matches: who was found in the file and who was not.
        notes: what else a person should know.
    """

    platform: str
    source: str
    data: bytes
    column: str
    written: tuple[str, ...]
    pending: tuple[str, ...]
    left: Mapping[str, str]
    matches: Matches
    notes: tuple[str, ...] = ()


@dataclass
class Filling:
    """What is put into a column of a sheet, while its students are gone through one by one."""

    platform: str
    sheet: Sheet
    column: int
    matches: Matches
    values: dict[tuple[int, int], str] = field(default_factory=dict)
    """New values of cells, by record and column."""
    written: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    def put(self, grade: FinalGrade, row: Listed, factor: float, why_left: str | None) -> bool:
        """Whether the score was put into the student's cell; not if there is a reason to leave it, or none is final yet."""
        if why_left:
            self.left[grade.submission] = why_left
        elif grade.total is None:
            self.pending.append(grade.submission)
        else:
            self.written.append(grade.submission)
            before = self.sheet.records[row.record].value(self.column)
            self.values[row.record, self.column] = score_for(grade, before, factor)
            return True
        return False

    def finished(self, *notes: str) -> Filled:
        """The sheet with new values; those that say what stands there already change nothing."""
        before = {place: self.sheet.records[place[0]].value(place[1]) for place in self.values}
        changed = {place: value for place, value in self.values.items() if before[place] != value}
        replaced = sum(place[1] == self.column and number_in(before[place]) is not None for place in changed)
        if replaced:
            notes = (f"scores replaced that the file had: {replaced}", *notes)
        return Filled(
            platform=self.platform,
            source=self.sheet.name,
            data=self.sheet.edited(changed),
            column=one_line(self.sheet.header[self.column]),
            written=tuple(self.written),
            pending=tuple(self.pending),
            left=self.left,
            matches=self.matches,
            notes=notes,
        )


def number_in(text: str) -> float | None:
    """The number in a cell, with a decimal point or comma; None where there is none."""
    match = re.fullmatch(r"\s*(-?\d+)(?:[.,](\d+))?\s*", text)
    return float(f"{match[1]}.{match[2] or 0}") if match else None


def score_for(grade: FinalGrade, before: str, scale: float) -> str:
    """What to put into a student's cell; what stood there before if it says the same number."""
    assert grade.total is not None
    score = rounded(grade.total * scale)
    return before if number_in(before) == score else shown(score)


def titles(names: Sequence[str], most: int = 5) -> str:
    """The titles of columns for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more
