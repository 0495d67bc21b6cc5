"""A verdict that is kept counts only while everything that it depends on is the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from grader import assets
from grader.assignment import Assignment
from grader.batch.context import NO_VERDICT_DEPENDS_ON, code_of_homework, context_of, training_context_of
from grader.kernel.session import Limits


def test_rooms_that_no_verdict_depends_on_exist() -> None:
    assert [name for name in NO_VERDICT_DEPENDS_ON if not (assets.PACKAGE / name).exists()] == []


def test_judging_scoring_and_data_count() -> None:
    rooms = {path.name for path in assets.PACKAGE.iterdir()} - {*NO_VERDICT_DEPENDS_ON, "_shipped", "__pycache__"}
    assert {"grade.py", "judging", "kernel", "submission", "scoring", "data", "tokenizer_data.py"} <= rooms


@pytest.mark.parametrize(
    "change",
    [{"seed": b"another seed, of some bytes"}, {"limits": Limits(property=3.0)}, {"most_cases": 1}, {"shrink_calls": 5}],
    ids=lambda change: next(iter(change)),
)
def test_what_the_context_depends_on(assignment: Assignment, change: dict[str, object]) -> None:
    assert context_of(assignment) == context_of(replace(assignment))
    assert context_of(replace(assignment, **change)) != context_of(assignment)  # type: ignore[arg-type]


def test_a_homework_counts_by_its_content(assignment: Assignment, tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text("A = 1")
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "check.py").write_text("B = 1")
    homework = replace(assignment.homework, package=tmp_path)
    ours = replace(assignment, homework=homework)
    code, training = code_of_homework(ours), training_context_of("context", ours.rubric, homework)
    (tmp_path / "training" / "check.py").write_text("B = 2")
    assert code_of_homework(ours) == code
    assert training_context_of("context", ours.rubric, homework) != training
    (tmp_path / "part.py").write_text("A = 2")
    assert code_of_homework(ours) != code
