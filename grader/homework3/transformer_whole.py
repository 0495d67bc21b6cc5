"""2c again, for a Transformer that builds no AttentionResidual, or works with the student's own only: it is judged whole.

Its layers are told apart by building it with fewer of them: the parameters that the n-th layer adds are its own. A module of
one layer that is given the parameters of layer l is that layer alone, so the composition of all layers can be held as exactly
as with stand-ins, and the one layer is identified by its function (see `identify`): attention whose scores come from queries
and keys and whose output is linear in the values, then LayerNorm, two linear maps with GELU between them, and two residuals.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.homework3 import common, identify, strategies
from grader.homework3.strategies import SequenceCase
from grader.homework3.transformer import (
    PART,
    SIZES,
    Call,
    Seen,
    alphas_of,
    ask,
    ask_with_mask,
    build,
    depends_on_x,
    observe,
    of_sizes,
    output_of,
    readable,
    steadily,
    told,
)
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array

ALONE = "transformer_whole.test_layers_follow_each_other"
WEIGHT_SIZE = 0.4
COMPOSED = 20.0
"""By how much more than a single step a composition of layers may be off: each adds the rounding of its own."""
SLOPE_STEP = 0.01
SLOPE_MISS = 0.03

Weights = dict[str, Array]

layered = strategies.seeds.map(lambda seed: of_sizes((4, 3, 5, 2, 3), 2, 5, seed))
five_layers = strategies.seeds.map(lambda seed: of_sizes((5, 3, 7, 1, 5), 3, 4, seed))
one_layer = strategies.seeds.map(lambda seed: of_sizes((4, 3, 5, 2, 1), 6, 7, seed))
long = strategies.seeds.map(lambda seed: of_sizes((4, 3, 5, 2, 2), 1, 66, seed))


# -- layers, told apart by their parameters ----------------------------------------------------------------------


@dataclass(frozen=True)
class Layers:
    """For each layer the names of its parameters, in the order of those of a module of one layer.

    A parameter that holds those of all layers along its first axis belongs to each of them; ``shared`` are such.
    """

    single: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    shared: frozenset[str]

    def alone(self, weights: Mapping[str, Array], layer: int) -> Weights:
        """The weights of one layer, for a module that has no other."""
        own = zip(self.single, self.names[layer], strict=True)
        return {
            name: weights[source][layer : layer + 1] if source in self.shared else weights[source]
            for name, source in own
        }


def layers_of(found: Sequence[Mapping[str, Array]]) -> Layers:
    """Tell apart the parameters of layers by those of modules with one layer, two layers, and so on."""
    single = tuple(found[0])
    expect.require(bool(single), "the module has no parameters")
    shapes = {name: tuple(value.shape) for name, value in found[0].items()}
    shared = frozenset(
        name
        for name in single
        if all(name in more and more[name].shape == (count, *shapes[name][1:]) for count, more in enumerate(found, 1))
        and shapes[name][:1] == (1,)
        and len(found) > 1
    )
    names = [single]
    for count, (fewer, more) in enumerate(itertools.pairwise(found), 1):
        new = iter([name for name in more if name not in fewer])
        own = tuple(name if name in shared else next(new, "") for name in single)
        added = sum(more[name].size for name in more if name not in fewer)
        each = sum(found[0][name].size for name in single if name not in shared)
        why = (
            f"layer {count} (counted from 0) adds {added} numbers to the module's parameters, and layer 0 has {each}:"
            " each layer needs weights of its own"
        )
        alike = all(name and (name in shared or more[name].shape == shapes[one]) for name, one in zip(own, single, strict=True))
        expect.require(alike and next(new, None) is None, why)
        names.append(own)
    return Layers(single, tuple(names), shared)


def with_layers(student: Student, case: SequenceCase, count: int) -> Remote:
    """A module of as many layers."""
    module: Remote = student.Transformer(*(case.sizes[name] for name in SIZES[:4]), count)
    module.mode(False)
    return module


def told_apart(student: Student, case: SequenceCase) -> Generator[Any, Any, tuple[Layers, Weights]]:
    """The layers of the case's module, and new weights for it."""
    modules = [with_layers(student, case, count) for count in range(1, case.num_layers + 1)]
    for module in modules:
        ask(student, module, Call(case.x, None))
    found = yield tuple(module.parameters() for module in modules)
    own = [{name: v for name, v in one.items() if isinstance(v, np.ndarray)} for one in found]
    return layers_of(own), generic(own[-1], case.rng())


def generic(parameters: Mapping[str, Array], rng: np.random.Generator) -> Weights:
    """New weights of ordinary size."""
    return {
        name: (WEIGHT_SIZE * rng.normal(size=value.shape)).astype(np.float32) for name, value in parameters.items()
    }


