"""What a mask does to attention weights, outputs and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.homework3 import checks, identify, strategies
from grader.homework3.attention_head.calls import PART, REAL_MASKS, Way, build, cases, probe_for
from grader.homework3.attention_head.excuses import (
    stand_back_from_constant_output,
    stand_back_from_uninformative_alphas,
    stand_back_if_batch_matters,
    stand_back_if_nondeterministic,
    stand_back_if_output_ignores_alpha,
    stand_back_if_scores_mix_tokens,
)
from grader.homework3.attention_head.names import (
    LEARNING,
    MASKED_OUTPUT,
    NO_WEIGHT,
    OUTPUT,
    ROWS,
    SHAPES,
    SOFTMAX,
)
from grader.homework3.attention_head.weights import (
    ROLES,
    has_named_layers,
    one_token_mask,
    scores,
    with_scores_of,
    with_spread_scores,
)
from grader.homework3.checks import Results
from grader.homework3.excuses import Judged, check_or_excuse
from grader.homework3.strategies import MaskedCase, SequenceCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student, StudentError
from grader.kernel.wire import Array


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=2, least_batch=2), examples=5)
def test_masked_tokens_get_no_weight(student: Student, case: MaskedCase) -> Program:
    """alpha[b, i, j] is 0 wherever attn_mask[b, i, j] is 0, in training and evaluation mode."""
    head, weights = yield from build(student, case)
    free, late = Way().call(student, head, case.x), head(case.x, case.mask)
    head.mode(True)
    replies = yield free, late, head(case.x, case.mask)
    bare, evaluated, trained = (Way().read(reply, case)[1] for reply in replies)
    yield from stand_back_from_uninformative_alphas(student, weights, case, bare)
    assert bare is not None
    where = (case.mask == 0) & (bare > 1e-4)
    for alpha, mode in ((evaluated, "evaluation"), (trained, "training")):
        if alpha is None:
            raise expect.Violation("with attn_mask no attention weights of shape (B, T, T) are returned")
        why = f"a masked token gets weight in {mode} mode"
        check = lambda: expect.zero(checks.finite(alpha, "alpha"), where, "alpha", why)  # noqa: B023, E731
        yield from check_or_excuse(check, stand_back_if_batch_matters(student, head, case))


@property_of(
    PART,
    (
        cases(masks=REAL_MASKS, least_tokens=3),
        cases(masks=REAL_MASKS, least_tokens=2, most_batch=1),
        cases(masks=("random",), least_tokens=3, least_batch=2),
        cases(masks=("padding", "causal"), least_tokens=2, most_tokens=2, least_batch=2),
        strategies.long_sequences("random", batch=2, dim=4, n_hidden=3),
    ),
    examples=5,
)
def test_permitted_tokens_share_the_whole_weight(student: Student, case: MaskedCase) -> Program:
    """Masking keeps the proportions between permitted tokens, for several masks in a row."""
    head, weights = yield from build(student, case)
    second = strategies.make_mask("random", case.batch, case.tokens, case.rng())
    assert second is not None
    small = (case.x[:, :-1], np.maximum(second[:, :-1, :-1], np.eye(case.tokens - 1, dtype=np.float32)))
    rounds = [(case.x, case.mask), (case.x, second), tuple(map(np.ascontiguousarray, small))]
    calls = [Way().call(student, head, x) for x in (case.x, rounds[2][0])]
    replies = yield [*calls, *(head(x, mask) for x, mask in rounds)]
    bare, bare_small = (
        Way().read(r, case, x)[1] for r, x in zip(replies[:2], (case.x, rounds[2][0]), strict=True)
    )
    yield from stand_back_from_uninformative_alphas(student, weights, case, bare)
    for (x, mask), free, reply in zip(rounds, (bare, bare, bare_small), replies[2:], strict=True):
        alpha = Way().read(reply, case, x)[1]
        if alpha is None or free is None:
            raise expect.Violation("with attn_mask no attention weights of shape (B, T, T) are returned")
        kept = free * mask
        total = kept.sum(-1, keepdims=True)
        if total.min() > 1e-3:
            why = "the permitted tokens do not keep their proportions"
            want, size = kept / total, float(1 / total.min())
            check = lambda: expect.close(alpha, want, "alpha", why, scale=size)  # noqa: B023, E731
            again = lambda: checks.call_masked(head, case.x, case.mask)  # noqa: E731
            yield from check_or_excuse(
                check,
                stand_back_if_batch_matters(student, head, case),
                stand_back_if_nondeterministic(again, case),
            )


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=3, least_batch=2), examples=4)
def test_masked_tokens_have_no_influence(student: Student, case: MaskedCase) -> Program:
    """Changing a token that row i may not attend to does not change row i."""
    head, weights = yield from build(student, case)
    blind, token = checks.masked_token(case)
    other = case.x.copy()
    other[:, token] += 1.5
    replies = yield Way().call(student, head, case.x), head(case.x, case.mask), head(other, case.mask)
    (free, bare), (out, alpha), (after, _) = (Way().read(reply, case) for reply in replies)
    stand_back_from_constant_output(free)
    if bare is not None and checks.is_distribution(bare):
        yield from stand_back_from_uninformative_alphas(student, weights, case, bare)
    elif alpha is not None and np.any(np.isnan(alpha)):
        expect.stand_back(ROWS, "the attention weights are no distributions over the tokens")
    if out is None or after is None:
        expect.stand_back(
            (MASKED_OUTPUT, SHAPES, NO_WEIGHT), "with a mask no output is returned that can be read"
        )
    before, later = checks.finite(out, "attn_output"), checks.finite(after, "attn_output")
    why = f"attn_output changes with token {token}, which is masked for that row"
    rows = blind[:, :, None]
    check = lambda: expect.close(np.where(rows, later, 0), np.where(rows, before, 0), "attn_output", why)  # noqa: E731
    yield from check_or_excuse(
        check,
        stand_back_if_nondeterministic(lambda: checks.call_masked(head, case.x, case.mask), case),
        stand_back_if_scores_mix_tokens(student, head, case, token),
        stand_back_if_output_ignores_alpha(student, head, case),
    )


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=3, least_batch=2), examples=3, catches=True)
def test_masked_tokens_get_no_gradient(student: Student, case: MaskedCase) -> Program:
    """In training mode, a token that row i may not attend to gets no gradient from row i, and all gradients are finite."""
    head, weights = yield from build(student, case)
    blind, token = checks.masked_token(case)
    free, bare = Way().read((yield Way().call(student, head, case.x)), case)
    stand_back_from_constant_output(free)
    if bare is not None and checks.is_distribution(bare):
        yield from stand_back_from_uninformative_alphas(student, weights, case, bare)
    head.mode(True)
    x = student.tensor(case.x, requires_grad=True)
    shape = (case.batch, case.tokens, case.n_hidden)
    seeing = np.broadcast_to(~blind[:, :, None], shape).astype(np.float32)
    out = head(x.method("clone"), case.mask).tensor_of(shape)
    try:
        found = yield student.gradients(out, 1 - seeing, [x])[0], student.gradients(out, seeing, [x])[0]
    except StudentError as error:
        if error.type_name == "Unfit" or "derivative" in error.message:
            expect.stand_back((LEARNING, SHAPES, SOFTMAX), "the output with a mask has no gradient")
        raise
    if not all(isinstance(gradient, np.ndarray) for gradient in found) or not np.any(found[1]):
        expect.stand_back((LEARNING, OUTPUT), "the output with a mask has no gradient")
    if not np.all(np.isfinite(found[0])) and not checks.is_distribution(bare):
        expect.stand_back(ROWS, "the attention weights are no distributions over the tokens")
    gradient = expect.tensor(found[0], case.x.shape, "the gradient of x")[:, token]
    why = f"token {token} gets a gradient from rows that may not attend to it"
    check = lambda: expect.zero(gradient, np.ones_like(gradient, dtype=bool), "gradient", why, most=1e-5)  # noqa: E731
    yield from check_or_excuse(
        check,
        stand_back_if_scores_mix_tokens(student, head, case, token),
        stand_back_if_output_ignores_alpha(student, head, case),
    )


@property_of(
    PART,
    (
        cases(masks=("full",), least_tokens=2),
        cases(masks=("full",), most_tokens=1),
        cases(masks=("full",), least_tokens=2, least_batch=2),
        strategies.long_sequences("full", batch=2, dim=3, n_hidden=2),
    ),
    examples=4,
)
def test_no_mask_is_a_mask_of_ones(student: Student, case: SequenceCase) -> Program:
    """attn_mask=None gives the same result as a mask of ones, even after a call with another mask."""
    head, weights = yield from build(student, case)
    hides = strategies.make_mask("causal", case.batch, case.tokens, case.rng())
    seen, bare, _, after = yield (
        head(case.x, case.mask),
        head(case.x, None),
        head.any_way((case.x, hides), (case.x, None), (case.x,)),
        head(case.x, None),
    )
    ones, *frees = (Way().read(reply, case) for reply in (seen, bare, after))
    if case.tokens > 1 and frees[0].alphas is not None and checks.is_distribution(frees[0].alphas):
        yield from stand_back_from_uninformative_alphas(student, weights, case, frees[0].alphas[:1])
    stand_back_from_constant_output(frees[0].output)
    excuses = [
        stand_back_if_nondeterministic(lambda: Way().call(student, head, case.x), case),
        _stand_back_if_mask_changes_values(student, head, case, ones),
    ]
    yield from check_or_excuse(lambda: _expect_same_results(ones, frees), *excuses)


def _expect_same_results(ones: Results, frees: list[Results]) -> None:
    for free, when in zip(frees, ("", " after a call with a mask"), strict=True):
        for name, value, want in zip(("attn_output", "alpha"), ones, free, strict=True):
            if (value is None) != (want is None):
                raise expect.Violation(f"{name} has another shape with a mask of ones than with None")
            if value is not None and want is not None and np.all(np.isfinite(want)):
                why = f"a mask of ones gives another {name} than None{when}"
                expect.close(checks.finite(value, name), want, name, why)


def _stand_back_if_mask_changes_values(
    student: Student, head: Remote, case: SequenceCase, ones: Results
) -> Judged:
    """Stand back if, with a mask of ones, the output is not made with the attention weights: values that a mask changes."""
    way, tokens = Way(), case.x.reshape(-1, 1, 1, case.dim)
    replies = yield [way.call(student, head, token) for token in tokens]
    values = [way.read(reply, case, token)[0] for reply, token in zip(replies, tokens, strict=True)]
    known = [value.reshape(-1) for value in values if value is not None]
    out, alpha = ones
    if out is not None and alpha is not None and checks.is_distribution(alpha) and len(known) == len(values):
        want = alpha @ np.array(known).reshape(case.batch, case.tokens, case.n_hidden)
        free = way.read((yield way.call(student, head, case.x)), case)[1]
        if free is not None and checks.matches(alpha, free) and not checks.matches(out, want):
            why = "with a mask of ones the output is not made with the attention weights that are returned"
            expect.stand_back(MASKED_OUTPUT, why)


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=3), examples=5)
def test_masks_hold_at_large_scores(student: Student, case: SequenceCase) -> Program:
    """Masked entries are 0 and rows sum to 1 when scores are as large as 1e4."""
    head, weights = yield from build(student, case)
    usual = with_spread_scores(case.x)
    if has_named_layers(weights, case):
        found = scores(usual, *((weights[name].astype(np.float64), None) for name in ROLES[:2]))
        x, ordinary = (with_scores_of(largest, usual, found) for largest in (9e3, 2.0))
        mask = one_token_mask(found.argmin(-1), case.tokens)
        replies = yield checks.call_masked(head, x, mask), *(Way().call(student, head, v) for v in (x, ordinary))
    else:
        probe = probe_for(case, case.rng())
        at_probe = Way().read((yield Way().call(student, head, probe)), case, probe)[1]
        if at_probe is None or not checks.is_distribution(at_probe):
            expect.stand_back((ROWS, SHAPES), "the attention weights are no distributions over the tokens")
        fitted = identify.fit_scores(probe, at_probe)
        z = usual.astype(np.float64) @ fitted.basis.T
        found = z @ fitted.tokens_only @ np.swapaxes(z, -1, -2)
        x, ordinary = (with_scores_of(largest, usual, found) for largest in (9e3, 2.0))
        mask = one_token_mask(found.argmin(-1), case.tokens)
        replies = yield checks.call_masked(head, x, mask), *(Way().call(student, head, v) for v in (x, ordinary))
    alpha, at_large, bare = (Way().read(value, case)[1] for value in replies)
    yield from stand_back_from_uninformative_alphas(student, weights, case, bare)
    if not checks.is_distribution(at_large, checks.LARGE_SCORES_MISS):
        expect.stand_back(
            "attention_head.test_large_scores_stay_finite", "large scores give no distributions"
        )
    if alpha is None:
        raise expect.Violation("with attn_mask no attention weights of shape (B, T, T) are returned")
    why = "with large scores a masked token gets weight"
    check = lambda: _expect_masked_distribution(alpha, mask, why)  # noqa: E731
    yield from check_or_excuse(check, stand_back_if_batch_matters(student, head, case))


def _expect_masked_distribution(alpha: Array, mask: Any, why: str) -> None:
    expect.zero(checks.finite(alpha, "alpha"), mask == 0, "alpha", why)
    checks.expect_distributions(alpha, "alpha", checks.LARGE_SCORES_MISS)


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=2, least_batch=2), examples=3)
def test_the_mask_is_not_changed(student: Student, case: MaskedCase) -> Program:
    """The call does not modify attn_mask."""
    mask = student.tensor(case.mask)
    head, weights = yield from build(student, case)
    _, after, bare = yield checks.call_masked(head, case.x, mask), mask, Way().call(student, head, case.x)
    out, free = Way().read(bare, case)
    stand_back_from_constant_output(out)
    if free is not None and checks.is_distribution(free):
        yield from stand_back_from_uninformative_alphas(student, weights, case, free)
    checks.expect_unchanged(after, case.mask, "attn_mask")
