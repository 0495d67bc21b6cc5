"""Final grades: the points of every item, whoever gave them, less penalties and lateness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from grader.gradebook.content import content_of
from grader.gradebook.state import Grade, Override, State
from grader.grades.students import Student
from grader.gradescope.metadata import in_words, percent_off
from grader.report.terminal import points as shown
from grader.scoring.result import CriterionResult, ItemResult, Result
from grader.scoring.rubric import AutomaticItem, Item, Lateness, ManualItem, Rubric

Absent = Literal["empty", "zero"]
"""What students get who handed in nothing: no score, or 0 points."""
By = Literal["automatic", "training", "manual", "override"]
LATENESS = "lateness"
"""What is pending besides items."""
NOT_GRADED = "not graded yet"
ABSENT = "nothing was handed in"


@dataclass(frozen=True)
class ItemGrade:
    """What one student got for one item.

    Args:
        id: of the item.
        title: of the item.
        available: what it is worth.
        points: None while it is pending.
        by: who gave the points, or has to.
        reasons: rubric entries, criteria that failed or the reason of an override; why it is pending, if it is.
        comment: for the student.
    """

    id: str
    title: str
    available: float
    points: float | None
    by: By
    reasons: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class Deduction:
    """A part of what was earned that is taken off; ``points`` is None while anything is pending."""

    id: str
    title: str
    percent: float
    reason: str
    points: float | None = None


@dataclass(frozen=True)
class FinalGrade:
    """What one student got.

    Args:
        submission: the key of the row in the class.
        student: with all identifiers.
        items: in the rubric's order.
        penalties: that a person gave.
        lateness: what handing in late costs; None if nothing.
        total: to two decimals; None while anything is pending.
        pending: ids of items that are pending, and `LATENESS`.
        notes: for the student, on the submission as a whole.
    """

    submission: str
    student: Student
    items: tuple[ItemGrade, ...]
    penalties: tuple[Deduction, ...]
    lateness: Deduction | None
    total: float | None
    pending: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def earned(self) -> float:
        """Points so far, before anything is taken off."""
        return sum(item.points or 0.0 for item in self.items)

    @property
    def deductions(self) -> tuple[Deduction, ...]:
        """Penalties and lateness."""
        return (*self.penalties, *([self.lateness] if self.lateness else []))

    def why(self, pending: str) -> str:
        """Why something is pending, in a few words."""
        if pending == LATENESS:
            return "late, but nobody knows by how much"
        return next("; ".join(item.reasons) for item in self.items if item.id == pending)


def compose(
    rubric: Rubric,
    results: Mapping[str, Result],
    state: State,
    students: Mapping[str, Student],
    absent: Absent = "empty",
) -> tuple[FinalGrade, ...]:
    """The final grades of a class, in the order of its students.

    What a person decided counts more than what the grader found. An item is pending until somebody or something has
    given points for this very answer, and while a regrade request is open. Penalties and lateness are percentages of
    what was earned and add up.
    """
    known = frozenset(state.submissions())
    return tuple(
        _Composer(rubric, results.get(key), state, key, student, absent, key in known).grade()
        for key, student in students.items()
    )


def rounded(value: float) -> float:
    """Points to two decimals, halves up, as they are entered elsewhere."""
    return float(Decimal(str(round(value, 6))).quantize(Decimal("0.01"), ROUND_HALF_UP))


@dataclass(frozen=True)
class _Composer:
    """Composes the grade of one student."""

    rubric: Rubric
    result: Result | None
    state: State
    key: str
    student: Student
    absent: Absent
    has_decisions: bool

    def grade(self) -> FinalGrade:
        found = {item.id: item for item in self.result.items} if self.result else {}
        items = tuple(self._noted(self._item(item, found.get(item.id))) for item in self.rubric.items)
        lateness, lateness_waits = self._lateness(self.rubric.gradescope.lateness)
        penalties = tuple(self._penalties())
        pending = [item.id for item in items if item.points is None]
        pending += [LATENESS] if lateness_waits else []
        notes = tuple(note.text for note in self.state.notes(self.key) if note.item is None)
        final = FinalGrade(self.key, self.student, items, penalties, lateness, None, tuple(pending), notes)
        return final if pending else _with_total(final)

    # -- items ---------------------------------------------------------------------------------------------------

    def _item(self, item: Item, found: ItemResult | None) -> ItemGrade:
        decided = self._decided(item, found) or self._found(item, found)
        if reason := self._reopened(item, found):
            return replace(decided, points=None, reasons=(reason,))
        return decided

    def _reopened(self, item: Item, found: ItemResult | None) -> str:
        """Why what was decided does not count at present; nothing if it does."""
        request = self.state.request(self.key, item.id)
        if request is not None and request.is_open:
            return "regrade requested"
        if self.state.stale(self.key, item.id, content_of(found, self.student.notebook)):
            return "the answer changed after it was graded"
        return ""

    def _decided(self, item: Item, found: ItemResult | None) -> ItemGrade | None:
        """What a person decided on an item; None where nobody did. Of an override and a grade, the later one counts."""
        overrides = self.state.overrides(self.key, item.id)
        whole = next((each for each in overrides if each.criterion is None), None)
        given = self.state.grade(self.key, item.id)
        if whole is not None and (given is None or whole.at >= given.at):
            points = min(max(whole.points, 0.0), item.points)
            return _item_grade(item, points, "override", [whole.reason])
        if given is not None:
            return _item_grade(item, given.points, "manual", self._entries(item, given), given.comment)
        return self._by_criteria(item, found, overrides) if overrides else None

    def _entries(self, item: Item, given: Grade) -> Iterator[str]:
        """The rubric entries of a grade, with their points."""
        for entry in self.state.entries(item.id):
            if entry.id in given.entries:
                yield f"{shown_signed(entry.points)}: {entry.text}"
        if given.adjustment:
            yield f"{shown_signed(given.adjustment)}: adjustment"

    def _by_criteria(
        self, item: Item, found: ItemResult | None, overrides: Sequence[Override]
    ) -> ItemGrade:
        """The points of an item of which a person set some criteria."""
        judged = {criterion.id: criterion for criterion in found.criteria} if found else {}
        worth = {name: criterion.max_points for name, criterion in judged.items()}
        if isinstance(item, AutomaticItem):
            worth |= {criterion.id: criterion.points for criterion in item.criteria}
        by_person = {each.criterion: each for each in overrides if each.criterion in worth}
        if not by_person:
            return self._found(item, found)
        points, reasons = 0.0, []
        for name, most in worth.items():
            criterion = judged.get(name)
            if name in by_person:
                override = by_person[name]
                given = min(max(override.points, 0.0), most)
                reasons.append(f"{name}: {shown(given)} of {shown(most)}: {override.reason}")
                points += given
            elif criterion is None or criterion.status == "error":
                return self._found(item, None)
            else:
                reasons += _lost(criterion)
                points += criterion.points
        return _item_grade(item, min(points, item.points), "override", reasons)

    def _found(self, item: Item, found: ItemResult | None) -> ItemGrade:
        """What the grader found out about an item."""
        by: By = item.kind
        if not self.student.handed_in:
            is_nothing = not self.has_decisions or not isinstance(item, ManualItem)
            if is_nothing:
                return _item_grade(item, 0.0 if self.absent == "zero" else None, by, [ABSENT])
            return _item_grade(item, None, by, [NOT_GRADED])
        if self.result is not None and self.result.error is not None:
            return _item_grade(item, None, by, [self.result.error])
        if found is None or found.points is None or found.pending:
            broken = found is not None and found.status == "error"
            return _item_grade(item, None, by, ["the grader could not judge it" if broken else NOT_GRADED])
        return _item_grade(item, found.points, by, [line for each in found.criteria for line in _lost(each)])

    def _noted(self, item: ItemGrade) -> ItemGrade:
        """An item with the notes that people wrote on it."""
        texts = [note.text for note in self.state.notes(self.key) if note.item == item.id]
        return replace(item, comment="\n".join(filter(None, (item.comment, *texts))))

    # -- deductions ----------------------------------------------------------------------------------------------

    def _penalties(self) -> Iterator[Deduction]:
        rules = {rule.id: rule for rule in self.rubric.penalties}
        for given in self.state.penalties(self.key):
            if given.id in rules:  # a rule that the rubric has dropped costs nothing
                rule = rules[given.id]
                yield Deduction(rule.id, rule.title, rule.percent, given.reason)

    def _lateness(self, rule: Lateness) -> tuple[Deduction | None, bool]:
        """What lateness costs, and whether that is still pending."""
        decided = self.state.lateness(self.key)
        if decided is not None:
            return Deduction(LATENESS, "Late submission", decided.percent, decided.reason), False
        by = self.student.late_by
        if by is None:
            return None, self.student.is_late and rule.percent_per_day > 0
        percent = percent_off(by, rule)
        reason = f"handed in {in_words(by)} late"
        return (Deduction(LATENESS, "Late submission", percent, reason) if percent else None), False


def _item_grade(
    item: Item, points: float | None, by: By, reasons: Sequence[str] | Iterator[str], comment: str = ""
) -> ItemGrade:
    return ItemGrade(item.id, item.title, item.points, points, by, tuple(filter(None, reasons)), comment)


def _lost(criterion: CriterionResult) -> list[str]:
    """Why a criterion was lost; nothing for one that was met."""
    if criterion.status == "passed":
        return []
    return [f"{shown_signed(-criterion.max_points)}: {criterion.id}: {criterion.message or criterion.title}"]


def shown_signed(points: float) -> str:
    """Points as a change: `+0.5`, `-1`."""
    return f"{'-' if points < 0 else '+'}{shown(abs(points))}"


def _with_total(final: FinalGrade) -> FinalGrade:
    """A grade of which nothing is pending, with its total and what was taken off."""
    earned = final.earned
    off = min(sum(each.percent for each in final.deductions), 100.0)

    def worked_out(deduction: Deduction) -> Deduction:
        return replace(deduction, points=round(earned * deduction.percent / 100, 4))

    return replace(
        final,
        penalties=tuple(map(worked_out, final.penalties)),
        lateness=worked_out(final.lateness) if final.lateness else None,
        total=rounded(earned * (100 - off) / 100),
    )
