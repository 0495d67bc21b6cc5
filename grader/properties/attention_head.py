"""2a AttentionHead(dim, n_hidden): x (B, T, dim), attn_mask (B, T, T) or None -> (B, T, n_hidden), alpha (B, T, T).

Each criterion is judged by laws of its own, and each fault is to cost once. Laws of softmax, values and gradients call the
head without a mask, in evaluation mode, and read its results in whatever order and shape they come; that shapes, masks
and modes are right is for the laws of these to say.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from grader.kernel.remote import Remote, Student, StudentError
from grader.kernel.wire import Array
from grader.properties import common, draws, expect, oracles
from grader.properties.draws import SequenceCase
from grader.properties.law import Part, Program, law

PART = Part("2a", "AttentionHead")
REAL_MASKS = ("causal", "previous", "padding", "random")
ROLES = ("W_Q.weight", "W_K.weight", "W_V.weight")


def cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases in which the two results cannot be taken for each other, and no value is one number only."""
    sizes = {"dim": (2, 6), "n_hidden": (2, 6), "masks": ("none",), **how}
    return draws.sequences(**sizes).filter(lambda case: case.n_hidden not in (case.tokens, case.dim))


def build(student: Student, case: SequenceCase) -> Generator[Any, Any, tuple[Remote, dict[str, Array]]]:
    """A head in evaluation mode, with new weights of ordinary size; gives it and its weights by name."""
    head = student.AttentionHead(case.dim, case.n_hidden)
    head.mode(False)
    weights = yield from common.reweigh(head, case.rng(), lambda: common.free(head, case.x, case))
    return head, weights


def output_and_alpha(reply: Any, case: SequenceCase) -> tuple[Array, Array]:
    """A head's two results, checked to the letter."""
    out, alpha = expect.parts(reply, 2, "AttentionHead")
    return (
        expect.tensor(out, (case.batch, case.tokens, case.n_hidden), "attn_output"),
        expect.tensor(alpha, (case.batch, case.tokens, case.tokens), "alpha"),
    )


def readable(reply: Any, case: SequenceCase) -> tuple[Array | None, Array | None]:
    """A head's two results, as far as they can be told; their numbers need not be finite."""
    return common.two_results(
        reply, (case.batch, case.tokens, case.n_hidden), (case.batch, case.tokens, case.tokens)
    )


def alpha_of(reply: Any, case: SequenceCase) -> Array:
    """The attention weights; a violation if there are none."""
    alpha = readable(reply, case)[1]
    if alpha is None:
        raise expect.Violation(f"no attention weights of shape (B, T, T) = {_square(case)} are returned")
    return common.finite(alpha, "alpha")


def output_of(reply: Any, case: SequenceCase) -> Array:
    """The output; a violation if there is none."""
    out = readable(reply, case)[0]
    if out is None:
        shape = (case.batch, case.tokens, case.n_hidden)
        raise expect.Violation(f"no output of shape (B, T, n_hidden) = {shape} is returned")
    return common.finite(out, "attn_output")


# -- shapes ------------------------------------------------------------------------------------------------------


@law(PART, draws.heads(masks=("none",)), examples=8)
def test_shapes(student: Student, case: SequenceCase) -> Program:
    """AttentionHead returns attn_output of shape (B, T, n_hidden) and alpha of shape (B, T, T)."""
    out, alpha = expect.parts(
        (yield common.free(student.AttentionHead(case.dim, case.n_hidden), case.x, case)), 2, "AttentionHead"
    )
    shapes = {
        "attn_output": (out, (case.batch, case.tokens, case.n_hidden)),
        "alpha": (alpha, (case.batch, case.tokens, case.tokens)),
    }
    for name, (value, shape) in shapes.items():
        expect.shape(value, shape, name)


@law(PART, cases(least_batch=2, least_tokens=2), examples=5)
def test_sequences_are_independent(student: Student, case: SequenceCase) -> Program:
    """Each sequence of a batch gets the result that it gets alone."""
    head, _ = yield from build(student, case)
    whole = common.free(head, case.x, case)
    replies = yield [whole, *(common.free(head, case.x[b : b + 1], case) for b in range(case.batch))]
    out, alpha = readable(replies[0], case)
    if out is None or not common.sound(alpha):
        return  # what is no distribution over the tokens is another law's matter
    for b, reply in enumerate(replies[1:]):
        shape = (1, case.tokens, case.n_hidden)
        alone, _ = common.two_results(reply, shape, (1, case.tokens, case.tokens))
        if alone is None:
            raise expect.Violation("a batch of one sequence gives no output of shape (1, T, n_hidden)")
        expect.close(out[b : b + 1], alone, "attn_output", f"sequence {b} of the batch gets another result than alone")


