"""The output: attention weights times values."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np

from grader.homework3 import checks, identify, strategies
from grader.homework3.attention_head.calls import (
    PART,
    REAL_MASKS,
    Way,
    build,
    cases,
    output_of,
    probe_for,
    square_cases,
)
from grader.homework3.attention_head.excuses import (
    check_or_blame_masks_or_order,
    stand_back_without_parameters,
)
from grader.homework3.attention_head.names import (
    DEPENDS,
    INFLUENCE,
    LEARNING,
    NO_WEIGHT,
    PERMITTED,
    REGISTERED,
    ROWS,
    SHAPES,
    SOFTMAX,
)
from grader.homework3.attention_head.weights import (
    ROLES,
    Map,
    affine,
    has_named_layers,
    layer_maps,
    score_maps,
    scores,
)
from grader.homework3.checks import Results
from grader.homework3.excuses import Judged, finite_or_zero, is_uniform
from grader.homework3.strategies import MaskedCase, SequenceCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array


@property_of(
    PART,
    (
        cases(least_tokens=3, most_batch=1),
        square_cases(most_batch=1),
        strategies.long_sequences(dim=128, n_hidden=64),
    ),
    examples=4,
)
def test_output_is_the_weighted_sum_of_values(student: Student, case: SequenceCase) -> Program:
    """attn_output[i] is the sum over j of alpha[i, j] times W_V of token j."""

    def program(way: Way) -> Judged:
        head, weights = yield from build(student, case, way)
        # One head for several inputs: of the same shape, and then a lone token.
        other = np.asarray(0.6 * np.roll(case.x, 1, axis=1) + case.x[:, ::-1], np.float32)
        inputs = [case.x, other, np.ascontiguousarray(case.x[:, :1])]
        replies = yield [way.call(student, head, x) for x in inputs]
        results = [way.read(reply, case, x) for reply, x in zip(replies, inputs, strict=True)]
        outs = [output_of(found) for found in results]
        yield from _stand_back_from_uniform_alphas(results[0].alphas)
        value_map, kind = yield from _value_map(student, way, head, case, weights, results[0])
        for x, found, out in zip(inputs, results, outs, strict=True):
            alphas = _alphas_used(weights, x, found.alphas)
            why = "attn_output is not alpha times the values (W_V of each token)"
            expect.close(out, value_map(x, alphas[min(kind, len(alphas) - 1)]), "attn_output", why, scale=5.0)

    yield from check_or_blame_masks_or_order(program, student, case)


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=3, most_batch=1), examples=4)
def test_masked_output_is_the_weighted_sum_of_values(student: Student, case: MaskedCase) -> Program:
    """With a mask, attn_output[i] is the sum over j of alpha[i, j] times W_V of token j."""

    def program(way: Way) -> Judged:
        head, weights = yield from build(student, case)
        replies = yield way.call(student, head, case.x), checks.call_masked(head, case.x, case.mask)
        bare, (out, alpha) = (way.read(reply, case) for reply in replies)
        output_of(bare)
        yield from _stand_back_from_uniform_alphas(bare.alphas)
        value_map, kind = yield from _value_map(student, way, head, case, weights, bare)
        if out is None:
            expect.stand_back((NO_WEIGHT, SHAPES), "with a mask no output is returned that can be read")
        alphas = _alphas_used(weights, case.x, alpha, case.mask)
        used = alphas[min(kind, len(alphas) - 1)]
        if not np.all(np.isfinite(out)) or np.where(case.mask == 0, np.abs(used), 0.0).max() > expect.MASKED:
            expect.stand_back(
                (NO_WEIGHT, PERMITTED, INFLUENCE, ROWS), "with a mask the weights are not those of a mask"
            )
        free = _alphas_used(weights, case.x, bare.alphas)
        unmasked = value_map(case.x, free[min(kind, len(free) - 1)])
        if checks.matches(out, unmasked, scale=5.0) and not checks.matches(
            out, value_map(case.x, used), scale=5.0
        ):
            expect.stand_back(
                (INFLUENCE, NO_WEIGHT, PERMITTED), "the output with a mask is made with unmasked weights"
            )
        why = "with attn_mask attn_output is not alpha times the values"
        expect.close(out, value_map(case.x, used), "attn_output", why, scale=5.0)

    yield from check_or_blame_masks_or_order(program, student, case)


def _stand_back_from_uniform_alphas(alpha: Array | None) -> Judged:
    """Stand back if all weights are even, where a mean would pass for a weighted sum."""
    if is_uniform(alpha):
        expect.stand_back((DEPENDS, SOFTMAX), "every token gets the same attention weight")
    yield from ()


def _value_map(
    student: Student, way: Way, head: Remote, case: SequenceCase, weights: dict[str, Array], bare: Results
) -> Generator[Any, Any, tuple[Callable[[Array, Array], Array], int]]:
    """How outputs come from tokens and attention weights, and which of `_alphas_used` they are made with.

    By W_V with its bias or without where it is known by name, else by a fit, which is held to what W_V is in every layout.
    """
    alphas, seen = _alphas_used(weights, case.x, bare.alphas), output_of(bare)
    kinds = range(len(alphas))
    if has_named_layers(weights, case):
        maps = [(_of_layer(v), kind) for kind in kinds for v in layer_maps(weights, "W_V")]
    else:
        yield from stand_back_without_parameters(student, weights, case)
        probe = probe_for(case, case.rng())
        found = yield from _lone_values(student, way, head, case, probe)
        yield from _expect_values_of_parameters(student, way, head, case, weights, probe, found)
        maps = [(lambda x, alpha: found.outputs(x, alpha[:, None]), kind) for kind in kinds]
    for made, kind in maps:
        if checks.matches(made(case.x, alphas[kind]), seen, scale=5.0):
            return made, kind
    return maps[0]


def _of_layer(linear: Map) -> Callable[[Array, Array], Array]:
    return lambda x, alpha: alpha @ affine(x.astype(np.float64), linear)


def _alphas_used(
    weights: Mapping[str, Array], x: Array, alpha: Array | None, mask: Array | None = None
) -> list[Array]:
    """Attention weights that an output may be made with.

    Those that are returned; those of the oracle, or a softmax of what is returned, as weights that are returned wrong but used
    right are not the values' matter.
    """
    found = [] if alpha is None else [np.nan_to_num(alpha, nan=0.0, posinf=0.0, neginf=0.0)]
    if all(name in weights for name in ROLES):
        found += [identify.softmax(scores(x, q, k), mask) for q, k in score_maps(weights)]
    elif alpha is not None and not checks.is_distribution(alpha):
        found.append(identify.softmax(np.nan_to_num(alpha, nan=0.0), mask))
    if not found:
        expect.stand_back(SHAPES, "no attention weights of shape (B, T, T) are returned")
    return found


def _lone_values(
    student: Student, way: Way, head: Remote, case: SequenceCase, probe: Array
) -> Generator[Any, Any, identify.ValueMap]:
    """The value map that fits the outputs of lone tokens, whose weight is 1."""
    basis_of_probe = identify.basis_of(probe)
    tokens = [np.ascontiguousarray(probe[:, place : place + 1]) for place in range(len(basis_of_probe) + 2)]
    replies = yield [way.call(student, head, token) for token in tokens]
    results = [way.read(reply, case, token) for reply, token in zip(replies, tokens, strict=True)]
    outs = np.concatenate([output_of(found) for found in results])
    weights = [np.ones((1, 1, 1)) if alpha is None else finite_or_zero(alpha) for _, alpha in results]
    # A weight that is not 1 is the softmax's matter, as long as it is not 0.
    usable = all(0.05 < abs(float(weight[0, 0, 0])) < 50 for weight in weights)
    alphas = np.concatenate(weights)[:, None] if usable else np.ones((len(tokens), 1, 1, 1))
    return identify.fit_values(np.concatenate(tokens), alphas, outs, basis_of_probe)


def _expect_values_of_parameters(
    student: Student,
    way: Way,
    head: Remote,
    case: SequenceCase,
    weights: dict[str, Array],
    probe: Array,
    found: identify.ValueMap,
) -> Judged:
    """Hold of values whose weights have other names what W_V is in every layout."""
    count, want = identify.rank(found.tokens_only(0)), min(case.n_hidden, len(found.basis))
    expect.require(count > 0, "the values do not depend on the tokens")
    expect.require(count >= want, f"the values have {count} independent numbers, expected {want}")
    if weights:
        more, token = 1.3, np.ascontiguousarray(probe[:, :1])
        head.load({name: np.float32(more) * value for name, value in weights.items()})
        reply = way.call(student, head, token)
        head.load(weights)
        out = output_of(way.read((yield reply), case, token))
        value = values_of(found, token)
        if checks.matches(out, value):
            expect.stand_back((REGISTERED, LEARNING), "the values do not follow the module's parameters")
        text = "the values are not linear in the module's parameters"
        expect.require(checks.matches(out, more * value, scale=10.0), text)


def values_of(found: identify.ValueMap, x: Array) -> Array:
    """The values (B, T, m) of tokens by the map of one head."""
    values: Array = identify.with_one(x.astype(np.float64) @ found.basis.T) @ found.matrices[0]
    return values


@property_of(PART, cases(least_tokens=3, most_batch=1, dim=(4, 6), n_hidden=(2, 3)), examples=3)
def test_values_have_weights_of_their_own(student: Student, case: SequenceCase) -> Program:
    """The value of a token comes from W_V, not from the layer that makes its key or its query."""
    way = Way()
    head, weights = yield from build(student, case)
    probe = probe_for(case, case.rng())
    results = way.read((yield way.call(student, head, probe)), case, probe)
    yield from _stand_back_from_uniform_alphas(results.alphas)
    output_of(results)
    if has_named_layers(weights, case):
        expect.compared()  # by name it is known what comes from where
    else:
        yield from _expect_own_weights(student, way, head, case, weights, probe, results.alphas)


def _expect_own_weights(
    student: Student,
    way: Way,
    head: Remote,
    case: SequenceCase,
    weights: dict[str, Array],
    probe: Array,
    alpha: Array | None,
) -> Judged:
    yield from stand_back_without_parameters(student, weights, case)
    values = (yield from _lone_values(student, way, head, case, probe)).tokens_only(0)
    if alpha is None or not checks.is_distribution(alpha):
        expect.stand_back((ROWS, SHAPES), "the attention weights are no distributions over the tokens")
    found = identify.fit_scores(probe, alpha)
    matrix = found.tokens_only
    bilinear = checks.matches(found.alphas(probe), alpha, scale=5.0)
    if not bilinear or identify.rank(matrix) < case.n_hidden or identify.is_symmetric(matrix):
        expect.require(
            identify.rank(values) == case.n_hidden, "the values are not made of n_hidden independent numbers"
        )
        expect.compared()  # there are no queries and keys to compare with, which is for the properties of softmax to find
    else:
        for name, linear in (("query", matrix), ("key", matrix.T)):
            shared = identify.same_space(values, linear, case.n_hidden)
            expect.holds(not shared, f"the value of a token is its {name}: one layer makes both")
