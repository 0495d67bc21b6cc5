"""Checks the formulas of an answer against those of the model answer, on random matrices. The result is advice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from grader.errors import GraderError
from grader.insight.evaluation import Rule, TooLarge, Value, World, WrongFormula
from grader.insight.grammar import VARIABLES, parse
from grader.insight.latex import Chain, FormulaError, Token, equations, tokens
from grader.insight.notation import Notation
from grader.insight.tree import Number, Tree, Variable, Vector, children, spelled
from grader.text.safe_text import SHORT, shorten

HORIZONS = (1, 2, 3, 5)
DRAWS = 3
_TOLERANCE = 1e-8
_MOST_SIDES = 12
_FONT = re.compile(r"\\[A-Za-z]+\s*$")


class Verdict(str, Enum):
    """What a check found."""

    EQUAL = "equal"
    DIFFERS = "differs"
    UNRESOLVED = "unresolved"
    """True, but a state such as h_1 is left in it."""
    UNREADABLE = "unreadable"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """The result for one quantity of an item."""

    quantity: str
    verdict: Verdict
    message: str
    formula: str = ""
    """The formula as it was written."""
    horizons: tuple[int, ...] = ()
    """The lengths at which it differs; empty where the quantity has none."""
    position: int | None = None
    """Where in the text reading stopped."""


@dataclass(frozen=True)
class _Side:
    """A formula that a text gives for a quantity."""

    formula: str
    tree: Tree | None
    variable: str | None
    """The letter that stands for the horizon in a formula for h_t."""
    error: FormulaError | None = None


@dataclass(frozen=True)
class _Outcome:
    """How a formula compares with the model answer."""

    side: _Side
    verdict: Verdict
    reason: str = ""
    horizons: tuple[int, ...] = ()
    leftover: tuple[str, ...] = ()


class Checker:
    """Compares formulas for some quantities, such as h_2 and y_2, with those of a model answer.

    Raises `GraderError` if the model answer lacks a formula, cannot be read, or contradicts what the notation knows.
    """

    def __init__(self, notation: Notation, quantities: Sequence[str], model_answer: str) -> None:
        letters = {token.text for quantity in quantities for token in tokens(quantity)}
        if notation.horizon not in letters:
            notation = replace(notation, horizon=None)
        self._notation = notation
        self._made: dict[tuple[str, bool], list[World]] = {}
        self._rules = {
            name: tuple(_rule(notation, name, equation) for equation in notation.known if _names(notation, name, equation))
            for name in notation.states
        }
        try:
            chains = equations(model_answer)
        except FormulaError as error:
            raise GraderError(f"the model answer cannot be read: {error.reason}") from None
        self._expected = {quantity: self._reference(quantity, chains, model_answer) for quantity in quantities}

    def check(self, text: str, quantity: str | None = None) -> tuple[Finding, ...]:
        """A finding for each quantity, or for the given one, whose formula may then stand alone. Accepts any text."""
        wanted = tuple(self._expected) if quantity is None else (quantity,)
        try:
            chains = equations(text)
        except FormulaError as error:
            message = f"Not understood: {error.reason}."
            return tuple(Finding(name, Verdict.UNREADABLE, message, position=error.at) for name in wanted)
        found = []
        for name in wanted:
            sides = self._sides(name, chains, text)
            if not sides and len(wanted) == 1 and len(chains) == 1 and len(chains[0].sides) == 1:
                sides = [self._side(chains[0].sides[0], None, text)]
            found.append(self._finding(name, sides))
        return tuple(found)

    def _quantity(self, name: str) -> Vector:
        tree = _parsed(tokens(name), self._notation, f"the quantity {name}")
        if not isinstance(tree, Vector):
            raise GraderError(f"the quantity {name} is not a state with an index, such as h_2")
        return tree

    def _reference(self, name: str, chains: Sequence[Chain], text: str) -> Tree:
        """The model answer's last formula for a quantity."""
        sides = [side for side in self._sides(name, chains, text) if side.variable is None]
        if not sides:
            raise GraderError(f"the model answer has no formula for {name}; write one that begins with {name} =")
        tree, error = sides[-1].tree, sides[-1].error
        if tree is None:
            reason = error.reason if error else "empty"
            raise GraderError(f"the model answer's formula for {name} cannot be read: {reason}")
        quantity = self._quantity(name)
        for world in self._worlds(name):
            world.leftover.clear()
            try:
                value = world.value(tree)
                if world.leftover:
                    raise GraderError(f"the model answer's formula for {name} still contains {_listed(world.leftover)}")
                known = world.value(quantity) if self._rules[quantity.name] else value
            except (WrongFormula, TooLarge) as problem:
                raise GraderError(f"the model answer's formula for {name} has no value: {problem}") from None
            if not _equal(known, value):
                raise GraderError(f"the model answer's formula for {name} contradicts the equations that are known")
        return tree

    def _worlds(self, name: str, *, without_functions: bool = False) -> Sequence[World]:
        key = (name, without_functions)
        if key not in self._made:
            uses_horizon = self._quantity(name).index == Variable(self._notation.horizon or "")
            self._made[key] = [
                World(self._notation, self._rules, horizon, seed, without_functions=without_functions)
                for horizon in (HORIZONS if uses_horizon else (None,))
                for seed in range(DRAWS)
            ]
        return self._made[key]

    def _sides(self, name: str, chains: Sequence[Chain], text: str) -> list[_Side]:
        """Every formula that a text sets equal to a quantity."""
        found = []
        for chain in chains:
            letters = [self._stands_for(side, name, first=i == 0) for i, side in enumerate(chain.sides)]
            place = next((i for i, letter in enumerate(letters) if letter is not None), None)
            if place is None or len(chain.sides) < 2:
                continue
            variable = letters[place] or None
            found += [self._side(side, variable, text) for i, side in enumerate(chain.sides) if i != place]
        return found

    def _stands_for(self, side: Sequence[Token], name: str, *, first: bool) -> str | None:
        """None unless a side is the quantity: then "", or the letter in place of the horizon."""
        quantity = self._quantity(name)
        tree = _try(side, self._notation)
        if tree is None and first:
            # Words may stand before the first side.
            starts = [i for i, token in enumerate(side) if token.text == quantity.name]
            tree = _try(side[starts[-1] :], self._notation) if starts else None
        if not isinstance(tree, Vector) or tree.name != quantity.name:
            return None
        if tree.index == quantity.index:
            return ""
        horizon = Variable(self._notation.horizon or "")
        return tree.index.name if quantity.index == horizon and isinstance(tree.index, Variable) else None

    def _side(self, side: Sequence[Token], variable: str | None, text: str) -> _Side:
        if not side:
            return _Side("", None, variable, FormulaError("nothing stands beside the equals sign", 0))
        last = side[-1]
        font = _FONT.search(text[: side[0].at][-20:])
        start = side[0].at - (len(font[0]) if font else 0)
        formula = shorten(text[start : last.at + len(last.text)], SHORT)
        try:
            return _Side(formula, parse(side, self._notation, [variable] if variable else []), variable)
        except FormulaError as error:
            return _Side(formula, None, variable, error)

    def _compare(self, side: _Side, name: str, *, without_functions: bool = False) -> _Outcome:
        if side.tree is None:
            return _Outcome(side, Verdict.UNREADABLE, side.error.reason if side.error else "")
        wrong: dict[int, None] = {}
        reason, leftover, equal = "", False, True
        for world in self._worlds(name, without_functions=without_functions):
            variables = {side.variable: world.horizon} if side.variable and world.horizon is not None else {}
            expected = world.value(self._expected[name])
            world.leftover.clear()
            try:
                same = _equal(world.value(side.tree, variables), expected)
            except WrongFormula as problem:
                same, reason = False, reason or str(problem)
            except TooLarge as problem:
                return _Outcome(side, Verdict.UNREADABLE, str(problem))
            leftover = leftover or bool(world.leftover)
            equal = equal and same
            if not same and world.horizon is not None:
                wrong[world.horizon] = None
        states = tuple(sorted(_states(side.tree, self._notation))) if leftover else ()
        if equal:
            return _Outcome(side, Verdict.UNRESOLVED if leftover else Verdict.EQUAL, leftover=states)
        return _Outcome(side, Verdict.DIFFERS, reason, tuple(wrong), states)

    def _finding(self, name: str, sides: Sequence[_Side]) -> Finding:
        if not sides:
            return Finding(name, Verdict.MISSING, f"No formula for {name} found.")
        pool = [side for side in sides if side.variable is None] or sides
        outcomes = [self._compare(side, name) for side in pool[-_MOST_SIDES:]]
        resolved = [outcome for outcome in outcomes if not outcome.leftover]
        chosen = resolved[-1] if resolved else outcomes[-1]
        if outcomes[-1].verdict is Verdict.UNREADABLE:
            chosen = outcomes[-1]
        others = [outcome for outcome in outcomes if outcome is not chosen]
        message = self._message(name, chosen) + self._written_for(name, chosen.side) + _about(others, chosen)
        error = chosen.side.error
        return Finding(
            name, chosen.verdict, message, chosen.side.formula, chosen.horizons, error.at if error is not None else None
        )

    def _message(self, name: str, outcome: _Outcome) -> str:
        if outcome.verdict is Verdict.UNREADABLE:
            return f"{name} is not understood: {outcome.reason}."
        if outcome.verdict is Verdict.EQUAL:
            return f"{name} equals the model answer."
        if outcome.verdict is Verdict.UNRESOLVED:
            return f"{name} equals the model answer, but still contains {_listed(outcome.leftover)}."
        where = ""
        if outcome.horizons:
            letter = self._notation.horizon
            where = f" for {letter} = {_listed(outcome.horizons)}"
            right = [horizon for horizon in HORIZONS if horizon not in outcome.horizons]
            where += f" and equals it for {letter} = {_listed(right)}" if right else ""
        message = f"{name} differs from the model answer{where}"
        message += f": {outcome.reason}." if outcome.reason else "."
        message += f" It still contains {_listed(outcome.leftover)}." if outcome.leftover else ""
        if self._compare(outcome.side, name, without_functions=True).verdict in (Verdict.EQUAL, Verdict.UNRESOLVED):
            unknown = [function for function, kind in self._notation.functions.items() if kind == "unknown"]
            message += f" It is equal apart from {_listed(unknown)}."
        return message


    def _written_for(self, name: str, side: _Side) -> str:
        """A note if the answer gives a formula for any index, such as h_t, instead of the requested one."""
        if side.variable is None or side.tree is None:
            return ""
        letter = self._notation.horizon or ""
        mixed = f", but contains {letter}" if _uses(side.tree, letter) else ""
        return f" It is written for {self._quantity(name).name}_{side.variable}{mixed}."


