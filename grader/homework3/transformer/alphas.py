"""The attention weights returned with `return_attn=True`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from grader.homework3 import checks, stand_in_formulas
from grader.homework3.strategies import MaskedCase
from grader.homework3.transformer.calls import (
    Call,
    Seen,
    alphas_of,
    ask_by_name,
    build,
    check_deterministically,
    expect_dependence_on_x,
    is_swapped,
    observe,
    other_call,
    output_of,
    readable,
    showing_inputs,
)
from grader.homework3.transformer.cases import PART, deep, ordinary, square
from grader.homework3.transformer.layers import mixing_of
from grader.homework3.transformer.names import MASKED, SHAPES
from grader.homework3.transformer.shapes import gets_same_mask
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Student


@property_of(PART, (ordinary(), square()), examples=2)
def test_no_alphas_unless_asked(student: Student, case: MaskedCase) -> Program:
    """With return_attn=False, the default, the second value is None."""
    plain = [Call(case.x, None), Call(case.x, case.mask, None, training=True)]
    denied = [Call(case.x, case.mask, False), Call(case.x, None, False, training=True)]
    module = build(student, case)
    seen = yield from observe(student, module, plain)
    seen += yield from observe(student, module, denied, ask_by_name)
    for one in seen:
        second = expect.parts(one.reply, 2, "Transformer")[1]
        if is_swapped(one):
            expect.stand_back(SHAPES, "the output is not the first of the values returned")
        with showing_inputs(one.call):
            why = f"without return_attn the second value is {shape_or_value(second)}, expected None"
            expect.holds(second is None, why)


def shape_or_value(value: Any) -> str:
    """A tensor by its shape, anything else by its value."""
    return f"a tensor of shape {value.shape}" if isinstance(value, np.ndarray) else expect.show(value)


@property_of(PART, (ordinary(), square(), deep), when="stand-ins", examples=3)
def test_alphas_are_in_the_order_of_the_layers(student: Student, case: MaskedCase) -> Program:
    """With return_attn=True, alphas has shape (B, L, H, T, T), and alphas[:, l] belongs to the l-th block."""
    module = build(student, case)
    calls = [Call(case.x, case.mask, True), Call(case.x + np.float32(1), case.mask, True)]
    if case.tokens < 60:
        calls += [
            other_call(case, case.batch + 1, case.tokens + 1, masked=False, asked=True, training=True),
            other_call(case, case.batch, case.tokens, masked=True, asked=True, training=True),
            other_call(case, 1, case.tokens, masked=False, asked=True),
        ]
    seen = yield from observe(student, module, calls, ask_by_name)
    built = yield student.standins()
    try:
        for one in seen:
            with showing_inputs(one.call):
                _holds_alphas(one, built)
        expect_dependence_on_x(seen[0], seen[1])
    except expect.Violation:
        (plain,) = yield from observe(student, module, [Call(case.x, case.mask)])
        if is_swapped(plain):
            expect.stand_back(SHAPES, "the output is not the first of the values returned")
        raise


def _holds_alphas(seen: Seen, built: Sequence[dict[str, int]]) -> None:
    """alphas[:, l] are those of the block called as number l, or built as number l where these are not the same."""
    made = seen.made()
    heads = built[int(made[0]["index"])]["num_heads"]
    once = list({int(block["index"]): block for block in reversed(made)}.values())[::-1]
    second = expect.parts(seen.reply, 2, "Transformer")[1]
    if isinstance(second, np.ndarray) and second.ndim == 5 and second.shape[1] == len(once):
        made = once  # a block that is called again is for the properties of layers to find
    alphas = alphas_of(seen, len(made), heads)
    wants = [
        stand_in_formulas.marks(mixing_of(block, seen.call), heads, int(block["index"]), block["x"]) for block in made
    ]
    order = np.argsort([int(block["index"]) for block in made], kind="stable").tolist()
    if order != sorted(order) and not checks.matches(alphas, np.stack(wants, axis=1)):
        wants = [wants[place] for place in order]
    for place, want in enumerate(wants):
        why = f"alphas[:, {place}] are not those of layer {place}"
        expect.close(alphas[:, place], want, f"alphas[:, {place}]", why)


@property_of(PART, (ordinary(), square()), examples=2)
def test_alphas_change_nothing(student: Student, case: MaskedCase) -> Program:
    """return_attn=True does not change the output."""
    module = build(student, case)
    calls = [Call(case.x, mask, asked) for mask in (None, case.mask) for asked in (None, True)]
    seen = yield from observe(student, module, calls)
    plain = output_of(seen[0])

    def compare() -> None:
        for before, after in (seen[:2], seen[2:]):
            want = output_of(before)
            if before.call.mask is not None and not gets_same_mask(before, after, plain):
                expect.stand_back(MASKED, "the mask is not used with return_attn=True as it is without")
            with showing_inputs(after.call):
                got = readable(after)
                expect.require(
                    got is not None, f"with return_attn=True there is no output of shape {case.x.shape}"
                )
                assert got is not None
                expect.close(
                    checks.finite(got, "output"), want, "output", "return_attn=True gives another output"
                )

    yield from check_deterministically(student, module, case, compare)
