"""The blocks that a module builds, as stand-ins see them: their number and sizes, their sequence, their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from grader.homework3 import checks, parameters, stand_in_calls, strategies
from grader.homework3.strategies import MaskedCase
from grader.homework3.transformer.calls import (
    Call,
    Seen,
    ask,
    build,
    check_deterministically,
    observe,
    other_call,
    showing_inputs,
    some_output_of,
)
from grader.homework3.transformer.cases import PART, SIZES, SMALL_SIZES, deep, homework, one_layer, ordinary
from grader.homework3.transformer.names import CHANGE_NOTHING, SAME_IN_MODES
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array


@property_of(PART, (ordinary(), homework, one_layer), when="stand-ins", examples=3)
def test_num_layers_blocks_of_the_given_sizes(student: Student, case: MaskedCase) -> Program:
    """The module uses num_layers distinct AttentionResidual blocks of the given sizes, all registered."""
    module = build(student, case)
    calls = [Call(case.x, case.mask, True, training=True), Call(case.x, None)]
    seen = yield from observe(student, module, calls)
    built = yield student.standins()
    for one in seen:
        called = stand_in_calls.called_indices(one.blocks)
        count = len(called)
        with showing_inputs(one.call):
            expect.holds(
                count == case.num_layers,
                f"expected {case.num_layers} distinct AttentionResidual blocks (num_layers={case.num_layers}),"
                f" but forward used {count}",
            )
    wanted = {name: case.sizes[name] for name in SIZES[:4]}
    for index in called:
        made = {name: built[index][name] for name in wanted}
        why = f"an AttentionResidual is built with {_sizes(made)}, expected {_sizes(wanted)}"
        expect.holds(made == wanted, why)
    lost = yield from stand_in_calls.unregistered_stand_ins(student, module, called)
    why = f"{len(lost)} of {count} blocks are not among the module's parameters (nn.ModuleList?)"
    expect.holds(not lost, why)


def load_blocks(
    student: Student, case: MaskedCase, indices: Sequence[int], built: Sequence[dict[str, int]]
) -> dict[int, Array]:
    """Give blocks new weights, which keep numbers of about the same size through all layers."""
    rng = case.rng()
    weights = {}
    for index in indices:
        dim = built[index]["dim"]
        weights[index] = np.asarray(strategies.numbers(rng, dim, dim) / max(1.0, dim / 6) ** 0.5, np.float32)
        student.standin(index).load({"weight": weights[index]})
    return weights


def mixing_of(block: dict[str, Any], call: Call) -> Array:
    """The token mixing (B, T, T) of a block in a call, by the mask that it was given."""
    mask = block["mask"]
    shape = (call.batch, call.tokens, call.tokens)
    if not isinstance(mask, np.ndarray):
        return np.full(shape, 1.0 / call.tokens)
    permitted = mask > 0
    if permitted.ndim == 4 and permitted.shape[1] == 1:
        permitted = permitted[:, 0]
    permitted = np.broadcast_to(permitted, shape).astype(np.float64)
    mixing: Array = permitted / np.maximum(permitted.sum(-1, keepdims=True), 1.0)
    return mixing


@property_of(PART, (*SMALL_SIZES, deep), when="stand-ins", examples=4)
def test_blocks_in_sequence_and_nothing_else(student: Student, case: MaskedCase) -> Program:
    """The output is x passed through the blocks in the order in which they were built, with nothing else applied."""
    module = build(student, case)
    (first,) = yield from observe(student, module, [Call(case.x, None)])
    built = yield student.standins()
    weights = load_blocks(student, case, stand_in_calls.called_indices(first.blocks), built)
    yield from parameters.randomize_weights(module, case.rng())
    calls = [Call(case.x, None), Call(case.x, case.mask)]
    if 1 < case.tokens < 60:  # none larger than the first, as that is for the property of shapes
        calls.append(other_call(case, max(case.batch - 1, 1), case.tokens - 1, masked=True))
        calls.append(other_call(case, case.batch, case.tokens, masked=True, asked=True))
    seen = yield from observe(student, module, calls)

    def compare() -> None:
        for one in seen:
            with showing_inputs(one.call):
                _holds_in_sequence(one, weights)

    yield from check_deterministically(student, module, case, compare)


def _holds_in_sequence(seen: Seen, weights: dict[int, Array]) -> None:
    """Each block gets what the last one gave, in the order in which they were built, and the last one's is returned."""
    out = some_output_of(seen)
    made = seen.made()
    order = [int(block["index"]) for block in made]
    expect.require(
        order == sorted(set(order)),
        "the blocks are not called in the order in which they were built, once each",
    )
    want, source = seen.call.x.astype(np.float64), "x"
    for place, block in enumerate(made):
        given = checks.with_shape(block["x"], seen.call.x.shape)
        why = f"block {place} gets an input of shape {getattr(block['x'], 'shape', ())}, expected {seen.call.x.shape}"
        expect.require(given is not None, why)
        assert given is not None
        why = f"block {place} gets something other than {source}"
        expect.close(given, want, f"input of block {place}", why)
        matrix = weights.get(int(block["index"]))
        expect.require(matrix is not None, "other blocks are called than in the call before")
        assert matrix is not None
        want = given + mixing_of(block, seen.call) @ given @ matrix.astype(np.float64)
        source = f"the output of block {place}"
    _leave_to_alphas(seen, out, want)
    expect.close(out, want, "output", f"the output is something other than {source}")