@law(PART, draws.heads(masks=("none",)), examples=4)
def test_x_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """x is after the call what it was before it."""
    x = student.tensor(case.x)
    head = student.AttentionHead(case.dim, case.n_hidden)
    _, after = yield common.free(head, x, case), x
    common.unchanged(after, case.x, "x")


@law(PART, cases(), examples=5)
def test_same_in_training_and_evaluation(student: Student, case: SequenceCase) -> Program:
    """The same input gives the same output in training and in evaluation mode."""
    head, _ = yield from build(student, case)
    call = lambda: common.free(head, case.x, case)  # noqa: E731
    yield from common.same_in_modes(head, call, lambda reply: readable(reply, case))


# -- softmax -----------------------------------------------------------------------------------------------------


@law(PART, cases(), examples=5)
def test_rows_of_alpha_are_distributions(student: Student, case: SequenceCase) -> Program:
    """Each row of alpha holds weights of at least 0 that sum to 1."""
    head, _ = yield from build(student, case)
    common.distributions(alpha_of((yield common.free(head, case.x, case)), case), "alpha")


@law(PART, cases(least_tokens=3), examples=8)
def test_alpha_is_the_softmax_of_scaled_scores(student: Student, case: SequenceCase) -> Program:
    """alpha is the softmax over j of q_i · k_j / sqrt(n_hidden), with your own W_Q and W_K."""
    head, weights = yield from build(student, case)
    alpha = alpha_of((yield common.free(head, case.x, case)), case)
    x = case.x.astype(np.float64)
    candidates = [oracles.attention(affine(x, q), affine(x, k), x, None)[1] for q, k in score_maps(weights, case)]
    why = "alpha is not softmax(Q K^T / sqrt(n_hidden))"
    if named(weights, case):
        common.close_to_one(alpha, candidates, "alpha", why)
    elif not any(common.matches(alpha, candidate) for candidate in candidates):
        # Another layout, which may be one that is not known here.
        for want in candidates:
            expect.holds(not common.other_temperature(alpha, want), why, {"your alpha": expect.show(alpha)})
        results = (lambda reply: readable(reply, case)[1]), (lambda reply: readable(reply, case)[0])
        yield from common.attends_in_any_layout(head, case, *results, 3 * case.dim * case.n_hidden)


@law(PART, cases(least_tokens=3), examples=5)
def test_alpha_depends_on_the_input(student: Student, case: SequenceCase) -> Program:
    """alpha follows the tokens: other tokens give other attention weights."""
    head = student.AttentionHead(case.dim, case.n_hidden)
    head.mode(False)
    rng = case.rng()
    found = yield from common.own_parameters(head, lambda: common.free(head, case.x, case))
    head.load(common.generic_weights(found, rng))
    x, other = (rng.normal(size=case.x.shape).astype(np.float32) for _ in range(2))
    reply, changed = yield common.free(head, x, case), common.free(head, other, case)
    expect.differs(
        alpha_of(reply, case), alpha_of(changed, case), "alpha", "alpha stays the same when all tokens change"
    )


@law(PART, cases(least_tokens=2), examples=5)
def test_reordered_tokens_reorder_alpha(student: Student, case: SequenceCase) -> Program:
    """Reordering the tokens reorders the rows and columns of alpha, and changes nothing else."""
    head, _ = yield from build(student, case)
    order = case.rng().permutation(case.tokens)
    turned = np.ascontiguousarray(case.x[:, order])
    reply, after = yield common.free(head, case.x, case), common.free(head, turned, case)
    alpha = alpha_of(reply, case)
    expect.close(
        alpha_of(after, case), alpha[:, order][:, :, order], "alpha", f"with the tokens in the order {order.tolist()}"
    )


