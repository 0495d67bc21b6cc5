"""Excerpts show the class that was judged, by the numbers of the student's own lines."""

from __future__ import annotations

from grader.homework3 import HOMEWORK
from grader.scoring.excerpts import excerpts
from grader.scoring.result import LONGEST_EXCERPT, CodeLine, Excerpt
from grader.scoring.score import Verdict
from grader.submission.definitions import definitions_of
from grader.submission.planning import make_plan
from grader.submission.reading import CodeCell, Submission
from grader.submission.template import load_template

PROPERTIES = tuple(HOMEWORK.properties.values())
NAME = next(prop.part.name for prop in PROPERTIES if prop.part.item == "4d")


def found_in(*sources: str, places: tuple[CodeLine, ...] = ()) -> list[Excerpt]:
    cells = tuple(CodeCell(n, n + 1, str(n), source) for n, source in enumerate(sources))
    submission = Submission("a.ipynb", "", cells)
    plan = make_plan(submission, load_template(HOMEWORK.template))
    verdicts = [Verdict("x", "failed", places=places)] if places else []
    return excerpts(submission, definitions_of(submission, plan), PROPERTIES, verdicts)


def test_a_class_with_its_decorators_and_without_what_is_around():
    (one,) = found_in("import torch", f"x = 1\n\n@final\nclass {NAME}:\n    def f(self):\n        return 1\n\ny = 2")
    assert (one.cell, one.first, one.items) == (2, 3, ("4d",))
    assert one.text == f"@final\nclass {NAME}:\n    def f(self):\n        return 1"


def test_the_last_definition_counts():
    (one,) = found_in(f"class {NAME}:\n    a = 1", f"class {NAME}:\n    a = 2")
    assert one.cell == 2


def test_a_cell_that_does_not_parse_is_shown_from_the_class_on():
    (one,) = found_in(f"# first\nclass {NAME}:\n    def f(self:\n        return 1")
    assert (one.first, one.text.split("\n")[0]) == (2, f"class {NAME}:")


def test_a_long_docstring_can_be_left_out():
    lines = "\n".join(f"    line {n}" for n in range(6))
    (one,) = found_in(f'class {NAME}:\n    """Doc.\n{lines}\n    """\n    a = 1')
    assert one.folded == (2, 9)
    (other,) = found_in(f'class {NAME}:\n    """Doc."""\n    a = 1')
    assert other.folded is None


def test_lines_of_exceptions_elsewhere_are_shown_with_what_is_around():
    helper = "\n".join(f"line_{n} = {n}" for n in range(1, 41))
    (one,) = found_in(helper, places=(CodeLine(cell=1, line=20), CodeLine(cell=1, line=22), CodeLine(cell=7, line=1)))
    assert (one.cell, one.first, one.items) == (1, 14, ()) and "line_20 = 20" in one.text and "line_40" not in one.text


def test_a_huge_class_is_cut_at_the_end_of_a_line():
    body = "\n".join(f"    a{n} = '{'x' * 100}'" for n in range(400))
    (one,) = found_in(f"class {NAME}:\n{body}")
    assert len(one.text) <= LONGEST_EXCERPT and one.text.split("\n")[-1].endswith("x'")
