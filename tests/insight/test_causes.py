"""Groups of lost points by cause."""

from __future__ import annotations

from grader.insight.causes import LostCriterion, LostPart, causes_of
from grader.insight.fingerprints import Fingerprints
from grader.insight.symptoms import Symptoms
from tests.insight.known import AXIS, MASK, ORDER, SCALE, TABLE, failed

SCALE_LOST = LostCriterion("1a.scale", ("scale", "sums"), 1.0, "Scores are scaled.", "is 3 times too large", "x = [1, 2]")
MASK_LOST = LostCriterion("1a.mask", ("mask", "gradient"), 0.5, "Masked tokens get no weight.", "a masked token gets weight")
BOTH = failed(scale="is # times too large", mask="a masked token gets weight", gradient="a masked token gets a gradient")


def part(key: str, symptoms: Symptoms, *criteria: LostCriterion) -> LostPart:
    return LostPart(key, "1a", symptoms, criteria)


def test_submissions_with_one_cause_are_one_group() -> None:
    scaled = failed(scale="is # times too large")
    parts = [part(key, scaled, SCALE_LOST) for key in ("ada", "ben", "cleo")]
    (cause,) = causes_of([*parts, part("dan", scaled)], TABLE)
    assert (cause.text, cause.students) == (SCALE, ("ada", "ben", "cleo"))
    assert (cause.points_lost, cause.criteria) == (3.0, ("1a.scale",))
    assert cause.is_known and cause.confidence > 0.5 and not cause.is_ambiguous
    assert cause.example.counterexample == "x = [1, 2]" and cause.hint == "What no-scale does."


def test_each_criterion_of_two_faults_goes_to_the_cause_that_explains_it() -> None:
    causes = {cause.text: cause for cause in causes_of([part("ada", BOTH, SCALE_LOST, MASK_LOST)], TABLE)}
    assert set(causes) == {SCALE, MASK}
    assert causes[SCALE].losses == {"ada": {"1a.scale": 1.0}} and causes[MASK].losses == {"ada": {"1a.mask": 0.5}}
    assert MASK not in causes[SCALE].alternatives


def test_no_point_is_counted_twice() -> None:
    parts = [part("ada", BOTH, SCALE_LOST, MASK_LOST), part("ben", failed(speed="slow"), SCALE_LOST, MASK_LOST)]
    assert sum(cause.points_lost for cause in causes_of(parts, TABLE)) == 3.0


def test_unknown_causes_group_by_equal_symptoms() -> None:
    parts = [
        part("ada", failed(speed="slow"), SCALE_LOST),
        part("ben", failed(speed="slow"), SCALE_LOST),
        part("cleo", failed(speed="very slow"), SCALE_LOST),
    ]
    causes = causes_of(parts, TABLE)
    assert [(cause.students, cause.is_known, cause.confidence) for cause in causes] == [
        (("ada", "ben"), False, 0.0),
        (("cleo",), False, 0.0),
    ]
    assert causes[0].text == "is 3 times too large" and causes[0].key != causes[1].key
    assert causes_of(parts, Fingerprints())[0].students == ("ada", "ben")


def test_a_cause_that_another_one_equals_says_so() -> None:
    (cause,) = causes_of([part("ada", failed(sums="the row sums to #", shape="has shape (#, #)"), SCALE_LOST)], TABLE)
    assert cause.is_ambiguous and {cause.text, *cause.alternatives} >= {AXIS, ORDER}


def test_causes_keep_their_keys_and_come_by_points() -> None:
    scaled, masked = failed(scale="is # times too large"), failed(mask="a masked token gets weight")
    parts = [part("ada", masked, MASK_LOST), part("ben", scaled, SCALE_LOST)]
    causes = causes_of(parts, TABLE)
    assert [cause.text for cause in causes] == [SCALE, MASK]
    more = causes_of([*parts, part("cleo", masked, MASK_LOST), part("dan", masked, MASK_LOST)], TABLE)
    assert {cause.text: cause.key for cause in causes} == {cause.text: cause.key for cause in more}
    assert [cause.text for cause in more] == [MASK, SCALE]
