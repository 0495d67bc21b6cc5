"""What properties of several parts share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np

from grader.homework3 import oracles
from grader.homework3.strategies import SequenceCase
from grader.judging import expect
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array, Other

LARGEST_SCORE = 8e3
LEAST_EFFECT = 1e-4
"""What a change of ordinary size has to change at least, so that it counts as an influence."""
SMALL = 0.02
"""A change so small that only what has a gradient follows it."""


def own_parameters(
    module: Remote, call: Callable[[], Remote] | None = None
) -> Generator[Any, Any, dict[str, Array]]:
    """A module's own parameters by name; ``call`` runs it first if it has lazy ones, which get their sizes in a call."""
    found = yield module.parameters()
    if call is not None and isinstance(found, dict) and not all(isinstance(v, np.ndarray) for v in found.values()):
        call()
        found = yield module.parameters()
    if not isinstance(found, dict):
        return {}
    arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
    others = {value.type for value in found.values() if isinstance(value, Other)}
    expect.require(
        bool(arrays) or not others,
        f"the module's parameters cannot be compared ({', '.join(sorted(others))}); keep them in float32",
    )
    return arrays


def reweigh(
    module: Remote, rng: np.random.Generator, call: Callable[[], Remote] | None = None
) -> Generator[Any, Any, dict[str, Array]]:
    """Give a module's own parameters new weights of ordinary size; a module that does not follow them fails its properties."""
    found = yield from own_parameters(module, call)
    weights = oracles.random_weights(found, rng)
    if weights:
        module.load(weights)
    return weights


