"""Gradients and registered parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.homework3 import checks, gradients, parameters, strategies
from grader.homework3.attention_head.calls import PART, REAL_MASKS, Way, build, cases
from grader.homework3.attention_head.excuses import check_or_blame_masks_or_order
from grader.homework3.attention_head.names import (
    DEPENDS,
    INFLUENCE,
    MODES,
    NO_WEIGHT,
    OUTPUT,
    PERMITTED,
    ROWS,
    SHAPES,
    SOFTMAX,
)
from grader.homework3.excuses import Judged, is_uniform
from grader.homework3.strategies import SequenceCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student, StudentError


@property_of(
    PART,
    (cases(masks=("none",), least_tokens=3), cases(masks=REAL_MASKS, least_tokens=3)),
    examples=4,
    catches=True,
)
def test_every_weight_gets_a_gradient(student: Student, case: SequenceCase) -> Program:
    """A loss on attn_output gives the input and every weight the correct gradient, with and without a mask."""

    def program(way: Way) -> Judged:
        head = student.AttentionHead(case.dim, case.n_hidden)
        head.mode(True)
        shape = (case.batch, case.tokens, case.n_hidden)

        def call(x: Any) -> Remote:
            if case.mask is None:
                return way.call(student, head, x, case.x.shape).tensor_of(shape)
            x = student.tensor(x) if isinstance(x, np.ndarray) else x
            return checks.call_masked(head, x, case.mask).tensor_of(shape)

        rng = case.rng()
        found = yield from parameters.own_parameters(head, lambda: call(case.x))
        expect.holds(bool(found), "the module has no parameters that could learn")
        weights = {name: 0.6 * value for name, value in parameters.generic_weights(found, rng).items()}
        weights = {name: value.astype(np.float32) for name, value in weights.items()}
        head.load(weights)
        out, free = way.read((yield way.call(student, head, case.x)), case)
        if out is None:
            expect.stand_back((SHAPES, OUTPUT), "no output of shape (B, T, n_hidden) is returned")
        if is_uniform(free):
            expect.stand_back((DEPENDS, SOFTMAX), "every token gets the same attention weight")
        nothing = (OUTPUT, MODES, NO_WEIGHT, PERMITTED, INFLUENCE, ROWS)
        yield from gradients.hold(
            gradients.Learner(student, head, case.x, weights, rng, call),
            modes=(MODES, SOFTMAX),
            nothing=nothing,
        )

    try:
        yield from check_or_blame_masks_or_order(program, student, case)
    except StudentError as error:
        if "derivative" not in error.message:
            raise
        expect.stand_back(SOFTMAX, "an operation is used that has no derivative")


@property_of(PART, cases(least_tokens=2), examples=3)
def test_all_that_is_learned_is_registered(student: Student, case: SequenceCase) -> Program:
    """Queries, keys and values come from registered parameters: when all parameters are 0, every value is constant."""
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
    if is_uniform(alpha):
        expect.stand_back((DEPENDS, SOFTMAX), "every token gets the same attention weight")
    if any(value is None or not np.all(np.isfinite(value)) for value in (usual, moved, empty, after)):
        expect.stand_back((SHAPES, OUTPUT), "no output of shape (B, T, n_hidden) is returned")
    if checks.matches(np.asarray(usual), np.asarray(moved)):
        expect.stand_back(OUTPUT, "the output is the same whatever the tokens are")
    why = "attn_output depends on weights that are not among the module's parameters"
    expect.close(np.asarray(after), np.asarray(empty), "attn_output", why)
    expect.holds(is_free is not True, why)
