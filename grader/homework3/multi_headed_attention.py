"""2b MultiHeadedAttention(dim, n_hidden, num_heads): x (B, T, dim), attn_mask -> (B, T, dim), alphas (B, H, T, T).

Where the module is built from AttentionHeads, stand-ins take their place and record what they are given. Where it holds none,
or works with the student's own only, it is judged whole: maps of each head's scores and of what it adds to the output are
fitted to a few results and predict others (`identify`), whatever the layout of the weights.

Each fault costs its own criterion, as for `attention_head`. Properties of projection give the module one sequence at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from grader.homework3 import common, gradients, identify, oracles, strategies
from grader.homework3.excuses import Judged, Results, alike, holds, is_constant, is_even, or_else, plain
from grader.homework3.strategies import SequenceCase
from grader.judging import expect
from grader.judging.property import Part, Program, property_of
from grader.kernel.remote import Remote, Student, StudentError
from grader.kernel.wire import Array

PART = Part("2b", "MultiHeadedAttention", ("AttentionHead",), (6, 4, 2), lambda: strategies.plain_inputs(6))
REAL_MASKS = ("causal", "previous", "padding", "random")

SHAPES = "multi_headed_attention.test_shapes"
INDEPENDENT = "multi_headed_attention.test_sequences_are_independent"
MODES = "multi_headed_attention.test_same_in_training_and_evaluation"
HEADS = "multi_headed_attention.test_num_heads_heads_of_the_given_sizes"
ORDER = "multi_headed_attention.test_alphas_are_in_the_order_of_the_heads"
INPUT = "multi_headed_attention.test_every_head_sees_the_input"
MASKS = "multi_headed_attention.test_the_mask_reaches_each_head"
REGISTERED = "multi_headed_attention.test_heads_are_registered"
NO_MASK = "multi_headed_attention.test_no_mask_reaches_each_head"
PROJECTION = "multi_headed_attention.test_output_is_one_linear_map_of_the_heads"
WHOLE_ALPHAS = "multi_headed_attention.test_whole_alphas_are_attention"
WHOLE_VALUES = "multi_headed_attention.test_whole_heads_have_weights_of_their_own"
WHOLE_MASKS = "multi_headed_attention.test_whole_masked_tokens_get_no_weight"
WHOLE_INFLUENCE = "multi_headed_attention.test_whole_masked_tokens_have_no_influence"
WHOLE_NO_MASK = "multi_headed_attention.test_whole_no_mask_is_a_mask_of_ones"
WHOLE_PROJECTION = "multi_headed_attention.test_whole_output_is_one_linear_map_of_the_heads"
WHOLE_LONE = "multi_headed_attention.test_whole_lone_tokens_are_mapped_linearly"
WHOLE_LEARNING = "multi_headed_attention.test_whole_every_weight_learns"


def cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases in which the axis of the heads cannot be taken for another one."""
    chosen = {"dim": (2, 6), "n_hidden": (1, 5), "num_heads": (1, 4), "masks": ("none",), **how}
    return strategies.sequences(**chosen).filter(lambda case: case.num_heads not in (case.batch, case.tokens))


