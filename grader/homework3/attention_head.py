"""2a AttentionHead(dim, n_hidden): x (B, T, dim), attn_mask (B, T, T) or None -> (B, T, n_hidden), alpha (B, T, T).

A head is judged by function. Where the homework's own layers are found, an oracle in float64 with their weights says what
is due; in any other layout the maps of scores and values are fitted to a few results and predict others (`identify`).

Each fault costs its own criterion. So a property that fails asks what else may be the reason (`either_way`, `or_else`), and
stands back where another property must find the fault. Properties of softmax and values call the head in evaluation mode with
one sequence at a time; modes and batches are for others. Results are read in any order and with extra axes of size 1, except by
`test_shapes`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from grader.homework3 import common, gradients, identify, oracles, strategies
from grader.homework3.excuses import (
    Certain,
    Judged,
    Results,
    alike,
    holds,
    is_constant,
    is_even,
    or_else,
    plain,
)
from grader.homework3.strategies import SequenceCase
from grader.judging import expect
from grader.judging.property import Part, Program, property_of
from grader.kernel.remote import Remote, Student, StudentError
from grader.kernel.wire import Array

PART = Part("2a", "AttentionHead")
REAL_MASKS = ("causal", "previous", "padding", "random")
ROLES = ("W_Q.weight", "W_K.weight", "W_V.weight")

SHAPES = "attention_head.test_shapes"
INDEPENDENT = "attention_head.test_sequences_are_independent"
MODES = "attention_head.test_same_in_training_and_evaluation"
ROWS = "attention_head.test_rows_of_alpha_are_distributions"
SOFTMAX = "attention_head.test_alpha_is_the_softmax_of_scaled_scores"
DEPENDS = "attention_head.test_alpha_depends_on_the_input"
NO_WEIGHT = "attention_head.test_masked_tokens_get_no_weight"
PERMITTED = "attention_head.test_permitted_tokens_share_the_whole_weight"
INFLUENCE = "attention_head.test_masked_tokens_have_no_influence"
NO_MASK = "attention_head.test_no_mask_is_a_mask_of_ones"
OUTPUT = "attention_head.test_output_is_the_weighted_sum_of_values"
MASKED_OUTPUT = "attention_head.test_masked_output_is_the_weighted_sum_of_values"
LEARNING = "attention_head.test_every_weight_gets_a_gradient"
REGISTERED = "attention_head.test_all_that_is_learned_is_registered"



def cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases in which the two results cannot be taken for each other, and no value is one number only."""
    sizes = {"dim": (2, 6), "n_hidden": (2, 6), "masks": ("none",), **how}
    return strategies.sequences(**sizes).filter(lambda case: case.n_hidden not in (case.tokens, case.tokens - 1, case.dim))


def square_cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases with T = dim = n_hidden, where a wrong axis has the right size."""
    return strategies.square_sequences(3, 5, "dim", "n_hidden", **{"masks": ("none",), **how})


@dataclass(frozen=True)
class Way:
    """How a head is called where nothing is hidden, and how its results are read."""

    ones: bool = False
    swapped: bool = False

    def call(self, student: Student, head: Remote, x: Any, shape: tuple[int, ...] | None = None) -> Remote:
        """Call a head without a mask: with None, or with a mask of ones, or with whatever it takes."""
        batch, tokens = (shape or x.shape)[:2]
        x = student.tensor(x) if isinstance(x, np.ndarray) else x
        ones = np.ones((batch, tokens, tokens), np.float32)
        ways = ((x, ones), (x, None)) if self.ones else ((x, None), (x, ones))
        return head.any_way(*ways, (x,))

    def read(self, reply: Any, case: SequenceCase, x: Array | None = None) -> Results:
        """A head's two results, as far as they can be told; their numbers need not be finite."""
        batch, tokens = (case.x if x is None else x).shape[:2]
        if self.swapped and isinstance(reply, tuple | list) and len(reply) == 2:
            reply = reply[::-1]
        return common.two_results(reply, (batch, tokens, case.n_hidden), (batch, tokens, tokens))


def alpha_of(results: Results) -> Array:
    """The attention weights; a violation if there are none."""
    if results[1] is None:
        raise expect.Violation("no attention weights of shape (B, T, T) are returned")
    return common.finite(results[1], "alpha")


def output_of(results: Results) -> Array:
    """The output; a violation if there is none."""
    if results[0] is None:
        raise expect.Violation("no output of shape (B, T, n_hidden) is returned")
    return common.finite(results[0], "attn_output")


def build(
    student: Student, case: SequenceCase, way: Way | None = None
) -> Generator[Any, Any, tuple[Remote, dict[str, Array]]]:
    """A head in evaluation mode, with new weights of ordinary size that only the case decides; gives it and its weights."""
    head = student.AttentionHead(case.dim, case.n_hidden)
    head.mode(False)
    call = lambda: (way or Way()).call(student, head, case.x)  # noqa: E731
    weights = yield from common.reweigh(head, case.rng(), call)
    return head, weights


def masked(head: Remote, x: Any, mask: Any) -> Remote:
    """Call a head with a mask; without, if it takes none, which is for the properties of masks to find."""
    return head.any_way((x, mask), (x, None), (x,))


# -- whose fault it is -------------------------------------------------------------------------------------------


def either_way(program: Callable[[Way], Judged], student: Student, case: SequenceCase) -> Judged:
    """Hold a program that calls heads without a mask.

    What fails with None and holds with a mask of ones is a matter of masks, if the two differ; what holds with the results the
    other way round, where their shapes cannot tell, is one of shapes.
    """
    violation = None
    try:
        yield from program(Way())
    except Certain:
        raise
    except expect.Violation as found:
        violation = found
    if violation is not None:
        if (yield from holds(program(Way(ones=True)))) and (yield from _none_is_no_ones(student, case)):
            why = "it is right with a mask of ones, but not with attn_mask=None"
            expect.stand_back(NO_MASK, why, compared=True)
        if (yield from holds(program(Way(swapped=True)))):
            expect.stand_back(SHAPES, "the two results are returned in the wrong order")
        raise violation


