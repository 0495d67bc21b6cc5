"""A module that is judged whole: its layers follow each other, and one layer is identified by its function (`identify`).

That is attention whose scores come from queries and keys and whose output is linear in the values, then LayerNorm, two linear
maps with GELU between them, and two residuals.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np

from grader.homework3 import checks, identify, strategies
from grader.homework3.strategies import MaskedCase
from grader.homework3.transformer.calls import (
    Call,
    ask,
    build,
    check_deterministically,
    expect_dependence_on_x,
    observe,
    output_of,
    showing_inputs,
)
from grader.homework3.transformer.cases import SIZES
from grader.homework3.transformer.whole_alphas import ALPHAS
from grader.homework3.transformer.whole_masks import alphas_or_none
from grader.homework3.transformer.whole_parts import (
    COMPOSED,
    WHOLE,
    chained,
    five_layers,
    generic,
    layered,
    long,
    one_layer,
    told_apart,
)
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array

SLOPE_STEP = 0.01
SLOPE_MISS = 0.03


@property_of(WHOLE, (layered, five_layers, long), when="whole", examples=3)
def test_layers_follow_each_other(student: Student, case: MaskedCase) -> Program:
    """x passes through num_layers layers, each with its own weights, and each the same as a Transformer of one layer."""
    layers, weights = yield from told_apart(student, case)
    module = build(student, case)
    module.load(weights)
    calls = [Call(case.x, None), Call(case.x + np.float32(0.5), None, True)]
    seen = yield from observe(student, module, calls)
    wants = yield tuple(chained(student, case, layers, weights, call)[1] for call in calls)

    def compare() -> None:
        for one, want in zip(seen, wants, strict=True):
            with showing_inputs(one.call):
                expected = checks.with_shape(want, one.call.x.shape)
                expect.require(
                    expected is not None, "a Transformer of one layer returns no output of x's shape"
                )
                assert expected is not None
                why = f"the output is not that of {case.num_layers} layers, one after the other"
                expect.close(output_of(one), expected, "output", why, scale=COMPOSED)
        expect_dependence_on_x(seen[0], seen[1])

    yield from check_deterministically(student, module, case, compare)


@property_of(WHOLE, (one_layer,), when="whole", examples=2)
def test_a_layer_attends(student: Student, case: MaskedCase) -> Program:
    """Each layer adds attention to x, with queries, keys and values that are linear in x."""
    module, by_network, _ = yield from _one_layer(student, case)
    found = yield module.parameters()
    weights = generic(found, case.rng())
    module.load({**weights, **{name: np.zeros_like(weights[name]) for name in by_network}})
    rng = case.rng()
    fresh = strategies.numbers(rng, case.batch, case.tokens, case.dim)
    seen = yield from observe(student, module, [Call(case.x, None, True), Call(fresh, None, True)])
    found_alphas = [alphas_or_none(one, case) for one in seen]
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


@property_of(WHOLE, (one_layer,), when="whole", examples=2)
def test_a_layer_has_a_network(student: Student, case: MaskedCase) -> Program:
    """Each layer then adds LayerNorm, a linear map to mlp_dim, GELU and a linear map back to dim."""
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
    others = [
        np.squeeze(weights[name].astype(np.float64))
        for name in weights
        if name not in (*by_network, *by_attention)
    ]
    vectors = [value for value in others if value.shape == (case.dim,)]
    expect.require(
        len(wide) == 2, f"{len(wide)} maps between dim and mlp_dim are found in a layer, expected 2"
    )
    candidates = [
        _network(case.x.astype(np.float64), first, second, inner, roles)
        for first, second in itertools.permutations(wide)
        for roles in itertools.permutations([*vectors, *[None] * (4 - len(vectors))], 4)
    ]
    why = "without attention a layer is something other than x + FFN(x): LayerNorm, Linear, GELU, Linear"
    checks.expect_close_to_any(out, candidates, "output", why)


def _network(
    x: Array, first: Array, second: Array, inner: Array | None, roles: Sequence[Array | None]
) -> Array:
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
    student: Student, case: MaskedCase
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


@property_of(WHOLE, (layered, one_layer), when="whole", examples=2)
def test_every_weight_learns(student: Student, case: MaskedCase) -> Program:
    """A loss on the output gives the input and every weight the correct gradient."""
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
        for name, gradient, step, slope in zip(
            names, taken, [*steps.values(), step_of_x], slopes, strict=True
        ):
            _holds_slope(call, name, gradient, step, slope)


def _holds_slope(call: Call, name: str, gradient: Any, step: Array, slope: float) -> None:
    told_by = float((gradient.astype(np.float64) * step).sum()) if isinstance(gradient, np.ndarray) else 0.0
    miss = SLOPE_MISS * (abs(slope) + abs(told_by)) + 0.02
    with showing_inputs(call):
        finite = math.isfinite(told_by)
        why = (
            f"{name} gets no gradient" if not told_by else f"the gradient of {name} is not that of the output"
        )
        shown = {"change of the output": f"{slope:.4g}", "change that the gradient tells": f"{told_by:.4g}"}
        expect.holds(finite and abs(slope - told_by) <= miss, why, shown)
