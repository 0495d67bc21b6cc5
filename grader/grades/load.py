"""Reads a class that was graded: its rubric, its students, and what the grader found about each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from grader.batch.results import load_records, results_of
from grader.batch.roster import ROSTER, load_roster
from grader.batch.store import Manifest, Store
from grader.errors import UsageError
from grader.grades.handed_pdfs import remembered, with_pdfs
from grader.grades.lateness import lateness_of
from grader.grades.students import Student, students_of
from grader.scoring.result import Result
from grader.scoring.rubric import Rubric, load_rubric
from grader.text.safe_text import one_line


@dataclass(frozen=True)
class GradedClass:
    """A class that was graded. ``notes`` are what a person should know about the files that were read."""

    rubric: Rubric
    manifest: Manifest
    results: Mapping[str, Result]
    students: Mapping[str, Student]
    notes: tuple[str, ...] = ()


def load_result(folder: Path, graded: GradedClass, key: str) -> Result | None:
    """What the grader found about one submission of a class that was read, read anew; None if that is gone."""
    store = Store(folder, create=False)
    members = tuple(member for member in graded.manifest.members if member.key == key)
    alone = graded.manifest.model_copy(update={"members": members})
    return results_of(store, alone, graded.rubric, load_records(store, alone)).get(key)


def load_class(folder: Path, lateness: Path | None = None) -> GradedClass:
    """Read the folder of a batch; ``lateness`` is a CSV file that says how late students were. Raises `GraderError`.

    Nothing is written or locked, so it works while a batch or a review runs.
    """
    if not (folder / "batch.json").is_file():
        raise UsageError(f"{one_line(str(folder))}: is not a batch folder; create one with `grader batch`")
    store = Store(folder, create=False)
    manifest = store.manifest()
    rubric = load_rubric(folder / "rubric.yaml")
    results = results_of(store, manifest, rubric, load_records(store, manifest))
    roster = folder / ROSTER
    listed = load_roster(roster)[0] if roster.is_file() else ()
    students = with_pdfs(students_of(manifest, listed), remembered(folder))
    if lateness is None:
        return GradedClass(rubric, manifest, results, students)
    late, notes = lateness_of(lateness, students, rubric.title)
    students = {
        key: replace(student, late_by=late[key]) if key in late else student for key, student in students.items()
    }
    return GradedClass(rubric, manifest, results, students, notes)
