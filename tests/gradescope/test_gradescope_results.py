"""What Gradescope is told: by its specification, safe to show, and with a total that means something."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import jsonschema
import pytest

from grader.assignment import load_assignment
from grader.gradescope.metadata import Late
from grader.gradescope.results import MAX_CHARACTERS, message_only, schema, to_gradescope, to_text, valid
from grader.scoring.result import ItemResult, Result, Versions, totals
from grader.scoring.rubric import Rubric, parse_rubric
from grader.scoring.score import nothing_judged, score
from grader.scoring.verdict import Verdict
from tests.scoring.test_rubric import SMALL

RUBRIC = load_assignment().rubric


def rubric_with(extra: str) -> Rubric:
    return parse_rubric((SMALL + "gradescope: {" + extra + "}\n").encode())


def result_of(rubric: Rubric, status: str = "passed", text: str = "", only: str = "") -> Result:
    verdicts = {
        name: Verdict(name, status if only in name else "passed", text, text, "The property.")  # type: ignore[arg-type]
        for name in rubric.properties
    }
    return whole(score(rubric, verdicts))


def whole(items: tuple[ItemResult, ...]) -> Result:
    versions = Versions(grader="0", rubric="1", python="3")
    return Result(
        submission="a.ipynb", items=items, versions=versions, seed="secret", **totals(items)._asdict()
    )


def total(results: dict[str, Any]) -> tuple[float, float]:
    return sum(test["score"] for test in results["tests"]), sum(
        test["max_score"] for test in results["tests"]
    )


def test_the_schema_is_one_and_takes_the_specifications_example() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert valid(
        {
            "score": 44.0,
            "execution_time": 136,
            "output": "Text",
            "output_format": "simple_format",
            "test_output_format": "text",
            "test_name_format": "text",
            "visibility": "after_due_date",
            "stdout_visibility": "visible",
            "extra_data": {},
            "tests": [
                {
                    "score": 2.0,
                    "max_score": 2.0,
                    "status": "passed",
                    "name": "Your name here",
                    "name_format": "text",
                    "number": "1.1",
                    "output": "Giant",
                    "output_format": "text",
                    "tags": ["tag1"],
                    "visibility": "visible",
                    "extra_data": {},
                }
            ],
            "leaderboard": [
                {"name": "Accuracy", "value": 0.926},
                {"name": "Time", "value": 15.1, "order": "asc"},
                {"name": "Stars", "value": "*****"},
            ],
        }
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"tests": []},
        {"tests": [{"name": "no score anywhere"}]},
        {"score": "18"},
        {"score": 1, "visibility": "nobody"},
        {"score": 1, "points": 2},
        {"score": 1, "tests": [{"score": 1, "status": "pending"}]},
        {"score": 1, "output": "x" * MAX_CHARACTERS},
    ],
)
def test_what_the_platform_refuses_is_not_valid(wrong: dict[str, Any]) -> None:
    assert not valid(wrong)


def test_a_test_for_each_criterion_and_no_manual_item() -> None:
    results = to_gradescope(result_of(RUBRIC), RUBRIC)
    assert valid(results)
    assert total(results) == (18, 18) and results["score"] == 18
    assert [test["number"] for test in results["tests"]] == [
        criterion.id for item in RUBRIC.automatic for criterion in item.criteria
    ]
    assert all(test["visibility"] == "visible" and test["status"] == "passed" for test in results["tests"])


def test_a_test_for_each_item_if_the_rubric_says_so() -> None:
    rubric = rubric_with("granularity: item")
    results = to_gradescope(result_of(rubric, "failed", "wrong", "test_one"), rubric)
    assert valid(results) and total(results) == (1.5, 2)
    (test,) = results["tests"]
    assert test["number"] == "2a" and "2a.one  wrong" in test["output"] and "2a.two  Passed." in test["output"]


def test_the_counterexample_is_plain_text() -> None:
    evil = "<script>alert(1)</script>\n# heading [x](javascript:1) \x1b[31m\u202e @all"
    results = to_gradescope(result_of(RUBRIC, "failed", evil), RUBRIC)
    assert valid(results) and results["score"] == 0
    for test in results["tests"]:
        assert test["output_format"] == "text" and test["status"] == "failed"
        assert "Smallest counterexample:" in test["output"] and "The property." in test["output"]
        assert "\x1b" not in test["output"] and "\u202e" not in test["output"]


def test_the_total_stays_within_the_platforms_characters() -> None:
    results = to_gradescope(result_of(RUBRIC, "failed", 'ü\\"' * 3000), RUBRIC)
    assert valid(results)
    assert MAX_CHARACTERS // 4 < len(to_text(results)) <= MAX_CHARACTERS - 2000
    assert all(
        "Smallest counterexample" in test["output"] or "cut" in test["output"] for test in results["tests"]
    )


def test_hidden_criteria_count_in_one_visible_line() -> None:
    rubric = rubric_with("visibility_of: {2a.two: hidden}")
    results = to_gradescope(result_of(rubric, "failed", "the secret input", "test_two"), rubric)
    assert valid(results) and total(results) == (0.5, 2) and results["score"] == 0.5
    shown = [test for test in results["tests"] if test["visibility"] == "visible"]
    assert sum(test["max_score"] for test in shown) == 2, "a student's total is the total"
    assert "secret" not in json.dumps(shown)
    (hidden,) = [test for test in results["tests"] if test["visibility"] == "hidden"]
    assert hidden["max_score"] == 0 and "the secret input" in hidden["output"]


def test_an_item_may_be_hidden_and_all_may_wait_for_a_date() -> None:
    rubric = rubric_with("granularity: item, visibility_of: {2a: hidden}")
    results = to_gradescope(result_of(rubric), rubric)
    assert valid(results) and total(results) == (2, 2)
    rubric = rubric_with("visibility: after_due_date")
    results = to_gradescope(result_of(rubric), rubric)
    assert {test["visibility"] for test in results["tests"]} == {"after_due_date"}


def test_the_graders_own_fault_is_told_as_such() -> None:
    results = to_gradescope(result_of(RUBRIC, "error", "it broke"), RUBRIC)
    assert valid(results)
    assert "not your fault" in results["output"]
    assert all("not your fault" in test["output"] for test in results["tests"])


def test_what_is_not_judged_yet_gives_a_valid_provisional_result() -> None:
    results = to_gradescope(whole(nothing_judged(RUBRIC)), RUBRIC, provisional=True)
    assert valid(results) and total(results) == (0, 18)
    assert "Provisional" in results["output"] and "Not graded yet" in results["tests"][0]["output"]


def test_lateness_takes_from_the_score_and_from_no_test() -> None:
    late = Late(timedelta(days=1), 10.0, "handed in 1 d after the due date: 10% off")
    results = to_gradescope(result_of(RUBRIC), RUBRIC, late=late)
    assert results["score"] == 16.2 and total(results) == (18, 18)
    assert "This was handed in 1 d after the due date: 10% off." in results["output"]
    untouched = to_gradescope(
        result_of(RUBRIC), RUBRIC, late=Late(timedelta(days=1), 0.0, "handed in 1 d late")
    )
    assert untouched["score"] == 18


def test_nothing_to_grade_is_a_message_and_no_points() -> None:
    versions = Versions(grader="0", rubric="1", python="3")
    items = nothing_judged(RUBRIC)
    result = Result(
        submission="a", error="a: no code", items=items, versions=versions, **totals(items)._asdict()
    )
    results = to_gradescope(result, RUBRIC)
    assert valid(results) and results["score"] == 0 and "a: no code" in results["output"]
    assert valid(message_only("Hand in one.")) and valid(message_only("Hand in one.", RUBRIC))