@law(PART, cases(least_tokens=2), examples=5)
def test_large_scores_stay_finite(student: Student, case: SequenceCase) -> Program:
    """Scores of up to 1e4 give finite outputs, and rows of alpha that sum to 1."""
    head, weights = yield from build(student, case)
    x = np.float32(common.stretch(largest_score(weights, case))) * case.x
    alpha = alpha_of((yield common.free(head, x, case)), case)
    common.distributions(alpha, "alpha", common.LARGE_SCORES_MISS)
    if named(weights, case):
        # Where one score leads by far, its token gets all the weight, rounding or not.
        wide = x.astype(np.float64)
        wants = [oracles.attention(affine(wide, q), affine(wide, k), wide, None)[1] for q, k in score_maps(weights, case)]
        least = np.min(wants, axis=0)  # with biases or without
        sure = least.max(-1) > 1 - 1e-12
        top = np.take_along_axis(alpha, least.argmax(-1)[..., None], axis=-1)[..., 0]
        why = "a token whose score is by far the largest does not get all the weight of its row"
        expect.close(np.where(sure, top, 1.0), np.ones_like(top), "its weight", why)


# -- mask --------------------------------------------------------------------------------------------------------


def masked_and_free(
    head: Remote, x: Array, case: SequenceCase
) -> Generator[Any, Any, tuple[tuple[Array | None, Array | None], tuple[Array | None, Array | None]]]:
    """A head's results with the mask of a case, and without.

    What cannot be read without a mask is not asked for with one, and where rows are no distributions even without a mask
    they may hold NaN for a column that is wholly masked.
    """
    reply, bare = yield head(x, case.mask), common.free(head, x, case)
    seen, without = readable(reply, case), readable(bare, case)
    if all(value is None for value in (*seen, *without)):
        raise expect.Violation("neither attn_output nor alpha is returned in any form that could be masked")
    if without[0] is not None and seen[0] is None:
        raise expect.Violation("with attn_mask no output of shape (B, T, n_hidden) is returned")
    if without[1] is not None and seen[1] is None:
        raise expect.Violation("with attn_mask no attention weights of shape (B, T, T) are returned")
    if seen[1] is not None and not common.sound(without[1]):
        seen = (seen[0], np.nan_to_num(seen[1], nan=0.0))
    return seen, without


def mixes_by_alpha(head: Remote, case: SequenceCase) -> Generator[Any, Any, bool]:
    """Whether, without a mask, the output is made with the attention weights that are returned.

    If it is not, what a token counts for says nothing about masks.
    """
    tokens = case.x.reshape(-1, 1, 1, case.dim)
    replies = yield [common.free(head, case.x, case), *(common.free(head, token, case) for token in tokens)]
    out, alpha = readable(replies[0], case)
    if out is None or (alpha is not None and not common.sound(alpha)):
        return False
    values = [common.two_results(reply, (1, 1, case.n_hidden), (1, 1, 1))[0] for reply in replies[1:]]
    if alpha is None:
        return True
    known = [value.reshape(-1) for value in values if value is not None]
    if len(known) < len(values):
        return True
    return common.matches(out, alpha @ np.array(known).reshape(case.batch, case.tokens, case.n_hidden))


@law(PART, cases(masks=REAL_MASKS, least_tokens=2), examples=6)
def test_masked_tokens_get_no_weight(student: Student, case: SequenceCase) -> Program:
    """alpha[b, i, j] is 0 wherever attn_mask[b, i, j] is 0."""
    head, _ = yield from build(student, case)
    (_, alpha), _ = yield from masked_and_free(head, case.x, case)
    if alpha is not None:
        assert case.mask is not None
        expect.zero(common.finite(alpha, "alpha"), case.mask == 0, "alpha", "a masked token gets weight")


@law(PART, cases(masks=REAL_MASKS, least_tokens=2), examples=6)
def test_permitted_tokens_share_the_whole_weight(student: Student, case: SequenceCase) -> Program:
    """Masking leaves the proportions between permitted tokens as they were, and their weights sum to 1."""
    head, _ = yield from build(student, case)
    (_, alpha), (_, free) = yield from masked_and_free(head, case.x, case)
    if alpha is None or free is None or not common.sound(free):
        return
    assert case.mask is not None
    kept = free * case.mask
    total = kept.sum(-1, keepdims=True)
    if total.min() > 1e-3:
        expect.close(
            alpha,
            kept / total,
            "alpha",
            "the permitted tokens do not share the weight in proportion",
            scale=float(1 / total.min()),
        )


@law(PART, cases(masks=REAL_MASKS, least_tokens=2), examples=6)
def test_masked_tokens_have_no_influence(student: Student, case: SequenceCase) -> Program:
    """Changing a token that row i may not attend to changes nothing in row i."""
    head, _ = yield from build(student, case)
    blind, token = common.blind(case)
    other = case.x.copy()
    other[:, token] += 1.5
    (out, _), _ = yield from masked_and_free(head, case.x, case)
    after, _ = readable((yield head(other, case.mask)), case)
    if out is None or after is None or not (yield from mixes_by_alpha(head, case)):
        return
    why = f"attn_output changes with token {token}, which is masked for that row"
    rows = blind[:, :, None]
    out, after = common.finite(out, "attn_output"), common.finite(after, "attn_output")
    expect.close(np.where(rows, after, 0), np.where(rows, out, 0), "attn_output", why)


