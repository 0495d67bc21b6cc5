"""A result with what people decided: grades, overrides, penalties, resolved flags and comments."""

from __future__ import annotations

from typing import Any

from grader.errors import UsageError
from grader.gradebook.content import content_of
from grader.gradebook.state import Decided, Grade, Override, State
from grader.scoring.result import (
    ChosenEntry,
    CriterionResult,
    Grading,
    ItemResult,
    ItemStatus,
    Penalty,
    Result,
    SetBy,
    totals,
)
from grader.scoring.rubric import Rubric
from grader.scoring.score import status_of
from grader.text.safe_text import one_line


def with_decisions(
    result: Result, submission: str, rubric: Rubric, state: State, notebook: str, pdf: str = ""
) -> Result:
    """The result of a submission with everything that people decided about it.

    Args:
        result: what the grader found.
        submission: the key of its row.
        rubric: what penalties cost.
        state: the decisions.
        notebook: the digest of the notebook, empty where nothing was handed in.
        pdf: the digest of the PDF, empty where none is known.

    Raises:
        UsageError: where an override gives more than its item is worth by this rubric.
    """
    if submission not in state.submissions():
        return result
    items = tuple(_decided(item, submission, state, notebook, pdf) for item in result.items)
    percents = {rule.id: rule.percent for rule in rubric.penalties}
    penalties = tuple(
        Penalty(id=given.id, percent=percents[given.id], reason=given.reason)
        for given in state.penalties(submission)
        if given.id in percents
    )
    resolved = {each.flag: SetBy(who=each.who, why=each.reason) for each in state.flags(submission) if each.resolved}
    flags = tuple(flag.model_copy(update={"resolved": resolved.get(flag.id)}) for flag in result.flags)
    comments = tuple(f"{note.item}: {note.text}" if note.item else note.text for note in state.notes(submission))
    update = {"items": items, "penalties": penalties, "flags": flags, "comments": comments, **totals(items)._asdict()}
    # Validated, as that makes a person's text harmless.
    return Result.model_validate({**dict(result), **update})


def second_look(submission: str, item: ItemResult, state: State, notebook: str, pdf: str = "") -> str:
    """Why a person has to look at a decision on an item again; empty where nobody has to."""
    if state.stale(submission, item.id, content_of(item, notebook, pdf)):
        last = _last(submission, item.id, state)
        by = f" by {one_line(last.who)}" if last is not None else ""
        return f"decided{by} when the answer was another one"
    grade = state.grade(submission, item.id)
    if grade is not None and grade.missing:
        return f"graded by {one_line(grade.who)} with a rubric entry that no longer exists: {', '.join(grade.missing)}"
    request = state.request(submission, item.id)
    return "regrade requested" if request is not None and request.is_open else ""


def _last(submission: str, item: str, state: State) -> Decided | None:
    decided: list[Decided] = [*state.overrides(submission, item)]
    grade = state.grade(submission, item)
    decided += [] if grade is None else [grade]
    return max(decided, key=lambda each: each.at, default=None)


def _decided(item: ItemResult, submission: str, state: State, notebook: str, pdf: str) -> ItemResult:
    update: dict[str, Any] = {"second_look": second_look(submission, item, state, notebook, pdf)}
    grade = state.grade(submission, item.id)
    if grade is not None:
        update |= _graded(item, grade, state)
    overrides = {each.criterion: each for each in state.overrides(submission, item.id)}
    if whole := overrides.pop(None, None):
        _refuse_too_much(submission, whole, item.max_points)
        update |= {
            "points": whole.points,
            "status": _status(whole.points, item.max_points),
            "set_by": SetBy(who=whole.who, why=whole.reason),
        }
    elif overrides and grade is None:
        update |= _with_criteria(item, submission, overrides)
    return item.model_copy(update=update)


def _graded(item: ItemResult, grade: Grade, state: State) -> dict[str, Any]:
    chosen = [entry for entry in state.entries(item.id) if entry.id in grade.entries]
    grading = Grading(
        who=grade.who,
        entries=tuple(ChosenEntry(points=entry.points, text=entry.text) for entry in chosen),
        adjustment=grade.adjustment,
        comment=grade.comment,
    )
    return {"points": grade.points, "status": _status(grade.points, item.max_points), "grading": grading}


def _with_criteria(
    item: ItemResult, submission: str, overrides: dict[str | None, Override]
) -> dict[str, Any]:
    """The item with points that people set for some of its criteria."""
    criteria = []
    for criterion in item.criteria:
        override = overrides.get(criterion.id)
        criteria.append(criterion if override is None else _set(criterion, submission, override))
    if not any(criterion.set_by for criterion in criteria):
        return {}
    points = sum(criterion.points for criterion in criteria)
    status = status_of(criteria)
    return {
        "criteria": tuple(criteria),
        "points": None if all(criterion.status == "error" for criterion in criteria) else points,
        "status": status if status == "error" else _status(points, item.max_points),
    }


def _set(criterion: CriterionResult, submission: str, override: Override) -> CriterionResult:
    _refuse_too_much(submission, override, criterion.max_points)
    full = override.points >= criterion.max_points
    set_by = SetBy(who=override.who, why=override.reason)
    update = {"points": override.points, "status": "passed" if full else "failed", "set_by": set_by}
    return criterion.model_copy(update=update)


def _status(points: float, most: float) -> ItemStatus:
    return "passed" if points >= most else "failed" if points == 0 else "partial"


def _refuse_too_much(submission: str, override: Override, most: float) -> None:
    if override.points > most:
        name = override.criterion or override.item
        raise UsageError(
            f"{one_line(submission)}: the override of {name} by {one_line(override.who)} sets {override.points:g} points, but "
            f"by this rubric it is worth {most:g}; change or withdraw the override first"
        )
