"""4d DialogueLoss: logits (B, T, V), input_ids (B, T), inp_mask (B, T) -> mean cross entropy of the next tokens.

The value is judged without padding. Laws on padding and on gradients take the value as the student has it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array
from grader.properties import draws, expect, oracles
from grader.properties.draws import LossCase
from grader.properties.law import Part, Program, law

PART = Part("4d", "DialogueLoss")
STEP = 0.02


def loss_of(student: Student, logits: Any, ids: Array, mask: Array) -> Remote:
    """The loss of a batch."""
    loss: Remote = student.DialogueLoss()(logits, ids, mask)
    return loss


def scalar(reply: Any, name: str = "loss") -> float:
    """The result, checked: a number or a tensor of shape ()."""
    return reply if type(reply) is float else float(expect.tensor(reply, (), name))


def total(reply: Any) -> float:
    """The result as a number, also where it has a shape: the sum of its entries."""
    if isinstance(reply, np.ndarray) and reply.shape != () and reply.dtype.kind == "f":
        return float(expect.tensor(reply, reply.shape, "loss").sum())
    return scalar(reply)


def exact(case: LossCase, ids: Array, mask: Array) -> float:
    """The right loss, in float64."""
    return oracles.next_token_loss(case.logits.astype(np.float64), ids, mask)


def is_right(reply: Any, want: float) -> bool:
    """Whether a loss is the right one."""
    try:
        expect.close(np.array(total(reply)), np.array(want), "loss", "")
    except expect.Violation:
        return False
    return True


def filled(case: LossCase) -> tuple[Array, Array]:
    """A case's ids without padding, and the mask that says so: for laws that leave padding to others."""
    rng = case.rng()
    ids = np.where(
        case.inp_mask > 0, case.input_ids, rng.integers(2, case.vocab_size, size=case.input_ids.shape)
    )
    ids[:, 0] = draws.START
    return ids.astype(np.int64), np.ones_like(case.inp_mask)


@law(PART, draws.losses(), examples=8)
def test_mean_cross_entropy_of_the_next_token(student: Student, case: LossCase) -> Program:
    """Without padding the loss is the mean cross entropy of token i + 1 under logits i, a tensor of shape ()."""
    ids, mask = filled(case)
    got = scalar((yield loss_of(student, case.logits, ids, mask)))
    try:
        expect.close(
            np.array(got),
            np.array(exact(case, ids, mask)),
            "loss",
            "without padding (input_ids below, all of inp_mask 1)",
        )
    except expect.Violation as violation:
        raise expect.Violation(
            violation.message, {"input_ids": expect.show(ids), "inp_mask": expect.show(mask)}
        ) from None


@law(PART, draws.losses(least_batch=2), examples=4)
def test_the_last_logits_are_not_used(student: Student, case: LossCase) -> Program:
    """The last logit vector of a sequence predicts nothing: the loss does not depend on it."""
    ids, mask = filled(case)
    other = case.logits.copy()
    other[:, -1] += draws.numbers(case.rng(), *other[:, -1].shape)
    reply, changed = yield loss_of(student, case.logits, ids, mask), loss_of(student, other, ids, mask)
    why = "only logits at the last position were changed, and the loss changes"
    expect.close(np.array(total(changed)), np.array(total(reply)), "loss", why)


@law(PART, draws.losses(), examples=8)
def test_inputs_are_not_changed(student: Student, case: LossCase) -> Program:
    """logits, input_ids and inp_mask are after the call what they were before it."""
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


@law(PART, draws.losses(padded=True, least_tokens=3), examples=6)
def test_the_mean_is_over_real_tokens(student: Student, case: LossCase) -> Program:
    """In a padded batch the loss is the mean over its supervised real tokens, provided that it is right without padding."""
    ids, mask = filled(case)
    # Numbers with one decimal may make a wrong loss right by chance; others do not.
    plain = replace(case, logits=case.rng().normal(size=case.logits.shape).astype(np.float32))
    without, loss = yield (
        loss_of(student, plain.logits, ids, mask),
        loss_of(student, case.logits, case.input_ids, case.inp_mask),
    )
    if is_right(without, exact(plain, ids, mask)):
        want = exact(case, case.input_ids, case.inp_mask)
        why = "the loss is right without padding, and wrong with it"
        expect.close(np.array(total(loss)), np.array(want), "loss", why)


