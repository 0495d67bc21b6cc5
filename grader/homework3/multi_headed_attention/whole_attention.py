"""A module that is judged whole: attention weights, and weights of their own for each head."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from grader.homework3 import checks, gradients, identify, oracles, parameters, strategies
from grader.homework3.excuses import Judged
from grader.homework3.multi_headed_attention.calls import (
    PART,
    REAL_MASKS,
    Way,
    alphas_of,
    build,
    given,
    given_tensor,
    many_heads,
    output_of,
    randomize_weights,
    readable,
)
from grader.homework3.multi_headed_attention.excuses import check_or_blame_masks
from grader.homework3.multi_headed_attention.names import (
    MODES,
    WHOLE_ALPHAS,
    WHOLE_INFLUENCE,
    WHOLE_LEARNING,
    WHOLE_MASKS,
    WHOLE_PROJECTION,
)
from grader.homework3.multi_headed_attention.whole_maps import (
    alphas_or_stand_back,
    fitted_values,
    predicted,
    probes_for,
    score_maps,
    whole_cases,
)
from grader.homework3.strategies import SequenceCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student, StudentError
from grader.kernel.wire import Array


@property_of(
    PART,
    (
        whole_cases(),
        whole_cases(dim=(3, 4), n_hidden=(3, 5)),
        many_heads(dim=(3, 4), n_hidden=(2, 3), most_batch=1, least_tokens=3),
        strategies.long_sequences(tokens=66, dim=32, n_hidden=8, num_heads=3),
    ),
    when="whole",
    examples=5,
)
def test_whole_alphas_are_attention(student: Student, case: SequenceCase) -> Program:
    """alphas[:, h] is softmax(Q K^T / sqrt(n_hidden)) of the h-th head, with queries and keys of n_hidden numbers."""

    def program(way: Way) -> Judged:
        module = build(student, case)
        rng = case.rng()
        weights = yield from randomize_weights(module, case, rng)
        probe, fresh = probes_for(case, rng, 2)
        more, equal = 1.3, 0.25
        inputs = [probe, fresh, case.x, probe, probe]
        replies = [way.call(student, module, x) for x in (probe, fresh, case.x)]
        module.load({name: np.float32(more) * value for name, value in weights.items()})
        replies.append(way.call(student, module, probe))
        module.load({name: np.full_like(value, equal) for name, value in weights.items()})
        replies.append(way.call(student, module, probe))
        told = zip((yield replies), inputs, strict=True)
        at_probe, at_fresh, at_x, at_more, at_equal = (
            alphas_of(readable(reply, case, x)) for reply, x in told
        )
        checks.expect_distributions(at_probe, "alphas")
        maps = score_maps(probe, at_probe)
        why = "the scores are not inner products of one linear map of the query's token and one of the key's token"
        expect.close(at_probe, predicted(maps, probe), "alphas", why, scale=5.0)
        why = "alphas of other tokens do not follow from how queries and keys depend on the first ones"
        for x, alphas in ((fresh, at_fresh), (case.x, at_x)):
            expect.close(alphas, predicted(maps, x), "alphas", why, scale=10.0)

        def with_other_weights() -> Generator[Any, Any, list[identify.ScoreMap]]:
            other = parameters.generic_weights(weights, rng)
            module.load({name: np.float32(0.5) * value for name, value in other.items()})
            return score_maps(
                probe, alphas_of(readable((yield way.call(student, module, probe)), case, probe))
            )

        yield from _expect_ranks(case, maps, with_other_weights)
        if not weights or checks.matches(at_more, at_probe):
            expect.stand_back(WHOLE_LEARNING, "alphas do not follow the module's parameters")
        scaled = [identify.ScoreMap(found.basis, more**2 * found.matrix) for found in maps]
        why = "queries and keys are not linear in the module's parameters"
        name = "alphas with all parameters 1.3 times as large"
        expect.close(at_more, predicted(scaled, probe), name, why, scale=10.0)
        wants = list(_alphas_of_equal_parameters(probe, equal, case))
        wrong = any(checks.has_other_temperature(at_equal, want) for want in wants)
        why = (
            "the scores are not divided by sqrt(n_hidden)"
            if wrong
            else "the scores are not those of equal parameters"
        )
        checks.expect_close_to_any(at_equal, wants, f"alphas with all parameters {equal}", why)

    yield from check_or_blame_masks(program, student, case)


def _expect_ranks(
    case: SequenceCase,
    maps: list[identify.ScoreMap],
    with_other_weights: Callable[[], Generator[Any, Any, list[identify.ScoreMap]]],
) -> Judged:
    """The scores of each head are made of n_hidden independent numbers, and its queries are not its keys."""
    want = min(case.n_hidden, len(maps[0].basis))
    ranks = [identify.rank(found.tokens_only) for found in maps]
    expect.holds(min(ranks) > 0, "alphas do not depend on the token of the query")
    if not all(identify.has_rank(found.tokens_only, want) for found in maps):
        # A second draw of weights: by chance a matrix may be near one of lower rank.
        again = yield from with_other_weights()
        ranks = [identify.rank(found.tokens_only) for found in again]
        text = f"the scores of a head come from {min(ranks)} numbers, expected {want}: n_hidden is the size of each head"
        expect.holds(all(identify.has_rank(found.tokens_only, want) for found in again), text)
    if len(maps[0].basis) > 2 and any(identify.is_symmetric(found.tokens_only) for found in maps):
        raise expect.Violation("queries and keys of a head come from the same weights")


def _alphas_of_equal_parameters(x: Array, size: float, case: SequenceCase) -> Iterator[Array]:
    """The attention weights if all parameters are equal, which is the same in every layout: without biases and with them."""
    sums = size * x.astype(np.float64).sum(-1)
    for bias in (0.0, size):
        queries, keys = (
            np.repeat(values[..., None], case.n_hidden, axis=-1) for values in (sums + bias, sums)
        )
        alpha = oracles.attention(queries, keys, queries, None)[1]
        yield np.repeat(alpha[:, None], case.num_heads, axis=1)


@property_of(
    PART,
    (whole_cases(n_hidden=(2, 2)), whole_cases(n_hidden=(2, 2), num_heads=(3, 3))),
    when="whole",
    examples=4,
)
def test_whole_heads_have_weights_of_their_own(student: Student, case: SequenceCase) -> Program:
    """Each head has its own weights for queries, keys and values."""
    module = build(student, case)
    rng = case.rng()
    module.load(parameters.generic_weights((yield from randomize_weights(module, case, rng)), rng))
    yield from expect_own_weights(student, module, case, rng)


def expect_own_weights(
    student: Student, module: Remote, case: SequenceCase, rng: np.random.Generator
) -> Judged:
    """Hold that each head has weights of its own."""
    probes = [np.float32(0.7) * probe for probe in probes_for(case, rng, 4 + case.num_heads)]
    replies = yield [Way().call(student, module, x) for x in probes]
    results = [readable(reply, case, x) for reply, x in zip(replies, probes, strict=True)]
    used = [alphas_or_stand_back(found.alphas) for found in results]
    if not checks.is_distribution(used[0]):
        used = [identify.softmax(found, None) for found in used]
    for head in range(1, case.num_heads):
        for other in range(head):
            why = f"heads {other} and {head} have the same attention weights"
            expect.differs(used[0][:, other], used[0][:, head], "alphas", why, least=1e-6)
    maps = score_maps(probes[0], used[0])
    if checks.matches(predicted(maps, probes[0]), used[0], scale=5.0):
        _expect_different_spaces(case, "queries", [found.tokens_only for found in maps])
        _expect_different_spaces(case, "keys", [found.tokens_only.T for found in maps])
    values = fitted_values(probes, used, [output_of(found) for found in results])
    if values is not None:
        _expect_different_spaces(case, "values", [values.tokens_only(head) for head in range(case.num_heads)])


def _expect_different_spaces(case: SequenceCase, what: str, matrices: list[Array]) -> None:
    """Compare the spaces that the heads' matrices span; those of another rank are for other properties to find."""
    for head in range(1, len(matrices)):
        for other in range(head):
            one, two = matrices[other], matrices[head]
            full = min(identify.rank(one), identify.rank(two)) >= case.n_hidden
            shared = full and identify.same_space(one, two, case.n_hidden)
            expect.holds(not shared, f"heads {other} and {head} share the weights of their {what}")


@property_of(PART, (whole_cases(), whole_cases(masks=REAL_MASKS)), when="whole", examples=4)
def test_whole_every_weight_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output gives the input and every weight the correct gradient, with and without a mask."""
    module = build(student, case)
    rng = case.rng()
    found = parameters.generic_weights((yield from randomize_weights(module, case, rng)), rng)
    weights = {name: np.float32(0.5) * value for name, value in found.items()}
    expect.holds(bool(weights), "the module has no parameters that could learn")
    module.load(weights)
    module.mode(True)

    def call(x: Any) -> Remote:
        if not isinstance(x, np.ndarray):
            return given_tensor(student, module, x, case).tensor_of(case.x.shape)
        return given(student, module, x, case.mask).tensor_of(case.x.shape)

    try:
        yield from gradients.hold(
            gradients.Learner(student, module, case.x, weights, rng, call),
            modes=(MODES, WHOLE_ALPHAS),
            nothing=(WHOLE_PROJECTION, WHOLE_INFLUENCE, WHOLE_MASKS, MODES),
        )
    except StudentError as error:
        if "derivative" not in error.message:
            raise
        expect.stand_back(WHOLE_ALPHAS, "an operation is used that has no derivative")