@law(PART, cases(masks=REAL_MASKS, least_tokens=2), examples=5, catches=True)
def test_masked_tokens_get_no_gradient(student: Student, case: SequenceCase) -> Program:
    """A token that row i may not attend to gets no gradient from row i, and every gradient is finite."""
    head, _ = yield from build(student, case)
    blind, token = common.blind(case)
    x = student.tensor(case.x, requires_grad=True)
    shape = (case.batch, case.tokens, case.n_hidden)
    cotangent = np.broadcast_to(blind[:, :, None], shape).astype(np.float32)
    out = head(x.method("clone"), case.mask).tensor_of(shape)
    try:
        (found,) = yield (student.gradients(out, cotangent, [x]),)
    except StudentError as error:
        if error.type_name == "Unfit":  # no output to learn from: the laws of shapes and gradients say so
            return
        raise
    if not isinstance(found[0], np.ndarray) or not (yield from mixes_by_alpha(head, case)):
        return
    gradient = expect.tensor(found[0], case.x.shape, "the gradient of x")
    expect.zero(
        gradient[:, token],
        np.ones_like(gradient[:, token], dtype=bool),
        "gradient",
        f"token {token} gets a gradient from rows that may not attend to it",
        most=1e-5,
    )


@law(PART, cases(masks=("full",)), examples=5)
def test_no_mask_is_a_mask_of_ones(student: Student, case: SequenceCase) -> Program:
    """attn_mask=None gives what a mask of ones gives."""
    head, _ = yield from build(student, case)
    reply, bare = yield head(case.x, case.mask), head(case.x, None)
    seen, free = readable(reply, case), readable(bare, case)
    sizes = (common.MANY, case.tokens, case.n_hidden), (common.MANY, case.tokens, case.tokens)
    read = lambda reply: common.two_results(reply, *sizes)[0]  # noqa: E731
    if (yield from common.by_chance(lambda x: head(x, None), case.x, read)):
        return
    for name, value, want in zip(("attn_output", "alpha"), seen, free, strict=True):
        if (value is None) != (want is None):
            raise expect.Violation(f"{name} has another shape with a mask of ones than with None")
        if value is not None and want is not None and np.all(np.isfinite(want)):
            why = f"a mask of ones gives another {name} than None"
            expect.close(common.finite(value, name), want, name, why)


@law(PART, cases(masks=REAL_MASKS, least_tokens=2), examples=9)
def test_masks_hold_at_large_scores(student: Student, case: SequenceCase) -> Program:
    """Masked entries stay 0, and rows sum to 1, when the scores are as large as 1e4."""
    head, weights = yield from build(student, case)
    x = np.float32(common.stretch(largest_score(weights, case))) * case.x
    mask = _hardest_mask(weights, case, x)
    reply, large, usual = yield head(x, mask), common.free(head, x, case), common.free(head, case.x, case)
    alpha, free, ordinary = (readable(value, case)[1] for value in (reply, large, usual))
    if alpha is None or not common.sound(free) or not common.sound(ordinary):
        return
    why = "with large scores a masked token gets weight"
    expect.zero(common.finite(alpha, "alpha"), mask == 0, "alpha", why)
    common.distributions(alpha, "alpha", common.LARGE_SCORES_MISS)


@law(PART, cases(masks=REAL_MASKS), examples=5)
def test_the_mask_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """attn_mask is after the call what it was before it."""
    assert case.mask is not None
    mask = student.tensor(case.mask)
    _, after = yield student.AttentionHead(case.dim, case.n_hidden)(case.x, mask), mask
    common.unchanged(after, case.mask, "attn_mask")


# -- values ------------------------------------------------------------------------------------------------------


