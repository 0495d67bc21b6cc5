"""Shapes, batches, modes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from grader.homework3 import checks, strategies
from grader.homework3.attention_head.calls import (
    PART,
    REAL_MASKS,
    Way,
    build,
    cases,
    output_of,
    square_cases,
)
from grader.homework3.attention_head.excuses import (
    check_or_blame_masks_or_order,
    stand_back_if_instances_differ,
)
from grader.homework3.attention_head.names import NO_MASK, NO_WEIGHT, ROWS
from grader.homework3.checks import Results
from grader.homework3.excuses import Judged, check_or_excuse, finite_or_zero
from grader.homework3.strategies import MaskedCase, SequenceCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student


@property_of(
    PART,
    (
        strategies.heads(masks=("none",)),
        cases(masks=REAL_MASKS, least_batch=2, least_tokens=2),
        square_cases(masks=REAL_MASKS, least_batch=2),
        strategies.heads(masks=("full",), most_tokens=1, least_batch=2),
        strategies.long_sequences("causal", batch=2, dim=128, n_hidden=64),
    ),
    examples=5,
)
def test_shapes(student: Student, case: SequenceCase) -> Program:
    """AttentionHead returns attn_output of shape (B, T, n_hidden) and alpha of shape (B, T, T), with and without a mask."""
    head = student.AttentionHead(case.dim, case.n_hidden)
    calls = [Way().call(student, head, case.x)]
    if case.mask is not None:
        calls.append(checks.call_masked(head, case.x, case.mask))
    for reply, how in zip((yield calls), ("", " with a mask"), strict=False):
        if how and any(value is None for value in Way().read(reply, case)):
            # Not the right numbers in another order: a mask that spreads over them.
            expect.stand_back((NO_WEIGHT, NO_MASK), "with a mask no results of the right size are returned")
        out, alpha = expect.parts(reply, 2, f"AttentionHead{how}")
        expect.shape(out, (case.batch, case.tokens, case.n_hidden), f"attn_output (B, T, n_hidden){how}")
        expect.shape(alpha, (case.batch, case.tokens, case.tokens), f"alpha (B, T, T){how}")


@property_of(PART, cases(least_batch=2, least_tokens=2), examples=3)
def test_sequences_are_independent(student: Student, case: SequenceCase) -> Program:
    """Each sequence in a batch gives the same result as on its own."""

    def program(way: Way) -> Judged:
        # A head for each call: what one call leaves behind for the next is a matter of other properties.
        head, _ = yield from build(student, case, way)
        whole = way.call(student, head, case.x)
        alone = [case.x[b : b + 1] for b in range(case.batch)]
        replies = [whole]
        for x in alone:
            single, _ = yield from build(student, case, way)
            replies.append(way.call(student, single, x))
        replies = yield replies
        results = [
            way.read(replies[0], case),
            *(way.read(r, case, x) for r, x in zip(replies[1:], alone, strict=True)),
        ]
        if any(alpha is not None and not checks.is_distribution(alpha) for _, alpha in results):
            expect.stand_back(ROWS, "the attention weights are no distributions over the tokens")
        yield from check_or_excuse(
            lambda: _expect_each_as_alone(results), stand_back_if_instances_differ(student, case)
        )

    yield from check_or_blame_masks_or_order(program, student, case)


def _expect_each_as_alone(results: list[Results]) -> None:
    out, alpha = output_of(results[0]), results[0].alphas
    for b, (single_out, single_alpha) in enumerate(results[1:]):
        why = f"sequence {b} of the batch gives another result than on its own"
        if single_out is None:
            raise expect.Violation("a batch of one sequence gives no output of shape (1, T, n_hidden)")
        expect.close(out[b : b + 1], single_out, "attn_output", why)
        if alpha is not None and single_alpha is not None:
            expect.close(alpha[b : b + 1], single_alpha, "alpha", why)


@property_of(PART, strategies.heads(masks=("none",)), examples=2)
def test_x_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """The call does not modify x."""
    x = student.tensor(case.x)
    head = student.AttentionHead(case.dim, case.n_hidden)
    _, after = yield Way().call(student, head, x, case.x.shape), x
    checks.expect_unchanged(after, case.x, "x")


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=2), examples=4)
def test_same_in_training_and_evaluation(student: Student, case: MaskedCase) -> Program:
    """The same input gives the same output in training and evaluation mode, with and without a mask."""
    head, _ = yield from build(student, case)
    replies = []
    # All without a mask come first: a mask that stays in use is the mask's matter.
    calls: list[Callable[[], Remote]] = [
        lambda: Way().call(student, head, case.x),
        lambda: checks.call_masked(head, case.x, case.mask),
    ]
    for call in calls:
        head.mode(True)
        replies += [call(), call()]
        head.mode(False)
        replies.append(call())
    results = [Way().read(reply, case) for reply in (yield replies)]
    for how, (first, second, late) in (("", results[:3]), ("with a mask ", results[3:])):
        for again, why in (
            (second, f"{how}the same input gives a different result the second time"),
            (late, f"{how}evaluation mode gives a different result than training mode"),
        ):
            yield from check_or_excuse(
                lambda: _expect_same(first, again, why),  # noqa: B023
                _stand_back_if_one_mode_leaks(case, first, late),
            )


def _expect_same(first: Results, again: Results, why: str) -> None:
    for value, other in zip(first, again, strict=True):
        if value is not None and other is not None:
            expect.close(finite_or_zero(other), finite_or_zero(value), "the result", why)


def _stand_back_if_one_mode_leaks(case: MaskedCase, *found: Results) -> Judged:
    """Stand back if a masked token gets weight in one of the modes, and not in the other."""
    leaks = [
        float(np.where(case.mask == 0, np.abs(finite_or_zero(alpha)), 0.0).max()) > expect.MASKED
        for _, alpha in found
        if alpha is not None
    ]
    if any(leaks) and not all(leaks):
        expect.stand_back(NO_WEIGHT, "a masked token gets weight in one of the modes")
    yield from ()
