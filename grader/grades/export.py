"""Writes the final grades of a class into a folder: a CSV file, and the other requested exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from grader.errors import GraderError, UsageError
from grader.files.atomic import write_atomically, write_bytes_atomically
from grader.grades.filling import Filled
from grader.grades.final import FinalGrade
from grader.grades.paste import by_item, by_student
from grader.grades.plain import plain_csv
from grader.scoring.rubric import Rubric, RubricEntry
from grader.text.safe_text import one_line

FOLDER = "final"
"""In the folder of a batch."""


def write_plain(folder: Path, grades: Sequence[FinalGrade], rubric: Rubric) -> Path:
    """Write grades.csv, for people and spreadsheets; raises `GraderError`."""
    path = _made(folder) / "grades.csv"
    write_atomically(path, plain_csv(grades, rubric))
    return path


def write_filled(folder: Path, source: Path, filled: Filled) -> Path:
    """Write a file to import, which never takes the place of the exported one; raises `GraderError`."""
    path = _made(folder) / f"{filled.platform.lower()}.csv"
    if path.resolve() == source.resolve():
        raise UsageError(f"{one_line(str(source))}: would be overwritten; move it elsewhere or choose another --out")
    write_bytes_atomically(path, filled.data)
    return path


def write_paste(
    folder: Path,
    grades: Sequence[FinalGrade],
    rubric: Rubric,
    entries: Mapping[str, Sequence[RubricEntry]],
) -> Path:
    """Write texts to paste into Gradescope, by student and by item, in place of earlier ones; raises `GraderError`."""
    root = folder / "gradescope"
    texts = {("students", grade.submission): by_student(grade, rubric) for grade in grades}
    texts |= {("items", item.id): by_item(item.id, grades, rubric, entries) for item in rubric.items}
    for place in ("students", "items"):
        inner = _made(root / place)
        kept = {f"{name}.txt" for where, name in texts if where == place}
        for path in inner.glob("*.txt"):
            if path.name not in kept:
                path.unlink()
    for (place, name), text in texts.items():
        write_atomically(root / place / f"{name}.txt", text)
    return root


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GraderError(f"cannot write to {one_line(str(folder))}: {error.strerror or error}") from None
    return folder
