"""What a student may run before handing in: the criteria that the rubric marks public, with the same feedback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from grader.assignment import Assignment
from grader.grade import Progress, Request, judge
from grader.scoring.compose import restricted_to
from grader.scoring.facts import PUBLIC_SEED_WARNING
from grader.scoring.result import Result
from grader.scoring.rubric import Criterion, Rubric


def public_criteria(rubric: Rubric) -> dict[str, tuple[str, ...]]:
    """Properties by the id of each public criterion."""
    return {
        criterion.id: criterion.properties
        for item in rubric.automatic
        for criterion in item.criteria
        if criterion.public
    }


def unchecked_criteria(rubric: Rubric) -> dict[str, tuple[Criterion, ...]]:
    """The criteria that are not public, by the id of their item."""
    kept = {item.id: tuple(c for c in item.criteria if not c.public) for item in rubric.automatic}
    return {item: criteria for item, criteria in kept.items() if criteria}


def check(
    path: Path, assignment: Assignment, progress: Progress = lambda stage, done, total: None
) -> Result:
    """The verdicts on the public criteria, as grading would reach them; points are those of these criteria.

    All properties are judged, as a public one may leave a case to another. The notebook is the student's own, so it is
    checked whatever isolation the machine gives.
    """
    assignment = replace(assignment, least_isolation=None)
    public = public_criteria(assignment.rubric)
    result = restricted_to(judge(path, assignment, Request(progress)).result, public)
    # Students have no other seed.
    warnings = tuple(warning for warning in result.warnings if warning != PUBLIC_SEED_WARNING)
    return result.model_copy(update={"warnings": warnings})
