"""What a student may run before handing in: the criteria that the rubric marks public, with the same feedback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from grader.grade import PUBLIC_SEED_WARNING, Assignment, Progress, judge
from grader.scoring.result import ItemResult, Result, totals
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
    result = judge(path, assignment, progress).result
    items = tuple(kept for item in result.items if (kept := _public_part(item, public)) is not None)
    # Students have no other seed.
    warnings = tuple(warning for warning in result.warnings if warning != PUBLIC_SEED_WARNING)
    return result.model_copy(update={"items": items, "warnings": warnings, **totals(items)._asdict()})


def _public_part(item: ItemResult, public: dict[str, tuple[str, ...]]) -> ItemResult | None:
    criteria = tuple(criterion for criterion in item.criteria if criterion.id in public)
    if not criteria:
        return None
    most, earned = sum(c.max_points for c in criteria), sum(c.points for c in criteria)
    statuses = {criterion.status for criterion in criteria}
    status = "error" if "error" in statuses else statuses.pop() if len(statuses) == 1 else "partial"
    update = {"criteria": criteria, "points": earned, "max_points": most, "status": status, "evidence": ()}
    return item.model_copy(update=update)