def chained(
    student: Student, case: SequenceCase, layers: Layers, weights: Weights, call: Call
) -> tuple[list[Remote], Remote]:
    """What modules of one layer give, each with the weights of one and the output of the last: replies, and the last output."""
    single = with_layers(student, case, 1)
    single.mode(call.training)
    x: Remote | None = None
    replies = []
    for layer in range(case.num_layers):
        single.load(layers.alone(weights, layer))
        replies.append(ask(student, single, call, x))
        x = replies[-1].tensor_of(call.x.shape)
    assert x is not None
    return replies, x


# -- layers ------------------------------------------------------------------------------------------------------


@property_of(PART, (layered, five_layers, long), world="whole", examples=3)
def test_layers_follow_each_other(student: Student, case: SequenceCase) -> Program:
    """x passes through num_layers layers, each with weights of its own and each as a Transformer of one layer has it."""
    layers, weights = yield from told_apart(student, case)
    module = build(student, case)
    module.load(weights)
    calls = [Call(case.x, None), Call(case.x + np.float32(0.5), None, True)]
    seen = yield from observe(student, module, calls)
    wants = yield tuple(chained(student, case, layers, weights, call)[1] for call in calls)

    def compare() -> None:
        for one, want in zip(seen, wants, strict=True):
            with told(one.call):
                expected = common.fitting(want, one.call.x.shape)
                expect.require(expected is not None, "a Transformer of one layer returns no output of x's shape")
                assert expected is not None
                why = f"the output is not that of {case.num_layers} layers, one after the other"
                expect.close(output_of(one), expected, "output", why, scale=COMPOSED)
        depends_on_x(seen[0], seen[1])

    yield from steadily(student, module, case, compare)


@property_of(PART, (one_layer,), world="whole", examples=2)
def test_a_layer_attends(student: Student, case: SequenceCase) -> Program:
    """In each layer attention is added to x: weights from queries and keys of x as it is, and values linear in x."""
    module, by_network, _ = yield from _one_layer(student, case)
    found = yield module.parameters()
    weights = generic(found, case.rng())
    module.load({**weights, **{name: np.zeros_like(weights[name]) for name in by_network}})
    rng = case.rng()
    fresh = strategies.numbers(rng, case.batch, case.tokens, case.dim)
    seen = yield from observe(student, module, [Call(case.x, None, True), Call(fresh, None, True)])
    found_alphas = [_alphas_or_none(one, case) for one in seen]
    known, new = (np.zeros(()) if alphas is None else alphas[:, 0] for alphas in found_alphas)
    if not (known.ndim and new.ndim):
        expect.stand_back(ALPHAS, "no attention weights of all layers are returned")
    for head in range(case.num_heads):
        scores = identify.fit_scores(case.x, known[:, head])
        size = float(np.abs(scores.tokens_only).max())
        why = f"the attention weights of head {head} do not depend on the token that attends"
        expect.require(size > 1e-3, why, {"alphas[:, 0]": expect.show(known)})
        why = f"the attention weights of head {head} are not the softmax of products of queries and keys of x"
        expect.close(new[:, head], scores.alphas(fresh), "alphas", why, scale=COMPOSED)
    added, wanted = (output_of(one) - one.call.x for one in seen)
    values = identify.fit_values(case.x, known, added)
    why = "what a layer adds to x before its feed-forward network is not linear in the values"
    expect.close(values.outputs(fresh, new), wanted, "what is added to x", why, scale=COMPOSED)
    for head in range(case.num_heads):
        size = float(np.abs(values.tokens_only(head)).max())
        expect.holds(size > 1e-3, f"head {head} of a layer adds nothing to x")


@property_of(PART, (one_layer,), world="whole", examples=2)
def test_a_layer_has_a_network(student: Student, case: SequenceCase) -> Program:
    """In each layer LayerNorm, a map to mlp_dim, GELU and a map back to dim are added to what attention gave."""
    module, by_network, by_attention = yield from _one_layer(student, case)
    found = yield module.parameters()
    weights = generic(found, case.rng())
    module.load({**weights, **{name: np.zeros_like(weights[name]) for name in by_attention}})
    seen = yield from observe(student, module, [Call(case.x, None)])
    out = output_of(seen[0])
    wide: list[Array] = []
    inner: Array | None = None
    for name in by_network:
        value = np.squeeze(weights[name].astype(np.float64))
        if value.shape == (case.mlp_dim,):
            inner = value
        elif value.ndim == 2 and set(value.shape) == {case.mlp_dim, case.dim}:
            wide.append(value if value.shape == (case.mlp_dim, case.dim) else value.T)
    others = [np.squeeze(weights[name].astype(np.float64)) for name in weights if name not in (*by_network, *by_attention)]
    vectors = [value for value in others if value.shape == (case.dim,)]
    expect.require(len(wide) == 2, f"{len(wide)} maps between dim and mlp_dim are found in a layer, expected 2")
    candidates = [
        _network(case.x.astype(np.float64), first, second, inner, roles)
        for first, second in itertools.permutations(wide)
        for roles in itertools.permutations([*vectors, *[None] * (4 - len(vectors))], 4)
    ]
    why = "without attention a layer is something other than x + FFN(x): LayerNorm, Linear, GELU, Linear"
    common.close_to_one(out, candidates, "output", why)


