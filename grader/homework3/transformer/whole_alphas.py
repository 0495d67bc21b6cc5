"""A module that is judged whole: the attention weights returned with `return_attn=True`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from grader.homework3 import checks, strategies
from grader.homework3.strategies import MaskedCase
from grader.homework3.transformer.calls import (
    Call,
    Seen,
    alphas_of,
    ask,
    build,
    observe,
    readable,
    showing_inputs,
)
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

ALPHAS = "transformer_whole.test_alphas_of_all_layers"


@property_of(WHOLE, (layered, five_layers, long), when="whole", examples=3)
def test_alphas_of_all_layers(student: Student, case: MaskedCase) -> Program:
    """With return_attn=True, alphas has shape (B, L, H, T, T), and alphas[:, l] belongs to the l-th layer."""
    module = build(student, case)
    ask(student, module, Call(case.x, None))
    found = yield module.parameters()
    expect.require(bool(found), "the module has no parameters")
    weights = generic(found, case.rng())
    module.load(weights)
    other = strategies.numbers(case.rng(), case.batch + 1, case.tokens, case.dim)
    calls = [
        Call(case.x, None, True, training=True),
        Call(other, None, True),
        Call(strategies.numbers(case.rng(), *case.x.shape), None, True),
        Call(case.x[:1], case.mask[:1], True),
    ]
    seen = yield from observe(student, module, calls)
    module.load(generic(found, np.random.default_rng(case.seed)))
    seen += yield from observe(student, module, [Call(case.x, None, True)])
    alphas = [alphas_of(one, case.num_layers, case.num_heads) for one in seen]
    for one, found_alphas in zip(seen, alphas, strict=True):
        with showing_inputs(one.call):
            checks.expect_distributions(found_alphas, "alphas")
    why = "the attention weights of layer 0 are the same for two different inputs x"
    expect.differs(alphas[2][:, 0], alphas[0][:, 0], "alphas[:, 0]", why, least=1e-5)
    why = "the attention weights of layer 0 are the same for other parameters of the module"
    expect.differs(alphas[4][:, 0], alphas[0][:, 0], "alphas[:, 0]", why, least=1e-5)
    try:
        layers, _ = yield from told_apart(student, case)
    except expect.Violation as violation:
        expect.stand_back(ALONE, violation.message)
    chains = [chained(student, case, layers, weights, call) for call in calls[:2]]
    replies = yield tuple(part for chain in chains for part in chain)
    for place, one in enumerate(seen[:2]):
        if not matches_reply(one, replies[2 * place + 1]):
            expect.stand_back(ALONE, "the layers do not follow each other as they do alone")
        with showing_inputs(calls[place]):
            _holds_layers(alphas[place], replies[2 * place], calls[place], case)


def matches_reply(seen: Seen, want: Any) -> bool:
    """Whether an output is what another call returned."""
    got, expected = readable(seen), checks.with_shape(want, seen.call.x.shape)
    return got is not None and expected is not None and checks.matches(got, expected, scale=COMPOSED)


def _holds_layers(alphas: Array, replies: Sequence[Any], call: Call, case: MaskedCase) -> None:
    for layer, reply in enumerate(replies):
        want = alphas_of(Seen(call, reply, []), 1, case.num_heads)[:, 0]
        why = f"alphas[:, {layer}] are not those of layer {layer}"
        expect.close(alphas[:, layer], want, f"alphas[:, {layer}]", why, scale=COMPOSED)
