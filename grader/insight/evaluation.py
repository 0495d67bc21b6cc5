"""The value of a formula for random matrices, within limits that no formula can exceed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grader.insight.notation import Notation
from grader.insight.tree import (
    Add,
    Apply,
    Divide,
    Identity,
    Matrix,
    Multiply,
    Number,
    Power,
    Repeat,
    Transpose,
    Tree,
    Variable,
    Vector,
)

LARGEST_POWER = 64
LONGEST_SUM = 64
MOST_STEPS = 5_000
LAST_INPUT = 12
"""Inputs that exist where the formula has no horizon."""

Array = NDArray[np.float64]


class WrongFormula(Exception):
    """A formula without a value, such as a product of sizes that do not fit; says why."""


class TooLarge(Exception):
    """A formula that costs more than the limits allow."""


@dataclass(frozen=True)
class Eye:
    """A multiple of the identity matrix."""

    scale: float


Value = float | Array | Eye


@dataclass(frozen=True)
class Rule:
    """A true equation for a state: at one index, or at every index where `index` is a letter."""

    index: int | str
    tree: Tree


class World:
    """Random values for every symbol, for one length of the sequence."""

    def __init__(
        self,
        notation: Notation,
        rules: Mapping[str, tuple[Rule, ...]],
        horizon: int | None,
        seed: int,
        *,
        without_functions: bool = False,
    ) -> None:
        self.horizon = horizon
        self._notation = notation
        self._rules = rules
        self._random = np.random.default_rng([seed, horizon or 0])
        names = {size for pair in notation.matrices.values() for size in pair}
        names |= {*notation.inputs.values(), *notation.states.values()}
        # Sizes differ, so that a product in the wrong order does not fit.
        self._sizes = {name: 2 + i for i, name in enumerate(sorted(names))}
        self._matrices = {name: self._draw(*sizes) for name, sizes in sorted(notation.matrices.items())}
        last = LAST_INPUT if horizon is None else horizon
        self._inputs = {
            name: [self._random.normal(size=(self._sizes[size], 1)) for _ in range(last)]
            for name, size in sorted(notation.inputs.items())
        }
        self._states: dict[tuple[str, int], Array | float] = {}
        self.leftover: set[str] = set()
        """States whose value was needed, other than those that are given at one index."""
        self._without_functions = without_functions

    def _draw(self, rows: str, columns: str) -> Array:
        """A random matrix whose powers and inverse are of ordinary size."""
        drawn = self._random.normal(size=(self._sizes[rows], self._sizes[columns]))
        left, _, right = np.linalg.svd(drawn, full_matrices=False)
        scales = self._random.uniform(0.6, 1.4, size=left.shape[1])
        return np.asarray((left * scales) @ right, dtype=np.float64)

    def value(self, tree: Tree, variables: Mapping[str, int] | None = None) -> Value:
        """The value of a formula; raises `WrongFormula` where it has none and `TooLarge` where it costs too much."""
        self._steps = 0
        known = dict(variables or {})
        if self.horizon is not None and self._notation.horizon is not None:
            known[self._notation.horizon] = self.horizon
        with np.errstate(all="ignore"):
            found = self._value(tree, known)
        if not np.all(np.isfinite(found.scale if isinstance(found, Eye) else found)):
            raise TooLarge("its value is too large to compare")
        return found

    def _value(self, tree: Tree, known: Mapping[str, int]) -> Value:  # noqa: PLR0912  (a case for each kind of node)
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TooLarge("it takes too many steps to compute")
        match tree:
            case Number():
                return tree.value
            case Variable():
                return float(known[tree.name])
            case Identity():
                return Eye(1.0)
            case Matrix():
                return self._matrices[tree.name]
            case Vector():
                return self._vector(tree.name, self._whole(tree.index, known, "an index"))
            case Add():
                total: Value = 0.0
                for sign, term in tree.terms:
                    total = _added(total, _multiplied(float(sign), self._value(term, known)))
                return total
            case Multiply():
                product: Value = 1.0
                for factor in tree.factors:
                    product = _multiplied(product, self._value(factor, known))
                return product
            case Divide():
                return self._quotient(self._value(tree.above, known), self._value(tree.below, known))
            case Power():
                return self._power(self._value(tree.base, known), tree.exponent, known)
            case Transpose():
                base = self._value(tree.base, known)
                return base.T if isinstance(base, np.ndarray) else base
            case Apply():
                return self._applied(tree.function, self._value(tree.argument, known))
            case Repeat():
                return self._repeated(tree, known)

    def _whole(self, tree: Tree, known: Mapping[str, int], what: str) -> int:
        value = self._value(tree, known)
        if not isinstance(value, float):
            raise WrongFormula(f"{what} is not a number")
        if not abs(value) <= 1e6:
            raise TooLarge(f"{what} is too large")
        if abs(value - round(value)) > 1e-9:
            raise WrongFormula(f"{what} is not a whole number")
        return round(value)

    def _vector(self, name: str, index: int) -> Value:
        if name in self._notation.inputs:
            inputs = self._inputs[name]
            if not 1 <= index <= len(inputs):
                raise WrongFormula(f"{name}_{index} does not exist")
            return inputs[index - 1]
        return self._state(name, index)

    def _state(self, name: str, index: int) -> Value:
        if abs(index) > LARGEST_POWER:
            raise TooLarge(f"the index of {name} is too large")
        rules = self._rules.get(name, ())
        if all(rule.index != index for rule in rules):
            self.leftover.add(f"{name}_{index}")
        if (name, index) not in self._states:
            self._states[name, index] = self._by_rule(name, index, rules)
        return self._states[name, index]

    def _by_rule(self, name: str, index: int, rules: tuple[Rule, ...]) -> Array | float:
        exact = [rule for rule in rules if rule.index == index]
        smallest = min((rule.index for rule in rules if isinstance(rule.index, int)), default=0)
        if index < smallest:
            raise WrongFormula(f"{name}_{index} does not exist")
        for rule in exact or [rule for rule in rules if isinstance(rule.index, str)]:
            variables = {rule.index: index} if isinstance(rule.index, str) else {}
            value = self._value(rule.tree, variables)
            if isinstance(value, float) and value == 0:
                return np.zeros((self._sizes[self._notation.states[name]], 1))
            if isinstance(value, np.ndarray):
                return value
        raise WrongFormula(f"nothing says what {name}_{index} is")

    def _power(self, base: Value, exponent: Tree, known: Mapping[str, int]) -> Value:
        power = self._whole(exponent, known, "an exponent")
        if abs(power) > LARGEST_POWER:
            raise TooLarge(f"a power above {LARGEST_POWER}")
        if isinstance(base, float | Eye):
            scale = base if isinstance(base, float) else base.scale
            if scale == 0 and power < 0:
                raise WrongFormula("a division by zero")
            raised = float(np.float64(scale) ** power)
            return raised if isinstance(base, float) else Eye(raised)
        if base.shape[0] != base.shape[1]:
            raise WrongFormula(f"a power of {_sized(base)}, which is not square")
        try:
            return np.asarray(np.linalg.matrix_power(base, power), dtype=np.float64)
        except np.linalg.LinAlgError:
            raise WrongFormula("an inverse that does not exist") from None

    def _quotient(self, above: Value, below: Value) -> Value:
        if not isinstance(below, float):
            raise WrongFormula("a division by a matrix or a vector")
        if below == 0:
            raise WrongFormula("a division by zero")
        return _multiplied(1 / below, above)

    def _applied(self, function: str, argument: Value) -> Value:
        if self._notation.functions[function] == "identity" or self._without_functions:
            return argument
        if not isinstance(argument, np.ndarray):
            raise WrongFormula(f"{function} of a number")
        # One-to-one, neither odd nor linear: it tells apart what differs, and differs from every sum of its values.
        return argument + 0.5 * np.sin(argument + 1.0)

    def _repeated(self, tree: Repeat, known: Mapping[str, int]) -> Value:
        low, high = (self._whole(bound, known, "a bound of a sum") for bound in (tree.low, tree.high))
        if high - low >= LONGEST_SUM:
            raise TooLarge(f"a sum of more than {LONGEST_SUM} terms")
        total: Value = 0.0 if tree.kind == "sum" else 1.0
        for number in range(low, high + 1):
            value = self._value(tree.body, {**known, tree.variable: number})
            total = _added(total, value) if tree.kind == "sum" else _multiplied(total, value)
        return total


def _sized(array: Array) -> str:
    return f"a vector of {array.shape[0]}" if array.shape[1] == 1 else f"a matrix of {array.shape[0]} x {array.shape[1]}"


def _multiplied(left: Value, right: Value) -> Value:
    # An empty sum has no size: zero times anything stays a zero that can be added to anything.
    if (isinstance(left, float) and left == 0) or (isinstance(right, float) and right == 0):
        return 0.0
    match left, right:
        case float(), float():
            return left * right
        case float(), Eye():
            return Eye(left * right.scale)
        case Eye(), float() | Eye():
            return Eye(left.scale * (right if isinstance(right, float) else right.scale))
        case Eye(), _:
            return left.scale * right  # type: ignore[operator]
        case _, Eye():
            return right.scale * left
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        if left.shape[1] != right.shape[0]:
            raise WrongFormula("the sizes of a product do not fit, so its order is wrong")
        return np.asarray(left @ right, dtype=np.float64)
    return left * right  # type: ignore[operator]


def _added(left: Value, right: Value) -> Value:
    if isinstance(left, float) and left == 0:
        return right
    if isinstance(right, float) and right == 0:
        return left
    if isinstance(left, float) and isinstance(right, float):
        return left + right
    if isinstance(left, Eye) and isinstance(right, Eye):
        return Eye(left.scale + right.scale)
    if isinstance(left, float) or isinstance(right, float):
        raise WrongFormula("a sum of a number and a matrix or vector")
    left, right = _filled(left, right), _filled(right, left)
    if left.shape != right.shape:
        raise WrongFormula(f"a sum of {_sized(left)} and {_sized(right)}")
    return left + right


def _filled(value: Array | Eye, other: Array | Eye) -> Array:
    """A multiple of the identity as a matrix, of the size of what it is added to."""
    if isinstance(value, Eye):
        assert isinstance(other, np.ndarray)
        return value.scale * np.eye(other.shape[0])
    return value
