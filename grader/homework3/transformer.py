"""2c Transformer(dim, attn_dim, mlp_dim, num_heads, num_layers): x (B, T, dim), attn_mask -> (B, T, dim), alphas.

The alphas are None or of shape (B, L, H, T, T). Where the module builds AttentionResidual blocks, stand-ins take their place
and record what they are given, so that each step of a call is known exactly. Each property calls one object several times:
with a mask and without, with the alphas and without, in both modes, with a larger and with a smaller batch.
A module that builds no block is judged by `transformer_whole`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from grader.homework3 import common, oracles, strategies
from grader.homework3.strategies import SequenceCase
from grader.judging import expect
from grader.judging.property import Part, Program, property_of
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array

PART = Part("2c", "Transformer", ("AttentionResidual",), (4, 3, 5, 2, 2), lambda: strategies.plain_inputs(4))
SHAPES = "transformer.test_shapes"
SAME_IN_MODES = "transformer.test_same_in_training_and_evaluation"
CHANGE_NOTHING = "transformer.test_alphas_change_nothing"
INDEPENDENT = "transformer.test_sequences_are_independent"
MASKED = ("transformer.test_the_mask_reaches_each_block", "transformer_whole.test_the_mask_rules_each_layer")
SIZES = ("dim", "attn_dim", "mlp_dim", "num_heads", "num_layers")
MANY = 257
"""More sequences than a batch has in the homework."""


# -- cases -------------------------------------------------------------------------------------------------------


def of_sizes(sizes: Sequence[int], batch: int, tokens: int, seed: int) -> SequenceCase:
    """A case of given sizes, with a mask that hides something where there are two tokens or more."""
    rng = np.random.default_rng(seed)
    x = strategies.numbers(rng, batch, tokens, sizes[0])
    return SequenceCase(
        dict(zip(SIZES, sizes, strict=True)), batch, tokens, "hiding", seed, x, hiding_mask(rng, batch, tokens)
    )


def hiding_mask(rng: np.random.Generator, batch: int, tokens: int) -> Array:
    """Float 0/1 mask (B, T, T), another for each sequence; each token may attend to itself and not to all others."""
    mask = (rng.random((batch, tokens, tokens)) < 0.5).astype(np.float32)
    rows = np.arange(tokens)
    mask[:, rows, (rows + 1) % tokens] = 0
    mask[:, rows, rows] = 1
    return mask


@st.composite
def ordinary(draw: st.DrawFn, least_layers: int = 2) -> SequenceCase:
    """Small sizes, no two of which are equal."""
    dim, attn_dim, mlp_dim = draw(st.permutations((3, 4, 5, 6)))[:3]
    heads, layers = draw(st.sampled_from(((1, 2), (1, 3), (2, 3), (2, 4), (3, 2)) if least_layers > 1 else ((2, 1),)))
    batch, tokens = draw(st.integers(1, 3)), draw(st.integers(2, 5))
    return of_sizes((dim, attn_dim, mlp_dim, heads, layers), batch, tokens, draw(strategies.seeds))


@st.composite
def square(draw: st.DrawFn) -> SequenceCase:
    """Sizes that coincide: as many tokens as numbers in a token, as many sequences as layers and heads."""
    dim, count = draw(st.integers(4, 5)), draw(st.integers(2, 3))
    return of_sizes((dim, dim, dim, count, count), count, dim, draw(strategies.seeds))


single = strategies.seeds.map(lambda seed: of_sizes((3, 2, 4, 1, 2), 1, 1, seed))
"""One token in one sequence."""
one_layer = ordinary(least_layers=1)
homework = strategies.seeds.map(lambda seed: of_sizes((128, 64, 128, 3, 6), 1, 65, seed))
"""The Vision Transformer's sizes."""
deep = strategies.seeds.map(lambda seed: of_sizes((3, 2, 4, 2, 6), 2, 66, seed))
"""As many layers and more tokens than in the homework, each of them small."""
SMALL_SIZES: tuple[SearchStrategy[SequenceCase], ...] = (ordinary(), square(), single)


