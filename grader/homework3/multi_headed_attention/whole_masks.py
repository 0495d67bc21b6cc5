"""A module that is judged whole: what a mask does."""

from __future__ import annotations

import numpy as np

from grader.homework3 import checks, strategies
from grader.homework3.checks import Results
from grader.homework3.excuses import Judged, check_or_excuse, finite_or_zero
from grader.homework3.multi_headed_attention.calls import (
    PART,
    REAL_MASKS,
    Way,
    build,
    cases,
    randomize_weights,
    readable,
)
from grader.homework3.multi_headed_attention.excuses import (
    stand_back_from_uninformative_results,
    stand_back_if_nondeterministic,
    stand_back_unless_mask_matters,
)
from grader.homework3.multi_headed_attention.names import SHAPES, WHOLE_ALPHAS, WHOLE_MASKS, WHOLE_PROJECTION
from grader.homework3.multi_headed_attention.whole_maps import informative_alphas
from grader.homework3.strategies import MaskedCase, SequenceCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student


@property_of(
    PART,
    (
        cases(masks=REAL_MASKS, least_tokens=3, least_batch=2),
        cases(masks=REAL_MASKS, least_tokens=3),
        strategies.long_sequences("random", tokens=66, batch=2, dim=4, n_hidden=2, num_heads=3),
    ),
    when="whole",
    examples=6,
)
def test_whole_masked_tokens_get_no_weight(student: Student, case: MaskedCase) -> Program:
    """Masked tokens get no weight in any head, and permitted tokens keep their proportions, for several masks in a row."""
    module = build(student, case)
    yield from randomize_weights(module, case, case.rng())
    second = strategies.make_mask("random", case.batch, case.tokens, case.rng())
    assert second is not None
    bare = Way().call(student, module, case.x)
    # By keyword, as AttentionResidual does.
    replies = [module(x=case.x, attn_mask=case.mask), module(x=case.x, attn_mask=second)]
    module.mode(True)
    replies.append(module(x=case.x, attn_mask=case.mask))
    free, *seen = (readable(reply, case) for reply in (yield [bare, *replies]))
    weights = informative_alphas(free.alphas)
    for (_, alphas), mask in zip(seen, (case.mask, second, case.mask), strict=True):
        if alphas is None:
            raise expect.Violation("with attn_mask no attention weights of shape (B, H, T, T) are returned")
        hidden = np.broadcast_to((mask == 0)[:, None], alphas.shape) & (weights > 1e-4)
        expect.zero(checks.finite(alphas, "alphas"), hidden, "alphas", "a masked token gets weight")
        kept = weights * mask[:, None]
        total = kept.sum(-1, keepdims=True)
        if total.min() > 1e-3:
            why = "the permitted tokens do not keep their proportions"
            expect.close(alphas, kept / total, "alphas", why, scale=float(2 / total.min()))


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=3, least_batch=2), when="whole", examples=5)
def test_whole_masked_tokens_have_no_influence(student: Student, case: MaskedCase) -> Program:
    """Changing a token that row i may not attend to does not change row i."""
    module = build(student, case)
    yield from randomize_weights(module, case, case.rng())
    blind, token = checks.masked_token(case)
    other = case.x.copy()
    other[:, token] += 1.5
    replies = yield (
        Way().call(student, module, case.x),
        module.any_way((case.x, case.mask), (case.x, None), (case.x,)),
        module.any_way((other, case.mask), (other, None), (other,)),
        Way().call(student, module, other),
    )
    free, (out, alphas), (after, _), (moved, _) = (readable(reply, case) for reply in replies)
    stand_back_from_uninformative_results(free)
    if free.output is not None and moved is not None and np.array_equal(free.output[blind], moved[blind]):
        expect.stand_back(
            (SHAPES, WHOLE_ALPHAS, WHOLE_PROJECTION), "even without a mask no token influences another"
        )
    if alphas is not None and np.any(np.isnan(alphas)) and not checks.is_distribution(free.alphas):
        expect.stand_back(WHOLE_ALPHAS, "the attention weights are no distributions over the tokens")
    if out is None or after is None:
        expect.stand_back(
            (WHOLE_MASKS, WHOLE_PROJECTION), "with a mask no output is returned that can be read"
        )
    before, later = checks.finite(out, "output"), checks.finite(after, "output")
    rows = blind[:, :, None]
    why = f"the output changes with token {token}, which is masked for that row"
    check = lambda: expect.close(  # noqa: E731
        np.where(rows, later, 0), np.where(rows, before, 0), "output", why, scale=5.0
    )
    yield from check_or_excuse(
        check,
        stand_back_if_nondeterministic(lambda: checks.call_masked(module, case.x, case.mask), case),
        _stand_back_if_scores_mix_tokens(student, module, case, token),
        _stand_back_if_order_matters(student, module, case),
    )


