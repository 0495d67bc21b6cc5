"""The criteria that students may check, and the verdicts on them.

`grader check` and the package for notebooks decide alike: by the public properties alone. Where one of these leaves a case to a
property that is not public, it is taken at its word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grader.scoring.verdict import Decision, Verdict, decide, left_to_others, with_excuses


@dataclass(frozen=True)
class PublicCriterion:
    """A criterion that students may check, with the names of its properties."""

    id: str
    title: str
    points: float
    properties: tuple[str, ...]


@dataclass(frozen=True)
class PublicItem:
    """An item with its public criteria, and the ids of those that only grading judges."""

    id: str
    title: str
    criteria: tuple[PublicCriterion, ...]
    unchecked: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The item as plain values."""
        criteria = [
            {"id": each.id, "title": each.title, "points": each.points, "properties": list(each.properties)}
            for each in self.criteria
        ]
        return {"id": self.id, "title": self.title, "criteria": criteria, "unchecked": list(self.unchecked)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PublicItem:
        """The item that `to_json` wrote."""
        criteria = (
            PublicCriterion(each["id"], each["title"], each["points"], tuple(each["properties"]))
            for each in data["criteria"]
        )
        return cls(data["id"], data["title"], tuple(criteria), tuple(data["unchecked"]))


@dataclass(frozen=True)
class CheckedCriterion:
    """A public criterion, what its verdicts come to, and what was found that other criteria have to judge."""

    criterion: PublicCriterion
    decision: Decision
    elsewhere: tuple[str, ...] = ()


def decided(item: PublicItem, verdicts: Mapping[str, Verdict]) -> tuple[CheckedCriterion, ...]:
    """What the verdicts on the public properties, by name, come to for each criterion of an item."""
    others = with_excuses(verdicts)
    checked = []
    for criterion in item.criteria:
        ours = [verdicts[name] for name in criterion.properties]
        decision = decide(criterion.id, ours, others)
        checked.append(CheckedCriterion(criterion, decision, _elsewhere(ours) if decision.by is None else ()))
    return tuple(checked)


def _elsewhere(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(verdict.message for verdict in left_to_others(verdicts) if verdict.message))