def _leave_to_alphas(seen: Seen, out: Array, want: Array) -> None:
    if seen.call.asked and not checks.matches(out, want):
        expect.stand_back((CHANGE_NOTHING, SAME_IN_MODES), "return_attn=True gives another output")


@property_of(PART, (ordinary(), deep), when="stand-ins", examples=2)
def test_every_block_learns(student: Student, case: MaskedCase) -> Program:
    """A loss on the output gives the input and the weights of each block the correct gradient."""
    module = build(student, case)
    (first,) = yield from observe(student, module, [Call(case.x, None)])
    built = yield student.standins()
    weights = load_blocks(student, case, stand_in_calls.called_indices(first.blocks), built)
    yield from parameters.randomize_weights(module, case.rng())
    calls = [
        Call(case.x, None, None, training=True),
        Call(case.x, case.mask, True, training=True),
        *([Call(case.x, case.mask), Call(case.x, None, True)] if case.tokens < 60 else []),
    ]
    blocks = [student.standin(index).attribute("weight") for index in weights]
    wanted: list[Remote] = []
    for call in calls:
        module.mode(call.training)
        student.forget_calls()
        x = student.tensor(call.x, requires_grad=True)
        # A copy, as the input may not be a leaf of a graph.
        out = ask(student, module, call, x.method("clone")).tensor_of(call.x.shape)
        wanted += [out, student.calls(), student.gradients(out, None, [*blocks, x])]
    found = yield tuple(wanted)
    replies = [(Seen(call, *found[3 * n : 3 * n + 2]), found[3 * n + 2]) for n, call in enumerate(calls)]

    def compare() -> None:
        for seen, gradients in replies:
            with showing_inputs(seen.call):
                _holds_gradients(seen, gradients, weights)

    yield from check_deterministically(student, module, case, compare)


def _holds_gradients(seen: Seen, gradients: Sequence[Any], weights: dict[int, Array]) -> None:
    """The gradients by each block's weight and by x are those of the blocks that were called, one after the other."""
    shape, out, made = seen.call.x.shape, some_output_of(seen), seen.made()
    back = np.cos(1.0 + np.arange(seen.call.x.size)).reshape(shape)
    wants, last = {index: np.zeros(matrix.shape) for index, matrix in weights.items()}, out
    for block in reversed(made):
        matrix = weights.get(int(block["index"]))
        given = checks.with_shape(block["x"], shape)
        expect.require(
            matrix is not None and given is not None, "a block gets something else than in other calls"
        )
        assert matrix is not None
        assert given is not None
        mixing = mixing_of(block, seen.call)
        if block is made[-1]:
            last = given + mixing @ given @ matrix.astype(np.float64)
        wants[int(block["index"])] += np.einsum("btd,bte->de", mixing @ given, back)
        back = back + np.swapaxes(mixing, 1, 2) @ back @ matrix.T.astype(np.float64)
    try:
        _holds_each_gradient([*wants.values(), back], gradients)
    except expect.Violation:
        _leave_to_alphas(seen, out, last)
        raise


def _holds_each_gradient(wants: Sequence[Array], gradients: Sequence[Any]) -> None:
    names = [f"block {place}" for place in range(len(wants) - 1)] + ["the input x"]
    for name, want, got in zip(names, wants, gradients, strict=True):
        cut = not isinstance(got, np.ndarray) or not np.any(got)
        expect.require(not (cut and np.any(want)), f"no gradient reaches {name}")
        gradient = (
            checks.finite(got, f"the gradient of {name}")
            if isinstance(got, np.ndarray)
            else np.zeros(want.shape)
        )
        scale = 10 * float(np.abs(want).max())
        why = f"the gradient that reaches {name} is not that of all blocks in sequence"
        expect.close(gradient, want, "gradient", why, scale=scale)


def _sizes(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name}={size}" for name, size in sizes.items())
