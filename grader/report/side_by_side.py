"""Two submissions side by side, with the parts that are alike marked and numbered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grader.insight.similar_code import Cell, Lines, MatchedSpan, Pair

COMMON = 3
"""From so many other submissions on, a statement counts as common in the class, and is marked less."""


@dataclass(frozen=True)
class Line:
    """A line of code. ``match`` is the number of what is alike in the other submission; 0 where nothing is."""

    number: int
    text: str
    match: int = 0
    is_common: bool = False
    begins: bool = False
    """Whether the match begins here."""


@dataclass(frozen=True)
class Side:
    """The cells of one submission that hold something alike."""

    key: str
    cells: tuple[tuple[int, tuple[Line, ...]], ...]
    """The number of each cell with its lines."""


@dataclass(frozen=True)
class Comparison:
    """A pair with the code of both; ``sides`` is empty where the code is not at hand."""

    pair: Pair
    sides: tuple[Side, ...]

    @property
    def findings(self) -> list[tuple[str, str]]:
        """Each part with how alike it is, in words."""
        return [
            (part.part or "other code", f"identical; {part.wording}" if part.identical else part.wording)
            for part in self.pair.parts
        ]


def compared(pair: Pair, cells: Mapping[str, Sequence[Cell]]) -> Comparison:
    """A pair with its code, as far as ``cells`` has it by key."""
    if pair.first not in cells or pair.second not in cells:
        return Comparison(pair, ())
    matches = [match for part in pair.parts for match in part.matches]
    first = _side(pair.first, cells[pair.first], [match.first for match in matches], matches)
    second = _side(pair.second, cells[pair.second], [match.second for match in matches], matches)
    return Comparison(pair, (first, second))


def _side(key: str, cells: Sequence[Cell], spans: Sequence[Lines], matches: Sequence[MatchedSpan]) -> Side:
    marked: dict[tuple[int, int], tuple[int, bool, bool]] = {}
    for number, (span, match) in enumerate(zip(spans, matches, strict=True), start=1):
        for line in range(span.first, span.last + 1):
            # A statement within another one is marked as what it is itself.
            marked[span.cell, line] = (number, match.common_in_class >= COMMON, line == span.first)
    shown = []
    for index, cell in enumerate(cells):
        if any(place == index for place, _ in marked):
            lines = enumerate(cell.source.split("\n"), start=1)
            found = tuple(Line(n, text, *marked.get((index, n), (0, False, False))) for n, text in lines)
            shown.append((cell.number, found))
    return Side(key, tuple(shown))