def many_heads(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases with more heads than the homework has."""
    return cases(**{"num_heads": (5, 6), "n_hidden": (1, 3), "dim": (3, 6), "least_tokens": 2, "most_tokens": 4, **how})


def square_cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases with H = B = T = n_hidden, where a wrong axis has the right size."""
    same = {"least_batch": 3, "most_batch": 3, "masks": ("none",), **how}
    return strategies.square_sequences(3, 3, "num_heads", "n_hidden", dim=(3, 6), **same)


def long_cases(mask: str = "none", batch: int = 1) -> SearchStrategy[SequenceCase]:
    """Cases with a token more than the homework's images have, and small heads."""
    return strategies.long_sequences(mask, batch=batch, tokens=66, dim=6, n_hidden=3, num_heads=3)


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


@dataclass(frozen=True)
class Way:
    """How a module is called where nothing is hidden."""

    ones: bool = False

    def call(self, student: Student, module: Remote, x: Any, shape: tuple[int, ...] | None = None) -> Remote:
        """Call a module without a mask: with None, or with a mask of ones, or with whatever it takes."""
        batch, tokens = (shape or x.shape)[:2]
        x = student.tensor(x) if isinstance(x, np.ndarray) else x
        ones = np.ones((batch, tokens, tokens), np.float32)
        ways = ((x, ones), (x, None)) if self.ones else ((x, None), (x, ones))
        return module.any_way(*ways, (x,))


def masked(module: Remote, x: Any, mask: Any) -> Remote:
    """Call a module with a mask; without, if it takes none, which is for the properties of masks to find."""
    return module.any_way((x, mask), (x, None), (x,))


def given(student: Student, module: Remote, x: Any, mask: Any) -> Remote:
    """Call a module with the case's mask, or without one."""
    return Way().call(student, module, x) if mask is None else masked(module, x, mask)


def alphas_shape(case: SequenceCase) -> tuple[int, ...]:
    """(B, H, T, T)."""
    return case.batch, case.num_heads, case.tokens, case.tokens


def readable(reply: Any, case: SequenceCase, x: Array | None = None) -> Results:
    """The module's two results, as far as they can be told; their numbers need not be finite."""
    batch, tokens = (case.x if x is None else x).shape[:2]
    shapes = (batch, tokens, case.dim), (batch, case.num_heads, tokens, tokens)
    return common.two_results(reply, *shapes)


def output_of(results: Results) -> Array:
    """The output; a violation if there is none."""
    if results[0] is None:
        raise expect.Violation("no output of shape (B, T, dim) is returned")
    return common.finite(results[0], "output")


def alphas_of(results: Results) -> Array:
    """The attention weights; a violation if there are none."""
    if results[1] is None:
        raise expect.Violation("no attention weights of shape (B, H, T, T) are returned")
    return common.finite(results[1], "alphas")


def heads_called(
    student: Student, module: Remote, case: SequenceCase
) -> Generator[Any, Any, list[dict[str, Any]]]:
    """The calls of stand-in heads that one call makes, with the case's mask if there is one."""
    student.forget_calls()
    given(student, module, case.x, case.mask)
    return common.calls((yield student.calls()), case.batch)


def either_way(program: Callable[[Way], Judged], student: Student, case: SequenceCase) -> Judged:
    """Hold a program that calls modules without a mask.

    What fails with None and holds with a mask of ones is a matter of masks, if the two differ.
    """
    violation = None
    try:
        yield from program(Way())
    except expect.Violation as found:
        violation = found
    if violation is not None:
        if (yield from holds(program(Way(ones=True)))) and (yield from _none_is_no_ones(student, case)):
            why = "it is right with a mask of ones, but not with attn_mask=None"
            expect.stand_back((NO_MASK, WHOLE_NO_MASK), why, compared=True)
        raise violation


def _none_is_no_ones(student: Student, case: SequenceCase) -> Generator[Any, Any, bool]:
    """Whether None and a mask of ones give different results."""
    module = build(student, case)
    one, other = yield [way.call(student, module, case.x) for way in (Way(ones=True), Way())]
    return not alike(readable(one, case), readable(other, case))


def by_chance(call: Callable[[], Remote], case: SequenceCase) -> Judged:
    """Stand back if two equal calls give different results."""
    first, second = yield call(), call()
    if not alike(readable(first, case), readable(second, case)):
        expect.stand_back(MODES, "two equal calls give different results")


def showing(results: Results) -> None:
    """Stand back from results that show nothing of what a mask does: a constant output, or even weights."""
    out, alphas = results
    if out is not None and is_constant(out):
        to = (PROJECTION, WHOLE_PROJECTION, WHOLE_LONE, WHOLE_ALPHAS)
        expect.stand_back(to, "the output is the same for every token")
    if is_even(alphas):
        expect.stand_back((ORDER, WHOLE_ALPHAS), "every token gets the same attention weight")


# -- shapes ------------------------------------------------------------------------------------------------------


@property_of(
    PART,
    (
        strategies.multi_heads(masks=("none",)),
        cases(masks=REAL_MASKS, least_batch=2, least_tokens=2),
        square_cases(masks=REAL_MASKS),
        strategies.multi_heads(masks=("full",), most_tokens=1, least_batch=2),
        strategies.long_sequences("causal", batch=2, dim=128, n_hidden=64, num_heads=3),
    ),
    examples=5,
)
def test_shapes(student: Student, case: SequenceCase) -> Program:
    """MultiHeadedAttention returns an output of shape (B, T, dim) and alphas of shape (B, H, T, T), with a mask and without."""
    module = build(student, case)
    x = student.tensor(case.x)
    ones = np.ones((case.batch, case.tokens, case.tokens), np.float32)
    # By keyword, as AttentionResidual does; whatever the mask is called is for the properties of masks to find.
    calls = [module.any_way((x, {"attn_mask": None}), ({"x": x, "attn_mask": ones},), (x, None), (x, ones), (x,))]
    if case.mask is not None:
        calls.append(masked(module, x, case.mask))
    for reply, how in zip((yield calls), ("", " with a mask"), strict=False):
        if how and any(value is None for value in readable(reply, case)):
            expect.stand_back((MASKS, WHOLE_MASKS), "with a mask no results of the right size are returned")
        out, alphas = expect.parts(reply, 2, f"MultiHeadedAttention{how}")
        expect.shape(out, case.x.shape, f"output (B, T, dim){how}")
        expect.shape(alphas, alphas_shape(case), f"alphas (B, H, T, T){how}")


@property_of(PART, cases(least_batch=2, least_tokens=2), examples=3)
def test_sequences_are_independent(student: Student, case: SequenceCase) -> Program:
    """Each sequence of a batch gets the result that it gets alone."""

    def program(way: Way) -> Judged:
        module = build(student, case)
        alone = [case.x[b : b + 1] for b in range(case.batch)]
        replies = [way.call(student, module, case.x), *(way.call(student, module, x) for x in alone)]
        whole, *singles = yield replies
        out, alphas = readable(whole, case)
        if out is None:
            expect.stand_back((SHAPES, PROJECTION, WHOLE_PROJECTION), "no output of shape (B, T, dim) is returned")
        for b, (single, x) in enumerate(zip(singles, alone, strict=True)):
            why = f"sequence {b} of the batch gets another result than alone"
            single_out, single_alphas = readable(single, case, x)
            if single_out is None:
                raise expect.Violation("a batch of one sequence gives no output of shape (1, T, dim)")
            expect.close(out[b : b + 1], single_out, "output", why)
            if alphas is None or single_alphas is None or not common.sound(single_alphas):
                continue
            if not common.matches(alphas[b : b + 1], single_alphas) and (yield student.standins()):
                expect.stand_back(ORDER, "alphas are those of another sequence or head")
            expect.close(alphas[b : b + 1], single_alphas, "alphas", why)

    yield from either_way(program, student, case)


@property_of(PART, strategies.multi_heads(masks=("none",)), examples=2)
def test_x_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """x is after the call what it was before it."""
    x = student.tensor(case.x)
    _, after = yield Way().call(student, build(student, case), x, case.x.shape), x
    common.unchanged(after, case.x, "x")


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=2), examples=3)
def test_same_in_training_and_evaluation(student: Student, case: SequenceCase) -> Program:
    """The same input gives the same output in training and in evaluation mode, with a mask and without."""
    module = build(student, case)
    calls: list[Callable[[], Remote]] = [
        lambda: Way().call(student, module, case.x),
        lambda: masked(module, case.x, case.mask),
    ]
    recorded: list[Remote] = []
    made: list[Remote] = []
    # All without a mask come first: a mask that stays in use is the mask's matter.
    for call in calls:
        for training, times in ((True, 2), (False, 1)):
            module.mode(training)
            student.forget_calls()
            recorded += [call() for _ in range(times)]
            made.append(student.calls())
    replies, seen = yield recorded, made
    results = [readable(reply, case) for reply in replies]
    for how, (first, second, late) in (("", results[:3]), ("with a mask ", results[3:])):
        for again, why in (
            (second, f"{how}the same input gives another result the second time"),
            (late, f"{how}evaluation mode gives another result than training mode"),
        ):
            yield from or_else(
                lambda: _same(first, again, why),  # noqa: B023
                _by_mask_of_a_mode(seen[2:], case),
                _by_leak(case, first, late),
            )


def _same(first: Results, again: Results, why: str) -> None:
    for value, other in zip(first, again, strict=True):
        if value is not None and other is not None:
            expect.close(plain(other), plain(value), "the result", why)


def _by_mask_of_a_mode(seen: list[Any], case: SequenceCase) -> Judged:
    """Stand back if the heads get the mask in one mode, and not in the other."""
    arrive = []
    for made in seen:
        if isinstance(made, list) and made:
            arrive.append((yield from holds(_masks_of(made, case))))
    if arrive and not all(arrive):
        expect.stand_back(MASKS, "the heads do not get the mask in both modes")


def _masks_of(made: Any, case: SequenceCase) -> Judged:
    common.masks_arrive(common.calls(made), case, "a head")
    yield from ()


def _by_leak(case: SequenceCase, *found: Results) -> Judged:
    """Stand back if a masked token gets weight in one of the modes, and not in the other."""
    assert case.mask is not None
    leaks = [
        float(np.where(case.mask[:, None] == 0, np.abs(plain(alphas)), 0.0).max()) > expect.MASKED
        for _, alphas in found
        if alphas is not None
    ]
    if any(leaks) and not all(leaks):
        expect.stand_back((MASKS, WHOLE_MASKS), "a masked token gets weight in one of the modes")
    yield from ()


# -- heads -------------------------------------------------------------------------------------------------------


@property_of(PART, (strategies.multi_heads(masks=("none",)), many_heads(), long_cases()), world="stand-ins", examples=4)
def test_num_heads_heads_of_the_given_sizes(student: Student, case: SequenceCase) -> Program:
    """There are num_heads different AttentionHeads, each with the dim and n_hidden given (n_hidden is per head)."""
    module = build(student, case)
    made = yield from heads_called(student, module, case)
    called = common.called(made)
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
            f"but dim={case.dim}, n_hidden={case.n_hidden} are asked for",
        )


