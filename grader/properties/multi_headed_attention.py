"""2b MultiHeadedAttention(dim, n_hidden, num_heads): x (B, T, dim), attn_mask -> (B, T, dim), alphas (B, H, T, T).

Laws of heads and projection call the module without a mask, in evaluation mode, and take heads as the student built them:
that their number and size, the shapes, and the way of the mask are right is for other laws to say.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array
from grader.properties import common, draws, expect, fused, oracles
from grader.properties.draws import SequenceCase
from grader.properties.law import Part, Program, law

PART = Part("2b", "MultiHeadedAttention", ("AttentionHead",), (6, 4, 2), lambda: draws.plain_inputs(6))
REAL_MASKS = ("causal", "previous", "padding", "random")


def cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases in which the axis of the heads cannot be taken for another one."""
    chosen = {"dim": (2, 6), "n_hidden": (1, 5), "num_heads": (1, 4), "masks": ("none",), **how}
    return draws.sequences(**chosen).filter(lambda case: case.num_heads not in (case.batch, case.tokens))


def build(student: Student, case: SequenceCase) -> Remote:
    """The module as it is after construction, in evaluation mode."""
    module: Remote = student.MultiHeadedAttention(case.dim, case.n_hidden, case.num_heads)
    module.mode(False)
    return module


def reweigh(
    module: Remote, case: SequenceCase, rng: np.random.Generator
) -> Generator[Any, Any, dict[str, Array]]:
    """Give the module's own parameters new weights of ordinary size."""
    return common.reweigh(module, rng, lambda: common.free(module, case.x, case))


def alphas_shape(case: SequenceCase) -> tuple[int, ...]:
    """(B, H, T, T)."""
    return case.batch, case.num_heads, case.tokens, case.tokens


def readable(reply: Any, case: SequenceCase) -> tuple[Array | None, Array | None]:
    """The module's two results, as far as they can be told; their numbers need not be finite."""
    return common.two_results(reply, case.x.shape, alphas_shape(case))


def output_of(reply: Any, case: SequenceCase) -> Array:
    """The output; a violation if there is none."""
    out = readable(reply, case)[0]
    if out is None:
        raise expect.Violation(f"no output of shape (B, T, dim) = {case.x.shape} is returned")
    return common.finite(out, "output")


def alphas_of(reply: Any, case: SequenceCase) -> Array:
    """The attention weights; a violation if there are none."""
    alphas = readable(reply, case)[1]
    if alphas is None:
        raise expect.Violation(f"no attention weights of shape (B, H, T, T) = {alphas_shape(case)} are returned")
    return common.finite(alphas, "alphas")


def heads_called(
    student: Student, module: Remote, case: SequenceCase
) -> Generator[Any, Any, list[dict[str, Any]]]:
    """The calls of stand-in heads that one call without a mask makes."""
    student.forget_calls()
    common.free(module, case.x, case)
    return common.calls((yield student.calls()), case.batch)


# -- shapes ------------------------------------------------------------------------------------------------------


@law(PART, draws.multi_heads(masks=("none",)), examples=7)
def test_shapes(student: Student, case: SequenceCase) -> Program:
    """MultiHeadedAttention returns an output of shape (B, T, dim) and alphas of shape (B, H, T, T)."""
    reply = yield common.free(build(student, case), case.x, case)
    out, alphas = expect.parts(reply, 2, "MultiHeadedAttention")
    expect.shape(out, case.x.shape, "output")
    expect.shape(alphas, alphas_shape(case), "alphas")


@law(PART, cases(least_batch=2), examples=5)
def test_sequences_are_independent(student: Student, case: SequenceCase) -> Program:
    """Each sequence of a batch gets the result that it gets alone."""
    module = build(student, case)
    alone = [common.free(module, case.x[b : b + 1], case) for b in range(case.batch)]
    replies = yield [common.free(module, case.x, case), *alone]
    out, _ = readable(replies[0], case)
    if out is None:
        return
    for b, reply in enumerate(replies[1:]):
        shape = (1, *case.x.shape[1:])
        single, _ = common.two_results(reply, shape, (1, *alphas_shape(case)[1:]))
        if single is None:
            raise expect.Violation("a batch of one sequence gives no output of shape (1, T, dim)")
        expect.close(out[b : b + 1], single, "output", f"sequence {b} of the batch gets another result than alone")


