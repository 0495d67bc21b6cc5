"""What `grader grades` prints: how many are graded, who is pending and for what, and who was not found."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from grader.grades.filling import Filled
from grader.grades.final import ABSENT, LATENESS, NOT_GRADED, Absent, FinalGrade
from grader.report.console import output
from grader.report.terminal import points
from grader.scoring.rubric import Rubric
from grader.text.safe_text import one_line

MOST = 10
"""Lines of a list, and names in a line."""


def print_grades(
    grades: Sequence[FinalGrade],
    rubric: Rubric,
    absent: Absent,
    exports: Sequence[Filled],
    written: Sequence[Path],
    notes: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Print the numbers first, then who is pending and who was not found."""
    console = console or output()
    names = {grade.submission: grade.student.shown for grade in grades}
    lines = [*_numbers(grades, rubric, absent, exports), *_pending(grades)]
    for export in exports:
        lines += _export(export, names)
    lines += [*notes, f"written: {', '.join(map(str, written))}"]
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        console.print(Text(" " * indent + one_line(line, 1000)), soft_wrap=True)


def _numbers(
    grades: Sequence[FinalGrade], rubric: Rubric, absent: Absent, exports: Sequence[Filled]
) -> Iterator[str]:
    totals = [grade.total for grade in grades if grade.total is not None]
    nobody = sum(_is_absent(grade) for grade in grades)
    # Who handed in nothing and gets zero is not pending, and counts as graded.
    waiting = sum(grade.total is None and not _is_absent(grade) for grade in grades)
    parts = [f"{len(totals)} of {len(grades)} students graded fully", f"{waiting} pending"]
    if nobody:
        given = "0 points" if absent == "zero" else "no score; --absent zero gives 0"
        parts.append(f"{nobody} handed in nothing ({given})")
    yield f"{rubric.title}: {', '.join(parts)}"
    for export in exports:
        missing, strange = len(export.matches.missing), len(export.matches.strange)
        yield (
            f"{export.platform}, {export.column}: {len(export.written)} filled in, {len(export.pending)} pending, "
            f"{len(export.left)} left as they are; unmatched: {missing} of the class, {strange} of the file"
        )
    if totals:
        yield (
            f"Totals: mean {points(round(statistics.fmean(totals), 2))}, median {points(statistics.median(totals))}, "
            f"from {points(min(totals))} to {points(max(totals))} of {points(rubric.total)}"
        )


def _is_absent(grade: FinalGrade) -> bool:
    """Whether nothing was handed in, and nobody graded anything."""
    return not grade.student.handed_in and all(ABSENT in item.reasons for item in grade.items)


def _pending(grades: Sequence[FinalGrade]) -> Iterator[str]:
    """What is pending for whom, alike ones in one line."""
    groups: dict[str, list[str]] = {}
    for grade in grades:
        if grade.pending and not _is_absent(grade):
            groups.setdefault(_what(grade), []).append(grade.student.shown)
    if not groups:
        return
    yield "Pending:"
    ordered = sorted(groups.items(), key=lambda group: len(group[1]))
    for what, students in ordered[:MOST]:
        yield f"  {_named(students)}: {what}"
    if any(LATENESS in grade.pending for grade in grades):
        yield "  Settle lateness with --lateness FILE, or by a decision on each of these students"
    if len(ordered) > MOST:
        rest = sum(len(students) for _, students in ordered[MOST:])
        yield f"  and {rest} more students; see the column pending of grades.csv"


def _what(grade: FinalGrade) -> str:
    """The pending items, with the reasons that are not the usual one."""
    reasons: dict[str, list[str]] = {}
    for name in grade.pending:
        reasons.setdefault(grade.why(name), []).append(name)
    return "; ".join(
        ("all items" if len(names) == len(grade.items) else ", ".join(names))
        + ("" if why == NOT_GRADED else f" ({one_line(why, 120)})")
        for why, names in reasons.items()
    )


def _export(export: Filled, names: Mapping[str, str]) -> Iterator[str]:
    """Who was not found, on both sides, and whose cell was left."""
    for title, lines in (
        (f"in the class, not in {export.source}", [f"{names[key]}: {why}" for key, why in export.matches.missing.items()]),
        (f"in {export.source}, not in the class", [row.shown for row in export.matches.strange]),
        (f"left as they are in {export.source}", [f"{names[key]}: {why}" for key, why in export.left.items()]),
    ):
        if lines:
            yield f"{len(lines)} {title}:"
            yield from (f"  {line}" for line in lines)
    yield from (f"{export.platform}: {note}" for note in export.notes)


def _named(students: Sequence[str]) -> str:
    if len(students) <= MOST:
        return ", ".join(students)
    return f"{', '.join(students[: MOST // 2])} and {len(students) - MOST // 2} more"
