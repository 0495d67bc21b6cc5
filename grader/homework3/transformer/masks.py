"""The mask that each block gets."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.homework3 import checks
from grader.homework3.strategies import MaskedCase
from grader.homework3.transformer.alphas import shape_or_value
from grader.homework3.transformer.calls import (
    Call,
    ask_with_mask,
    build,
    first_of,
    observe,
    other_call,
    showing_inputs,
)
from grader.homework3.transformer.cases import PART, deep, ordinary, square
from grader.judging import expect, pictures
from grader.judging.property import Program, property_of
from grader.kernel.remote import Student


@property_of(PART, (ordinary(), square(), deep), when="stand-ins", examples=3)
def test_the_mask_reaches_each_block(student: Student, case: MaskedCase) -> Program:
    """Each block gets the given attn_mask in every call, and no mask if none is given."""
    calls = [Call(case.x, case.mask), Call(case.x, None, None, training=True)]
    if case.tokens < 60:
        batch, tokens = case.batch, case.tokens
        calls += [
            other_call(case, batch, tokens, masked=True, asked=True, number=1),
            Call(case.x, case.mask, True, training=True),
            other_call(case, batch + 1, tokens + 2, masked=True, training=True),
            other_call(case, batch, tokens, masked=True, number=2),
            other_call(case, batch + 2, tokens + 1, masked=False, asked=True),
            other_call(case, 1, tokens, masked=True),
            other_call(case, batch, tokens, masked=False, number=3),
        ]
    seen = yield from observe(student, build(student, case), calls, ask_with_mask)
    for one in seen:
        with showing_inputs(one.call):
            for block in one.blocks if isinstance(one.blocks, list) else ():
                mask_fits(block["mask"], one.call)
            for block in one.made():
                mask_arrives(block["mask"], one.call)
    changed = first_of(seen[0].reply), first_of(seen[1].reply)
    if all(isinstance(value, np.ndarray) and value.shape == case.x.shape for value in changed):
        expect.require(not np.array_equal(*changed), "the output is the same with attn_mask and without")


def mask_fits(mask: Any, call: Call) -> None:
    """A block gets None or a mask of shape (T, T), (1, T, T) or (B, T, T); sequences may come one by one."""
    square = (call.tokens, call.tokens)
    shapes = (square, (1, *square), (call.batch, *square))
    fits = mask is None or (isinstance(mask, np.ndarray) and mask.shape in shapes)
    why = (
        f"a block gets {shape_or_value(mask)} as its mask, expected shape (B, T, T) = {(call.batch, *square)}"
    )
    expect.require(fits, why)


def mask_arrives(mask: Any, call: Call) -> None:
    """A block gets the call's mask; None means the same as a mask of ones."""
    shape = (call.batch, call.tokens, call.tokens)
    want = np.ones(shape) if call.mask is None else call.mask.astype(np.float64)
    got = np.broadcast_to(np.ones(()) if mask is None else mask.astype(np.float64), shape)
    why = "a block gets a mask other than attn_mask"
    if call.mask is None:
        why = "a block gets a mask that hides tokens, but attn_mask is None"
    elif mask is None:
        why = "a block gets no mask, but attn_mask was given"
    equal = bool(np.array_equal(got, want))
    shown = (
        {} if equal else {"the mask that a block gets": expect.show(got), "expected mask": expect.show(want)}
    )
    entry = [int(place) for place in np.unravel_index(int(np.argmax(got != want)), got.shape)]
    expect.holds(equal, why, shown, draw=lambda: pictures.comparison(got, want, "mask", entry, titles=("given", "expected")))


@property_of(PART, (ordinary(), square()), examples=2)
def test_the_mask_is_not_changed(student: Student, case: MaskedCase) -> Program:
    """The call does not modify attn_mask."""
    module, masks = build(student, case), [student.tensor(case.mask) for _ in range(2)]
    module(case.x, attn_mask=masks[0])
    module.any_way(
        (case.x, {"attn_mask": masks[1], "return_attn": True}), (case.x, masks[1], True), (case.x, masks[1])
    )
    for after in (yield tuple(masks)):
        checks.expect_unchanged(after, case.mask, "attn_mask")
