"""Groups the lost points of a class by their likely cause, so that one decision settles them for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Certainty = Literal["known", "unknown"]
"""`unknown`: no wrong answer of the homework's corpus fails like this."""


@dataclass(frozen=True)
class Example:
    """What one submission of a cause failed by.

    Args:
        submission: the key of its row.
        requirement: the property that failed, in one sentence.
        message: what the code did, and what was expected.
        counterexample: the smallest failing case; empty where there is none.
    """

    submission: str
    requirement: str
    message: str
    counterexample: str = ""


@dataclass(frozen=True)
class Cause:
    """Why submissions lost points of a part.

    Args:
        key: stands for it in addresses; the same in each run as long as the same properties fail.
        text: the cause in words, or what fails where it is unknown.
        part: the item.
        criteria: the criteria that are lost by it, in the rubric's order.
        students: keys of the rows that lost points by it, in the class's order.
        lost: points that each of them lost by it after all decisions, in the same order.
        example: the smallest counterexample among them.
        certainty: whether the corpus knows it.
        confidence: how often a match like these names the right cause, from 0 to 1; 0 where it is unknown.
        alternatives: what else it could be, in words, the likeliest first.
        hint: the wrong answer of the corpus that is nearest, in words.
    """

    key: str
    text: str
    part: str
    criteria: tuple[str, ...]
    students: tuple[str, ...]
    lost: tuple[float, ...]
    example: Example
    certainty: Certainty = "unknown"
    confidence: float = 0.0
    alternatives: tuple[str, ...] = ()
    hint: str = ""

    @property
    def points_lost(self) -> float:
        """The sum over its students."""
        return round(sum(self.lost), 4)