@property_of(PART, (cases(), many_heads()), world="stand-ins", examples=3)
def test_heads_are_registered(student: Student, case: SequenceCase) -> Program:
    """Each head is registered, so that its weights are among the module's parameters and are trained."""
    module = build(student, case)
    made = yield from heads_called(student, module, case)
    called = common.called(made)
    lost = yield from common.out_of_reach(student, module, called)
    expect.holds(
        not lost, f"{len(lost)} of {len(called)} heads are not among the module's parameters (nn.ModuleList?)"
    )


@property_of(PART, (cases(), cases(masks=REAL_MASKS)), world="stand-ins", examples=3)
def test_every_head_sees_the_input(student: Student, case: SequenceCase) -> Program:
    """Each head gets x itself."""
    module = build(student, case)
    for call in (yield from heads_called(student, module, case)):
        got = expect.tensor(call["x"], case.x.shape, "the input of a head")
        expect.close(got, case.x.astype(np.float64), "input of a head", "a head gets something other than x")


@property_of(
    PART,
    (cases(least_tokens=2), cases(least_tokens=2, masks=REAL_MASKS), many_heads()),
    world="stand-ins",
    examples=4,
)
def test_alphas_are_in_the_order_of_the_heads(student: Student, case: SequenceCase) -> Program:
    """alphas[:, h] are the attention weights of the h-th head built, in one call after the other."""
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
        by_head = {int(call["index"]): call for call in common.calls(made, case.batch)}
        for place, index in enumerate(sorted(by_head)[: case.num_heads]):
            mixing = common.mixing_of(by_head[index], case)
            want = oracles.marks(mixing, 1, index, by_head[index]["x"])[:, 0]
            why = f"alphas[:, {place}] are not the weights of head {place}"
            expect.close(alphas[:, place], want, f"alphas[:, {place}]", why)


@property_of(PART, (cases(least_tokens=2), cases(least_tokens=2, masks=REAL_MASKS)), world="stand-ins", examples=2)
def test_every_head_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output gives the input, and each head on which the output depends, a gradient."""
    module = build(student, case)
    rng = case.rng()
    weights = common.generic_weights((yield from reweigh(module, case, rng)), rng)
    module.load(weights)
    module.mode(True)
    made = yield from heads_called(student, module, case)

    def call(x: Array) -> Remote:
        return given(student, module, x, case.mask).tensor_of(case.x.shape)

    leaf = student.tensor(case.x, requires_grad=True)
    out = _given_leaf(student, module, leaf, case).tensor_of(case.x.shape)
    heads = {index: student.standin(index).attribute("weight") for index in common.called(made)}
    before, found, *shapes = yield (out, student.gradients(out, None, [*heads.values(), leaf]), *heads.values())
    changes = []
    for index, shape in zip(heads, shapes, strict=True):
        student.standin(index).load({"weight": common.nudged(shape, rng)})
        changes.append(call(case.x))
        student.standin(index).load({"weight": shape})
    along = rng.normal(size=case.x.shape).astype(np.float32)
    changes += [call(case.x + np.float32(step) * along) for step in (gradients.STEP, -gradients.STEP)]
    *after, up, down = yield changes
    if not common.fits((yield call(case.x)), before):
        expect.stand_back(MODES, "the output changes by chance")
    for place, (gradient, value) in enumerate(zip(found[:-1], after, strict=False)):
        common.learns(gradient, before, value, f"head {place} gets no gradient, so it never learns")
    by_x = float((found[-1] * along).sum()) if isinstance(found[-1], np.ndarray) else 0.0
    right = gradients.agrees(before, up, down, by_x)
    expect.holds(right, "the gradient that reaches the input x is not that of the output")


def _given_leaf(student: Student, module: Remote, leaf: Remote, case: SequenceCase) -> Remote:
    x = leaf.method("clone")  # not a leaf: that x is changed is for another property to say
    return Way().call(student, module, x, case.x.shape) if case.mask is None else masked(module, x, case.mask)


# -- mask --------------------------------------------------------------------------------------------------------


@property_of(
    PART,
    (
        cases(masks=("random", *REAL_MASKS), least_tokens=3, least_batch=2),
        long_cases("random", batch=2),
        many_heads(masks=REAL_MASKS, least_tokens=3),
    ),
    world="stand-ins",
    examples=4,
)
def test_the_mask_reaches_each_head(student: Student, case: SequenceCase) -> Program:
    """Each head gets attn_mask as it was given, for one mask after the other, in training and in evaluation mode."""
    module = build(student, case)
    second = strategies.make_mask("random", case.batch, case.tokens, case.rng())
    assert case.mask is not None and second is not None
    small = np.maximum(second[:, :-1, :-1], np.eye(case.tokens - 1, dtype=np.float32))
    less = np.ascontiguousarray(case.x[:, :-1])
    rounds = [(case.x, case.mask, False), (case.x, second, True), (case.x, case.mask, True), (less, small, False)]
    replies, seen = [], []
    for x, mask, training in rounds:
        module.mode(training)
        student.forget_calls()
        # By keyword, as AttentionResidual does.
        replies.append(module(x=x, attn_mask=mask))
        seen.append(student.calls())
    replies, seen = yield replies, seen
    showing((readable(replies[0], case)[0], None))
    for made, (x, mask, _) in zip(seen, rounds, strict=True):
        expect.compared()
        common.masks_arrive(common.calls(made, case.batch), _with(case, x, mask), "a head")


def _with(case: SequenceCase, x: Array, mask: Array) -> SequenceCase:
    return SequenceCase(case.sizes, x.shape[0], x.shape[1], case.mask_kind, case.seed, x, mask)


@property_of(PART, (cases(least_tokens=2, least_batch=2), cases(least_tokens=2)), world="stand-ins", examples=3)
def test_no_mask_reaches_each_head(student: Student, case: SequenceCase) -> Program:
    """With attn_mask=None each head gets None, or a mask of ones."""
    module = build(student, case)
    student.forget_calls()
    reply, made = yield module(case.x, None), student.calls()
    showing((readable(reply, case)[0], None))
    expect.compared()
    common.masks_arrive(common.calls(made, case.batch), case, "a head")


@property_of(PART, cases(masks=REAL_MASKS, least_batch=2, least_tokens=2), examples=2)
def test_the_mask_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """attn_mask is after the call what it was before it."""
    assert case.mask is not None
    mask = student.tensor(case.mask)
    module = build(student, case)
    bare, hidden, after = yield Way().call(student, module, case.x), masked(module, case.x, mask), mask
    showing(readable(bare, case))
    _mask_matters(readable(bare, case), readable(hidden, case), case.mask)
    common.unchanged(after, case.mask, "attn_mask")


def _mask_matters(bare: Results, hidden: Results, mask: Array | None) -> None:
    """Stand back where a mask that hides something changes nothing: then nothing about masks can be seen."""
    if mask is None or np.all(mask > 0):
        return
    if all(one is None or other is None or np.array_equal(one, other) for one, other in zip(bare, hidden, strict=True)):
        to = (SHAPES, MASKS, WHOLE_MASKS, WHOLE_INFLUENCE, WHOLE_ALPHAS)
        expect.stand_back(to, "the mask makes no difference to what is returned")


# -- projection --------------------------------------------------------------------------------------------------


@property_of(
    PART,
    (
        cases(least_tokens=2, most_batch=1),
        cases(least_tokens=2, most_batch=1, masks=REAL_MASKS),
        many_heads(most_batch=1),
        long_cases(),
    ),
    world="stand-ins",
    examples=4,
)
def test_output_is_one_linear_map_of_the_heads(student: Student, case: SequenceCase) -> Program:
    """The output is one linear map W_O of the heads' outputs side by side, with nothing else added, masked or not."""
    module = build(student, case)
    rng = case.rng()
    weights = yield from reweigh(module, case, rng)
    made = yield from heads_called(student, module, case)
    built = yield student.standins()
    sizes = {index: (built[index]["dim"], built[index]["n_hidden"]) for index in common.called(made)}
    first = {index: strategies.numbers(rng, *shape) for index, shape in sizes.items()}
    second = {index: strategies.numbers(rng, *shape) for index, shape in sizes.items()}
    zero = {index: np.zeros(shape, np.float32) for index, shape in sizes.items()}
    both = {index: first[index] + second[index] for index in sizes}
    replies, inputs = [], []
    for setting in (first, second, both, zero):
        for index, matrix in setting.items():
            student.standin(index).load({"weight": matrix})
        student.forget_calls()
        replies.append(given(student, module, case.x, case.mask))
        inputs.append(student.calls())
    values, inputs = yield replies, inputs
    if any(not _same_calls(made, calls, case.batch) for calls in inputs):
        expect.stand_back((HEADS, INPUT, REGISTERED, MODES), "the heads are not given the same in every call")
    results = [readable(value, case) for value in values]
    if case.mask is not None and results[0][0] is None:
        expect.stand_back((SHAPES, MASKS), "with a mask no output is returned that can be read")
    at_first, at_second, at_both, at_zero = (output_of(found) for found in results)
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
    side_by_side = [
        np.concatenate([outputs[index] for index in order], axis=-1)
        for order in dict.fromkeys(map(tuple, (sorted(once), once, in_order_of_calls)))
    ]
    found = [
        oracles.affine(heads, matrix, bias_)
        for heads in side_by_side
        for _, matrix, _, bias_ in oracles.maps(common.wide(weights), case.dim, heads.shape[-1])
    ]
    if found:
        why = "the output is not W_O applied to the heads side by side"
        common.close_to_one(at_first, found, "output", why)
    else:
        yield from _is_one_map_in_any_layout(student, module, case, weights, first, side_by_side)