def _network(x: Array, first: Array, second: Array, inner: Array | None, roles: Sequence[Array | None]) -> Array:
    """x + b_O, and the network of it added; ``roles`` are b_O, the LayerNorm's scale and shift, and the last bias."""
    before, scale, shift, last = roles
    x = x if before is None else x + before
    centered = x - x.mean(-1, keepdims=True)
    normal = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5)
    normal = normal * (1.0 if scale is None else scale) + (0.0 if shift is None else shift)
    hidden = normal @ first.T + (0.0 if inner is None else inner)
    bent = hidden * 0.5 * (1.0 + np.vectorize(math.erf)(hidden / math.sqrt(2.0)))
    added: Array = x + bent @ second + (0.0 if last is None else last)
    return added


def _one_layer(
    student: Student, case: SequenceCase
) -> Generator[Any, Any, tuple[Remote, list[str], list[str]]]:
    """A module of one layer, and the names of the parameters whose sizes follow mlp_dim, and attn_dim."""
    sizes = [case.sizes[name] for name in SIZES[:4]]
    modules = []
    for place in (None, 2, 1):
        grown = [size + (number == place) for number, size in enumerate(sizes)]
        modules.append(student.Transformer(*grown, 1))
        modules[-1].mode(False)
        ask(student, modules[-1], Call(case.x, None))
    plain, wider, deeper = yield tuple(module.parameters() for module in modules)
    expect.require(bool(plain), "the module has no parameters")
    by_network, by_attention = (_grown(plain, other) for other in (wider, deeper))
    expect.require(bool(by_network), "no parameter of a layer has a size that follows mlp_dim")
    expect.require(bool(by_attention), "no parameter of a layer has a size that follows attn_dim")
    both = set(by_network) & set(by_attention)
    expect.require(not both, f"the sizes of {', '.join(sorted(both))} follow both attn_dim and mlp_dim")
    return modules[0], by_network, by_attention


def _grown(plain: Mapping[str, Array], other: Mapping[str, Array]) -> list[str]:
    return [name for name, value in plain.items() if name not in other or other[name].shape != value.shape]


@property_of(PART, (layered, one_layer), world="whole", examples=2)
def test_every_weight_learns(student: Student, case: SequenceCase) -> Program:
    """A loss on the output gives each weight, and the input, the gradient that small changes of it show."""
    module = build(student, case)
    ask(student, module, Call(case.x, None))
    found = yield module.parameters()
    expect.require(bool(found), "the module has no parameters that could learn")
    rng = case.rng()
    weights = {name: 0.5 * value for name, value in generic(found, rng).items()}
    module.load(weights)
    for call in (Call(case.x, case.mask, True, training=True), Call(case.x, None)):
        module.mode(call.training)
        leaf = student.tensor(call.x, requires_grad=True)
        out = ask(student, module, call, leaf.method("clone")).tensor_of(call.x.shape)
        by_name, by_x = student.parameter_gradients(out, None, module), student.gradients(out, None, [leaf])
        gradients, at_x, before = yield by_name, by_x, out
        expect.require(isinstance(before, np.ndarray), "there is no output")
        back = np.cos(1.0 + np.arange(before.size)).reshape(before.shape)
        steps = {name: rng.normal(size=value.shape) for name, value in weights.items()}
        step_of_x = rng.normal(size=call.x.shape)
        replies = []
        for name, step in steps.items():
            for sign in (1, -1):
                module.load({name: (weights[name] + sign * SLOPE_STEP * step).astype(np.float32)})
                replies.append(ask(student, module, call).tensor_of(call.x.shape))
            module.load({name: weights[name]})
        for sign in (1, -1):
            moved = Call((call.x + sign * SLOPE_STEP * step_of_x).astype(np.float32), call.mask, call.asked)
            replies.append(ask(student, module, moved).tensor_of(call.x.shape))
        outs = yield replies
        slopes = [
            float((back * (up.astype(np.float64) - down)).sum()) / (2 * SLOPE_STEP)
            for up, down in zip(outs[::2], outs[1::2], strict=True)
        ]
        names = [*steps, "the input x"]
        taken = [gradients.get(name) for name in steps] + [at_x[0]]
        for name, gradient, step, slope in zip(names, taken, [*steps.values(), step_of_x], slopes, strict=True):
            _holds_slope(call, name, gradient, step, slope)


