"""4d DialogueLoss: logits (B, T, V), input_ids (B, T), inp_mask (B, T) -> mean cross entropy of the next tokens.

The value is judged without padding. Properties of padding and of gradients take the value as the student has it, and stand back
from what is no loss at all.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from grader.homework3 import oracles, strategies
from grader.homework3.strategies import LossCase
from grader.judging import expect
from grader.judging.property import Part, Program, property_of
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array
from grader.scoring.pictures import MOST_ROWS, Row, Table

PART = Part("4d", "DialogueLoss")
STEP = 0.02
LEAST_CHANGE = 1e-6
"""How much the loss has to change at least when the tokens do."""

VALUE = "dialogue_loss.test_mean_cross_entropy_of_the_next_token"
Batch = tuple[Array, Array, Array]
"""logits, input_ids and inp_mask."""


def loss_of(student: Student, logits: Any, ids: Array, mask: Array) -> Remote:
    """The loss of a batch."""
    loss: Remote = student.DialogueLoss()(logits, ids, mask)
    return loss


def in_both_modes(student: Student, batches: list[Batch]) -> list[Remote]:
    """The losses of several batches by one object: all in training mode, and all again in evaluation mode."""
    module: Remote = student.DialogueLoss()
    module.mode(True)
    losses = [module(*batch) for batch in batches]
    module.mode(False)
    return losses + [module(*batch) for batch in batches]


def scalar_of(reply: Any, name: str = "loss") -> float:
    """The result, checked: a number or a tensor of shape ()."""
    return reply if type(reply) is float else float(expect.tensor(reply, (), name))


def total(reply: Any) -> float:
    """The result as a number, also where it has a shape: the sum of its entries."""
    if isinstance(reply, np.ndarray) and reply.shape != () and reply.dtype.kind == "f":
        return float(expect.tensor(reply, reply.shape, "loss").sum())
    return scalar_of(reply)


def exact_loss(batch: Batch) -> float:
    """The right loss, in float64."""
    logits, ids, mask = batch
    return oracles.next_token_loss(logits.astype(np.float64), ids, mask)


def is_right(reply: Any, want: float) -> bool:
    """Whether a loss is the right one."""
    try:
        return expect.is_close(np.array(total(reply)), np.array(want))
    except expect.Violation:
        return False


def with_filled_pads(case: LossCase) -> tuple[Array, Array]:
    """A case's ids without padding, and the mask that says so: for properties that leave padding to others."""
    rng = case.rng()
    ids = np.where(
        case.inp_mask > 0, case.input_ids, rng.integers(2, case.vocab_size, size=case.input_ids.shape)
    )
    ids[:, 0] = strategies.START
    return ids.astype(np.int64), np.ones_like(case.inp_mask)


def table(ids: Array, mask: Array, changed: Array | None = None) -> Table:
    """The positions of a batch: token and target, and whether the logits there count, by the requirement.

    ``changed`` (B, T) says where logits were changed.
    """
    columns = ["sequence", "position", "token id", "inp_mask", "predicts token", "counts in the mean"]
    rows = []
    for row, place in list(np.ndindex(*ids.shape))[:MOST_ROWS]:
        counts = place + 1 < ids.shape[1] and bool(mask[row, place + 1])
        target = str(ids[row, place + 1]) if counts else "padding" if place + 1 < ids.shape[1] else "none"
        cells = [str(row), str(place), str(ids[row, place]), f"{mask[row, place]:g}", target, "yes" if counts else "no"]
        is_changed = changed is not None and bool(changed[row, place])
        if changed is not None:
            cells.append("changed" if is_changed else "")
        rows.append(Row(cells=tuple(cells), faded=not counts, marked=is_changed))
    names = (*columns, *(["logits"] if changed is not None else []))
    return Table(caption="Positions in gray predict no real token.", columns=names, rows=tuple(rows))


def with_two_texts(student: Student, case: LossCase) -> tuple[Remote, Remote]:
    """The losses of the same logits for two texts without padding."""
    ids, mask = with_filled_pads(case)
    other = np.where(np.arange(case.tokens) > 0, strategies.next_words(ids, case.vocab_size), ids)
    # Not rounded, as two texts may have the same loss under rounded logits.
    logits = case.rng().normal(size=case.logits.shape).astype(np.float32)
    return loss_of(student, logits, ids, mask), loss_of(student, logits, other, mask)