def values_of(replies: Any, case: SequenceCase) -> list[Array]:
    """What the value of every token may be, from calls with one token each, whose weight is 1.

    A weight that is not 1 is the softmax's matter: then the value may also be the output divided by the weight. The list is
    empty if that weight is too small to tell.
    """
    outs, weights = [], []
    for reply in replies:
        out, alpha = common.two_results(reply, (1, 1, case.n_hidden), (1, 1, 1))
        if out is None:
            raise expect.Violation(f"a lone token gives no output of shape (1, 1, n_hidden) = (1, 1, {case.n_hidden})")
        outs.append(common.finite(out, "attn_output of one token")[0, 0])
        weights.append(1.0 if alpha is None else float(alpha[0, 0, 0]))
    plain, by = np.array(outs), np.array(weights)[:, None]
    if np.all(np.abs(by - 1) < 1e-4):
        return [plain]
    return [plain, plain / by] if np.all((np.abs(by) > 0.05) & (np.abs(by) < 50)) else []


@law(PART, cases(), examples=6)
def test_output_is_the_weighted_sum_of_values(student: Student, case: SequenceCase) -> Program:
    """attn_output[i] is the sum over j of alpha[i, j] times the value of token j."""
    head, weights = yield from build(student, case)
    tokens = case.x.reshape(-1, 1, 1, case.dim)
    replies = yield [common.free(head, case.x, case), *(common.free(head, token, case) for token in tokens)]
    out, alpha = output_of(replies[0], case), readable(replies[0], case)[1]
    x = case.x.astype(np.float64)
    wants = []
    for found in values_of(replies[1:], case):
        values = found.reshape(case.batch, case.tokens, case.n_hidden)
        if alpha is not None:
            wants.append(common.finite(alpha, "alpha") @ values)
        # Attention weights that are returned wrong, but used right, are not the values' matter.
        wants += [oracles.attention(affine(x, q), affine(x, k), values, None)[0] for q, k in score_maps(weights, case)]
    if alpha is not None and wants and not any(common.matches(out, want) for want in wants):
        expect.close(out, wants[0], "attn_output", "attn_output is not alpha times the values")


@law(PART, cases(most_tokens=1), examples=6)
def test_values_are_a_linear_map_of_the_tokens(student: Student, case: SequenceCase) -> Program:
    """The value of a token is W_V applied to it: a lone token's output is its value."""
    head, weights = yield from build(student, case)
    x = np.ascontiguousarray(case.x[:1])
    shift = draws.numbers(case.rng(), *x.shape)
    inputs = (x, shift, x + shift, np.zeros_like(x))
    found = values_of((yield [common.free(head, value, case) for value in inputs]), case)
    wrong = [_unlike_values(values, x[0, 0].astype(np.float64), weights, case) for values in found]
    if wrong and None not in wrong:
        assert wrong[0] is not None
        raise wrong[0]


@law(PART, cases(least_tokens=3), examples=4)
def test_values_have_weights_of_their_own(student: Student, case: SequenceCase) -> Program:
    """The value of a token comes from W_V, not from the layer that makes its key or its query."""
    head, weights = yield from build(student, case)
    if named(weights, case):
        expect.compared()  # by name it is known what comes from where
        return
    x = case.x.astype(np.float64)
    token = np.ascontiguousarray(case.x[:1, :1])
    reply, lone = yield common.free(head, case.x, case), common.free(head, token, case)
    alpha = alpha_of(reply, case)
    values = values_of([lone], case)
    for q, k in score_maps(weights, case):
        if common.matches(alpha, oracles.attention(affine(x, q), affine(x, k), x, None)[1]):
            for name, linear in (("query", q), ("key", k)):
                shared = any(common.matches(value[0], affine(x[0, 0], linear)) for value in values)
                expect.holds(not shared, f"the value of a token is its {name}: one layer makes both")


def _unlike_values(
    found: Array, x: Array, weights: Mapping[str, Array], case: SequenceCase
) -> expect.Violation | None:
    """What is wrong with the values of x, another token, their sum and 0, if anything is."""
    at_x, at_shift, at_both, at_zero = found
    try:
        why = "the value is not a linear map of the token"
        expect.close(at_both - at_shift, at_x - at_zero, "attn_output", why, scale=10)
        why = "the value of a token does not depend on the token"
        expect.differs(at_x, at_zero, "attn_output", why, least=1e-6)
        if named(weights, case):
            why = "a lone token's output is not W_V applied to it"
            common.close_to_one(at_x, [affine(x, v) for v in role(weights, "W_V")], "attn_output", why)
    except expect.Violation as violation:
        return violation
    return None


# -- gradients ---------------------------------------------------------------------------------------------------


@law(PART, cases(least_tokens=3), examples=4)
def test_every_weight_gets_a_gradient(student: Student, case: SequenceCase) -> Program:
    """A loss on attn_output gives the input, and every weight that attn_output depends on, a finite gradient."""
    head = student.AttentionHead(case.dim, case.n_hidden)
    head.mode(False)
    shape = (case.batch, case.tokens, case.n_hidden)
    yield from common.gradients_reach(
        student, head, case, lambda x: common.free(head, x, case).tensor_of(shape)
    )


