"""The causal mask, and what it means for logits and attention weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.homework3 import parameters, stand_in_calls, strategies
from grader.homework3.dialogue_gpt.calls import (
    FELT,
    PART,
    SHOWN,
    build,
    prefix,
    readable,
    recorded_calls,
    unless_nondeterministic,
)
from grader.homework3.dialogue_gpt.names import ALPHAS, ATTENDS, EARLIER, EMBEDDINGS, LONGEST, MODES, SHAPES
from grader.homework3.dialogue_gpt.shapes import returned_alphas
from grader.homework3.strategies import GPTCase
from grader.judging import expect, pictures
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student, StudentError
from grader.kernel.wire import Array

LEAST_SHIFT = 1e-3
"""How much attention weights have to change for the logits to show it, whatever else is added to what attention gives."""


def _mask_calls(
    student: Student, model: Remote, ids: Array, smaller: Array
) -> list[tuple[str, Array, Remote]]:
    """One model called in both modes, with and without return_attn, for two lengths: what the stand-in got each time."""
    made: list[tuple[str, Array, Remote]] = []
    for training, asked, some in (
        (True, False, ids),
        (True, True, smaller),
        (False, False, smaller),
        (False, True, ids),
    ):
        student.forget_calls()
        model.mode(training)
        model(some, return_attn=True) if asked else model(some)
        mode = f"in {'training' if training else 'evaluation'} mode{', with return_attn=True' * asked}"
        made.append((mode, some, student.calls()))
    return made


@property_of(
    PART,
    (
        strategies.dialogues(padded=True, batch=(3, 3)),
        strategies.square_dialogues(),
        strategies.homework_dialogues(),
    ),
    when="stand-ins",
    examples=3,
    catches=True,
)
def test_the_mask_is_causal(student: Student, case: GPTCase) -> Program:
    """The mask passed to the Transformer lets each token attend to itself and to earlier tokens only, for every T."""
    model = student.DialogueGPT(*case.sizes.values())
    made = _mask_calls(student, model, case.input_ids, prefix(case.input_ids, case.tokens // 2))
    try:
        replies = yield [calls for _, _, calls in made]
    except StudentError:
        if case.tokens < 100:
            raise
        expect.stand_back(LONGEST, "a sequence of max_N tokens cannot be given")
    for (mode, ids, _), calls in zip(made, replies, strict=True):
        for call in stand_in_calls.recorded_calls(calls, len(ids)):
            _expect_causal(call["mask"], ids, mode)


def _expect_causal(given: Any, ids: Array, mode: str) -> None:
    batch, tokens = ids.shape
    want = np.tril(np.ones((tokens, tokens)))
    if not isinstance(given, np.ndarray):
        expect.holds(given is None and tokens == 1, f"{mode} the Transformer gets no mask")
        return
    shapes = ((tokens, tokens), (1, tokens, tokens), (batch, tokens, tokens))
    named = f"(T, T) = {shapes[0]}, (1, T, T) or (B, T, T) = {shapes[2]}"
    expect.holds(
        given.shape in shapes, f"{mode} the Transformer gets a mask of shape {given.shape}; it takes {named}"
    )
    mask = np.broadcast_to(given.astype(np.float64), shapes[2])
    pads = ids == strategies.PAD
    # What padding may see is free, as long as it is something and nothing later.
    free = (mask == 0) | (want == 1) & np.isin(mask, (0, 1))
    good = np.where(pads[:, :, None], free & (mask > 0).any(axis=2, keepdims=True), mask == want)
    wrong = np.argwhere(~good.all(axis=(1, 2)))
    expect.compared()
    if len(wrong):
        row = int(wrong[0][0])
        shown = {
            f"the mask that the Transformer gets for sequence {row}": expect.show(mask[row]),
            f"input_ids[{row}]": expect.show(ids[row]),
            "a causal mask": expect.show(want),
        }
        empty = bool(np.any(mask[row].max(axis=1) <= 0))
        what = "has a row without any 1" if empty else "is not causal"
        entry = np.argwhere(~good[row] if not empty else (mask[row] == 0) & (want == 1))[0]
        why = f"{mode}, with T = {tokens}, the mask that the Transformer gets {what}"
        raise expect.Violation(
            why, shown, draw=lambda: pictures.comparison(mask[row], want, "mask", entry, titles=("your", "causal"))
        )


@property_of(PART, strategies.dialogues(), when="stand-ins", examples=3)
@unless_nondeterministic
def test_the_head_reads_what_the_transformer_returns(student: Student, case: GPTCase) -> Program:
    """The logits at a position depend only on what the Transformer returns at that position."""
    model = yield from build(student, case)
    student.forget_calls()
    _, made = yield model(np.full_like(case.input_ids, strategies.UNK)), student.calls()
    first = stand_in_calls.recorded_calls(made, case.batch)[0]
    if np.allclose(first["x"][:, 1:], first["x"][:, :1], atol=1e-5):
        expect.stand_back(EMBEDDINGS, "the Transformer gets the same input for a token wherever it stands")
    index = first["index"]
    rows = strategies.numbers(case.rng(), 2, case.dim)
    pattern = np.arange(case.tokens) % 2
    student.standin(int(index)).method("pin", rows[pattern][None])
    replies = yield model(case.input_ids), model(strategies.next_words(case.input_ids, case.vocab_size))
    for reply in replies:
        logits = readable(reply, case)
        want = logits[0, :2][pattern]
        why = "where the Transformer returns the same numbers the logits differ"
        expect.close(logits, np.broadcast_to(want, logits.shape), SHOWN, why, scale=10)
        why = "the logits do not depend on what the Transformer returns"
        expect.differs(logits[:, 0], logits[:, 1], SHOWN, why, least=1e-6)


@property_of(PART, strategies.dialogues(), examples=2)
@unless_nondeterministic
def test_later_tokens_change_no_earlier_logits(student: Student, case: GPTCase) -> Program:
    """Changing a token does not change the logits before it."""
    model = yield from build(student, case)
    place = int(case.rng().integers(1, case.tokens))
    other = case.input_ids.copy()
    other[:, place:] = strategies.next_words(other[:, place:], case.vocab_size)
    replies = yield [(model(ids), model(ids, return_attn=True)) for ids in (case.input_ids, other)]
    why = f"the tokens from position {place} on were changed, and earlier logits change"
    moved = False
    for asked, (one, two) in enumerate(zip(*replies, strict=True)):
        before, after = (readable(reply, case, to=(SHAPES, ALPHAS)) for reply in (one, two))
        expect.close(
            after[:, :place], before[:, :place], SHOWN, why + ", with return_attn=True" * asked, scale=10
        )
        moved = moved or not expect.is_close(after, before)
    if not moved:
        expect.stand_back((EARLIER, EMBEDDINGS), "no logits change with the tokens")


@property_of(PART, strategies.dialogues(least_tokens=5), examples=2)
@unless_nondeterministic
def test_logits_of_a_prefix_are_a_prefix_of_the_logits(student: Student, case: GPTCase) -> Program:
    """A prefix of a sequence gives the same logits alone as within the sequence."""
    model = yield from build(student, case)
    size = int(case.rng().integers(3, case.tokens))
    student.forget_calls()
    replies = yield (
        (model(case.input_ids), recorded_calls(student)),
        (model(prefix(case.input_ids, size)), recorded_calls(student)),
    )
    (reply, made), (short, calls) = replies
    if len(made) == len(calls) == 1 and not np.allclose(made[0]["x"][:, :size], calls[0]["x"], atol=1e-5):
        expect.stand_back((EMBEDDINGS, MODES), "the Transformer gets another input when T is another")
    long_logits, short_logits = readable(reply, case)[:, :size], readable(short, case, tokens=size)
    if expect.is_close(long_logits, long_logits[:1, :1]):
        expect.stand_back(EARLIER, "all logits are alike")
    expect.close(
        short_logits, long_logits, SHOWN, f"the first {size} tokens alone give other logits", scale=10
    )


@property_of(PART, strategies.dialogues(), examples=3)
@unless_nondeterministic
def test_every_earlier_token_counts(student: Student, case: GPTCase) -> Program:
    """Each token affects the logits at its own position and at every later one."""
    model = yield from build(student, case)
    place = int(case.rng().integers(case.tokens))
    student.forget_calls()
    batches = [case.input_ids]
    for step in (1, 2, 3):
        batches.append(case.input_ids.copy())
        batches[-1][:, place] = strategies.next_words(case.input_ids[:, place], case.vocab_size, step)
    replies = yield [(model(ids), recorded_calls(student)) for ids in batches]
    (reply, made), *changed = replies
    if len(made) == 1 and all(np.array_equal(made[0]["x"], calls[0]["x"]) for _, calls in changed if calls):
        expect.stand_back(EMBEDDINGS, "the Transformer gets the same input for other tokens")
    before = readable(reply, case)
    gaps = [np.abs(readable(value, case) - before).max(axis=(0, 2)) for value, _ in changed]
    deaf = np.argwhere(np.max(gaps, axis=0)[place:] <= FELT)
    where = place + int(deaf[0][0]) if len(deaf) else 0
    expect.holds(
        not len(deaf), f"the logits at position {where} do not depend on the token at position {place}"
    )


@property_of(PART, strategies.dialogues(), examples=2)
def test_alphas_are_lower_triangular(student: Student, case: GPTCase) -> Program:
    """alphas[b, l, h, i, j] is 0 for every later token j > i."""
    model = student.DialogueGPT(*case.sizes.values())
    alphas = returned_alphas((yield model(case.input_ids, return_attn=True)), case)
    if not np.any(np.tril(alphas)):
        expect.stand_back((ALPHAS, ATTENDS), "with return_attn=True all weights are 0")
    later = np.broadcast_to(np.triu(np.ones((case.tokens, case.tokens)), 1) > 0, alphas.shape)
    expect.zero(alphas, later, "alphas", "a later token gets weight")


@property_of(PART, strategies.dialogues(), when="whole", examples=3)
def test_attention_reaches_the_logits(student: Student, case: GPTCase) -> Program:
    """A model without a Transformer uses attention: its weights change the attention weights and, through them, the logits."""
    model = yield from build(student, case)
    found = yield from parameters.own_parameters(model)
    weights = parameters.generic_weights(found, case.rng())
    model.load(weights)
    base = model(case.input_ids, return_attn=True)
    names = [name for name, value in weights.items() if value.ndim > 1]
    changed = []
    for name in names:
        model.load({name: parameters.nudged(weights[name], case.rng(), size=0.3)})
        changed.append(model(case.input_ids, return_attn=True))
        model.load({name: weights[name]})
    reply, others = yield base, changed
    alphas, logits = returned_alphas(reply, case), readable(reply, case)
    attending = []
    for name, other in zip(names, others, strict=True):
        if float(np.abs(returned_alphas(other, case) - alphas).max()) > LEAST_SHIFT:
            attending.append(name)
            moved = float(np.abs(readable(other, case) - logits).max()) > 1e-5
            expect.holds(moved, f"{name} changes the attention weights, but not the logits")
    expect.holds(bool(attending), "no weight of the model changes the attention weights, so nothing attends")
