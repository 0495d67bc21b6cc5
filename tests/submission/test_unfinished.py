"""Which functions of a notebook can only raise an exception."""

from __future__ import annotations

import pytest

from grader.scoring.record import CodeLine
from grader.submission.planning import Template, make_plan
from grader.submission.unfinished import Unfinished
from tests.conftest import handwritten
from tests.submission.test_planning import submission

CAN_ONLY_RAISE = {
    "first": "def f(x):\n    raise NotImplementedError",
    "after plain statements": 'class A:\n  def f(self):\n    "'
    'To do."'
    "\n    self.x: int = 1\n    assert self.x\n    raise ValueError",
    "before an answer": "def f(x):\n    raise NotImplementedError\n    return x",
}
MAY_RETURN = {
    "in a branch": "def f(x):\n    if x:\n        raise ValueError",
    "after a branch": "def f(x):\n    if x:\n        return x\n    raise ValueError",
    "caught": "def f(x):\n    try:\n        raise ValueError\n    except ValueError:\n        return x",
    "in a context": "def f(x):\n    with quiet():\n        raise ValueError",
    "after an answer": "def f(x):\n    return x\n    raise ValueError",
    "after a value of a generator": "def f(x):\n    yield x\n    raise ValueError",
    "outside": "x = 1\nraise ValueError",
}


def ends(source: str) -> list[int]:
    """The lines of a cell at which functions end that can only raise."""
    unfinished = Unfinished(make_plan(submission(source), Template()))
    return [n for n in range(1, source.count("\n") + 2) if unfinished.ends_at(CodeLine(cell=1, line=n))]


@pytest.mark.parametrize("source", CAN_ONLY_RAISE.values(), ids=CAN_ONLY_RAISE)
def test_a_function_that_always_comes_to_its_raise_can_only_raise(source: str) -> None:
    assert ends(source) == [1 + source[: source.index("raise")].count("\n")]


@pytest.mark.parametrize("source", MAY_RETURN.values(), ids=MAY_RETURN)
def test_a_function_that_may_return_is_left_out(source: str) -> None:
    assert ends(source) == []


def test_no_function_of_a_finished_notebook_can_only_raise() -> None:
    assert not any(ends(source) for source in handwritten())


def test_a_cell_that_does_not_parse_has_none() -> None:
    assert ends("def f(:\n    raise ValueError") == []