@law(PART, draws.multi_heads(masks=("none",)), examples=4)
def test_x_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """x is after the call what it was before it."""
    x = student.tensor(case.x)
    _, after = yield common.free(build(student, case), x, case), x
    common.unchanged(after, case.x, "x")


@law(PART, cases(), examples=5)
def test_same_in_training_and_evaluation(student: Student, case: SequenceCase) -> Program:
    """The same input gives the same output in training and in evaluation mode."""
    module = build(student, case)
    call = lambda: common.free(module, case.x, case)  # noqa: E731
    yield from common.same_in_modes(module, call, lambda reply: readable(reply, case))


# -- heads -------------------------------------------------------------------------------------------------------


@law(PART, draws.multi_heads(masks=("none",)), world="stand-ins")
def test_num_heads_heads_of_the_given_sizes(student: Student, case: SequenceCase) -> Program:
    """There are num_heads different AttentionHeads, each with the dim and n_hidden given (n_hidden is per head)."""
    module = build(student, case)
    made = yield from heads_called(student, module, case)
    called = common.called(made)
    built = yield student.standins()
    expect.holds(
        len(called) == case.num_heads,
        f"{len(called)} different AttentionHeads take part, but num_heads is {case.num_heads}",
    )
    for index in called:
        sizes = built[index]
        expect.holds(
            (sizes["dim"], sizes["n_hidden"]) == (case.dim, case.n_hidden),
            f"an AttentionHead is built with dim={sizes['dim']}, n_hidden={sizes['n_hidden']}, "
            f"but dim={case.dim}, n_hidden={case.n_hidden} are asked for",
        )


@law(PART, cases(), world="stand-ins", examples=4)
def test_heads_are_registered(student: Student, case: SequenceCase) -> Program:
    """Each head is registered, so that its weights are among the module's parameters and are trained."""
    module = build(student, case)
    made = yield from heads_called(student, module, case)
    registered = yield module.registered()
    called = common.called(made)
    lost = [index for index in called if index not in registered]
    expect.holds(
        not lost, f"{len(lost)} of {len(called)} heads are not among the module's parameters (nn.ModuleList?)"
    )


@law(PART, cases(), world="stand-ins", examples=4)
def test_every_head_sees_the_input(student: Student, case: SequenceCase) -> Program:
    """Each head gets x itself."""
    module = build(student, case)
    for call in (yield from heads_called(student, module, case)):
        given = expect.tensor(call["x"], case.x.shape, "the input of a head")
        expect.close(
            given, case.x.astype(np.float64), "input of a head", "a head gets something other than x"
        )


@law(PART, cases(least_tokens=2), world="stand-ins")
def test_alphas_are_in_the_order_of_the_heads(student: Student, case: SequenceCase) -> Program:
    """alphas[:, h] are the attention weights of the h-th head built."""
    module = build(student, case)
    student.forget_calls()
    reply, made = yield common.free(module, case.x, case), student.calls()
    _, alphas = readable(reply, case)
    if alphas is None:
        return
    by_head = {int(call["index"]): call for call in common.calls(made, case.batch)}
    for place, index in enumerate(sorted(by_head)[: case.num_heads]):
        want = oracles.marks(common.mixing_of(by_head[index], case), 1, index, by_head[index]["x"])[:, 0]
        why = f"alphas[:, {place}] are not the weights of head {place}"
        expect.close(alphas[:, place], want, f"alphas[:, {place}]", why)