@law(PART, cases(), examples=4)
def test_all_that_is_learned_is_registered(student: Student, case: SequenceCase) -> Program:
    """Queries, keys and values come from parameters of the module: with all of them at 0, no token has a value."""
    head = student.AttentionHead(case.dim, case.n_hidden)
    head.mode(False)
    found = yield from common.own_parameters(head, lambda: common.free(head, case.x, case))
    head.load({name: np.zeros_like(value) for name, value in found.items()})
    other = draws.numbers(case.rng(), *case.x.shape)
    reply, changed = yield common.free(head, case.x, case), common.free(head, other, case)
    out, after = readable(reply, case)[0], readable(changed, case)[0]
    if out is not None and after is not None and np.all(np.isfinite(out)) and np.all(np.isfinite(after)):
        why = "attn_output depends on weights that are not among the module's parameters"
        expect.close(after, out, "attn_output", why)


Map = tuple[Array, Array | None]


def affine(x: Array, linear: Map) -> Array:
    """Apply a weight with its bias, if any."""
    return oracles.affine(x, *linear)


def role(weights: Mapping[str, Array], name: str) -> list[Map]:
    """A named layer of the homework, with its bias and without (its formula has none)."""
    weight, bias = weights[f"{name}.weight"].astype(np.float64), weights.get(f"{name}.bias")
    return [(weight, None), *([(weight, bias.astype(np.float64))] if bias is not None else [])]


def named(weights: Mapping[str, Array], case: SequenceCase) -> bool:
    """Whether the homework's own three layers are there."""
    return all(name in weights and weights[name].shape == (case.n_hidden, case.dim) for name in ROLES)


def unnamed(weights: Mapping[str, Array], case: SequenceCase) -> list[Map]:
    """Every linear map dim -> n_hidden that a head of another layout may hold, fused ones taken apart."""
    split: dict[str, Array] = {}
    for name, weight in weights.items():
        for count in (2, 3):
            if weight.ndim in (1, 2) and weight.shape[0] == count * case.n_hidden:
                split.update({f"{name}/{i}of{count}": piece for i, piece in enumerate(np.split(weight, count))})
                split.update({f"{name}/{i}by{count}": weight[i::count] for i in range(count)})
            if weight.ndim == 2 and weight.shape[1] == count * case.n_hidden:
                split.update(
                    {f"{name}/{i}across{count}": piece for i, piece in enumerate(np.split(weight, count, axis=1))}
                )
    pool = {name: weight.astype(np.float64) for name, weight in {**weights, **split}.items()}
    return [(matrix, bias) for _, matrix, _, bias in oracles.maps(pool, case.n_hidden, case.dim)]


def score_maps(weights: Mapping[str, Array], case: SequenceCase) -> Iterator[tuple[Map, Map]]:
    """What may be (W_Q, W_K): by name, or any two different maps."""
    if named(weights, case):
        yield from ((q, k) for q in role(weights, "W_Q") for k in role(weights, "W_K"))
        return
    found = unnamed(weights, case)[:60]
    yield from ((q, k) for q in found for k in found if q[0] is not k[0])


def _hardest_mask(weights: Mapping[str, Array], case: SequenceCase, x: Array) -> Array:
    """The case's mask, or where scores are known the one that leaves each row only the token of the least score."""
    assert case.mask is not None
    if not named(weights, case):
        return case.mask
    q, k = (affine(x.astype(np.float64), role(weights, name)[-1]) for name in ("W_Q", "W_K"))
    least = (q @ np.swapaxes(k, -1, -2)).argmin(-1)
    hardest: Array = (np.arange(case.tokens) == least[:, :, None]).astype(np.float32)
    return hardest


def largest_score(weights: Mapping[str, Array], case: SequenceCase) -> float | None:
    """The largest score of a case, where the layout is known."""
    if not named(weights, case):
        return None
    x = case.x.astype(np.float64)
    scores = [
        affine(x, q) @ np.swapaxes(affine(x, k), -1, -2) / np.sqrt(case.n_hidden)
        for q, k in score_maps(weights, case)
    ]
    return float(max(np.abs(score).max() for score in scores))


def _square(case: SequenceCase) -> tuple[int, int, int]:
    return case.batch, case.tokens, case.tokens
