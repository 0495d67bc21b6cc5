"""4c DialogueGPT(vocab_size, max_N, dim, attn_dim, mlp_dim, num_heads, num_layers): ids (B, T) -> logits (B, T, V), alphas.

With a stand-in for the Transformer its input and its mask are seen, so embeddings and mask are judged there, apart from each
other. Models are in evaluation mode, but where modes are compared, and leave a position unused, but where all of them are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import numpy as np

from grader.kernel.remote import Remote, Student, StudentError
from grader.kernel.wire import Array
from grader.properties import common, draws, expect, oracles
from grader.properties.draws import GPTCase
from grader.properties.law import Part, Program, law

PART = Part("4c", "DialogueGPT", ("Transformer",), (9, 5, 4, 3, 5, 2, 2), draws.plain_ids)
FELT = 1e-7
SHOWN = "log_softmax(logits)"


def build(student: Student, case: GPTCase) -> Generator[Any, Any, Remote]:
    """A model with new weights of ordinary size."""
    model: Remote = student.DialogueGPT(*case.sizes.values())
    yield from common.reweigh(model, case.rng())
    model.mode(False)
    return model


def logits_of(reply: Any, case: GPTCase, batch: int | None = None, tokens: int | None = None) -> Array:
    """The first result, checked: (B, T, V), as log-probabilities."""
    shape = (batch or case.batch, tokens or case.tokens, case.vocab_size)
    return oracles.log_softmax(expect.tensor(expect.parts(reply, 2, "DialogueGPT")[0], shape, "logits"))


def readable(reply: Any, case: GPTCase, tokens: int | None = None) -> Array:
    """The same, also where the logits come alone or with the vocabulary in the second dimension."""
    logits = reply[0] if isinstance(reply, tuple | list) and reply else reply
    turned = (case.batch, case.vocab_size, tokens or case.tokens)
    if isinstance(logits, np.ndarray) and logits.shape == turned:
        logits = logits.swapaxes(1, 2)
    return logits_of((logits, None), case, tokens=tokens)


def prefix(ids: Array, size: int) -> Array:
    """The first tokens of each sequence."""
    return np.ascontiguousarray(ids[:, :size])


def _first(reply: Any) -> Array | None:
    value = reply[0] if isinstance(reply, tuple | list) and reply else reply
    return value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else None


def not_by_chance(program: Callable[[Student, GPTCase], Program]) -> Callable[[Student, GPTCase], Program]:
    """A violation counts only if the same ids give the same logits each time, which is another law's matter."""

    @functools.wraps(program)
    def run(student: Student, case: GPTCase) -> Program:
        try:
            yield from program(student, case)
        except expect.Violation:
            model = yield from build(student, case)
            if (yield from common.by_chance(model, case.input_ids, _first)):
                return
            raise

    return run


@law(PART, draws.dialogues(least_tokens=1, least_batch=1, spare=2), examples=6)
def test_shapes(student: Student, case: GPTCase) -> Program:
    """DialogueGPT returns logits of shape (B, T, V), for batches of any size and for every T."""
    logits_of((yield student.DialogueGPT(*case.sizes.values())(case.input_ids)), case)
    expect.compared()


@law(PART, draws.dialogues(full=True, least_tokens=3), examples=4)
def test_the_longest_sequence_fits(student: Student, case: GPTCase) -> Program:
    """A sequence of max_N tokens can be given."""
    readable((yield student.DialogueGPT(*case.sizes.values())(case.input_ids)), case)
    expect.compared()


@law(PART, draws.dialogues(), examples=4)
def test_alphas_when_asked(student: Student, case: GPTCase) -> Program:
    """With return_attn=True the second result is the Transformer's alphas (B, L, H, T, T); by default it is None."""
    model = student.DialogueGPT(*case.sizes.values())
    plain, full = yield model(case.input_ids), model(case.input_ids, return_attn=True)
    second = expect.parts(plain, 2, "DialogueGPT")[1]
    expect.holds(
        second is None, f"without return_attn the second result is {expect.show(second)}, but has to be None"
    )
    shape = (case.batch, case.num_layers, case.num_heads, case.tokens, case.tokens)
    expect.tensor(expect.parts(full, 2, "DialogueGPT")[1], shape, "alphas")


