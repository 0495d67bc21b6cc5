"""How a module is built and called, and how what was seen of a call is read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.homework3 import checks, stand_in_calls, strategies
from grader.homework3.strategies import MaskedCase
from grader.homework3.transformer.cases import SIZES, hiding_mask
from grader.homework3.transformer.names import INDEPENDENT, SAME_IN_MODES, SHAPES
from grader.judging import expect
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array

_MOST_ENTRIES = 1 << 16
"""Of the masks that one call to find chance at work is given."""


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
        return stand_in_calls.recorded_calls(self.blocks, self.call.batch)


Way = Callable[[Student, Remote, Call], Remote]


def ask(student: Student, module: Remote, call: Call, x: Remote | None = None) -> Remote:
    """Call the module in whatever way it can be called so: how it takes masks is for the properties of masks to say.

    ``x`` is what it gets in place of the call's x, if that lies in the kernel already.
    """
    x, masks = inputs(student, call, x)
    named = {} if call.asked is None else {"return_attn": call.asked}
    placed = () if call.asked is None else (call.asked,)
    by_name, by_place = (
        [(x, {"attn_mask": mask, **named}) for mask in masks],
        [(x, mask, *placed) for mask in masks],
    )
    without = [(x, named)] if named else []
    return module.any_way(*by_name, *without, (x,), *by_place, (x, masks[0]))


def ask_by_name(student: Student, module: Remote, call: Call) -> Remote:
    """Call the module with return_attn by keyword, as the provided classes do, and with the mask in any way."""
    x, masks = inputs(student, call)
    named = {"return_attn": call.asked}
    by_name = ((x, {"attn_mask": mask, **named}) for mask in masks)
    return module.any_way(*by_name, *((x, mask, named) for mask in masks), (x, named))


def ask_with_mask(student: Student, module: Remote, call: Call) -> Remote:
    """Call the module with attn_mask by keyword, as the provided classes do, and with return_attn in any way."""
    x, (mask, *_) = inputs(student, call)
    named = {"attn_mask": mask}
    if call.asked is None:
        return module(x, **named)
    return module.any_way((x, {**named, "return_attn": call.asked}), (x, named))


def inputs(student: Student, call: Call, x: Remote | None = None) -> tuple[Remote, list[Any]]:
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
def showing_inputs(call: Call) -> Iterator[None]:
    """A violation shows the inputs of the call that it was found in."""
    try:
        yield
    except expect.Violation as violation:
        raise violation.showing({**call.shown(), **violation.shown}) from None


def build(student: Student, case: MaskedCase) -> Remote:
    """The module as it is after construction."""
    module: Remote = student.Transformer(*(case.sizes[name] for name in SIZES))
    return module


def other_call(
    case: MaskedCase,
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
    found = (checks.with_shape(value, seen.call.x.shape) for value in values)
    return next((value for value in found if value is not None), None)


def is_swapped(seen: Seen) -> bool:
    """Whether the output is not the first of the values returned, which is for the property of shapes to find."""
    return checks.with_shape(first_of(seen.reply), seen.call.x.shape) is None and readable(seen) is not None


def output_of(seen: Seen) -> Array:
    """The output; the property of shapes finds why there is none."""
    out = readable(seen)
    if out is None:
        expect.stand_back(SHAPES, f"there is no output of shape (B, T, dim) = {seen.call.x.shape}")
    return checks.finite(out, "output")


def some_output_of(seen: Seen) -> Array:
    """The output; a violation if there is none."""
    out = readable(seen)
    expect.require(out is not None, f"there is no output of shape (B, T, dim) = {seen.call.x.shape}")
    assert out is not None
    return checks.finite(out, "output")


def alphas_of(seen: Seen, layers: int, heads: int) -> Array:
    """The second result, checked: (B, L, H, T, T)."""
    second = expect.parts(seen.reply, 2, "Transformer")[1]
    wanted = (seen.call.batch, layers, heads, seen.call.tokens, seen.call.tokens)
    if isinstance(second, np.ndarray) and second.shape != wanted:
        raise expect.Violation(f"alphas has shape {second.shape}, expected (B, L, H, T, T) = {wanted}")
    return expect.tensor(second, wanted, "alphas")


def expect_dependence_on_x(first: Seen, other: Seen) -> None:
    """Two calls with different x give different outputs; if not, nothing that the module returns is worth a comparison."""
    one, two = first_of(first.reply), first_of(other.reply)
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray) and one.shape == two.shape:
        expect.require(not np.array_equal(one, two), "the output is the same for two different inputs x")


def why_nondeterministic(
    student: Student, module: Remote, case: MaskedCase
) -> Generator[Any, Any, str | None]:
    """The property that finds why equal calls, or equal sequences of one call, get different outputs; None if they do not."""
    # What each block gets in each call comes back as well, and a reply has a limit.
    copies = min(checks.MANY, max(2, _MOST_ENTRIES // case.tokens**2))
    x = np.repeat(case.x[:1], copies, axis=0)
    for mask in (None, np.repeat(case.mask[:1], copies, axis=0)):
        calls = [Call(x, mask, None, training) for training in (False, False, *[True] * 8)]
        seen = yield from observe(student, module, calls)
        outs = [readable(one) for one in seen]
        first = outs[0]
        if first is None:
            return None
        if any(out is None or not checks.matches(out, first) for out in outs):
            return SAME_IN_MODES
        if not checks.matches(first, np.repeat(first[:1], len(first), axis=0)):
            return INDEPENDENT
    return None


def check_deterministically(
    student: Student, module: Remote, case: MaskedCase, compare: Callable[[], None]
) -> Generator[Any, Any, None]:
    """Compare; a violation that comes of chance, or of a dependence on the place in the batch, is left to others."""
    try:
        compare()
    except expect.Violation:
        to = yield from why_nondeterministic(student, module, case)
        if to is not None:
            expect.stand_back(to, "equal inputs do not get equal outputs")
        raise


def same_value(first: Any, other: Any) -> bool:
    """Whether two values are equal to the bit."""
    if isinstance(first, np.ndarray) and isinstance(other, np.ndarray):
        return first.shape == other.shape and bool(np.array_equal(first, other))
    return first is None and other is None