@law(PART, cases(least_tokens=2), world="stand-ins", examples=4)
def test_every_head_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output gives the input, and each head on which the output depends, a gradient."""
    module = build(student, case)
    rng = case.rng()
    weights = common.generic_weights((yield from reweigh(module, case, rng)), rng)
    module.load(weights)
    made = yield from heads_called(student, module, case)
    x = student.tensor(case.x, requires_grad=True)
    out = common.free(module, x.method("clone"), case).tensor_of(case.x.shape)
    heads = {index: student.standin(index).attribute("weight") for index in common.called(made)}
    before, found, *shapes = yield (out, student.gradients(out, None, [*heads.values(), x]), *heads.values())
    changes = []
    for index, shape in zip(heads, shapes, strict=True):
        student.standin(index).load({"weight": common.nudged(shape, rng)})
        changes.append(common.free(module, case.x, case).tensor_of(case.x.shape))
        student.standin(index).load({"weight": shape})
    changes.append(common.free(module, common.nudged(case.x, rng), case).tensor_of(case.x.shape))
    after = yield changes
    for place, (gradient, value) in enumerate(zip(found[:-1], after, strict=False)):
        common.learns(gradient, before, value, f"head {place} gets no gradient, so it never learns")
    common.learns(found[-1], before, after[-1], "no gradient reaches the input x")


# -- mask --------------------------------------------------------------------------------------------------------


@law(PART, cases(masks=("random", *REAL_MASKS), least_tokens=2, least_batch=2), world="stand-ins", examples=8)
def test_the_mask_reaches_each_head(student: Student, case: SequenceCase) -> Program:
    """Each head gets attn_mask as it was given."""
    module = build(student, case)
    student.forget_calls()
    module(case.x, case.mask)
    common.masks_arrive(common.calls((yield student.calls()), case.batch), case, "a head")


@law(PART, cases(), world="stand-ins", examples=4)
def test_no_mask_reaches_each_head(student: Student, case: SequenceCase) -> Program:
    """With attn_mask=None each head gets None, or a mask of ones."""
    module = build(student, case)
    student.forget_calls()
    module(case.x, None)
    common.masks_arrive(common.calls((yield student.calls()), case.batch), case, "a head")


@law(PART, cases(masks=REAL_MASKS), examples=5)
def test_the_mask_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """attn_mask is after the call what it was before it."""
    assert case.mask is not None
    mask = student.tensor(case.mask)
    _, after = yield build(student, case)(case.x, mask), mask
    common.unchanged(after, case.mask, "attn_mask")


# -- projection --------------------------------------------------------------------------------------------------


@law(PART, cases(least_tokens=2), world="stand-ins", examples=5)
def test_output_is_one_linear_map_of_the_heads(student: Student, case: SequenceCase) -> Program:
    """The output is one linear map W_O of the heads' outputs side by side, with nothing else added."""
    module = build(student, case)
    rng = case.rng()
    weights = yield from reweigh(module, case, rng)
    made = yield from heads_called(student, module, case)
    built = yield student.standins()
    sizes = {index: (built[index]["dim"], built[index]["n_hidden"]) for index in common.called(made)}
    first = {index: draws.numbers(rng, *shape) for index, shape in sizes.items()}
    second = {index: draws.numbers(rng, *shape) for index, shape in sizes.items()}
    zero = {index: np.zeros(shape, np.float32) for index, shape in sizes.items()}
    both = {index: first[index] + second[index] for index in sizes}
    replies, inputs = [], []
    for setting in (first, second, both, zero):
        for index, matrix in setting.items():
            student.standin(index).load({"weight": matrix})
        student.forget_calls()
        replies.append(common.free(module, case.x, case))
        inputs.append(student.calls())
    values, inputs = yield replies, inputs
    if any(not _same_calls(made, calls, case.batch) for calls in inputs):
        return  # what each head is given, and that it is the same head each time, is for other laws to say
    at_first, at_second, at_both, at_zero = (output_of(value, case) for value in values)
    bias = np.broadcast_to(at_zero[:1, :1], at_zero.shape)
    why = "with all heads at 0 the output still depends on the input: something is added to it"
    expect.close(at_zero, bias, "output", why)
    why = "the output is not linear in the heads' outputs"
    expect.close(at_both - at_second, at_first - at_zero, "output", why, scale=20)
    outputs = {
        int(call["index"]): common.mixing_of(call, case) @ call["x"].astype(np.float64) @ first[int(call["index"])]
        for call in made
    }
    in_order_of_calls = [int(call["index"]) for call in made]
    once = list(dict.fromkeys(in_order_of_calls))
    candidates = []
    for order in dict.fromkeys(map(tuple, (sorted(once), once, in_order_of_calls))):
        side_by_side = np.concatenate([outputs[index] for index in order], axis=-1)
        candidates += [
            oracles.affine(side_by_side, matrix, bias_)
            for matrix, bias_ in fused.output_maps(common.wide(weights), case.dim, side_by_side.shape[-1], len(order))
        ]
    if candidates:
        why = "the output is not W_O applied to the heads side by side"
        common.close_to_one(at_first, candidates, "output", why)