def _none_is_no_ones(student: Student, case: SequenceCase) -> Generator[Any, Any, bool]:
    """Whether None and a mask of ones give different results."""
    head, _ = yield from build(student, case)
    one, other = yield [way.call(student, head, case.x) for way in (Way(ones=True), Way())]
    return not alike(Way().read(one, case), Way().read(other, case))


def telling(student: Student, weights: Mapping[str, Array], case: SequenceCase, alpha: Array | None) -> Judged:
    """Stand back from weights that show nothing: none, no distributions, even or constant ones, or those of no parameters."""
    if alpha is None:
        expect.stand_back(SHAPES, "no attention weights of shape (B, T, T) are returned")
    if not common.sound(alpha):
        expect.stand_back(ROWS, "the attention weights are no distributions over the tokens")
    if is_even(alpha):
        expect.stand_back((DEPENDS, SOFTMAX), "every token gets the same attention weight")
    if len(alpha) > 1 and np.abs(alpha - alpha[:1]).max() < 1e-6:
        expect.stand_back((DEPENDS, SOFTMAX, INDEPENDENT), "all sequences get the same attention weights")
    yield from made_of_weights(student, weights, case)


def made_of_weights(student: Student, weights: Mapping[str, Array], case: SequenceCase) -> Judged:
    """Stand back from a head that has no weights at all, registered or not: two of them are alike."""
    if not weights:
        way, others = Way(), [student.AttentionHead(case.dim, case.n_hidden) for _ in range(2)]
        one, other = yield [way.call(student, head, case.x) for head in others]
        if alike(way.read(one, case), way.read(other, case)):
            expect.stand_back(LEARNING, "the results come from no parameters")


def showing(out: Array | None) -> None:
    """Stand back from an output that is the same for every token, which shows nothing of what a mask does."""
    if out is None:
        expect.stand_back((OUTPUT, SHAPES), "no output of shape (B, T, n_hidden) is returned")
    if is_constant(out):
        expect.stand_back(OUTPUT, "the output is the same for every token")


def by_chance(call: Callable[[], Remote], case: SequenceCase) -> Judged:
    """Stand back if two equal calls give different results."""
    first, second = yield call(), call()
    if not alike(Way().read(first, case), Way().read(second, case)):
        expect.stand_back(MODES, "two equal calls give different results")


def by_instance(student: Student, case: SequenceCase) -> Judged:
    """Stand back if two heads with the same parameters give different results."""
    (one, _), (other, _) = (yield from build(student, case)), (yield from build(student, case))
    first, second = yield [Way().call(student, head, case.x) for head in (one, other)]
    if not alike(Way().read(first, case), Way().read(second, case)):
        expect.stand_back((REGISTERED, LEARNING), "two heads with the same parameters give different results")


def by_place(student: Student, head: Remote, case: SequenceCase) -> Judged:
    """Stand back if a sequence of the batch gets other results than alone, where nothing is masked."""
    way = Way()
    alone = [case.x[b : b + 1] for b in range(case.batch)]
    replies = yield [way.call(student, head, case.x), *(way.call(student, head, x) for x in alone)]
    whole = way.read(replies[0], case)
    for b, reply in enumerate(replies[1:]):
        for value, single in zip(whole, way.read(reply, case, alone[b]), strict=True):
            if value is not None and single is not None and not common.matches(value[b : b + 1], single):
                expect.stand_back(INDEPENDENT, "a sequence of the batch gets another result than alone")


def by_other_scores(student: Student, head: Remote, case: SequenceCase, token: int) -> Judged:
    """Stand back if, without a mask, a token changes the proportion of two others' weights."""
    way, other = Way(), case.x.copy()
    other[:, token] += 1.5
    replies = yield way.call(student, head, case.x), way.call(student, head, other)
    alphas = [way.read(reply, case)[1] for reply in replies]
    rest = [place for place in range(case.tokens) if place != token]
    shares = [alpha[:, rest][:, :, rest] for alpha in alphas if alpha is not None]
    reason = f"without a mask token {token} changes how others share their weight"
    if len(shares) == 2 and not all(common.sound(alpha) for alpha in alphas):
        if not common.matches(shares[0], shares[1]):
            expect.stand_back(ROWS, reason)
    elif len(shares) == 2:
        before, after = (np.log(np.maximum(share, 1e-30)) for share in shares)
        before, after = (share - share.mean(-1, keepdims=True) for share in (before, after))
        if not common.matches(before, after, scale=20.0):
            expect.stand_back(SOFTMAX, reason)


def by_other_mixing(student: Student, head: Remote, case: SequenceCase) -> Judged:
    """Stand back if the output is not made with the attention weights that are returned, where nothing is masked."""
    way = Way()
    tokens = case.x.reshape(-1, 1, 1, case.dim)
    replies = yield [way.call(student, head, case.x), *(way.call(student, head, token) for token in tokens)]
    out, alpha = way.read(replies[0], case)
    values = [way.read(reply, case, token)[0] for reply, token in zip(replies[1:], tokens, strict=True)]
    known = [value.reshape(-1) for value in values if value is not None]
    if out is None:
        expect.stand_back(OUTPUT, "no output of shape (B, T, n_hidden) is returned")
    if alpha is not None and common.sound(alpha) and len(known) == len(values):
        want = alpha @ np.array(known).reshape(case.batch, case.tokens, case.n_hidden)
        if not common.matches(out, want):
            expect.stand_back(OUTPUT, "the output is not made with the attention weights that are returned")