def _is_one_map_in_any_layout(
    student: Student,
    module: Remote,
    case: SequenceCase,
    weights: dict[str, Array],
    heads: dict[int, Array],
    side_by_side: list[Array],
) -> Judged:
    """Hold of an output map that is no single matrix that equal parameters sum all numbers, as they do in every layout."""
    for index, matrix in heads.items():
        student.standin(index).load({"weight": matrix})
    size = 0.3
    module.load({name: np.full_like(value, size) for name, value in weights.items()})
    out = output_of(readable((yield given(student, module, case.x, case.mask)), case))
    centered = out - out.mean(1, keepdims=True)
    sums = [size * heads_.sum(-1, keepdims=True) for heads_ in side_by_side]
    wants = [np.broadcast_to(total - total.mean(1, keepdims=True), out.shape) for total in sums]
    why = "with equal weights the output is not the sum of all numbers of all heads, times that weight"
    common.close_to_one(centered, wants, "output, less its mean over the tokens,", why)


def _same_calls(made: list[dict[str, Any]], again: Any, batch: int) -> bool:
    """Whether two calls of the module gave the same inputs to the same heads."""
    calls = common.calls(again, batch)
    return len(calls) == len(made) and all(
        one["index"] == other["index"] and np.array_equal(one["x"], other["x"])
        for one, other in zip(made, calls, strict=True)
    )


@property_of(PART, (cases(dim=(3, 6)), many_heads(n_hidden=(1, 2))), world="stand-ins", examples=3)
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
    x, probe = np.abs(case.x[:1]), rng.uniform(0.5, 1.5, size=case.dim)
    names, replies = [], [Way().call(student, module, x)]
    for place, (index, shape) in enumerate(sizes.items()):
        for column in range(shape[1]):
            matrix = np.zeros(shape, np.float32)
            matrix[:, column] = np.resize(probe, shape[0])
            student.standin(index).load({"weight": matrix})
            replies.append(Way().call(student, module, x))
            names.append(f"number {column} of head {place}")
        student.standin(index).load({"weight": np.zeros(shape, np.float32)})
    values = [output_of(readable(reply, case, x)) for reply in (yield replies)]
    effects = [value - values[0] for value in values[1:]]
    for n, effect in enumerate(effects):
        counts = float(np.abs(effect).max(initial=0.0)) > common.LEAST_EFFECT
        expect.holds(counts, f"{names[n]} does not count for the output")
        for m in range(n):
            own = float(np.abs(effect - effects[m]).max(initial=0.0)) > common.LEAST_EFFECT
            expect.holds(own, f"{names[n]} counts for the output just as {names[m]} does")


@property_of(PART, cases(least_tokens=2), world="stand-ins", examples=2)
def test_the_output_map_is_registered(student: Student, case: SequenceCase) -> Program:
    """The linear map of the output is a parameter of the module: with all of them at 0, the heads do not count."""
    module = build(student, case)
    rng = case.rng()
    weights = yield from reweigh(module, case, rng)
    module.load({name: np.zeros_like(value) for name, value in weights.items()})
    made = yield from heads_called(student, module, case)
    built = yield student.standins()
    replies = [Way().call(student, module, case.x)]
    for index in common.called(made):
        shape = (built[index]["dim"], built[index]["n_hidden"])
        student.standin(index).load({"weight": strategies.numbers(rng, *shape)})
    replies.append(Way().call(student, module, case.x))
    module.load(weights)
    replies.append(Way().call(student, module, np.ascontiguousarray(case.x[:, ::-1]) * np.float32(2)))
    before, after, other = [output_of(readable(reply, case)) for reply in (yield replies)]
    if common.matches(other, before):
        expect.stand_back(PROJECTION, "the output is the same whatever the heads give")
    expect.close(after, before, "output", "the heads reach the output by weights that are not among the parameters")