# -- calls -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """What one call is given, and in which mode; with ``asked`` None return_attn is left out."""

    x: Array
    mask: Array | None
    asked: bool | None = None
    training: bool = False

    @property
    def batch(self) -> int:
        """How many sequences."""
        return int(self.x.shape[0])

    @property
    def tokens(self) -> int:
        """How many tokens in each."""
        return int(self.x.shape[1])

    def shown(self) -> dict[str, str]:
        """The inputs, for a person."""
        mode = "training" if self.training else "evaluation"
        asked = "left out" if self.asked is None else str(self.asked)
        inputs = {"x": expect.show(self.x), "attn_mask": expect.show(self.mask)}
        return {**inputs, "return_attn": asked, "mode": mode}


@dataclass(frozen=True)
class Seen:
    """A call with what came back and how blocks were called within it, in order."""

    call: Call
    reply: Any
    blocks: Any

    def made(self) -> list[dict[str, Any]]:
        """The calls of blocks, checked; those for each sequence apart count as one for the batch."""
        return common.calls(self.blocks, self.call.batch)


Way = Callable[[Student, Remote, Call], Remote]


def ask(student: Student, module: Remote, call: Call, x: Remote | None = None) -> Remote:
    """Call the module in whatever way it can be called so: how it takes masks is for the properties of masks to say.

    ``x`` is what it gets in place of the call's x, if that lies in the kernel already.
    """
    x, masks = _inputs(student, call, x)
    named = {} if call.asked is None else {"return_attn": call.asked}
    placed = () if call.asked is None else (call.asked,)
    by_name, by_place = [(x, {"attn_mask": mask, **named}) for mask in masks], [(x, mask, *placed) for mask in masks]
    without = [(x, named)] if named else []
    return module.any_way(*by_name, *without, (x,), *by_place, (x, masks[0]))


def ask_by_name(student: Student, module: Remote, call: Call) -> Remote:
    """Call the module with return_attn by keyword, as the provided classes do, and with the mask in any way."""
    x, masks = _inputs(student, call)
    named = {"return_attn": call.asked}
    by_name = ((x, {"attn_mask": mask, **named}) for mask in masks)
    return module.any_way(*by_name, *((x, mask, named) for mask in masks), (x, named))


def ask_with_mask(student: Student, module: Remote, call: Call) -> Remote:
    """Call the module with attn_mask by keyword, as the provided classes do, and with return_attn in any way."""
    x, (mask, *_) = _inputs(student, call)
    named = {"attn_mask": mask}
    if call.asked is None:
        return module(x, **named)
    return module.any_way((x, {**named, "return_attn": call.asked}), (x, named))


def _inputs(student: Student, call: Call, x: Remote | None = None) -> tuple[Remote, list[Any]]:
    """x and the mask as values in the kernel, followed by what can take the mask's place where it is not accepted."""
    x = student.tensor(call.x) if x is None else x
    if call.mask is not None:
        return x, [student.tensor(call.mask), None]
    return x, [None, student.tensor(np.ones((call.batch, call.tokens, call.tokens), np.float32))]


def observe(
    student: Student, module: Remote, calls: Sequence[Call], way: Way = ask
) -> Generator[Any, Any, list[Seen]]:
    """Call one object several times; what came back, and how blocks were called."""
    wanted: list[Remote] = []
    for call in calls:
        module.mode(call.training)
        student.forget_calls()
        wanted += [way(student, module, call), student.calls()]
    found = yield tuple(wanted)
    return [Seen(call, *found[2 * place : 2 * place + 2]) for place, call in enumerate(calls)]


@contextlib.contextmanager
def told(call: Call) -> Iterator[None]:
    """A violation shows the inputs of the call that it was found in."""
    try:
        yield
    except expect.Violation as violation:
        raise expect.Violation(violation.message, {**call.shown(), **violation.shown}) from None


def build(student: Student, case: SequenceCase) -> Remote:
    """The module as it is after construction."""
    module: Remote = student.Transformer(*(case.sizes[name] for name in SIZES))
    return module


