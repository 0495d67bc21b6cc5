"""The causes of lost points: what failed alike in many submissions, and one decision for all of them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from grader.batch.causes import causes_of_class, outdated_note
from grader.batch.results import load_records
from grader.batch.rows import Row, rows_of
from grader.batch.store import Record, Store
from grader.errors import UsageError
from grader.gradebook.content import content_of
from grader.gradebook.events import JSON, Decision, Kind
from grader.gradebook.state import State
from grader.grades.students import Student
from grader.insight.causes import Cause
from grader.review.classroom import Class, NotThere, Room
from grader.review.desk import act_of, number
from grader.review.web import Call
from grader.scoring.result import CriterionResult


@dataclass(frozen=True)
class Raise:
    """What a decision changes for one submission.

    Args:
        submission: the key of its row.
        student: whose it is.
        before: points of the item before the decision.
        after: points of the item after it.
        decisions: what is to be recorded.
        kept: why nothing changes; empty where something does.
    """

    submission: str
    student: Student
    before: float
    after: float
    decisions: tuple[Decision, ...] = ()
    kept: str = ""


class _Records:
    """What the store keeps of a class, read once for each class that was read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: tuple[Class, Mapping[str, Record], str] | None = None

    def of(self, room: Room, klass: Class) -> tuple[Mapping[str, Record], str]:
        """The records by content, and a note where the fingerprints are out of date."""
        with self._lock:
            if self._known is None or self._known[0] is not klass:
                store = Store(room.folder, create=False)
                records = load_records(store, klass.graded.manifest)
                self._known = klass, records, outdated_note(klass.homework)
            return self._known[1:]


_RECORDS = _Records()


def show(call: Call) -> Response:
    """All causes, the most points first."""
    room = call.site.room
    klass, state = room.klass, room.book.state()
    causes, note = _causes(room, klass, state)
    return call.page(
        "causes.html",
        causes=causes,
        note=note,
        students=klass.graded.students,
        known=sum(cause.is_known for cause in causes),
        lost=sum(cause.points_lost for cause in causes),
    )


def decide(call: Call) -> Response:
    """Preview points back to all submissions of a cause, or give them as one act where the form says so."""
    room = call.site.room
    klass, state = room.klass, room.book.state()
    causes, _ = _causes(room, klass, state)
    cause = next((each for each in causes if each.key == call.path["key"]), None)
    if cause is None:
        raise NotThere("there is no such cause in this class any more; open the page of causes again")
    points = number(call.form.get("points", ""), "points")
    if points <= 0:
        raise UsageError("points: give how many points each submission gets back, such as 0.5")
    reason = call.form.get("reason", "").strip()
    if not reason:
        raise UsageError("reason: say why, in words that students may read")
    raises = raises_of(cause, points, reason, _rows(klass, state), klass, state)
    changing = [each for each in raises if each.decisions]
    if call.form.get("apply"):
        if not changing:
            raise UsageError("nothing to give back: every submission has these points already")
        decisions = [decision for each in changing for decision in each.decisions]
        act = room.book.record(call.who, decisions, act=act_of(call.form))
        return call.done(f"saved: {len(changing)} submissions changed", "/causes", act=act)
    return call.page(
        "cause.html",
        cause=cause,
        points=points,
        reason=reason,
        changing=changing,
        kept=[each for each in raises if not each.decisions],
        act=uuid.uuid4().hex,
        sum=sum(each.after - each.before for each in changing),
    )


def raises_of(
    cause: Cause, points: float, reason: str, rows: Sequence[Row], klass: Class, state: State
) -> list[Raise]:
    """What giving ``points`` back to each submission of a cause changes.

    No submission gets more than it lost by the cause. The criteria are filled one after the other. Items that a person gave
    points as a whole are left as they are.
    """
    found = []
    for row in rows:
        lost = cause.losses.get(row.member.key)
        item = next((each for each in row.result.items if each.id == cause.part), None) if row.result else None
        if lost is None or item is None:
            continue
        key, before = row.member.key, item.points or 0.0
        student = klass.graded.students[key]
        if item.set_by is not None:
            kept = f"{item.set_by.who} set the points of the whole item"
            found.append(Raise(key, student, before, before, kept=kept))
            continue
        content = content_of(klass.found(key, cause.part), row.member.digest)
        left, decisions = points, []
        for criterion in item.criteria:
            given = min(left, lost.get(criterion.id, 0.0), criterion.max_points - criterion.points)
            if given > 0:
                left = round(left - given, 4)
                decisions.append(_override(key, cause.part, criterion, given, reason, content))
        after = round(before + points - left, 4)
        found.append(Raise(key, student, before, after, tuple(decisions), "" if decisions else "has all of these points"))
    return found


def _override(key: str, item: str, criterion: CriterionResult, given: float, reason: str, content: str) -> Decision:
    data: dict[str, JSON] = {
        "points": round(criterion.points + given, 4),
        "reason": reason,
        "criterion": criterion.id,
        "content": content,
    }
    return Decision(Kind.override, key, item, data)


def _causes(room: Room, klass: Class, state: State) -> tuple[list[Cause], str]:
    records, note = _RECORDS.of(room, klass)
    return causes_of_class(_rows(klass, state), records, klass.graded.rubric, klass.homework), note


def _rows(klass: Class, state: State) -> list[Row]:
    return rows_of(klass.graded.manifest, klass.graded.rubric, klass.graded.results, state)