@property_of(PART, (cases(), cases(masks=REAL_MASKS, least_tokens=2)), world="stand-ins", examples=2)
def test_the_output_map_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output gives each weight of the module's own the gradient that is due."""
    module = build(student, case)
    rng = case.rng()
    weights = common.generic_weights((yield from reweigh(module, case, rng)), rng)
    module.load(weights)
    module.mode(True)

    def call(x: Any) -> Remote:
        if not isinstance(x, np.ndarray):
            return _given_shape(student, module, x, case).tensor_of(case.x.shape)
        return given(student, module, x, case.mask).tensor_of(case.x.shape)

    yield from gradients.hold(
        student, module, case.x, weights, rng, call, modes=(MODES, PROJECTION), nothing=(PROJECTION, MASKS, MODES), of_x=False
    )


def _given_shape(student: Student, module: Remote, x: Remote, case: SequenceCase) -> Remote:
    return Way().call(student, module, x, case.x.shape) if case.mask is None else masked(module, x, case.mask)


# -- designs that hold no AttentionHead are judged whole ---------------------------------------------------------


def whole_cases(**how: Any) -> SearchStrategy[SequenceCase]:
    """Cases of heads that are smaller than tokens, so that what heads share can be told from their maps."""
    chosen = {"dim": (4, 5), "n_hidden": (2, 3), "num_heads": (2, 4), "least_tokens": 3, "most_batch": 1, **how}
    return cases(**chosen)


def probes_for(case: SequenceCase, rng: np.random.Generator, count: int) -> list[Array]:
    """Sequences (1, T, dim) that tell the maps of all heads, in the directions of the case's tokens."""
    basis = identify.basis_of(case.x)
    if basis.shape[0] < min(case.dim, 4):
        basis = np.eye(case.dim)
    size = (1, identify.FIT_TOKENS, basis.shape[0])
    return [np.asarray(1.2 * rng.normal(size=size) @ basis, np.float32) for _ in range(count)]


def score_maps(probe: Array, alphas: Array) -> list[identify.ScoreMap]:
    """The score map of each head from unmasked attention weights (1, H, T, T)."""
    basis = identify.basis_of(probe)
    return [identify.fit_scores(probe, alphas[:, head], basis) for head in range(alphas.shape[1])]


def predicted(maps: list[identify.ScoreMap], x: Array) -> Array:
    """Attention weights (1, H, T, T) by the score maps of all heads."""
    return np.stack([found.alphas(x) for found in maps], axis=1)


@property_of(
    PART,
    (
        whole_cases(),
        whole_cases(dim=(3, 4), n_hidden=(3, 5)),
        many_heads(dim=(3, 4), n_hidden=(2, 3), most_batch=1, least_tokens=3),
        strategies.long_sequences(tokens=66, dim=32, n_hidden=8, num_heads=3),
    ),
    world="whole",
    examples=5,
)
def test_whole_alphas_are_attention(student: Student, case: SequenceCase) -> Program:
    """alphas[:, h] are softmax(Q K^T / sqrt(n_hidden)) of the h-th head, with n_hidden numbers in its queries and keys."""

    def program(way: Way) -> Judged:
        module = build(student, case)
        rng = case.rng()
        weights = yield from reweigh(module, case, rng)
        probe, fresh = probes_for(case, rng, 2)
        more, equal = 1.3, 0.25
        inputs = [probe, fresh, case.x, probe, probe]
        replies = [way.call(student, module, x) for x in (probe, fresh, case.x)]
        module.load({name: np.float32(more) * value for name, value in weights.items()})
        replies.append(way.call(student, module, probe))
        module.load({name: np.full_like(value, equal) for name, value in weights.items()})
        replies.append(way.call(student, module, probe))
        told = zip((yield replies), inputs, strict=True)
        at_probe, at_fresh, at_x, at_more, at_equal = (alphas_of(readable(reply, case, x)) for reply, x in told)
        common.distributions(at_probe, "alphas")
        maps = score_maps(probe, at_probe)
        why = "the scores are not inner products of one linear map of the query's token and one of the key's token"
        expect.close(at_probe, predicted(maps, probe), "alphas", why, scale=5.0)
        why = "alphas of other tokens do not follow from how queries and keys depend on the first ones"
        for x, alphas in ((fresh, at_fresh), (case.x, at_x)):
            expect.close(alphas, predicted(maps, x), "alphas", why, scale=10.0)
        yield from _ranks(way, student, module, case, weights, probe, maps, rng)
        if not weights or common.matches(at_more, at_probe):
            expect.stand_back(WHOLE_LEARNING, "alphas do not follow the module's parameters")
        scaled = [identify.ScoreMap(found.basis, more**2 * found.matrix) for found in maps]
        why = "queries and keys are not linear in the module's parameters"
        name = "alphas with all parameters 1.3 times as large"
        expect.close(at_more, predicted(scaled, probe), name, why, scale=10.0)
        wants = list(_alphas_of_equal_parameters(probe, equal, case))
        wrong = any(common.other_temperature(at_equal, want) for want in wants)
        why = "the scores are not divided by sqrt(n_hidden)" if wrong else "the scores are not those of equal parameters"
        common.close_to_one(at_equal, wants, f"alphas with all parameters {equal}", why)

    yield from either_way(program, student, case)


def _ranks(
    way: Way,
    student: Student,
    module: Remote,
    case: SequenceCase,
    weights: dict[str, Array],
    probe: Array,
    maps: list[identify.ScoreMap],
    rng: np.random.Generator,
) -> Judged:
    """The scores of each head are made of n_hidden independent numbers, and its queries are not its keys."""
    want = min(case.n_hidden, len(maps[0].basis))
    ranks = [identify.rank(found.tokens_only) for found in maps]
    expect.holds(min(ranks) > 0, "alphas do not depend on the token of the query")
    if not all(identify.has_rank(found.tokens_only, want) for found in maps):
        # A second draw of weights: by chance a matrix may be near one of lower rank.
        other = common.generic_weights(weights, rng)
        module.load({name: np.float32(0.5) * value for name, value in other.items()})
        again = score_maps(probe, alphas_of(readable((yield way.call(student, module, probe)), case, probe)))
        ranks = [identify.rank(found.tokens_only) for found in again]
        text = f"n_hidden is the size of each head, so its scores are made of {want} numbers, not of {min(ranks)}"
        expect.holds(all(identify.has_rank(found.tokens_only, want) for found in again), text)
    if len(maps[0].basis) > 2 and any(identify.is_symmetric(found.tokens_only) for found in maps):
        raise expect.Violation("queries and keys of a head come from the same weights")


def _alphas_of_equal_parameters(x: Array, size: float, case: SequenceCase) -> Iterator[Array]:
    """The attention weights if all parameters are equal, which is the same in every layout: without biases and with them."""
    sums = size * x.astype(np.float64).sum(-1)
    for bias in (0.0, size):
        queries, keys = (np.repeat(values[..., None], case.n_hidden, axis=-1) for values in (sums + bias, sums))
        alpha = oracles.attention(queries, keys, queries, None)[1]
        yield np.repeat(alpha[:, None], case.num_heads, axis=1)