def require_a_loss(two: tuple[Any, Any]) -> None:
    """Stand back from what does not depend on the tokens at all."""
    if abs(total(two[0]) - total(two[1])) <= LEAST_CHANGE:
        expect.stand_back(VALUE, "the loss is the same whatever tokens input_ids holds")


@property_of(
    PART,
    (
        strategies.losses(),
        strategies.losses_of_trained_models(),
        strategies.losses_where_sizes_meet("tokens, words"),
        strategies.long_losses(),
        strategies.losses_where_sizes_meet("tokens, sequences"),
        strategies.losses_where_sizes_meet("targets, words"),
        strategies.losses_where_sizes_meet("targets, sequences"),
    ),
    examples=7,
)
def test_mean_cross_entropy_of_the_next_token(student: Student, case: LossCase) -> Program:
    """Without padding, the loss is the mean cross entropy between logits i and token i + 1, a tensor of shape ()."""
    ids, mask = with_filled_pads(case)
    half = max(2, case.tokens - case.tokens // 2)
    batches = {
        "of all of it": (case.logits, ids, mask),
        f"of the first {half} tokens of the first sequence": (case.logits[:1, :half], ids[:1, :half], mask[:1, :half]),
        "of other logits": (case.logits[::-1, :, ::-1], ids, mask),
    }
    sent = [tuple(np.ascontiguousarray(value) for value in batch) for batch in batches.values()]
    replies = yield in_both_modes(student, sent)  # type: ignore[arg-type]
    for number, reply in enumerate(replies):
        name, (logits, *_) = list(batches.items())[number % len(batches)]
        mode = "training" if number < len(batches) else "evaluation"
        why = f"the loss {name}, in {mode} mode, without padding"
        want = np.array(exact_loss(list(batches.values())[number % len(batches)]))
        try:
            expect.close(np.array(scalar_of(reply)), want, "loss", why)
        except expect.Violation as violation:
            shown = {"logits": expect.show(np.ascontiguousarray(logits)), "input_ids": expect.show(ids)}
            shown["inp_mask"] = expect.show(mask)
            _, *told = list(batches.values())[number % len(batches)]
            raise violation.showing(shown, functools.partial(table, *told)) from None


@property_of(PART, strategies.losses(least_batch=2), examples=4)
def test_the_last_logits_are_not_used(student: Student, case: LossCase) -> Program:
    """The loss does not depend on the last logit vector of a sequence, which has no next token."""
    ids, mask = with_filled_pads(case)
    other = case.logits.copy()
    other[:, -1] += strategies.numbers(case.rng(), *other[:, -1].shape)
    reply, changed = yield loss_of(student, case.logits, ids, mask), loss_of(student, other, ids, mask)
    why = "only logits at the last position were changed, and the loss changes"
    last = np.arange(case.tokens) == case.tokens - 1
    with expect.drawn(functools.partial(table, ids, mask, np.broadcast_to(last, ids.shape))):
        expect.close(np.array(total(changed)), np.array(total(reply)), "loss", why)


@property_of(PART, strategies.padded_losses(least_real=1), examples=4)
def test_inputs_are_not_changed(student: Student, case: LossCase) -> Program:
    """The call does not modify logits, input_ids or inp_mask."""
    names, values = ("logits", "input_ids", "inp_mask"), (case.logits, case.input_ids, case.inp_mask)
    sent = [student.tensor(value) for value in values]
    _, after = yield student.DialogueLoss()(*sent), sent
    for name, value, original in zip(names, after, values, strict=True):
        kept = (
            isinstance(value, np.ndarray)
            and value.shape == original.shape
            and np.array_equal(value, original)
        )
        expect.holds(
            bool(kept), f"{name} was changed by the call", {f"{name} after the call": expect.show(value)}
        )


@property_of(PART, strategies.padded_losses(least_real=1, least_tokens=3), examples=6)
def test_the_mean_is_over_real_tokens(student: Student, case: LossCase) -> Program:
    """In a padded batch, the loss is the mean over the real target tokens."""
    ids, mask = with_filled_pads(case)
    # Numbers with one decimal may make a wrong loss right by chance; others do not.
    plain = case.rng().normal(size=case.logits.shape).astype(np.float32)
    turned = tuple(np.ascontiguousarray(value[::-1]) for value in (case.logits, case.input_ids, case.inp_mask))
    whole: list[Batch] = [(plain, ids, mask), (np.ascontiguousarray(plain[::-1]), ids, mask)]
    padded: list[Batch] = [(case.logits, case.input_ids, case.inp_mask), (turned[0], turned[1], turned[2])]
    without, losses = yield in_both_modes(student, whole), in_both_modes(student, padded)
    if not all(is_right(reply, exact_loss(whole[n % 2])) for n, reply in enumerate(without)):
        expect.stand_back(VALUE, "the loss is not right without padding")
    for number, reply in enumerate(losses):
        why = f"in {'training' if number < 2 else 'evaluation'} mode the loss is right without padding, and wrong with it"
        if number % 2:
            why += ", for the same sequences in reverse order"
        with expect.drawn(functools.partial(table, *padded[number % 2][1:])):
            expect.close(np.array(total(reply)), np.array(exact_loss(padded[number % 2])), "loss", why)


@property_of(PART, strategies.padded_losses(least_real=4), examples=5)
def test_every_real_token_counts_the_same(student: Student, case: LossCase) -> Program:
    """Every real target token has the same weight, so rows count in proportion to their number of tokens."""
    ids, mask = with_filled_pads(case)
    short = int(np.argmin(case.inp_mask.sum(axis=1)))
    full = int(np.argmax(case.inp_mask.sum(axis=1)))
    logits = [case.logits]
    for row in (short, full):
        logits.append(case.logits.copy())
        logits[-1][row, 1, logits[-1][row, 1].argmax()] += 1
    batches = ((case.input_ids, case.inp_mask), (ids, mask))
    losses = [[loss_of(student, value, *batch) for value in logits] for batch in batches]
    replies, two = yield losses, with_two_texts(student, case)
    require_a_loss(two)
    effects = []
    for base, by_short, by_full in replies:
        effects.append((total(by_short) - total(base), total(by_full) - total(base)))
    (short_padded, full_padded), (short_plain, full_plain) = effects
    if min(abs(short_plain), abs(full_plain)) <= LEAST_CHANGE:
        expect.stand_back(VALUE, "without padding the loss does not depend on the logits of every token")
    shown = {
        "change": f"the largest of logits[row, 1] is 1 larger, for row {short} or row {full}",
        "your loss grows, with the padding, by": f"{short_padded:.4g} or {full_padded:.4g}",
        "your loss grows, with real tokens instead, by": f"{short_plain:.4g} or {full_plain:.4g}",
    }
    # A token more or less in a row makes a fifth of a difference, if rows and not tokens count the same.
    one, other = short_padded * full_plain, full_padded * short_plain
    expect.holds(
        abs(one - other) <= 0.08 * max(abs(one), abs(other)),
        f"a token of the padded row {short} counts for more or less, beside one of row {full}, than it does without padding",
        shown,
        draw=functools.partial(table, case.input_ids, case.inp_mask),
    )


@property_of(PART, strategies.padded_losses(least_real=3), examples=5)
def test_logits_at_pads_count_for_nothing(student: Student, case: LossCase) -> Program:
    """The loss does not depend on the logits at padding."""
    other = case.logits.copy()
    pads = case.inp_mask == 0
    other[pads] += strategies.numbers(case.rng(), *other[pads].shape)
    reply, changed, two = yield (
        loss_of(student, case.logits, case.input_ids, case.inp_mask),
        loss_of(student, other, case.input_ids, case.inp_mask),
        with_two_texts(student, case),
    )
    require_a_loss(two)
    why = "only logits at padding were changed, and the loss changes"
    with expect.drawn(functools.partial(table, case.input_ids, case.inp_mask, pads)):
        expect.close(np.array(total(changed)), np.array(total(reply)), "loss", why)


@property_of(PART, strategies.losses(least_batch=2, least_real=3), examples=4)
def test_more_padding_changes_nothing(student: Student, case: LossCase) -> Program:
    """One more column of padding does not change the loss."""
    rng = case.rng()
    logits = np.concatenate([case.logits, strategies.numbers(rng, case.batch, 1, case.vocab_size)], axis=1)
    ids = np.concatenate([case.input_ids, np.full((case.batch, 1), strategies.PAD, np.int64)], axis=1)
    mask = np.concatenate([case.inp_mask, np.zeros((case.batch, 1), np.float32)], axis=1)
    reply, longer, two = yield (
        loss_of(student, case.logits, case.input_ids, case.inp_mask),
        loss_of(student, logits, ids, mask),
        with_two_texts(student, case),
    )
    require_a_loss(two)
    with expect.drawn(functools.partial(table, ids, mask)):
        expect.close(np.array(total(longer)), np.array(total(reply)), "loss", "with one more column of padding")


@property_of(
    PART,
    (strategies.losses(least_batch=2, least_real=3), *strategies.padded_losses(least_real=3)),
    examples=8,
)
def test_the_gradient_is_that_of_the_loss(student: Student, case: LossCase) -> Program:
    """The gradient of the loss predicts how the loss changes with the logits."""
    direction = strategies.numbers(case.rng(), *case.logits.shape)
    ids, mask = case.input_ids, case.inp_mask
    leaf = student.tensor(case.logits, requires_grad=True)
    loss = loss_of(student, leaf.method("clone"), ids, mask)
    ahead, behind = (
        loss_of(student, case.logits + sign * np.float32(STEP) * direction, ids, mask) for sign in (1, -1)
    )
    reply, *around, two = yield loss, ahead, behind, with_two_texts(student, case)
    require_a_loss(two)
    expect.holds(isinstance(reply, np.ndarray), "the loss is a plain number, so nothing can learn from it")
    expect.holds(reply.size <= ids.size, "the loss has more numbers than there are tokens, so it is none")
    grows = (total(around[0]) - total(around[1])) / (2 * STEP)
    (found,) = yield (student.gradients(loss, np.ones(reply.shape, np.float32), [leaf]),)
    expect.holds(found[0] is not None, "the loss does not depend on the logits, so nothing can learn from it")
    gradient = expect.tensor(found[0], case.logits.shape, "the gradient of the logits")
    foretold = float((gradient * direction).sum())
    size = max(1.0, float(np.abs(gradient * direction).sum()))
    shown = {"your gradient of the logits": expect.show(gradient), "direction": expect.show(direction)}
    expect.holds(
        abs(foretold - grows) <= 5e-3 * size,
        f"along a direction in the logits the loss grows at {grows:.4g}, and its gradient says {foretold:.4g}",
        shown,
    )


@property_of(PART, strategies.padded_losses(least_real=3), examples=5)
def test_unused_logits_get_no_gradient(student: Student, case: LossCase) -> Program:
    """Logits at padding and at the last position get no gradient."""
    ids, mask = case.input_ids, case.inp_mask
    unused = mask == 0
    unused[:, -1] = True
    other = case.logits.copy()
    other[unused] += case.rng().normal(size=other[unused].shape).astype(np.float32)
    leaf = student.tensor(case.logits, requires_grad=True)
    loss = loss_of(student, leaf.method("clone"), ids, mask)
    reply, changed = yield loss, loss_of(student, other, ids, mask)
    if not is_right(changed, total(reply)):
        used = (
            "dialogue_loss.test_the_last_logits_are_not_used",
            "dialogue_loss.test_logits_at_pads_count_for_nothing",
            "dialogue_loss.test_the_mean_is_over_real_tokens",
        )
        expect.stand_back(used, "the loss depends on logits at padding or at the last position")
    gradient_test = "dialogue_loss.test_the_gradient_is_that_of_the_loss"
    if not isinstance(reply, np.ndarray):
        expect.stand_back(gradient_test, "the loss is a plain number")
    (found,) = yield (student.gradients(loss, np.ones(reply.shape, np.float32), [leaf]),)
    if found[0] is None or not np.any(found[0]):
        expect.stand_back((gradient_test, VALUE), "no logit gets any gradient")
    gradient = expect.tensor(found[0], case.logits.shape, "the gradient of the logits")
    where = np.broadcast_to(unused[..., None], gradient.shape)
    expect.zero(gradient, where, "gradient", "logits that predict nothing get a gradient", most=1e-7)