def other_call(
    case: SequenceCase,
    batch: int,
    tokens: int,
    *,
    masked: bool,
    asked: bool | None = None,
    training: bool = False,
    number: int = 0,
) -> Call:
    """A call with another input than the case's; ``number`` tells apart those of equal shapes."""
    made: dict[tuple[int, int, int], tuple[Array, Array]] = case.__dict__.setdefault("other_inputs", {})
    key = (batch, tokens, number)
    if key not in made:  # a case is drawn once for many submissions
        rng = np.random.default_rng([case.seed, *key])
        made[key] = strategies.numbers(rng, batch, tokens, case.dim), hiding_mask(rng, batch, tokens)
    x, mask = made[key]
    return Call(x, mask if masked else None, asked, training)


def first_of(reply: Any) -> Any:
    """The first result, or the only one."""
    return reply[0] if isinstance(reply, tuple | list) and reply else reply


def readable(seen: Seen) -> Array | None:
    """The result that has x's shape, axes of size 1 aside; None if there is none."""
    values = seen.reply if isinstance(seen.reply, tuple | list) else [seen.reply]
    found = (common.fitting(value, seen.call.x.shape) for value in values)
    return next((value for value in found if value is not None), None)


def is_swapped(seen: Seen) -> bool:
    """Whether the output is not the first of the values returned, which is for the property of shapes to find."""
    return common.fitting(first_of(seen.reply), seen.call.x.shape) is None and readable(seen) is not None


def output_of(seen: Seen) -> Array:
    """The output; the property of shapes finds why there is none."""
    out = readable(seen)
    if out is None:
        expect.stand_back(SHAPES, f"there is no output of shape (B, T, dim) = {seen.call.x.shape}")
    return common.finite(out, "output")


def some_output_of(seen: Seen) -> Array:
    """The output; a violation if there is none."""
    out = readable(seen)
    expect.require(out is not None, f"there is no output of shape (B, T, dim) = {seen.call.x.shape}")
    assert out is not None
    return common.finite(out, "output")


def alphas_of(seen: Seen, layers: int, heads: int) -> Array:
    """The second result, checked: (B, L, H, T, T)."""
    second = expect.parts(seen.reply, 2, "Transformer")[1]
    wanted = (seen.call.batch, layers, heads, seen.call.tokens, seen.call.tokens)
    if isinstance(second, np.ndarray) and second.shape != wanted:
        raise expect.Violation(f"alphas has shape {second.shape}, expected (B, L, H, T, T) = {wanted}")
    return expect.tensor(second, wanted, "alphas")


def depends_on_x(first: Seen, other: Seen) -> None:
    """Two calls with different x give different outputs; if not, nothing that the module returns is worth a comparison."""
    one, two = first_of(first.reply), first_of(other.reply)
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray) and one.shape == two.shape:
        expect.require(not np.array_equal(one, two), "the output is the same for two different inputs x")


def why_unsteady(student: Student, module: Remote, case: SequenceCase) -> Generator[Any, Any, str | None]:
    """The property that finds why equal calls, or equal sequences of one call, get different outputs; None if they do not."""
    x = np.repeat(case.x[:1], common.MANY, axis=0)
    assert case.mask is not None
    for mask in (None, np.repeat(case.mask[:1], common.MANY, axis=0)):
        calls = [Call(x, mask, None, training) for training in (False, False, *[True] * 8)]
        seen = yield from observe(student, module, calls)
        outs = [readable(one) for one in seen]
        first = outs[0]
        if first is None:
            return None
        if any(out is None or not common.matches(out, first) for out in outs):
            return SAME_IN_MODES
        if not common.matches(first, np.repeat(first[:1], len(first), axis=0)):
            return INDEPENDENT
    return None


def steadily(
    student: Student, module: Remote, case: SequenceCase, compare: Callable[[], None]
) -> Generator[Any, Any, None]:
    """Compare; a violation that comes of chance, or of a dependence on the place in the batch, is left to others."""
    try:
        compare()
    except expect.Violation:
        to = yield from why_unsteady(student, module, case)
        if to is not None:
            expect.stand_back(to, "equal inputs do not get equal outputs")
        raise


# -- shapes ------------------------------------------------------------------------------------------------------


