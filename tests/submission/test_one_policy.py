"""`grade`, `batch` and Gradescope grade the same file of what was handed in, and say the same of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from grader import grade as grade_module
from grader.assignment import Assignment
from grader.batch.submissions import find_submissions
from grader.gradescope import judge as gradescope_judge
from grader.homework3 import HOMEWORK
from grader.submission.reading import Submission
from tests.submission.test_handin import HELD, NOT_HELD, hand_in


class Chosen(Exception):
    """Carries what would be judged."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop where a notebook was chosen, before any kernel is started."""

    def stop(submission: Submission, *arguments: object) -> None:
        raise Chosen(submission)

    monkeypatch.setattr(grade_module, "make_plan", stop)
    monkeypatch.setattr(grade_module, "_defect", raise_again)


def raise_again(error: BaseException) -> str:
    raise error


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gradescope's folders."""
    base = tmp_path / "autograder"
    for name in ("source", "results"):
        (base / name).mkdir(parents=True)
    (base / "source" / "rubric.yaml").write_bytes(HOMEWORK.rubric.read_bytes())
    (base / "source" / "settings.json").write_text('{"minutes": 5, "seed": "public"}')
    monkeypatch.setenv("HW3_AUTOGRADER", str(base))
    monkeypatch.setattr("sys.argv", ["judge", "100"])
    monkeypatch.setattr(gradescope_judge, "_die_with", lambda parent: None)
    monkeypatch.setattr(gradescope_judge, "_unsafe", lambda place: None)
    return base


@pytest.mark.parametrize("case", HELD)
@pytest.mark.usefixtures("stopped")
def test_the_same_is_graded(tmp_path: Path, assignment: Assignment, container: Path, case: str) -> None:
    files, _, _ = HELD[case]
    folder = hand_in(tmp_path / "ada", files)  # type: ignore[arg-type]
    chosen: dict[str, tuple[str, list[str]]] = {}
    for way in ("grade", "gradescope"):
        with pytest.raises(Chosen) as caught:
            if way == "grade":
                grade_module.judge(folder, assignment)
            else:
                shutil.copytree(folder, container / "submission")
                gradescope_judge.main()
        read = caught.value.submission
        chosen[way] = (read.sha256, [line for line in read.warnings if "Graded" in line or "graded" in line])
    (tmp_path / "class").mkdir()
    shutil.move(folder, tmp_path / "class" / "ada")
    (tmp_path / "class" / "bob").mkdir()
    entry, _ = find_submissions([tmp_path / "class"], tmp_path / "x", assignment.template).entries
    assert entry.problem is None
    notes = [line for line in entry.notes if "Graded" in line or "graded" in line]
    assert chosen["grade"] == chosen["gradescope"] == (entry.digest, notes)


@pytest.mark.parametrize("case", NOT_HELD)
@pytest.mark.usefixtures("stopped")
def test_the_same_is_said_where_there_is_nothing(
    tmp_path: Path, assignment: Assignment, container: Path, case: str
) -> None:
    files, _ = NOT_HELD[case]
    folder = hand_in(tmp_path / "ada", files)  # type: ignore[arg-type]
    error = grade_module.judge(folder, assignment).result.error
    shutil.copytree(folder, container / "submission")
    gradescope_judge.main()
    told: dict[str, Any] = json.loads((container / "results" / "results.json").read_text(encoding="utf-8"))
    (tmp_path / "class").mkdir()
    shutil.move(folder, tmp_path / "class" / "ada")
    (tmp_path / "class" / "bob").mkdir()
    entry, _ = find_submissions([tmp_path / "class"], tmp_path / "x", assignment.template).entries
    assert error == f"ada: {told['output']}"
    assert entry.problem is not None and entry.problem.endswith(told["output"])
