"""`grader check`: students see the public criteria, and nothing of the others."""

from __future__ import annotations

from grader.assignment import Assignment
from grader.check import check, public_criteria, unchecked_criteria
from grader.grade import grade
from grader.homework3 import HOMEWORK


def test_only_public_criteria_are_shown(assignment: Assignment) -> None:
    result = check(HOMEWORK.examples / "honest_mistakes.ipynb", assignment)
    shown = {criterion.id: criterion for item in result.items for criterion in item.criteria}
    assert set(shown) == set(public_criteria(assignment.rubric, HOMEWORK.properties))
    assert {criterion.status for criterion in shown.values()} <= {"passed", "failed"}
    assert result.max_score == sum(criterion.max_points for criterion in shown.values())
    assert result.score == sum(criterion.points for criterion in shown.values())
    assert result.pending == 0
    assert not [warning for warning in result.warnings if "seed" in warning], "a student has no other"


def test_a_public_criterion_fares_as_in_grading(assignment: Assignment) -> None:
    """Also where its properties leave cases to properties that are not public."""
    path = HOMEWORK.examples / "honest_mistakes.ipynb"
    checked, graded = (
        {criterion.id: criterion for item in result.items for criterion in item.criteria}
        for result in (check(path, assignment), grade(path, assignment))
    )
    assert {name: (found.status, found.message) for name, found in checked.items()} == {
        name: (graded[name].status, graded[name].message) for name in checked
    }


def test_every_criterion_is_public_or_named_as_unchecked(assignment: Assignment) -> None:
    rubric = assignment.rubric
    unchecked = {criterion.id for criteria in unchecked_criteria(rubric).values() for criterion in criteria}
    public = set(public_criteria(rubric, HOMEWORK.properties))
    assert not unchecked & public
    assert unchecked | public == {c.id for item in rubric.automatic for c in item.criteria}
