"""The provided `generate`, on the student's model."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from grader.homework3 import strategies
from grader.homework3.dialogue_gpt.calls import PART, build, compared_if_nondeterministic, prefix, readable
from grader.homework3.dialogue_gpt.names import EARLIER, LATER, LONGEST, POSITIONS
from grader.homework3.strategies import GPTCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student, StudentError


@property_of(PART, strategies.dialogues(), examples=2)
@compared_if_nondeterministic
def test_generate_continues_greedily(student: Student, case: GPTCase) -> Program:
    """The provided generate works with the model: starting from the start token, it appends the most likely token each time."""
    model = yield from build(student, case)
    yield from _generates(model, case, case.batch, 1, case.tokens - 1)


@property_of(
    PART,
    (strategies.homework_dialogues(), strategies.dialogues(spare=None)),
    examples=2,
    catches=True,
)
@compared_if_nondeterministic
def test_generate_fills_the_longest_sequence(student: Student, case: GPTCase) -> Program:
    """The provided generate works for up to max_N tokens, including the homework's 200."""
    model = yield from build(student, case)
    try:
        yield from _generates(model, case, 1, case.max_N - 2, 2)
    except StudentError as error:
        try:
            yield model(np.resize(case.input_ids, (1, case.max_N - 1)))
        except StudentError:
            expect.stand_back(LONGEST, f"the model takes no sequence of {case.max_N - 1} tokens")
        raise error from None


def _generates(model: Remote, case: GPTCase, batch: int, size: int, count: int) -> Generator[Any, Any, None]:
    """Hold that ``generate`` adds ``count`` most likely tokens to ``size`` given ones."""
    start = np.resize(case.input_ids[:batch], (batch, size))
    words = np.array([[0, 0, 0], [0, 1, 0], [2, 1, 0]]) + strategies.UNK
    reply, some = yield model.method("generate", start, count), model(words)
    out = expect.tensor(reply, (batch, size + count), "generate", kind="i")
    shown = {"generate": expect.show(out)}
    alike, one, other = readable(some, case, batch=3, tokens=3)
    if expect.is_close(alike, alike[:1]) and expect.is_close(one[-1], other[-1]):
        expect.stand_back(
            (EARLIER, POSITIONS), "the logits depend neither on earlier tokens nor on positions"
        )
    if expect.is_close(other, other[:1]):
        expect.stand_back((LATER, EARLIER), "the logits are the same at every position of a sequence")
    expect.holds(bool(np.array_equal(out[:, :size], start)), "generate changes the prefix", shown)
    inside = bool(out.min() >= 0) and bool(out.max() < case.vocab_size)
    expect.holds(inside, "generate gives ids beyond the vocabulary", shown)
    lengths = range(size, size + count)
    replies = yield [model(prefix(out, length)) for length in lengths]
    for length, logits in zip(lengths, replies, strict=True):
        last = readable(logits, case, batch=batch, tokens=length)[:, -1]
        chosen = np.take_along_axis(last, out[:, length : length + 1], axis=1)[:, 0]
        why = f"the token that generate puts at position {length} is not the most likely one by the model's logits"
        expect.holds(float((last.max(axis=1) - chosen).max()) < 1e-4, why, shown)
