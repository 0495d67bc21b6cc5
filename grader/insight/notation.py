"""The symbols that the formulas of an item may use, and what is known about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Notation:
    """What a formula may be made of. A size is a name such as ``hidden``; equal names mean equal sizes.

    Args:
        matrices: rows and columns of each matrix, such as ``{"W_x": ("hidden", "in")}``.
        inputs: the size of each sequence of vectors that is given, such as ``{"x": "in"}`` for x_1, x_2 and so on.
        states: the size of each sequence that formulas are asked for, such as ``{"h": "hidden"}``.
        functions: functions that act on each element: an ``unknown`` one must be kept, an ``identity`` changes nothing.
        known: true equations, such as ``h_0 = 0`` and ``h_t = W_h h_{t-1} + W_x x_t``. They give a value to a state
            that a formula still contains.
        horizon: the letter for the length of the sequence. For quantities without it, ``A^T`` is a transpose.
    """

    matrices: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, Literal["unknown", "identity"]] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    horizon: str | None = None


@dataclass(frozen=True)
class AskedFormulas:
    """The quantities that an item asks formulas for, such as ``("h_2", "y_2")``, and what the formulas are made of."""

    notation: Notation
    quantities: tuple[str, ...]
