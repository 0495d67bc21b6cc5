"""Whose fault it is: what else may be the reason that a property of the module fails.

Each stands back where another property must find the fault.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from grader.homework3.checks import Results
from grader.homework3.excuses import Judged, is_constant, is_uniform, passes, same_results
from grader.homework3.multi_headed_attention.calls import Way, build, readable
from grader.homework3.multi_headed_attention.names import (
    MASKS,
    MODES,
    NO_MASK,
    ORDER,
    PROJECTION,
    SHAPES,
    WHOLE_ALPHAS,
    WHOLE_INFLUENCE,
    WHOLE_LONE,
    WHOLE_MASKS,
    WHOLE_NO_MASK,
    WHOLE_PROJECTION,
)
from grader.homework3.strategies import SequenceCase
from grader.judging import expect
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array


def check_or_blame_masks(program: Callable[[Way], Judged], student: Student, case: SequenceCase) -> Judged:
    """Hold a program that calls modules without a mask.

    What fails with None and holds with a mask of ones is a matter of masks, if the two differ.
    """
    violation = None
    try:
        yield from program(Way())
    except expect.Violation as found:
        violation = found
    if violation is not None:
        if (yield from passes(program(Way(ones=True)))) and (yield from _none_is_no_ones(student, case)):
            why = "it is right with a mask of ones, but not with attn_mask=None"
            expect.stand_back((NO_MASK, WHOLE_NO_MASK), why, compared=True)
        raise violation


def _none_is_no_ones(student: Student, case: SequenceCase) -> Generator[Any, Any, bool]:
    """Whether None and a mask of ones give different results."""
    module = build(student, case)
    one, other = yield [way.call(student, module, case.x) for way in (Way(ones=True), Way())]
    return not same_results(readable(one, case), readable(other, case))


def stand_back_if_nondeterministic(call: Callable[[], Remote], case: SequenceCase) -> Judged:
    """Stand back if two equal calls give different results."""
    first, second = yield call(), call()
    if not same_results(readable(first, case), readable(second, case)):
        expect.stand_back(MODES, "two equal calls give different results")


def stand_back_from_uninformative_results(results: Results) -> None:
    """Stand back from results that show nothing of what a mask does: a constant output, or even weights."""
    out, alphas = results
    if out is not None and is_constant(out):
        to = (PROJECTION, WHOLE_PROJECTION, WHOLE_LONE, WHOLE_ALPHAS)
        expect.stand_back(to, "the output is the same for every token")
    if is_uniform(alphas):
        expect.stand_back((ORDER, WHOLE_ALPHAS), "every token gets the same attention weight")


def stand_back_unless_mask_matters(bare: Results, hidden: Results, mask: Array | None) -> None:
    """Stand back where a mask that hides something changes nothing: then nothing about masks can be seen."""
    if mask is None or np.all(mask > 0):
        return
    if all(
        one is None or other is None or np.array_equal(one, other)
        for one, other in zip(bare, hidden, strict=True)
    ):
        to = (SHAPES, MASKS, WHOLE_MASKS, WHOLE_INFLUENCE, WHOLE_ALPHAS)
        expect.stand_back(to, "the mask makes no difference to what is returned")