@property_of(PART, (*SMALL_SIZES, homework), examples=4)
def test_shapes(student: Student, case: SequenceCase) -> Program:
    """Transformer returns an output of shape (B, T, dim)."""
    calls = [Call(case.x, None), Call(case.x, case.mask)]
    if case.tokens < 60:
        larger = other_call(case, case.batch + 2, case.tokens + 1, masked=True, training=True)
        smaller = [other_call(case, 1, case.tokens, masked=masked) for masked in (True, False)]
        calls = [calls[0], larger, *smaller, calls[1]]
    for seen in (yield from observe(student, build(student, case), calls)):
        with told(seen.call):
            out = first_of(seen.reply)
            if isinstance(out, np.ndarray) and out.shape != seen.call.x.shape:
                wanted = f"(B, T, dim) = {seen.call.x.shape}"
                raise expect.Violation(f"the output has shape {out.shape}, expected {wanted}")
            expect.shape(out, seen.call.x.shape, "output")


@property_of(PART, (ordinary(), square()), examples=2)
def test_sequences_are_independent(student: Student, case: SequenceCase) -> Program:
    """Each sequence of a batch gets the result that it gets alone."""
    few = other_call(case, 2, case.tokens, masked=True)
    assert few.mask is not None
    places = np.arange(MANY) % 2
    calls = []
    for mask in (None, few.mask[:1]):  # one mask for all sequences: that each has its own is for the mask's properties
        calls += [Call(few.x[b : b + 1], mask) for b in range(2)]
        calls.append(Call(few.x[places], None if mask is None else mask.repeat(len(places), axis=0)))
    seen = yield from observe(student, build(student, case), calls)
    for group in (seen[:3], seen[3:]):
        *singles, together = (output_of(one) for one in group)
        want = np.concatenate(singles)[places]
        if not all(_got_its_mask(one) for one in group):
            expect.stand_back(MASKED, "the mask is not used in each call")
        with told(group[-1].call):
            expect.close(together, want, "output", "a sequence of a batch gets another result than alone")


@property_of(PART, (ordinary(), square()), examples=2)
def test_x_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """x is after the call what it was before it."""
    module = build(student, case)
    calls = [Call(case.x, None), Call(case.x, case.mask, True, training=True)]
    kept: list[Remote] = []
    for call in calls:
        module.mode(call.training)
        x, masks = _inputs(student, call)
        placed = () if call.asked is None else (call.asked,)
        module.any_way(*((x, mask, *placed) for mask in masks), (x, call.mask), (x,))
        kept.append(x)
    for call, after in zip(calls, (yield tuple(kept)), strict=True):
        with told(call):
            common.unchanged(after, call.x, "x")


@property_of(PART, SMALL_SIZES, examples=3)
def test_same_in_training_and_evaluation(student: Student, case: SequenceCase) -> Program:
    """The same input gives the same output in training and in evaluation mode."""
    assert case.mask is not None
    x, mask = (np.repeat(value[:1], common.MANY, axis=0) for value in (case.x, case.mask))
    plain, masked, full = ((None, None), (mask, None), (mask, True))
    ways = [(plain, True), (plain, True), (plain, False), (masked, True), (masked, False), (full, True), (full, False)]
    calls = [Call(x, *inputs, training) for inputs, training in ways]
    seen = yield from observe(student, build(student, case), calls)
    for early, late in ((0, 1), (0, 2), (3, 4), (5, 6)):
        first, again = output_of(seen[early]), output_of(seen[late])
        if calls[early].mask is not None and not _same_mask(seen[early], seen[late], output_of(seen[0])):
            expect.stand_back(MASKED, "the mask is not used in one of the modes")
        mode = "evaluation mode gives another output than training mode"
        why = "the same input gives another output the second time" if late == 1 else mode
        with told(calls[late]):
            expect.close(again, first, "output", why)


def _same_mask(first: Seen, other: Seen, unmasked: Array) -> bool:
    """Whether two calls used their mask alike, as far as can be seen."""
    one, two = ([call["mask"] for call in seen.blocks or ()] for seen in (first, other))
    if one or two:
        return len(one) == len(two) and all(_equal(a, b) for a, b in zip(one, two, strict=True))
    outs = readable(first), readable(other)
    ignored = [out is not None and common.matches(out, unmasked) for out in outs]
    return ignored[0] == ignored[1]


