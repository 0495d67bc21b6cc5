"""Fills a column of a gradebook that a platform exported, and says what was filled and what was not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grader.grades.cells import Sheet
from grader.grades.final import FinalGrade, rounded
from grader.grades.matching import Matches
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


def filled(
    platform: str,
    sheet: Sheet,
    column: int,
    values: Mapping[tuple[int, int], str],
    written: Sequence[str],
    pending: Sequence[str],
    left: Mapping[str, str],
    matches: Matches,
) -> Filled:
    """The sheet with new values; those that say what stands there already change nothing."""
    before = {place: sheet.records[place[0]].value(place[1]) for place in values}
    changed = {place: value for place, value in values.items() if before[place] != value}
    replaced = sum(place[1] == column and number_in(before[place]) is not None for place in changed)
    notes = (f"scores replaced that the file had: {replaced}",) if replaced else ()
    title = one_line(sheet.header[column])
    data = sheet.edited(changed)
    return Filled(platform, sheet.name, data, title, tuple(written), tuple(pending), left, matches, notes)


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
