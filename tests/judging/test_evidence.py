"""A property passes by comparisons alone: what returns early, or stands back with nobody to find the fault, earns nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import strategies as st

from grader.audit.fast import FastKernel
from grader.judging import expect
from grader.judging.engine import Engine
from grader.judging.failures import NOTHING_COMPARED
from grader.judging.property import Part, Property, property_of

SEED = b"evidence"
CELLS = (
    """
import torch

class Doubler:
    def __call__(self, x):
        return 2 * x

class Silent:
    def __call__(self, x):
        return None

class Inner(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.matrix = torch.nn.Parameter(torch.eye(size))
    def forward(self, x):
        return x @ self.matrix
""",
)


class Number:
    """A drawn number."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.x = np.full(3, value, np.float32)

    def shown(self) -> dict[str, str]:
        return {"x": str(self.value)}


NUMBERS = st.integers(1, 9).map(Number)


@pytest.fixture(scope="module")
def kernel() -> Iterator[FastKernel]:
    with FastKernel(CELLS) as kernel:
        yield kernel


def made(part: Part, program) -> Property:
    program.__doc__ = "A property of the tests."
    return property_of(part, NUMBERS, examples=6)(program).prop


def verdict(kernel: FastKernel, part: Part, program):
    declared = made(part, program)
    with Engine(kernel, SEED) as engine:
        return engine.judge([declared])[declared.name]


def doubles(student, case):
    expect.close((yield student.Doubler()(case.x)), 2.0 * case.x, "y", "y is not 2 x")


def returns_early(student, case):
    yield student.Doubler()(case.x)


def only_reads(student, case):
    expect.tensor((yield student.Doubler()(case.x)), (3,), "y")


def stands_back(student, case):
    if not isinstance((yield student.Silent()(case.x)), np.ndarray):
        expect.stand_back("silent.test_shapes", "Silent returns no tensor")
    expect.compared()


def leaves_a_fault_to_others(student, case):
    value = yield student.Doubler()(case.x)
    expect.close(value, 2.0 * case.x, "y", "y is not 2 x")
    if case.value == 1:
        expect.stand_back("silent.test_shapes", "the rest is for another property")


def compares_a_third(student, case):
    value = yield student.Doubler()(case.x)
    if case.value <= 3:
        expect.close(value, 2.0 * case.x, "y", "y is not 2 x")


def test_a_comparison_earns_a_pass(kernel):
    assert verdict(kernel, Part("9a", "Doubler"), doubles).status == "passed"


@pytest.mark.parametrize("program", [returns_early, only_reads])
def test_reading_without_comparing_is_no_pass(kernel, program):
    found = verdict(kernel, Part("9a", "Doubler"), program)
    assert found.status == "unreached"
    assert NOTHING_COMPARED in found.message
    assert found.defers_to == ()


def test_standing_back_says_why_and_to_whom(kernel):
    found = verdict(kernel, Part("9a", "Silent"), stands_back)
    assert (found.status, found.defers_to) == ("unreached", ("silent.test_shapes",))
    assert "Silent returns no tensor" in found.message


def test_what_is_left_to_others_after_comparisons_is_theirs_to_find(kernel):
    found = verdict(kernel, Part("9a", "Doubler"), leaves_a_fault_to_others)
    assert (found.status, found.defers_to) == ("passed", ("silent.test_shapes",))


def test_most_cases_have_to_be_compared(kernel):
    found = verdict(kernel, Part("9a", "Doubler"), compares_a_third)
    assert found.status == "unreached"


@pytest.mark.parametrize(
    ("check", "counted"),
    [
        (lambda: expect.close(np.ones(2), np.ones(2), "a", ""), 1),
        (lambda: expect.close(np.ones(0), np.ones(0), "a", ""), 0),
        (lambda: expect.zero(np.zeros(2), np.array([True, False]), "a", ""), 1),
        (lambda: expect.zero(np.zeros(2), np.array([False, False]), "a", ""), 0),
        (lambda: expect.differs(np.zeros(2), np.ones(2), "a", ""), 1),
        (lambda: expect.same("a", "a", "text"), 1),
        (lambda: expect.holds(True, ""), 1),
        (lambda: expect.shape(np.zeros(2), (2,), "a"), 1),
        (lambda: expect.require(True, ""), 0),
        (lambda: expect.tensor(np.zeros(2), (2,), "a"), 0),
        (lambda: expect.parts((1, 2), 2, "f"), 0),
    ],
)
def test_what_counts_as_a_comparison(check, counted):
    tally = expect.Tally()
    with expect.counted_by(tally):
        check()
    assert tally.made == counted


OUTER = """
class Outer(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.inner = AttentionHead(size, size)
    def forward(self, x, attn_mask=None):
        return {body}
"""
OWN = """
import torch

class AttentionHead(torch.nn.Module):
    def __init__(self, dim, n_hidden):
        super().__init__()
        self.W_Q = torch.nn.Linear(dim, n_hidden)
    def forward(self, x, attn_mask):
        return self.W_Q(x), None
"""


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        ("self.inner(x, attn_mask)[0]", False),
        ("x @ self.inner.W_Q.weight", True),
        ("x @ self.no_such_thing", False),
    ],
)
def test_a_part_that_works_with_its_own_classes_only_is_judged_whole(body, whole):
    part = Part("9b", "Outer", ("AttentionHead",), (3,), lambda: (np.ones((1, 2, 3), np.float32),))
    with FastKernel((OWN, OUTER.format(body=body))) as kernel, Engine(kernel, SEED) as engine:
        assert kernel.errors == []
        assert engine.is_judged_whole(part) is whole
        assert ("9b" in engine.notes) is whole
        if whole:
            assert "W_Q" in engine.notes["9b"]