def _holds_slope(call: Call, name: str, gradient: Any, step: Array, slope: float) -> None:
    told_by = float((gradient.astype(np.float64) * step).sum()) if isinstance(gradient, np.ndarray) else 0.0
    miss = SLOPE_MISS * (abs(slope) + abs(told_by)) + 0.02
    with told(call):
        finite = math.isfinite(told_by)
        why = f"{name} gets no gradient" if not told_by else f"the gradient of {name} is not that of the output"
        shown = {"change of the output": f"{slope:.4g}", "change that the gradient tells": f"{told_by:.4g}"}
        expect.holds(finite and abs(slope - told_by) <= miss, why, shown)


# -- mask --------------------------------------------------------------------------------------------------------


@property_of(PART, (layered, five_layers, long), world="whole", examples=3)
def test_the_mask_rules_each_layer(student: Student, case: SequenceCase) -> Program:
    """In each layer a token attends to permitted tokens only, in each call and in both modes, as attn_mask says."""
    assert case.mask is not None
    module = build(student, case)
    ask(student, module, Call(case.x, None))
    found = yield module.parameters()
    expect.require(bool(found), "the module has no parameters")
    weights = generic(found, case.rng())
    module.load(weights)
    turned = np.ascontiguousarray(case.mask[:, ::-1, ::-1])
    calls = [
        Call(case.x, None, True),
        Call(case.x, case.mask, True),
        Call(case.x, turned),
        Call(case.x, None),
        Call(case.x, case.mask),
        Call(case.x, case.mask, None, training=True),
    ]
    seen = yield from observe(student, module, calls, ask_with_mask)
    _holds_mask(seen[0], seen[1], case)
    outs = [output_of(one) for one in seen]
    for one, other in ((1, 4), (4, 5), (0, 3)):
        with told(calls[other]):
            expect.close(outs[other], outs[one], "output", "the same attn_mask gives another output in another call")
    if case.num_layers < 4:
        expect.holds(not common.matches(outs[4], outs[3]), "the output is the same with attn_mask and without")
    try:
        layers, _ = yield from told_apart(student, case)
    except expect.Violation as violation:
        expect.stand_back(ALONE, violation.message)
    wants = yield tuple(chained(student, case, layers, weights, calls[place])[1] for place in (0, 2, 4))
    if not _matches(seen[0], wants[0]):
        expect.stand_back(ALONE, "the layers do not follow each other as they do alone")
    for place, want in zip((2, 4), wants[1:], strict=True):
        expected = common.fitting(want, case.x.shape)
        expect.require(expected is not None, "a Transformer of one layer returns no output of x's shape")
        assert expected is not None
        with told(calls[place]):
            why = "the mask does not reach all layers as it reaches one: the output differs from that of layers one by one"
            expect.close(outs[place], expected, "output", why, scale=COMPOSED)


def _holds_mask(plain: Seen, masked: Seen, case: SequenceCase) -> None:
    """Attention weights are 0 where the mask is; in layer 0 the others keep their ratios."""
    assert case.mask is not None
    free, ruled = (_alphas_or_none(one, case) for one in (plain, masked))
    if free is None or ruled is None:
        expect.stand_back(ALPHAS, "no attention weights of all layers are returned")
    with told(masked.call):
        hidden = (case.mask == 0)[:, None, None]
        counts = np.broadcast_to(hidden, free.shape) & (np.abs(free) > 1e-3)
        expect.require(bool(counts.any()), "the attention weights without a mask are too small to tell what it does")
        expect.zero(ruled, np.broadcast_to(hidden, ruled.shape), "alphas", "a masked token gets weight")
        spread = float(np.ptp(np.log(np.maximum(free[:, 0], 1e-30)), axis=-1).max())
        expect.require(spread > 1e-3, "without a mask all tokens get the same attention weight")
        kept = np.where(hidden[:, 0], 0.0, free[:, 0])
        want = kept / kept.sum(-1, keepdims=True)
        why = "with a mask the weights of permitted tokens in layer 0 are not those of a softmax over these"
        expect.close(ruled[:, 0], want, "alphas[:, 0]", why, scale=2.0)


