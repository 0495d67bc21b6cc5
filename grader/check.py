"""What a student may run before handing in: the criteria that the rubric marks public, with the same feedback.

`grader.checking.public` decides, here as in the package that students install for their notebook.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from grader.assignment import Assignment
from grader.checking.public import PublicCriterion, PublicItem
from grader.grade import Request, judge
from grader.judging.property import Property
from grader.scoring.compose import Facts, Findings, compose_result
from grader.scoring.facts import PUBLIC_SEED_WARNING
from grader.scoring.result import Result
from grader.scoring.rubric import AutomaticItem, Criterion, Rubric
from grader.scoring.verdict import with_excuses


def public_rubric(rubric: Rubric, properties: Mapping[str, Property]) -> Rubric:
    """The rubric's public criteria, each with those of its ``properties`` that are not private."""
    items = (_public_part(item, properties) for item in rubric.automatic)
    return rubric.model_copy(update={"items": tuple(item for item in items if item is not None)})


def _public_part(item: AutomaticItem, properties: Mapping[str, Property]) -> AutomaticItem | None:
    criteria = []
    for criterion in item.criteria:
        names = tuple(name for name in criterion.properties if not properties[name].private)
        if criterion.public and names:
            criteria.append(criterion.model_copy(update={"properties": names}))
    if not criteria:
        return None
    points = sum(criterion.points for criterion in criteria)
    return item.model_copy(update={"criteria": tuple(criteria), "points": points})


def public_criteria(rubric: Rubric, properties: Mapping[str, Property]) -> dict[str, tuple[str, ...]]:
    """Public properties by the id of each public criterion."""
    items = public_rubric(rubric, properties).automatic
    return {criterion.id: criterion.properties for item in items for criterion in item.criteria}


def unchecked_criteria(rubric: Rubric) -> dict[str, tuple[Criterion, ...]]:
    """The criteria that are not public, by the id of their item."""
    kept = {item.id: tuple(c for c in item.criteria if not c.public) for item in rubric.automatic}
    return {item: criteria for item, criteria in kept.items() if criteria}


def public_items(rubric: Rubric, properties: Mapping[str, Property]) -> tuple[PublicItem, ...]:
    """The items that have public criteria, with these."""
    hidden = unchecked_criteria(rubric)
    return tuple(
        PublicItem(
            item.id,
            item.title,
            tuple(PublicCriterion(c.id, c.title, c.points, c.properties) for c in item.criteria),
            (*_checked_in_part(rubric, item), *(criterion.id for criterion in hidden.get(item.id, ()))),
        )
        for item in public_rubric(rubric, properties).automatic
    )


def _checked_in_part(rubric: Rubric, public: AutomaticItem) -> list[str]:
    """The public criteria of an item of which some properties are private."""
    whole = {criterion.id: criterion.properties for item in rubric.automatic for criterion in item.criteria}
    return [f"{c.id} (in part)" for c in public.criteria if c.properties != whole[c.id]]


def public_part(assignment: Assignment) -> Assignment:
    """What of an assignment a student may check.

    The notebook is the student's own, so it is checked whatever isolation the machine gives.
    """
    rubric = public_rubric(assignment.rubric, assignment.homework.properties)
    return replace(assignment, rubric=rubric, least_isolation=None)


def check(path: Path, assignment: Assignment, request: Request | None = None) -> Result:
    """The verdicts on the public criteria, by their public properties; points are those of these criteria.

    A property that leaves a case to one that is not judged here is taken at its word.
    """
    public = public_part(assignment)
    judged = judge(path, public, request)
    result = judged.result
    # Students have no other seed.
    warnings = tuple(warning for warning in result.warnings if warning != PUBLIC_SEED_WARNING)
    result = result.model_copy(update={"warnings": warnings})
    if judged.verdicts is None:
        return result
    found = Findings(with_excuses(judged.verdicts), notes=judged.notes)
    return compose_result(public.rubric, Facts.of(result), found)
