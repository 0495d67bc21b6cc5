"""The mask that each block gets."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.homework3 import checks, strategies
from grader.homework3.strategies import MaskedCase
from grader.homework3.transformer.alphas import shape_or_value
from grader.homework3.transformer.calls import (
    Call,
    Seen,
    ask_with_mask,
    build,
    first_of,
    observe,
    other_call,
    readable,
    showing_inputs,
)
from grader.homework3.transformer.cases import PART, deep, ordinary, square
from grader.homework3.transformer.names import (
    CHANGE_NOTHING,
    IN_SEQUENCE,
    INDEPENDENT,
    SAME_IN_MODES,
    SHAPES,
)
from grader.judging import expect, pictures
from grader.judging.property import Program, property_of
from grader.kernel.remote import Student
from grader.kernel.wire import Array

ROUNDING = 1e-4
"""How far rows of two outputs that should be equal may differ, as a share of the largest number."""


@property_of(PART, (ordinary(), square(), deep), when="stand-ins", examples=3)
def test_the_mask_reaches_each_block(student: Student, case: MaskedCase) -> Program:
    """Each block gets attn_mask, or no mask if none is given, in every call; a token changes only rows that attend to it."""
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
    pairs = moved_pairs(case)
    every = yield from observe(
        student, build(student, case), [*calls, *(call for pair in pairs for call in pair)], ask_with_mask
    )
    seen, shown = every[: len(calls)], every[len(calls) :]
    for one in seen:
        with showing_inputs(one.call):
            for block in one.blocks if isinstance(one.blocks, list) else ():
                mask_fits(block["mask"], one.call)
            for block in one.made():
                mask_arrives(block["mask"], one.call)
    changed = first_of(seen[0].reply), first_of(seen[1].reply)
    if all(isinstance(value, np.ndarray) and value.shape == case.x.shape for value in changed):
        expect.require(not np.array_equal(*changed), "the output is the same with attn_mask and without")
    # What the blocks are reported to get decides nothing alone: the output has to show it.
    for before, after in zip(shown[::2], shown[1::2], strict=True):
        follows_mask(before, after)


def moved_pairs(case: MaskedCase) -> list[tuple[Call, Call]]:
    """Pairs of calls that differ in one token of each sequence: with a mask, with it in training mode, without a mask.

    By the mask a token attends to itself and to the tokens before it in an order that the sequence has for itself. So however
    many layers there are, the token changes the same rows.
    """
    rng = case.rng()
    rank = np.argsort(rng.random((case.batch, case.tokens)), axis=1)
    mask = (rank[:, None, :] <= rank[:, :, None]).astype(np.float32)
    is_changed = (rank == case.tokens // 2)[:, :, None]
    moved = np.where(is_changed, case.x + strategies.numbers(rng, case.dim), case.x).astype(np.float32)
    ways: tuple[tuple[Array | None, bool | None, bool], ...]
    ways = ((mask, None, False), (mask, True, True), (None, None, False))
    return [(Call(case.x, *way), Call(moved, *way)) for way in ways]


def follows_mask(before: Seen, after: Seen) -> None:
    """Of two outputs, rows that may attend to a token that differs are different, and all others are the same."""
    outs = readable(before), readable(after)
    if outs[0] is None or outs[1] is None:
        expect.stand_back(SHAPES, f"there is no output of shape (B, T, dim) = {before.call.x.shape}")
    differs = np.any(before.call.x != after.call.x, axis=-1)
    batch, tokens = before.call.batch, before.call.tokens
    permits = np.ones((batch, tokens, tokens)) if before.call.mask is None else before.call.mask
    reached = np.any((permits > 0) & differs[:, None, :], axis=-1)
    size = max(1.0, float(np.abs(outs[0]).max(initial=0.0)))
    gap = np.abs(outs[1] - outs[0]).max(axis=-1) / size
    if np.all(gap[~reached] <= ROUNDING) and np.all(np.any(outs[0] != outs[1], axis=-1)[reached]):
        return
    others = (IN_SEQUENCE, INDEPENDENT, SAME_IN_MODES, CHANGE_NOTHING)
    expect.stand_back(others, "a token changes other rows of the output than those that may attend to it")


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
