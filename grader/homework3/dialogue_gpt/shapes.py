"""Shapes, batches, modes, sizes, and the attention weights returned with `return_attn=True`."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.homework3 import parameters, stand_in_calls, stand_in_formulas, strategies
from grader.homework3.dialogue_gpt.calls import (
    PART,
    SHOWN,
    build,
    first_value,
    logits_of,
    readable,
    recorded_calls,
    second_value,
    stand_back_unless_same_input,
)
from grader.homework3.dialogue_gpt.names import ALPHAS, SHAPES, TRIANGULAR
from grader.homework3.strategies import GPTCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Student
from grader.kernel.wire import Array


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
    """DialogueGPT returns finite logits of shape (B, T, V) for every batch size and every T, also with padding."""
    logits_of((yield student.DialogueGPT(*case.sizes.values())(case.input_ids)), case)
    expect.compared()


@property_of(
    PART,
    (
        strategies.dialogues(spare=None, dim=(3, 3)),
        strategies.homework_dialogues(),
        strategies.square_dialogues(spare=0),
    ),
    examples=3,
)
def test_the_longest_sequence_fits(student: Student, case: GPTCase) -> Program:
    """The model accepts a sequence of max_N tokens."""
    ids = np.resize(case.input_ids[:1], (1, case.max_N))
    readable_or_shape = yield student.DialogueGPT(*case.sizes.values())(ids)
    logits = first_value(readable_or_shape)
    if logits is None or case.vocab_size not in logits.shape[1:]:
        expect.stand_back(SHAPES, "the model returns no logits of shape (B, T, V)")
    expect.holds(
        bool(np.all(np.isfinite(logits))), f"with T = max_N = {case.max_N} not all logits are finite"
    )


@property_of(
    PART,
    (strategies.dialogues(), strategies.dialogues(single=True)),
    examples=3,
    catches=True,
)
def test_alphas_when_asked(student: Student, case: GPTCase) -> Program:
    """With return_attn=True, the second value is the Transformer's alphas and the logits do not change; else it is None."""
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
        second is None, f"without return_attn the second result is {expect.show(second)}, expected None"
    )
    shape = (case.batch, case.num_layers, case.num_heads, case.tokens, case.tokens)
    alphas = expect.tensor(expect.parts(full, 2, "DialogueGPT")[1], shape, "alphas")
    if stands_in:
        call = stand_in_calls.recorded_calls(calls[len(calls) // 2 :], case.batch)[-1]
        mix = stand_in_calls.mixing_of({**call, "mask": _fitting_mask(call, case)}, case)  # type: ignore[arg-type]
        x = call["x"].astype(np.float64)
        want = stand_in_formulas.marks(mix, case.num_layers * case.num_heads, int(call["index"]), x).reshape(shape)
        expect.close(
            alphas, want, "alphas", "with return_attn=True these are not the alphas of the Transformer"
        )
    elif np.any(np.abs(np.triu(alphas, 1)) > expect.MASKED):
        expect.stand_back(TRIANGULAR, "with return_attn=True a later token gets weight")
    before, after = readable(plain, case), first_value(full)
    expect.shape(after, before.shape, "logits with return_attn=True")
    why = "with return_attn=True the logits are other ones than without"
    raw = first_value(plain)
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
    """Each sequence in a batch gives the same result as on its own."""
    model = yield from build(student, case)
    student.forget_calls()
    alone = [(model(case.input_ids[row : row + 1]), recorded_calls(student)) for row in range(case.batch)]
    rows, (reply, made) = yield alone, (model(case.input_ids, return_attn=True), recorded_calls(student))
    together = stand_in_calls.recorded_calls(made, case.batch) if made else []
    if not made and np.any(np.abs(np.triu(returned_alphas(reply, case), 1)) > expect.MASKED):
        expect.stand_back(TRIANGULAR, "in a batch a later token gets weight")
    logits = readable(reply, case, to=(SHAPES, ALPHAS))
    for row, (value, calls) in enumerate(rows):
        if len(together) == len(calls) == 1:
            stand_back_unless_same_input(together[0], calls[0], row)
        got = readable(value, case, batch=1, to=(SHAPES, ALPHAS))[0]
        why = f"sequence {row} of the batch gives another result than on its own"
        expect.close(logits[row], got, SHOWN, why, scale=10)


def returned_alphas(reply: Any, case: GPTCase) -> Array:
    """The second result as an array whose last axes are (T, T); else stand back."""
    alphas = second_value(reply)
    if not isinstance(alphas, np.ndarray) or alphas.shape[-2:] != (case.tokens, case.tokens):
        expect.stand_back(
            ALPHAS, "with return_attn=True the model returns no alphas of shape (B, L, H, T, T)"
        )
    return alphas.astype(np.float64)


@property_of(PART, strategies.dialogues(padded=True), examples=2)
def test_inputs_are_not_changed(student: Student, case: GPTCase) -> Program:
    """The call does not modify input_ids."""
    ids = student.tensor(case.input_ids)
    _, after = yield student.DialogueGPT(*case.sizes.values())(ids), ids
    kept = isinstance(after, np.ndarray) and np.array_equal(after, case.input_ids)
    expect.holds(
        bool(kept), "input_ids were changed by the call", {"input_ids after the call": expect.show(after)}
    )


@property_of(PART, strategies.dialogues(batch=(3, 3)), examples=2)
def test_same_in_training_and_evaluation(student: Student, case: GPTCase) -> Program:
    """The same ids give the same logits in training and evaluation mode."""
    model = yield from build(student, case)
    student.forget_calls()
    replies = []
    for training in (True, True, False):
        model.mode(training)
        replies.append((model(case.input_ids), recorded_calls(student)))
    (first, made), (second, _), (late, calls) = yield replies
    one = readable(first, case)
    why = "the same input gives a different output the second time"
    expect.close(readable(second, case), one, SHOWN, why, scale=10)
    if len(made) == len(calls) == 1:
        stand_back_unless_same_input(made[0], calls[0])
    why = "evaluation mode gives a different output than training mode"
    expect.close(readable(late, case), one, SHOWN, why, scale=10)


@property_of(PART, strategies.dialogues(), examples=2)
def test_logits_are_not_probabilities(student: Student, case: GPTCase) -> Program:
    """The logits are raw scores: no softmax or sigmoid is applied to them."""
    model = student.DialogueGPT(*case.sizes.values())
    found = yield model.parameters()
    weights = parameters.random_weights(found if isinstance(found, dict) else {}, case.rng(), size=3.0)
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
    when="stand-ins",
    examples=2,
)
def test_the_transformer_gets_its_sizes(student: Student, case: GPTCase) -> Program:
    """The Transformer is registered and built with the given dim, attn_dim, mlp_dim, num_heads and num_layers."""
    model = student.DialogueGPT(*case.sizes.values())
    model(case.input_ids)
    calls, built = yield student.calls(), student.standins()
    called = stand_in_calls.called_indices(calls)
    expect.holds(len(called) == 1, f"{len(called)} different Transformers are used, expected one")
    wanted = {name: case.sizes[name] for name in ("dim", "attn_dim", "mlp_dim", "num_heads", "num_layers")}
    made = {name: built[called[0]][name] for name in wanted}
    expect.holds(made == wanted, f"the Transformer is built with {made}, expected {wanted}")
    lost = yield from stand_in_calls.unregistered_stand_ins(student, model, called)
    expect.holds(not lost, "the Transformer is not among the model's parameters")


@property_of(PART, strategies.dialogues(batch=(1, 1)), when="whole", examples=4)
def test_alphas_are_attention_weights(student: Student, case: GPTCase) -> Program:
    """The first layer's attention weights are a softmax of scores that are linear in the query's and in the key's token."""
    model = student.DialogueGPT(*case.sizes.values())
    rng = case.rng()
    found = yield from parameters.own_parameters(model)
    model.load({name: 0.4 * value for name, value in parameters.generic_weights(found, rng).items()})
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
    alphas = second_value((yield model(np.array(rows), return_attn=True)))
    shape = (len(rows), case.num_layers, case.num_heads, case.tokens, case.tokens)
    weights = expect.tensor(alphas, shape, "alphas")[:, 0].reshape(
        len(pairs), 2, 2, case.num_heads, *shape[-2:]
    )
    scores = []
    for place, (query, key) in enumerate(pairs):
        row = weights[place, :, :, :, query]
        expect.holds(
            bool(np.all(row[..., : query + 1] > 0)), f"token {query} gives an earlier token no weight"
        )
        logs = np.log(row[..., key]) - np.log(row[..., 0])  # (2, 2, H)
        scores.append(logs[0, 0] - logs[0, 1] - logs[1, 0] + logs[1, 1])
    got = np.array(scores)  # (pairs, H)
    expect.holds(
        bool(np.all(np.abs(got).max(axis=0) > 1e-4)),
        "the attention weights of a query do not depend on its token, or not on that of the key",
    )
    why = "the scores of the first layer are not linear in the embeddings of query and key"
    expect.close(got[1:], np.repeat(got[:1], len(got) - 1, axis=0), "change of a score", why, scale=50)
