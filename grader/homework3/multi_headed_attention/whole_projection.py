"""A module that is judged whole: the output."""

from __future__ import annotations

import numpy as np

from grader.homework3 import checks, identify
from grader.homework3.excuses import Judged, check_or_excuse, is_uniform, passes
from grader.homework3.multi_headed_attention.calls import (
    PART,
    REAL_MASKS,
    Way,
    build,
    long_cases,
    output_of,
    randomize_weights,
    readable,
)
from grader.homework3.multi_headed_attention.excuses import check_or_blame_masks
from grader.homework3.multi_headed_attention.names import (
    SHAPES,
    WHOLE_ALPHAS,
    WHOLE_INFLUENCE,
    WHOLE_LEARNING,
    WHOLE_MASKS,
    WHOLE_VALUES,
)
from grader.homework3.multi_headed_attention.whole_attention import expect_own_weights
from grader.homework3.multi_headed_attention.whole_maps import (
    identified,
    present,
    probes_for,
    score_maps,
    whole_cases,
)
from grader.homework3.strategies import MaskedCase, SequenceCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student


@property_of(
    PART,
    (whole_cases(), whole_cases(dim=(3, 4), n_hidden=(3, 4)), long_cases()),
    when="whole",
    examples=4,
)
def test_whole_output_is_one_linear_map_of_the_heads(student: Student, case: SequenceCase) -> Program:
    """The output is one linear map W_O of the concatenated head outputs (alphas times values)."""

    def program(way: Way) -> Judged:
        module = build(student, case)
        yield from randomize_weights(module, case, case.rng())
        fresh = probes_for(case, np.random.default_rng([case.seed, 2]), 1)[0]
        found, use, results = yield from identified(way, student, module, case, [fresh, case.x])
        why = "the output is not one linear map of the concatenated head outputs (alphas times values)"
        for x, (out, alphas) in zip((fresh, case.x), results, strict=True):
            assert out is not None
            used = use(present(alphas))
            if checks.is_distribution(used):
                expect.close(out, found.outputs(x, used), "output", why, scale=20.0)
            else:
                expect.compared()  # with the probes only: weights that are no distributions do not tell the maps well
        _expect_each_head_counts(case, found)

    yield from check_or_blame_masks(program, student, case)


def _expect_each_head_counts(case: SequenceCase, found: identify.ValueMap) -> None:
    matrices = [found.tokens_only(head) for head in range(case.num_heads)]
    expect.require(
        max(identify.rank(matrix) for matrix in matrices) > 0, "the output does not depend on the heads"
    )
    for head in range(1, case.num_heads):
        for other in range(head):
            one, two = matrices[other].T, matrices[head].T
            small = case.n_hidden < min(case.dim, len(found.basis))
            full = small and min(identify.rank(one), identify.rank(two)) >= case.n_hidden
            shared = full and identify.same_space(one, two, case.n_hidden)
            text = f"heads {other} and {head} share their part of W_O, which maps all heads, concatenated"
            expect.require(not shared, text)


@property_of(PART, whole_cases(masks=REAL_MASKS), when="whole", examples=4)
def test_whole_masked_output_is_the_same_map_of_the_heads(student: Student, case: MaskedCase) -> Program:
    """With a mask, the output is W_O of the concatenated head outputs (alphas times values)."""
    way, module = Way(), build(student, case)
    yield from randomize_weights(module, case, case.rng())
    found, use, (bare,) = yield from identified(way, student, module, case, [case.x])
    out, alphas = readable((yield checks.call_masked(module, case.x, case.mask)), case)
    if out is None or alphas is None:
        expect.stand_back((SHAPES, WHOLE_MASKS), "with a mask no results are returned that can be read")
    free = present(bare.alphas)
    used = use(alphas)
    leaks = float(np.where(case.mask[:, None] == 0, np.abs(used), 0.0).max()) > expect.MASKED
    if (
        leaks
        or not np.all(np.isfinite(out))
        or (checks.is_distribution(use(free)) and not checks.is_distribution(used))
    ):
        expect.stand_back(
            (WHOLE_MASKS, WHOLE_INFLUENCE, WHOLE_ALPHAS), "with a mask the weights are not those of a mask"
        )
    want, unmasked = found.outputs(case.x, used), found.outputs(case.x, use(free))
    if checks.matches(out, unmasked, scale=20.0) and not checks.matches(out, want, scale=20.0):
        expect.stand_back(
            (WHOLE_INFLUENCE, WHOLE_MASKS), "the output with a mask is made with unmasked weights"
        )
    why = "with attn_mask the output is not that linear map of the heads' outputs"
    expect.close(out, want, "output", why, scale=20.0)