def _got_its_mask(seen: Seen) -> bool:
    """Whether all blocks got the call's mask, as far as can be seen."""
    shape = (seen.call.batch, seen.call.tokens, seen.call.tokens)
    want = np.ones(shape) if seen.call.mask is None else seen.call.mask
    for block in seen.blocks or ():
        mask = np.ones(()) if block["mask"] is None else block["mask"]
        if not isinstance(mask, np.ndarray) or mask.ndim > 3 or not np.array_equal(np.broadcast_to(mask, shape), want):
            return False
    return True


def _equal(first: Any, other: Any) -> bool:
    if isinstance(first, np.ndarray) and isinstance(other, np.ndarray):
        return first.shape == other.shape and bool(np.array_equal(first, other))
    return first is None and other is None


# -- layers ------------------------------------------------------------------------------------------------------


@property_of(PART, (ordinary(), homework, one_layer), world="stand-ins", examples=3)
def test_num_layers_blocks_of_the_given_sizes(student: Student, case: SequenceCase) -> Program:
    """There are num_layers different AttentionResidual blocks of the sizes given, all of them the module's own."""
    module = build(student, case)
    calls = [Call(case.x, case.mask, True, training=True), Call(case.x, None)]
    seen = yield from observe(student, module, calls)
    built = yield student.standins()
    for one in seen:
        called = common.called(one.blocks)
        count = len(called)
        with told(one.call):
            expect.holds(
                count == case.num_layers,
                f"expected {case.num_layers} distinct AttentionResidual blocks (num_layers={case.num_layers}),"
                f" but forward used {count}",
            )
    wanted = {name: case.sizes[name] for name in SIZES[:4]}
    for index in called:
        made = {name: built[index][name] for name in wanted}
        why = f"an AttentionResidual is built with {_sizes(made)}, expected {_sizes(wanted)}"
        expect.holds(made == wanted, why)
    lost = yield from common.out_of_reach(student, module, called)
    why = f"{len(lost)} of {count} blocks are not among the module's parameters (nn.ModuleList?)"
    expect.holds(not lost, why)


def load_blocks(
    student: Student, case: SequenceCase, indices: Sequence[int], built: Sequence[dict[str, int]]
) -> dict[int, Array]:
    """Give blocks new weights, which keep numbers of about the same size through all layers."""
    rng = case.rng()
    weights = {}
    for index in indices:
        dim = built[index]["dim"]
        weights[index] = np.asarray(strategies.numbers(rng, dim, dim) / max(1.0, dim / 6) ** 0.5, np.float32)
        student.standin(index).load({"weight": weights[index]})
    return weights


def mixing_of(block: dict[str, Any], call: Call) -> Array:
    """The token mixing (B, T, T) of a block in a call, by the mask that it was given."""
    mask = block["mask"]
    shape = (call.batch, call.tokens, call.tokens)
    if not isinstance(mask, np.ndarray):
        return np.full(shape, 1.0 / call.tokens)
    permitted = mask > 0
    if permitted.ndim == 4 and permitted.shape[1] == 1:
        permitted = permitted[:, 0]
    permitted = np.broadcast_to(permitted, shape).astype(np.float64)
    mixing: Array = permitted / np.maximum(permitted.sum(-1, keepdims=True), 1.0)
    return mixing


@property_of(PART, (*SMALL_SIZES, deep), world="stand-ins", examples=4)
def test_blocks_in_sequence_and_nothing_else(student: Student, case: SequenceCase) -> Program:
    """The output is x passed through the blocks in the order in which they were built, and nothing else is done to it."""
    module = build(student, case)
    (first,) = yield from observe(student, module, [Call(case.x, None)])
    built = yield student.standins()
    weights = load_blocks(student, case, common.called(first.blocks), built)
    yield from common.reweigh(module, case.rng())
    calls = [Call(case.x, None), Call(case.x, case.mask)]
    if 1 < case.tokens < 60:  # none larger than the first, as that is for the property of shapes
        calls.append(other_call(case, max(case.batch - 1, 1), case.tokens - 1, masked=True))
        calls.append(other_call(case, case.batch, case.tokens, masked=True, asked=True))
    seen = yield from observe(student, module, calls)

    def compare() -> None:
        for one in seen:
            with told(one.call):
                _holds_in_sequence(one, weights)

    yield from steadily(student, module, case, compare)


