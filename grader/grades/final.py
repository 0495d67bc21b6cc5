"""Final grades: the points of every item, whoever gave them, less penalties and lateness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from grader.gradebook.events import Kind
from grader.gradebook.results import with_decisions
from grader.gradebook.state import State
from grader.grades.students import Student
from grader.gradescope.metadata import in_words, percent_off
from grader.report.terminal import points as shown
from grader.scoring.compose import Facts, compose_result
from grader.scoring.facts import versions
from grader.scoring.result import CriterionResult, ItemResult, Result
from grader.scoring.rubric import Lateness, Rubric

Absent = Literal["empty", "zero"]
"""What students get who handed in nothing: no score, or 0 points."""
By = Literal["automatic", "training", "manual", "override"]
LATENESS = "lateness"
"""What is pending besides items."""
NOT_GRADED = "not graded yet"
ABSENT = "nothing was handed in"
NO_NOTEBOOK = "no notebook was handed in"


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
    what was earned and add up. Raises `UsageError` where an override gives more than its item is worth.
    """
    known = {
        submission
        for (submission, _), events in state.log.events.items()
        # Looking at a student decides nothing.
        if any(event.kind is not Kind.reveal and not state.is_undone(event) for event in events)
    }
    nothing = compose_result(rubric, Facts("", versions(rubric)))
    return tuple(
        _Composer(
            rubric,
            with_decisions(results.get(key, nothing), key, rubric, state, student.notebook, student.pdf),
            state,
            key,
            student,
            absent,
            key in known,
        ).grade()
        for key, student in students.items()
    )


def rounded(value: float) -> float:
    """Points to two decimals, halves up, as they are entered elsewhere."""
    return float(Decimal(str(round(value, 6))).quantize(Decimal("0.01"), ROUND_HALF_UP))


@dataclass(frozen=True)
class _Composer:
    """Composes the grade of one student, whose result has what people decided."""

    rubric: Rubric
    result: Result
    state: State
    key: str
    student: Student
    absent: Absent
    has_decisions: bool

    def grade(self) -> FinalGrade:
        notes = self.state.notes(self.key)
        items = tuple(
            self._item(item, [note.text for note in notes if note.item == item.id]) for item in self.result.items
        )
        lateness, lateness_waits = self._lateness(self.rubric.gradescope.lateness)
        penalties = tuple(self._penalties())
        pending = [item.id for item in items if item.points is None]
        pending += [LATENESS] if lateness_waits else []
        general = tuple(note.text for note in notes if note.item is None)
        final = FinalGrade(self.key, self.student, items, penalties, lateness, None, tuple(pending), general)
        return final if pending else _with_total(final)

    def _item(self, item: ItemResult, notes: Sequence[str]) -> ItemGrade:
        comment = "\n".join(filter(None, (item.grading.comment if item.grading else "", *notes)))
        points, reasons = item.points, _reasons(item)
        if item.second_look:
            points, reasons = None, [item.second_look]
        elif item.pending:
            points, reasons = self._unjudged(item)
        return ItemGrade(item.id, item.title, item.max_points, points, _given_by(item), tuple(reasons), comment)

    def _unjudged(self, item: ItemResult) -> tuple[float | None, list[str]]:
        """What counts for an item that nobody has given points for, and why."""
        if not self.student.handed_in:
            # There is a PDF, or there may be one where a person decided anything: nobody gets a 0 for what it says.
            has_more = bool(self.student.pdf) or self.has_decisions
            if has_more and item.kind != "automatic":
                return None, [NOT_GRADED]
            return (0.0 if self.absent == "zero" else None), [NO_NOTEBOOK if self.student.pdf else ABSENT]
        if self.result.error is not None:
            return None, [self.result.error]
        return None, ["the grader could not judge it" if item.status == "error" else NOT_GRADED]

    # -- deductions ----------------------------------------------------------------------------------------------

    def _penalties(self) -> Iterator[Deduction]:
        titles = {rule.id: rule.title for rule in self.rubric.penalties}
        for given in self.result.penalties:
            yield Deduction(given.id, titles[given.id], given.percent, given.reason)

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


def _given_by(item: ItemResult) -> By:
    """Who gave an item's points, or has to."""
    if item.set_by is not None or any(criterion.set_by for criterion in item.criteria):
        return "override"
    return "manual" if item.grading is not None else item.kind


def _reasons(item: ItemResult) -> list[str]:
    """Why an item has its points: a person's words, or the criteria that were lost."""
    if item.set_by is not None:
        return [item.set_by.why] if item.set_by.why else []
    if item.grading is not None:
        lines = [f"{shown_signed(entry.points)}: {entry.text}" for entry in item.grading.entries]
        adjustment = item.grading.adjustment
        return [*lines, *([f"{shown_signed(adjustment)}: adjustment"] if adjustment else [])]
    return [line for criterion in item.criteria for line in _of_criterion(criterion)]


def _of_criterion(criterion: CriterionResult) -> Iterator[str]:
    """Why a criterion was lost, or what a person set it to; nothing for one that was met."""
    if criterion.set_by is not None:
        given = f"{shown(criterion.points)} of {shown(criterion.max_points)}"
        yield f"{criterion.id}: {given}: {criterion.set_by.why}".removesuffix(": ")
    elif criterion.status != "passed":
        yield f"{shown_signed(-criterion.max_points)}: {criterion.id}: {criterion.message or criterion.title}"


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
