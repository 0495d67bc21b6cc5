"""What a module returned: reading it leniently, and comparisons that several parts share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import numpy as np

from grader.homework3.strategies import MaskedCase
from grader.judging import expect, pictures
from grader.kernel.remote import Remote
from grader.kernel.wire import Array

LARGEST_SCORE = 8e3
LEAST_EFFECT = 1e-4
"""What a change of ordinary size has to change at least, so that it counts as an influence."""


def call_unmasked(module: Remote, x: Any, shape: Sequence[int], *, ones_first: bool = False) -> Remote:
    """Call a module without a mask, in any way that it accepts; how it takes masks is judged by the properties of masks.

    Args:
        module: the module.
        x: its input, of ``shape`` (B, T, dim).
        shape: the shape of ``x``, which may be in the kernel.
        ones_first: whether a mask of ones is preferred to None.
    """
    ones = np.ones((shape[0], shape[1], shape[1]), np.float32)
    ways = ((x, ones), (x, None)) if ones_first else ((x, None), (x, ones))
    return module.any_way(*ways, (x,))


def call_masked(module: Remote, x: Any, mask: Any) -> Remote:
    """Call a module with a mask; without one, if it takes none, which the properties of masks find."""
    return module.any_way((x, mask), (x, None), (x,))


def with_shape(value: Any, shape: Sequence[int]) -> Array | None:
    """``value`` as a float64 tensor of a shape, axes of size 1 added or dropped; None if it is nothing of the kind.

    Whether shapes are right to the letter is judged once, by the properties of shapes.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return None
    if [size for size in value.shape if size != 1] != [size for size in shape if size != 1]:
        return None
    return value.reshape(tuple(shape)).astype(np.float64)


def log_softmax(logits: Array) -> Array:
    """Along the last axis."""
    shifted: Array = logits - logits.max(-1, keepdims=True)
    total: Array = np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted - total


class Results(NamedTuple):
    """A module's two results, as far as they can be told."""

    output: Array | None
    alphas: Array | None


def two_results(reply: Any, first: Sequence[int], second: Sequence[int]) -> Results:
    """Two returned values by their shapes, in either order; None for one that is missing or of another shape."""
    values = list(reply) if isinstance(reply, tuple | list) else [reply]
    ways = [values[:2], values[1::-1]] if len(values) > 1 else [[*values, None], [None, *values]]
    found = [Results(with_shape(one, first), with_shape(other, second)) for one, other in ways]
    return max(found, key=lambda pair: sum(value is not None for value in pair))


def is_distribution(alpha: Array | None, miss: float = 1e-4) -> bool:
    """Whether the rows of attention weights are distributions, up to ``miss``."""
    if alpha is None or not np.all(np.isfinite(alpha)) or alpha.min(initial=0.0) < -1e-6:
        return False
    return bool(np.all(np.abs(alpha.sum(-1) - 1) <= miss))


def returned(value: Array | None, name: str, missing: str) -> Array:
    """A result that is there and finite; a violation that says ``missing`` if there is none."""
    if value is None:
        raise expect.Violation(missing)
    return finite(value, name)


def finite(value: Array, name: str) -> Array:
    """``value``, if all its entries are finite."""
    return expect.tensor(value, value.shape, name)


def expect_unchanged(value_after: Any, value: Array, name: str) -> None:
    """An input of a call is bit for bit what it was."""
    after = expect.tensor(value_after, value.shape, f"{name} after the call")
    expect.holds(
        bool(np.array_equal(after, value)),
        f"{name} was changed by the call",
        {f"{name} after the call": expect.show(after)},
    )


def expect_same_in_both_modes(
    module: Remote, inputs: tuple[Any, ...], read: Callable[[Any], Sequence[Array]]
) -> Generator[Any, Any, None]:
    """The module computes the same twice in training mode and once in evaluation mode."""
    yield from expect_same_in_modes(module, lambda: module(*inputs), read)


def expect_same_in_modes(
    module: Remote, call: Callable[[], Remote], read: Callable[[Any], Sequence[Array | None]]
) -> Generator[Any, Any, None]:
    """A call gives the same twice in training mode and once in evaluation mode; what is None is not compared."""
    module.mode(True)
    early = yield call(), call()
    module.mode(False)
    late = yield call()
    why = (
        "the same input gives a different output the second time",
        "evaluation mode gives a different output than training mode",
    )
    for reply, reason in zip((early[1], late), why, strict=True):
        for value, again in zip(read(early[0]), read(reply), strict=True):
            if value is not None and again is not None:
                expect.close(again, value, "output", reason)


MANY = 64
"""How many equal sequences show that chance is at work, however rarely it changes a number."""


