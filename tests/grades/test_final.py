"""Final grades: what counts, what is pending and why, and what is taken off."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from grader.errors import UsageError
from grader.gradebook.content import content_of
from grader.gradebook.entries import entry_data
from grader.gradebook.events import Kind
from grader.grades.final import NO_NOTEBOOK, NOT_GRADED, Absent, FinalGrade, compose, rounded
from grader.grades.students import Student
from grader.scoring.result import Result
from tests.grades.made import RUBRIC, Decided, graded, result, state

ADA = Student("Ada Lovelace", "007", notebook="a" * 64)
FULL = graded("ada", "1a", "first", "second")


def of(
    *decisions: Decided, found: Result | None = None, student: Student = ADA, absent: Absent = "empty", **settings: Any
) -> FinalGrade:
    """The grade of one student after decisions."""
    results = {"ada": found or result(**settings)}
    (grade,) = compose(RUBRIC, results, state(*decisions), {"ada": student}, absent)
    return grade


def item(grade: FinalGrade, name: str) -> tuple[float | None, str, tuple[str, ...]]:
    found = next(each for each in grade.items if each.id == name)
    return found.points, found.by, found.reasons


def test_points_of_all_kinds_add_up_to_the_total() -> None:
    grade = of(FULL, found=result("2a.values"))
    assert item(grade, "1a") == (4, "manual", ("+2: The first formula is right.", "+2: The second formula is right."))
    assert item(grade, "2a") == (2, "automatic", ("-3: 2a.values: wrong by 1",))
    assert item(grade, "3a") == (1, "training", ())
    assert (grade.total, grade.pending, grade.submission, grade.student) == (7, (), "ada", ADA)


def test_an_adjustment_and_a_comment_come_along() -> None:
    grade = of(graded("ada", "1a", "first", adjustment=-0.5, comment="Almost."))
    assert item(grade, "1a") == (1.5, "manual", ("+2: The first formula is right.", "-0.5: adjustment"))
    assert grade.items[0].comment == "Almost."
    assert grade.total == 7.5


def test_an_ungraded_item_is_pending_and_there_is_no_total() -> None:
    grade = of()
    assert (grade.total, grade.pending, grade.why("1a")) == (None, ("1a",), "not graded yet")
    assert grade.earned == 6


def test_a_withdrawn_grade_is_pending_again() -> None:
    assert of(FULL, (Kind.clear, "ada", "1a", {})).pending == ("1a",)


def test_a_submission_that_was_not_judged_yet_is_pending() -> None:
    (grade,) = compose(RUBRIC, {}, state(FULL), {"ada": ADA})
    assert (grade.total, grade.pending) == (None, ("2a", "3a"))


def test_what_the_grader_could_not_judge_is_pending_whatever_the_rest_earned() -> None:
    grade = of(FULL, found=result(broken=["2a.shapes"]))
    assert (grade.total, grade.pending, grade.why("2a")) == (None, ("2a",), "the grader could not judge it")


def test_a_model_that_was_not_trained_waits_for_a_person() -> None:
    assert of(FULL, found=result(trained=None)).pending == ("3a",)
    grade = of(FULL, graded("ada", "3a", adjustment=0.5), found=result(trained=None))
    assert item(grade, "3a") == (0.5, "manual", ("+0.5: adjustment",))
    assert grade.total == 9.5


def test_a_persons_grade_counts_more_than_training() -> None:
    grade = of(FULL, graded("ada", "3a", adjustment=0.5), found=result(trained=False))
    assert item(grade, "3a")[:2] == (0.5, "manual")


def override(points: float | None, criterion: str | None = None, name: str = "2a", **data: Any) -> Decided:
    return (Kind.override, "ada", name, {"points": points, "criterion": criterion, "reason": "regraded", **data})


def test_an_override_counts_instead_of_what_the_grader_found() -> None:
    grade = of(FULL, override(4.5), found=result("2a.shapes", "2a.values"))
    assert item(grade, "2a") == (4.5, "override", ("regraded",))
    assert grade.total == 9.5


def test_an_override_that_was_withdrawn_does_not_count() -> None:
    assert item(of(override(4.5), override(None), found=result("2a.values")), "2a")[0] == 2


def test_an_override_settles_what_the_grader_could_not_judge() -> None:
    assert of(FULL, override(0), found=result(broken=["2a.shapes"])).total == 5


def test_an_override_of_a_criterion_leaves_the_others() -> None:
    grade = of(FULL, override(1.5, "2a.values"), found=result("2a.shapes", "2a.values"))
    assert item(grade, "2a") == (
        1.5,
        "override",
        ("-2: 2a.shapes: wrong by 1", "2a.values: 1.5 of 3: regraded"),
    )


def test_an_override_of_more_than_a_criterion_is_worth_is_refused() -> None:
    with pytest.raises(UsageError, match=r"sets 5 points, but by this rubric it is worth 2"):
        of(override(5, "2a.shapes"), found=result("2a.shapes"))


def test_an_override_of_one_broken_criterion_leaves_the_other_broken_one_pending() -> None:
    found = result(broken=["2a.shapes", "2a.values"])
    assert of(FULL, override(2, "2a.shapes"), found=found).pending == ("2a",)
    assert of(FULL, override(2, "2a.shapes"), override(1, "2a.values"), found=found).total == 8


def test_an_override_counts_more_than_a_grade_whose_comment_stays() -> None:
    grade = of(graded("ada", "1a", "first", comment="Almost."), override(1, None, "1a"))
    assert item(grade, "1a") == (1, "override", ("regraded",))
    assert grade.items[0].comment == "Almost."


def test_an_open_regrade_request_is_pending_until_it_is_answered() -> None:
    request: Decided = (Kind.request, "ada", "1a", {"text": "Please look again."})
    answer: Decided = (Kind.answer, "ada", "1a", {"outcome": "upheld", "text": "It stays."})
    grade = of(FULL, request)
    assert (grade.total, grade.why("1a")) == (None, "regrade requested")
    assert of(FULL, request, answer).total == 10


def test_a_grade_for_another_answer_needs_a_second_look() -> None:
    seen = content_of(None, "b" * 64)
    grade = of(graded("ada", "1a", "first", content=seen))
    assert (grade.total, grade.why("1a")) == (None, "decided by tessa when the answer was another one")
    assert of(graded("ada", "1a", "first", content=content_of(None, ADA.notebook))).total == 8


def test_a_changed_entry_changes_the_total() -> None:
    first = next(each for each in RUBRIC.by_hand if each.id == "1a").entries[0]
    data = {**entry_data(first), "points": 1.0, "text": "Half.", "before": entry_data(first)}
    changed: Decided = (Kind.entry, None, "1a", data)
    grade = of(FULL, changed)
    assert item(grade, "1a")[2] == ("+1: Half.", "+2: The second formula is right.")
    assert grade.total == 9


# -- deductions --------------------------------------------------------------------------------------------------

PENALTY: Decided = (Kind.penalty, "ada", None, {"id": "page-assignment", "on": True, "reason": "no pages"})


def test_a_penalty_takes_its_percentage_off() -> None:
    grade = of(FULL, PENALTY, found=result("2a.values"))
    assert [(each.id, each.percent, each.points, each.reason) for each in grade.penalties] == [
        ("page-assignment", 3, 0.21, "no pages")
    ]
    assert (grade.earned, grade.total) == (7, 6.79)


def test_a_penalty_that_was_taken_back_costs_nothing() -> None:
    off: Decided = (Kind.penalty, "ada", None, {"id": "page-assignment", "on": False, "reason": ""})
    assert of(FULL, PENALTY, off).total == 10


def test_what_is_taken_off_is_not_known_while_anything_is_pending() -> None:
    assert [each.points for each in of(PENALTY).penalties] == [None]


@pytest.mark.parametrize(
    ("late", "percent"),
    [
        (timedelta(0), None),
        (timedelta(minutes=30), None),
        (timedelta(minutes=31), 10),
        (timedelta(days=1, minutes=31), 20),
        (timedelta(days=30), 50),
    ],
)
def test_lateness_costs_what_the_rubric_says(late: timedelta, percent: float | None) -> None:
    grade = of(FULL, student=replace(ADA, late_by=late, is_late=True))
    assert (grade.lateness.percent if grade.lateness else None) == percent
    assert grade.total == 10 - (percent or 0) / 10


def test_a_late_flag_alone_is_pending_as_nobody_knows_by_how_much() -> None:
    grade = of(FULL, student=replace(ADA, is_late=True))
    assert (grade.total, grade.pending, grade.why("lateness")) == (
        None,
        ("lateness",),
        "late, but nobody knows by how much",
    )


def test_a_late_flag_costs_nothing_where_the_rubric_charges_nothing() -> None:
    free = RUBRIC.model_copy(
        update={"gradescope": RUBRIC.gradescope.model_copy(update={"lateness": type(RUBRIC.gradescope.lateness)()})}
    )
    (grade,) = compose(free, {"ada": result()}, state(FULL), {"ada": replace(ADA, is_late=True)})
    assert grade.total == 10


@pytest.mark.parametrize(("percent", "total"), [(0.0, 10), (25.0, 7.5)])
def test_a_decision_on_lateness_counts_instead_of_the_rule(percent: float, total: float) -> None:
    decided: Decided = (Kind.lateness, "ada", None, {"percent": percent, "reason": "ill"})
    grade = of(FULL, decided, student=replace(ADA, is_late=True, late_by=timedelta(days=3)))
    assert grade.lateness is not None
    assert (grade.lateness.reason, grade.total) == ("ill", total)
    withdrawn: Decided = (Kind.lateness, "ada", None, {"percent": None, "reason": ""})
    assert of(FULL, decided, withdrawn, student=replace(ADA, late_by=timedelta(days=3))).total == 7


def test_deductions_add_up_and_take_no_more_than_was_earned() -> None:
    late: Decided = (Kind.lateness, "ada", None, {"percent": 10.0, "reason": ""})
    assert of(FULL, PENALTY, late).total == 8.7
    everything: Decided = (Kind.lateness, "ada", None, {"percent": 100.0, "reason": ""})
    assert of(FULL, PENALTY, everything).total == 0


@pytest.mark.parametrize(
    ("value", "expected"), [(32.2525, 32.25), (0.125, 0.13), (33.95, 33.95), (1.005, 1.01), (2.675, 2.68), (0, 0)]
)
def test_totals_are_rounded_halves_up(value: float, expected: float) -> None:
    assert rounded(value) == expected


# -- who handed in nothing ---------------------------------------------------------------------------------------

NOBODY = replace(ADA, handed_in=False, notebook="")
UNREADABLE = result(error="there is no notebook")


def test_nothing_handed_in_has_no_total_unless_it_is_to_be_zero() -> None:
    grade = of(found=UNREADABLE, student=NOBODY)
    assert (grade.total, grade.pending, grade.why("2a")) == (None, ("1a", "2a", "3a"), "nothing was handed in")
    assert of(found=UNREADABLE, student=NOBODY, absent="zero").total == 0


def test_a_pdf_without_a_notebook_is_graded_and_never_zero_before() -> None:
    pages: Decided = (Kind.pages, "ada", "1a", {"pages": [1]})
    waiting = of(pages, found=UNREADABLE, student=NOBODY, absent="zero")
    assert (waiting.total, waiting.pending) == (None, ("1a", "3a"))
    by_hand = (FULL, graded("ada", "3a", adjustment=1.0))
    assert of(pages, *by_hand, found=UNREADABLE, student=NOBODY, absent="zero").total == 5
    assert of(*by_hand, found=UNREADABLE, student=NOBODY).pending == ("2a",)


@pytest.mark.parametrize("absent", ["empty", "zero"])
def test_a_known_pdf_is_enough_for_its_items_to_wait(absent: Absent) -> None:
    """Also before anybody has decided anything about the student."""
    with_pdf = replace(NOBODY, pdf="c" * 64)
    grade = of(found=UNREADABLE, student=with_pdf, absent=absent)
    assert grade.total is None
    assert [item.points for item in grade.items] == [None, 0 if absent == "zero" else None, None]
    assert [item.reasons[0] for item in grade.items] == [NOT_GRADED, NO_NOTEBOOK, NOT_GRADED]


def test_a_look_at_a_student_decides_nothing() -> None:
    looked: Decided = (Kind.reveal, "ada", None, {})
    assert of(looked, found=UNREADABLE, student=NOBODY, absent="zero").total == 0


def test_a_grade_for_another_pdf_needs_a_second_look() -> None:
    seen, now = replace(ADA, pdf="c" * 64), replace(ADA, pdf="d" * 64)
    content = content_of(None, seen.notebook, seen.pdf)
    given = graded("ada", "1a", "first", content=content)
    assert of(given, student=seen).pending == ()
    assert of(given, student=now).pending == ("1a",)
    # A grade from a review without PDFs says nothing about them.
    assert of(graded("ada", "1a", "first", content=content_of(None, ADA.notebook)), student=now).pending == ()


def test_an_unreadable_submission_waits_for_a_person_and_is_never_zero() -> None:
    grade = of(found=UNREADABLE, absent="zero")
    assert (grade.total, grade.why("2a")) == (None, "there is no notebook")
    settled = of(FULL, override(0), override(0, None, "3a"), found=UNREADABLE)
    assert settled.total == 4


def test_notes_go_to_their_item_or_to_the_submission() -> None:
    grade = of(
        graded("ada", "1a", "first", comment="Good."),
        (Kind.note, "ada", "1a", {"text": "See me."}),
        (Kind.note, "ada", None, {"text": "Well done."}),
    )
    assert grade.items[0].comment == "Good.\nSee me."
    assert grade.notes == ("Well done.",)


def test_the_order_is_that_of_the_students() -> None:
    everybody = {name: replace(ADA, name=name) for name in ("zoe", "ada", "mia")}
    assert [grade.submission for grade in compose(RUBRIC, {}, state(), everybody)] == ["zoe", "ada", "mia"]