# -- shapes ------------------------------------------------------------------------------------------------------


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
    """AttentionHead returns attn_output of shape (B, T, n_hidden) and alpha of shape (B, T, T), with a mask and without."""
    head = student.AttentionHead(case.dim, case.n_hidden)
    calls = [Way().call(student, head, case.x)]
    if case.mask is not None:
        calls.append(masked(head, case.x, case.mask))
    for reply, how in zip((yield calls), ("", " with a mask"), strict=False):
        if how and any(value is None for value in Way().read(reply, case)):
            # Not the right numbers in another order: a mask that spreads over them.
            expect.stand_back((NO_WEIGHT, NO_MASK), "with a mask no results of the right size are returned")
        out, alpha = expect.parts(reply, 2, f"AttentionHead{how}")
        expect.shape(out, (case.batch, case.tokens, case.n_hidden), f"attn_output (B, T, n_hidden){how}")
        expect.shape(alpha, (case.batch, case.tokens, case.tokens), f"alpha (B, T, T){how}")


@property_of(PART, cases(least_batch=2, least_tokens=2), examples=3)
def test_sequences_are_independent(student: Student, case: SequenceCase) -> Program:
    """Each sequence of a batch gets the result that it gets alone."""

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
        results = [way.read(replies[0], case), *(way.read(r, case, x) for r, x in zip(replies[1:], alone, strict=True))]
        if any(alpha is not None and not common.sound(alpha) for _, alpha in results):
            expect.stand_back(ROWS, "the attention weights are no distributions over the tokens")
        yield from or_else(lambda: _each_as_alone(results), by_instance(student, case))

    yield from either_way(program, student, case)


def _each_as_alone(results: list[Results]) -> None:
    out, alpha = output_of(results[0]), results[0][1]
    for b, (single_out, single_alpha) in enumerate(results[1:]):
        why = f"sequence {b} of the batch gets another result than alone"
        if single_out is None:
            raise expect.Violation("a batch of one sequence gives no output of shape (1, T, n_hidden)")
        expect.close(out[b : b + 1], single_out, "attn_output", why)
        if alpha is not None and single_alpha is not None:
            expect.close(alpha[b : b + 1], single_alpha, "alpha", why)


@property_of(PART, strategies.heads(masks=("none",)), examples=2)
def test_x_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """x is after the call what it was before it."""
    x = student.tensor(case.x)
    head = student.AttentionHead(case.dim, case.n_hidden)
    _, after = yield Way().call(student, head, x, case.x.shape), x
    common.unchanged(after, case.x, "x")


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=2), examples=4)
def test_same_in_training_and_evaluation(student: Student, case: SequenceCase) -> Program:
    """The same input gives the same output in training and in evaluation mode, with a mask and without."""
    head, _ = yield from build(student, case)
    assert case.mask is not None
    replies = []
    # All without a mask come first: a mask that stays in use is the mask's matter.
    calls: list[Callable[[], Remote]] = [
        lambda: Way().call(student, head, case.x),
        lambda: masked(head, case.x, case.mask),
    ]
    for call in calls:
        head.mode(True)
        replies += [call(), call()]
        head.mode(False)
        replies.append(call())
    results = [Way().read(reply, case) for reply in (yield replies)]
    for how, (first, second, late) in (("", results[:3]), ("with a mask ", results[3:])):
        for again, why in (
            (second, f"{how}the same input gives another result the second time"),
            (late, f"{how}evaluation mode gives another result than training mode"),
        ):
            yield from or_else(lambda: _same(first, again, why), _by_leak(case, first, late))  # noqa: B023


def _same(first: Results, again: Results, why: str) -> None:
    for value, other in zip(first, again, strict=True):
        if value is not None and other is not None:
            expect.close(plain(other), plain(value), "the result", why)


def _by_leak(case: SequenceCase, *found: Results) -> Judged:
    """Stand back if a masked token gets weight in one of the modes, and not in the other."""
    assert case.mask is not None
    leaks = [
        float(np.where(case.mask == 0, np.abs(plain(alpha)), 0.0).max()) > expect.MASKED
        for _, alpha in found
        if alpha is not None
    ]
    if any(leaks) and not all(leaks):
        expect.stand_back(NO_WEIGHT, "a masked token gets weight in one of the modes")
    yield from ()


# -- softmax -----------------------------------------------------------------------------------------------------


@property_of(PART, (cases(), cases(least_tokens=2), cases(most_tokens=1)), examples=3)
def test_rows_of_alpha_are_distributions(student: Student, case: SequenceCase) -> Program:
    """Each row of alpha holds weights of at least 0 that sum to 1."""
    head, _ = yield from build(student, case)
    common.distributions(alpha_of(Way().read((yield Way().call(student, head, case.x)), case)), "alpha")


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
    """alpha is the softmax over j of q_i · k_j / sqrt(n_hidden), with queries and keys from weights of their own."""

    def program(way: Way) -> Judged:
        head, weights = yield from build(student, case, way)
        rng = case.rng()
        # One head for several inputs: of the same shape, and then of a smaller one.
        other = np.asarray(case.x[:, ::-1] + np.roll(case.x, 1, axis=1), np.float32) * np.float32(0.7)
        inputs = [case.x, other, np.ascontiguousarray(other[:, 2:])]
        if named(weights, case):
            replies = yield [way.call(student, head, x) for x in inputs]
            alphas = [alpha_of(way.read(reply, case, x)) for reply, x in zip(replies, inputs, strict=True)]
            why = "alpha is not softmax(Q K^T / sqrt(n_hidden))"
            pairs = list(score_maps(weights))
            gaps = [float(np.abs(scored(case.x, *pair) - alphas[0]).max()) for pair in pairs]
            q, k = pairs[int(np.argmin(gaps))]
            if any(common.other_temperature(alphas[0], scored(case.x, *pair)) for pair in pairs):
                raise Certain(f"{why}: the scores have another scale", {"your alpha": expect.show(alphas[0])})
            for x, alpha in zip(inputs, alphas, strict=True):
                expect.close(alpha, scored(x, q, k), "alpha", why, scale=2.0)
        else:
            yield from _is_attention_in_any_layout(way, student, head, case, weights, inputs, rng)

    yield from either_way(program, student, case)


