"""Pairs of submissions whose code is more alike than independent work is. Advice for a person to look at, never a verdict.

Code is compared by its data flow (`program`), so renamed identifiers, the order of independent statements, comments, layout,
type hints, docstrings, dead code, loops written as comprehensions and extracted helpers make no difference. What many others
write as well counts little, and what the homework gives students counts nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A code cell in which a student wrote.

    Args:
        source: its text, as the notebook holds it.
        tree: the syntax tree of that text; magics are blanked out, so that lines agree.
        number: which code cell of the notebook it is, from 1.
    """

    source: str
    tree: ast.Module
    number: int = 0


@dataclass(frozen=True)
class Lines:
    """Lines of a cell, from 1, the last one included. ``cell`` is an index into the cells of the submission."""

    cell: int
    first: int
    last: int


@dataclass(frozen=True)
class MatchedSpan:
    """A statement of the first submission and the one of the second that does the same.

    ``common_in_class`` is the number of other submissions of the class with such a statement.
    """

    first: Lines
    second: Lines
    common_in_class: int


@dataclass(frozen=True)
class PartMatch:
    """How alike one part is in a pair.

    Args:
        part: the item whose class it is, such as 2a; empty for other code.
        alike: the number of statements of the first submission with a counterpart in the second.
        statements: the number of statements that the first and the second wrote themselves.
        common_in_class: the number of other submissions of the class that write this part so.
        share: how much of the part is alike, from 0 to 1, where rare code counts more than common code.
        identical: whether the code of both is the same but for comments and layout.
        matches: the counterparts, in the order of the first submission.
    """

    part: str
    alike: int
    statements: tuple[int, int]
    common_in_class: int
    share: float
    identical: bool
    matches: tuple[MatchedSpan, ...]

    @property
    def wording(self) -> str:
        """``alike in 7 of 9 statements; 3 others in the class write this part so``."""
        total = min(self.statements)
        alike = min(self.alike, total)
        others = "nobody else in the class writes" if not self.common_in_class else f"{self.common_in_class} others in the class write"
        others = "1 other in the class writes" if self.common_in_class == 1 else others
        return f"alike in {alike} of {total} statement{'' if total == 1 else 's'}; {others} this part so"


@dataclass(frozen=True)
class Pair:
    """Two submissions that are more alike than independent ones are.

    Args:
        first: the key of a submission of the class.
        second: the key of another one; ``source`` says where from, empty for the same class.
        score: from 0 to 1, the share of the code of both that is alike, rare code counting more.
        parts: the parts that are alike, the most alike first.
    """

    first: str
    second: str
    score: float
    parts: tuple[PartMatch, ...]
    source: str = ""


def similar_pairs(
    submissions: Mapping[str, Sequence[Cell]],
    parts: Mapping[str, str],
    *,
    given: Sequence[Cell] = (),
    background: Sequence[Sequence[Cell]] = (),
    against: Mapping[str, Mapping[str, Sequence[Cell]]] | None = None,
) -> list[Pair]:
    """The pairs of a class that are more alike than independent submissions are, the most alike first.

    Args:
        submissions: the cells of each submission by its key.
        parts: the item by the class or function that students write for it.
        given: the cells that students got; what they hold counts nothing.
        background: right solutions by other people (the reference, the audit's variants): each counts as one more student.
        against: other submissions by source (last year's folder) and key. They are compared with the class, not with each other.
    """
    raise NotImplementedError