def _about(others: Sequence[_Outcome], chosen: _Outcome) -> str:
    """What the other forms of a formula add to the result."""
    if chosen.verdict in (Verdict.EQUAL, Verdict.UNRESOLVED):
        wrong = [outcome for outcome in others if outcome.verdict is Verdict.DIFFERS]
        if wrong:
            return f" Another form differs: {wrong[-1].side.formula}"
        unread = [outcome for outcome in others if outcome.verdict is Verdict.UNREADABLE]
        if unread:
            return f" Another form is not understood: {unread[-1].side.formula}"
    else:
        right = [outcome for outcome in others if outcome.verdict in (Verdict.EQUAL, Verdict.UNRESOLVED)]
        if right:
            return f" Another form is equal: {right[-1].side.formula}"
    return ""


def _rule(notation: Notation, name: str, equation: str) -> Rule:
    """A known equation of a state, such as ``h_0 = 0``."""
    sides = equations(equation)[0].sides
    if len(sides) != 2:
        raise GraderError(f"the known equation {equation} needs exactly one equals sign")
    left = _try(sides[0], notation)
    assert isinstance(left, Vector)
    if isinstance(left.index, Number):
        return Rule(round(left.index.value), _parsed(sides[1], notation, equation))
    if isinstance(left.index, Variable):
        return Rule(left.index.name, _parsed(sides[1], notation, equation, [left.index.name]))
    raise GraderError(f"the known equation {equation} must begin with a state such as {name}_0 or {name}_t")


