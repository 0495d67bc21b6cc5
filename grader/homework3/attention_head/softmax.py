"""Attention weights without a mask: the softmax of scaled scores."""

from __future__ import annotations

import numpy as np

from grader.homework3 import checks, identify, oracles, parameters, strategies
from grader.homework3.attention_head.calls import PART, Way, alpha_of, build, cases, probe_for, square_cases
from grader.homework3.attention_head.excuses import check_or_blame_masks_or_order
from grader.homework3.attention_head.names import LEARNING, REGISTERED, ROWS, SOFTMAX
from grader.homework3.attention_head.weights import (
    has_named_layers,
    largest_score,
    score_maps,
    scores,
    unmasked_alphas,
    with_spread_scores,
)
from grader.homework3.excuses import InexcusableViolation, Judged
from grader.homework3.strategies import SequenceCase
from grader.judging import expect, pictures
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array


@property_of(PART, (cases(), cases(least_tokens=2), cases(most_tokens=1)), examples=3)
def test_rows_of_alpha_are_distributions(student: Student, case: SequenceCase) -> Program:
    """The entries of each row of alpha are at least 0 and sum to 1."""
    head, _ = yield from build(student, case)
    checks.expect_distributions(
        alpha_of(Way().read((yield Way().call(student, head, case.x)), case)), "alpha"
    )


@property_of(
    PART,
    (
        cases(least_tokens=3, most_batch=1, dim=(3, 6)),
        cases(least_tokens=3, most_batch=1, dim=(3, 6), n_hidden=(2, 3)),
        square_cases(most_batch=1),
        strategies.long_sequences(dim=128, n_hidden=64),
    ),
    examples=5,
)
def test_alpha_is_the_softmax_of_scaled_scores(student: Student, case: SequenceCase) -> Program:
    """alpha is the softmax over j of q_i · k_j / sqrt(n_hidden), where queries and keys have separate weights."""

    def program(way: Way) -> Judged:
        head, weights = yield from build(student, case, way)
        rng = case.rng()
        # One head for several inputs: of the same shape, and then of a smaller one.
        other = np.asarray(case.x[:, ::-1] + np.roll(case.x, 1, axis=1), np.float32) * np.float32(0.7)
        inputs = [case.x, other, np.ascontiguousarray(other[:, 2:])]
        if has_named_layers(weights, case):
            replies = yield [way.call(student, head, x) for x in inputs]
            alphas = [alpha_of(way.read(reply, case, x)) for reply, x in zip(replies, inputs, strict=True)]
            why = "alpha is not softmax(Q K^T / sqrt(n_hidden))"
            pairs = list(score_maps(weights))
            gaps = [float(np.abs(unmasked_alphas(case.x, *pair) - alphas[0]).max()) for pair in pairs]
            q, k = pairs[int(np.argmin(gaps))]
            if any(checks.has_other_temperature(alphas[0], unmasked_alphas(case.x, *pair)) for pair in pairs):
                raise InexcusableViolation(
                    f"{why}: the scores have another scale",
                    {"your alpha": expect.show(alphas[0])},
                    draw=lambda: pictures.matrices([("your alpha", alphas[0], 0)]),
                    values=[alphas[0]],
                )
            for x, alpha in zip(inputs, alphas, strict=True):
                expect.close(alpha, unmasked_alphas(x, q, k), "alpha", why, scale=2.0)
        else:
            yield from _expect_attention_in_any_layout(way, student, head, case, weights, inputs, rng)

    yield from check_or_blame_masks_or_order(program, student, case)


