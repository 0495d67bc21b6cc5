"""Formulas as trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union


@dataclass(frozen=True)
class Number:
    """A number that is written out."""

    value: float


@dataclass(frozen=True)
class Variable:
    """The horizon, or the letter that a sum runs over."""

    name: str


@dataclass(frozen=True)
class Identity:
    """The identity matrix of whatever size fits."""


@dataclass(frozen=True)
class Matrix:
    """A weight matrix by its name."""

    name: str


@dataclass(frozen=True)
class Vector:
    """A member of a sequence of vectors, such as x_{T-1}."""

    name: str
    index: Tree


@dataclass(frozen=True)
class Add:
    """A sum of terms, each with a sign."""

    terms: tuple[tuple[int, Tree], ...]


@dataclass(frozen=True)
class Multiply:
    """A product in the order in which it is written."""

    factors: tuple[Tree, ...]


@dataclass(frozen=True)
class Divide:
    """A quotient whose divisor is a number."""

    above: Tree
    below: Tree


@dataclass(frozen=True)
class Power:
    """A number or a square matrix to a whole power."""

    base: Tree
    exponent: Tree


@dataclass(frozen=True)
class Transpose:
    """A matrix or a vector, turned."""

    base: Tree


@dataclass(frozen=True)
class Apply:
    """A function of each element."""

    function: str
    argument: Tree


@dataclass(frozen=True)
class Repeat:
    """A sum or a product over a range of whole numbers, both ends included."""

    kind: Literal["sum", "prod"]
    variable: str
    low: Tree
    high: Tree
    body: Tree


Tree = Union[  # noqa: UP007  (a union of classes that name it themselves)
    Number, Variable, Identity, Matrix, Vector, Add, Multiply, Divide, Power, Transpose, Apply, Repeat
]


def children(tree: Tree) -> tuple[Tree, ...]:
    """The trees directly below a node."""
    match tree:
        case Vector():
            return (tree.index,)
        case Add():
            return tuple(term for _, term in tree.terms)
        case Multiply():
            return tree.factors
        case Divide():
            return (tree.above, tree.below)
        case Power():
            return (tree.base, tree.exponent)
        case Transpose():
            return (tree.base,)
        case Apply():
            return (tree.argument,)
        case Repeat():
            return (tree.low, tree.high, tree.body)
    return ()


def spelled(index: Tree) -> str:
    """An index as text, such as ``2``, ``t`` or ``{T-1}``."""
    match index:
        case Number():
            return f"{index.value:g}"
        case Variable():
            return index.name
        case Add():
            terms = [("-" if sign < 0 else "+") + spelled(term) for sign, term in index.terms]
            return "{" + "".join(terms).removeprefix("+") + "}"
    return "{...}"
