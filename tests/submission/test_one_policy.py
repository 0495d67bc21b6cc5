"""`grade`, `batch` and Gradescope grade the same file of what was handed in, and say the same of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from grader.assignment import Assignment
from grader.batch.submissions import find_submissions
from grader.grade import Judged, Request, failure, judge, read
from grader.gradescope.judge import grade_in
from grader.gradescope.place import Place
from grader.homework3 import HOMEWORK
from grader.kernel import confinement
from grader.submission.handin import HandIn
from grader.submission.reading import Submission
from tests.submission.test_handin import HELD, NOT_HELD, hand_in

SAFE = confinement.Host(True, 7, True, True, "own")


@pytest.fixture
def container(tmp_path: Path) -> Place:
    """Gradescope's folders."""
    base = tmp_path / "autograder"
    for name in ("source", "results"):
        (base / name).mkdir(parents=True)
    (base / "source" / "rubric.yaml").write_bytes(HOMEWORK.rubric.read_bytes())
    (base / "source" / "settings.json").write_text('{"minutes": 5, "seed": "public"}')
    return Place(base)


def read_by_gradescope(container: Place, assignment: Assignment) -> Submission:
    """What would be judged there."""
    given: list[HandIn] = []

    def judge(found: HandIn, assignment: Assignment, request: Request) -> Judged:
        given.append(found)
        return Judged(failure(found.name, assignment, "not judged"))

    grade_in(container, 100.0, judge, SAFE)
    (found,) = given
    return read(found, assignment)[1]


@pytest.mark.parametrize("case", HELD)
def test_the_same_is_graded(tmp_path: Path, assignment: Assignment, container: Place, case: str) -> None:
    files, _, _ = HELD[case]
    folder = hand_in(tmp_path / "ada", files)  # type: ignore[arg-type]
    shutil.copytree(folder, container.submission)
    by_grade, by_gradescope = (
        (chosen.sha256, [line for line in chosen.warnings if "Graded" in line or "graded" in line])
        for chosen in (read(folder, assignment)[1], read_by_gradescope(container, assignment))
    )
    (tmp_path / "class").mkdir()
    shutil.move(folder, tmp_path / "class" / "ada")
    (tmp_path / "class" / "bob").mkdir()
    entry, _ = find_submissions([tmp_path / "class"], tmp_path / "x", assignment.template).entries
    assert entry.problem is None
    notes = [line for line in entry.notes if "Graded" in line or "graded" in line]
    assert by_grade == by_gradescope == (entry.digest, notes)


@pytest.mark.parametrize("case", NOT_HELD)
def test_the_same_is_said_where_there_is_nothing(
    tmp_path: Path, assignment: Assignment, container: Place, case: str
) -> None:
    files, _ = NOT_HELD[case]
    folder = hand_in(tmp_path / "ada", files)  # type: ignore[arg-type]
    error = judge(folder, assignment).result.error
    shutil.copytree(folder, container.submission)
    grade_in(container, 100.0, host=SAFE)
    told: dict[str, Any] = json.loads(container.results.read_text(encoding="utf-8"))
    (tmp_path / "class").mkdir()
    shutil.move(folder, tmp_path / "class" / "ada")
    (tmp_path / "class" / "bob").mkdir()
    entry, _ = find_submissions([tmp_path / "class"], tmp_path / "x", assignment.template).entries
    assert error == f"ada: {told['output']}"
    assert entry.problem is not None and entry.problem.endswith(told["output"])
