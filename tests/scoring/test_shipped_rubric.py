"""The shipped rubrics are whole, and what they quote, name and document is there."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
import yaml

from grader.homework3 import HOMEWORK
from grader.scoring.rubric import (
    GradescopeSettings,
    Lateness,
    ManualItem,
    TrainingItem,
    load_rubric,
    parse_rubric,
    reach,
)
from tests.scoring.test_rubric import SMALL

SECOND = Path(__file__).resolve().parent.parent / "second_homework" / "rubric.yaml"


def test_shipped_rubric_has_the_homeworks_points():
    rubric = load_rubric()
    points = {item.id: item.points for item in rubric.items}
    assert list(points) == [
        *(f"1{letter}" for letter in "abcdef"),
        *(f"2{letter}" for letter in "abcd"),
        *(f"3{letter}" for letter in "abcde"),
        *(f"4{letter}" for letter in "acdefghi"),
    ]
    by_problem = {n: sum(p for i, p in points.items() if i[0] == n) for n in "1234"}
    assert by_problem == {"1": 8, "2": 11, "3": 6, "4": 10}
    assert sum(item.points for item in rubric.automatic) == 18
    assert rubric.total == 35
    assert [penalty.percent for penalty in rubric.penalties] == [3]


def test_shipped_training_budget():
    (item,) = (item for item in load_rubric().items if isinstance(item, TrainingItem))
    assert (item.id, item.budget.epochs, item.budget.minutes, item.budget.threshold) == ("3c", 3, 10, 0.5)


def flat(text: str) -> str:
    """Text without layout: docstrings write ``code`` where Markdown writes `code`."""
    return " ".join(re.sub("`+", "", text).split())


def test_every_quote_stands_in_the_template():
    if not HOMEWORK.template.is_file():
        pytest.skip("the template has not been generated")
    cells = json.loads(HOMEWORK.template.read_text("utf-8"))["cells"]
    text = flat("\n".join("".join(cell["source"]) for cell in cells))
    missing = {
        criterion.id: criterion.quote
        for item in load_rubric().automatic
        for criterion in item.criteria
        if flat(criterion.quote) not in text
    }
    assert not missing


def test_every_model_answer_has_its_heading():
    answers = HOMEWORK.reference / "written_answers.md"
    if not answers.is_file():
        pytest.skip("the written answers are not there")
    headings = set(re.findall(r"(?m)^## (\S+)", answers.read_text("utf-8")))
    wanted = {item.model_answer for item in load_rubric().items if isinstance(item, ManualItem)}
    assert not wanted - headings


@pytest.mark.parametrize("path", [HOMEWORK.rubric, SECOND], ids=["shipped", "second"])
def test_every_item_of_a_shipped_rubric_that_people_grade_has_entries(path: Path):
    """At most nine: each has a key."""
    for item in load_rubric(path).by_hand:
        assert 2 <= len(item.entries) <= 9
        assert len({entry.text for entry in item.entries}) == len(item.entries)
        lowest, highest = reach(item.entries)
        assert lowest <= 0 and highest >= item.points


def commented_settings() -> dict:
    """The `gradescope:` settings that the shipped rubric documents in comments."""
    lines = HOMEWORK.rubric.read_text("utf-8").splitlines()
    start = lines.index("# gradescope:")
    block = itertools.takewhile(lambda line: line.startswith("# "), lines[start:])
    return yaml.safe_load("\n".join(line.removeprefix("# ") for line in block))["gradescope"]


def test_every_gradescope_setting_is_documented_with_its_default():
    documented = commented_settings()
    settings = GradescopeSettings.model_validate(documented)
    assert settings == GradescopeSettings()
    assert set(documented) == set(GradescopeSettings.model_fields)
    assert set(documented["lateness"]) == set(Lateness.model_fields)


def test_documented_settings_can_be_used_as_they_stand():
    text = SMALL.replace("total: 3\n", "total: 3\n" + yaml.safe_dump({"gradescope": commented_settings()}))
    assert parse_rubric(text.encode()).gradescope == GradescopeSettings()
