"""The part, and how a model is built, called and read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from grader.homework3 import checks, parameters, strategies
from grader.homework3.dialogue_gpt.names import EMBEDDINGS, LONGEST, MASK, MODES, SHAPES
from grader.homework3.strategies import GPTCase
from grader.judging import expect
from grader.judging.property import Part, Program
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array

PART = Part(
    "4c", "DialogueGPT", ("Transformer",), (9, 5, 4, 3, 5, 2, 2), strategies.plain_ids, family="dialogue_gpt"
)
FELT = 1e-7
SHOWN = "log_softmax(logits)"


def build(student: Student, case: GPTCase) -> Generator[Any, Any, Remote]:
    """A model with new weights of ordinary size."""
    model: Remote = student.DialogueGPT(*case.sizes.values())
    yield from parameters.randomize_weights(model, case.rng())
    model.mode(False)
    return model


def logits_of(reply: Any, case: GPTCase, batch: int | None = None, tokens: int | None = None) -> Array:
    """The first result, checked: (B, T, V), as log-probabilities."""
    shape = (batch or case.batch, tokens or case.tokens, case.vocab_size)
    return checks.log_softmax(expect.tensor(expect.parts(reply, 2, "DialogueGPT")[0], shape, "logits"))


def readable(
    reply: Any,
    case: GPTCase,
    batch: int | None = None,
    tokens: int | None = None,
    to: tuple[str, ...] = (SHAPES, LONGEST),
) -> Array:
    """The same, also where the logits come alone or with the vocabulary in the second dimension; else stand back."""
    batch, tokens = batch or case.batch, tokens or case.tokens
    logits = first_value(reply)
    if logits is not None and logits.shape == (batch, case.vocab_size, tokens):
        logits = logits.swapaxes(1, 2)
    shape = (batch, tokens, case.vocab_size)
    if logits is None or logits.shape != shape or not np.all(np.isfinite(logits)):
        expect.stand_back(to, f"the model returns no finite logits of shape (B, T, V) = {shape}")
    return checks.log_softmax(logits)


def prefix(ids: Array, size: int) -> Array:
    """The first tokens of each sequence."""
    return np.ascontiguousarray(ids[:, :size])


def first_value(reply: Any) -> Array | None:
    """The first of several returned values, or the only one, as float64; None if it is no tensor of floats."""
    value = reply[0] if isinstance(reply, tuple | list) and reply else reply
    return value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else None


def second_value(reply: Any) -> Any:
    """The second of two returned values; None if there are not two."""
    return reply[1] if isinstance(reply, tuple | list) and len(reply) == 2 else None


Judge = Callable[[Student, GPTCase], Program]


def unless_nondeterministic(program: Judge) -> Judge:
    """Leave a violation to the property of modes if the same ids give other logits each time."""
    return _if_nondeterministic(
        program, lambda: expect.stand_back(MODES, "the same input gives other logits each time")
    )


def compared_if_nondeterministic(program: Judge) -> Judge:
    """Count a violation as a comparison if the same ids give other logits each time: the result has the right kind."""
    return _if_nondeterministic(program, expect.compared)


def _if_nondeterministic(program: Judge, then: Callable[[], None]) -> Judge:
    @functools.wraps(program)
    def run(student: Student, case: GPTCase) -> Program:
        try:
            yield from program(student, case)
        except expect.Violation:
            if not (yield from is_nondeterministic(student, case)):
                raise
            then()

    return run


def is_nondeterministic(student: Student, case: GPTCase) -> Generator[Any, Any, bool]:
    """Whether two equal calls give different logits; enough equal sequences show chance that is rare."""
    model = yield from build(student, case)
    model.mode(True)
    many = np.repeat(case.input_ids[:1], checks.MANY, axis=0)
    one, other = (first_value(reply) for reply in (yield model(many), model(many)))
    if one is None or other is None or not np.all(np.isfinite(one)):
        return False
    return not expect.is_close(one, other, scale=10)


def recorded_calls(student: Student) -> Remote:
    """What the stand-ins were called with since the last time."""
    calls = student.calls()
    student.forget_calls()
    return calls


def _masks_differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two calls of the stand-in got other masks, (T, T) for the first sequence."""
    return not np.array_equal(_first_mask(one), _first_mask(other))


def _first_mask(call: dict[str, Any]) -> Array:
    mask, tokens = call["mask"], call["x"].shape[1]
    if not isinstance(mask, np.ndarray) or mask.shape[-2:] != (tokens, tokens):
        return np.ones((tokens, tokens))
    return np.asarray(mask.reshape(-1, tokens, tokens)[0] > 0)


def stand_back_unless_same_input(one: dict[str, Any], other: dict[str, Any], row: int = 0) -> None:
    """Stand back if two calls of the stand-in, of which the first may be for more sequences, differ before the Transformer."""
    first, second = one["x"][row : row + len(other["x"])], other["x"]
    if first.shape != second.shape or not np.allclose(first, second, atol=1e-5):
        expect.stand_back((EMBEDDINGS, MODES), "the Transformer gets another input")
    mask = one["mask"]
    if isinstance(mask, np.ndarray) and mask.ndim == 3 and len(mask) == len(one["x"]):
        one = {**one, "mask": mask[row : row + 1]}
    if _masks_differ(one, other):
        expect.stand_back(MASK, "the Transformer gets another mask")