def _holds_in_sequence(seen: Seen, weights: dict[int, Array]) -> None:
    """Each block gets what the last one gave, in the order in which they were built, and the last one's is returned."""
    out = some_output_of(seen)
    made = seen.made()
    order = [int(block["index"]) for block in made]
    expect.require(order == sorted(set(order)), "the blocks are not called in the order in which they were built, once each")
    want, source = seen.call.x.astype(np.float64), "x"
    for place, block in enumerate(made):
        given = common.fitting(block["x"], seen.call.x.shape)
        why = f"block {place} gets an input of shape {getattr(block['x'], 'shape', ())}, expected {seen.call.x.shape}"
        expect.require(given is not None, why)
        assert given is not None
        why = f"block {place} gets something other than {source}"
        expect.close(given, want, f"input of block {place}", why)
        matrix = weights.get(int(block["index"]))
        expect.require(matrix is not None, "other blocks are called than in the call before")
        assert matrix is not None
        want = given + mixing_of(block, seen.call) @ given @ matrix.astype(np.float64)
        source = f"the output of block {place}"
    _leave_to_alphas(seen, out, want)
    expect.close(out, want, "output", f"the output is something other than {source}")


def _leave_to_alphas(seen: Seen, out: Array, want: Array) -> None:
    if seen.call.asked and not common.matches(out, want):
        expect.stand_back((CHANGE_NOTHING, SAME_IN_MODES), "return_attn=True gives another output")


@property_of(PART, (ordinary(), deep), world="stand-ins", examples=2)
def test_every_block_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output reaches the input and the weights of each block, with the gradients of the blocks in sequence."""
    module = build(student, case)
    (first,) = yield from observe(student, module, [Call(case.x, None)])
    built = yield student.standins()
    weights = load_blocks(student, case, common.called(first.blocks), built)
    yield from common.reweigh(module, case.rng())
    calls = [
        Call(case.x, None, None, training=True),
        Call(case.x, case.mask, True, training=True),
        *([Call(case.x, case.mask), Call(case.x, None, True)] if case.tokens < 60 else []),
    ]
    blocks = [student.standin(index).attribute("weight") for index in weights]
    wanted: list[Remote] = []
    for call in calls:
        module.mode(call.training)
        student.forget_calls()
        x = student.tensor(call.x, requires_grad=True)
        # A copy, as the input may not be a leaf of a graph.
        out = ask(student, module, call, x.method("clone")).tensor_of(call.x.shape)
        wanted += [out, student.calls(), student.gradients(out, None, [*blocks, x])]
    found = yield tuple(wanted)
    replies = [(Seen(call, *found[3 * n : 3 * n + 2]), found[3 * n + 2]) for n, call in enumerate(calls)]

    def compare() -> None:
        for seen, gradients in replies:
            with told(seen.call):
                _holds_gradients(seen, gradients, weights)

    yield from steadily(student, module, case, compare)


def _holds_gradients(seen: Seen, gradients: Sequence[Any], weights: dict[int, Array]) -> None:
    """The gradients by each block's weight and by x are those of the blocks that were called, one after the other."""
    shape, out, made = seen.call.x.shape, some_output_of(seen), seen.made()
    back = np.cos(1.0 + np.arange(seen.call.x.size)).reshape(shape)
    wants, last = {index: np.zeros(matrix.shape) for index, matrix in weights.items()}, out
    for block in reversed(made):
        matrix = weights.get(int(block["index"]))
        given = common.fitting(block["x"], shape)
        expect.require(matrix is not None and given is not None, "a block gets something else than in other calls")
        assert matrix is not None
        assert given is not None
        mixing = mixing_of(block, seen.call)
        if block is made[-1]:
            last = given + mixing @ given @ matrix.astype(np.float64)
        wants[int(block["index"])] += np.einsum("btd,bte->de", mixing @ given, back)
        back = back + np.swapaxes(mixing, 1, 2) @ back @ matrix.T.astype(np.float64)
    try:
        _holds_each_gradient([*wants.values(), back], gradients)
    except expect.Violation:
        _leave_to_alphas(seen, out, last)
        raise