@law(PART, draws.dialogues(), examples=5)
def test_sequences_are_independent(student: Student, case: GPTCase) -> Program:
    """Each sequence of a batch gets the result that it gets alone."""
    model = yield from build(student, case)
    student.forget_calls()
    rows = [model(case.input_ids[row : row + 1]) for row in range(case.batch)]
    reply, alone, made = yield model(case.input_ids), rows, student.calls()
    together = logits_of(reply, case)
    inputs = [call["x"] for call in made]
    for row, value in enumerate(alone):
        got = logits_of(value, case, batch=1)[0]
        if len(inputs) == case.batch + 1 and not _alike(inputs[-1][row], inputs[row][0]):
            continue  # the embeddings' matter
        why = f"sequence {row} of the batch gets another result than alone"
        expect.close(together[row], got, SHOWN, why, scale=10)


@law(PART, draws.dialogues(), examples=4)
def test_inputs_are_not_changed(student: Student, case: GPTCase) -> Program:
    """input_ids are after the call what they were before it."""
    ids = student.tensor(case.input_ids)
    _, after = yield student.DialogueGPT(*case.sizes.values())(ids), ids
    kept = isinstance(after, np.ndarray) and np.array_equal(after, case.input_ids)
    expect.holds(
        bool(kept), "input_ids were changed by the call", {"input_ids after the call": expect.show(after)}
    )


@law(PART, draws.dialogues(least_tokens=4, least_batch=3), examples=4)
def test_same_in_training_and_evaluation(student: Student, case: GPTCase) -> Program:
    """The same ids give the same logits in training and in evaluation mode."""
    model = yield from build(student, case)
    yield from common.same_in_both_modes(model, (case.input_ids,), lambda reply: (readable(reply, case),))


@law(PART, draws.dialogues(), examples=4)
def test_logits_are_not_probabilities(student: Student, case: GPTCase) -> Program:
    """The logits are what a softmax is still to be taken of: they are not squeezed between 0 and 1 already."""
    model = student.DialogueGPT(*case.sizes.values())
    found = yield model.parameters()
    weights = oracles.random_weights(found if isinstance(found, dict) else {}, case.rng(), size=3.0)
    if weights:
        model.load(weights)
    reply = yield model(case.input_ids)
    readable(reply, case)
    logits = reply[0] if isinstance(reply, tuple | list) else reply
    sums = logits.sum(axis=-1)
    squeezed = logits.min() >= 0 and logits.max() <= 1
    shown = {"your logits": expect.show(logits), "their sums over the vocabulary": expect.show(sums)}
    expect.holds(not squeezed, "all logits lie between 0 and 1, however large the weights are", shown)


@law(
    PART,
    draws.dialogues().filter(
        lambda case: case.attn_dim != case.mlp_dim and case.num_heads != case.num_layers
    ),
    world="stand-ins",
    examples=5,
)
def test_the_transformer_gets_its_sizes(student: Student, case: GPTCase) -> Program:
    """The Transformer is built with dim, attn_dim, mlp_dim, num_heads and num_layers as given, and is registered."""
    model = student.DialogueGPT(*case.sizes.values())
    model(case.input_ids)
    calls, built, registered = yield student.calls(), student.standins(), model.registered()
    called = common.called(calls)
    expect.holds(len(called) == 1, f"{len(called)} different Transformers take part, but one is asked for")
    wanted = {name: case.sizes[name] for name in ("dim", "attn_dim", "mlp_dim", "num_heads", "num_layers")}
    made = {name: built[called[0]][name] for name in wanted}
    expect.holds(made == wanted, f"the Transformer is built with {made}, but {wanted} are asked for")
    expect.holds(called[0] in registered, "the Transformer is not among the model's parameters")


@law(PART, draws.dialogues(), examples=6)
@not_by_chance
def test_later_tokens_change_no_earlier_logits(student: Student, case: GPTCase) -> Program:
    """Changing a token changes no logits before it."""
    model = yield from build(student, case)
    place = int(case.rng().integers(1, case.tokens))
    other = case.input_ids.copy()
    other[:, place:] = draws.next_words(other[:, place:], case.vocab_size)
    reply, changed = yield model(case.input_ids), model(other)
    before, after = readable(reply, case)[:, :place], readable(changed, case)[:, :place]
    why = f"the tokens from position {place} on were changed, and earlier logits change"
    expect.close(after, before, SHOWN, why, scale=10)


