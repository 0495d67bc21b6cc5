"""Verdicts become points by the rubric alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from grader.scoring.result import Evidence, totals
from grader.scoring.rubric import AutomaticItem, load_rubric
from grader.scoring.score import score
from grader.scoring.verdict import Verdict

RUBRIC = load_rubric()
CRITERIA = [criterion for item in RUBRIC.automatic for criterion in item.criteria]
MASK = next(criterion for criterion in CRITERIA if criterion.id == "2a.mask")


def all_passed() -> dict[str, Verdict]:
    return {name: Verdict(name, "passed") for name in RUBRIC.properties}


def by_id(items):
    return {item.id: item for item in items}


def test_a_right_solution_has_all_automatic_points():
    items = score(RUBRIC, all_passed())
    assert totals(items) == (18, 18, 17)
    assert {item.status for item in items if item.kind == "automatic"} == {"passed"}
    assert all(item.status == "pending" and item.points is None for item in items if item.kind != "automatic")


def test_one_failed_property_loses_its_criterion_and_no_more():
    verdicts = all_passed()
    name = MASK.properties[-1]
    verdicts[name] = Verdict(name, "failed", "alpha is 0.3", "mask = [[0]]", title="Masked means 0.")
    items = score(RUBRIC, verdicts)
    assert totals(items) == (17, 18, 17)
    item = by_id(items)["2a"]
    assert (item.status, item.points) == ("partial", 3)
    (lost,) = (criterion for criterion in item.criteria if criterion.status != "passed")
    assert (lost.id, lost.points, lost.message) == ("2a.mask", 0, "alpha is 0.3")
    assert (lost.requirement, lost.counterexample) == ("Masked means 0.", "mask = [[0]]")


def test_the_first_failure_speaks_for_its_criterion():
    verdicts = all_passed()
    for name in MASK.properties:
        verdicts[name] = Verdict(name, "failed", f"{name} failed")
    criterion = by_id(score(RUBRIC, verdicts))["2a"].criteria[2]
    assert criterion.message == f"{MASK.properties[0]} failed"


def test_the_graders_own_error_costs_nothing():
    verdicts = all_passed()
    name = MASK.properties[0]
    verdicts[name] = Verdict(name, "error", "the oracle raised")
    for other in MASK.properties[1:]:
        verdicts[other] = Verdict(other, "failed", "wrong")
    items = score(RUBRIC, verdicts)
    assert totals(items) == (17, 17, 18)
    assert (by_id(items)["2a"].status, by_id(items)["2a"].points) == ("error", 3)
    assert by_id(items)["2a"].criteria[2].status == "error"


def test_what_was_not_judged_waits():
    items = score(RUBRIC, {})
    assert totals(items) == (0, 0, 35)
    assert all(item.points is None for item in items)
    assert "was not judged" in by_id(items)["2a"].criteria[0].message


def test_training_is_judged_only_if_it_took_place():
    for status, expected in {
        "passed": (1, "passed"),
        "failed": (0, "failed"),
        "error": (None, "error"),
    }.items():
        verdict = Verdict("training", status, "the accuracy is 0.41")
        item = by_id(score(RUBRIC, all_passed(), training={"3c": verdict}))["3c"]
        assert (item.points, item.status) == expected


def test_evidence_and_notes_stay_with_their_item():
    image = Evidence(kind="image", cell=7, mime="image/png", data="AAAA")
    name = MASK.properties[0]
    verdicts = all_passed() | {name: Verdict(name, "passed", notes=("judged whole",))}
    items = by_id(score(RUBRIC, verdicts, evidence={"3d": [image]}, notes={"2a": ["late", "judged whole"]}))
    assert items["3d"].evidence == (image,)
    assert items["2a"].notes == ("late", "judged whole")


@given(st.data())
def test_points_always_add_up(data):
    statuses = st.sampled_from(["passed", "failed", "error"])
    verdicts = {name: Verdict(name, data.draw(statuses)) for name in RUBRIC.properties}
    items = score(RUBRIC, verdicts)
    score_, max_score, pending = totals(items)
    assert max_score + pending == RUBRIC.total
    assert score_ <= max_score
    assert (score_ * 4) % 1 == 0
    for item, rubric_item in zip(items, RUBRIC.items, strict=True):
        if isinstance(rubric_item, AutomaticItem):
            earned = sum(
                criterion.points
                for criterion in rubric_item.criteria
                if all(verdicts[name].status == "passed" for name in criterion.properties)
            )
            assert (item.points or 0) == earned


def unreached(name: str, *defers_to: str) -> Verdict:
    return Verdict(name, "unreached", "could not be checked", defers_to=defers_to)


def criterion_of(verdicts, number: int = 2):
    return by_id(score(RUBRIC, verdicts))["2a"].criteria[number]


def test_what_was_not_compared_is_not_earned():
    verdicts = all_passed()
    name = MASK.properties[0]
    verdicts[name] = unreached(name)
    criterion = criterion_of(verdicts)
    assert (criterion.status, criterion.message) == ("failed", "could not be checked")


def test_standing_back_is_excused_where_the_fault_costs_its_own_criterion():
    verdicts = all_passed()
    name, softmax = MASK.properties[0], RUBRIC.automatic[0].criteria[1].properties[0]
    verdicts[name] = unreached(name, softmax)
    assert criterion_of(verdicts).status == "failed"
    verdicts[softmax] = Verdict(softmax, "failed", "rows do not sum to 1")
    assert criterion_of(verdicts).status == "passed"
    assert criterion_of(verdicts, 1).status == "failed"


def test_what_a_passed_property_left_to_others_has_to_be_found_by_one_of_them():
    verdicts = all_passed()
    name, softmax = MASK.properties[0], RUBRIC.automatic[0].criteria[1].properties[0]
    verdicts[name] = Verdict(name, "passed", "a case was left to the softmax", defers_to=(softmax,))
    assert criterion_of(verdicts).status == "failed"
    verdicts[softmax] = Verdict(softmax, "failed", "rows do not sum to 1")
    assert criterion_of(verdicts).status == "passed"


def test_a_criterion_of_which_nothing_was_compared_is_lost_whoever_is_to_blame():
    verdicts = all_passed()
    softmax = RUBRIC.automatic[0].criteria[1].properties[0]
    verdicts[softmax] = Verdict(softmax, "failed", "rows do not sum to 1")
    for name in MASK.properties:
        verdicts[name] = unreached(name, softmax)
    assert criterion_of(verdicts).status == "failed"


def test_standing_back_for_what_the_grader_could_not_judge_waits():
    verdicts = all_passed()
    name, softmax = MASK.properties[0], RUBRIC.automatic[0].criteria[1].properties[0]
    verdicts[name] = unreached(name, softmax)
    verdicts[softmax] = Verdict(softmax, "error", "the oracle raised")
    assert criterion_of(verdicts).status == "error"
