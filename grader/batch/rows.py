"""The rows of a class: each student with the result, as the grader found it and people decided."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grader.batch.store import Manifest, Member
from grader.gradebook.results import with_decisions
from grader.gradebook.state import Override, State
from grader.report.terminal import points
from grader.scoring.result import ItemResult, Result
from grader.scoring.rubric import Rubric


@dataclass(frozen=True)
class Row:
    """One member of the class.

    Args:
        member: who it is.
        result: what the grader found and people decided; None while nothing is graded.
        overrides: what people set instead of the grader, in the rubric's order.
        by_hand: points that people gave, by item.
        same_as: the key of somebody else with the same content.
    """

    member: Member
    result: Result | None
    overrides: tuple[Override, ...] = ()
    by_hand: Mapping[str, float] = field(default_factory=dict)
    same_as: str = ""

    def points(self, item: str) -> float | None:
        """Points of an item; None while it waits."""
        found = self._found(item)
        return found.points if found is not None else self.by_hand.get(item)

    def _found(self, item: str) -> ItemResult | None:
        return next((entry for entry in self.result.items if entry.id == item), None) if self.result else None

    def totals(self, rubric: Rubric) -> tuple[float, float, float]:
        """Points earned, points that could be earned in what is judged, and points that wait."""
        earned = judged = pending = 0.0
        for item in rubric.items:
            found = self._found(item.id)
            waits = found.pending if found is not None else 0.0 if item.id in self.by_hand else item.points
            pending += waits
            judged += item.points - waits
            earned += self.points(item.id) or 0.0
        return earned, judged, pending

    @property
    def second_looks(self) -> tuple[tuple[str, str], ...]:
        """The items that a person has to look at again, with the reason."""
        items = self.result.items if self.result else ()
        return tuple((item.id, item.second_look) for item in items if item.second_look)

    @property
    def status(self) -> str:
        """What became of the submission, in a few words."""
        if self.result is None:
            return "not graded yet"
        if self.result.error is not None:
            return "not gradable"
        if any(item.status == "error" for item in self.result.items):
            return "partly graded"
        return "graded"


def rows_of(manifest: Manifest, rubric: Rubric, results: Mapping[str, Result], state: State) -> list[Row]:
    """The class in the order of its keys; who handed in the same content as one before is told so.

    Raises `UsageError` where an override gives more than the rubric has.
    """
    first: dict[str, Member] = {}
    rows = []
    for member in manifest.members:
        other = first.setdefault(member.digest, member) if member.digest else member
        is_own = other is member or (member.group != "" and member.group == other.group)
        result = results.get(member.key)
        if result is not None:
            result = with_decisions(result, member.key, rubric, state, member.digest)
        overrides = [each for item in rubric.items for each in state.overrides(member.key, item.id)]
        by_hand = _by_hand(member.key, rubric, state)
        rows.append(Row(member, result, tuple(overrides), by_hand, same_as="" if is_own else other.key))
    return rows


def _by_hand(key: str, rubric: Rubric, state: State) -> dict[str, float]:
    """Points that people gave for whole items."""
    found = {}
    for item in rubric.items:
        grade = state.grade(key, item.id)
        if grade is not None:
            found[item.id] = grade.points
        for override in state.overrides(key, item.id):
            if override.criterion is None:
                found[item.id] = override.points
    return found


def scores(rows: Sequence[Row], rubric: Rubric) -> str:
    """How the class did, in one line; empty where nobody is graded. All reports on a class say this."""
    totals = [row.totals(rubric) for row in rows if row.result is not None and row.result.error is None]
    if not totals:
        return ""
    earned = sorted(earned for earned, _, _ in totals)
    most = max(judged for _, judged, _ in totals)
    pending = max(pending for _, _, pending in totals)
    so_far = (
        f"{points(most)} points graded so far; up to {points(pending)} pending"
        if pending
        else f"{points(most)} points"
    )
    return (
        f"Scores: mean {points(round(statistics.fmean(earned), 2))}, median {points(statistics.median(earned))}, "
        f"from {points(earned[0])} to {points(earned[-1])} of {so_far}."
    )