@law(PART, draws.dialogues(least_tokens=3), examples=5)
@not_by_chance
def test_logits_of_a_prefix_are_a_prefix_of_the_logits(student: Student, case: GPTCase) -> Program:
    """The first tokens alone give the logits that they give at the head of a longer sequence."""
    model = yield from build(student, case)
    size = int(case.rng().integers(2, case.tokens))
    student.forget_calls()
    reply, short, made = yield model(case.input_ids), model(prefix(case.input_ids, size)), student.calls()
    long_logits, short_logits = readable(reply, case)[:, :size], readable(short, case, tokens=size)
    if len(made) == 2 and not _alike(made[0]["x"][:, :size], made[1]["x"]):
        return  # the embeddings' matter
    expect.close(
        short_logits, long_logits, SHOWN, f"the first {size} tokens alone give other logits", scale=10
    )


@law(PART, draws.dialogues(), examples=5)
@not_by_chance
def test_every_earlier_token_counts(student: Student, case: GPTCase) -> Program:
    """Each token can change the logits of every position from its own on."""
    model = yield from build(student, case)
    place = int(case.rng().integers(case.tokens))
    others = []
    for step in (1, 2, 3):
        other = case.input_ids.copy()
        other[:, place] = draws.next_words(other[:, place], case.vocab_size, step)
        others.append(model(other))
    reply, changed = yield model(case.input_ids), others
    before = readable(reply, case)
    gaps = [np.abs(readable(value, case) - before).max(axis=(0, 2)) for value in changed]
    expect.compared()
    deaf = np.argwhere(np.max(gaps, axis=0)[place:] <= FELT)
    if len(deaf):
        where = place + int(deaf[0][0])
        raise expect.Violation(
            f"the logits at position {where} do not depend on the token at position {place}"
        )


@law(PART, draws.dialogues(), world="stand-ins", examples=5)
def test_the_mask_is_causal(student: Student, case: GPTCase) -> Program:
    """The mask that the Transformer gets lets each token attend to itself and to those before it, whatever T is."""
    model = student.DialogueGPT(*case.sizes.values())
    size = int(case.rng().integers(1, case.tokens))
    for tokens in (case.tokens, size, case.tokens):
        student.forget_calls()
        model(prefix(case.input_ids, tokens))
        for call in common.calls((yield student.calls()), case.batch):
            _expect_causal(call["mask"], case.batch, tokens)


def _expect_causal(given: Any, batch: int, tokens: int) -> None:
    want = np.tril(np.ones((tokens, tokens)))
    sizes = {"batch": batch, "tokens": tokens}
    mask = common.full_mask(given, GPTCase(sizes, batch, tokens, 0, np.zeros((batch, tokens), np.int64)))
    if mask is None:
        raise expect.Violation("the Transformer gets no mask")
    wrong = np.argwhere((mask != want).any(axis=(1, 2)))
    expect.compared()
    if len(wrong):
        row = int(wrong[0][0])
        shown = {
            f"the mask that the Transformer gets for sequence {row}": expect.show(mask[row]),
            "a causal mask": expect.show(want),
        }
        raise expect.Violation(f"with T = {tokens} the mask that the Transformer gets is not causal", shown)


@law(PART, draws.dialogues(), examples=4)
def test_alphas_are_lower_triangular(student: Student, case: GPTCase) -> Program:
    """alphas[b, l, h, i, j] is 0 for every later token j > i."""
    model = student.DialogueGPT(*case.sizes.values())
    reply = yield model(case.input_ids, return_attn=True)
    alphas = reply[1] if isinstance(reply, tuple | list) and len(reply) == 2 else None
    if not isinstance(alphas, np.ndarray) or alphas.shape[-2:] != (case.tokens, case.tokens):
        return  # the shapes' matter
    later = np.broadcast_to(np.triu(np.ones((case.tokens, case.tokens)), 1) > 0, alphas.shape)
    expect.zero(alphas.astype(np.float64), later, "alphas", "a later token gets weight")