def probe_for(case: SequenceCase, rng: np.random.Generator) -> Array:
    """One sequence (1, T, dim) that tells the maps of a head: as many tokens as they need, in the directions of the case's."""
    basis = identify.basis_of(case.x)
    if basis.shape[0] < min(case.dim, 4):  # a few tokens only: any direction
        basis = np.eye(case.dim)
    tokens = max(identify.FIT_TOKENS, 2 * basis.shape[0] + 4)
    return np.asarray(rng.normal(size=(1, tokens, basis.shape[0])) @ basis, np.float32)


def _is_attention_in_any_layout(
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
    common.distributions(at_probe, "alpha")
    found = identify.fit_scores(probe, at_probe)
    if not common.matches(found.alphas(probe), at_probe, scale=5.0):
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
        other = common.generic_weights(weights, rng)
        head.load({name: np.float32(0.5) * value for name, value in other.items()})
        again = alpha_of(way.read((yield way.call(student, head, probe)), case, probe))
        matrix_again = identify.fit_scores(probe, again).tokens_only
        rank = identify.rank(matrix_again)
        text = f"queries and keys of {want} independent numbers are asked for, but the scores are made of {rank}"
        expect.holds(identify.has_rank(matrix_again, want), text)
    if size > 2 and identify.is_symmetric(matrix):
        raise expect.Violation("queries and keys come from the same weights")
    if weights and not common.matches(at_more, at_probe):
        scaled = identify.ScoreMap(found.basis, more**2 * found.matrix)
        why = "queries and keys are not linear in the module's parameters"
        expect.close(at_more, scaled.alphas(probe), "alpha with all parameters 1.3 times as large", why, scale=10.0)
        wants = _alphas_of_equal_parameters(probe, equal, case)
        wrong = any(common.other_temperature(at_equal, want) for want in wants)
        why = "the scores are not divided by sqrt(n_hidden)" if wrong else "the scores are not those of equal parameters"
        common.close_to_one(at_equal, wants, f"alpha with all parameters {equal}", why)
    else:
        expect.stand_back((REGISTERED, LEARNING), "alpha does not follow the module's parameters")


def _alphas_of_equal_parameters(x: Array, size: float, case: SequenceCase) -> list[Array]:
    """The attention weights if all parameters are equal, which is the same in every layout: without biases and with them."""
    sums = size * x.astype(np.float64).sum(-1)
    found = []
    for bias in (0.0, size):
        queries, keys = (np.repeat(values[..., None], case.n_hidden, axis=-1) for values in (sums + bias, sums))
        found.append(oracles.attention(queries, keys, queries, None)[1])
    return found


@property_of(PART, cases(least_tokens=3, most_batch=1), examples=3)
def test_alpha_depends_on_the_input(student: Student, case: SequenceCase) -> Program:
    """alpha follows the tokens: other tokens give other attention weights."""
    head, _ = yield from build(student, case)
    x, other = (case.rng().normal(size=(2, *case.x.shape)) * 1.5).astype(np.float32)
    replies = yield Way().call(student, head, x), Way().call(student, head, other)
    alpha, changed = (alpha_of(Way().read(reply, case)) for reply in replies)
    expect.differs(alpha, changed, "alpha", "alpha stays the same when all tokens change", least=1e-5)


@property_of(PART, cases(least_tokens=3, most_batch=1), examples=3)
def test_large_scores_stay_finite(student: Student, case: SequenceCase) -> Program:
    """Scores of up to 1e4 give finite outputs, and rows of alpha that sum to 1."""

    def program(way: Way) -> Judged:
        head, weights = yield from build(student, case, way)
        x = _spread(case.x)
        x = np.float32(common.stretch(largest_score(weights, case, x))) * x
        if named(weights, case):
            alpha = alpha_of(way.read((yield way.call(student, head, x)), case))
            maps = [scores(x, q, k) for q, k in score_maps(weights)]
        else:
            probe = probe_for(case, case.rng())
            replies = yield way.call(student, head, x), way.call(student, head, probe)
            alpha, at_probe = (alpha_of(way.read(r, case, v)) for r, v in zip(replies, (x, probe), strict=True))
            if not common.sound(at_probe):
                expect.stand_back(ROWS, "the attention weights are no distributions over the tokens")
            found = identify.fit_scores(probe, at_probe)
            if not common.matches(found.alphas(probe), at_probe, scale=5.0):
                expect.stand_back(SOFTMAX, "the scores are no inner products of queries and keys")
            z = x.astype(np.float64) @ found.basis.T
            maps = [identify.with_one(z) @ found.matrix @ np.swapaxes(z, -1, -2)]
        common.distributions(alpha, "alpha", common.LARGE_SCORES_MISS)
        # Where one score leads by far, its token gets all the weight, rounding or not.
        top = np.take_along_axis(alpha, maps[0].argmax(-1)[..., None], axis=-1)[..., 0]
        sure = np.all([_lead(found) > 30 for found in maps], axis=0)
        why = "a token whose score is by far the largest does not get all the weight of its row"
        expect.close(np.where(sure, top, 1.0), np.ones_like(top), "its weight", why)

    yield from either_way(program, student, case)


def _lead(found: Array) -> Array:
    """By how much the largest score of each row leads."""
    ordered = np.sort(found, axis=-1)
    lead: Array = ordered[..., -1] - ordered[..., -2]
    return lead


# -- mask --------------------------------------------------------------------------------------------------------


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=2, least_batch=2), examples=5)
def test_masked_tokens_get_no_weight(student: Student, case: SequenceCase) -> Program:
    """alpha[b, i, j] is 0 wherever attn_mask[b, i, j] is 0, in training and in evaluation mode."""
    head, weights = yield from build(student, case)
    assert case.mask is not None
    free, late = Way().call(student, head, case.x), head(case.x, case.mask)
    head.mode(True)
    replies = yield free, late, head(case.x, case.mask)
    bare, evaluated, trained = (Way().read(reply, case)[1] for reply in replies)
    yield from telling(student, weights, case, bare)
    assert bare is not None
    where = (case.mask == 0) & (bare > 1e-4)
    for alpha, mode in ((evaluated, "evaluation"), (trained, "training")):
        if alpha is None:
            raise expect.Violation("with attn_mask no attention weights of shape (B, T, T) are returned")
        why = f"a masked token gets weight in {mode} mode"
        check = lambda: expect.zero(common.finite(alpha, "alpha"), where, "alpha", why)  # noqa: B023, E731
        yield from or_else(check, by_place(student, head, case))


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
def test_permitted_tokens_share_the_whole_weight(student: Student, case: SequenceCase) -> Program:
    """Masking leaves the proportions between permitted tokens as they were, for one mask after the other."""
    head, weights = yield from build(student, case)
    assert case.mask is not None
    second = strategies.make_mask("random", case.batch, case.tokens, case.rng())
    assert second is not None
    small = (case.x[:, :-1], np.maximum(second[:, :-1, :-1], np.eye(case.tokens - 1, dtype=np.float32)))
    rounds = [(case.x, case.mask), (case.x, second), tuple(map(np.ascontiguousarray, small))]
    calls = [Way().call(student, head, x) for x in (case.x, rounds[2][0])]
    replies = yield [*calls, *(head(x, mask) for x, mask in rounds)]
    bare, bare_small = (Way().read(r, case, x)[1] for r, x in zip(replies[:2], (case.x, rounds[2][0]), strict=True))
    yield from telling(student, weights, case, bare)
    for (x, mask), free, reply in zip(rounds, (bare, bare, bare_small), replies[2:], strict=True):
        alpha = Way().read(reply, case, x)[1]
        if alpha is None or free is None:
            raise expect.Violation("with attn_mask no attention weights of shape (B, T, T) are returned")
        kept = free * mask
        total = kept.sum(-1, keepdims=True)
        if total.min() > 1e-3:
            why = "the permitted tokens do not share the weight in proportion"
            want, size = kept / total, float(1 / total.min())
            check = lambda: expect.close(alpha, want, "alpha", why, scale=size)  # noqa: B023, E731
            again = lambda: masked(head, case.x, case.mask)  # noqa: E731
            yield from or_else(check, by_place(student, head, case), by_chance(again, case))


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=3, least_batch=2), examples=4)
def test_masked_tokens_have_no_influence(student: Student, case: SequenceCase) -> Program:
    """Changing a token that row i may not attend to changes nothing in row i."""
    head, weights = yield from build(student, case)
    blind, token = common.blind(case)
    other = case.x.copy()
    other[:, token] += 1.5
    replies = yield Way().call(student, head, case.x), head(case.x, case.mask), head(other, case.mask)
    (free, bare), (out, alpha), (after, _) = (Way().read(reply, case) for reply in replies)
    showing(free)
    if bare is not None and common.sound(bare):
        yield from telling(student, weights, case, bare)
    elif alpha is not None and np.any(np.isnan(alpha)):
        expect.stand_back(ROWS, "the attention weights are no distributions over the tokens")
    if out is None or after is None:
        expect.stand_back((MASKED_OUTPUT, SHAPES, NO_WEIGHT), "with a mask no output is returned that can be read")
    before, later = common.finite(out, "attn_output"), common.finite(after, "attn_output")
    why = f"attn_output changes with token {token}, which is masked for that row"
    rows = blind[:, :, None]
    check = lambda: expect.close(np.where(rows, later, 0), np.where(rows, before, 0), "attn_output", why)  # noqa: E731
    yield from or_else(
        check,
        by_chance(lambda: masked(head, case.x, case.mask), case),
        by_other_scores(student, head, case, token),
        by_other_mixing(student, head, case),
    )


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=3, least_batch=2), examples=3, catches=True)
def test_masked_tokens_get_no_gradient(student: Student, case: SequenceCase) -> Program:
    """A token that row i may not attend to gets no gradient from row i in training mode, and every gradient is finite."""
    head, weights = yield from build(student, case)
    blind, token = common.blind(case)
    free, bare = Way().read((yield Way().call(student, head, case.x)), case)
    showing(free)
    if bare is not None and common.sound(bare):
        yield from telling(student, weights, case, bare)
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
    if not np.all(np.isfinite(found[0])) and not common.sound(bare):
        expect.stand_back(ROWS, "the attention weights are no distributions over the tokens")
    gradient = expect.tensor(found[0], case.x.shape, "the gradient of x")[:, token]
    why = f"token {token} gets a gradient from rows that may not attend to it"
    check = lambda: expect.zero(gradient, np.ones_like(gradient, dtype=bool), "gradient", why, most=1e-5)  # noqa: E731
    yield from or_else(
        check, by_other_scores(student, head, case, token), by_other_mixing(student, head, case)
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
    """attn_mask=None gives what a mask of ones gives, also after a call with another mask."""
    head, weights = yield from build(student, case)
    hides = strategies.make_mask("causal", case.batch, case.tokens, case.rng())
    seen, bare, _, after = yield (
        head(case.x, case.mask),
        head(case.x, None),
        head.any_way((case.x, hides), (case.x, None), (case.x,)),
        head(case.x, None),
    )
    ones, *frees = (Way().read(reply, case) for reply in (seen, bare, after))
    if case.tokens > 1 and frees[0][1] is not None and common.sound(frees[0][1]):
        yield from telling(student, weights, case, frees[0][1][:1])
    showing(frees[0][0])
    excuses = [
        by_chance(lambda: Way().call(student, head, case.x), case),
        _by_masked_mixing(student, head, case, ones),
    ]
    yield from or_else(lambda: _same_results(ones, frees), *excuses)


def _same_results(ones: Results, frees: list[Results]) -> None:
    for free, when in zip(frees, ("", " after a call with a mask"), strict=True):
        for name, value, want in zip(("attn_output", "alpha"), ones, free, strict=True):
            if (value is None) != (want is None):
                raise expect.Violation(f"{name} has another shape with a mask of ones than with None")
            if value is not None and want is not None and np.all(np.isfinite(want)):
                why = f"a mask of ones gives another {name} than None{when}"
                expect.close(common.finite(value, name), want, name, why)


def _by_masked_mixing(student: Student, head: Remote, case: SequenceCase, ones: Results) -> Judged:
    """Stand back if, with a mask of ones, the output is not made with the attention weights: values that a mask changes."""
    way, tokens = Way(), case.x.reshape(-1, 1, 1, case.dim)
    replies = yield [way.call(student, head, token) for token in tokens]
    values = [way.read(reply, case, token)[0] for reply, token in zip(replies, tokens, strict=True)]
    known = [value.reshape(-1) for value in values if value is not None]
    out, alpha = ones
    if out is not None and alpha is not None and common.sound(alpha) and len(known) == len(values):
        want = alpha @ np.array(known).reshape(case.batch, case.tokens, case.n_hidden)
        free = way.read((yield way.call(student, head, case.x)), case)[1]
        if free is not None and common.matches(alpha, free) and not common.matches(out, want):
            why = "with a mask of ones the output is not made with the attention weights that are returned"
            expect.stand_back(MASKED_OUTPUT, why)


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=3), examples=5)
def test_masks_hold_at_large_scores(student: Student, case: SequenceCase) -> Program:
    """Masked entries stay 0, and rows sum to 1, when the scores are as large as 1e4."""
    head, weights = yield from build(student, case)
    usual = _spread(case.x)
    if named(weights, case):
        found = scores(usual, *((weights[name].astype(np.float64), None) for name in ROLES[:2]))
        x, ordinary = (_with_scores_of(largest, usual, found) for largest in (9e3, 2.0))
        mask = _only(found.argmin(-1), case.tokens)
        replies = yield masked(head, x, mask), *(Way().call(student, head, v) for v in (x, ordinary))
    else:
        probe = probe_for(case, case.rng())
        at_probe = Way().read((yield Way().call(student, head, probe)), case, probe)[1]
        if at_probe is None or not common.sound(at_probe):
            expect.stand_back((ROWS, SHAPES), "the attention weights are no distributions over the tokens")
        fitted = identify.fit_scores(probe, at_probe)
        z = usual.astype(np.float64) @ fitted.basis.T
        found = z @ fitted.tokens_only @ np.swapaxes(z, -1, -2)
        x, ordinary = (_with_scores_of(largest, usual, found) for largest in (9e3, 2.0))
        mask = _only(found.argmin(-1), case.tokens)
        replies = yield masked(head, x, mask), *(Way().call(student, head, v) for v in (x, ordinary))
    alpha, at_large, bare = (Way().read(value, case)[1] for value in replies)
    yield from telling(student, weights, case, bare)
    if not common.sound(at_large, common.LARGE_SCORES_MISS):
        expect.stand_back("attention_head.test_large_scores_stay_finite", "large scores give no distributions")
    if alpha is None:
        raise expect.Violation("with attn_mask no attention weights of shape (B, T, T) are returned")
    why = "with large scores a masked token gets weight"
    check = lambda: _masked_distribution(alpha, mask, why)  # noqa: E731
    yield from or_else(check, by_place(student, head, case))