def is_nondeterministic(
    call: Callable[[Array], Remote], x: Array, read: Callable[[Any], Array | None]
) -> Generator[Any, Any, bool]:
    """Whether equal sequences get different outputs, in one call or in two, which the properties of modes find."""
    many = np.repeat(x[:1], MANY, axis=0)
    outs = [read(reply) for reply in (yield call(many), call(many))]
    if any(out is None or not np.all(np.isfinite(out)) for out in outs):
        return False
    found = np.concatenate([out for out in outs if out is not None])
    return not matches(found, np.repeat(found[:1], len(found), axis=0))


LARGE_SCORES_MISS = 2e-3
"""How much the sum of a row may be off where scores are near 1e4, of which float32 keeps three decimals."""


def expect_distributions(alpha: Array, name: str, miss: float = 1e-4) -> None:
    """Rows along the last axis are at least 0 and sum to 1, but for ``miss``."""
    finite(alpha, name)
    expect.compared()
    if alpha.min(initial=0.0) < -1e-6:
        index = tuple(int(i) for i in np.unravel_index(int(np.argmin(alpha)), alpha.shape))
        raise expect.Violation(
            f"{name}{list(index)} is {alpha[index]:.4g}, below 0",
            {f"your {name}": expect.show(alpha)},
            draw=lambda: pictures.matrices([(f"your {name}", alpha, 0)], index),
            values=[alpha],
            index=index,
        )
    sums = alpha.sum(-1)
    gap = np.abs(sums - 1)
    if gap.max(initial=0.0) > miss:
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
        raise expect.Violation(
            f"the row {name}{list(index)} sums to {sums[index]:.4g}, expected 1",
            {f"your {name}": expect.show(alpha)},
            draw=lambda: pictures.matrices([(f"your {name}", alpha, 0)], index, caption="The outlined row must sum to 1."),
            values=[alpha],
            index=index,
        )


def expect_close_to_any(got: Array, candidates: Sequence[Array], name: str, why: str) -> None:
    """``got`` equals one of several right answers; the failure is told against the nearest."""
    nearest = min(candidates, key=lambda want: float(np.abs(got - want).max(initial=0.0)))
    expect.close(got, nearest, name, why, scale=2.0)


def matches(got: Array, want: Array, scale: float = 2.0) -> bool:
    """Whether two tensors are equal up to rounding; this is no comparison that earns anything."""
    with expect.counted_by(expect.Tally()):
        try:
            expect.close(got, want, "", "", scale=scale)
        except expect.Violation:
            return False
    return True


def close_values(got: Any, want: Any, scale: float = 2.0) -> bool:
    """Whether two returned values are tensors of one shape that are equal up to rounding."""
    if not isinstance(got, np.ndarray) or not isinstance(want, np.ndarray) or got.shape != want.shape:
        return False
    return matches(got.astype(np.float64), want.astype(np.float64), scale)


def has_other_temperature(alpha: Array, want: Array) -> bool:
    """Whether a softmax has the scores of another one, all multiplied by a number that is not 1."""
    with np.errstate(divide="ignore"):
        got, right = (np.log(value) - np.log(value).mean(-1, keepdims=True) for value in (alpha, want))
    if not (np.all(np.isfinite(got)) and np.all(np.isfinite(right))) or np.abs(right).max() < 0.1:
        return False
    ratio = float((got * right).sum() / (right * right).sum())
    return abs(ratio - 1) > 1e-3 and bool(np.abs(got - ratio * right).max() < 1e-3 * np.abs(got).max())


def masked_token(case: MaskedCase) -> tuple[Array, int]:
    """A token, and the rows (B, T) of other tokens that may not attend to it; some, if the mask hides any."""
    hidden = (case.mask == 0) & ~np.eye(case.tokens, dtype=bool)
    counts = hidden.sum(axis=(0, 1))
    token = int(np.argmax(counts + case.rng().random(case.tokens) * (counts > 0)))
    return hidden[:, :, token], token


def scale_to_large_scores(largest: float | None) -> float:
    """By what to multiply the input so that scores, which are quadratic in it, come near `LARGEST_SCORE`."""
    return 30.0 if largest is None else float(np.sqrt(LARGEST_SCORE / max(largest, 0.5)))


def expect_gradient(gradient: Any, before: Any, after: Any, why: str) -> None:
    """What the output depends on, as a small change of it shows, has a finite gradient."""
    if not isinstance(gradient, np.ndarray) or not np.any(np.abs(gradient) > 1e-12):
        expect.holds(not _moved(before, after), why)
    else:
        expect.holds(
            bool(np.all(np.isfinite(gradient))), f"{why.partition(' gets ')[0]}: a gradient is not finite"
        )


def _moved(before: Any, after: Any) -> bool:
    if not isinstance(before, np.ndarray) or not isinstance(after, np.ndarray) or before.shape != after.shape:
        return False
    size = max(1.0, float(np.abs(before).max(initial=0.0)))
    return bool(np.abs(before.astype(np.float64) - after).max(initial=0.0) > 2e-5 * size)