@property_of(PART, (whole_cases(n_hidden=(2, 2)), whole_cases(n_hidden=(2, 2), num_heads=(3, 3))), world="whole", examples=4)
def test_whole_heads_have_weights_of_their_own(student: Student, case: SequenceCase) -> Program:
    """Queries, keys and values of each head come from weights of its own."""
    module = build(student, case)
    rng = case.rng()
    module.load(common.generic_weights((yield from reweigh(module, case, rng)), rng))
    yield from _values_of_their_own(student, module, case, rng)


def _values_of_their_own(
    student: Student, module: Remote, case: SequenceCase, rng: np.random.Generator
) -> Judged:
    probes = [np.float32(0.7) * probe for probe in probes_for(case, rng, 4 + case.num_heads)]
    replies = yield [Way().call(student, module, x) for x in probes]
    results = [readable(reply, case, x) for reply, x in zip(replies, probes, strict=True)]
    used = [_alphas_used(found[1]) for found in results]
    if not common.sound(used[0]):
        used = [identify.softmax(found, None) for found in used]
    for head in range(1, case.num_heads):
        for other in range(head):
            why = f"heads {other} and {head} have the same attention weights"
            expect.differs(used[0][:, other], used[0][:, head], "alphas", why, least=1e-6)
    maps = score_maps(probes[0], used[0])
    if common.matches(predicted(maps, probes[0]), used[0], scale=5.0):
        _differ_in(case, "queries", [found.tokens_only for found in maps])
        _differ_in(case, "keys", [found.tokens_only.T for found in maps])
    values = fitted_values(probes, used, [output_of(found) for found in results])
    if values is not None:
        _differ_in(case, "values", [values.tokens_only(head) for head in range(case.num_heads)])


def _differ_in(case: SequenceCase, what: str, matrices: list[Array]) -> None:
    """Compare the spaces that the heads' matrices span; those of another rank are for other properties to find."""
    for head in range(1, len(matrices)):
        for other in range(head):
            one, two = matrices[other], matrices[head]
            full = min(identify.rank(one), identify.rank(two)) >= case.n_hidden
            shared = full and identify.same_space(one, two, case.n_hidden)
            expect.holds(not shared, f"heads {other} and {head} share the weights of their {what}")


def _alphas_used(alphas: Array | None) -> Array:
    """The attention weights that an output may be made with, which need not be distributions."""
    if alphas is None:
        expect.stand_back(SHAPES, "no attention weights of shape (B, H, T, T) are returned")
    return plain(alphas)


def fitted_values(probes: list[Array], alphas: list[Array], outs: list[Array]) -> identify.ValueMap | None:
    """The map of values and W_O of each head that fits all outputs; None if none does."""
    x, used, out = (np.concatenate(part) for part in (probes, alphas, outs))
    found = identify.fit_values(x, used, out)
    return found if common.matches(found.outputs(x, used), out, scale=20.0) else None


@property_of(PART, (whole_cases(), whole_cases(masks=REAL_MASKS)), world="whole", examples=4)
def test_whole_every_weight_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output gives the input, and every weight, the gradient that is due, with a mask and without."""
    module = build(student, case)
    rng = case.rng()
    found = common.generic_weights((yield from reweigh(module, case, rng)), rng)
    weights = {name: np.float32(0.5) * value for name, value in found.items()}
    expect.holds(bool(weights), "the module has no parameters that could learn")
    module.load(weights)
    module.mode(True)

    def call(x: Any) -> Remote:
        if not isinstance(x, np.ndarray):
            return _given_shape(student, module, x, case).tensor_of(case.x.shape)
        return given(student, module, x, case.mask).tensor_of(case.x.shape)

    try:
        yield from gradients.hold(
            student,
            module,
            case.x,
            weights,
            rng,
            call,
            modes=(MODES, WHOLE_ALPHAS),
            nothing=(WHOLE_PROJECTION, WHOLE_INFLUENCE, WHOLE_MASKS, MODES),
        )
    except StudentError as error:
        if "derivative" not in error.message:
            raise
        expect.stand_back(WHOLE_ALPHAS, "an operation is used that has no derivative")


def telling(alphas: Array | None) -> Array:
    """Attention weights of an unmasked call that show what a mask does to them; else stand back."""
    if alphas is None:
        expect.stand_back(SHAPES, "no attention weights of shape (B, H, T, T) are returned")
    if not common.sound(alphas) or is_even(alphas):
        expect.stand_back(WHOLE_ALPHAS, "the attention weights are even, or no distributions over the tokens")
    return alphas


@property_of(
    PART,
    (
        cases(masks=REAL_MASKS, least_tokens=3, least_batch=2),
        cases(masks=REAL_MASKS, least_tokens=3),
        strategies.long_sequences("random", tokens=66, batch=2, dim=4, n_hidden=2, num_heads=3),
    ),
    world="whole",
    examples=6,
)
def test_whole_masked_tokens_get_no_weight(student: Student, case: SequenceCase) -> Program:
    """A masked token gets no weight in any head, and permitted ones share it in proportion, for one mask after the other."""
    module = build(student, case)
    yield from reweigh(module, case, case.rng())
    second = strategies.make_mask("random", case.batch, case.tokens, case.rng())
    assert case.mask is not None and second is not None
    bare = Way().call(student, module, case.x)
    # By keyword, as AttentionResidual does.
    replies = [module(x=case.x, attn_mask=case.mask), module(x=case.x, attn_mask=second)]
    module.mode(True)
    replies.append(module(x=case.x, attn_mask=case.mask))
    free, *seen = (readable(reply, case) for reply in (yield [bare, *replies]))
    weights = telling(free[1])
    for (_, alphas), mask in zip(seen, (case.mask, second, case.mask), strict=True):
        if alphas is None:
            raise expect.Violation("with attn_mask no attention weights of shape (B, H, T, T) are returned")
        hidden = np.broadcast_to((mask == 0)[:, None], alphas.shape) & (weights > 1e-4)
        expect.zero(common.finite(alphas, "alphas"), hidden, "alphas", "a masked token gets weight")
        kept = weights * mask[:, None]
        total = kept.sum(-1, keepdims=True)
        if total.min() > 1e-3:
            why = "the permitted tokens do not share the weight in proportion"
            expect.close(alphas, kept / total, "alphas", why, scale=float(2 / total.min()))


@property_of(PART, cases(masks=REAL_MASKS, least_tokens=3, least_batch=2), world="whole", examples=5)
def test_whole_masked_tokens_have_no_influence(student: Student, case: SequenceCase) -> Program:
    """Changing a token that row i may not attend to changes nothing in row i."""
    module = build(student, case)
    yield from reweigh(module, case, case.rng())
    blind, token = common.blind(case)
    other = case.x.copy()
    other[:, token] += 1.5
    replies = yield (
        Way().call(student, module, case.x),
        module.any_way((case.x, case.mask), (case.x, None), (case.x,)),
        module.any_way((other, case.mask), (other, None), (other,)),
        Way().call(student, module, other),
    )
    free, (out, alphas), (after, _), (moved, _) = (readable(reply, case) for reply in replies)
    showing(free)
    if free[0] is not None and moved is not None and np.array_equal(free[0][blind], moved[blind]):
        expect.stand_back((SHAPES, WHOLE_ALPHAS, WHOLE_PROJECTION), "even without a mask no token influences another")
    if alphas is not None and np.any(np.isnan(alphas)) and not common.sound(free[1]):
        expect.stand_back(WHOLE_ALPHAS, "the attention weights are no distributions over the tokens")
    if out is None or after is None:
        expect.stand_back((WHOLE_MASKS, WHOLE_PROJECTION), "with a mask no output is returned that can be read")
    before, later = common.finite(out, "output"), common.finite(after, "output")
    rows = blind[:, :, None]
    why = f"the output changes with token {token}, which is masked for that row"
    check = lambda: expect.close(  # noqa: E731
        np.where(rows, later, 0), np.where(rows, before, 0), "output", why, scale=5.0
    )
    yield from or_else(
        check,
        by_chance(lambda: masked(module, case.x, case.mask), case),
        _by_other_scores(student, module, case, token),
        _by_mixed_tokens(student, module, case),
    )


def _by_other_scores(student: Student, module: Remote, case: SequenceCase, token: int) -> Judged:
    """Stand back if, without a mask, a token changes the proportion of two others' weights."""
    other = case.x.copy()
    other[:, token] += 1.5
    replies = yield Way().call(student, module, case.x), Way().call(student, module, other)
    found = [readable(reply, case)[1] for reply in replies]
    rest = [place for place in range(case.tokens) if place != token]
    shares = [alphas[:, :, rest][..., rest] for alphas in found if alphas is not None]
    if len(shares) == 2 and all(common.sound(alphas) for alphas in found):
        logs = [np.log(np.maximum(share, 1e-30)) for share in shares]
        before, after = (log - log.mean(-1, keepdims=True) for log in logs)
        if not common.matches(before, after, scale=20.0):
            expect.stand_back(WHOLE_ALPHAS, f"without a mask token {token} changes how others share their weight")
    elif len(shares) == 2 and not common.matches(shares[0], shares[1]):
        expect.stand_back(WHOLE_ALPHAS, f"without a mask token {token} changes the weights of others")