def _expect_attention_in_any_layout(
    way: Way,
    student: Student,
    head: Remote,
    case: SequenceCase,
    weights: dict[str, Array],
    inputs: list[Array],
    rng: np.random.Generator,
) -> Judged:
    """Hold of scores whose weights have other names what the formula says of them in every layout."""
    probe, fresh = probe_for(case, rng), probe_for(case, rng)
    more, equal = 1.3, 0.25
    replies = [way.call(student, head, x) for x in (probe, fresh, *inputs)]
    head.load({name: np.float32(more) * value for name, value in weights.items()})
    replies.append(way.call(student, head, probe))
    head.load({name: np.full_like(value, equal) for name, value in weights.items()})
    replies.append(way.call(student, head, probe))
    told = [probe, fresh, *inputs, probe, probe]
    alphas = [alpha_of(way.read(reply, case, x)) for reply, x in zip((yield replies), told, strict=True)]
    at_probe, *others, at_more, at_equal = alphas
    checks.expect_distributions(at_probe, "alpha")
    found = identify.fit_scores(probe, at_probe)
    if not checks.matches(found.alphas(probe), at_probe, scale=5.0):
        why = "the scores are not inner products of one linear map of the query's token and one of the key's token"
        expect.close(at_probe, found.alphas(probe), "alpha", why, scale=5.0)
    why = "alpha of other tokens does not follow from how queries and keys depend on the first ones"
    for x, alpha in zip((fresh, *inputs), others, strict=True):
        if identify.basis_of(np.concatenate([probe, x], axis=1)).shape == found.basis.shape:
            expect.close(alpha, found.alphas(x), "alpha", why, scale=10.0)
    size, want = len(found.basis), min(case.n_hidden, len(found.basis))
    matrix = found.tokens_only
    expect.holds(identify.rank(matrix) > 0, "alpha does not depend on the token of the query")
    if not identify.has_rank(matrix, want):
        # A second draw of weights: by chance a matrix may be near one of lower rank.
        other = parameters.generic_weights(weights, rng)
        head.load({name: np.float32(0.5) * value for name, value in other.items()})
        again = alpha_of(way.read((yield way.call(student, head, probe)), case, probe))
        matrix_again = identify.fit_scores(probe, again).tokens_only
        rank = identify.rank(matrix_again)
        text = f"the scores come from {rank} independent numbers, expected queries and keys of {want}"
        expect.holds(identify.has_rank(matrix_again, want), text)
    if size > 2 and identify.is_symmetric(matrix):
        raise expect.Violation("queries and keys come from the same weights")
    if weights and not checks.matches(at_more, at_probe):
        scaled = identify.ScoreMap(found.basis, more**2 * found.matrix)
        why = "queries and keys are not linear in the module's parameters"
        expect.close(
            at_more, scaled.alphas(probe), "alpha with all parameters 1.3 times as large", why, scale=10.0
        )
        wants = _alphas_of_equal_parameters(probe, equal, case)
        wrong = any(checks.has_other_temperature(at_equal, want) for want in wants)
        why = (
            "the scores are not divided by sqrt(n_hidden)"
            if wrong
            else "the scores are not those of equal parameters"
        )
        checks.expect_close_to_any(at_equal, wants, f"alpha with all parameters {equal}", why)
    else:
        expect.stand_back((REGISTERED, LEARNING), "alpha does not follow the module's parameters")


def _alphas_of_equal_parameters(x: Array, size: float, case: SequenceCase) -> list[Array]:
    """The attention weights if all parameters are equal, which is the same in every layout: without biases and with them."""
    sums = size * x.astype(np.float64).sum(-1)
    found = []
    for bias in (0.0, size):
        queries, keys = (
            np.repeat(values[..., None], case.n_hidden, axis=-1) for values in (sums + bias, sums)
        )
        found.append(oracles.attention(queries, keys, queries, None)[1])
    return found


@property_of(PART, cases(least_tokens=3, most_batch=1), examples=3)
def test_alpha_depends_on_the_input(student: Student, case: SequenceCase) -> Program:
    """alpha depends on the tokens: different tokens give different attention weights."""
    head, _ = yield from build(student, case)
    x, other = (case.rng().normal(size=(2, *case.x.shape)) * 1.5).astype(np.float32)
    replies = yield Way().call(student, head, x), Way().call(student, head, other)
    alpha, changed = (alpha_of(Way().read(reply, case)) for reply in replies)
    expect.differs(alpha, changed, "alpha", "alpha stays the same when all tokens change", least=1e-5)


@property_of(PART, cases(least_tokens=3, most_batch=1), examples=3)
def test_large_scores_stay_finite(student: Student, case: SequenceCase) -> Program:
    """Scores of up to 1e4 give finite outputs and rows of alpha that sum to 1."""

    def program(way: Way) -> Judged:
        head, weights = yield from build(student, case, way)
        x = with_spread_scores(case.x)
        x = np.float32(checks.scale_to_large_scores(largest_score(weights, case, x))) * x
        if has_named_layers(weights, case):
            alpha = alpha_of(way.read((yield way.call(student, head, x)), case))
            maps = [scores(x, q, k) for q, k in score_maps(weights)]
        else:
            probe = probe_for(case, case.rng())
            replies = yield way.call(student, head, x), way.call(student, head, probe)
            alpha, at_probe = (
                alpha_of(way.read(r, case, v)) for r, v in zip(replies, (x, probe), strict=True)
            )
            if not checks.is_distribution(at_probe):
                expect.stand_back(ROWS, "the attention weights are no distributions over the tokens")
            found = identify.fit_scores(probe, at_probe)
            if not checks.matches(found.alphas(probe), at_probe, scale=5.0):
                expect.stand_back(SOFTMAX, "the scores are no inner products of queries and keys")
            z = x.astype(np.float64) @ found.basis.T
            maps = [identify.with_one(z) @ found.matrix @ np.swapaxes(z, -1, -2)]
        checks.expect_distributions(alpha, "alpha", checks.LARGE_SCORES_MISS)
        # Where one score leads by far, its token gets all the weight, rounding or not.
        top = np.take_along_axis(alpha, maps[0].argmax(-1)[..., None], axis=-1)[..., 0]
        sure = np.all([_lead(found) > 30 for found in maps], axis=0)
        why = "a token whose score is by far the largest does not get all the weight of its row"
        expect.close(np.where(sure, top, 1.0), np.ones_like(top), "its weight", why)

    yield from check_or_blame_masks_or_order(program, student, case)


def _lead(found: Array) -> Array:
    """By how much the largest score of each row leads."""
    ordered = np.sort(found, axis=-1)
    lead: Array = ordered[..., -1] - ordered[..., -2]
    return lead
