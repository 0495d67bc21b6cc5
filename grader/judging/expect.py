"""Checks that properties are made of. A failure says what came out, what was expected, and which entry is worst.

`close`, `zero`, `differs`, `same`, `holds` and `shape` count as *comparisons*: a property has held a case only if it made one.
`tensor`, `shaped`, `parts` and `require` only read what came back. A property that cannot compare a case calls `stand_back`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from grader.judging import budget, pictures
from grader.judging.pictures import SHOWN_ENTRIES, Draw
from grader.kernel.wire import Array, Other

MASKED = 1e-6
_RELATIVE = {"float32": 2e-5, "float64": 1e-9, "float16": 5e-3}


class Violation(Exception):
    """A property does not hold. ``shown`` has the values to print with it, by label.

    Args:
        draw: makes a picture of it.
        values: what was compared, by which the calls are found that returned it.
        index: of the worst entry of the first of them.
        code: lines of Python that show it in a notebook, where the calls of the property do not.
    """

    def __init__(
        self,
        message: str,
        shown: Mapping[str, str] | None = None,
        *,
        draw: Draw | None = None,
        values: Sequence[Any] = (),
        index: Sequence[int] = (),
        code: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message, self.shown = message, dict(shown or {})
        self.round = _Current.tally.rounds
        self.draw, self.values, self.index, self.code = draw, values, index, code

    def showing(self, shown: Mapping[str, str], draw: Draw | None = None) -> Violation:
        """The same violation with other values to print with it."""
        other = Violation(
            self.message, shown, draw=draw or self.draw, values=self.values, index=self.index, code=self.code
        )
        other.round = self.round
        return other


class StoodBack(Exception):
    """A case cannot be compared, because of a fault that one of the properties in ``to`` finds.

    ``compared`` says that all of it was compared nevertheless, in a way that the fault does not touch.
    """

    def __init__(self, to: tuple[str, ...], reason: str, *, compared: bool = False) -> None:
        super().__init__(reason)
        self.to, self.reason, self.compared = to, reason, compared


class Tally:
    """How many comparisons were made for one case, and how often its program got an answer."""

    def __init__(self) -> None:
        self.made = 0
        self.rounds = 0


class _Current:
    """The tally of the case whose program runs now; the engine runs those of many cases by turns."""

    tally = Tally()


@contextmanager
def counted_by(tally: Tally) -> Iterator[None]:
    """Count in ``tally`` whatever is compared meanwhile."""
    before, _Current.tally = _Current.tally, tally
    try:
        yield
    finally:
        _Current.tally = before


def current_tally() -> Tally:
    """The tally of the case whose program asks."""
    return _Current.tally


def compared() -> None:
    """Count a comparison; the checks below do it themselves."""
    budget.check()
    _Current.tally.made += 1


@contextmanager
def drawn(draw: Draw) -> Iterator[None]:
    """Give a violation meanwhile this picture, if it has none."""
    try:
        yield
    except Violation as violation:
        violation.draw = violation.draw or draw
        raise


def stand_back(to: str | tuple[str, ...], reason: str, *, compared: bool = False) -> NoReturn:
    """Leave a case to the properties named ``to`` ("module.test_name"): their criteria are lost if ``reason`` is true.

    Where none of them fails, what stood back counts as not met, so a fault can hide in neither. With ``compared`` the case
    still counts as compared: it was right in a way that the fault does not touch.
    """
    raise StoodBack((to,) if isinstance(to, str) else to, reason, compared=compared)


def show(value: Any) -> str:
    """A value for a person: small tensors whole, four significant digits; large ones by shape and corner."""
    if isinstance(value, np.ndarray):
        if value.size > SHOWN_ENTRIES:
            # A corner of a tensor with many axes would be no smaller.
            corner = value[(0,) * (value.ndim - 4) + (slice(0, 2),) * min(value.ndim, 4)]
            return f"shape {tuple(value.shape)}, begins {show(corner)}"
        if value.dtype.kind == "f":
            whole = (
                bool(value.size)
                and bool(np.all(np.isfinite(value)))
                and bool(np.all(value == np.round(value)))
            )
            form = (lambda v: f"{v:.0f}") if whole and np.abs(value).max() < 1e6 else (lambda v: f"{v:.4g}")
            return np.array2string(value, separator=", ", formatter={"float_kind": form}, max_line_width=100)
        return np.array2string(value, separator=", ", max_line_width=100)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Other):
        return f"an object of type {value.type}"
    text = repr(value)
    return text if len(text) <= 300 else text[:297] + "..."


def entry(name: str, index: Sequence[int]) -> str:
    """How an entry of a tensor is called: ``alpha[0, 2, 1]``, or ``loss`` alone where it is a scalar."""
    return f"{name}{[int(number) for number in index]}" if len(index) else name


def tensor(value: Any, shape: Sequence[int], name: str, *, kind: str = "f") -> Array:
    """``value`` as float64 (or int64 with ``kind="i"``), after checks of type, dtype, shape and finiteness."""
    array = shaped(value, shape, name, kind=kind)
    if kind == "i":
        return array.astype(np.int64)
    if not np.all(np.isfinite(array)):
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise Violation(
            f"{entry(name, index)} is {array[index]}",
            {name: show(array)},
            draw=lambda: pictures.matrices([(f"your {name}", array, 0)], index),
            values=[array],
            index=index,
        )
    return array.astype(np.float64)


def shaped(value: Any, shape: Sequence[int], name: str, *, kind: str = "f") -> Array:
    """``value``, after checks of type, dtype and shape; its numbers may be anything."""
    if value is None:
        raise Violation(f"{name} is None, but a tensor of shape {tuple(shape)} is asked for")
    if not isinstance(value, np.ndarray):
        raise Violation(f"{name} is {_kind_of(value)}, but a plain tensor of shape {tuple(shape)} is asked for")
    if tuple(value.shape) != tuple(shape):
        raise Violation(f"{name} has shape {tuple(value.shape)}, but {tuple(shape)} is asked for")
    if value.dtype.kind != kind:
        wanted = "floating point numbers" if kind == "f" else "whole numbers"
        raise Violation(f"{name} holds {value.dtype.name}, but {wanted} are asked for")
    return value


def shape(value: Any, wanted: Sequence[int], name: str, *, kind: str = "f") -> Array:
    """`shaped`, as what a property is about: it counts as a comparison."""
    compared()
    return shaped(value, wanted, name, kind=kind)


def parts(value: Any, count: int, name: str) -> tuple[Any, ...]:
    """``value`` as a tuple of ``count`` returned values."""
    if not isinstance(value, tuple | list) or len(value) != count:
        what = f"{len(value)} values" if isinstance(value, tuple | list) else _kind_of(value)
        raise Violation(f"{name} returned {what}, but {count} values are asked for")
    return tuple(value)


def close(
    got: Array, want: Array, name: str, why: str, *, dtype: str = "float32", scale: float | None = None
) -> None:
    """``got`` equals ``want`` up to rounding; ``scale`` is the size of what was summed, if larger than the result."""
    if want.size:
        compared()
    if is_close(got, want, dtype=dtype, scale=scale):
        return
    gap = np.abs(got - want)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
    raise Violation(
        f"{why}: {entry(name, index)} is {show(float(got[index]))}, expected {show(float(want[index]))}",
        {f"your {name}": show(got), f"expected {name}": show(want)},
        draw=(lambda: pictures.comparison(got, want, name, index)) if got.ndim else None,
        values=[got, want],
        index=index,
    )


def is_close(got: Array, want: Array, *, dtype: str = "float32", scale: float | None = None) -> bool:
    """Whether `close` would hold; to decide how to go on, which is no comparison yet."""
    size = max(1.0, float(np.abs(want).max(initial=0.0)), scale or 0.0)
    return bool(np.all(np.abs(got - want) <= _RELATIVE[dtype] * size))


def differs(got: Array, other: Array, name: str, why: str, *, least: float = 1e-4) -> None:
    """``got`` is not the same as ``other``: what was changed between them has to matter."""
    compared()
    if float(np.abs(got - other).max(initial=0.0)) < least:
        raise Violation(why, {f"your {name}, both times": show(got)}, values=[got, other])


def zero(got: Array, where: Array, name: str, why: str, *, most: float = MASKED) -> None:
    """``got`` is 0 (at most ``most``) wherever ``where`` holds."""
    if np.any(where):
        compared()
    wrong = np.where(where, np.abs(got), 0.0)
    if wrong.max(initial=0.0) <= most:
        return
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    raise Violation(
        f"{why}: {entry(name, index)} is {show(float(got[index]))}, expected 0",
        {f"your {name}": show(got)},
        draw=lambda: pictures.masked(got, where, name, index),
        values=[got],
        index=index,
    )


def same(got: Any, want: Any, name: str, why: str = "") -> None:
    """``got`` equals ``want`` exactly and has its type."""
    compared()
    if type(got) is not type(want) or got != want:
        prefix = f"{why}: " if why else ""
        raise Violation(f"{prefix}{name} is {show(got)}, expected {show(want)}", values=[got])


def holds(
    condition: bool, message: str, shown: Mapping[str, str] | None = None, *, draw: Draw | None = None
) -> None:
    """``condition`` is true."""
    compared()
    require(condition, message, shown, draw=draw)


def require(
    condition: bool, message: str, shown: Mapping[str, str] | None = None, *, draw: Draw | None = None
) -> None:
    """``condition`` is true, which has to be so before anything can be compared."""
    if not condition:
        raise Violation(message, shown, draw=draw)


def _kind_of(value: Any) -> str:
    if isinstance(value, Other):
        return f"an object of type {value.type}"
    if isinstance(value, np.ndarray):
        return f"one tensor of shape {tuple(value.shape)}"
    words = {str: "a string", bool: "True or False", float: "a number", int: "a whole number"}
    return "None" if value is None else words.get(type(value), f"a {type(value).__name__}")
