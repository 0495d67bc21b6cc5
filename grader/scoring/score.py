"""Turns verdicts on properties into points, by the rubric and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from grader.scoring.result import CriterionResult, Evidence, ItemResult, ItemStatus
from grader.scoring.rubric import AutomaticItem, Criterion, ManualItem, Rubric, TrainingItem
from grader.scoring.verdict import Verdict, decide


def score(
    rubric: Rubric,
    verdicts: Mapping[str, Verdict],
    *,
    training: Mapping[str, Verdict] | None = None,
    evidence: Mapping[str, Sequence[Evidence]] | None = None,
    notes: Mapping[str, Sequence[str]] | None = None,
) -> tuple[ItemResult, ...]:
    """The rubric's items with their points, in its order.

    `verdicts` is by property name; one that is missing counts as an error of the grader. `training` (for
    training items that were trained again), `evidence` and `notes` are by item id.
    """
    results = []
    for item in rubric.items:
        shown = tuple((evidence or {}).get(item.id, ()))
        remarks = tuple((notes or {}).get(item.id, ()))
        if isinstance(item, AutomaticItem):
            results.append(_automatic(item, verdicts, shown, remarks))
        elif isinstance(item, TrainingItem):
            results.append(_training(item, (training or {}).get(item.id), shown, remarks))
        else:
            results.append(_waiting(item, shown, remarks))
    return tuple(results)


def _criterion(
    criterion: Criterion, verdicts: Sequence[Verdict], others: Mapping[str, Verdict]
) -> CriterionResult:
    decision = decide(criterion.id, verdicts, others)
    decisive = decision.by
    if decisive is None:
        return CriterionResult(
            id=criterion.id,
            title=criterion.title,
            points=criterion.points,
            max_points=criterion.points,
            status="passed",
        )
    return CriterionResult(
        id=criterion.id,
        title=criterion.title,
        points=0,
        max_points=criterion.points,
        status=decision.status,
        message=decision.message,
        requirement=decisive.title or None,
        counterexample=decisive.counterexample,
        pictures=decisive.pictures,
        snippet=decisive.snippet,
        places=decisive.places,
    )


def _automatic(
    item: AutomaticItem,
    verdicts: Mapping[str, Verdict],
    evidence: tuple[Evidence, ...],
    notes: tuple[str, ...],
) -> ItemResult:
    found = [
        [
            verdicts.get(name, Verdict(name, "error", f"{name} was not judged"))
            for name in criterion.properties
        ]
        for criterion in item.criteria
    ]
    criteria = [
        _criterion(criterion, ours, verdicts) for criterion, ours in zip(item.criteria, found, strict=True)
    ]
    remarks = [*notes, *(note for ours in found for verdict in ours for note in verdict.notes)]
    return _judged(item, criteria, evidence, tuple(dict.fromkeys(remarks)))


def _training(
    item: TrainingItem, verdict: Verdict | None, evidence: tuple[Evidence, ...], notes: tuple[str, ...]
) -> ItemResult:
    if verdict is None:
        return _waiting(item, evidence, notes)
    budget = item.budget
    title = (
        f"After {budget.epochs} epochs, more than {budget.threshold:.0%} of the validation images are right."
    )
    criterion = Criterion(
        id=f"{item.id}.training",
        title=title,
        points=item.points,
        quote=item.title,
        public=False,
        properties=(verdict.property,),
    )
    return _judged(item, [_criterion(criterion, [verdict], {})], evidence, (*notes, *verdict.notes))


def _judged(
    item: AutomaticItem | TrainingItem,
    criteria: Sequence[CriterionResult],
    evidence: tuple[Evidence, ...],
    notes: tuple[str, ...],
) -> ItemResult:
    status = status_of(criteria)
    # Exact: the rubric admits quarters of points only.
    earned = sum(criterion.points for criterion in criteria)
    return ItemResult(
        id=item.id,
        title=item.title,
        kind=item.kind,
        points=None if all(criterion.status == "error" for criterion in criteria) else earned,
        max_points=item.points,
        status=status,
        criteria=tuple(criteria),
        evidence=evidence,
        notes=notes,
    )


def status_of(criteria: Sequence[CriterionResult]) -> ItemStatus:
    """The status of an item whose criteria have these results."""
    statuses = {criterion.status for criterion in criteria}
    if "error" in statuses:
        return "error"
    if statuses == {"passed"}:
        return "passed"
    return "failed" if statuses == {"failed"} else "partial"


def nothing_judged(rubric: Rubric) -> tuple[ItemResult, ...]:
    """All items waiting, for a submission that holds nothing to grade."""
    return tuple(_waiting(item, (), ()) for item in rubric.items)


def _waiting(
    item: AutomaticItem | ManualItem | TrainingItem, evidence: tuple[Evidence, ...], notes: tuple[str, ...]
) -> ItemResult:
    return ItemResult(
        id=item.id,
        title=item.title,
        kind=item.kind,
        points=None,
        max_points=item.points,
        status="pending",
        evidence=evidence,
        notes=notes,
    )