def _by_mixed_tokens(student: Student, module: Remote, case: SequenceCase) -> Judged:
    """Stand back if tokens are mixed up even without a mask: in another order they give other outputs."""
    turn = np.roll(np.arange(case.tokens), 1)
    turned = np.ascontiguousarray(case.x[:, turn])
    replies = yield Way().call(student, module, case.x), Way().call(student, module, turned)
    (out, _), (after, _) = (readable(reply, case) for reply in replies)
    if out is not None and after is not None and not common.matches(after, out[:, turn], scale=5.0):
        expect.stand_back((WHOLE_PROJECTION, WHOLE_ALPHAS), "the output depends on the order of the tokens")


@property_of(
    PART,
    (
        cases(masks=("full",), least_tokens=2),
        cases(masks=("full",), most_tokens=1),
        cases(masks=("full",), least_tokens=2, least_batch=2),
        strategies.long_sequences("full", tokens=66, batch=2, dim=3, n_hidden=2, num_heads=3),
    ),
    world="whole",
    examples=5,
)
def test_whole_no_mask_is_a_mask_of_ones(student: Student, case: SequenceCase) -> Program:
    """attn_mask=None gives what a mask of ones gives, also after a call with another mask."""
    module = build(student, case)
    yield from reweigh(module, case, case.rng())
    hides = strategies.make_mask("causal", case.batch, case.tokens, case.rng())
    replies = yield (
        module(case.x, case.mask),
        module(case.x, None),
        masked(module, case.x, hides),
        module(case.x, None),
    )
    ones, bare, hidden, after = (readable(reply, case) for reply in replies)
    if case.tokens > 1:
        showing(bare)
        _mask_matters(ones, hidden, hides)
    check = lambda: _same_results(ones, [bare, after])  # noqa: E731
    yield from or_else(
        check,
        by_chance(lambda: Way().call(student, module, case.x), case),
        _by_masked_output(ones, bare),
    )


def _same_results(ones: Results, frees: list[Results]) -> None:
    for free, when in zip(frees, ("", " after a call with a mask"), strict=True):
        for name, value, want in zip(("output", "alphas"), ones, free, strict=True):
            if value is not None and want is not None and np.all(np.isfinite(want)):
                why = f"a mask of ones gives other {name} than None{when}"
                expect.close(common.finite(value, name), want, name, why, scale=5.0)


def _by_masked_output(ones: Results, bare: Results) -> Judged:
    """Stand back if a mask of ones changes the output alone, and not the attention weights."""
    if ones[1] is not None and bare[1] is not None and common.matches(plain(ones[1]), plain(bare[1])):
        expect.stand_back(WHOLE_PROJECTION, "with a mask of ones the same attention weights give another output")
    yield from ()


def identified(
    way: Way, student: Student, module: Remote, case: SequenceCase, fresh: list[Array]
) -> Generator[Any, Any, tuple[identify.ValueMap, Callable[[Array], Array], list[Results]]]:
    """What each head adds to the output, fitted to probes; how returned weights are used; the results for ``fresh`` inputs.

    Weights that are returned wrong but used right, such as scores, are not the projection's matter.
    """
    probes = probes_for(case, case.rng(), 4 + case.num_heads)
    inputs = [*probes, *fresh]
    replies = yield [way.call(student, module, x) for x in inputs]
    results = [readable(reply, case, x) for reply, x in zip(replies, inputs, strict=True)]
    outs, alphas = [output_of(found) for found in results], [_alphas_used(found[1]) for found in results]
    first = alphas[0]
    if is_even(first) or np.ptp(first, axis=-2).max() < 1e-6:
        expect.stand_back(WHOLE_ALPHAS, "the attention weights do not depend on the query")
    if any(np.abs(first[:, head] - first[:, other]).max() < 1e-6 for head in range(case.num_heads) for other in range(head)):
        expect.stand_back(WHOLE_VALUES, "heads have the same attention weights")
    ways: list[Callable[[Array], Array]] = [plain]
    if not common.sound(first):
        ways.append(lambda found: identify.softmax(np.nan_to_num(found, neginf=-1e30), None))
    x, out = np.concatenate(probes), np.concatenate(outs[: len(probes)])
    for use in ways:
        used = np.concatenate([use(found) for found in alphas[: len(probes)]])
        found = identify.fit_values(x, used, out, constant=True)
        if common.matches(found.outputs(x, used), out, scale=20.0):
            break
    else:
        maps = score_maps(probes[0], np.maximum(first, 1e-30))
        if not common.sound(first) or not common.matches(predicted(maps, probes[0]), first, scale=5.0):
            expect.stand_back(WHOLE_ALPHAS, "the attention weights that are returned are not those of attention")
        why = "the output is not one linear map of the heads' outputs (alphas times values) side by side"
        expect.close(out, found.outputs(x, used), "output", why, scale=20.0)
    return found, use, results[len(probes) :]


