"""A module that is judged whole: what a mask does."""

from __future__ import annotations

import numpy as np

from grader.homework3 import checks, strategies
from grader.homework3.strategies import MaskedCase
from grader.homework3.transformer.calls import (
    Call,
    Seen,
    ask,
    ask_with_mask,
    build,
    observe,
    output_of,
    showing_inputs,
)
from grader.homework3.transformer.cases import of_sizes
from grader.homework3.transformer.whole_alphas import ALPHAS, matches_reply
from grader.homework3.transformer.whole_parts import (
    ALONE,
    COMPOSED,
    WHOLE,
    chained,
    five_layers,
    generic,
    layered,
    long,
    told_apart,
)
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Student
from grader.kernel.wire import Array


@property_of(WHOLE, (layered, five_layers, long), when="whole", examples=3)
def test_the_mask_rules_each_layer(student: Student, case: MaskedCase) -> Program:
    """In each layer, a token attends only to the tokens that attn_mask permits, in every call and in both modes."""
    module = build(student, case)
    ask(student, module, Call(case.x, None))
    found = yield module.parameters()
    expect.require(bool(found), "the module has no parameters")
    weights = generic(found, case.rng())
    module.load(weights)
    turned = np.ascontiguousarray(case.mask[:, ::-1, ::-1])
    calls = [
        Call(case.x, None, True),
        Call(case.x, case.mask, True),
        Call(case.x, turned),
        Call(case.x, None),
        Call(case.x, case.mask),
        Call(case.x, case.mask, None, training=True),
    ]
    seen = yield from observe(student, module, calls, ask_with_mask)
    _holds_mask(seen[0], seen[1], case)
    outs = [output_of(one) for one in seen]
    for one, other in ((1, 4), (4, 5), (0, 3)):
        with showing_inputs(calls[other]):
            expect.close(
                outs[other], outs[one], "output", "the same attn_mask gives another output in another call"
            )
    if case.num_layers < 4:
        expect.holds(
            not checks.matches(outs[4], outs[3]), "the output is the same with attn_mask and without"
        )
    try:
        layers, _ = yield from told_apart(student, case)
    except expect.Violation as violation:
        expect.stand_back(ALONE, violation.message)
    wants = yield tuple(chained(student, case, layers, weights, calls[place])[1] for place in (0, 2, 4))
    if not matches_reply(seen[0], wants[0]):
        expect.stand_back(ALONE, "the layers do not follow each other as they do alone")
    for place, want in zip((2, 4), wants[1:], strict=True):
        expected = checks.with_shape(want, case.x.shape)
        expect.require(expected is not None, "a Transformer of one layer returns no output of x's shape")
        assert expected is not None
        with showing_inputs(calls[place]):
            why = "the mask does not reach all layers as it reaches one: the output differs from that of layers one by one"
            expect.close(outs[place], expected, "output", why, scale=COMPOSED)


def _holds_mask(plain: Seen, masked: Seen, case: MaskedCase) -> None:
    """Attention weights are 0 where the mask is; in layer 0 the others keep their ratios."""
    free, ruled = (alphas_or_none(one, case) for one in (plain, masked))
    if free is None or ruled is None:
        expect.stand_back(ALPHAS, "no attention weights of all layers are returned")
    with showing_inputs(masked.call):
        hidden = (case.mask == 0)[:, None, None]
        counts = np.broadcast_to(hidden, free.shape) & (np.abs(free) > 1e-3)
        expect.require(
            bool(counts.any()), "the attention weights without a mask are too small to tell what it does"
        )
        expect.zero(ruled, np.broadcast_to(hidden, ruled.shape), "alphas", "a masked token gets weight")
        spread = float(np.ptp(np.log(np.maximum(free[:, 0], 1e-30)), axis=-1).max())
        expect.require(spread > 1e-3, "without a mask all tokens get the same attention weight")
        kept = np.where(hidden[:, 0], 0.0, free[:, 0])
        want = kept / kept.sum(-1, keepdims=True)
        why = "with a mask the weights of permitted tokens in layer 0 are not those of a softmax over these"
        expect.close(ruled[:, 0], want, "alphas[:, 0]", why, scale=2.0)


def alphas_or_none(seen: Seen, case: MaskedCase) -> Array | None:
    """Attention weights of the right shape; None if none are returned."""
    reply = seen.reply
    shape = (seen.call.batch, case.num_layers, case.num_heads, seen.call.tokens, seen.call.tokens)
    value = reply[1] if isinstance(reply, tuple | list) and len(reply) > 1 else None
    found = checks.with_shape(value, shape)
    return None if found is None or not np.all(np.isfinite(found)) else found


@property_of(
    WHOLE,
    (strategies.seeds.map(lambda seed: of_sizes((4, 3, 5, 2, 2), 2, 5, seed)),),
    when="whole",
    examples=3,
)
def test_reach_grows_by_one_token_a_layer(student: Student, case: MaskedCase) -> Program:
    """With a mask of self and previous token, each layer lets a token see exactly one more token back."""
    module = build(student, case)
    ask(student, module, Call(case.x, None))
    found = yield module.parameters()
    module.load(generic(found, case.rng()))
    mask = strategies.make_mask("previous", case.batch, case.tokens, case.rng())
    other = case.x.copy()
    other[:, 0] += 2.0 * np.where(np.arange(case.dim) % 2, 1, -0.5)
    seen = yield from observe(student, module, [Call(case.x, mask), Call(other, mask)], ask_with_mask)
    gap = np.abs(output_of(seen[0]) - output_of(seen[1])).max(axis=(0, 2))
    reach = case.num_layers
    with showing_inputs(seen[0].call):
        expect.require(gap[reach] > 0, f"after {reach} layers token {reach} does not see token 0")
        why = "a token that the mask hides has influence"
        expect.zero(gap, np.arange(case.tokens) > reach, "the change of the output at token", why, most=1e-5)
