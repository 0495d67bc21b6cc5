"""Reads formulas. The grammar is small and closed: a text becomes a tree or a `FormulaError`, and is never evaluated."""

from __future__ import annotations

from collections.abc import Sequence

from grader.insight.latex import FormulaError, Token
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

DEEPEST = 30
_CLOSING = {"(": ")", "[": "]", "{": "}"}
VARIABLES = frozenset([*"ijklmnpqrstuv", "tau"])
"""The letters that a sum may run over."""


def parse(tokens: Sequence[Token], notation: Notation, bound: Sequence[str] = (), end: int = 0) -> Tree:
    """The tree of a formula; `bound` names the letters that stand for a number, `end` is the place after it."""
    parser = _Parser(tokens, notation, [*bound], tokens[-1].at + 1 if tokens else end, 0)
    tree = parser.expression()
    parser.finish()
    return tree


class _Parser:
    """Recursive descent; a sub-parser reads each index, exponent and bound."""

    def __init__(self, tokens: Sequence[Token], notation: Notation, bound: list[str], end: int, depth: int) -> None:
        self.tokens = tokens
        self.notation = notation
        self.bound = bound
        self.end = end
        self.depth = depth
        self.place = 0

    def expression(self) -> Tree:
        """Terms with signs between them."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise FormulaError(f"nested more than {DEEPEST} levels deep", self.at)
        terms: list[tuple[int, Tree]] = []
        sign = 1
        if self._is("+", "-"):
            sign = -1 if self._take().text == "-" else 1
        terms.append((sign, self._term()))
        while self._is("+", "-"):
            sign = -1 if self._take().text == "-" else 1
            terms.append((sign, self._term()))
        self.depth -= 1
        return terms[0][1] if len(terms) == 1 and terms[0][0] == 1 else Add(tuple(terms))

    def finish(self) -> None:
        """Raises `FormulaError` for what is left over."""
        if self.place < len(self.tokens):
            raise FormulaError(f"unexpected {_shown(self.tokens[self.place])}", self.at)

    @property
    def at(self) -> int:
        """The place in the text."""
        return self.tokens[self.place].at if self.place < len(self.tokens) else self.end

    def _is(self, *marks: str) -> bool:
        token = self._peek()
        return token is not None and token.kind == "mark" and token.text in marks

    def _peek(self, ahead: int = 0) -> Token | None:
        place = self.place + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def _take(self) -> Token:
        token = self._peek()
        if token is None:
            raise FormulaError("the formula breaks off", self.end)
        self.place += 1
        return token

    def _term(self) -> Tree:
        """Factors side by side; what a division sign divides is all that stands before it."""
        found = [self._factor()]
        divisions = 0
        while True:
            if self._is("*"):
                self._take()
                found.append(self._factor())
            elif self._is("/"):
                divisions += 1
                if divisions > DEEPEST:
                    raise FormulaError(f"more than {DEEPEST} divisions in a row", self.at)
                self._take()
                found = [Divide(_product(found), self._factor())]
            elif self._begins_factor():
                found.append(self._factor())
            else:
                return _product(found)

    def _begins_factor(self) -> bool:
        token = self._peek()
        return token is not None and (token.kind in ("letter", "number", "command") or self._is("(", "[", "{"))

    def _factor(self) -> Tree:
        token = self._take()
        if token.kind == "command":
            return self._command(token)
        if token.kind == "number":
            value = float(token.text)
            if value > 1e6:
                raise FormulaError("the number is too large", token.at)
            return self._raised(Number(value))
        if token.kind == "letter":
            return self._symbol(token)
        if token.kind == "mark" and token.text in _CLOSING:
            inner = self._until_closed(token)
            if token.text == "{" and len(inner) == 1 and inner[0].kind == "letter":
                return self._symbol(inner[0])
            return self._raised(self._inside(inner, token.at + 1))
        raise FormulaError(f"unexpected {_shown(token)}", token.at)

    def _command(self, token: Token) -> Tree:
        if token.text == "frac":
            return self._raised(Divide(self._inside(*self._argument()), self._inside(*self._argument())))
        if token.text in ("sum", "prod"):
            return self._repeat(token)
        if token.text == "dots":
            raise FormulaError("dots cannot be checked; write a sum, or read this formula yourself", token.at)
        raise FormulaError(f"unexpected {_shown(token)}", token.at)

    def _until_closed(self, opening: Token) -> Sequence[Token]:
        """What stands between a bracket and the one that closes it."""
        closing, depth, start = _CLOSING[opening.text], 1, self.place
        while self.place < len(self.tokens):
            token = self.tokens[self.place]
            self.place += 1
            if token.kind == "mark":
                depth += (token.text == opening.text) - (token.text == closing)
            if depth == 0:
                return self.tokens[start : self.place - 1]
        raise FormulaError(f"{_shown(opening)} is never closed", opening.at)

    def _argument(self) -> tuple[Sequence[Token], int]:
        """A group, or the single symbol that LaTeX takes without braces, and its place."""
        token = self._take()
        if token.kind == "mark" and token.text in ("{", "("):
            return self._until_closed(token), token.at + 1
        if token.kind == "number" and len(token.text) > 1:
            raise FormulaError(f"write {{{token.text}}}: without braces, only its first digit belongs here", token.at)
        if token.kind in ("letter", "number", "command"):
            return [token], token.at
        raise FormulaError(f"unexpected {_shown(token)}", token.at)

    def _inside(self, tokens: Sequence[Token], at: int) -> Tree:
        """The tree of a group."""
        end = tokens[-1].at + 1 if tokens else at
        parser = _Parser(tokens, self.notation, self.bound, end, self.depth)
        tree = parser.expression()
        parser.finish()
        return tree

    def _scripts(self) -> tuple[tuple[Sequence[Token], int] | None, tuple[Sequence[Token], int] | None]:
        """What stands below and above, in either order."""
        below = above = None
        while self._is("_", "^"):
            mark = self._take()
            if (below if mark.text == "_" else above) is not None:
                raise FormulaError(f"a second {mark.text}", mark.at)
            if mark.text == "_":
                below = self._argument()
                below = ([_letter(token) for token in below[0]], below[1])
            else:
                above = self._argument()
        return below, above

    def _raised(self, base: Tree) -> Tree:
        """A group or number, with the power that may stand above it."""
        at = self.at
        below, above = self._scripts()
        if below is not None:
            raise FormulaError("a subscript is only read after a symbol", at)
        return self._power(base, above)

    def _power(self, base: Tree, above: tuple[Sequence[Token], int] | None) -> Tree:
        if above is None:
            return base
        tokens, at = above
        names = [token.text for token in tokens]
        if names == ["top"] or (names == ["T"] and self.notation.horizon != "T"):
            return Transpose(base)
        return Power(base, self._inside(tokens, at))

    def _symbol(self, token: Token) -> Tree:
        """A letter with its scripts, as what the notation says it is."""
        shorthand = self._shorthand(token)
        below, above = self._scripts()
        below = below or shorthand
        if below is not None and above is None and shorthand is not None:
            _, above = self._scripts()
        name = token.text
        spelled = f"{name}_{''.join(t.text for t in below[0])}" if below else name
        if spelled in self.notation.functions:
            return self._apply(spelled, token, above)
        if spelled in self.notation.matrices:
            return self._power(Matrix(spelled), above)
        if below is not None and name in {**self.notation.inputs, **self.notation.states}:
            return self._power(Vector(name, self._inside(*below)), above)
        if below is None and (name in self.bound or name == self.notation.horizon):
            return self._power(Variable(name), above)
        if below is None and name == "I":
            return self._power(Identity(), above)
        raise FormulaError(f"unknown symbol {spelled}", token.at)

    def _shorthand(self, token: Token) -> tuple[Sequence[Token], int] | None:
        """The index in a spelling without underscore, such as Wh or x1."""
        following = self._peek()
        if following is None or following.at != token.at + len(token.text) or following.kind not in ("letter", "number"):
            return None
        sequence = token.text in {**self.notation.inputs, **self.notation.states}
        counts = following.kind == "number" or following.text in {*self.bound, self.notation.horizon}
        named = {*self.notation.matrices, *self.notation.functions}
        if (sequence and counts) or (token.text not in named and f"{token.text}_{following.text}" in named):
            return [self._take()], following.at
        return None

    def _apply(self, name: str, token: Token, above: object) -> Tree:
        if above is not None:
            raise FormulaError(f"a power of the function {name}", token.at)
        if not self._is("(", "[", "{"):
            raise FormulaError(f"the argument of {name} must stand in brackets", self.at)
        opening = self._take()
        return self._raised(Apply(name, self._inside(self._until_closed(opening), opening.at + 1)))

    def _repeat(self, token: Token) -> Tree:
        """A sum or product sign, its bounds, and the term to its right."""
        below, above = self._scripts()
        if below is None:
            raise FormulaError("a sum needs bounds, such as \\sum_{t=1}^{T}", token.at)
        variable, low, high = self._bounds(below, above)
        self.bound.append(variable)
        self.depth += 1
        if self.depth > DEEPEST:
            raise FormulaError(f"nested more than {DEEPEST} levels deep", token.at)
        body = self._term()
        self.depth -= 1
        self.bound.pop()
        return Repeat("sum" if token.text == "sum" else "prod", variable, low, high, body)

    def _bounds(
        self, below: tuple[Sequence[Token], int], above: tuple[Sequence[Token], int] | None
    ) -> tuple[str, Tree, Tree]:
        """The letter and both ends, from ``t=1`` and ``T`` or from ``1 ≤ t ≤ T``."""
        tokens, at = below
        parts: list[list[Token]] = [[]]
        signs = []
        for token in tokens:
            if token.kind == "mark" and token.text in ("=", "≤"):
                signs.append(token.text)
                parts.append([])
            else:
                parts[-1].append(token)
        middle = parts[0] if signs == ["="] else parts[1] if signs == ["≤", "≤"] else []
        if len(middle) != 1 or middle[0].text not in VARIABLES:
            raise FormulaError("the bounds of the sum cannot be read", at)
        if signs == ["="] and above is not None:
            upper, place = above
            upper = [_letter(token) for token in upper]
            return middle[0].text, self._inside(parts[1], at), self._inside(upper, place)
        if signs == ["≤", "≤"] and above is None:
            return middle[0].text, self._inside(parts[0], at), self._inside(parts[2], at)
        raise FormulaError("the sum has no upper bound", at)


def _letter(token: Token) -> Token:
    """An upright T as a letter, which it is everywhere but in an exponent."""
    return Token("letter", "T", token.at) if token.text == "top" else token


def _product(factors: Sequence[Tree]) -> Tree:
    return factors[0] if len(factors) == 1 else Multiply(tuple(factors))


def _shown(token: Token) -> str:
    return f"'{token.text}'" if token.kind != "words" else f"'{token.text[:30]}'"
