"""The heads that a module builds, as stand-ins see them: their number, inputs, order, masks and gradients."""

from __future__ import annotations

import numpy as np

from grader.homework3 import checks, gradients, parameters, stand_in_calls, stand_in_formulas, strategies
from grader.homework3.multi_headed_attention.calls import (
    PART,
    REAL_MASKS,
    build,
    cases,
    given,
    given_tensor,
    heads_called,
    long_cases,
    many_heads,
    randomize_weights,
    readable,
)
from grader.homework3.multi_headed_attention.excuses import stand_back_from_uninformative_results
from grader.homework3.multi_headed_attention.names import INDEPENDENT, INPUT, MASKS, MODES, PROJECTION, SHAPES
from grader.homework3.strategies import MaskedCase, SequenceCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array


@property_of(
    PART, (strategies.multi_heads(masks=("none",)), many_heads(), long_cases()), when="stand-ins", examples=4
)
def test_num_heads_heads_of_the_given_sizes(student: Student, case: SequenceCase) -> Program:
    """The module uses num_heads distinct AttentionHeads, each built with the given dim and n_hidden (n_hidden is per head)."""
    module = build(student, case)
    made = yield from heads_called(student, module, case)
    called = stand_in_calls.called_indices(made)
    built = yield student.standins()
    expect.holds(
        len(called) == case.num_heads,
        f"expected {case.num_heads} different AttentionHeads (num_heads={case.num_heads}), but forward used {len(called)}",
    )
    for index in called:
        sizes = built[index]
        expect.holds(
            (sizes["dim"], sizes["n_hidden"]) == (case.dim, case.n_hidden),
            f"an AttentionHead is built with dim={sizes['dim']}, n_hidden={sizes['n_hidden']}, "
            f"expected dim={case.dim}, n_hidden={case.n_hidden}",
        )


@property_of(PART, (cases(), many_heads()), when="stand-ins", examples=3)
def test_heads_are_registered(student: Student, case: SequenceCase) -> Program:
    """Each head is registered, so its weights are among the module's parameters and are trained."""
    module = build(student, case)
    made = yield from heads_called(student, module, case)
    called = stand_in_calls.called_indices(made)
    lost = yield from stand_in_calls.unregistered_stand_ins(student, module, called)
    expect.holds(
        not lost, f"{len(lost)} of {len(called)} heads are not among the module's parameters (nn.ModuleList?)"
    )


@property_of(PART, (cases(), cases(masks=REAL_MASKS)), when="stand-ins", examples=3)
def test_every_head_sees_the_input(student: Student, case: SequenceCase) -> Program:
    """Each head gets x."""
    module = build(student, case)
    for call in (yield from heads_called(student, module, case)):
        got = expect.tensor(call["x"], case.x.shape, "the input of a head")
        expect.close(got, case.x.astype(np.float64), "input of a head", "a head gets something other than x")


@property_of(
    PART,
    (cases(least_tokens=2), cases(least_tokens=2, masks=REAL_MASKS), many_heads()),
    when="stand-ins",
    examples=4,
)
def test_alphas_are_in_the_order_of_the_heads(student: Student, case: SequenceCase) -> Program:
    """alphas[:, h] are the attention weights of the h-th head, in every call."""
    module = build(student, case)
    rounds = []
    for x in (case.x, np.roll(case.x, 1, axis=1) * np.float32(0.5)):
        student.forget_calls()
        rounds.append((given(student, module, x, case.mask), student.calls()))
    replies = yield [reply for reply, _ in rounds], [made for _, made in rounds]
    for reply, made in zip(*replies, strict=True):
        alphas = readable(reply, case)[1]
        if alphas is None:
            expect.stand_back((SHAPES, MASKS), "no attention weights of shape (B, H, T, T) are returned")
        by_head = {int(call["index"]): call for call in stand_in_calls.recorded_calls(made, case.batch)}
        for place, index in enumerate(sorted(by_head)[: case.num_heads]):
            mixing = stand_in_calls.mixing_of(by_head[index], case)
            want = stand_in_formulas.marks(mixing, 1, index, by_head[index]["x"])[:, 0]
            why = f"alphas[:, {place}] are not the weights of head {place}"
            expect.close(alphas[:, place], want, f"alphas[:, {place}]", why)


