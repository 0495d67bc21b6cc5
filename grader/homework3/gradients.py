"""Gradients held against differences: whatever an output follows has the gradient that says how.

A gradient that is cut off anywhere (detach, no_grad, .data, numpy, a frozen weight) disagrees with how far the output moves
when weights and input move a little.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.homework3 import checks
from grader.judging import expect
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array

STEP = 0.003
SLACK = 0.05
NOISE = 0.02


class Gradients:
    """The gradients of a module's output by its weights and its input, and the output itself."""

    def __init__(self, by_name: Any, by_x: Any, output: Any) -> None:
        self.by_name: dict[str, Any] = by_name if isinstance(by_name, dict) else {}
        self.by_x, self.output = by_x, output

    def of(self, name: str, weight: Array) -> Array:
        """The gradient by a weight; zeros where there is none."""
        return _as_array(self.by_name.get(name), weight)


@dataclass(frozen=True)
class Learner:
    """A module whose weights are known, and how it is called.

    Args:
        student: the submission.
        module: the module, into which ``weights`` are loaded.
        x: its input.
        weights: its parameters by name.
        rng: draws the directions in which weights and input move.
        call: records a call of the module with an input.
    """

    student: Student
    module: Remote
    x: Array
    weights: Mapping[str, Array]
    rng: np.random.Generator
    call: Callable[[Any], Remote]


def hold(
    learner: Learner, *, modes: tuple[str, ...], nothing: tuple[str, ...], of_x: bool = True
) -> Generator[Any, Any, None]:
    """Compare the gradients by all weights, and by the input unless ``of_x`` is False, with differences.

    An output that chance or earlier calls change is left to ``modes``, one that is constant or not finite to ``nothing``.
    """
    student, module, x = learner.student, learner.module, learner.x
    weights, rng, call = learner.weights, learner.rng, learner.call
    leaf = student.tensor(x, requires_grad=True)
    out = call(leaf.method("clone"))  # not a leaf: that x is changed is for another property to say
    found = Gradients(
        *(
            yield (
                student.parameter_gradients(out, None, module),
                student.gradients(out, None, [leaf])[0],
                out,
            )
        )
    )
    expect.holds(bool(weights), "the module has no parameters that could learn")
    if isinstance(found.output, np.ndarray) and not np.all(np.isfinite(found.output)):
        expect.stand_back(nothing, "the output is not finite")
    for name, gradient in found.by_name.items():
        finite = not isinstance(gradient, np.ndarray) or bool(np.all(np.isfinite(gradient)))
        expect.holds(finite, f"the gradient of {name} is not finite")
    directions = {name: rng.normal(size=weight.shape).astype(np.float32) for name, weight in weights.items()}
    along_x = rng.normal(size=x.shape).astype(np.float32)
    without = {
        name: np.where(np.abs(found.of(name, weight)) <= 1e-12, directions[name], 0).astype(np.float32)
        for name, weight in weights.items()
    }
    moves: list[tuple[Mapping[str, Array], Any]] = [(directions, 0.0), ({}, along_x)]
    if any(np.any(move) for move in without.values()):
        moves.append((without, 0.0))
    *replies, again = yield [*_moved(module, x, weights, moves, call), call(x)]
    if not checks.close_values(again, found.output):
        expect.stand_back(modes, "two equal calls give different results")
    pairs = list(zip(replies[0::2], replies[1::2], strict=True))
    if not any(_differ(found.output, value) for pair in pairs for value in pair):
        expect.stand_back(nothing, "the output is the same whatever the weights and the input are")
    by_weights = sum(float((found.of(n, w) * directions[n]).sum()) for n, w in weights.items())
    by_x = float((_as_array(found.by_x, x) * along_x).sum())
    violation = None
    try:
        if not agrees(found.output, *pairs[0], by_weights) or (
            len(pairs) > 2 and all(_differ(found.output, value) for value in pairs[2])
        ):
            yield from _blame(module, x, weights, directions, found, call)
            raise expect.Violation(
                "some weights get no gradient, or a wrong one, though the output follows them"
            )
        why = (
            "no gradient reaches the input x" if by_x == 0 else "the gradient of x is not that of the output"
        )
        expect.holds(not of_x or agrees(found.output, *pairs[1], by_x), why)
    except expect.Violation as raised:
        violation = raised
    if violation is not None:
        if not all(
            checks.close_values(value, found.output) for value in (yield [call(x) for _ in range(12)])
        ):
            expect.stand_back(modes, "two equal calls give different results")
        raise violation


def _moved(
    module: Remote,
    x: Array,
    weights: Mapping[str, Array],
    moves: list[tuple[Mapping[str, Array], Any]],
    call: Callable[[Any], Remote],
) -> list[Remote]:
    """Calls a step forth and a step back along each direction of the weights and of x."""
    replies = []
    for by_name, along_x in moves:
        for step in (STEP, -STEP):
            module.load({name: weights[name] + np.float32(step) * move for name, move in by_name.items()})
            replies.append(call(x + np.float32(step) * along_x))
        module.load({name: weights[name] for name in by_name})
    return replies


def _blame(
    module: Remote,
    x: Array,
    weights: Mapping[str, Array],
    directions: Mapping[str, Array],
    found: Gradients,
    call: Callable[[Any], Remote],
) -> Generator[Any, Any, None]:
    """Say which weight it is whose gradient is wrong; nothing if it is none of them alone."""
    replies = yield _moved(module, x, weights, [({name: directions[name]}, 0.0) for name in weights], call)
    pairs = zip(replies[0::2], replies[1::2], strict=True)
    for (name, weight), pair in zip(weights.items(), pairs, strict=True):
        gradient = found.of(name, weight)
        told = float((gradient * directions[name]).sum())
        if not agrees(found.output, *pair, told):
            if not np.any(np.abs(gradient) > 1e-12):
                raise expect.Violation(f"{name} gets no gradient, so it is never trained")
            raise expect.Violation(f"{name} gets a gradient that is not that of the output")


def agrees(output: Any, up: Any, down: Any, told: float) -> bool:
    """Whether a derivative lies between the differences forth and back, as it does but for rounding; kinks may lie between."""
    values = [_loss(value) for value in (down, output, up)]
    if any(value is None or not np.isfinite(value) for value in values):
        return False
    below, here, above = (value for value in values if value is not None)
    forth, back = (above - here) / STEP, (here - below) / STEP
    slack = SLACK * max(abs(forth), abs(back), abs(told)) + NOISE
    return min(forth, back) - slack <= told <= max(forth, back) + slack


def _loss(value: Any) -> float | None:
    """What the kernel takes gradients of, see ``gradients`` in the agent."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return None
    weights = np.cos(1.0 + np.arange(value.size)).reshape(value.shape)
    return float((weights * value.astype(np.float64)).sum())


def _differ(one: Any, other: Any) -> bool:
    if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray) or one.shape != other.shape:
        return False
    return bool(
        np.abs(one.astype(np.float64) - other).max(initial=0.0)
        > 2e-5 * max(1.0, np.abs(one).max(initial=0.0))
    )


def _as_array(gradient: Any, like: Array) -> Array:
    if isinstance(gradient, np.ndarray) and gradient.shape == like.shape:
        return gradient.astype(np.float64)
    return np.zeros(like.shape)
