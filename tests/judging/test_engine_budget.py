"""What a reply can do to the judge: it can neither keep a property busy nor turn a failure of its own into a pending item."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from grader.audit.fast import FastKernel
from grader.homework3 import oracles
from grader.judging import expect
from grader.judging.budget import Budget
from grader.judging.engine import Engine
from grader.judging.property import Part, property_of
from tests.judging.test_evidence import NUMBERS, SEED

CELLS = (
    """
import torch

class Doubler:
    def __call__(self, x):
        return 2 * x

class Six:
    def __call__(self, x):
        return torch.full((2,) * 6, float("nan"))
""",
)


@pytest.fixture(scope="module")
def kernel() -> Iterator[FastKernel]:
    with FastKernel(CELLS) as kernel:
        yield kernel


def verdicts(kernel, *programs, budget=Budget):
    properties = []
    for program in programs:
        program.__doc__ = "A property of the tests."
        properties.append(property_of(Part("9a", "Doubler"), NUMBERS, examples=6)(program).prop)
    with Engine(kernel, SEED, budget=budget) as engine:
        found = engine.judge(properties)
    return [found[declared.name] for declared in properties]


def doubles(student, case):
    expect.close((yield student.Doubler()(case.x)), 2.0 * case.x, "y", "y is not 2 x")


def never_ends(student, case):
    yield student.Doubler()(case.x)
    while True:
        pass


def reads_without_end(student, case):
    x = yield student.Doubler()(case.x)
    weights = {f"w{n}": np.ones((3, 3)) * x for n in range(300)}
    while True:
        for _ in oracles.maps(weights, 3, 3):
            pass


def short() -> Budget:
    return Budget(seconds=0.3)


def test_a_loop_in_the_judge_costs_one_property(kernel):
    started = time.process_time()
    first, stuck, slow, last = verdicts(kernel, doubles, never_ends, reads_without_end, doubles, budget=short)
    assert time.process_time() - started < 10
    assert first.status == last.status == "passed"
    for found in (stuck, slow):
        assert found.status == "failed" and "0.3 s of computing" in found.message


def test_a_failure_found_before_the_time_ran_out_counts(kernel):
    tries = []

    def fails_then_hangs(student, case):
        yield student.Doubler()(case.x)
        tries.append(case)
        while len(tries) > 6:
            pass
        raise expect.Violation("it is wrong")

    (found,) = verdicts(kernel, fails_then_hangs, budget=short)
    assert (found.status, found.message) == ("failed", "it is wrong")


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("deep"), RuntimeError("odd"), AssertionError(), NotImplementedError()]
)
def test_an_exception_after_a_reply_is_the_submissions_fault(kernel, error):
    def stumbles(student, case):
        yield student.Doubler()(case.x)
        raise error

    (found,) = verdicts(kernel, stumbles)
    assert found.status == "failed"
    assert type(error).__name__ in found.message


@pytest.mark.parametrize("error", [OSError("no space left"), ImportError("gone")])
def test_io_and_import_errors_are_the_graders_even_after_a_reply(kernel, error):
    def breaks(student, case):
        yield student.Doubler()(case.x)
        raise error

    (found,) = verdicts(kernel, breaks)
    assert found.status == "error"


def test_an_exception_before_any_reply_is_the_graders_fault(kernel):
    def breaks(student, case):
        raise RuntimeError("a defect of ours")
        yield

    (found,) = verdicts(kernel, breaks)
    assert found.status == "error"


def test_a_tensor_of_six_axes_is_shown(kernel):
    def looks(student, case):
        reply = yield student.Six()(case.x)
        raise expect.Violation("it is wrong", {"your y": expect.show(reply)})

    (found,) = verdicts(kernel, looks)
    assert (found.status, found.message) == ("failed", "it is wrong")
    assert "(2, 2, 2, 2, 2, 2)" in (found.counterexample or "")


@pytest.mark.parametrize("axes", range(1, 9))
def test_large_tensors_are_shown_in_few_words(axes):
    value = np.full((3,) * axes if axes > 3 else (60,) * axes, np.nan, np.float32)
    assert len(expect.show(value)) < 1000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory is in use")
def test_too_much_memory_for_a_reply_is_the_submissions_fault(kernel):
    def grows(student, case):
        x = yield student.Doubler()(case.x)
        np.ones((1 << 26,)) * x[0]

    (found,) = verdicts(kernel, grows, budget=lambda: Budget(memory=64 << 20))
    assert found.status == "failed" and "Memory" in found.message
