"""Embeddings of tokens and positions, identified by what the transformer gets."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.homework3 import parameters, strategies
from grader.homework3.dialogue_gpt.calls import PART, build, prefix, readable, unless_nondeterministic
from grader.homework3.dialogue_gpt.names import LONGEST, SHAPES
from grader.homework3.strategies import GPTCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student, StudentError
from grader.kernel.wire import Array


class Table:
    """What the Transformer gets for each token v at each position t, taken apart into E[v] + P[t]."""

    def __init__(self, x: Array, ids: Array, case: GPTCase) -> None:
        """``x`` is its input for `all_words`."""
        wide = x.astype(np.float64)
        # The first sequence holds one token but for its start.
        self.places = wide[0].copy()
        self.words = np.zeros((case.vocab_size, case.dim))
        for word in range(case.vocab_size):
            row, place = np.argwhere(ids[:, 1:] == word)[0]
            self.words[word] = wide[row, place + 1] - self.places[place + 1]
        self.places[0] -= self.words[strategies.START]

    def expected(self, ids: Array) -> Array:
        """E[id] + P[t]."""
        total: Array = self.words[ids] + self.places[: ids.shape[1]]
        return total


def all_words(case: GPTCase) -> Array:
    """Sequences of max_N tokens: one token repeated, and others in which every token stands at several positions, pads last."""
    real = np.array([word for word in range(case.vocab_size) if word != strategies.PAD])
    rows = 1 + 2 * len(real) // (case.max_N - 1)
    others = (5 * np.arange(rows)[:, None] + np.arange(case.max_N)) % len(real)
    ids = np.concatenate([np.full((1, case.max_N), strategies.UNK), real[others], real[others[:1]]])
    for word in real[~np.isin(real, ids[:, 1:])]:
        ids = np.concatenate([ids, np.full((1, case.max_N), word)])
    ids[:, 0] = strategies.START
    ids[rows + 1, case.max_N // 2 :] = strategies.PAD
    return np.ascontiguousarray(ids)


@property_of(
    PART,
    (
        strategies.dialogues(padded=True),
        strategies.homework_dialogues(tokens=3),
        strategies.square_dialogues(),
    ),
    when="stand-ins",
    examples=3,
    catches=True,
)
@unless_nondeterministic
def test_token_plus_position_embeddings(student: Student, case: GPTCase) -> Program:
    """The Transformer gets, at each position, a learned token embedding plus a learned embedding of that position."""
    model = student.DialogueGPT(*case.sizes.values())
    found = yield from parameters.own_parameters(model)
    rng = case.rng()
    weights, step = parameters.generic_weights(found, rng), parameters.generic_weights(found, rng)
    expect.holds(bool(weights), "the model has no parameters of its own, so no embedding is learned")
    model.load(weights)
    ids = all_words(case)
    student.forget_calls()
    pull = np.where(
        (ids == strategies.PAD)[..., None], 0, strategies.numbers(rng, *ids.shape, case.dim)
    ).astype(np.float32)
    made: list[tuple[str, Array, Remote]] = []
    by_weight: Remote | None = None
    for training, some in ((False, case.input_ids), (True, ids), (False, case.input_ids)):
        student.forget_calls()
        model.mode(training)
        model(some)
        inputs = student.call_inputs()
        if training:
            by_weight = student.parameter_gradients(inputs, pull, model)
        made.append(
            (f"in {'training' if training else 'evaluation'} mode, with B, T = {some.shape}", some, inputs)
        )
    model.load({name: weights[name] + np.float32(0.01) * step[name] for name in weights})
    student.forget_calls()
    model(ids)
    try:
        replies, moved, found_gradients = yield [x for _, _, x in made], student.call_inputs(), by_weight
    except StudentError as error:
        if error.type_name in ("IndexError", "RuntimeError"):
            expect.stand_back((LONGEST, SHAPES), f"a sequence of max_N = {case.max_N} tokens cannot be given")
        raise
    got = [_input(x, some, case) for (_, some, _), x in zip(made, replies, strict=True)]
    table = Table(got[1], ids, case)
    for (how, some, _), x in zip(made, got, strict=True):
        why = f"{how}: this is not the embedding of the token plus that of the position, as in other calls"
        expect.close(x, table.expected(some), "input of the Transformer", why, scale=20)
    _expect_rows_of_their_own(table, case)
    x = _input(moved, ids, case)
    other = Table(x, ids, case)
    _expect_learned(table, other, case)
    gradients = found_gradients if isinstance(found_gradients, dict) else {}
    grows = pull * (x - got[1]) / 0.01
    foretold = sum(
        float((gradient * step[name]).sum())
        for name, gradient in gradients.items()
        if name in step and isinstance(gradient, np.ndarray)
    )
    miss = abs(float(grows.sum()) - foretold) / max(1e-6, float(np.sqrt((grows**2).sum())))
    expect.holds(miss < 0.06, "part of the embeddings gets no gradient, so it is never trained")


def _input(x: Any, ids: Array, case: GPTCase) -> Array:
    return expect.tensor(x, (*ids.shape, case.dim), "the Transformer's input")


def _expect_rows_of_their_own(table: Table, case: GPTCase) -> None:
    """Hold that no two tokens, no two positions, and no token and position share an embedding."""
    for name, rows in (("tokens", table.words), ("positions", table.places)):
        gaps = np.abs(rows[:, None] - rows[None]).max(axis=2) + np.eye(len(rows))
        one, other = (int(i) for i in np.unravel_index(int(np.argmin(gaps)), gaps.shape))
        expect.holds(bool(gaps.min() > 1e-4), f"{name} {one} and {other} share an embedding")
    few = table.places[:12]
    by_place = (few[:, None] - few[None]).reshape(-1, case.dim)
    by_word = (table.words[:, None] - table.words[None]).reshape(-1, case.dim)
    by_place = by_place[np.abs(by_place).max(axis=1) > 0]
    gap = np.abs(by_word[:, None] - by_place).max(axis=2)[np.abs(by_word).max(axis=1) > 0]
    expect.holds(bool(gap.min() > 1e-4), "a position shares the embedding of a token")


def _expect_learned(table: Table, other: Table, case: GPTCase) -> None:
    """Hold that new weights move the embeddings of tokens, and those of positions, each in a way of its own."""
    for name, one, two in (("token", table.words, other.words), ("position", table.places, other.places)):
        moved, now = (two - one) / 0.01, one - one.mean(axis=0)
        moved = moved - moved.mean(axis=0)
        size = float(np.sqrt((moved**2).mean()))
        expect.holds(
            size > 1e-3, f"the embedding of a {name} is not learned: no weight of the model changes it"
        )
        values = np.linalg.svd(moved, compute_uv=False)[: min(len(moved) - 1, case.dim)]
        least = float(values.min() / values.max())
        expect.holds(least > 1e-4, f"{name}s have no embeddings of their own: few numbers make all of them")
        along = float((moved * now).sum() / (now * now).sum())
        alike = float(np.sqrt(((moved - along * now) ** 2).mean())) < 0.02 * size
        expect.holds(not alike, f"{name}s have no embeddings of their own: only their size is learned")


@property_of(PART, strategies.dialogues(), when="whole", examples=4)
def test_positions_matter(student: Student, case: GPTCase) -> Program:
    """The same token gives different logits at different positions, and each position has its own trained weights."""
    model = yield from build(student, case)
    weights = yield from parameters.own_parameters(model)
    ids = np.full_like(case.input_ids, int(case.input_ids[0, -1]))
    sizes = range(1, case.tokens + 1)
    outs = [model(prefix(ids, size)) for size in sizes]
    replies = yield outs
    logits = readable(replies[-1], case)
    for place in range(1, case.tokens):
        why = f"a sequence of one repeated token has the same logits at positions {place - 1} and {place}"
        expect.differs(logits[:, place], logits[:, place - 1], "logits", why, least=1e-6)
    shapes = [np.shape(reply[0]) for reply in replies]
    found = yield [
        student.parameter_gradients(out[0], strategies.numbers(case.rng(), *shape), model)
        for out, shape in zip(outs, shapes, strict=True)
    ]
    touched = [
        np.concatenate(
            [np.ravel(g) != 0 for g in gradients.values() if isinstance(g, np.ndarray)] or [np.zeros(0)]
        )
        for gradients in (
            {name: g if g is not None else 0 * weights[name] for name, g in one.items()} for one in found
        )
    ]
    for place in range(1, case.tokens):
        new = touched[place] & ~np.any(touched[:place], axis=0)
        why = f"position {place} has no learned embedding: no weight learns from it alone"
        expect.holds(int(new.sum()) >= case.dim, why)


@property_of(PART, strategies.dialogues(), examples=2)
def test_embeddings_learn(student: Student, case: GPTCase) -> Program:
    """A loss on the logits gives a gradient to every embedding table and matrix that the logits depend on."""
    model = student.DialogueGPT(*case.sizes.values())
    weights = yield from parameters.randomize_weights(model, case.rng())
    reply = model(case.input_ids)
    (value,) = yield (reply,)
    logits, value = (reply[0], value[0]) if isinstance(value, tuple | list) and value else (reply, value)
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        expect.stand_back(SHAPES, "the model returns no logits")
    found = yield student.parameter_gradients(logits, strategies.numbers(case.rng(), *value.shape), model)
    gradients = (
        {name: g for name, g in found.items() if isinstance(g, np.ndarray)} if isinstance(found, dict) else {}
    )
    learning = any(np.any(gradients[name]) for name in weights if name in gradients)
    expect.holds(learning, "no weight of the model gets any gradient from the logits")
    for name, weight in weights.items():
        if weight.ndim < 2 or np.any(gradients.get(name, 0)):
            continue
        model.load({name: weight * 1.5 + np.float32(0.3)})
        changed = yield model(case.input_ids)
        model.load({name: weight})
        changed = changed[0] if isinstance(changed, tuple | list) and changed else changed
        same = isinstance(changed, np.ndarray) and np.array_equal(changed, value)
        expect.holds(same, f"the logits depend on {name}, but it gets no gradient, so it is never trained")