@property_of(
    PART, (cases(least_tokens=2), cases(least_tokens=2, masks=REAL_MASKS)), when="stand-ins", examples=2
)
def test_every_head_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output gives a gradient to the input and to each head that the output depends on."""
    module = build(student, case)
    rng = case.rng()
    weights = parameters.generic_weights((yield from randomize_weights(module, case, rng)), rng)
    module.load(weights)
    module.mode(True)
    made = yield from heads_called(student, module, case)

    def call(x: Array) -> Remote:
        return given(student, module, x, case.mask).tensor_of(case.x.shape)

    leaf = student.tensor(case.x, requires_grad=True)
    # A copy: that x is changed is for another property to find.
    out = given_tensor(student, module, leaf.method("clone"), case).tensor_of(case.x.shape)
    heads = {
        index: student.standin(index).attribute("weight") for index in stand_in_calls.called_indices(made)
    }
    before, found, *shapes = yield (
        out,
        student.gradients(out, None, [*heads.values(), leaf]),
        *heads.values(),
    )
    changes = []
    for index, shape in zip(heads, shapes, strict=True):
        student.standin(index).load({"weight": parameters.nudged(shape, rng)})
        changes.append(call(case.x))
        student.standin(index).load({"weight": shape})
    along = rng.normal(size=case.x.shape).astype(np.float32)
    changes += [call(case.x + np.float32(step) * along) for step in (gradients.STEP, -gradients.STEP)]
    *after, up, down = yield changes
    if not checks.close_values((yield call(case.x)), before):
        expect.stand_back(MODES, "the output changes by chance")
    for place, (gradient, value) in enumerate(zip(found[:-1], after, strict=False)):
        checks.expect_gradient(
            gradient, before, value, f"head {place} gets no gradient, so it is never trained"
        )
    by_x = float((found[-1] * along).sum()) if isinstance(found[-1], np.ndarray) else 0.0
    right = gradients.agrees(before, up, down, by_x)
    expect.holds(right, "the gradient that reaches the input x is not that of the output")


@property_of(
    PART,
    (
        cases(masks=("random", *REAL_MASKS), least_tokens=3, least_batch=2),
        long_cases("random", batch=2),
        many_heads(masks=REAL_MASKS, least_tokens=3),
    ),
    when="stand-ins",
    examples=4,
)
def test_the_mask_reaches_each_head(student: Student, case: MaskedCase) -> Program:
    """Each head gets attn_mask, in both modes, and a masked token does not change the rows it is masked for."""
    module = build(student, case)
    second = strategies.make_mask("random", case.batch, case.tokens, case.rng())
    assert second is not None
    small = np.maximum(second[:, :-1, :-1], np.eye(case.tokens - 1, dtype=np.float32))
    less = np.ascontiguousarray(case.x[:, :-1])
    rounds = [
        (_case_with(case, case.x, case.mask), False),
        (_case_with(case, case.x, second), True),
        (_case_with(case, case.x, case.mask), True),
        (_case_with(case, less, small), False),
    ]
    hidden = [checks.masked_token(each) for each, _ in rounds]
    replies, seen, moved = [], [], []
    for (each, training), (_, token) in zip(rounds, hidden, strict=True):
        module.mode(training)
        student.forget_calls()
        # By keyword, as AttentionResidual does.
        replies.append(module(x=each.x, attn_mask=each.mask))
        seen.append(student.calls())
        other = each.x.copy()
        other[:, token] += 1.5
        moved.append(module(x=other, attn_mask=each.mask))
    replies, seen, moved = yield replies, seen, moved
    stand_back_from_uninformative_results(readable(replies[0], case)._replace(alphas=None))
    for made, (each, _) in zip(seen, rounds, strict=True):
        expect.compared()
        stand_in_calls.expect_masks_passed_on(stand_in_calls.recorded_calls(made, case.batch), each, "a head")
    # What the heads are reported to get decides nothing alone: the output has to show it.
    for (each, _), (rows, token), *pair in zip(rounds, hidden, replies, moved, strict=True):
        before, after = (readable(reply, case, each.x).output for reply in pair)
        if before is not None and after is not None and not _is_same_in(rows, before, after):
            why = f"the output changes with token {token}, which is masked for that row, though each head is given attn_mask"
            expect.stand_back((INPUT, PROJECTION, INDEPENDENT, MODES), why)


def _is_same_in(rows: Array, before: Array, after: Array) -> bool:
    """Whether these rows (B, T) of two outputs are equal up to rounding."""
    size = max(1.0, float(np.abs(before).max(initial=0.0)))
    return expect.is_close(after[rows] / size, before[rows] / size, scale=5.0)


def _case_with(case: SequenceCase, x: Array, mask: Array) -> MaskedCase:
    return MaskedCase(case.sizes, x.shape[0], x.shape[1], case.mask_kind, case.seed, x, mask)


@property_of(
    PART, (cases(least_tokens=2, least_batch=2), cases(least_tokens=2)), when="stand-ins", examples=3
)
def test_no_mask_reaches_each_head(student: Student, case: SequenceCase) -> Program:
    """With attn_mask=None, each head gets None or a mask of ones, so that each token changes every row."""
    module = build(student, case)
    student.forget_calls()
    reply, made = module(case.x, None), student.calls()
    first, last = case.x.copy(), case.x.copy()
    first[:, 0] += 1.5
    last[:, -1] += 1.5
    reply, made, moved = yield reply, made, [module(x, None) for x in (first, last)]
    stand_back_from_uninformative_results(readable(reply, case)._replace(alphas=None))
    expect.compared()
    stand_in_calls.expect_masks_passed_on(stand_in_calls.recorded_calls(made, case.batch), case, "a head")
    before, *after = (readable(each, case).output for each in (reply, *moved))
    for name, output in zip(("first", "last"), after, strict=True):
        if before is not None and output is not None and not np.all(np.any(before != output, axis=-1)):
            why = f"without a mask the {name} token changes only some rows of the output, though no head is given a mask"
            expect.stand_back((INPUT, PROJECTION, INDEPENDENT, MODES), why)
