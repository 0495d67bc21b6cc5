"""The output of a module that builds heads: one linear map of them, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.homework3 import checks, gradients, oracles, parameters, stand_in_calls, strategies
from grader.homework3.excuses import Judged
from grader.homework3.multi_headed_attention.calls import (
    PART,
    REAL_MASKS,
    Way,
    build,
    cases,
    given,
    given_tensor,
    heads_called,
    long_cases,
    many_heads,
    output_of,
    randomize_weights,
    readable,
)
from grader.homework3.multi_headed_attention.names import (
    HEADS,
    INPUT,
    MASKS,
    MODES,
    PROJECTION,
    REGISTERED,
    SHAPES,
)
from grader.homework3.strategies import SequenceCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array


@property_of(
    PART,
    (
        cases(least_tokens=2, most_batch=1),
        cases(least_tokens=2, most_batch=1, masks=REAL_MASKS),
        many_heads(most_batch=1),
        long_cases(),
    ),
    when="stand-ins",
    examples=4,
)
def test_output_is_one_linear_map_of_the_heads(student: Student, case: SequenceCase) -> Program:
    """The output is one linear map W_O of the concatenated head outputs, with nothing else added, with and without a mask."""
    module = build(student, case)
    rng = case.rng()
    weights = yield from randomize_weights(module, case, rng)
    made = yield from heads_called(student, module, case)
    built = yield student.standins()
    sizes = {
        index: (built[index]["dim"], built[index]["n_hidden"])
        for index in stand_in_calls.called_indices(made)
    }
    first = {index: strategies.numbers(rng, *shape) for index, shape in sizes.items()}
    second = {index: strategies.numbers(rng, *shape) for index, shape in sizes.items()}
    zero = {index: np.zeros(shape, np.float32) for index, shape in sizes.items()}
    both = {index: first[index] + second[index] for index in sizes}
    replies, inputs = [], []
    for setting in (first, second, both, zero):
        for index, matrix in setting.items():
            student.standin(index).load({"weight": matrix})
        student.forget_calls()
        replies.append(given(student, module, case.x, case.mask))
        inputs.append(student.calls())
    values, inputs = yield replies, inputs
    if any(not _same_calls(made, calls, case.batch) for calls in inputs):
        expect.stand_back((HEADS, INPUT, REGISTERED, MODES), "the heads are not given the same in every call")
    results = [readable(value, case) for value in values]
    if case.mask is not None and results[0].output is None:
        expect.stand_back((SHAPES, MASKS), "with a mask no output is returned that can be read")
    at_first, at_second, at_both, at_zero = (output_of(found) for found in results)
    bias = np.broadcast_to(at_zero[:1, :1], at_zero.shape)
    why = "with all heads at 0 the output still depends on the input: something is added to it"
    expect.close(at_zero, bias, "output", why)
    why = "the output is not linear in the heads' outputs"
    expect.close(at_both - at_second, at_first - at_zero, "output", why, scale=20)
    outputs = {
        int(call["index"]): stand_in_calls.mixing_of(call, case)
        @ call["x"].astype(np.float64)
        @ first[int(call["index"])]
        for call in made
    }
    in_order_of_calls = [int(call["index"]) for call in made]
    once = list(dict.fromkeys(in_order_of_calls))
    side_by_side = [
        np.concatenate([outputs[index] for index in order], axis=-1)
        for order in dict.fromkeys(map(tuple, (sorted(once), once, in_order_of_calls)))
    ]
    found = [
        oracles.affine(heads, matrix, bias_)
        for heads in side_by_side
        for _, matrix, _, bias_ in oracles.maps(parameters.to_float64(weights), case.dim, heads.shape[-1])
    ]
    if found:
        why = "the output is not W_O applied to the concatenated heads"
        checks.expect_close_to_any(at_first, found, "output", why)
    else:
        yield from _expect_one_map_in_any_layout(student, module, case, weights, first, side_by_side)


def _expect_one_map_in_any_layout(
    student: Student,
    module: Remote,
    case: SequenceCase,
    weights: dict[str, Array],
    heads: dict[int, Array],
    side_by_side: list[Array],
) -> Judged:
    """Hold of an output map that is no single matrix that equal parameters sum all numbers, as they do in every layout."""
    for index, matrix in heads.items():
        student.standin(index).load({"weight": matrix})
    size = 0.3
    module.load({name: np.full_like(value, size) for name, value in weights.items()})
    out = output_of(readable((yield given(student, module, case.x, case.mask)), case))
    centered = out - out.mean(1, keepdims=True)
    sums = [size * heads_.sum(-1, keepdims=True) for heads_ in side_by_side]
    wants = [np.broadcast_to(total - total.mean(1, keepdims=True), out.shape) for total in sums]
    why = "with equal weights the output is not the sum of all numbers of all heads, times that weight"
    checks.expect_close_to_any(centered, wants, "output, less its mean over the tokens,", why)


def _same_calls(made: list[dict[str, Any]], again: Any, batch: int) -> bool:
    """Whether two calls of the module gave the same inputs to the same heads."""
    calls = stand_in_calls.recorded_calls(again, batch)
    return len(calls) == len(made) and all(
        one["index"] == other["index"] and np.array_equal(one["x"], other["x"])
        for one, other in zip(made, calls, strict=True)
    )


@property_of(PART, (cases(dim=(3, 6)), many_heads(n_hidden=(1, 2))), when="stand-ins", examples=3)
def test_each_number_of_each_head_counts(student: Student, case: SequenceCase) -> Program:
    """Each of the n_hidden numbers of each head affects the output through its own weights."""
    module = build(student, case)
    rng = case.rng()
    module.load(parameters.generic_weights((yield from randomize_weights(module, case, rng)), rng))
    made = yield from heads_called(student, module, case)
    built = yield student.standins()
    sizes = {
        index: (built[index]["dim"], built[index]["n_hidden"])
        for index in stand_in_calls.called_indices(made)
    }
    for index, shape in sizes.items():
        student.standin(index).load({"weight": np.zeros(shape, np.float32)})
    x, probe = np.abs(case.x[:1]), rng.uniform(0.5, 1.5, size=case.dim)
    names, replies = [], [Way().call(student, module, x)]
    for place, (index, shape) in enumerate(sizes.items()):
        for column in range(shape[1]):
            matrix = np.zeros(shape, np.float32)
            matrix[:, column] = np.resize(probe, shape[0])
            student.standin(index).load({"weight": matrix})
            replies.append(Way().call(student, module, x))
            names.append(f"number {column} of head {place}")
        student.standin(index).load({"weight": np.zeros(shape, np.float32)})
    values = [output_of(readable(reply, case, x)) for reply in (yield replies)]
    effects = [value - values[0] for value in values[1:]]
    for n, effect in enumerate(effects):
        counts = float(np.abs(effect).max(initial=0.0)) > checks.LEAST_EFFECT
        expect.holds(counts, f"{names[n]} does not affect the output")
        for m in range(n):
            own = float(np.abs(effect - effects[m]).max(initial=0.0)) > checks.LEAST_EFFECT
            expect.holds(own, f"{names[n]} affects the output exactly as {names[m]} does")


@property_of(PART, cases(least_tokens=2), when="stand-ins", examples=2)
def test_the_output_map_is_registered(student: Student, case: SequenceCase) -> Program:
    """W_O is a registered parameter: when all parameters are 0, the heads do not affect the output."""
    module = build(student, case)
    rng = case.rng()
    weights = yield from randomize_weights(module, case, rng)
    module.load({name: np.zeros_like(value) for name, value in weights.items()})
    made = yield from heads_called(student, module, case)
    built = yield student.standins()
    replies = [Way().call(student, module, case.x)]
    for index in stand_in_calls.called_indices(made):
        shape = (built[index]["dim"], built[index]["n_hidden"])
        student.standin(index).load({"weight": strategies.numbers(rng, *shape)})
    replies.append(Way().call(student, module, case.x))
    module.load(weights)
    replies.append(Way().call(student, module, np.ascontiguousarray(case.x[:, ::-1]) * np.float32(2)))
    before, after, other = [output_of(readable(reply, case)) for reply in (yield replies)]
    if checks.matches(other, before):
        expect.stand_back(PROJECTION, "the output is the same whatever the heads give")
    expect.close(
        after, before, "output", "the heads reach the output by weights that are not among the parameters"
    )


@property_of(PART, (cases(), cases(masks=REAL_MASKS, least_tokens=2)), when="stand-ins", examples=2)
def test_the_output_map_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output gives each of the module's own weights the correct gradient."""
    module = build(student, case)
    rng = case.rng()
    weights = parameters.generic_weights((yield from randomize_weights(module, case, rng)), rng)
    module.load(weights)
    module.mode(True)

    def call(x: Any) -> Remote:
        if not isinstance(x, np.ndarray):
            return given_tensor(student, module, x, case).tensor_of(case.x.shape)
        return given(student, module, x, case.mask).tensor_of(case.x.shape)

    yield from gradients.hold(
        gradients.Learner(student, module, case.x, weights, rng, call),
        modes=(MODES, PROJECTION),
        nothing=(PROJECTION, MASKS, MODES),
        of_x=False,
    )