def _stand_back_if_scores_mix_tokens(
    student: Student, module: Remote, case: SequenceCase, token: int
) -> Judged:
    """Stand back if, without a mask, a token changes the proportion of two others' weights."""
    other = case.x.copy()
    other[:, token] += 1.5
    replies = yield Way().call(student, module, case.x), Way().call(student, module, other)
    found = [readable(reply, case)[1] for reply in replies]
    rest = [place for place in range(case.tokens) if place != token]
    shares = [alphas[:, :, rest][..., rest] for alphas in found if alphas is not None]
    if len(shares) == 2 and all(checks.is_distribution(alphas) for alphas in found):
        logs = [np.log(np.maximum(share, 1e-30)) for share in shares]
        before, after = (log - log.mean(-1, keepdims=True) for log in logs)
        if not checks.matches(before, after, scale=20.0):
            expect.stand_back(
                WHOLE_ALPHAS, f"without a mask token {token} changes how others share their weight"
            )
    elif len(shares) == 2 and not checks.matches(shares[0], shares[1]):
        expect.stand_back(WHOLE_ALPHAS, f"without a mask token {token} changes the weights of others")


def _stand_back_if_order_matters(student: Student, module: Remote, case: SequenceCase) -> Judged:
    """Stand back if tokens are mixed up even without a mask: in another order they give other outputs."""
    turn = np.roll(np.arange(case.tokens), 1)
    turned = np.ascontiguousarray(case.x[:, turn])
    replies = yield Way().call(student, module, case.x), Way().call(student, module, turned)
    (out, _), (after, _) = (readable(reply, case) for reply in replies)
    if out is not None and after is not None and not checks.matches(after, out[:, turn], scale=5.0):
        expect.stand_back((WHOLE_PROJECTION, WHOLE_ALPHAS), "the output depends on the order of the tokens")


@property_of(
    PART,
    (
        cases(masks=("full",), least_tokens=2),
        cases(masks=("full",), most_tokens=1),
        cases(masks=("full",), least_tokens=2, least_batch=2),
        strategies.long_sequences("full", tokens=66, batch=2, dim=3, n_hidden=2, num_heads=3),
    ),
    when="whole",
    examples=5,
)
def test_whole_no_mask_is_a_mask_of_ones(student: Student, case: SequenceCase) -> Program:
    """attn_mask=None gives the same result as a mask of ones, even after a call with another mask."""
    module = build(student, case)
    yield from randomize_weights(module, case, case.rng())
    hides = strategies.make_mask("causal", case.batch, case.tokens, case.rng())
    replies = yield (
        module(case.x, case.mask),
        module(case.x, None),
        checks.call_masked(module, case.x, hides),
        module(case.x, None),
    )
    ones, bare, hidden, after = (readable(reply, case) for reply in replies)
    if case.tokens > 1:
        stand_back_from_uninformative_results(bare)
        stand_back_unless_mask_matters(ones, hidden, hides)
    check = lambda: _expect_same_results(ones, [bare, after])  # noqa: E731
    yield from check_or_excuse(
        check,
        stand_back_if_nondeterministic(lambda: Way().call(student, module, case.x), case),
        _stand_back_if_only_output_changes(ones, bare),
    )


def _expect_same_results(ones: Results, frees: list[Results]) -> None:
    for free, when in zip(frees, ("", " after a call with a mask"), strict=True):
        for name, value, want in zip(("output", "alphas"), ones, free, strict=True):
            if value is not None and want is not None and np.all(np.isfinite(want)):
                why = f"a mask of ones gives other {name} than None{when}"
                expect.close(checks.finite(value, name), want, name, why, scale=5.0)


def _stand_back_if_only_output_changes(ones: Results, bare: Results) -> Judged:
    """Stand back if a mask of ones changes the output alone, and not the attention weights."""
    if (
        ones.alphas is not None
        and bare.alphas is not None
        and checks.matches(finite_or_zero(ones.alphas), finite_or_zero(bare.alphas))
    ):
        expect.stand_back(
            WHOLE_PROJECTION, "with a mask of ones the same attention weights give another output"
        )
    yield from ()
