"""The state of a class, derived from the log of decisions: grades, overrides, penalties, notes, regrade requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from grader.gradebook.content import differs
from grader.gradebook.entries import Redefinition, composed, with_changes
from grader.gradebook.events import Event, Kind
from grader.scoring.rubric import RubricEntry


@dataclass(frozen=True)
class Decided:
    """Who decided something, when, and in which act."""

    who: str
    at: datetime
    act: str


@dataclass(frozen=True)
class Grade(Decided):
    """What a person gave for an item.

    Args:
        entries: ids of the chosen rubric entries.
        adjustment: points added to what the entries give.
        comment: for the student.
        points: what entries and adjustment give, between 0 and what the item is worth.
        content: what tells the answer that was seen from others.
        missing: chosen entries that the rubric no longer has; they give no points.
    """

    entries: tuple[str, ...]
    adjustment: float
    comment: str
    points: float
    content: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Override(Decided):
    """Points that a person set instead of the grader, for an item or for one of its criteria."""

    item: str
    criterion: str | None
    points: float
    reason: str
    content: str


@dataclass(frozen=True)
class PenaltyGiven(Decided):
    """A penalty of the rubric that a person gave."""

    id: str
    reason: str


@dataclass(frozen=True)
class LatenessSet(Decided):
    """What a person says that lateness costs, in percent; it counts instead of the policy."""

    percent: float
    reason: str


@dataclass(frozen=True)
class Note(Decided):
    """A note to the student, on an item or on the whole submission."""

    text: str
    item: str | None


@dataclass(frozen=True)
class FlagSettled(Decided):
    """A flag of the automatic grading that a person looked at."""

    flag: str
    reason: str
    resolved: bool


@dataclass(frozen=True)
class Request(Decided):
    """A regrade request; its answer is None while it is open."""

    text: str
    answer: Answer | None = None

    @property
    def is_open(self) -> bool:
        """Whether nobody has answered it yet."""
        return self.answer is None


@dataclass(frozen=True)
class Answer(Decided):
    """The answer to a regrade request: "upheld" or "changed"."""

    outcome: str
    text: str


@dataclass(frozen=True)
class Change:
    """How a changed entry changes the points of one submission."""

    submission: str
    before: float
    after: float


Place = tuple[str | None, str | None]
"""A submission and an item."""


@dataclass(frozen=True)
class Log:
    """All events, by submission and item; a log is never changed, only followed by a longer one.

    Args:
        last: the id of the last event.
        events: all events, undone ones too.
        undone: acts that were undone.
        undos: the events that undid them.
        acts: all acts.
        grades: all events that gave or settled a grade, in order.
    """

    last: int = 0
    events: Mapping[Place, tuple[Event, ...]] = field(default_factory=dict)
    undone: frozenset[str] = frozenset()
    undos: tuple[Event, ...] = ()
    acts: frozenset[str] = frozenset()
    grades: tuple[Event, ...] = ()

    def followed_by(self, events: Iterable[Event]) -> Log:
        """This log with more events after it."""
        events = tuple(events)
        places = dict(self.events)
        for event in events:
            place = (event.submission, event.item)
            places[place] = (*places.get(place, ()), event)
        undos = (*self.undos, *(event for event in events if event.kind is Kind.undo))
        undone: set[str] = set()
        # An undo that was undone itself does nothing; it is named by a later one.
        for undo in reversed(undos):
            if undo.act not in undone:
                undone.add(str(undo.data["act"]))
        last = max((self.last, *(event.id for event in events)))
        acts = self.acts | {event.act for event in events}
        grades = (*self.grades, *(event for event in events if event.kind in (Kind.grade, Kind.settle)))
        return Log(last, places, frozenset(undone), undos, acts, grades)

    def at(self, submission: str | None, item: str | None, *kinds: Kind) -> list[Event]:
        """The events of these kinds at a place that were not undone, in order."""
        found = self.events.get((submission, item), ())
        return [event for event in found if event.kind in kinds and event.act not in self.undone]


def _decided(event: Event) -> dict[str, Any]:
    return {"who": event.who, "at": event.at, "act": event.act}


def _text(event: Event, name: str) -> str:
    return str(event.data.get(name) or "")


class State:
    """What holds now, by the log and the rubric's entries."""

    def __init__(
        self, log: Log, items: Mapping[str, Sequence[RubricEntry]], worth: Mapping[str, float] | None = None
    ) -> None:
        self.log = log
        self._items = items
        self._worth = worth or {}
        self._entries: dict[str, tuple[RubricEntry, ...]] = {}
        self._grades: dict[tuple[str, str], Grade | None] = {}
        self._by_submission: dict[str, tuple[str | None, ...]] = {}
        self._by_item: dict[str, tuple[str, ...]] = {}
        self._index(log.events)

    def _index(self, places: Iterable[Place]) -> None:
        for submission, item in places:
            if submission is not None:
                self._by_submission[submission] = (*self._by_submission.get(submission, ()), item)
                if item is not None:
                    self._by_item[item] = (*self._by_item.get(item, ()), submission)

    def followed_by(self, events: Iterable[Event]) -> State:
        """The state after more events."""
        events = tuple(events)
        later = State(Log(), self._items, self._worth)
        later.log = self.log.followed_by(events)
        later._by_submission, later._by_item = dict(self._by_submission), dict(self._by_item)
        places = dict.fromkeys((event.submission, event.item) for event in events)
        later._index(place for place in places if place not in self.log.events)
        if not any(event.kind in (Kind.undo, Kind.entry) for event in events):
            later._entries = self._entries
            # Copied whole, as other threads may look up grades in this state meanwhile.
            later._grades = self._grades.copy()
            for event in events:
                later._grades.pop((event.submission or "", event.item or ""), None)
        return later

    # -- entries -------------------------------------------------------------------------------------------------

    def entries(self, item: str) -> tuple[RubricEntry, ...]:
        """The entries by which an item is graded now."""
        if item not in self._entries:
            self._entries[item] = self._entries_with(item, None)
        return self._entries[item]

    def has_entries(self, item: str) -> bool:
        """Whether people grade the item by entries, even if it has none yet."""
        return item in self._items

    def worth(self, item: str) -> float | None:
        """What an item is worth; None where that is not known."""
        return self._worth.get(item)

    def _entries_with(self, item: str, changed: RubricEntry | None) -> tuple[RubricEntry, ...]:
        events = (event for event in self.log.events.get((None, item), ()) if event.kind is Kind.entry)
        changes = (Redefinition.of(event, undone=self.is_undone(event)) for event in events)
        entries = with_changes(self._items.get(item, ()), changes)
        if changed is None:
            return entries
        known = {entry.id: entry for entry in entries} | {changed.id: changed}
        return tuple(known.values())

    def effect_of(self, item: str, changed: RubricEntry | None, removed: str = "") -> tuple[Change, ...]:
        """Whose points would change, from what to what, if an entry were changed like this, or removed by its id."""
        entries = [entry for entry in self._entries_with(item, changed) if entry.id != removed]
        changes = []
        for submission in self.graded(item):
            grade = self.grade(submission, item)
            assert grade is not None
            after = self._points(item, entries, grade.entries, grade.adjustment)
            if after != grade.points:
                changes.append(Change(submission, grade.points, after))
        return tuple(changes)

    def points_of(self, item: str, entries: Sequence[str], adjustment: float = 0.0) -> float:
        """What a grade by these entries would be worth."""
        return self._points(item, self.entries(item), entries, adjustment)

    def _points(
        self, item: str, entries: Iterable[RubricEntry], chosen: Sequence[str], adjustment: float
    ) -> float:
        return composed(
            (entry for entry in entries if entry.id in chosen), adjustment, self._worth.get(item)
        )

    # -- grades --------------------------------------------------------------------------------------------------

    def grade(self, submission: str, item: str) -> Grade | None:
        """The grade that holds, by the last person who gave or settled one; None if there is none."""
        place = (submission, item)
        if place not in self._grades:
            given = self.log.at(submission, item, Kind.grade, Kind.clear, Kind.settle)
            found = None
            if given and given[-1].kind is not Kind.clear:
                found = self._grade(given[-1])
                if not found.content and given[-1].kind is Kind.settle:
                    seen = next((_text(event, "content") for event in reversed(given) if _text(event, "content")), "")
                    found = replace(found, content=seen)
            self._grades[place] = found
        return self._grades[place]

    def _grade(self, event: Event) -> Grade:
        item = event.item or ""
        given = event.data["entries"]
        chosen = tuple(map(str, given)) if isinstance(given, list) else ()
        known = {entry.id for entry in self.entries(item)}
        adjustment = float(event.data.get("adjustment") or 0.0)  # type: ignore[arg-type]
        return Grade(
            entries=chosen,
            adjustment=adjustment,
            comment=_text(event, "comment"),
            points=self.points_of(item, chosen, adjustment),
            content=_text(event, "content"),
            missing=tuple(name for name in chosen if name not in known),
            **_decided(event),
        )

    def graded(self, item: str) -> tuple[str, ...]:
        """The submissions in which an item has a grade, in the order of their first event."""
        return tuple(name for name in self._by_item.get(item, ()) if self.grade(name, item) is not None)

    def stale(self, submission: str, item: str, content: str) -> bool:
        """Whether a person decided on the item when its answer was another one: it needs a second look."""
        decided: list[Grade | Override | None] = [self.grade(submission, item), *self.overrides(submission, item)]
        return any(differs(each.content, content) for each in decided if each is not None)

    def second(self, item: str) -> Mapping[str, Grade]:
        """The blind second grades of an item, by submission."""
        given = {submission: self.log.at(submission, item, Kind.second) for submission in self._by_item.get(item, ())}
        return MappingProxyType({submission: self._grade(each[-1]) for submission, each in given.items() if each})

    def settled(self, item: str) -> tuple[str, ...]:
        """The submissions whose two different grades of an item somebody settled."""
        return tuple(name for name in self._by_item.get(item, ()) if self.log.at(name, item, Kind.settle))

    # -- other decisions -----------------------------------------------------------------------------------------

    def overrides(self, submission: str, item: str | None = None) -> tuple[Override, ...]:
        """The overrides of a submission that hold, of one item or of all."""
        found: dict[tuple[str, str | None], Override] = {}
        given = self._of(submission, Kind.override) if item is None else self.log.at(submission, item, Kind.override)
        for event in given:
            criterion = event.data.get("criterion")
            name = str(criterion) if criterion else None
            points = event.data["points"]
            key = (event.item or "", name)
            found.pop(key, None)
            if isinstance(points, (int, float)):
                reason, content = _text(event, "reason"), _text(event, "content")
                found[key] = Override(
                    item=key[0], criterion=name, points=float(points), reason=reason, content=content, **_decided(event)
                )
        return tuple(found.values())

    def penalties(self, submission: str) -> tuple[PenaltyGiven, ...]:
        """The penalties that a submission has."""
        last = {str(event.data["id"]): event for event in self._of(submission, Kind.penalty)}
        return tuple(
            PenaltyGiven(id=name, reason=_text(event, "reason"), **_decided(event))
            for name, event in last.items()
            if event.data["on"]
        )

    def lateness(self, submission: str) -> LatenessSet | None:
        """What a person says that a submission's lateness costs; None where the policy counts."""
        last = next(iter(self._of(submission, Kind.lateness)[::-1]), None)
        if last is None or not isinstance(percent := last.data["percent"], (int, float)):
            return None
        return LatenessSet(percent=float(percent), reason=_text(last, "reason"), **_decided(last))

    def notes(self, submission: str) -> tuple[Note, ...]:
        """The notes to a student, the last one on each item and on the submission as a whole."""
        last = {event.item: event for event in self._of(submission, Kind.note)}
        return tuple(
            Note(text=_text(event, "text"), item=item, **_decided(event))
            for item, event in last.items()
            if _text(event, "text").strip()
        )

    def flags(self, submission: str) -> tuple[FlagSettled, ...]:
        """What people decided about the flags of a submission, the last decision on each."""
        last = {str(event.data["flag"]): event for event in self._of(submission, Kind.flag)}
        return tuple(
            FlagSettled(flag=name, reason=_text(event, "reason"), resolved=bool(event.data["resolved"]), **_decided(event))
            for name, event in last.items()
        )

    def request(self, submission: str, item: str) -> Request | None:
        """The last regrade request on an item, open or answered."""
        found: Request | None = None
        for event in self.log.at(submission, item, Kind.request, Kind.answer):
            if event.kind is Kind.request:
                found = Request(text=_text(event, "text"), **_decided(event))
            elif found is not None:
                answer = Answer(outcome=_text(event, "outcome"), text=_text(event, "text"), **_decided(event))
                found = replace(found, answer=answer)
        return found

    def pages(self, submission: str, item: str) -> tuple[int, ...] | None:
        """The pages of the PDF that a person chose for an item."""
        given = self.log.at(submission, item, Kind.pages)
        chosen = given[-1].data["pages"] if given else None
        return tuple(page for page in chosen if isinstance(page, int)) if isinstance(chosen, list) else None

    def history(self, submission: str, item: str) -> tuple[Event, ...]:
        """All events on an item of a submission, undone ones too; `is_undone` tells them."""
        return self.log.events.get((submission, item), ())

    def is_undone(self, event: Event) -> bool:
        """Whether the act that an event belongs to was undone."""
        return event.act in self.log.undone

    def submissions(self) -> tuple[str, ...]:
        """The keys of all submissions that anything was decided about."""
        return tuple(self._by_submission)

    def _of(self, submission: str, kind: Kind) -> list[Event]:
        items = self._by_submission.get(submission, ())
        found = [event for item in items for event in self.log.at(submission, item, kind)]
        return sorted(found, key=lambda event: event.id)