def _masked_distribution(alpha: Array, mask: Any, why: str) -> None:
    expect.zero(common.finite(alpha, "alpha"), mask == 0, "alpha", why)
    common.distributions(alpha, "alpha", common.LARGE_SCORES_MISS)


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=2, least_batch=2), examples=3)
def test_the_mask_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """attn_mask is after the call what it was before it."""
    assert case.mask is not None
    mask = student.tensor(case.mask)
    head, weights = yield from build(student, case)
    _, after, bare = yield masked(head, case.x, mask), mask, Way().call(student, head, case.x)
    out, free = Way().read(bare, case)
    showing(out)
    if free is not None and common.sound(free):
        yield from telling(student, weights, case, free)
    common.unchanged(after, case.mask, "attn_mask")


# -- values ------------------------------------------------------------------------------------------------------


@property_of(
    PART,
    (cases(least_tokens=3, most_batch=1), square_cases(most_batch=1), strategies.long_sequences(dim=128, n_hidden=64)),
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
        yield from _uneven(results[0][1])
        value_map, kind = yield from _value_map(student, way, head, case, weights, results[0])
        for x, found, out in zip(inputs, results, outs, strict=True):
            alphas = _alphas_used(weights, x, found[1])
            why = "attn_output is not alpha times the values (W_V of each token)"
            expect.close(out, value_map(x, alphas[min(kind, len(alphas) - 1)]), "attn_output", why, scale=5.0)

    yield from either_way(program, student, case)


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=3, most_batch=1), examples=4)
def test_masked_output_is_the_weighted_sum_of_values(student: Student, case: SequenceCase) -> Program:
    """With attn_mask, too, attn_output[i] is the sum over j of alpha[i, j] times W_V of token j."""

    def program(way: Way) -> Judged:
        head, weights = yield from build(student, case)
        replies = yield way.call(student, head, case.x), masked(head, case.x, case.mask)
        bare, (out, alpha) = (way.read(reply, case) for reply in replies)
        output_of(bare)
        yield from _uneven(bare[1])
        value_map, kind = yield from _value_map(student, way, head, case, weights, bare)
        assert case.mask is not None
        if out is None:
            expect.stand_back((NO_WEIGHT, SHAPES), "with a mask no output is returned that can be read")
        alphas = _alphas_used(weights, case.x, alpha, case.mask)
        used = alphas[min(kind, len(alphas) - 1)]
        if not np.all(np.isfinite(out)) or np.where(case.mask == 0, np.abs(used), 0.0).max() > expect.MASKED:
            expect.stand_back((NO_WEIGHT, PERMITTED, INFLUENCE, ROWS), "with a mask the weights are not those of a mask")
        free = _alphas_used(weights, case.x, bare[1])
        unmasked = value_map(case.x, free[min(kind, len(free) - 1)])
        if common.matches(out, unmasked, scale=5.0) and not common.matches(out, value_map(case.x, used), scale=5.0):
            expect.stand_back((INFLUENCE, NO_WEIGHT, PERMITTED), "the output with a mask is made with unmasked weights")
        why = "with attn_mask attn_output is not alpha times the values"
        expect.close(out, value_map(case.x, used), "attn_output", why, scale=5.0)

    yield from either_way(program, student, case)