def _names(notation: Notation, name: str, equation: str) -> bool:
    """Whether a known equation is about a state."""
    try:
        chains = equations(equation)
    except FormulaError as error:
        raise GraderError(f"the known equation {equation} cannot be read: {error.reason}") from None
    left = _try(chains[0].sides[0], notation) if chains else None
    if not isinstance(left, Vector) or left.name not in notation.states:
        raise GraderError(f"the known equation {equation} must begin with a state and an index")
    return left.name == name


def _parsed(side: Sequence[Token], notation: Notation, what: str, bound: Sequence[str] = ()) -> Tree:
    try:
        return parse(side, notation, bound)
    except FormulaError as error:
        raise GraderError(f"{what} cannot be read: {error.reason}") from None


def _try(side: Sequence[Token], notation: Notation) -> Tree | None:
    try:
        return parse(side, notation, sorted(VARIABLES))
    except FormulaError:
        return None


def _equal(value: Value, expected: Value) -> bool:
    if not isinstance(value, np.ndarray) or not isinstance(expected, np.ndarray) or value.shape != expected.shape:
        return False
    return bool(np.abs(value - expected).max() <= _TOLERANCE * (1 + np.abs(expected).max()))


def _states(tree: Tree, notation: Notation) -> set[str]:
    """The states in a formula, as they are written there."""
    found: set[str] = set()
    if isinstance(tree, Vector) and tree.name in notation.states:
        found.add(f"{tree.name}_{spelled(tree.index)}")
    return found.union(*(_states(child, notation) for child in children(tree)))


def _uses(tree: Tree, letter: str) -> bool:
    return tree == Variable(letter) or any(_uses(child, letter) for child in children(tree))


def _listed(things: Iterable[object]) -> str:
    return ", ".join(map(str, sorted(things, key=str)))
