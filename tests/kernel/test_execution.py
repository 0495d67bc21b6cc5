"""What is made of the reply to a cell that raised, which student code may forge."""

from __future__ import annotations

from typing import Any

import pytest

from grader.kernel.execution import failure_of
from grader.submission.salvage import Failure


def test_name_message_and_lines_of_an_exception() -> None:
    reply = {
        "ename": "NameError",
        "evalue": "name 'x' is not defined",
        "execution_count": 3,
        "traceback": ["\x1b[31mCell\x1b[39m In[3], line 7", "File cell-3:2, in f()", "Cell In[2], line 1"],
    }
    failure = failure_of(reply)
    assert failure == Failure("NameError", "name 'x' is not defined", (7, 2))
    assert failure.undefined == "x"


@pytest.mark.parametrize("count", ["(", "[0-9]+|.*", None, 3.0, ["3"]])
def test_an_execution_count_that_is_no_number_is_no_pattern(count: Any) -> None:
    reply = {"ename": "E", "evalue": "", "execution_count": count, "traceback": ["Cell In[3], line 7"]}
    assert failure_of(reply) == Failure("E", "", ())


def test_everything_in_a_forged_reply_is_bounded() -> None:
    reply = {"ename": "E" * 10**6, "evalue": {"not": "text"}, "execution_count": 1, "traceback": "cell-1:1" * 10**6}
    assert failure_of(reply) == Failure("E" * 100, "", ())
    many = {"execution_count": 1, "traceback": ["cell-1:5 " * 1000] * 1000}
    assert failure_of(many) == Failure("", "", (5,) * 50)
