"""2c Transformer(dim, attn_dim, mlp_dim, num_heads, num_layers): x (B, T, dim), attn_mask -> (B, T, dim), alphas.

The alphas are None or of shape (B, L, H, T, T). Laws of layers call the module without a mask, in evaluation mode; laws of
masks and alphas take the layers as they are.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array
from grader.properties import common, draws, expect, oracles
from grader.properties.draws import SequenceCase
from grader.properties.law import Part, Program, law

PART = Part(
    "2c", "Transformer", ("AttentionResidual",), (4, 3, 5, 2, 2), lambda: draws.plain_inputs(4)
)
REAL_MASKS = ("causal", "previous", "padding", "random")


def cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases without a mask, unless others are asked for."""
    return draws.transformers(**{"masks": ("none",), **how})


def told_apart(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases in which alphas with layers first cannot be taken for alphas with sequences first: that is another family's."""
    return cases(**how).filter(lambda case: case.batch != case.num_layers)


def build(student: Student, case: SequenceCase) -> Remote:
    """The module as it is after construction, in evaluation mode."""
    module: Remote = student.Transformer(
        case.dim, case.attn_dim, case.mlp_dim, case.num_heads, case.num_layers
    )
    module.mode(False)
    return module


def readable(reply: Any, shape: tuple[int, ...]) -> Array | None:
    """The first result, or the only one, as far as it can be told; its numbers need not be finite."""
    first = reply[0] if isinstance(reply, tuple | list) and reply else reply
    return common.fitting(first, shape)


def output_of(reply: Any, case: SequenceCase) -> Array:
    """The output; a violation if there is none."""
    out = readable(reply, case.x.shape)
    if out is None:
        raise expect.Violation(f"no output of shape (B, T, dim) = {case.x.shape} is returned")
    return common.finite(out, "output")


def all_alphas(reply: Any, case: SequenceCase, layers: int, heads: int) -> Array:
    """The second result, checked: (B, L, H, T, T)."""
    shape = (case.batch, layers, heads, case.tokens, case.tokens)
    return expect.tensor(expect.parts(reply, 2, "Transformer")[1], shape, "alphas")


def by_chance(module: Remote, case: SequenceCase) -> Generator[Any, Any, bool]:
    """Whether chance is at work in the module."""
    shape = (common.MANY, *case.x.shape[1:])
    call = lambda x: common.free(module, x, case)  # noqa: E731
    return (yield from common.by_chance(call, case.x, lambda reply: readable(reply, shape)))


# -- shapes ------------------------------------------------------------------------------------------------------


@law(PART, cases(), examples=6)
def test_shapes(student: Student, case: SequenceCase) -> Program:
    """Transformer returns an output of shape (B, T, dim)."""
    reply = yield common.free(build(student, case), case.x, case)
    out = reply[0] if isinstance(reply, tuple | list) and reply else reply
    expect.shape(out, case.x.shape, "output")


@law(PART, cases(least_batch=2), examples=5)
def test_sequences_are_independent(student: Student, case: SequenceCase) -> Program:
    """Each sequence of a batch gets the result that it gets alone."""
    module = build(student, case)
    alone = [common.free(module, case.x[b : b + 1], case) for b in range(case.batch)]
    replies = yield [common.free(module, case.x, case), *alone]
    out = readable(replies[0], case.x.shape)
    if out is None:
        return
    for b, reply in enumerate(replies[1:]):
        single = readable(reply, (1, *case.x.shape[1:]))
        if single is None:
            raise expect.Violation("a batch of one sequence gives no output of shape (1, T, dim)")
        expect.close(out[b : b + 1], single, "output", f"sequence {b} of the batch gets another result than alone")


@law(PART, cases(), examples=5)
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
    yield from common.same_in_modes(module, call, lambda reply: (readable(reply, case.x.shape),))


# -- layers ------------------------------------------------------------------------------------------------------


@law(PART, cases(), world="stand-ins", examples=10)
def test_num_layers_blocks_of_the_given_sizes(student: Student, case: SequenceCase) -> Program:
    """There are num_layers different AttentionResidual blocks, each built with the sizes given, in their places."""
    module = build(student, case)
    common.free(module, case.x, case)
    calls, built = yield student.calls(), student.standins()
    called = common.called(calls)
    expect.holds(
        len(called) == case.num_layers,
        f"{len(called)} different AttentionResidual blocks take part, but num_layers is {case.num_layers}",
    )
    wanted = {name: case.sizes[name] for name in ("dim", "attn_dim", "mlp_dim", "num_heads")}
    for index in called:
        made = {name: built[index][name] for name in wanted}
        why = f"an AttentionResidual is built with {_sizes(made)}, but {_sizes(wanted)} are asked for"
        expect.holds(made == wanted, why)


@law(PART, cases(), world="stand-ins", examples=4)
def test_blocks_are_registered(student: Student, case: SequenceCase) -> Program:
    """Each block is registered, so that its weights are among the module's parameters and are trained."""
    module = build(student, case)
    common.free(module, case.x, case)
    calls, registered = yield student.calls(), module.registered()
    called = common.called(calls)
    lost = [index for index in called if index not in registered]
    expect.holds(
        not lost, f"{len(lost)} of {len(called)} blocks are not among the module's parameters (nn.ModuleList?)"
    )


@law(PART, cases(least_layers=2), world="stand-ins", examples=6)
def test_blocks_in_sequence_and_nothing_else(student: Student, case: SequenceCase) -> Program:
    """The output is x passed through the blocks in the order in which they were built, and nothing else is done to it."""
    module = build(student, case)
    rng = case.rng()
    yield from common.reweigh(module, rng)
    common.free(module, case.x, case)
    calls, built = yield student.calls(), student.standins()
    made = {int(call["index"]): call for call in common.calls(calls, case.batch)}
    weights = {index: draws.numbers(rng, built[index]["dim"], built[index]["dim"]) for index in made}
    for index, matrix in weights.items():
        student.standin(index).load({"weight": matrix})
    got = output_of((yield common.free(module, case.x, case)), case)
    if (yield from by_chance(module, case)):
        return
    want = case.x.astype(np.float64)
    for index in sorted(made):
        want = want + common.mixing_of(made[index], case) @ want @ weights[index].astype(np.float64)
    why = "the output is not x passed through the blocks one after the other"
    expect.close(got, want, "output", why)


@law(PART, cases(), world="stand-ins", examples=5)
def test_every_block_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output gives the input, and each block on which the output depends, a gradient."""
    module = build(student, case)
    rng = case.rng()
    common.free(module, case.x, case)
    called = common.called((yield student.calls()))
    x = student.tensor(case.x, requires_grad=True)
    out = common.free(module, x.method("clone"), case).tensor_of(case.x.shape)
    blocks = {index: student.standin(index).attribute("weight") for index in called}
    before, found, *held = yield out, student.gradients(out, None, [*blocks.values(), x]), *blocks.values()
    changes = []
    for index, weight in zip(blocks, held, strict=True):
        student.standin(index).load({"weight": common.nudged(weight, rng)})
        changes.append(common.free(module, case.x, case).tensor_of(case.x.shape))
        student.standin(index).load({"weight": weight})
    changes.append(common.free(module, common.nudged(case.x, rng), case).tensor_of(case.x.shape))
    after = yield changes
    for place, (gradient, value) in enumerate(zip(found[:-1], after, strict=False)):
        common.learns(gradient, before, value, f"block {place} gets no gradient, so it never learns")
    common.learns(found[-1], before, after[-1], "no gradient reaches the input x")


# -- mask --------------------------------------------------------------------------------------------------------


@law(
    PART,
    cases(masks=("random", *REAL_MASKS), least_tokens=2, least_batch=2, least_layers=3),
    world="stand-ins",
    examples=10,
)
def test_the_mask_reaches_each_block(student: Student, case: SequenceCase) -> Program:
    """Each block gets attn_mask as it was given."""
    module = build(student, case)
    module(case.x, case.mask)
    common.masks_arrive(common.calls((yield student.calls()), case.batch), case, "a block")


@law(PART, cases(), world="stand-ins", examples=4)
def test_no_mask_reaches_each_block(student: Student, case: SequenceCase) -> Program:
    """With attn_mask=None each block gets None, or a mask of ones."""
    module = build(student, case)
    module(case.x, None)
    common.masks_arrive(common.calls((yield student.calls()), case.batch), case, "a block")


@law(PART, cases(masks=REAL_MASKS), examples=5)
def test_the_mask_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """attn_mask is after the call what it was before it."""
    assert case.mask is not None
    mask = student.tensor(case.mask)
    _, after = yield build(student, case)(case.x, mask), mask
    common.unchanged(after, case.mask, "attn_mask")


# -- alphas ------------------------------------------------------------------------------------------------------


@law(PART, cases(), examples=5)
def test_no_alphas_unless_asked(student: Student, case: SequenceCase) -> Program:
    """With return_attn=False, which is the default, None stands in the place of the alphas."""
    module = build(student, case)
    ones = np.ones((case.batch, case.tokens, case.tokens), np.float32)
    denied = {"return_attn": False}
    explicit = module.any_way((case.x, None, denied), (case.x, ones, denied), (case.x, None, False), (case.x, denied))
    replies = yield common.free(module, case.x, case), explicit
    for reply in replies:
        second = expect.parts(reply, 2, "Transformer")[1]
        why = f"without return_attn the second result is {expect.show(second)}, but has to be None"
        expect.holds(second is None, why)


@law(PART, cases(least_tokens=2, least_layers=2), world="stand-ins", examples=8)
def test_alphas_are_in_the_order_of_the_layers(student: Student, case: SequenceCase) -> Program:
    """With return_attn=True the alphas have shape (B, L, H, T, T), and alphas[:, l] are those of the l-th block."""
    module = build(student, case)
    reply = with_alphas(module, case)
    reply, calls, built = yield reply, student.calls(), student.standins()
    made = common.calls(calls, case.batch)
    heads = built[int(made[0]["index"])]["num_heads"]
    first = list({int(call["index"]): call for call in reversed(made)}.values())[::-1]
    second = expect.parts(reply, 2, "Transformer")[1]
    if isinstance(second, np.ndarray) and second.ndim == 5 and second.shape[1] == len(first):
        made = first  # a block that is called again is the layers' matter
    alphas = all_alphas(reply, case, len(made), heads)
    for place, call in enumerate(made):
        want = oracles.marks(common.mixing_of(call, case), heads, int(call["index"]), call["x"])
        why = f"alphas[:, {place}] are not those of layer {place}"
        expect.close(alphas[:, place], want, f"alphas[:, {place}]", why)


@law(PART, cases(), examples=4)
def test_alphas_change_nothing(student: Student, case: SequenceCase) -> Program:
    """The output is the same with return_attn=True and without."""
    module = build(student, case)
    chance = yield from by_chance(module, case)
    plain, full = yield common.free(module, case.x, case), with_alphas(module, case)
    before, after = readable(plain, case.x.shape), readable(full, case.x.shape)
    if before is not None and np.all(np.isfinite(before)) and not chance:
        if after is None:
            raise expect.Violation(f"with return_attn=True no output of shape {case.x.shape} is returned")
        expect.close(after, before, "output", "return_attn=True gives another output")


def with_alphas(module: Remote, case: SequenceCase, x: Array | None = None) -> Remote:
    """Ask for the alphas, by keyword, as the provided classes do, or else by place."""
    x = case.x if x is None else x
    ones = np.ones((case.batch, case.tokens, case.tokens), np.float32)
    asked = {"return_attn": True}
    return module.any_way(
        (x, None, asked), (x, ones, asked), (x, None, True), (x, ones, True), (x, asked)
    )


# -- designs that build no AttentionResidual are judged whole ----------------------------------------------------


@law(PART, cases(least_tokens=3), world="whole", examples=4)
def test_whole_every_weight_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output gives the input, and every weight that the output depends on, a gradient."""
    module = build(student, case)
    yield from common.gradients_reach(
        student, module, case, lambda x: common.free(module, x, case).tensor_of(case.x.shape)
    )


@law(PART, cases(least_tokens=3, least_layers=2), world="whole", examples=4)
def test_whole_layers_have_weights_of_their_own(student: Student, case: SequenceCase) -> Program:
    """num_layers layers have num_layers times the weights of one layer, and each a network of inner size mlp_dim."""
    sizes = (case.dim, case.attn_dim, case.mlp_dim, case.num_heads)
    wider = (case.dim, case.attn_dim, case.mlp_dim + 1, case.num_heads)
    modules = [student.Transformer(*sizes, count) for count in (1, case.num_layers)]
    modules.append(student.Transformer(*wider, case.num_layers))
    outs = [common.free(module, case.x, case).tensor_of(case.x.shape) for module in modules]
    found = yield [student.parameter_gradients(out, None, module) for out, module in zip(outs, modules, strict=True)]
    one, all_of_them, with_wider = (_used(gradients) for gradients in found)
    expect.holds(
        all_of_them == case.num_layers * one,
        f"one layer has {one} weights that count, but {case.num_layers} layers have {all_of_them}",
    )
    grows = (with_wider - all_of_them) / case.num_layers
    expect.holds(
        grows in (2 * case.dim, 2 * case.dim + 1),
        f"for one more in mlp_dim a layer has {grows:g} more weights that count, but two linear maps need {2 * case.dim + 1}",
    )


@law(PART, cases(least_tokens=3).filter(lambda case: case.dim > 2), world="whole", examples=4)
def test_whole_nothing_but_registered_layers(student: Student, case: SequenceCase) -> Program:
    """Nothing but the layers changes x: with all parameters at 0 the output is x, and attention gets it not normalised."""
    module = build(student, case)
    weights = yield from common.reweigh(module, case.rng())
    replies = [with_alphas(module, case, x) for x in (0.5 * case.x, case.x + np.float32(0.5))]
    module.load({name: np.zeros_like(value) for name, value in weights.items()})
    empty, *replies = yield [common.free(module, case.x, case), *replies]
    why = "something other than the registered layers changes x"
    expect.close(output_of(empty, case), case.x.astype(np.float64), "output", why)
    shape = (case.batch, case.num_layers, case.num_heads, case.tokens, case.tokens)
    values = [reply[1] if isinstance(reply, tuple | list) and len(reply) > 1 else None for reply in replies]
    plain, moved = (common.fitting(value, shape) for value in values)
    if plain is not None and moved is not None and plain[:, 0].max() < 0.9:
        why = "the first layer's attention weights stay the same when x is doubled and shifted: it is normalised before"
        expect.differs(moved[:, 0], plain[:, 0], "alphas[:, 0]", why, least=1e-3)


@law(PART, cases(masks=("previous",), least_tokens=5).filter(lambda case: case.dim > 2), world="whole", examples=5)
def test_whole_reach_grows_by_one_token_a_layer(student: Student, case: SequenceCase) -> Program:
    """With a mask of self and previous token, each layer lets a token see one more token back, and no further."""
    module = build(student, case)
    yield from common.reweigh(module, case.rng())
    other = case.x.copy()
    other[:, 0] += 2.0 * np.where(np.arange(case.dim) % 2, 1, -0.5)
    reply, changed = yield module(case.x, case.mask), module(other, case.mask)
    gap = np.abs(output_of(reply, case) - output_of(changed, case)).max(axis=(0, 2))
    reach = case.num_layers
    beyond = np.arange(case.tokens) > reach
    expect.zero(
        gap, beyond, "the change of the output at token", "a token that the mask hides has influence", most=1e-5
    )
    if reach < case.tokens:
        expect.holds(gap[reach] > 0, f"after {reach} layers token {reach} does not see token 0")


@law(PART, told_apart(masks=REAL_MASKS, least_tokens=2), world="whole", examples=5)
def test_whole_masked_tokens_get_no_weight(student: Student, case: SequenceCase) -> Program:
    """alphas[b, l, h, i, j] is 0 in every layer and head wherever attn_mask[b, i, j] is 0."""
    assert case.mask is not None
    reply = yield build(student, case)(case.x, case.mask, return_attn=True)
    values = reply if isinstance(reply, tuple | list) else [reply]
    shape = (case.batch, case.num_layers, case.num_heads, case.tokens, case.tokens)
    alphas = common.fitting(values[1], shape) if len(values) > 1 else None
    if alphas is not None:
        where = np.broadcast_to((case.mask == 0)[:, None, None], alphas.shape)
        expect.zero(common.finite(alphas, "alphas"), where, "alphas", "a masked token gets weight")


@law(PART, told_apart(least_tokens=2), world="whole", examples=4)
def test_whole_layers_are_different(student: Student, case: SequenceCase) -> Program:
    """Each layer has weights of its own: different layers give different attention weights."""
    module = build(student, case)
    rng = case.rng()
    module.load(common.generic_weights((yield from common.reweigh(module, rng)), rng))
    reply = yield with_alphas(module, case)
    values = reply if isinstance(reply, tuple | list) else [reply]
    shape = (case.batch, case.num_layers, case.num_heads, case.tokens, case.tokens)
    alphas = common.fitting(values[1], shape) if len(values) > 1 else None
    for layer in range(1, case.num_layers if alphas is not None else 0):
        assert alphas is not None
        why = f"layers {layer - 1} and {layer} have the same alphas"
        expect.differs(alphas[:, layer - 1], alphas[:, layer], "alphas", why, least=1e-6)


@law(PART, cases(least_tokens=2), world="whole", examples=4)
def test_whole_alphas_of_all_layers(student: Student, case: SequenceCase) -> Program:
    """With return_attn=True the alphas have shape (B, L, H, T, T), and their rows sum to 1."""
    alphas = all_alphas((yield with_alphas(build(student, case), case)), case, case.num_layers, case.num_heads)
    common.distributions(alphas, "alphas")


def _used(gradients: Any) -> int:
    """How many numbers there are in the weights that the output depends on."""
    found = gradients.values() if isinstance(gradients, dict) else ()
    return sum(value.size for value in found if isinstance(value, np.ndarray))


def _sizes(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name}={size}" for name, size in sizes.items())