@law(PART, draws.losses(padded=True, least_real=4), examples=5)
def test_every_real_token_counts_the_same(student: Student, case: LossCase) -> Program:
    """Padding changes nothing in how much one real token counts beside another: rows weigh by their number of tokens."""
    ids, mask = filled(case)
    short = int(np.argmin(case.inp_mask.sum(axis=1)))
    full = int(np.argmax(case.inp_mask.sum(axis=1)))
    logits = [case.logits]
    for row in (short, full):
        logits.append(case.logits.copy())
        logits[-1][row, 1, logits[-1][row, 1].argmax()] += 1
    batches = ((case.input_ids, case.inp_mask), (ids, mask))
    replies = yield [[loss_of(student, value, *batch) for value in logits] for batch in batches]
    effects = []
    for base, by_short, by_full in replies:
        effects.append((total(by_short) - total(base), total(by_full) - total(base)))
    (short_padded, full_padded), (short_plain, full_plain) = effects
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
    )


@law(PART, draws.losses(padded=True, least_real=3), examples=6)
def test_logits_at_pads_count_for_nothing(student: Student, case: LossCase) -> Program:
    """Logits at padding change nothing."""
    other = case.logits.copy()
    pads = case.inp_mask == 0
    other[pads] += draws.numbers(case.rng(), *other[pads].shape)
    reply, changed = yield [
        loss_of(student, value, case.input_ids, case.inp_mask) for value in (case.logits, other)
    ]
    why = "only logits at padding were changed, and the loss changes"
    expect.close(np.array(total(changed)), np.array(total(reply)), "loss", why)


@law(PART, draws.losses(least_batch=2, least_real=3), examples=5)
def test_more_padding_changes_nothing(student: Student, case: LossCase) -> Program:
    """One more column of padding leaves the loss as it was."""
    rng = case.rng()
    logits = np.concatenate([case.logits, draws.numbers(rng, case.batch, 1, case.vocab_size)], axis=1)
    ids = np.concatenate([case.input_ids, np.full((case.batch, 1), draws.PAD, np.int64)], axis=1)
    mask = np.concatenate([case.inp_mask, np.zeros((case.batch, 1), np.float32)], axis=1)
    reply, longer = yield (
        loss_of(student, case.logits, case.input_ids, case.inp_mask),
        loss_of(student, logits, ids, mask),
    )
    expect.close(np.array(total(longer)), np.array(total(reply)), "loss", "with one more column of padding")


@law(PART, draws.losses(least_batch=2, least_real=3), examples=9)
def test_the_gradient_is_that_of_the_loss(student: Student, case: LossCase) -> Program:
    """The loss can be trained with: its gradient foretells how it changes when the logits do."""
    direction = draws.numbers(case.rng(), *case.logits.shape)
    ids, mask = case.input_ids, case.inp_mask
    leaf = student.tensor(case.logits, requires_grad=True)
    loss = loss_of(student, leaf.method("clone"), ids, mask)
    ahead, behind = (
        loss_of(student, case.logits + sign * np.float32(STEP) * direction, ids, mask) for sign in (1, -1)
    )
    reply, *around = yield loss, ahead, behind
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


@law(PART, draws.losses(padded=True, least_real=3), examples=5)
def test_unused_logits_get_no_gradient(student: Student, case: LossCase) -> Program:
    """Logits at padding and at the last position get no gradient, where the loss does not depend on them."""
    ids, mask = case.input_ids, case.inp_mask
    unused = mask == 0
    unused[:, -1] = True
    other = case.logits.copy()
    other[unused] += case.rng().normal(size=other[unused].shape).astype(np.float32)
    leaf = student.tensor(case.logits, requires_grad=True)
    loss = loss_of(student, leaf.method("clone"), ids, mask)
    reply, changed = yield loss, loss_of(student, other, ids, mask)
    if not isinstance(reply, np.ndarray) or not is_right(changed, total(reply)):
        return
    (found,) = yield (student.gradients(loss, np.ones(reply.shape, np.float32), [leaf]),)
    if found[0] is not None:
        gradient = expect.tensor(found[0], case.logits.shape, "the gradient of the logits")
        where = np.broadcast_to(unused[..., None], gradient.shape)
        expect.zero(gradient, where, "gradient", "logits that predict nothing get a gradient", most=1e-7)
