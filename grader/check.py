"""What a student may run before handing in: the criteria that the rubric marks public, with the same feedback."""

from __future__ import annotations

from pathlib import Path

from grader.grade import Assignment, Progress, judge
from grader.results import ItemResult, Result, totals
from grader.rubric import Rubric


def public_criteria(rubric: Rubric) -> dict[str, tuple[str, ...]]:
    """Properties by the id of each public criterion."""
    return {
        criterion.id: criterion.properties
        for item in rubric.automatic
        for criterion in item.criteria
        if criterion.public
    }


def check(
    path: Path, assignment: Assignment, progress: Progress = lambda stage, done, total: None
) -> Result:
    """Judge a notebook by the public criteria alone; points are those of these criteria."""
    public = public_criteria(assignment.rubric)
    names = {name for properties in public.values() for name in properties}
    result = judge(path, assignment, progress, only=names).result
    items = tuple(kept for item in result.items if (kept := _public_part(item, public)) is not None)
    return result.model_copy(update={"items": items, **totals(items)._asdict()})


def _public_part(item: ItemResult, public: dict[str, tuple[str, ...]]) -> ItemResult | None:
    criteria = tuple(criterion for criterion in item.criteria if criterion.id in public)
    if not criteria:
        return None
    most, earned = sum(c.max_points for c in criteria), sum(c.points for c in criteria)
    statuses = {criterion.status for criterion in criteria}
    status = "error" if "error" in statuses else statuses.pop() if len(statuses) == 1 else "partial"
    update = {"criteria": criteria, "points": earned, "max_points": most, "status": status, "evidence": ()}
    return item.model_copy(update=update)