@property_of(PART, (whole_cases(), whole_cases(n_hidden=(2, 5))), when="whole", examples=4)
def test_whole_lone_tokens_are_mapped_linearly(student: Student, case: SequenceCase) -> Program:
    """For a single token, whose attention weight is 1, the output is W_O of the concatenated values."""

    def program(way: Way) -> Judged:
        module = build(student, case)
        rng = case.rng()
        weights = yield from randomize_weights(module, case, rng)
        more, equal = 1.3, 0.25
        tokens = list(np.asarray(rng.normal(size=(case.dim + 4, 1, 1, case.dim)), np.float32))
        several = probes_for(case, rng, 1)[0]
        replies = [
            way.call(student, module, several),
            *(way.call(student, module, token) for token in tokens),
        ]
        for scaled in (
            {name: np.float32(more) * value for name, value in weights.items()},
            {name: np.full_like(value, equal) for name, value in weights.items()},
        ):
            module.load(scaled)
            replies += [way.call(student, module, token) for token in tokens[:2]]
        told = zip((yield replies), [several, *tokens, *tokens[:2], *tokens[:2]], strict=True)
        (_, alphas), *results = [readable(reply, case, token) for reply, token in told]
        if is_uniform(alphas):
            expect.stand_back(WHOLE_ALPHAS, "every token gets the same attention weight")
        if any(alphas is not None and not checks.is_distribution(alphas) for _, alphas in results):
            expect.stand_back(WHOLE_ALPHAS, "a lone token's attention weight is not 1")
        outs = np.concatenate([output_of(found) for found in results])
        x, count = np.concatenate(tokens), len(tokens) - 2
        found = identify.fit_values(x[:count], np.ones((count, 1, 1, 1)), outs[:count])
        expect.require(
            identify.rank(found.tokens_only(0)) > 0, "the output of a lone token does not depend on it"
        )
        want = found.outputs(x, np.ones((len(x), 1, 1, 1)))
        why = "the output of a lone token is not linear in it"
        expect.close(outs[: len(x)], want, "output", why, scale=5.0)
        steps = [outs[place] - outs[place + 1] for place in (0, len(x), len(x) + 2)]
        if checks.matches(steps[1], steps[0]):
            expect.stand_back(WHOLE_LEARNING, "the output does not follow the module's parameters")
        why = "values and W_O are not linear in the module's parameters"
        expect.close(steps[1], more**2 * steps[0], "difference of two lone tokens' outputs", why, scale=20.0)
        total = case.num_heads * case.n_hidden * equal**2 * float((x[0] - x[1]).astype(np.float64).sum())
        why = "with equal parameters the output is not the sum of all numbers of all heads, times that parameter"
        check = lambda: expect.close(  # noqa: E731
            steps[2], np.full_like(steps[2], total), "difference of two lone tokens' outputs", why, scale=20.0
        )
        module.load(weights)
        yield from check_or_excuse(
            check, _stand_back_if_heads_have_other_sizes(way, student, module, case, rng)
        )

    yield from check_or_blame_masks(program, student, case)


def _stand_back_if_heads_have_other_sizes(
    way: Way, student: Student, module: Remote, case: SequenceCase, rng: np.random.Generator
) -> Judged:
    """Stand back if heads have another size than n_hidden, which their scores show."""
    probe = probes_for(case, rng, 1)[0]
    alphas = readable((yield way.call(student, module, probe)), case, probe)[1]
    if alphas is not None and checks.is_distribution(alphas):
        want = min(case.n_hidden, len(identify.basis_of(probe)))
        if not all(identify.has_rank(found.tokens_only, want) for found in score_maps(probe, alphas)):
            expect.stand_back(WHOLE_ALPHAS, "heads have another size than n_hidden")
    found = yield from passes(expect_own_weights(student, module, case, rng))
    if not found:
        expect.stand_back(WHOLE_VALUES, "heads share weights")