def _holds_each_gradient(wants: Sequence[Array], gradients: Sequence[Any]) -> None:
    names = [f"block {place}" for place in range(len(wants) - 1)] + ["the input x"]
    for name, want, got in zip(names, wants, gradients, strict=True):
        cut = not isinstance(got, np.ndarray) or not np.any(got)
        expect.require(not (cut and np.any(want)), f"no gradient reaches {name}")
        gradient = common.finite(got, f"the gradient of {name}") if isinstance(got, np.ndarray) else np.zeros(want.shape)
        scale = 10 * float(np.abs(want).max())
        why = f"the gradient that reaches {name} is not that of all blocks in sequence"
        expect.close(gradient, want, "gradient", why, scale=scale)


# -- mask --------------------------------------------------------------------------------------------------------


@property_of(PART, (ordinary(), square(), deep), world="stand-ins", examples=3)
def test_the_mask_reaches_each_block(student: Student, case: SequenceCase) -> Program:
    """Each block gets attn_mask as it was given, in each call, and none where none is given."""
    calls = [Call(case.x, case.mask), Call(case.x, None, None, training=True)]
    if case.tokens < 60:
        batch, tokens = case.batch, case.tokens
        calls += [
            other_call(case, batch, tokens, masked=True, asked=True, number=1),
            Call(case.x, case.mask, True, training=True),
            other_call(case, batch + 1, tokens + 2, masked=True, training=True),
            other_call(case, batch, tokens, masked=True, number=2),
            other_call(case, batch + 2, tokens + 1, masked=False, asked=True),
            other_call(case, 1, tokens, masked=True),
            other_call(case, batch, tokens, masked=False, number=3),
        ]
    seen = yield from observe(student, build(student, case), calls, ask_with_mask)
    for one in seen:
        with told(one.call):
            for block in one.blocks if isinstance(one.blocks, list) else ():
                mask_fits(block["mask"], one.call)
            for block in one.made():
                mask_arrives(block["mask"], one.call)
    changed = first_of(seen[0].reply), first_of(seen[1].reply)
    if all(isinstance(value, np.ndarray) and value.shape == case.x.shape for value in changed):
        expect.require(not np.array_equal(*changed), "the output is the same with attn_mask and without")


def mask_fits(mask: Any, call: Call) -> None:
    """A block gets None or a mask of shape (T, T), (1, T, T) or (B, T, T); sequences may come one by one."""
    square = (call.tokens, call.tokens)
    shapes = (square, (1, *square), (call.batch, *square))
    fits = mask is None or (isinstance(mask, np.ndarray) and mask.shape in shapes)
    why = f"a block gets {_shape_or_value(mask)} as its mask, expected shape (B, T, T) = {(call.batch, *square)}"
    expect.require(fits, why)


def mask_arrives(mask: Any, call: Call) -> None:
    """A block gets the call's mask; None means the same as a mask of ones."""
    shape = (call.batch, call.tokens, call.tokens)
    want = np.ones(shape) if call.mask is None else call.mask.astype(np.float64)
    got = np.broadcast_to(np.ones(()) if mask is None else mask.astype(np.float64), shape)
    why = "a block gets a mask other than attn_mask"
    if call.mask is None:
        why = "a block gets a mask that hides tokens, but attn_mask is None"
    elif mask is None:
        why = "a block gets no mask, but attn_mask was given"
    equal = bool(np.array_equal(got, want))
    shown = {} if equal else {"the mask that a block gets": expect.show(got), "expected mask": expect.show(want)}
    expect.holds(equal, why, shown)


@property_of(PART, (ordinary(), square()), examples=2)
def test_the_mask_is_not_changed(student: Student, case: SequenceCase) -> Program:
    """attn_mask is after the call what it was before it."""
    assert case.mask is not None
    module, masks = build(student, case), [student.tensor(case.mask) for _ in range(2)]
    module(case.x, attn_mask=masks[0])
    module.any_way((case.x, {"attn_mask": masks[1], "return_attn": True}), (case.x, masks[1], True), (case.x, masks[1]))
    for after in (yield tuple(masks)):
        common.unchanged(after, case.mask, "attn_mask")


# -- alphas ------------------------------------------------------------------------------------------------------