def _uneven(alpha: Array | None) -> Judged:
    """Stand back if all weights are even, where a mean would pass for a weighted sum."""
    if is_even(alpha):
        expect.stand_back((DEPENDS, SOFTMAX), "every token gets the same attention weight")
    yield from ()


def _value_map(
    student: Student, way: Way, head: Remote, case: SequenceCase, weights: dict[str, Array], bare: Results
) -> Generator[Any, Any, tuple[Callable[[Array, Array], Array], int]]:
    """How outputs come from tokens and attention weights, and which of `_alphas_used` they are made with.

    By W_V with its bias or without where it is known by name, else by a fit, which is held to what W_V is in every layout.
    """
    alphas, seen = _alphas_used(weights, case.x, bare[1]), output_of(bare)
    kinds = range(len(alphas))
    if named(weights, case):
        maps = [(_of_layer(v), kind) for kind in kinds for v in role(weights, "W_V")]
    else:
        yield from made_of_weights(student, weights, case)
        probe = probe_for(case, case.rng())
        found = yield from _lone_values(student, way, head, case, probe)
        yield from _held_to_the_parameters(student, way, head, case, weights, probe, found)
        maps = [(lambda x, alpha: found.outputs(x, alpha[:, None]), kind) for kind in kinds]
    for made, kind in maps:
        if common.matches(made(case.x, alphas[kind]), seen, scale=5.0):
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
    elif alpha is not None and not common.sound(alpha):
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
    weights = [np.ones((1, 1, 1)) if alpha is None else plain(alpha) for _, alpha in results]
    # A weight that is not 1 is the softmax's matter, as long as it is not 0.
    usable = all(0.05 < abs(float(weight[0, 0, 0])) < 50 for weight in weights)
    alphas = np.concatenate(weights)[:, None] if usable else np.ones((len(tokens), 1, 1, 1))
    return identify.fit_values(np.concatenate(tokens), alphas, outs, basis_of_probe)


