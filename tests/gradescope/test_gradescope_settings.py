"""The rubric's key for Gradescope: optional, and a fault in it says where."""

from __future__ import annotations

import pytest

from grader.errors import RubricError
from grader.scoring.rubric import load_rubric, parse_rubric
from tests.scoring.test_rubric import SMALL


def test_the_shipped_rubric_hides_nothing_and_takes_nothing_for_lateness() -> None:
    settings = load_rubric().gradescope
    assert (settings.granularity, settings.visibility, settings.minutes) == ("criterion", "visible", 10)
    assert settings.lateness.percent_per_day == 0


def test_visibility_goes_from_criterion_to_item_to_all() -> None:
    extra = "gradescope: {visibility: after_due_date, visibility_of: {2a: hidden, 2a.two: visible}}\n"
    settings = parse_rubric((SMALL + extra).encode()).gradescope
    assert settings.visibility_for("2a.one") == "hidden"
    assert settings.visibility_for("2a.two") == "visible"
    assert settings.visibility_for("3a.one") == "after_due_date"


@pytest.mark.parametrize(
    ("extra", "line", "reason"),
    [
        ("minute: 3", 1, "not a known key here"),
        ("minutes: 41", 1, "less than or equal to 40"),
        ("minutes: 1", 1, "greater than or equal to 2"),
        ("granularity: property", 1, "'criterion' or 'item'"),
        ("visibility: nobody", 1, "'visible', 'hidden'"),
        ("visibility_of: [2a]", 1, "valid dictionary"),
        ("visibility_of:\n    2a: visible\n    2a.one: nobody", 3, "'visible', 'hidden'"),
        (
            "visibility_of:\n    2a: visible\n    2a.three: hidden",
            3,
            "2a.three is not an automatic item or criterion",
        ),
        ("visibility_of:\n    2d: hidden", 2, "2d is not an automatic item or criterion"),
        (
            "granularity: item\n  visibility_of:\n    2a.one: hidden",
            3,
            "is a criterion, but granularity is item",
        ),
        ("lateness: {percent_per_day: 101}", 1, "less than or equal to 100"),
        ("lateness:\n    percent: 10", 2, "not a known key here"),
    ],
)
def test_a_fault_is_named_with_its_line(extra: str, line: int, reason: str) -> None:
    before = SMALL.count("\n") + 1
    with pytest.raises(RubricError) as caught:
        parse_rubric((SMALL + "gradescope:\n  " + extra + "\n").encode())
    message = str(caught.value)
    assert message.startswith(f"rubric.yaml:{before + line}: ")
    assert reason in message
