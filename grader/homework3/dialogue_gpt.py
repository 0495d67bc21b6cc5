"""4c DialogueGPT(vocab_size, max_N, dim, attn_dim, mlp_dim, num_heads, num_layers): ids (B, T) -> logits (B, T, V), alphas.

With a stand-in for the Transformer its input and its mask are seen, and what it returns is known: embeddings, mask and head are
judged apart from each other. A model that builds no Transformer has to show by its attention weights that it attends. Models
are in evaluation mode, but where modes are compared, and leave a position unused, but where all of them are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from grader.homework3 import common, oracles, strategies
from grader.homework3.strategies import GPTCase
from grader.judging import expect
from grader.judging.property import Part, Program, property_of
from grader.kernel.remote import Remote, Student, StudentError
from grader.kernel.wire import Array

PART = Part("4c", "DialogueGPT", ("Transformer",), (9, 5, 4, 3, 5, 2, 2), strategies.plain_ids)
FELT = 1e-7
SHOWN = "log_softmax(logits)"
SHAPES = "dialogue_gpt.test_shapes"
LONGEST = "dialogue_gpt.test_the_longest_sequence_fits"
ALPHAS = "dialogue_gpt.test_alphas_when_asked"
MODES = "dialogue_gpt.test_same_in_training_and_evaluation"
MASK = "dialogue_gpt.test_the_mask_is_causal"
LATER = "dialogue_gpt.test_later_tokens_change_no_earlier_logits"
EARLIER = "dialogue_gpt.test_every_earlier_token_counts"
TRIANGULAR = "dialogue_gpt.test_alphas_are_lower_triangular"
EMBEDDINGS = "dialogue_gpt.test_token_plus_position_embeddings"
POSITIONS = "dialogue_gpt.test_positions_matter"


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


def readable(
    reply: Any,
    case: GPTCase,
    batch: int | None = None,
    tokens: int | None = None,
    to: tuple[str, ...] = (SHAPES, LONGEST),
) -> Array:
    """The same, also where the logits come alone or with the vocabulary in the second dimension; else stand back."""
    batch, tokens = batch or case.batch, tokens or case.tokens
    logits = _first(reply)
    if logits is not None and logits.shape == (batch, case.vocab_size, tokens):
        logits = logits.swapaxes(1, 2)
    shape = (batch, tokens, case.vocab_size)
    if logits is None or logits.shape != shape or not np.all(np.isfinite(logits)):
        expect.stand_back(to, f"the model returns no finite logits of shape (B, T, V) = {shape}")
    return oracles.log_softmax(logits)


def prefix(ids: Array, size: int) -> Array:
    """The first tokens of each sequence."""
    return np.ascontiguousarray(ids[:, :size])


def _first(reply: Any) -> Array | None:
    value = reply[0] if isinstance(reply, tuple | list) and reply else reply
    return value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else None


def _second(reply: Any) -> Any:
    return reply[1] if isinstance(reply, tuple | list) and len(reply) == 2 else None


def not_by_chance(program: Callable[[Student, GPTCase], Program]) -> Callable[[Student, GPTCase], Program]:
    """A violation counts only if the same ids give the same logits each time, which another property finds."""

    @functools.wraps(program)
    def run(student: Student, case: GPTCase) -> Program:
        try:
            yield from program(student, case)
        except expect.Violation:
            if not (yield from _by_chance(student, case)):
                raise
            expect.stand_back(MODES, "the same input gives other logits each time")

    return run


def counted_by_chance(program: Callable[[Student, GPTCase], Program]) -> Callable[[Student, GPTCase], Program]:
    """What differs by chance costs nothing further: that there is a result of the right kind counts."""

    @functools.wraps(program)
    def run(student: Student, case: GPTCase) -> Program:
        try:
            yield from program(student, case)
        except expect.Violation:
            if not (yield from _by_chance(student, case)):
                raise
            expect.compared()

    return run


def _by_chance(student: Student, case: GPTCase) -> Generator[Any, Any, bool]:
    """Whether two equal calls give different logits; enough equal sequences show chance that is rare."""
    model = yield from build(student, case)
    model.mode(True)
    many = np.repeat(case.input_ids[:1], common.MANY, axis=0)
    one, other = (_first(reply) for reply in (yield model(many), model(many)))
    if one is None or other is None or not np.all(np.isfinite(one)):
        return False
    return not expect.is_close(one, other, scale=10)


def recorded(student: Student) -> Remote:
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


def same_input(one: dict[str, Any], other: dict[str, Any], row: int = 0) -> None:
    """Stand back if two calls of the stand-in, of which the first may be for more sequences, differ before the Transformer."""
    first, second = one["x"][row : row + len(other["x"])], other["x"]
    if first.shape != second.shape or not np.allclose(first, second, atol=1e-5):
        expect.stand_back((EMBEDDINGS, MODES), "the Transformer gets another input")
    mask = one["mask"]
    if isinstance(mask, np.ndarray) and mask.ndim == 3 and len(mask) == len(one["x"]):
        one = {**one, "mask": mask[row : row + 1]}
    if _masks_differ(one, other):
        expect.stand_back(MASK, "the Transformer gets another mask")


# Logits.


@property_of(
    PART,
    (
        strategies.dialogues(least_tokens=1, batch=(1, 1), spare=2),
        strategies.dialogues(least_tokens=4, batch=(3, 3), padded=True),
        strategies.square_dialogues(),
        strategies.dialogues(least_tokens=3, batch=(1, 1), padded=True),
    ),
    examples=4,
)
def test_shapes(student: Student, case: GPTCase) -> Program:
    """DialogueGPT returns finite logits of shape (B, T, V), for batches of any size and for every T, also with padding."""
    logits_of((yield student.DialogueGPT(*case.sizes.values())(case.input_ids)), case)
    expect.compared()


@property_of(
    PART,
    (strategies.dialogues(full=True, dim=(3, 3)), strategies.homework_dialogues(), strategies.square_dialogues(spare=0)),
    examples=3,
)
def test_the_longest_sequence_fits(student: Student, case: GPTCase) -> Program:
    """A sequence of max_N tokens can be given."""
    ids = np.resize(case.input_ids[:1], (1, case.max_N))
    readable_or_shape = yield student.DialogueGPT(*case.sizes.values())(ids)
    logits = _first(readable_or_shape)
    if logits is None or case.vocab_size not in logits.shape[1:]:
        expect.stand_back(SHAPES, "the model returns no logits of shape (B, T, V)")
    expect.holds(bool(np.all(np.isfinite(logits))), f"with T = max_N = {case.max_N} not all logits are finite")


@property_of(PART, strategies.dialogues(), examples=3, catches=True)
def test_alphas_when_asked(student: Student, case: GPTCase) -> Program:
    """With return_attn=True the second value is the Transformer's alphas (B, L, H, T, T), with the same logits; else None."""
    model = student.DialogueGPT(*case.sizes.values())
    model.mode(False)
    _, made = yield model(case.input_ids), student.calls()
    stands_in = isinstance(made, list) and bool(made)
    if stands_in:  # what it returns is then the same, whatever its mask
        output = strategies.numbers(case.rng(), 1, case.tokens, case.dim)
        student.standin(int(made[0]["index"])).method("pin", output)
    student.forget_calls()
    plain, full, calls = yield model(case.input_ids), model(case.input_ids, return_attn=True), student.calls()
    second = expect.parts(plain, 2, "DialogueGPT")[1]
    expect.holds(
        second is None, f"without return_attn the second result is {expect.show(second)}, but has to be None"
    )
    shape = (case.batch, case.num_layers, case.num_heads, case.tokens, case.tokens)
    alphas = expect.tensor(expect.parts(full, 2, "DialogueGPT")[1], shape, "alphas")
    if stands_in:
        call = common.calls(calls[len(calls) // 2 :], case.batch)[-1]
        mix = common.mixing_of({**call, "mask": _fitting_mask(call, case)}, case)  # type: ignore[arg-type]
        x = call["x"].astype(np.float64)
        want = oracles.marks(mix, case.num_layers * case.num_heads, int(call["index"]), x).reshape(shape)
        expect.close(alphas, want, "alphas", "with return_attn=True these are not the alphas of the Transformer")
    elif np.any(np.abs(np.triu(alphas, 1)) > expect.MASKED):
        expect.stand_back(TRIANGULAR, "with return_attn=True a later token gets weight")
    before, after = readable(plain, case), _first(full)
    expect.shape(after, before.shape, "logits with return_attn=True")
    why = "with return_attn=True the logits are other ones than without"
    raw = _first(plain)
    assert after is not None and raw is not None
    expect.close(after, raw, "logits", why, scale=10)


def _fitting_mask(call: dict[str, Any], case: GPTCase) -> Array | None:
    """The mask of a call as the stand-in used it: one of another shape does nothing."""
    mask, tokens = call["mask"], case.tokens
    fits = isinstance(mask, np.ndarray) and mask.shape in (
        (tokens, tokens),
        (1, tokens, tokens),
        (case.batch, tokens, tokens),
    )
    return mask if fits else None


@property_of(PART, (strategies.dialogues(), strategies.dialogues(batch=(3, 3))), examples=2)
def test_sequences_are_independent(student: Student, case: GPTCase) -> Program:
    """Each sequence of a batch gets the result that it gets alone."""
    model = yield from build(student, case)
    student.forget_calls()
    alone = [(model(case.input_ids[row : row + 1]), recorded(student)) for row in range(case.batch)]
    rows, (reply, made) = yield alone, (model(case.input_ids, return_attn=True), recorded(student))
    together = common.calls(made, case.batch) if made else []
    if not made and np.any(np.abs(np.triu(_alphas(reply, case), 1)) > expect.MASKED):
        expect.stand_back(TRIANGULAR, "in a batch a later token gets weight")
    logits = readable(reply, case, to=(SHAPES, ALPHAS))
    for row, (value, calls) in enumerate(rows):
        if len(together) == len(calls) == 1:
            same_input(together[0], calls[0], row)
        got = readable(value, case, batch=1, to=(SHAPES, ALPHAS))[0]
        why = f"sequence {row} of the batch gets another result than alone"
        expect.close(logits[row], got, SHOWN, why, scale=10)


def _alphas(reply: Any, case: GPTCase) -> Array:
    """The second result as an array whose last axes are (T, T); else stand back."""
    alphas = _second(reply)
    if not isinstance(alphas, np.ndarray) or alphas.shape[-2:] != (case.tokens, case.tokens):
        expect.stand_back(ALPHAS, "with return_attn=True the model returns no alphas of shape (B, L, H, T, T)")
    return alphas.astype(np.float64)


@property_of(PART, strategies.dialogues(padded=True), examples=2)
def test_inputs_are_not_changed(student: Student, case: GPTCase) -> Program:
    """input_ids are after the call what they were before it."""
    ids = student.tensor(case.input_ids)
    _, after = yield student.DialogueGPT(*case.sizes.values())(ids), ids
    kept = isinstance(after, np.ndarray) and np.array_equal(after, case.input_ids)
    expect.holds(
        bool(kept), "input_ids were changed by the call", {"input_ids after the call": expect.show(after)}
    )


@property_of(PART, strategies.dialogues(batch=(3, 3)), examples=2)
def test_same_in_training_and_evaluation(student: Student, case: GPTCase) -> Program:
    """The same ids give the same logits in training and in evaluation mode."""
    model = yield from build(student, case)
    student.forget_calls()
    replies = []
    for training in (True, True, False):
        model.mode(training)
        replies.append((model(case.input_ids), recorded(student)))
    (first, made), (second, _), (late, calls) = yield replies
    one = readable(first, case)
    why = "the same input gives another output the second time"
    expect.close(readable(second, case), one, SHOWN, why, scale=10)
    if len(made) == len(calls) == 1:
        same_input(made[0], calls[0])
    why = "evaluation mode gives another output than training mode"
    expect.close(readable(late, case), one, SHOWN, why, scale=10)


@property_of(PART, strategies.dialogues(), examples=2)
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


@property_of(
    PART,
    strategies.dialogues().filter(
        lambda case: case.attn_dim != case.mlp_dim and case.num_heads != case.num_layers
    ),
    world="stand-ins",
    examples=2,
)
def test_the_transformer_gets_its_sizes(student: Student, case: GPTCase) -> Program:
    """The Transformer is built with dim, attn_dim, mlp_dim, num_heads and num_layers as given, and is registered."""
    model = student.DialogueGPT(*case.sizes.values())
    model(case.input_ids)
    calls, built = yield student.calls(), student.standins()
    called = common.called(calls)
    expect.holds(len(called) == 1, f"{len(called)} different Transformers take part, but one is asked for")
    wanted = {name: case.sizes[name] for name in ("dim", "attn_dim", "mlp_dim", "num_heads", "num_layers")}
    made = {name: built[called[0]][name] for name in wanted}
    expect.holds(made == wanted, f"the Transformer is built with {made}, but {wanted} are asked for")
    lost = yield from common.out_of_reach(student, model, called)
    expect.holds(not lost, "the Transformer is not among the model's parameters")


@property_of(PART, strategies.dialogues(batch=(1, 1)), world="whole", examples=4)
def test_alphas_are_attention_weights(student: Student, case: GPTCase) -> Program:
    """The first layer's attention weights are a softmax of scores that are linear in the query's token and in the key's."""
    model = student.DialogueGPT(*case.sizes.values())
    rng = case.rng()
    found = yield from common.own_parameters(model)
    model.load({name: 0.4 * value for name, value in common.generic_weights(found, rng).items()})
    model.mode(False)
    # One base sequence, and for each pair (query i, key j) the four with one of two tokens at i and one of two at j.
    base = np.full(case.tokens, strategies.UNK + 1, np.int64)
    base[0] = strategies.START
    pairs = [(i, j) for i in range(2, case.tokens) for j in range(1, i)]
    rows = []
    for query, key in pairs:
        for at_query in (strategies.UNK + 2, strategies.UNK + 3):
            for at_key in (strategies.UNK + 4, strategies.UNK + 5):
                rows.append(base.copy())
                rows[-1][query], rows[-1][key] = at_query, at_key
    alphas = _second((yield model(np.array(rows), return_attn=True)))
    shape = (len(rows), case.num_layers, case.num_heads, case.tokens, case.tokens)
    weights = expect.tensor(alphas, shape, "alphas")[:, 0].reshape(len(pairs), 2, 2, case.num_heads, *shape[-2:])
    scores = []
    for place, (query, key) in enumerate(pairs):
        row = weights[place, :, :, :, query]
        expect.holds(bool(np.all(row[..., : query + 1] > 0)), f"token {query} gives an earlier token no weight")
        logs = np.log(row[..., key]) - np.log(row[..., 0])  # (2, 2, H)
        scores.append(logs[0, 0] - logs[0, 1] - logs[1, 0] + logs[1, 1])
    got = np.array(scores)  # (pairs, H)
    expect.holds(
        bool(np.all(np.abs(got).max(axis=0) > 1e-4)),
        "the attention weights of a query do not depend on its token, or not on that of the key",
    )
    why = "the scores of the first layer are not linear in the embeddings of query and key"
    expect.close(got[1:], np.repeat(got[:1], len(got) - 1, axis=0), "change of a score", why, scale=50)


# Causality.


def _mask_calls(student: Student, model: Remote, ids: Array, smaller: Array) -> list[tuple[str, Array, Remote]]:
    """One model called in both modes, with and without return_attn, for two lengths: what the stand-in got each time."""
    made: list[tuple[str, Array, Remote]] = []
    for training, asked, some in ((True, False, ids), (True, True, smaller), (False, False, smaller), (False, True, ids)):
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
    world="stand-ins",
    examples=3,
    catches=True,
)
def test_the_mask_is_causal(student: Student, case: GPTCase) -> Program:
    """The mask that the Transformer gets lets each token attend to itself and to those before it, whatever T is."""
    model = student.DialogueGPT(*case.sizes.values())
    made = _mask_calls(student, model, case.input_ids, prefix(case.input_ids, case.tokens // 2))
    try:
        replies = yield [calls for _, _, calls in made]
    except StudentError:
        if case.tokens < 100:
            raise
        expect.stand_back(LONGEST, "a sequence of max_N tokens cannot be given")
    for (mode, ids, _), calls in zip(made, replies, strict=True):
        for call in common.calls(calls, len(ids)):
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
        raise expect.Violation(f"{mode}, with T = {tokens}, the mask that the Transformer gets {what}", shown)


@property_of(PART, strategies.dialogues(), world="stand-ins", examples=3)
@not_by_chance
def test_the_head_reads_what_the_transformer_returns(student: Student, case: GPTCase) -> Program:
    """The logits at a position follow from what the Transformer returns there, and from nothing else."""
    model = yield from build(student, case)
    student.forget_calls()
    _, made = yield model(np.full_like(case.input_ids, strategies.UNK)), student.calls()
    first = common.calls(made, case.batch)[0]
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
@not_by_chance
def test_later_tokens_change_no_earlier_logits(student: Student, case: GPTCase) -> Program:
    """Changing a token changes no logits before it."""
    model = yield from build(student, case)
    place = int(case.rng().integers(1, case.tokens))
    other = case.input_ids.copy()
    other[:, place:] = strategies.next_words(other[:, place:], case.vocab_size)
    replies = yield [(model(ids), model(ids, return_attn=True)) for ids in (case.input_ids, other)]
    why = f"the tokens from position {place} on were changed, and earlier logits change"
    moved = False
    for asked, (one, two) in enumerate(zip(*replies, strict=True)):
        before, after = (readable(reply, case, to=(SHAPES, ALPHAS)) for reply in (one, two))
        expect.close(after[:, :place], before[:, :place], SHOWN, why + ", with return_attn=True" * asked, scale=10)
        moved = moved or not expect.is_close(after, before)
    if not moved:
        expect.stand_back((EARLIER, EMBEDDINGS), "no logits change with the tokens")


@property_of(PART, strategies.dialogues(least_tokens=5), examples=2)
@not_by_chance
def test_logits_of_a_prefix_are_a_prefix_of_the_logits(student: Student, case: GPTCase) -> Program:
    """The first tokens alone give the logits that they give at the head of a longer sequence."""
    model = yield from build(student, case)
    size = int(case.rng().integers(3, case.tokens))
    student.forget_calls()
    replies = yield (
        (model(case.input_ids), recorded(student)),
        (model(prefix(case.input_ids, size)), recorded(student)),
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
@not_by_chance
def test_every_earlier_token_counts(student: Student, case: GPTCase) -> Program:
    """Each token can change the logits of every position from its own on."""
    model = yield from build(student, case)
    place = int(case.rng().integers(case.tokens))
    student.forget_calls()
    batches = [case.input_ids]
    for step in (1, 2, 3):
        batches.append(case.input_ids.copy())
        batches[-1][:, place] = strategies.next_words(case.input_ids[:, place], case.vocab_size, step)
    replies = yield [(model(ids), recorded(student)) for ids in batches]
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
    alphas = _alphas((yield model(case.input_ids, return_attn=True)), case)
    if not np.any(np.tril(alphas)):
        expect.stand_back((ALPHAS, ATTENDS), "with return_attn=True all weights are 0")
    later = np.broadcast_to(np.triu(np.ones((case.tokens, case.tokens)), 1) > 0, alphas.shape)
    expect.zero(alphas, later, "alphas", "a later token gets weight")


@property_of(PART, strategies.dialogues(), world="whole", examples=3)
def test_attention_reaches_the_logits(student: Student, case: GPTCase) -> Program:
    """Where no Transformer is built: weights change the attention weights, and through them the logits."""
    model = yield from build(student, case)
    found = yield from common.own_parameters(model)
    weights = common.generic_weights(found, case.rng())
    model.load(weights)
    base = model(case.input_ids, return_attn=True)
    names = [name for name, value in weights.items() if value.ndim > 1]
    changed = []
    for name in names:
        model.load({name: common.nudged(weights[name], case.rng(), size=0.3)})
        changed.append(model(case.input_ids, return_attn=True))
        model.load({name: weights[name]})
    reply, others = yield base, changed
    alphas, logits = _alphas(reply, case), readable(reply, case)
    attending = []
    for name, other in zip(names, others, strict=True):
        if not expect.is_close(_alphas(other, case), alphas):
            attending.append(name)
            moved = float(np.abs(readable(other, case) - logits).max()) > 1e-5
            expect.holds(moved, f"{name} changes the attention weights, but not the logits")
    expect.holds(bool(attending), "no weight of the model changes the attention weights, so nothing attends")


ATTENDS = "dialogue_gpt.test_alphas_are_attention_weights"


# Embeddings.


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
    (strategies.dialogues(padded=True), strategies.homework_dialogues(tokens=3), strategies.square_dialogues()),
    world="stand-ins",
    examples=3,
    catches=True,
)
@not_by_chance
def test_token_plus_position_embeddings(student: Student, case: GPTCase) -> Program:
    """The Transformer gets, at each position, a learned token embedding plus a learned embedding of that position."""
    model = student.DialogueGPT(*case.sizes.values())
    found = yield from common.own_parameters(model)
    rng = case.rng()
    weights, step = common.generic_weights(found, rng), common.generic_weights(found, rng)
    expect.holds(bool(weights), "the model has no parameters of its own, so no embedding is learned")
    model.load(weights)
    ids = all_words(case)
    student.forget_calls()
    pull = np.where((ids == strategies.PAD)[..., None], 0, strategies.numbers(rng, *ids.shape, case.dim)).astype(np.float32)
    made: list[tuple[str, Array, Remote]] = []
    by_weight: Remote | None = None
    for training, some in ((False, case.input_ids), (True, ids), (False, case.input_ids)):
        student.forget_calls()
        model.mode(training)
        model(some)
        inputs = student.call_inputs()
        if training:
            by_weight = student.parameter_gradients(inputs, pull, model)
        made.append((f"in {'training' if training else 'evaluation'} mode, with B, T = {some.shape}", some, inputs))
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
    expect.holds(miss < 0.06, "part of the embeddings gets no gradient, so it never learns")


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
        expect.holds(size > 1e-3, f"the embedding of a {name} is not learned: no weight of the model changes it")
        values = np.linalg.svd(moved, compute_uv=False)[: min(len(moved) - 1, case.dim)]
        least = float(values.min() / values.max())
        expect.holds(least > 1e-4, f"{name}s have no embeddings of their own: few numbers make all of them")
        along = float((moved * now).sum() / (now * now).sum())
        alike = float(np.sqrt(((moved - along * now) ** 2).mean())) < 0.02 * size
        expect.holds(not alike, f"{name}s have no embeddings of their own: only their size is learned")


@property_of(PART, strategies.dialogues(), world="whole", examples=4)
def test_positions_matter(student: Student, case: GPTCase) -> Program:
    """The same token at different positions gives different logits, and each position has weights of its own that learn."""
    model = yield from build(student, case)
    weights = yield from common.own_parameters(model)
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
        np.concatenate([np.ravel(g) != 0 for g in gradients.values() if isinstance(g, np.ndarray)] or [np.zeros(0)])
        for gradients in ({name: g if g is not None else 0 * weights[name] for name, g in one.items()} for one in found)
    ]
    for place in range(1, case.tokens):
        new = touched[place] & ~np.any(touched[:place], axis=0)
        why = f"position {place} has no learned embedding: no weight learns from it alone"
        expect.holds(int(new.sum()) >= case.dim, why)


@property_of(PART, strategies.dialogues(), examples=2)
def test_embeddings_learn(student: Student, case: GPTCase) -> Program:
    """A loss on the logits gives every table of embeddings, and every matrix, that the logits depend on a gradient."""
    model = student.DialogueGPT(*case.sizes.values())
    weights = yield from common.reweigh(model, case.rng())
    reply = model(case.input_ids)
    (value,) = yield (reply,)
    logits, value = (reply[0], value[0]) if isinstance(value, tuple | list) and value else (reply, value)
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        expect.stand_back(SHAPES, "the model returns no logits")
    found = yield student.parameter_gradients(logits, strategies.numbers(case.rng(), *value.shape), model)
    gradients = {name: g for name, g in found.items() if isinstance(g, np.ndarray)} if isinstance(found, dict) else {}
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
        expect.holds(same, f"the logits depend on {name}, but it gets no gradient, so it never learns")


# The provided generate.


@property_of(PART, strategies.dialogues(), examples=2)
@counted_by_chance
def test_generate_continues_greedily(student: Student, case: GPTCase) -> Program:
    """The provided generate works on the model: from the start token on it adds the most likely token each time."""
    model = yield from build(student, case)
    yield from _generates(model, case, case.batch, 1, case.tokens - 1)


@property_of(
    PART,
    (strategies.homework_dialogues(), strategies.dialogues(full=True)),
    examples=2,
    catches=True,
)
@counted_by_chance
def test_generate_fills_the_longest_sequence(student: Student, case: GPTCase) -> Program:
    """The provided generate works up to max_N tokens, the homework's 200 among them."""
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
        expect.stand_back((EARLIER, POSITIONS), "the logits depend neither on earlier tokens nor on positions")
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