@property_of(PART, (ordinary(), square()), examples=2)
def test_no_alphas_unless_asked(student: Student, case: SequenceCase) -> Program:
    """With return_attn=False, which is the default, the second value is None."""
    plain = [Call(case.x, None), Call(case.x, case.mask, None, training=True)]
    denied = [Call(case.x, case.mask, False), Call(case.x, None, False, training=True)]
    module = build(student, case)
    seen = yield from observe(student, module, plain)
    seen += yield from observe(student, module, denied, ask_by_name)
    for one in seen:
        second = expect.parts(one.reply, 2, "Transformer")[1]
        if is_swapped(one):
            expect.stand_back(SHAPES, "the output is not the first of the values returned")
        with told(one.call):
            why = f"without return_attn the second value is {_shape_or_value(second)}, expected None"
            expect.holds(second is None, why)


def _shape_or_value(value: Any) -> str:
    return f"a tensor of shape {value.shape}" if isinstance(value, np.ndarray) else expect.show(value)


@property_of(PART, (ordinary(), square(), deep), world="stand-ins", examples=3)
def test_alphas_are_in_the_order_of_the_layers(student: Student, case: SequenceCase) -> Program:
    """With return_attn=True the alphas have shape (B, L, H, T, T), and alphas[:, l] are those of the l-th block."""
    module = build(student, case)
    calls = [Call(case.x, case.mask, True), Call(case.x + np.float32(1), case.mask, True)]
    if case.tokens < 60:
        calls += [
            other_call(case, case.batch + 1, case.tokens + 1, masked=False, asked=True, training=True),
            other_call(case, case.batch, case.tokens, masked=True, asked=True, training=True),
            other_call(case, 1, case.tokens, masked=False, asked=True),
        ]
    seen = yield from observe(student, module, calls, ask_by_name)
    built = yield student.standins()
    try:
        for one in seen:
            with told(one.call):
                _holds_alphas(one, built)
        depends_on_x(seen[0], seen[1])
    except expect.Violation:
        (plain,) = yield from observe(student, module, [Call(case.x, case.mask)])
        if is_swapped(plain):
            expect.stand_back(SHAPES, "the output is not the first of the values returned")
        raise


def _holds_alphas(seen: Seen, built: Sequence[dict[str, int]]) -> None:
    """alphas[:, l] are those of the block called as number l, or built as number l where these are not the same."""
    made = seen.made()
    heads = built[int(made[0]["index"])]["num_heads"]
    once = list({int(block["index"]): block for block in reversed(made)}.values())[::-1]
    second = expect.parts(seen.reply, 2, "Transformer")[1]
    if isinstance(second, np.ndarray) and second.ndim == 5 and second.shape[1] == len(once):
        made = once  # a block that is called again is for the properties of layers to find
    alphas = alphas_of(seen, len(made), heads)
    wants = [
        oracles.marks(mixing_of(block, seen.call), heads, int(block["index"]), block["x"]) for block in made
    ]
    order = np.argsort([int(block["index"]) for block in made], kind="stable").tolist()
    if order != sorted(order) and not common.matches(alphas, np.stack(wants, axis=1)):
        wants = [wants[place] for place in order]
    for place, want in enumerate(wants):
        why = f"alphas[:, {place}] are not those of layer {place}"
        expect.close(alphas[:, place], want, f"alphas[:, {place}]", why)


@property_of(PART, (ordinary(), square()), examples=2)
def test_alphas_change_nothing(student: Student, case: SequenceCase) -> Program:
    """The output is the same with return_attn=True and without."""
    module = build(student, case)
    calls = [Call(case.x, mask, asked) for mask in (None, case.mask) for asked in (None, True)]
    seen = yield from observe(student, module, calls)
    plain = output_of(seen[0])

    def compare() -> None:
        for before, after in (seen[:2], seen[2:]):
            want = output_of(before)
            if before.call.mask is not None and not _same_mask(before, after, plain):
                expect.stand_back(MASKED, "the mask is not used with return_attn=True as it is without")
            with told(after.call):
                got = readable(after)
                expect.require(got is not None, f"with return_attn=True there is no output of shape {case.x.shape}")
                assert got is not None
                expect.close(common.finite(got, "output"), want, "output", "return_attn=True gives another output")

    yield from steadily(student, module, case, compare)


def _sizes(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name}={size}" for name, size in sizes.items())
