"""Shapes, batches, modes; the mask is left as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grader.homework3 import checks, stand_in_calls, strategies
from grader.homework3.checks import Results
from grader.homework3.excuses import Judged, check_or_excuse, finite_or_zero, passes
from grader.homework3.multi_headed_attention.calls import (
    PART,
    REAL_MASKS,
    Way,
    alphas_shape,
    build,
    cases,
    readable,
    square_cases,
)
from grader.homework3.multi_headed_attention.excuses import (
    check_or_blame_masks,
    stand_back_from_uninformative_results,
    stand_back_unless_mask_matters,
)
from grader.homework3.multi_headed_attention.names import (
    MASKS,
    ORDER,
    PROJECTION,
    SHAPES,
    WHOLE_MASKS,
    WHOLE_PROJECTION,
)
from grader.homework3.strategies import MaskedCase, SequenceCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student


@property_of(
    PART,
    (
        strategies.multi_heads(masks=("none",)),
        cases(masks=REAL_MASKS, least_batch=2, least_tokens=2),
        square_cases(masks=REAL_MASKS),
        strategies.multi_heads(masks=("full",), most_tokens=1, least_batch=2),
        strategies.long_sequences("causal", batch=2, dim=128, n_hidden=64, num_heads=3),
    ),
    examples=5,
)
def test_shapes(student: Student, case: SequenceCase) -> Program:
    """MultiHeadedAttention returns an output of shape (B, T, dim) and alphas of shape (B, H, T, T), with and without a mask."""
    module = build(student, case)
    x = student.tensor(case.x)
    ones = np.ones((case.batch, case.tokens, case.tokens), np.float32)
    # By keyword, as AttentionResidual does; whatever the mask is called is for the properties of masks to find.
    calls = [
        module.any_way((x, {"attn_mask": None}), ({"x": x, "attn_mask": ones},), (x, None), (x, ones), (x,))
    ]
    if case.mask is not None:
        calls.append(checks.call_masked(module, x, case.mask))
    for reply, how in zip((yield calls), ("", " with a mask"), strict=False):
        if how and any(value is None for value in readable(reply, case)):
            expect.stand_back((MASKS, WHOLE_MASKS), "with a mask no results of the right size are returned")
        out, alphas = expect.parts(reply, 2, f"MultiHeadedAttention{how}")
        expect.shape(out, case.x.shape, f"output (B, T, dim){how}")
        expect.shape(alphas, alphas_shape(case), f"alphas (B, H, T, T){how}")


@property_of(PART, cases(least_batch=2, least_tokens=2), examples=3)
def test_sequences_are_independent(student: Student, case: SequenceCase) -> Program:
    """Each sequence in a batch gives the same result as on its own."""

    def program(way: Way) -> Judged:
        module = build(student, case)
        alone = [case.x[b : b + 1] for b in range(case.batch)]
        replies = [way.call(student, module, case.x), *(way.call(student, module, x) for x in alone)]
        whole, *singles = yield replies
        out, alphas = readable(whole, case)
        if out is None:
            expect.stand_back(
                (SHAPES, PROJECTION, WHOLE_PROJECTION), "no output of shape (B, T, dim) is returned"
            )
        for b, (single, x) in enumerate(zip(singles, alone, strict=True)):
            why = f"sequence {b} of the batch gives another result than on its own"
            single_out, single_alphas = readable(single, case, x)
            if single_out is None:
                raise expect.Violation("a batch of one sequence gives no output of shape (1, T, dim)")
            expect.close(out[b : b + 1], single_out, "output", why)
            if alphas is None or single_alphas is None or not checks.is_distribution(single_alphas):
                continue
            if not checks.matches(alphas[b : b + 1], single_alphas) and (yield student.standins()):
                expect.stand_back(ORDER, "alphas are those of another sequence or head")
            expect.close(alphas[b : b + 1], single_alphas, "alphas", why)

    yield from check_or_blame_masks(program, student, case)


@property_of(PART, strategies.multi_heads(masks=("none",)), examples=2)
def test_x_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """The call does not modify x."""
    x = student.tensor(case.x)
    _, after = yield Way().call(student, build(student, case), x, case.x.shape), x
    checks.expect_unchanged(after, case.x, "x")


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=2), examples=3)
def test_same_in_training_and_evaluation(student: Student, case: MaskedCase) -> Program:
    """The same input gives the same output in training and evaluation mode, with and without a mask."""
    module = build(student, case)
    calls: list[Callable[[], Remote]] = [
        lambda: Way().call(student, module, case.x),
        lambda: checks.call_masked(module, case.x, case.mask),
    ]
    recorded: list[Remote] = []
    made: list[Remote] = []
    # All without a mask come first: a mask that stays in use is the mask's matter.
    for call in calls:
        for training, times in ((True, 2), (False, 1)):
            module.mode(training)
            student.forget_calls()
            recorded += [call() for _ in range(times)]
            made.append(student.calls())
    replies, seen = yield recorded, made
    results = [readable(reply, case) for reply in replies]
    for how, (first, second, late) in (("", results[:3]), ("with a mask ", results[3:])):
        for again, why in (
            (second, f"{how}the same input gives a different result the second time"),
            (late, f"{how}evaluation mode gives a different result than training mode"),
        ):
            yield from check_or_excuse(
                lambda: _expect_same(first, again, why),  # noqa: B023
                _stand_back_if_one_mode_masks(seen[2:], case),
                _stand_back_if_one_mode_leaks(case, first, late),
            )


def _expect_same(first: Results, again: Results, why: str) -> None:
    for value, other in zip(first, again, strict=True):
        if value is not None and other is not None:
            expect.close(finite_or_zero(other), finite_or_zero(value), "the result", why)


def _stand_back_if_one_mode_masks(seen: list[Any], case: SequenceCase) -> Judged:
    """Stand back if the heads get the mask in one mode, and not in the other."""
    arrive = []
    for made in seen:
        if isinstance(made, list) and made:
            arrive.append((yield from passes(_masks_of(made, case))))
    if arrive and not all(arrive):
        expect.stand_back(MASKS, "the heads do not get the mask in both modes")


def _masks_of(made: Any, case: SequenceCase) -> Judged:
    stand_in_calls.expect_masks_passed_on(stand_in_calls.recorded_calls(made), case, "a head")
    yield from ()


def _stand_back_if_one_mode_leaks(case: MaskedCase, *found: Results) -> Judged:
    """Stand back if a masked token gets weight in one of the modes, and not in the other."""
    leaks = [
        float(np.where(case.mask[:, None] == 0, np.abs(finite_or_zero(alphas)), 0.0).max()) > expect.MASKED
        for _, alphas in found
        if alphas is not None
    ]
    if any(leaks) and not all(leaks):
        expect.stand_back((MASKS, WHOLE_MASKS), "a masked token gets weight in one of the modes")
    yield from ()


@property_of(PART, cases(masks=REAL_MASKS, least_batch=2, least_tokens=2), examples=2)
def test_the_mask_is_not_changed(student: Student, case: MaskedCase) -> Program:
    """The call does not modify attn_mask."""
    mask = student.tensor(case.mask)
    module = build(student, case)
    bare, hidden, after = yield Way().call(student, module, case.x), checks.call_masked(module, case.x, mask), mask
    stand_back_from_uninformative_results(readable(bare, case))
    stand_back_unless_mask_matters(readable(bare, case), readable(hidden, case), case.mask)
    checks.expect_unchanged(after, case.mask, "attn_mask")