@law(PART, draws.dialogues(), world="stand-ins", examples=5, catches=True)
@not_by_chance
def test_token_plus_position_embeddings(student: Student, case: GPTCase) -> Program:
    """The Transformer gets, at each position, a learned token embedding plus a learned embedding of that position."""
    size = int(case.rng().integers(1, case.tokens))
    lengths = (case.tokens, size)
    weights: dict[str, Array] = {}
    made: list[dict[str, Any]] = []
    for tokens in lengths:  # a model each, so that what one keeps from a call does not show here
        model = student.DialogueGPT(*case.sizes.values())
        weights = yield from common.reweigh(model, case.rng())
        model.mode(False)
        student.forget_calls()
        model(prefix(case.input_ids, tokens))
        made += common.calls((yield student.calls()), case.batch)
    expect.holds(len(made) == 2, "the Transformer is not called once for each call of the model")
    got = [
        expect.tensor(call["x"], (case.batch, tokens, case.dim), "the Transformer's input")
        for call, tokens in zip(made, lengths, strict=True)
    ]
    pairs = list(_pairs(weights, case))
    why = "there are no two learned tables: one of a vector for each token, one of a vector for each position"
    expect.holds(bool(pairs), why)
    if not any(_adds_up(got, case.input_ids, words, places) for words, places in pairs):
        nearest = [words[case.input_ids] + places[: case.tokens] for words, places in pairs]
        why = "it is not the embedding of each token plus the embedding of its position"
        common.close_to_one(got[0], nearest, "input of the Transformer", why)
        raise expect.Violation(
            f"a token's position has another embedding when T is {size} than when T is {case.tokens}"
        )
    longest = np.pad(case.input_ids, ((0, 0), (0, case.max_N - case.tokens)), mode="edge")
    model = student.DialogueGPT(*case.sizes.values())
    yield from common.reweigh(model, case.rng())
    model.mode(False)
    student.forget_calls()
    model(longest)
    try:
        made = common.calls((yield student.calls()), case.batch)
    except StudentError:
        return  # that it fits is the logits' matter
    x = expect.tensor(made[0]["x"], (case.batch, case.max_N, case.dim), "the Transformer's input")
    fits = any(_adds_up([*got, x], longest, words, places) for words, places in pairs if len(places) >= case.max_N)
    expect.holds(fits, f"with T = max_N = {case.max_N} a position has no embedding of its own")


@law(PART, draws.dialogues(least_tokens=3), world="whole", examples=5)
def test_positions_matter(student: Student, case: GPTCase) -> Program:
    """The same token at different positions gives different logits: each position has an embedding of its own."""
    model = yield from build(student, case)
    ids = np.full_like(case.input_ids, int(case.input_ids[0, -1]))
    logits = readable((yield model(ids)), case)
    for place in range(1, case.tokens):
        why = f"a sequence of one repeated token has the same logits at positions {place - 1} and {place}"
        expect.differs(logits[:, place], logits[:, place - 1], "logits", why, least=1e-6)


@law(PART, draws.dialogues(), examples=4)
def test_embeddings_learn(student: Student, case: GPTCase) -> Program:
    """A loss on the logits gives every table of embeddings, and every matrix, that the logits depend on a gradient."""
    model = student.DialogueGPT(*case.sizes.values())
    weights = yield from common.reweigh(model, case.rng())
    reply = model(case.input_ids)
    (value,) = yield (reply,)
    logits, value = (reply[0], value[0]) if isinstance(value, tuple | list) and value else (reply, value)
    shape = value.shape if isinstance(value, np.ndarray) else ()
    found = yield student.parameter_gradients(logits, draws.numbers(case.rng(), *shape), model)
    gradients = found if isinstance(found, dict) else {}
    for name, weight in weights.items():
        gradient = gradients.get(name)
        if weight.ndim < 2 or (isinstance(gradient, np.ndarray) and np.any(gradient)):
            expect.compared()
            continue
        model.load({name: weight * 1.5 + np.float32(0.3)})
        changed = yield model(case.input_ids)
        model.load({name: weight})
        changed = changed[0] if isinstance(changed, tuple | list) and changed else changed
        same = isinstance(changed, np.ndarray) and np.array_equal(changed, value)
        expect.holds(same, f"the logits depend on {name}, but it gets no gradient, so it never learns")