@law(PART, cases(dim=(3, 6)), world="stand-ins", examples=4)
def test_each_number_of_each_head_counts(student: Student, case: SequenceCase) -> Program:
    """Each of the n_hidden numbers of each head counts for the output, with weights of its own."""
    module = build(student, case)
    rng = case.rng()
    module.load(common.generic_weights((yield from reweigh(module, case, rng)), rng))
    made = yield from heads_called(student, module, case)
    built = yield student.standins()
    sizes = {index: (built[index]["dim"], built[index]["n_hidden"]) for index in common.called(made)}
    for index, shape in sizes.items():
        student.standin(index).load({"weight": np.zeros(shape, np.float32)})
    x, probe = np.abs(case.x), rng.uniform(0.5, 1.5, size=case.dim)
    names, replies = [], [common.free(module, x, case)]
    for place, (index, shape) in enumerate(sizes.items()):
        for column in range(shape[1]):
            matrix = np.zeros(shape, np.float32)
            matrix[:, column] = np.resize(probe, shape[0])
            student.standin(index).load({"weight": matrix})
            replies.append(common.free(module, x, case))
            names.append(f"number {column} of head {place}")
        student.standin(index).load({"weight": np.zeros(shape, np.float32)})
    values = [output_of(reply, case) for reply in (yield replies)]
    effects = [value - values[0] for value in values[1:]]
    for n, effect in enumerate(effects):
        counts = float(np.abs(effect).max(initial=0.0)) > common.LEAST_EFFECT
        expect.holds(counts, f"{names[n]} does not count for the output")
        for m in range(n):
            own = float(np.abs(effect - effects[m]).max(initial=0.0)) > common.LEAST_EFFECT
            expect.holds(own, f"{names[n]} counts for the output just as {names[m]} does")


@law(PART, cases(), world="stand-ins", examples=4)
def test_the_output_map_is_registered(student: Student, case: SequenceCase) -> Program:
    """The linear map of the output is a parameter of the module: with all of them at 0, the heads do not count."""
    module = build(student, case)
    rng = case.rng()
    weights = yield from reweigh(module, case, rng)
    module.load({name: np.zeros_like(value) for name, value in weights.items()})
    made = yield from heads_called(student, module, case)
    built = yield student.standins()
    replies = [common.free(module, case.x, case)]
    for index in common.called(made):
        shape = (built[index]["dim"], built[index]["n_hidden"])
        student.standin(index).load({"weight": draws.numbers(rng, *shape)})
    replies.append(common.free(module, case.x, case))
    before, after = [output_of(reply, case) for reply in (yield replies)]
    expect.close(after, before, "output", "the heads reach the output by weights that are not among the parameters")


@law(PART, cases(), world="stand-ins", examples=3)
def test_the_output_map_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output gives each weight of the module's own, on which the output depends, a gradient."""
    module = build(student, case)
    shape = case.x.shape
    yield from common.gradients_reach(
        student, module, case, lambda x: common.free(module, x, case).tensor_of(shape), to_input=False
    )


def _same_calls(made: list[dict[str, Any]], again: Any, batch: int) -> bool:
    """Whether two calls of the module gave the same inputs to the same heads."""
    calls = common.calls(again, batch)
    return len(calls) == len(made) and all(
        one["index"] == other["index"] and np.array_equal(one["x"], other["x"])
        for one, other in zip(made, calls, strict=True)
    )


# -- designs that hold no AttentionHead are judged whole ---------------------------------------------------------