def _held_to_the_parameters(
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
    expect.require(count >= want, f"values of {want} independent numbers are asked for, but they are made of {count}")
    if weights:
        more, token = 1.3, np.ascontiguousarray(probe[:, :1])
        head.load({name: np.float32(more) * value for name, value in weights.items()})
        reply = way.call(student, head, token)
        head.load(weights)
        out = output_of(way.read((yield reply), case, token))
        value = values_of(found, token)
        if common.matches(out, value):
            expect.stand_back((REGISTERED, LEARNING), "the values do not follow the module's parameters")
        text = "the values are not linear in the module's parameters"
        expect.require(common.matches(out, more * value, scale=10.0), text)


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
    out, alpha = way.read((yield way.call(student, head, probe)), case, probe)
    yield from _uneven(alpha)
    output_of((out, alpha))
    if named(weights, case):
        expect.compared()  # by name it is known what comes from where
    else:
        yield from _own_weights(student, way, head, case, weights, probe, alpha)


def _own_weights(
    student: Student,
    way: Way,
    head: Remote,
    case: SequenceCase,
    weights: dict[str, Array],
    probe: Array,
    alpha: Array | None,
) -> Judged:
    yield from made_of_weights(student, weights, case)
    values = (yield from _lone_values(student, way, head, case, probe)).tokens_only(0)
    if alpha is None or not common.sound(alpha):
        expect.stand_back((ROWS, SHAPES), "the attention weights are no distributions over the tokens")
    found = identify.fit_scores(probe, alpha)
    matrix = found.tokens_only
    bilinear = common.matches(found.alphas(probe), alpha, scale=5.0)
    if not bilinear or identify.rank(matrix) < case.n_hidden or identify.is_symmetric(matrix):
        expect.require(identify.rank(values) == case.n_hidden, "the values are not made of n_hidden independent numbers")
        expect.compared()  # there are no queries and keys to compare with, which is for the properties of softmax to find
    else:
        for name, linear in (("query", matrix), ("key", matrix.T)):
            shared = identify.same_space(values, linear, case.n_hidden)
            expect.holds(not shared, f"the value of a token is its {name}: one layer makes both")


# -- gradients ---------------------------------------------------------------------------------------------------


@property_of(
    PART,
    (cases(masks=("none",), least_tokens=3), cases(masks=REAL_MASKS, least_tokens=3)),
    examples=4,
    catches=True,
)
def test_every_weight_gets_a_gradient(student: Student, case: SequenceCase) -> Program:
    """A loss on attn_output gives the input, and every weight, the gradient that is due, with a mask and without."""

    def program(way: Way) -> Judged:
        head = student.AttentionHead(case.dim, case.n_hidden)
        head.mode(True)
        shape = (case.batch, case.tokens, case.n_hidden)

        def call(x: Any) -> Remote:
            if case.mask is None:
                return way.call(student, head, x, case.x.shape).tensor_of(shape)
            x = student.tensor(x) if isinstance(x, np.ndarray) else x
            return masked(head, x, case.mask).tensor_of(shape)

        rng = case.rng()
        found = yield from common.own_parameters(head, lambda: call(case.x))
        expect.holds(bool(found), "the module has no parameters that could learn")
        weights = {name: 0.6 * value for name, value in common.generic_weights(found, rng).items()}
        weights = {name: value.astype(np.float32) for name, value in weights.items()}
        head.load(weights)
        out, free = way.read((yield way.call(student, head, case.x)), case)
        if out is None:
            expect.stand_back((SHAPES, OUTPUT), "no output of shape (B, T, n_hidden) is returned")
        if is_even(free):
            expect.stand_back((DEPENDS, SOFTMAX), "every token gets the same attention weight")
        nothing = (OUTPUT, MODES, NO_WEIGHT, PERMITTED, INFLUENCE, ROWS)
        yield from gradients.hold(
            student, head, case.x, weights, rng, call, modes=(MODES, SOFTMAX), nothing=nothing
        )

    try:
        yield from either_way(program, student, case)
    except StudentError as error:
        if "derivative" not in error.message:
            raise
        expect.stand_back(SOFTMAX, "an operation is used that has no derivative")


@property_of(PART, cases(least_tokens=2), examples=3)
def test_all_that_is_learned_is_registered(student: Student, case: SequenceCase) -> Program:
    """Queries, keys and values come from parameters of the module: with all of them at 0, no token has a value."""
    way = Way()
    head, weights = yield from build(student, case)
    other = strategies.numbers(case.rng(), *case.x.shape)
    replies = [way.call(student, head, case.x), way.call(student, head, other)]
    head.load({name: np.zeros_like(value) for name, value in weights.items()})
    replies += [way.call(student, head, case.x), way.call(student, head, other)]
    # By what torch makes of freezing the module, too, so that a list of parameters is not all there is to say so.
    head.method("requires_grad_", False)
    frozen = way.call(student, head, case.x).tensor_of((case.batch, case.tokens, case.n_hidden))
    replies, is_free = yield replies, frozen.attribute("requires_grad")
    (usual, alpha), (moved, _), (empty, _), (after, _) = (way.read(reply, case) for reply in replies)
    if is_even(alpha):
        expect.stand_back((DEPENDS, SOFTMAX), "every token gets the same attention weight")
    if any(value is None or not np.all(np.isfinite(value)) for value in (usual, moved, empty, after)):
        expect.stand_back((SHAPES, OUTPUT), "no output of shape (B, T, n_hidden) is returned")
    if common.matches(np.asarray(usual), np.asarray(moved)):
        expect.stand_back(OUTPUT, "the output is the same whatever the tokens are")
    why = "attn_output depends on weights that are not among the module's parameters"
    expect.close(np.asarray(after), np.asarray(empty), "attn_output", why)
    expect.holds(is_free is not True, why)


# -- weights that are known by name ------------------------------------------------------------------------------

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


def score_maps(weights: Mapping[str, Array]) -> Iterator[tuple[Map, Map]]:
    """What may be (W_Q, W_K), where they are known by name: each with its bias and without."""
    yield from ((q, k) for q in role(weights, "W_Q") for k in role(weights, "W_K"))


def scores(x: Array, query: Map, key: Map) -> Array:
    """q_i · k_j / sqrt(n_hidden) in float64."""
    queries, keys = affine(x.astype(np.float64), query), affine(x.astype(np.float64), key)
    found: Array = queries @ np.swapaxes(keys, -1, -2) / np.sqrt(queries.shape[-1])
    return found


def scored(x: Array, query: Map, key: Map) -> Array:
    """The attention weights of scores, where nothing is masked."""
    return identify.softmax(scores(x, query, key), None)


def _with_scores_of(largest: float, x: Array, found: Array) -> Array:
    """Tokens scaled so that the largest of their scores, which are ``found`` but for biases, comes near ``largest``."""
    size = float(np.sqrt(largest / max(float(np.abs(found).max()), 0.01)))
    return np.asarray(size * x, np.float32)


def _spread(x: Array) -> Array:
    """Tokens whose rows of scores are far apart: pairs that are each other's negative, and a last one that is short.

    So the largest score of most rows is far above their least, and that of the last row is far below those of the others.
    """
    half = (x.shape[1] - 1) // 2
    rest = x[:, 2 * half :].copy()
    rest[:, -1] *= np.float32(0.01)
    return np.concatenate([x[:, :half], -x[:, :half], rest], axis=1)


def _only(chosen: Array, tokens: int) -> Array:
    """The mask that permits each row just its chosen token."""
    mask: Array = (np.arange(tokens) == chosen[..., None]).astype(np.float32)
    return mask


def largest_score(weights: Mapping[str, Array], case: SequenceCase, x: Array) -> float | None:
    """The largest score of ``x``, where the layout is known."""
    if not named(weights, case):
        return None
    return float(max(np.abs(scores(x, q, k)).max() for q, k in score_maps(weights)))