@property_of(
    PART,
    (whole_cases(), whole_cases(dim=(3, 4), n_hidden=(3, 4)), long_cases()),
    world="whole",
    examples=4,
)
def test_whole_output_is_one_linear_map_of_the_heads(student: Student, case: SequenceCase) -> Program:
    """The output is one linear map W_O of the heads' outputs, alphas times values, side by side."""

    def program(way: Way) -> Judged:
        module = build(student, case)
        yield from reweigh(module, case, case.rng())
        fresh = probes_for(case, np.random.default_rng([case.seed, 2]), 1)[0]
        found, use, results = yield from identified(way, student, module, case, [fresh, case.x])
        why = "the output is not one linear map of the heads' outputs (alphas times values) side by side"
        for x, (out, alphas) in zip((fresh, case.x), results, strict=True):
            assert out is not None
            used = use(_returned(alphas))
            if common.sound(used):
                expect.close(out, found.outputs(x, used), "output", why, scale=20.0)
            else:
                expect.compared()  # with the probes only: weights that are no distributions do not tell the maps well
        _each_head_counts(case, found)

    yield from either_way(program, student, case)


def _returned(alphas: Array | None) -> Array:
    assert alphas is not None
    return alphas


def _each_head_counts(case: SequenceCase, found: identify.ValueMap) -> None:
    matrices = [found.tokens_only(head) for head in range(case.num_heads)]
    expect.require(max(identify.rank(matrix) for matrix in matrices) > 0, "the output does not depend on the heads")
    for head in range(1, case.num_heads):
        for other in range(head):
            one, two = matrices[other].T, matrices[head].T
            small = case.n_hidden < min(case.dim, len(found.basis))
            full = small and min(identify.rank(one), identify.rank(two)) >= case.n_hidden
            shared = full and identify.same_space(one, two, case.n_hidden)
            text = f"heads {other} and {head} share their part of W_O, which is to be a map of all heads side by side"
            expect.require(not shared, text)


@property_of(PART, whole_cases(masks=REAL_MASKS), world="whole", examples=4)
def test_whole_masked_output_is_the_same_map_of_the_heads(student: Student, case: SequenceCase) -> Program:
    """With attn_mask, too, the output is W_O of the heads' outputs, alphas times values, side by side."""
    way, module = Way(), build(student, case)
    yield from reweigh(module, case, case.rng())
    found, use, (bare,) = yield from identified(way, student, module, case, [case.x])
    out, alphas = readable((yield masked(module, case.x, case.mask)), case)
    assert case.mask is not None
    if out is None or alphas is None:
        expect.stand_back((SHAPES, WHOLE_MASKS), "with a mask no results are returned that can be read")
    free = _returned(bare[1])
    used = use(alphas)
    leaks = float(np.where(case.mask[:, None] == 0, np.abs(used), 0.0).max()) > expect.MASKED
    if leaks or not np.all(np.isfinite(out)) or (common.sound(use(free)) and not common.sound(used)):
        expect.stand_back((WHOLE_MASKS, WHOLE_INFLUENCE, WHOLE_ALPHAS), "with a mask the weights are not those of a mask")
    want, unmasked = found.outputs(case.x, used), found.outputs(case.x, use(free))
    if common.matches(out, unmasked, scale=20.0) and not common.matches(out, want, scale=20.0):
        expect.stand_back((WHOLE_INFLUENCE, WHOLE_MASKS), "the output with a mask is made with unmasked weights")
    why = "with attn_mask the output is not that linear map of the heads' outputs"
    expect.close(out, want, "output", why, scale=20.0)


@property_of(PART, (whole_cases(), whole_cases(n_hidden=(2, 5))), world="whole", examples=4)
def test_whole_lone_tokens_are_mapped_linearly(student: Student, case: SequenceCase) -> Program:
    """For a lone token, whose attention weight is 1, the output is W_O of the values of all heads."""

    def program(way: Way) -> Judged:
        module = build(student, case)
        rng = case.rng()
        weights = yield from reweigh(module, case, rng)
        more, equal = 1.3, 0.25
        tokens = list(np.asarray(rng.normal(size=(case.dim + 4, 1, 1, case.dim)), np.float32))
        several = probes_for(case, rng, 1)[0]
        replies = [way.call(student, module, several), *(way.call(student, module, token) for token in tokens)]
        for scaled in (
            {name: np.float32(more) * value for name, value in weights.items()},
            {name: np.full_like(value, equal) for name, value in weights.items()},
        ):
            module.load(scaled)
            replies += [way.call(student, module, token) for token in tokens[:2]]
        told = zip((yield replies), [several, *tokens, *tokens[:2], *tokens[:2]], strict=True)
        (_, alphas), *results = [readable(reply, case, token) for reply, token in told]
        if is_even(alphas):
            expect.stand_back(WHOLE_ALPHAS, "every token gets the same attention weight")
        if any(alphas is not None and not common.sound(alphas) for _, alphas in results):
            expect.stand_back(WHOLE_ALPHAS, "a lone token's attention weight is not 1")
        outs = np.concatenate([output_of(found) for found in results])
        x, count = np.concatenate(tokens), len(tokens) - 2
        found = identify.fit_values(x[:count], np.ones((count, 1, 1, 1)), outs[:count])
        expect.require(identify.rank(found.tokens_only(0)) > 0, "the output of a lone token does not depend on it")
        want = found.outputs(x, np.ones((len(x), 1, 1, 1)))
        why = "the output of a lone token is not linear in it"
        expect.close(outs[: len(x)], want, "output", why, scale=5.0)
        steps = [outs[place] - outs[place + 1] for place in (0, len(x), len(x) + 2)]
        if common.matches(steps[1], steps[0]):
            expect.stand_back(WHOLE_LEARNING, "the output does not follow the module's parameters")
        why = "values and W_O are not linear in the module's parameters"
        expect.close(steps[1], more**2 * steps[0], "difference of two lone tokens' outputs", why, scale=20.0)
        total = case.num_heads * case.n_hidden * equal**2 * float((x[0] - x[1]).astype(np.float64).sum())
        why = "with equal parameters the output is not the sum of all numbers of all heads, times that parameter"
        check = lambda: expect.close(  # noqa: E731
            steps[2], np.full_like(steps[2], total), "difference of two lone tokens' outputs", why, scale=20.0
        )
        module.load(weights)
        yield from or_else(check, _by_ranks(way, student, module, case, rng))

    yield from either_way(program, student, case)


def _by_ranks(way: Way, student: Student, module: Remote, case: SequenceCase, rng: np.random.Generator) -> Judged:
    """Stand back if heads have another size than n_hidden, which their scores show."""
    probe = probes_for(case, rng, 1)[0]
    alphas = readable((yield way.call(student, module, probe)), case, probe)[1]
    if alphas is not None and common.sound(alphas):
        want = min(case.n_hidden, len(identify.basis_of(probe)))
        if not all(identify.has_rank(found.tokens_only, want) for found in score_maps(probe, alphas)):
            expect.stand_back(WHOLE_ALPHAS, "heads have another size than n_hidden")
    found = yield from holds(_values_of_their_own(student, module, case, rng))
    if not found:
        expect.stand_back(WHOLE_VALUES, "heads share weights")