@law(PART, draws.dialogues(least_tokens=3), examples=5)
@not_by_chance
def test_generate_continues_greedily(student: Student, case: GPTCase) -> Program:
    """The provided generate works on the model: from the start token on it adds the most likely token each time."""
    model = yield from build(student, case)
    yield from _generates(model, case, 1, case.tokens - 1)


@law(PART, draws.dialogues(full=True, least_batch=1, most_batch=1, least_tokens=3), examples=4, catches=True)
@not_by_chance
def test_generate_goes_on_beyond_the_longest_sequence(student: Student, case: GPTCase) -> Program:
    """The provided generate goes on from the last max_N tokens, if the model takes as many."""
    model = yield from build(student, case)
    try:
        yield model(case.input_ids)
    except StudentError:
        return
    yield from _generates(model, case, case.tokens, 2)


def _generates(model: Remote, case: GPTCase, size: int, count: int) -> Generator[Any, Any, None]:
    """Hold that ``generate`` adds ``count`` most likely tokens to the first ``size``."""
    start = prefix(case.input_ids, size)
    reply = yield model.method("generate", start, count)
    out = expect.tensor(reply, (case.batch, size + count), "generate", kind="i")
    shown = {"generate": expect.show(out)}
    expect.holds(bool(np.array_equal(out[:, :size], start)), "generate changes the prefix", shown)
    inside = bool(out.min() >= 0) and bool(out.max() < case.vocab_size)
    expect.holds(inside, "generate gives ids beyond the vocabulary", shown)
    lengths = range(size, size + count)
    replies = yield [model(np.ascontiguousarray(out[:, max(0, n - case.max_N) : n])) for n in lengths]
    for length, logits in zip(lengths, replies, strict=True):
        last = readable(logits, case, tokens=min(length, case.max_N))[:, -1]
        chosen = np.take_along_axis(last, out[:, length : length + 1], axis=1)[:, 0]
        why = f"the token that generate puts at position {length} is not the most likely one by the model's logits"
        expect.holds(float((last.max(axis=1) - chosen).max()) < 1e-4, why, shown)


_TURNED = " turned"


def _tables(weights: Mapping[str, Array], dim: int) -> Iterator[tuple[str, Array]]:
    """Every parameter that may be a table of embeddings (rows, dim)."""
    for name, weight in weights.items():
        if weight.ndim >= 2 and weight.shape[-1] == dim:
            yield name, weight.reshape(-1, dim).astype(np.float64)
        if weight.ndim == 2 and weight.shape[0] == dim:
            yield name + _TURNED, weight.T.astype(np.float64)


def _pairs(weights: Mapping[str, Array], case: GPTCase) -> Iterator[tuple[Array, Array]]:
    """What may be the tables of tokens and of positions, with each bias that a linear layer may add."""
    tables = list(_tables(weights, case.dim))
    biases = [np.zeros(case.dim)]
    biases += [w.reshape(-1).astype(np.float64) for w in weights.values() if w.size == case.dim]
    for name, words in tables:
        for other, places in tables:
            if name.removesuffix(_TURNED) == other.removesuffix(_TURNED):
                continue
            if len(words) >= case.vocab_size and len(places) >= case.tokens:
                for bias in biases:
                    yield words + bias, places


def _adds_up(inputs: list[Array], ids: Array, words: Array, places: Array) -> bool:
    """Whether each input is words plus places, with a place of its own for each position, the same one for every length."""
    chosen: list[list[int]] = []
    for x in inputs:
        left = x - words[ids[:, : x.shape[1]]]
        gaps = np.abs(left[:, :, None, :] - places).max(axis=(0, 3))  # (T, rows)
        if gaps.min(axis=1).max() > 2e-5 * max(1.0, float(np.abs(x).max())):
            return False
        chosen.append([int(row) for row in gaps.argmin(axis=1)])
    longest = max(chosen, key=len)
    return len(set(longest)) == len(longest) and all(rows == longest[: len(rows)] for rows in chosen)


def _alike(one: Any, other: Any) -> bool:
    """Whether two inputs of a stand-in are the same."""
    fit = isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.shape == other.shape
    return fit and bool(np.allclose(one, other, atol=1e-5))