@law(PART, cases(least_tokens=2), world="whole", examples=6)
def test_whole_heads_are_different(student: Student, case: SequenceCase) -> Program:
    """Each head has weights of its own: different heads give different attention weights, all of them distributions."""
    module = build(student, case)
    rng = case.rng()
    module.load(common.generic_weights((yield from reweigh(module, case, rng)), rng))
    x = rng.normal(size=case.x.shape).astype(np.float32)
    alphas = alphas_of((yield common.free(module, x, case)), case)
    common.distributions(alphas, "alphas")
    for head in range(1, case.num_heads):
        for other in range(head):
            why = f"heads {other} and {head} have the same attention weights"
            expect.differs(alphas[:, other], alphas[:, head], "alphas", why, least=1e-6)


@law(PART, cases(least_tokens=3), world="whole", examples=8)
def test_whole_alphas_are_attention(student: Student, case: SequenceCase) -> Program:
    """alphas[:, h] are softmax(Q K^T / sqrt(n_hidden)) of the h-th head."""
    module = build(student, case)
    weights = yield from reweigh(module, case, case.rng())
    alphas = alphas_of((yield common.free(module, case.x, case)), case)
    candidates = list(fused.all_alphas(weights, case))
    if not any(common.matches(alphas, want) for want in candidates):
        # Another layout, which may be one that is not known here.
        wrong = any(common.other_temperature(alphas, want) for want in candidates)
        why = "alphas are not softmax(Q K^T / sqrt(n_hidden)) of each head"
        expect.holds(not wrong, why, {"your alphas": expect.show(alphas)})
        results = (lambda reply: readable(reply, case)[1]), (lambda reply: readable(reply, case)[0])
        least = 4 * case.dim * case.num_heads * case.n_hidden
        yield from common.attends_in_any_layout(module, case, *results, least)


@law(PART, cases(least_tokens=2), world="whole", examples=5)
def test_whole_reordered_tokens_reorder_everything(student: Student, case: SequenceCase) -> Program:
    """Reordering the tokens reorders the alphas, and changes nothing else."""
    module = build(student, case)
    yield from reweigh(module, case, case.rng())
    order = case.rng().permutation(case.tokens)
    turned = np.ascontiguousarray(case.x[:, order])
    reply, after = yield common.free(module, case.x, case), common.free(module, turned, case)
    alphas, later = alphas_of(reply, case), alphas_of(after, case)
    why = f"with the tokens in the order {order.tolist()}"
    expect.close(later, alphas[:, :, order][:, :, :, order], "alphas", why)