def generic_weights(weights: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
    """Other weights for the same names, of ordinary size and not rounded, so that none are alike by chance."""
    return {name: np.asarray(rng.normal(size=value.shape), np.float32) for name, value in weights.items()}


def free(module: Remote, x: Any, case: SequenceCase) -> Remote:
    """Call a module without a mask, in any way that it accepts; how it takes masks is judged by the properties of masks."""
    shape = x.shape if isinstance(x, np.ndarray) else case.x.shape
    ones = np.ones((shape[0], shape[1], shape[1]), np.float32)
    return module.any_way((x, None), (x, ones), (x,))


def fitting(value: Any, shape: Sequence[int]) -> Array | None:
    """``value`` as a float64 tensor of a shape, axes of size 1 added or dropped; None if it is nothing of the kind.

    Whether shapes are right to the letter is judged once, by the properties of shapes.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return None
    if [size for size in value.shape if size != 1] != [size for size in shape if size != 1]:
        return None
    return value.reshape(tuple(shape)).astype(np.float64)


def two_results(
    reply: Any, first: Sequence[int], second: Sequence[int]
) -> tuple[Array | None, Array | None]:
    """Two returned values by their shapes, in either order; None for one that is missing or of another shape."""
    values = list(reply) if isinstance(reply, tuple | list) else [reply]
    ways = [values[:2], values[1::-1]] if len(values) > 1 else [[*values, None], [None, *values]]
    found = [(fitting(one, first), fitting(other, second)) for one, other in ways]
    return max(found, key=lambda pair: sum(value is not None for value in pair))


def sound(alpha: Array | None, miss: float = 1e-4) -> bool:
    """Whether the rows of attention weights are distributions, up to ``miss``."""
    if alpha is None or not np.all(np.isfinite(alpha)) or alpha.min(initial=0.0) < -1e-6:
        return False
    return bool(np.all(np.abs(alpha.sum(-1) - 1) <= miss))


def finite(value: Array, name: str) -> Array:
    """``value``, if all its entries are finite."""
    return expect.tensor(value, value.shape, name)


def unchanged(value_after: Any, value: Array, name: str) -> None:
    """An input of a call is bit for bit what it was."""
    after = expect.tensor(value_after, value.shape, f"{name} after the call")
    expect.holds(
        bool(np.array_equal(after, value)),
        f"{name} was changed by the call",
        {f"{name} after the call": expect.show(after)},
    )


def same_in_both_modes(
    module: Remote, inputs: tuple[Any, ...], read: Callable[[Any], Sequence[Array]]
) -> Generator[Any, Any, None]:
    """The module computes the same twice in training mode and once in evaluation mode."""
    yield from same_in_modes(module, lambda: module(*inputs), read)


def same_in_modes(
    module: Remote, call: Callable[[], Remote], read: Callable[[Any], Sequence[Array | None]]
) -> Generator[Any, Any, None]:
    """A call gives the same twice in training mode and once in evaluation mode; what is None is not compared."""
    module.mode(True)
    early = yield call(), call()
    module.mode(False)
    late = yield call()
    why = ("the same input gives another output the second time", "evaluation mode gives another output than training mode")
    for reply, reason in zip((early[1], late), why, strict=True):
        for value, again in zip(read(early[0]), read(reply), strict=True):
            if value is not None and again is not None:
                expect.close(again, value, "output", reason)


MANY = 64
"""How many equal sequences show that chance is at work, however rarely it changes a number."""


def by_chance(
    call: Callable[[Array], Remote], x: Array, read: Callable[[Any], Array | None]
) -> Generator[Any, Any, bool]:
    """Whether equal sequences get different outputs, in one call or in two, which the properties of modes find."""
    many = np.repeat(x[:1], MANY, axis=0)
    outs = [read(reply) for reply in (yield call(many), call(many))]
    if any(out is None or not np.all(np.isfinite(out)) for out in outs):
        return False
    found = np.concatenate([out for out in outs if out is not None])
    return not matches(found, np.repeat(found[:1], len(found), axis=0))


def out_of_reach(student: Student, module: Remote, indices: Sequence[int]) -> Generator[Any, Any, list[int]]:
    """Stand-ins that do not belong to the module, by its own list of parameters or by what freezing it leaves free to learn.

    So what is said of the list alone earns nothing. The module stays frozen.
    """
    module.method("requires_grad_", False)
    free = [student.standin(index).attribute("weight").attribute("requires_grad") for index in indices]
    registered, learning = yield module.registered(), free
    return [index for index, is_free in zip(indices, learning, strict=True) if index not in registered or is_free]


LARGE_SCORES_MISS = 2e-3
"""How much the sum of a row may be off where scores are near 1e4, of which float32 keeps three decimals."""


def distributions(alpha: Array, name: str, miss: float = 1e-4) -> None:
    """Rows along the last axis are at least 0 and sum to 1, but for ``miss``."""
    finite(alpha, name)
    expect.compared()
    if alpha.min(initial=0.0) < -1e-6:
        index = tuple(int(i) for i in np.unravel_index(int(np.argmin(alpha)), alpha.shape))
        raise expect.Violation(
            f"{name}{list(index)} is {alpha[index]:.4g}, below 0", {f"your {name}": expect.show(alpha)}
        )
    sums = alpha.sum(-1)
    gap = np.abs(sums - 1)
    if gap.max(initial=0.0) > miss:
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
        raise expect.Violation(
            f"the row {name}{list(index)} sums to {sums[index]:.4g}, but has to sum to 1",
            {f"your {name}": expect.show(alpha)},
        )


def close_to_one(got: Array, candidates: Sequence[Array], name: str, why: str) -> None:
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


def fits(got: Any, want: Any, scale: float = 2.0) -> bool:
    """Whether two returned values are tensors of one shape that are equal up to rounding."""
    if not isinstance(got, np.ndarray) or not isinstance(want, np.ndarray) or got.shape != want.shape:
        return False
    return matches(got.astype(np.float64), want.astype(np.float64), scale)


def other_temperature(alpha: Array, want: Array) -> bool:
    """Whether a softmax has the scores of another one, all multiplied by a number that is not 1."""
    with np.errstate(divide="ignore"):
        got, right = (np.log(value) - np.log(value).mean(-1, keepdims=True) for value in (alpha, want))
    if not (np.all(np.isfinite(got)) and np.all(np.isfinite(right))) or np.abs(right).max() < 0.1:
        return False
    ratio = float((got * right).sum() / (right * right).sum())
    return abs(ratio - 1) > 1e-3 and bool(np.abs(got - ratio * right).max() < 1e-3 * np.abs(got).max())


def blind(case: SequenceCase) -> tuple[Array, int]:
    """A token, and the rows (B, T) of other tokens that may not attend to it; some, if the mask hides any."""
    assert case.mask is not None
    hidden = (case.mask == 0) & ~np.eye(case.tokens, dtype=bool)
    counts = hidden.sum(axis=(0, 1))
    token = int(np.argmax(counts + case.rng().random(case.tokens) * (counts > 0)))
    return hidden[:, :, token], token


def stretch(largest: float | None) -> float:
    """By what to multiply the input so that scores, which are quadratic in it, come near `LARGEST_SCORE`."""
    return 30.0 if largest is None else float(np.sqrt(LARGEST_SCORE / max(largest, 0.5)))


def nudged(value: Array, rng: np.random.Generator, where: Array | bool = True, size: float = SMALL) -> Array:
    """A value, a little larger or smaller where ``where`` holds."""
    step = size * (0.5 + rng.random(size=value.shape)) * np.where(rng.random(size=value.shape) < 0.5, -1, 1)
    return np.asarray(value + np.where(where, step, 0.0), np.float32)


def learns(gradient: Any, before: Any, after: Any, why: str) -> None:
    """What the output depends on, as a small change of it shows, has a finite gradient."""
    if not isinstance(gradient, np.ndarray) or not np.any(np.abs(gradient) > 1e-12):
        expect.holds(not _moved(before, after), why)
    else:
        expect.holds(bool(np.all(np.isfinite(gradient))), f"{why.partition(' gets ')[0]}: a gradient is not finite")


def _moved(before: Any, after: Any) -> bool:
    if not isinstance(before, np.ndarray) or not isinstance(after, np.ndarray) or before.shape != after.shape:
        return False
    size = max(1.0, float(np.abs(before).max(initial=0.0)))
    return bool(np.abs(before.astype(np.float64) - after).max(initial=0.0) > 2e-5 * size)


def wide(weights: dict[str, Array]) -> dict[str, Array]:
    """Weights in float64."""
    return {name: weight.astype(np.float64) for name, weight in weights.items()}


def calls(reply: Any, batch: int = 1) -> list[dict[str, Any]]:
    """The list of stand-ins' calls, checked: at least one.

    A stand-in that was called for each of ``batch`` sequences apart counts as called once for all of them.
    """
    good = isinstance(reply, list) and all(
        isinstance(call, dict) and {"index", "x", "mask"} <= set(call) for call in reply
    )
    expect.require(
        good and bool(reply), "none of the modules that this part is built from takes part in the call"
    )
    made: dict[int, list[dict[str, Any]]] = {}
    for call in reply:
        made.setdefault(int(call["index"]), []).append(call)
    if batch == 1 or not all(len(group) == batch and _lone_sequences(group) for group in made.values()):
        return list(reply)
    return [_joined(group) for group in made.values()]


def _lone_sequences(group: list[dict[str, Any]]) -> bool:
    """Whether all calls of a stand-in are for one sequence of the same length, with or without a mask for it."""
    shapes = {call["x"].shape for call in group if isinstance(call["x"], np.ndarray)}
    masks = {call["mask"].shape[-2:] if isinstance(call["mask"], np.ndarray) else None for call in group}
    return len(shapes) == 1 and next(iter(shapes))[:1] == (1,) and len(masks) == 1


def _joined(group: list[dict[str, Any]]) -> dict[str, Any]:
    """Calls for lone sequences as one call for the batch."""
    xs, masks = ([call[name] for call in group] for name in ("x", "mask"))
    if isinstance(masks[0], np.ndarray):
        tokens = masks[0].shape[-2:]
        masks = [np.concatenate([mask.reshape(-1, *tokens)[:1] for mask in masks])]
    return {**group[0], "x": np.concatenate(xs), "mask": masks[0]}


def called(reply: Any) -> list[int]:
    """Indices of the stand-ins that were called, in the order in which they were built."""
    return sorted({int(call["index"]) for call in calls(reply)})


def full_mask(mask: Any, case: Any) -> Array | None:
    """A mask as a stand-in got it, as float 0/1 of shape (B, T, T); None stays None."""
    if not isinstance(mask, np.ndarray):
        return None
    wanted = (case.batch, case.tokens, case.tokens)
    array = mask.astype(np.float64)
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    try:
        return np.broadcast_to(array, wanted)
    except ValueError:
        raise expect.Violation(
            f"a mask of shape {tuple(mask.shape)} is passed on, which does not fit (B, T, T) = {wanted}"
        ) from None


def mixing_of(call: dict[str, Any], case: SequenceCase) -> Array:
    """The token mixing that a stand-in used in a call, by the mask that it was given."""
    mask = full_mask(call["mask"], case)
    if mask is None:
        return oracles.mixing(None, case.batch, case.tokens)
    permitted = (mask > 0).astype(np.float64)
    mixing: Array = permitted / np.maximum(permitted.sum(-1, keepdims=True), 1.0)
    return mixing


def masks_arrive(made: Sequence[dict[str, Any]], case: SequenceCase, who: str) -> None:
    """Each call got the case's mask; None and a mask of ones mean the same."""
    ones = np.ones((case.batch, case.tokens, case.tokens))
    want = ones if case.mask is None else case.mask.astype(np.float64)
    for call in made:
        passed = call["mask"]
        if isinstance(passed, np.ndarray) and passed.ndim > 3:
            raise expect.Violation(
                f"{who} gets a mask of shape {tuple(passed.shape)}, expected (T, T), (1, T, T) or (B, T, T)"
            )
        got = full_mask(passed, case)
        if got is None and not np.array_equal(want, ones):
            raise expect.Violation(f"{who} gets no mask, but attn_mask was given")
        got = ones if got is None else got
        if not np.array_equal(got, want):
            raise expect.Violation(
                f"{who} gets another mask than attn_mask",
                {f"the mask that {who} gets": expect.show(got), "the mask that it has to get": expect.show(want)},
            )
