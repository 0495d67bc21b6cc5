"""How far the grading is: by item and by grader, with the time that is left at the pace so far."""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from grader.gradebook.events import Event
from grader.gradebook.state import State
from grader.review.classroom import Answer, ByHand, Class, in_order_after

PAUSE = timedelta(minutes=5)
"""Between two grades; a longer one is a break and tells nothing about the pace."""
_PACED = 200
"""The last so many grades tell the pace."""


@dataclass(frozen=True)
class ItemProgress:
    """How far an item is.

    Args:
        id: of the item.
        title: of the item.
        points: what it is worth.
        graded: answers with a grade that holds.
        total: answers that were handed in.
        again: answers that changed after they were graded.
        requests: open regrade requests.
        left: time that the rest takes one grader; None before anybody has graded.
    """

    id: str
    title: str
    points: float
    graded: int
    total: int
    again: int
    requests: int
    left: timedelta | None

    @property
    def is_done(self) -> bool:
        """Whether nothing waits."""
        return self.graded == self.total


@dataclass(frozen=True)
class GraderProgress:
    """What one grader has done, and the pace: seconds for each answer, None with too few grades."""

    who: str
    graded: int
    pace: float | None
    last: datetime


def waits(state: State, answer: Answer) -> bool:
    """Whether an answer has no grade that holds: none at all, one for another content, or one that is disputed."""
    return state.grade(answer.submission, answer.item) is None or looks_again(state, answer)


def looks_again(state: State, answer: Answer) -> bool:
    """Whether an answer that was graded has to be looked at again."""
    request = state.request(answer.submission, answer.item)
    return state.stale(answer.submission, answer.item, answer.content) or (request is not None and request.is_open)


def item_progress(klass: Class, state: State, item: str, pace: float | None) -> ItemProgress:
    """How far one item is, where a grade takes ``pace`` seconds."""
    answers = klass.answers[item].values()
    waiting = again = requests = 0
    for answer in answers:
        request = state.request(answer.submission, item)
        is_stale, is_open = state.stale(answer.submission, item, answer.content), request is not None and request.is_open
        again, requests = again + is_stale, requests + is_open
        waiting += is_stale or is_open or state.grade(answer.submission, item) is None
    left = None if pace is None else timedelta(seconds=round(pace * waiting))
    return ItemProgress(
        item,
        klass.items[item].title,
        klass.items[item].points,
        len(answers) - waiting,
        len(answers),
        again,
        requests,
        left,
    )


def grades_given(state: State, item: str | None = None) -> list[Event]:
    """The events that gave a grade and were not undone, in order; of one item or of all."""
    undone = state.log.undone
    return [event for event in state.log.grades if (item is None or event.item == item) and event.act not in undone]


def next_item(klass: Class, state: State, after: str) -> ByHand | None:
    """The item to go on with after one: the next that has an answer without a grade that holds; None if there is none."""
    return next(
        (
            klass.items[item]
            for item in in_order_after(tuple(klass.items), after)
            if any(waits(state, answer) for answer in klass.answers[item].values())
        ),
        None,
    )


def pace_of(events: Sequence[Event]) -> float | None:
    """The median seconds between two answers of one person, of grades in order; None where there are too few."""
    gaps: list[float] = []
    for after, before in itertools.pairwise(reversed(events)):
        # A group is one decision, and a change of mind is no new answer.
        is_new = after.act != before.act and (after.submission, after.item) != (before.submission, before.item)
        if is_new and after.at - before.at < PAUSE:
            gaps.append((after.at - before.at).total_seconds())
            if len(gaps) == _PACED:
                break
    return statistics.median(gaps) if len(gaps) >= 3 else None


def grader_progress(state: State) -> list[GraderProgress]:
    """What each grader has done, by name; an answer counts for whoever graded it last."""
    by_grader: dict[str, list[Event]] = defaultdict(list)
    holding: dict[tuple[str | None, str | None], str] = {}
    for event in grades_given(state):
        by_grader[event.who].append(event)
        holding[event.submission, event.item] = event.who
    counts: dict[str, int] = defaultdict(int)
    for who in holding.values():
        counts[who] += 1
    return [
        GraderProgress(who, counts[who], pace_of(events), events[-1].at) for who, events in sorted(by_grader.items())
    ]


def paces(state: State, items: Iterable[str]) -> dict[str, float | None]:
    """The pace of each item, or that of all items where it has too few grades: a mean over graders of their medians."""

    def of(chosen: Sequence[Event]) -> float | None:
        by_grader: dict[str, list[Event]] = defaultdict(list)
        for event in chosen:
            by_grader[event.who].append(event)
        known = [pace for each in by_grader.values() if (pace := pace_of(each)) is not None]
        return statistics.fmean(known) if known else None

    found = {item: of(grades_given(state, item)) for item in items}
    if None in found.values():
        overall = of(grades_given(state))
        found = {item: overall if own is None else own for item, own in found.items()}
    return found
