"""`grader check`: students see the public criteria, and nothing of the others."""

from __future__ import annotations

from grader import assets
from grader.check import check, public_criteria
from grader.grade import Assignment


def test_only_public_criteria_are_shown(assignment: Assignment) -> None:
    result = check(assets.EXAMPLES / "honest_mistakes.ipynb", assignment)
    shown = {criterion.id: criterion for item in result.items for criterion in item.criteria}
    assert set(shown) == set(public_criteria(assignment.rubric))
    assert {criterion.status for criterion in shown.values()} <= {"passed", "failed"}
    assert result.max_score == sum(criterion.max_points for criterion in shown.values())
    assert result.score == sum(criterion.points for criterion in shown.values())
    assert result.pending == 0
