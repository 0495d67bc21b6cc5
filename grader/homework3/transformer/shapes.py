"""Shapes, batches, modes."""

from __future__ import annotations

import numpy as np

from grader.homework3 import checks
from grader.homework3.strategies import MaskedCase
from grader.homework3.transformer.calls import (
    Call,
    Seen,
    build,
    first_of,
    inputs,
    observe,
    other_call,
    output_of,
    readable,
    same_value,
    showing_inputs,
)
from grader.homework3.transformer.cases import MANY, PART, SMALL_SIZES, homework, ordinary, square
from grader.homework3.transformer.names import MASKED
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array


@property_of(PART, (*SMALL_SIZES, homework), examples=4)
def test_shapes(student: Student, case: MaskedCase) -> Program:
    """Transformer returns an output of shape (B, T, dim)."""
    calls = [Call(case.x, None), Call(case.x, case.mask)]
    if case.tokens < 60:
        larger = other_call(case, case.batch + 2, case.tokens + 1, masked=True, training=True)
        smaller = [other_call(case, 1, case.tokens, masked=masked) for masked in (True, False)]
        calls = [calls[0], larger, *smaller, calls[1]]
    for seen in (yield from observe(student, build(student, case), calls)):
        with showing_inputs(seen.call):
            out = first_of(seen.reply)
            if isinstance(out, np.ndarray) and out.shape != seen.call.x.shape:
                wanted = f"(B, T, dim) = {seen.call.x.shape}"
                raise expect.Violation(f"the output has shape {out.shape}, expected {wanted}")
            expect.shape(out, seen.call.x.shape, "output")


@property_of(PART, (ordinary(), square()), examples=2)
def test_sequences_are_independent(student: Student, case: MaskedCase) -> Program:
    """Each sequence in a batch gives the same result as on its own."""
    few = other_call(case, 2, case.tokens, masked=True)
    assert few.mask is not None
    places = np.arange(MANY) % 2
    calls = []
    for mask in (
        None,
        few.mask[:1],
    ):  # one mask for all sequences: that each has its own is for the mask's properties
        calls += [Call(few.x[b : b + 1], mask) for b in range(2)]
        calls.append(Call(few.x[places], None if mask is None else mask.repeat(len(places), axis=0)))
    seen = yield from observe(student, build(student, case), calls)
    for group in (seen[:3], seen[3:]):
        *singles, together = (output_of(one) for one in group)
        want = np.concatenate(singles)[places]
        if not all(_got_its_mask(one) for one in group):
            expect.stand_back(MASKED, "the mask is not used in each call")
        with showing_inputs(group[-1].call):
            expect.close(together, want, "output", "a sequence of a batch gives another result than on its own")


@property_of(PART, (ordinary(), square()), examples=2)
def test_x_is_not_changed(student: Student, case: MaskedCase) -> Program:
    """The call does not modify x."""
    module = build(student, case)
    calls = [Call(case.x, None), Call(case.x, case.mask, True, training=True)]
    kept: list[Remote] = []
    for call in calls:
        module.mode(call.training)
        x, masks = inputs(student, call)
        placed = () if call.asked is None else (call.asked,)
        module.any_way(*((x, mask, *placed) for mask in masks), (x, call.mask), (x,))
        kept.append(x)
    for call, after in zip(calls, (yield tuple(kept)), strict=True):
        with showing_inputs(call):
            checks.expect_unchanged(after, call.x, "x")


@property_of(PART, SMALL_SIZES, examples=3)
def test_same_in_training_and_evaluation(student: Student, case: MaskedCase) -> Program:
    """The same input gives the same output in training and evaluation mode."""
    x, mask = (np.repeat(value[:1], checks.MANY, axis=0) for value in (case.x, case.mask))
    plain, masked, full = ((None, None), (mask, None), (mask, True))
    ways = [
        (plain, True),
        (plain, True),
        (plain, False),
        (masked, True),
        (masked, False),
        (full, True),
        (full, False),
    ]
    calls = [Call(x, *inputs, training) for inputs, training in ways]
    seen = yield from observe(student, build(student, case), calls)
    for early, late in ((0, 1), (0, 2), (3, 4), (5, 6)):
        first, again = output_of(seen[early]), output_of(seen[late])
        if calls[early].mask is not None and not gets_same_mask(seen[early], seen[late], output_of(seen[0])):
            expect.stand_back(MASKED, "the mask is not used in one of the modes")
        mode = "evaluation mode gives a different output than training mode"
        why = "the same input gives a different output the second time" if late == 1 else mode
        with showing_inputs(calls[late]):
            expect.close(again, first, "output", why)


def gets_same_mask(first: Seen, other: Seen, unmasked: Array) -> bool:
    """Whether two calls used their mask alike, as far as can be seen."""
    one, two = ([call["mask"] for call in seen.blocks or ()] for seen in (first, other))
    if one or two:
        return len(one) == len(two) and all(same_value(a, b) for a, b in zip(one, two, strict=True))
    outs = readable(first), readable(other)
    ignored = [out is not None and checks.matches(out, unmasked) for out in outs]
    return ignored[0] == ignored[1]


def _got_its_mask(seen: Seen) -> bool:
    """Whether all blocks got the call's mask, as far as can be seen."""
    shape = (seen.call.batch, seen.call.tokens, seen.call.tokens)
    want = np.ones(shape) if seen.call.mask is None else seen.call.mask
    for block in seen.blocks or ():
        mask = np.ones(()) if block["mask"] is None else block["mask"]
        if (
            not isinstance(mask, np.ndarray)
            or mask.ndim > 3
            or not np.array_equal(np.broadcast_to(mask, shape), want)
        ):
            return False
    return True