@law(PART, cases(least_tokens=3), world="whole", examples=4)
def test_whole_every_weight_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output gives the input, and every weight that the output depends on, a gradient."""
    module = build(student, case)
    shape = case.x.shape
    yield from common.gradients_reach(
        student, module, case, lambda x: common.free(module, x, case).tensor_of(shape)
    )


@law(PART, cases(masks=REAL_MASKS, least_tokens=2), world="whole", examples=8)
def test_whole_masked_tokens_get_no_weight(student: Student, case: SequenceCase) -> Program:
    """alphas[b, h, i, j] is 0 for every head wherever attn_mask[b, i, j] is 0, and the rest of a row sums to 1."""
    module = build(student, case)
    yield from reweigh(module, case, case.rng())
    assert case.mask is not None
    reply, bare = yield module(case.x, case.mask), common.free(module, case.x, case)
    alphas, free = readable(reply, case)[1], readable(bare, case)[1]
    if free is None:
        return
    if alphas is None:
        raise expect.Violation("with attn_mask no attention weights of shape (B, H, T, T) are returned")
    where = np.broadcast_to((case.mask == 0)[:, None], alphas.shape)
    if not common.sound(free):
        alphas = np.nan_to_num(alphas, nan=0.0)
    expect.zero(common.finite(alphas, "alphas"), where, "alphas", "a masked token gets weight")
    if common.sound(free):
        common.distributions(alphas, "alphas")


@law(PART, cases(masks=REAL_MASKS, least_tokens=2), world="whole", examples=7)
def test_whole_masked_tokens_have_no_influence(student: Student, case: SequenceCase) -> Program:
    """Changing a token that row i may not attend to changes nothing in row i."""
    module = build(student, case)
    yield from reweigh(module, case, case.rng())
    blind, token = common.blind(case)
    other = case.x.copy()
    other[:, token] += 1.5
    turn = np.roll(np.arange(case.tokens), 1)
    replies = yield (
        module(case.x, case.mask),
        module(other, case.mask),
        common.free(module, case.x, case),
        common.free(module, np.ascontiguousarray(case.x[:, turn]), case),
    )
    out, after, plain, turned = (readable(reply, case)[0] for reply in replies)
    free = readable(replies[2], case)[1]
    if out is None or after is None or (free is not None and not common.sound(free)):
        return
    if plain is not None and turned is not None and not common.matches(turned, plain[:, turn], scale=5.0):
        return  # tokens are mixed up even without a mask
    rows = blind[:, :, None]
    why = f"the output changes with token {token}, which is masked for that row"
    out, after = common.finite(out, "output"), common.finite(after, "output")
    expect.close(np.where(rows, after, 0), np.where(rows, out, 0), "output", why, scale=5.0)


@law(PART, cases(masks=("full",)), world="whole", examples=5)
def test_whole_no_mask_is_a_mask_of_ones(student: Student, case: SequenceCase) -> Program:
    """attn_mask=None gives what a mask of ones gives."""
    module = build(student, case)
    yield from reweigh(module, case, case.rng())
    reply, bare = yield module(case.x, case.mask), module(case.x, None)
    for value, want in zip(readable(reply, case), readable(bare, case), strict=True):
        if value is not None and want is not None and np.all(np.isfinite(want)):
            expect.close(value, want, "result", "a mask of ones gives another result than None", scale=5.0)


@law(PART, cases(least_tokens=2), world="whole", examples=6)
def test_whole_output_is_one_linear_map_of_the_heads(student: Student, case: SequenceCase) -> Program:
    """The output is one linear map W_O of the heads' outputs, alphas times values, side by side."""
    module = build(student, case)
    weights = yield from reweigh(module, case, case.rng())
    reply = yield common.free(module, case.x, case)
    out, alphas = output_of(reply, case), readable(reply, case)[1]
    if alphas is None or not np.all(np.isfinite(alphas)):
        return
    nearest = None
    for want in fused.outputs(weights, case, alphas):
        gap = float(np.abs(want - out).max())
        if nearest is None or gap < nearest[0]:
            nearest = gap, want
    if nearest is not None:
        why = "the output is not W_O applied to the heads side by side"
        expect.close(out, nearest[1], "output", why, scale=5.0)


@law(PART, cases(most_tokens=1, num_heads=(2, 4)), world="whole", examples=6)
def test_whole_lone_tokens_are_mapped_linearly(student: Student, case: SequenceCase) -> Program:
    """For a lone token, whose attention weight is 1, the output is a linear map of the token."""
    module = build(student, case)
    weights = yield from reweigh(module, case, case.rng())
    x = np.ascontiguousarray(case.x[:1])
    shift = draws.numbers(case.rng(), *x.shape)
    inputs = (x, shift, x + shift, np.zeros_like(x))
    replies = [common.free(module, value, case) for value in inputs]
    module.load({name: np.zeros_like(value) for name, value in weights.items()})
    replies += [common.free(module, value, case) for value in (x, shift)]
    outputs = []
    for reply in (yield replies):
        out, alphas = common.two_results(reply, x.shape, (1, case.num_heads, 1, 1))
        if out is None:
            raise expect.Violation("a lone token gives no output of shape (1, 1, dim)")
        if alphas is not None and not common.sound(alphas):
            return
        outputs.append(common.finite(out, "output"))
    at_x, at_shift, at_both, at_zero, empty, moved = outputs
    why = "with all parameters at 0 the output still depends on x: something is added to it"
    expect.close(moved, empty, "output", why)
    why = "the output of a lone token is not linear in it"
    expect.close(at_both - at_shift, at_x - at_zero, "output", why, scale=20)
