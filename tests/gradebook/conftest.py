"""A gradebook with two items, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from grader.gradebook.book import Gradebook
from grader.gradebook.events import JSON, Decision, Kind
from grader.scoring.rubric import RubricEntry

ITEMS = {
    "1a": [
        RubricEntry(id="full", points=1, text="All of it.", exclusive=True),
        RubricEntry(id="formula", points=0.5, text="The formula."),
        RubricEntry(id="reason", points=0.5, text="The reason."),
        RubricEntry(id="unclear", points=-0.25, text="Unclear."),
        RubricEntry(id="blank", points=0, text="No answer.", exclusive=True),
    ],
    "1b": [RubricEntry(id="full", points=2, text="All."), RubricEntry(id="none", points=0, text="None.")],
}
WORTH = {"1a": 1.0, "1b": 2.0, "2a": 4.0}


class Clock:
    """A time that passes only when told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(tmp_path: Path, clock: Clock) -> Iterator[Gradebook]:
    with Gradebook.open(tmp_path, ITEMS, WORTH, clock=clock) as opened:
        yield opened


def grade(
    submission: str,
    *entries: str,
    item: str = "1a",
    adjustment: float = 0,
    comment: str = "",
    content: str = "",
    kind: Kind = Kind.grade,
) -> Decision:
    """A decision to grade an item by these entries."""
    chosen: JSON = list(entries)
    data: dict[str, JSON] = {"entries": chosen, "adjustment": adjustment, "comment": comment, "content": content}
    return Decision(kind, submission, item, data)


def entry(name: str, points: float, text: str = "Text.", item: str = "1a", exclusive: bool = False) -> Decision:
    """A decision to define an entry."""
    return Decision(Kind.entry, None, item, {"id": name, "points": points, "text": text, "exclusive": exclusive})


def override(submission: str, points: float | None, item: str = "2a", criterion: str | None = None) -> Decision:
    """A decision to set an item's points."""
    data: dict[str, JSON] = {"points": points, "reason": "read it", "criterion": criterion}
    return Decision(Kind.override, submission, item, data)


def points(book: Gradebook, submissions: Sequence[str], item: str = "1a") -> list[float | None]:
    """What these submissions have for an item."""
    state = book.state()
    found = [state.grade(name, item) for name in submissions]
    return [None if each is None else each.points for each in found]
