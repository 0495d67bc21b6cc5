"""A property that cannot be one is refused where it is declared, with its place and what to change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from grader.errors import UsageError
from grader.judging.property import Part, property_of

PART = Part("9a", "Doubler")
NUMBERS = st.integers(0, 9)


def without_docstring(student, case):
    yield student.Doubler()(case)


def without_yield(student, case):
    """Doubler doubles."""
    assert student.Doubler()(case) == 2 * case


def without_case(student):
    """Doubler doubles."""
    yield student.Doubler()(1)


def whole(student, case):
    """Doubler doubles."""
    yield student.Doubler()(case)


@pytest.mark.parametrize(
    ("program", "strategy", "remedy"),
    [
        (without_docstring, NUMBERS, "add the sentence that students read"),
        (without_yield, NUMBERS, "ask for values with `output = yield student.Layer(4)(x)`"),
        (without_case, NUMBERS, "takes other arguments than (student, case)"),
        (whole, st.integers, "call the function that returns one"),
        (whole, (NUMBERS, 3), "call the function that returns one"),
    ],
)
def test_it_is_refused_with_its_place(program: Callable[..., Any], strategy: Any, remedy: str):
    with pytest.raises(UsageError) as error:
        property_of(PART, strategy)(program)
    line = program.__code__.co_firstlineno
    assert str(error.value).startswith(f"{__file__}, line {line}: {program.__name__} ")
    assert remedy in str(error.value)
    assert "\n" not in str(error.value)


def test_one_that_is_well_written_is_declared():
    assert property_of(PART, NUMBERS)(whole).prop.name == "test_wrongly_written.whole"
