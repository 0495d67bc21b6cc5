"""Composes results: the items by the rubric, and the facts around them. Grading, batches and re-scoring all use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

from grader.scoring.result import (
    Cell,
    CriterionResult,
    Evidence,
    Excerpt,
    Flag,
    Isolation,
    ItemResult,
    ItemStatus,
    Penalty,
    Result,
    Versions,
    totals,
)
from grader.scoring.rubric import AutomaticItem, Item, Rubric
from grader.scoring.score import nothing_judged, score, status_of
from grader.scoring.verdict import Verdict


@dataclass(frozen=True)
class Findings:
    """What judging and training found of one submission.

    Args:
        verdicts: by property; None where nothing could be judged.
        trained: verdicts of training items, by item.
        evidence: for the person who grades, by item.
        notes: by item.
    """

    verdicts: Mapping[str, Verdict] | None = None
    trained: Mapping[str, Verdict] = field(default_factory=dict)
    evidence: Mapping[str, Sequence[Evidence]] = field(default_factory=dict)
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What a result says beside its items; the fields are those of `Result`."""

    submission: str
    versions: Versions
    error: str | None = None
    warnings: tuple[str, ...] = ()
    penalties: tuple[Penalty, ...] = ()
    flags: tuple[Flag, ...] = ()
    cells: tuple[Cell, ...] = ()
    code: tuple[Excerpt, ...] = ()
    isolation: tuple[Isolation, ...] = ()
    seed: Literal["public", "secret"] = "public"
    tokenizer_data: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, result: Result) -> Facts:
        """The facts of a result, to compose it again."""
        return cls(**{each.name: getattr(result, each.name) for each in fields(cls)})


def compose_result(rubric: Rubric, facts: Facts, found: Findings | None = None) -> Result:
    """The result of a submission; items wait as long as one of their properties has no verdict."""
    items = tuple(result for item in rubric.items for result in _item(rubric, item, found or Findings()))
    versions = facts.versions.model_copy(update={"rubric": rubric_version(rubric)})
    known = {each.name: getattr(facts, each.name) for each in fields(facts)} | {"versions": versions}
    return Result(title=rubric.title, items=items, **known, **totals(items)._asdict())


def rubric_version(rubric: Rubric) -> str:
    """How results name a rubric."""
    return f"{rubric.version} {rubric.digest[:12]}"


def restricted_to(result: Result, criteria: Mapping[str, Sequence[str]]) -> Result:
    """A result with these criteria only (by id); items without any are left out, and so is evidence."""
    items = tuple(kept for item in result.items if (kept := _restricted(item, criteria)) is not None)
    return result.model_copy(update={"items": items, **totals(items)._asdict()})


def _item(rubric: Rubric, item: Item, found: Findings) -> tuple[ItemResult, ...]:
    alone = rubric.model_copy(update={"items": (item,)})
    if found.verdicts is None or not _is_judged(item, found.verdicts):
        return nothing_judged(alone)
    return score(alone, found.verdicts, training=found.trained, evidence=found.evidence, notes=found.notes)


def _is_judged(item: Item, verdicts: Mapping[str, Verdict]) -> bool:
    return not isinstance(item, AutomaticItem) or all(
        name in verdicts for criterion in item.criteria for name in criterion.properties
    )


def _restricted(item: ItemResult, public: Mapping[str, Sequence[str]]) -> ItemResult | None:
    criteria: tuple[CriterionResult, ...] = tuple(
        criterion for criterion in item.criteria if criterion.id in public
    )
    if not criteria:
        return None
    most, earned = sum(c.max_points for c in criteria), sum(c.points for c in criteria)
    status: ItemStatus = status_of(criteria)
    update = {"criteria": criteria, "points": earned, "max_points": most, "status": status, "evidence": ()}
    return item.model_copy(update=update)
