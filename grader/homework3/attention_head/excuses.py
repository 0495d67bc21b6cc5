"""Whose fault it is: what else may be the reason that a property of a head fails.

Each stands back where another property must find the fault.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np

from grader.homework3 import checks
from grader.homework3.attention_head.calls import Way, build
from grader.homework3.attention_head.names import (
    DEPENDS,
    INDEPENDENT,
    LEARNING,
    MODES,
    NO_MASK,
    OUTPUT,
    REGISTERED,
    ROWS,
    SHAPES,
    SOFTMAX,
)
from grader.homework3.excuses import (
    InexcusableViolation,
    Judged,
    is_constant,
    is_uniform,
    passes,
    same_results,
)
from grader.homework3.strategies import SequenceCase
from grader.judging import expect
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array


def check_or_blame_masks_or_order(program: Callable[[Way], Judged], student: Student, case: SequenceCase) -> Judged:
    """Hold a program that calls heads without a mask.

    What fails with None and holds with a mask of ones is a matter of masks, if the two differ; what holds with the results the
    other way round, where their shapes cannot tell, is one of shapes.
    """
    violation = None
    try:
        yield from program(Way())
    except InexcusableViolation:
        raise
    except expect.Violation as found:
        violation = found
    if violation is not None:
        if (yield from passes(program(Way(ones=True)))) and (yield from _none_is_no_ones(student, case)):
            why = "it is right with a mask of ones, but not with attn_mask=None"
            expect.stand_back(NO_MASK, why, compared=True)
        if (yield from passes(program(Way(swapped=True)))):
            expect.stand_back(SHAPES, "the two results are returned in the wrong order")
        raise violation


def _none_is_no_ones(student: Student, case: SequenceCase) -> Generator[Any, Any, bool]:
    """Whether None and a mask of ones give different results."""
    head, _ = yield from build(student, case)
    one, other = yield [way.call(student, head, case.x) for way in (Way(ones=True), Way())]
    return not same_results(Way().read(one, case), Way().read(other, case))


def stand_back_from_uninformative_alphas(
    student: Student, weights: Mapping[str, Array], case: SequenceCase, alpha: Array | None
) -> Judged:
    """Stand back from weights that show nothing: none, no distributions, even or constant ones, or those of no parameters."""
    if alpha is None:
        expect.stand_back(SHAPES, "no attention weights of shape (B, T, T) are returned")
    if not checks.is_distribution(alpha):
        expect.stand_back(ROWS, "the attention weights are no distributions over the tokens")
    if is_uniform(alpha):
        expect.stand_back((DEPENDS, SOFTMAX), "every token gets the same attention weight")
    if len(alpha) > 1 and np.abs(alpha - alpha[:1]).max() < 1e-6:
        expect.stand_back((DEPENDS, SOFTMAX, INDEPENDENT), "all sequences get the same attention weights")
    yield from stand_back_without_parameters(student, weights, case)


def stand_back_without_parameters(
    student: Student, weights: Mapping[str, Array], case: SequenceCase
) -> Judged:
    """Stand back from a head that has no weights at all, registered or not: two of them are alike."""
    if not weights:
        way, others = Way(), [student.AttentionHead(case.dim, case.n_hidden) for _ in range(2)]
        one, other = yield [way.call(student, head, case.x) for head in others]
        if same_results(way.read(one, case), way.read(other, case)):
            expect.stand_back(LEARNING, "the results come from no parameters")


def stand_back_from_constant_output(out: Array | None) -> None:
    """Stand back from an output that is the same for every token, which shows nothing of what a mask does."""
    if out is None:
        expect.stand_back((OUTPUT, SHAPES), "no output of shape (B, T, n_hidden) is returned")
    if is_constant(out):
        expect.stand_back(OUTPUT, "the output is the same for every token")


def stand_back_if_nondeterministic(call: Callable[[], Remote], case: SequenceCase) -> Judged:
    """Stand back if two equal calls give different results."""
    first, second = yield call(), call()
    if not same_results(Way().read(first, case), Way().read(second, case)):
        expect.stand_back(MODES, "two equal calls give different results")


def stand_back_if_instances_differ(student: Student, case: SequenceCase) -> Judged:
    """Stand back if two heads with the same parameters give different results."""
    (one, _), (other, _) = (yield from build(student, case)), (yield from build(student, case))
    first, second = yield [Way().call(student, head, case.x) for head in (one, other)]
    if not same_results(Way().read(first, case), Way().read(second, case)):
        expect.stand_back((REGISTERED, LEARNING), "two heads with the same parameters give different results")


def stand_back_if_batch_matters(student: Student, head: Remote, case: SequenceCase) -> Judged:
    """Stand back if a sequence of the batch gets other results than alone, where nothing is masked."""
    way = Way()
    alone = [case.x[b : b + 1] for b in range(case.batch)]
    replies = yield [way.call(student, head, case.x), *(way.call(student, head, x) for x in alone)]
    whole = way.read(replies[0], case)
    for b, reply in enumerate(replies[1:]):
        for value, single in zip(whole, way.read(reply, case, alone[b]), strict=True):
            if value is not None and single is not None and not checks.matches(value[b : b + 1], single):
                expect.stand_back(INDEPENDENT, "a sequence of the batch gives another result than on its own")


def stand_back_if_scores_mix_tokens(student: Student, head: Remote, case: SequenceCase, token: int) -> Judged:
    """Stand back if, without a mask, a token changes the proportion of two others' weights."""
    way, other = Way(), case.x.copy()
    other[:, token] += 1.5
    replies = yield way.call(student, head, case.x), way.call(student, head, other)
    alphas = [way.read(reply, case)[1] for reply in replies]
    rest = [place for place in range(case.tokens) if place != token]
    shares = [alpha[:, rest][:, :, rest] for alpha in alphas if alpha is not None]
    reason = f"without a mask token {token} changes how others share their weight"
    if len(shares) == 2 and not all(checks.is_distribution(alpha) for alpha in alphas):
        if not checks.matches(shares[0], shares[1]):
            expect.stand_back(ROWS, reason)
    elif len(shares) == 2:
        before, after = (np.log(np.maximum(share, 1e-30)) for share in shares)
        before, after = (share - share.mean(-1, keepdims=True) for share in (before, after))
        if not checks.matches(before, after, scale=20.0):
            expect.stand_back(SOFTMAX, reason)


def stand_back_if_output_ignores_alpha(student: Student, head: Remote, case: SequenceCase) -> Judged:
    """Stand back if the output is not made with the attention weights that are returned, where nothing is masked."""
    way = Way()
    tokens = case.x.reshape(-1, 1, 1, case.dim)
    replies = yield [way.call(student, head, case.x), *(way.call(student, head, token) for token in tokens)]
    out, alpha = way.read(replies[0], case)
    values = [way.read(reply, case, token)[0] for reply, token in zip(replies[1:], tokens, strict=True)]
    known = [value.reshape(-1) for value in values if value is not None]
    if out is None:
        expect.stand_back(OUTPUT, "no output of shape (B, T, n_hidden) is returned")
    if alpha is not None and checks.is_distribution(alpha) and len(known) == len(values):
        want = alpha @ np.array(known).reshape(case.batch, case.tokens, case.n_hidden)
        if not checks.matches(out, want):
            expect.stand_back(OUTPUT, "the output is not made with the attention weights that are returned")