def _alphas_or_none(seen: Seen, case: SequenceCase) -> Array | None:
    reply = seen.reply
    shape = (seen.call.batch, case.num_layers, case.num_heads, seen.call.tokens, seen.call.tokens)
    value = reply[1] if isinstance(reply, tuple | list) and len(reply) > 1 else None
    found = common.fitting(value, shape)
    return None if found is None or not np.all(np.isfinite(found)) else found


@property_of(PART, (strategies.seeds.map(lambda seed: of_sizes((4, 3, 5, 2, 2), 2, 5, seed)),), world="whole", examples=3)
def test_reach_grows_by_one_token_a_layer(student: Student, case: SequenceCase) -> Program:
    """With a mask of self and previous token, each layer lets a token see one more token back, and no further."""
    module = build(student, case)
    ask(student, module, Call(case.x, None))
    found = yield module.parameters()
    module.load(generic(found, case.rng()))
    mask = strategies.make_mask("previous", case.batch, case.tokens, case.rng())
    other = case.x.copy()
    other[:, 0] += 2.0 * np.where(np.arange(case.dim) % 2, 1, -0.5)
    seen = yield from observe(student, module, [Call(case.x, mask), Call(other, mask)], ask_with_mask)
    gap = np.abs(output_of(seen[0]) - output_of(seen[1])).max(axis=(0, 2))
    reach = case.num_layers
    with told(seen[0].call):
        expect.require(gap[reach] > 0, f"after {reach} layers token {reach} does not see token 0")
        why = "a token that the mask hides has influence"
        expect.zero(gap, np.arange(case.tokens) > reach, "the change of the output at token", why, most=1e-5)


# -- alphas ------------------------------------------------------------------------------------------------------

ALPHAS = "transformer_whole.test_alphas_of_all_layers"


@property_of(PART, (layered, five_layers, long), world="whole", examples=3)
def test_alphas_of_all_layers(student: Student, case: SequenceCase) -> Program:
    """With return_attn=True the alphas have shape (B, L, H, T, T), and alphas[:, l] are those of the l-th layer."""
    module = build(student, case)
    ask(student, module, Call(case.x, None))
    found = yield module.parameters()
    expect.require(bool(found), "the module has no parameters")
    weights = generic(found, case.rng())
    module.load(weights)
    other = strategies.numbers(case.rng(), case.batch + 1, case.tokens, case.dim)
    calls = [
        Call(case.x, None, True, training=True),
        Call(other, None, True),
        Call(strategies.numbers(case.rng(), *case.x.shape), None, True),
        Call(case.x[:1], case.mask[:1] if case.mask is not None else None, True),
    ]
    seen = yield from observe(student, module, calls)
    module.load(generic(found, np.random.default_rng(case.seed)))
    seen += yield from observe(student, module, [Call(case.x, None, True)])
    alphas = [alphas_of(one, case.num_layers, case.num_heads) for one in seen]
    for one, found_alphas in zip(seen, alphas, strict=True):
        with told(one.call):
            common.distributions(found_alphas, "alphas")
    why = "the attention weights of layer 0 are the same for two different inputs x"
    expect.differs(alphas[2][:, 0], alphas[0][:, 0], "alphas[:, 0]", why, least=1e-5)
    why = "the attention weights of layer 0 are the same for other parameters of the module"
    expect.differs(alphas[4][:, 0], alphas[0][:, 0], "alphas[:, 0]", why, least=1e-5)
    try:
        layers, _ = yield from told_apart(student, case)
    except expect.Violation as violation:
        expect.stand_back(ALONE, violation.message)
    chains = [chained(student, case, layers, weights, call) for call in calls[:2]]
    replies = yield tuple(part for chain in chains for part in chain)
    for place, one in enumerate(seen[:2]):
        if not _matches(one, replies[2 * place + 1]):
            expect.stand_back(ALONE, "the layers do not follow each other as they do alone")
        with told(calls[place]):
            _holds_layers(alphas[place], replies[2 * place], calls[place], case)


def _matches(seen: Seen, want: Any) -> bool:
    got, expected = readable(seen), common.fitting(want, seen.call.x.shape)
    return got is not None and expected is not None and common.matches(got, expected, scale=COMPOSED)


def _holds_layers(alphas: Array, replies: Sequence[Any], call: Call, case: SequenceCase) -> None:
    for layer, reply in enumerate(replies):
        want = alphas_of(Seen(call, reply, []), 1, case.num_heads)[:, 0]
        why = f"alphas[:, {layer}] are not those of layer {layer}"
        expect.close(alphas[:, layer], want, f"alphas[:, {layer}]", why, scale=COMPOSED)
